"""What a sentence encoder can do without training: compare, rank, classify, find an answer, summarize."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hugginggpt.tools import spans
from hugginggpt.tools.encoder import Encoder
from hugginggpt.tools.runtime import PermanentError

# Cosines of a text with short labels differ by a few hundredths; divided by this they become scores
# that are sure where a label clearly fits and undecided where none does. Chosen by hand.
_TEMPERATURE = 0.03
_HYPOTHESES = ("This text is about {}.", "I feel {}.")  # for subjects, for moods
_EDGE = 0.2  # cosine from which LexRank links two sentences; its paper has 0.1, for sparser vectors
_DAMPING = 0.85
_OF_KIND = 0.15  # what a sentence gains by holding the kind of thing a question asks for
_NOVELTY = 0.5  # part of its worth that a sentence loses when it repeats a picked one

_ABBREVIATIONS = {
    "mr", "mrs", "ms", "dr", "prof", "st", "jr", "sr", "vs", "etc", "e.g", "i.e", "no", "fig", "al", "inc",
    "ltd", "co", "corp", "dept", "approx", "u.s", "u.k", "a.m", "p.m", "z.b", "d.h", "bzw", "ca", "nr", "str",
}  # fmt: skip
_END = re.compile(r"(?<=[。！？])|(?<=[.!?…।؟])[\"'”’»)\]]*\s+|\n\s*\n|\n(?=\s*(?:[-*•]|\d+[.)])\s)")  # noqa: RUF001


def split(text: str) -> list[str]:
    """The sentences of a text, blanks and line breaks inside them made single spaces."""
    found: list[str] = []
    start = 0
    for match in _END.finditer(text):
        before = text[start : match.start()]
        following = text[match.end() : match.end() + 1]
        word = before.rsplit(maxsplit=1)[-1:] or [""]
        last = word[0].lower().lstrip("(\"'")
        initial = re.fullmatch(r"[a-z]\.", last) is not None
        if following.islower() or (before.endswith(".") and (last[:-1] in _ABBREVIATIONS or initial)):
            continue
        found.append(text[start : match.end()])
        start = match.end()
    return [line for part in [*found, text[start:]] if (line := " ".join(part.split()))]


def _need(text: str, what: str) -> str:
    if not text.strip():
        raise PermanentError("empty-text", f"the {what} is empty")
    return text


def _embed(encoder: Encoder, text: str) -> NDArray[np.float32]:
    """One vector of a text of any length: the encoder sees 256 word pieces, so its sentences' mean."""
    mean = encoder.encode(split(text) or [text]).mean(axis=0)
    unit: NDArray[np.float32] = mean / max(float(np.linalg.norm(mean)), 1e-9)
    return unit


def embedding(text: str, encoder: Encoder) -> list[float]:
    """The unit vector of a text, `encoder.dimension` numbers."""
    return [float(value) for value in _embed(encoder, _need(text, "text"))]


def similarities(text: str, others: Sequence[str], encoder: Encoder) -> list[float]:
    """Cosine of a text with each of the others, -1 to 1, in their order."""
    if not others:
        raise PermanentError("empty-list", "there is nothing to compare the text with")
    source = _embed(encoder, _need(text, "text"))
    return [float(np.clip(source @ _embed(encoder, other), -1, 1)) for other in others]


def classify(text: str, labels: Sequence[str], encoder: Encoder) -> list[dict[str, str | float]]:
    """How well each label fits a text, best first; scores sum to 1.

    Each label is put into hypotheses, as in Yin et al. 2019 (arXiv 1909.00161), and the cosines with
    the text, averaged over a label's hypotheses, go through a softmax.
    """
    if not labels:
        raise PermanentError("no-labels", "there are no candidate labels to sort the text into")
    hypotheses = [form.format(label) for label in labels for form in _HYPOTHESES]
    fits = encoder.encode(hypotheses) @ _embed(encoder, _need(text, "text"))
    logits = fits.reshape(len(labels), -1).mean(axis=1).astype(np.float64) / _TEMPERATURE
    scores = np.exp(logits - logits.max())
    scores /= scores.sum()
    return [{"label": labels[i], "score": float(scores[i])} for i in np.argsort(-scores, kind="stable")]


def answer(question: str, context: str, encoder: Encoder) -> str:
    """The sentence of a text that is closest to a question, narrowed to the answer where its kind is known.

    Extractive: nothing is worked out or put in other words. A sentence that holds what the question's
    words ask for (a date, an amount, a name) is preferred to one that does not.
    """
    found = split(_need(context, "context"))
    fits = encoder.encode(found) @ encoder.encode([_need(question, "question")])[0]
    kind, asked = spans.expected(question), question.lower()
    values = [[value for value in spans.find(kind, line) if value.lower() not in asked] for line in found]
    best = int(np.argmax(fits + np.array([_OF_KIND if value else 0.0 for value in values])))
    return values[best][0] if len(values[best]) == 1 else found[best]


def summary(text: str, encoder: Encoder) -> str:
    """The most central sentences of a text, in its order and words: a third of them, 3 at least.

    Centrality is LexRank (Erkan and Radev, JAIR 22, 2004) on the encoder's cosines; sentences are then
    picked one by one, each worth less the more it repeats one before, after maximal marginal relevance
    (Carbonell and Goldstein, SIGIR 1998).
    """
    found = split(_need(text, "text"))
    count = max(3, round(len(found) / 3))
    if len(found) <= count:
        return " ".join(found)
    vectors = encoder.encode(found)
    alike = vectors @ vectors.T
    central = _centrality(alike)
    picked: list[int] = []
    while len(picked) < count:
        repeats = alike[:, picked].max(axis=1) if picked else np.zeros(len(found))
        worth = central * (1 - _NOVELTY * repeats)
        worth[picked] = -np.inf
        picked.append(int(np.argmax(worth)))
    return " ".join(found[i] for i in sorted(picked))


def _centrality(alike: NDArray[np.float32]) -> NDArray[np.float64]:
    """Stationary probability of a walk along similar sentences, scaled to a highest value of 1."""
    weights = np.where(alike > _EDGE, alike, 0).astype(np.float64)
    np.fill_diagonal(weights, 0)  # a sentence like no other would vote for itself
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    rank = np.full(len(alike), 1 / len(alike))
    for _ in range(50):  # 0.85 ** 50 is far below the differences that matter
        rank = (1 - _DAMPING) / len(alike) + _DAMPING * (rank @ weights)
    return np.asarray(rank / rank.max())
