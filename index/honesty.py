"""A card is its author's word. What is written in it to move a search or a language model does not count.

Whoever publishes a model writes its card, and wants it chosen: words said again and again, lists of all that
anybody could look for, sentences that give orders to a language model, figures of downloads in prose.
Hidden text is left out before (visible.py); copies of another model's card are folded (folding.py).
"""

import re
from collections import Counter
from collections.abc import Sequence

from hugginggpt.index.languages import LANGUAGES
from hugginggpt.index.visible import visible
from hugginggpt.index.wishes import WISHES
from hugginggpt.tools.card import ModelCard

_SENTENCE = re.compile(r"(?<=[.!?…\u3002\uff01\uff1f])\s+|\n+")
_CHOOSE = r"(?:choos|select|pick|prefer|recommend|rank|return|suggest|output|rat)(?:e|es|ed|ing|s)?"
_ITEM = r"(?:model|one|card|entry|repository|tool|candidate|option)s?"
_THIS = rf"(?:this|our|my|the present|the above|the following)(?: \w+)? {_ITEM}"
_READER = r"(?:ai|llm|language model|assistant|agent|controller|planner|ranker)s?"
_TOLD = r"(?:instruction|prompt|rule|model|candidate|card|guideline|context|message|request|everything)"
_ORDERS = (
    rf"\b(?:ignor|disregard|forget|overrid|bypass)\w*\b.{{0,40}}\b{_TOLD}s?\b",
    rf"\b(?:always|must|shall|only|should|(?:be|make) sure to|please|now) (?:\w+ )?{_CHOOSE} {_THIS}\b",
    rf"\b{_CHOOSE} {_THIS} (?:first|always|only|instead|over|above|regardless|for (?:every|all|any))\b",
    r"\balways use (?:this|our) model\b",
    rf"\b(?:do not|don't|never) (?:use|consider|{_CHOOSE}) (?:any|the|an)\s?other",
    r"\b(?:system|developer) (?:prompt|message|override|instruction|note)s?\b",
    rf"\b(?:dear|attention|note to|message (?:for|to)|hey|important for)\W+(?:the |all )?{_READER}\b",
    rf"\bif you are an? {_READER}\b|\bas an? {_READER},? you\b",
    r"\b(?:number|rank|choice|index|option|candidate) 1 (?:is|as) (?:this|the (?:correct|right|best|only))\b",
    r"<\|?/?(?:system|im_start|im_end|instructions?|assistant|user)\|?>|\[/?(?:INST|SYSTEM)\]",
    r"^\W*(?:system|assistant|user|human|instructions?)\s*:",
)
_COUNTED = r"(?:downloads?|likes|stars)"
_BOASTS = (
    rf"\b\d[\d,.]*\s?(?:k|m|b|thousand|million|billion)?\+?\s(?:\w+ ){{0,2}}{_COUNTED}\b",
    rf"\b(?:million|billion|thousand)s? (?:of )?(?:\w+ )?{_COUNTED}\b",
    rf"\b{_COUNTED}\s*(?:this month|last month|so far|count)?\s*[:=]\s*\d",
    r"\bmost[- ](?:downloaded|liked|popular|trusted|used|starred)\b|\btrusted by\b",
    r"\b(?:number one|no\. ?1)\b|#\s?1\b",
    r"\b(?:best|greatest|top|leading)(?:[- ]\w+)? model (?:ever|available|in the world|on (?:the )?hub)",
)
_ORDER, _BOAST = (re.compile("|".join(parts), re.IGNORECASE) for parts in (_ORDERS, _BOASTS))

# Words that hold sentences together, of the languages in which most cards are written.
_HOLDING = """
a an the of to and or in on for with from by as is are was be been has have that this it its at into can
which we you your not more than der die das und ist von mit für ein eine de la le les des et en est un une
pour sur el los las y con por del que se su il di e che per o da do dos em para una het een van met op
"""
_SMALL = frozenset(_HOLDING.split())
_LOOKED_FOR = frozenset(re.findall(r"[a-z]+", " ".join([*WISHES, *WISHES.values()])))
_LANGUAGES = frozenset(LANGUAGES.values())
_TAG = re.compile(r"</?\w[^<>]*>")
_WORD = re.compile(r"[^\W\d_]+|[.!?:;…]")

_ENOUGH = 12
"""Telling words of a text, for their shape to say something."""
_BOASTED = 0.5
"""Doubt of a card that boasts of figures."""


def honest(card: ModelCard) -> ModelCard:
    """The card as the index keeps it: its summary says what the model is, and `doubt` what was wrong with it.

    Left out are sentences that give orders, that boast of figures, or that are there twice, and hidden text.
    `doubt` is 1 where orders are given, else the most of what is stuffed, what is hidden, and boasting.
    """
    shown = visible(card.summary)
    sentences = [" ".join(part.split()) for part in _SENTENCE.split(shown)]
    ordering, boasting = ({part for part in sentences if wrong.search(part)} for wrong in (_ORDER, _BOAST))
    kept = [part for part in dict.fromkeys(sentences) if part and part not in ordering | boasting]
    doubts = (card.doubt, stuffing(card.summary), _hidden(card.summary, shown), _BOASTED * bool(boasting))
    return card.model_copy(update={"summary": " ".join(kept), "doubt": 1.0 if ordering else max(doubts)})


def _hidden(written: str, shown: str) -> float:
    """The part of the words between tags that a page does not show."""
    words = len(_WORD.findall(_TAG.sub(" ", written)))
    return 1 - len(_WORD.findall(shown)) / words if "<" in written and words else 0.0


def stuffing(text: str) -> float:
    """How much a text is a heap of words to be found by, 0 to 1, and not sentences.

    The most of: words, and three words in a row, said again and again; one word above all; and many words
    that people look for with none of the small words and stops between them that sentences have. A list of
    names or of languages is no heap, nor is a short text.
    """
    words = [word for word in _WORD.findall(text) if word not in _LANGUAGES]
    telling = Counter(word for word in map(str.lower, words) if word.isalpha() and word not in _SMALL)
    total = telling.total()
    if total < _ENOUGH:
        return 0.0
    again = 1 - len(telling) / total
    above_all = max(telling.values()) / total
    threes = Counter(zip(words, words[1:], words[2:], strict=False))
    phrases = 1 - len(threes) / threes.total()
    return max(
        _ramp(again, 0.5, 0.7),
        _ramp(phrases, 0.2, 0.45),
        _ramp(above_all, 0.22, 0.4),
        _ramp(_run(words), 10, 18),
    )


def _run(words: Sequence[str]) -> int:
    """The most words of wishes for some task in a row of words that nothing holds together."""
    most = run = 0
    for word in map(str.lower, words):
        run = 0 if word in _SMALL or not word.isalpha() else run + (word in _LOOKED_FOR)
        most = max(most, run)
    return most


def _ramp(value: float, from_: float, to: float) -> float:
    return min(1.0, max(0.0, (value - from_) / (to - from_)))
