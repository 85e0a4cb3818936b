"""How well a model fits a query: one formula.

    score =  cosine of query and card
          +  0.2   x  words                  how well the card says the query's words, over the best of all
          +  0.5   x  closeness of its task  to the query; only where no task is asked for (wishes.py):
                                             cosine of query and wishes for the task + 0.2 x words of these
          +  0.05  x  popularity             downloads and likes, as the Hub counts them
          +  0.01  x  freshness              halves every two years
          +  0.05  x  merit                  success and speed seen here, -1 to 1
          -  0.1   if the query is in none of the languages that the model is for, and names none of them
          -  0.6   x  doubt                  the card was written for machines, not for people (honesty.py)

Where a task is asked for, scores end at `MOST` and can be compared between queries: all but cosines is small.
Words and cosines are added and not fused by reciprocal rank, which finds less: benchmarks/retrieval.py.
"""

from collections.abc import Collection
from datetime import date
from math import log10

import numpy as np
from numpy.typing import NDArray

from hugginggpt.index.languages import LANGUAGES
from hugginggpt.index.words import words_in
from hugginggpt.tools.card import ModelCard

WORDS = 0.2
TASK = 0.5
POPULARITY = 0.05
FRESHNESS, HALF_LIFE = 0.01, 730  # days
MERIT = 0.05
FOREIGN = 0.1
DOUBT = 0.6

MOST = 1 + WORDS + POPULARITY + FRESHNESS + MERIT
"""No score is higher where a task is asked for."""

_MOST_DOWNLOADS, _MOST_LIKES = 1e8, 1e5  # in 30 days, and ever: what the most loaded models of the Hub reach
_EPOCH = date(1970, 1, 1)

_NAMES = {name.lower().encode(): code for code, name in LANGUAGES.items()}
_ENGLISH = words_in("the of to and with for that is this from what which how we my")

Numbers = NDArray[np.float32]
Facts = NDArray[np.int32]
"""A column of columns.py: -1 where it is not known."""


def relevance(cosines: Numbers, words: Numbers) -> Numbers:
    """The first two lines of the formula, of all that was found; `words` are 0 where there are none."""
    best = max(float(words.max(initial=0)), 1e-9)
    return np.asarray(cosines + WORDS / best * words, np.float32)


def standing(downloads: Facts, likes: Facts, updated: Facts, today: date) -> Numbers:
    """Popularity and freshness, weighted. Only the Hub's own figures count, not what a card says of them.

    Popularity is 0 where nobody loads a model or its figures are not known, and 1 for the most loaded and
    liked ones; freshness is 1 for what was changed today, 0.5 two years ago, and 0 where it is not known.
    """
    loaded = np.log10(1.0 + np.maximum(downloads, 0.0)) / log10(_MOST_DOWNLOADS)
    liked = np.log10(1.0 + np.maximum(likes, 0.0)) / log10(_MOST_LIKES)
    popularity = np.minimum(1, np.where(likes < 0, loaded, (2 * loaded + liked) / 3))
    days = np.maximum(0, (today - _EPOCH).days - updated)
    freshness = np.where(updated < 0, 0, 0.5 ** (days / HALF_LIFE))
    return np.asarray(POPULARITY * popularity + FRESHNESS * freshness, np.float32)


def score(relevant: float, card: ModelCard, spoken: Collection[str] | None, merit: float) -> float:
    """The whole formula: `relevant` is all up to freshness, `spoken` are the query's languages."""
    earned = MERIT * max(-1.0, min(1.0, merit))
    lost = FOREIGN * (spoken is not None and _foreign(card, spoken)) + DOUBT * card.doubt
    # Rounded, so that the last bits of a sum, which depend on the processor, decide nothing.
    return round(relevant + earned - lost, 5)


def languages_of(query: str) -> frozenset[str] | None:
    """The languages that a query in English names, and English; None where the query is not in English."""
    words = words_in(query)
    named = {_NAMES[word] for word in words & _NAMES.keys()}
    return frozenset({"en", *named}) if named or not _ENGLISH.isdisjoint(words) else None


def _foreign(card: ModelCard, spoken: Collection[str]) -> bool:
    """Whether it is a model for languages none of which is spoken."""
    languages = card.languages or _named_in(f"{card.id} {card.summary}")
    return bool(languages) and not any(code in spoken or code not in LANGUAGES for code in languages)


def _named_in(text: str) -> set[str]:
    if "lingual" in text.lower():
        return set()
    return {_NAMES[word] for word in words_in(text) & _NAMES.keys()}
