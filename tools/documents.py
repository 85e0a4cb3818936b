"""Answers a question on a scanned document: OCR, a sentence encoder, and what layouts have in common.

A heuristic around two real models, not a trained reader. Documents say most things as a label with its
value to the right or below, or in a sentence. Every such pair is a candidate; the encoder and shared words
say how well the label fits the question, and the question's words say what kind of value it asks for.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hugginggpt.tools import sentences, spans
from hugginggpt.tools.encoder import Encoder
from hugginggpt.tools.ocr import Line, Piece
from hugginggpt.tools.runtime import PermanentError

# Weights beside the cosine of question and label; chosen by hand on four documents.
_SHARED_WORDS, _OF_KIND, _NOT_OF_KIND, _BELOW = 0.3, 0.3, -0.5, -0.05

_QUESTION_WORDS = (
    "what which who whom whose when where how much many is are was were does do did has have had the a an of "
    "on in at it its this that be been should must will can there i we you my our your and or invoice "
    "document letter form receipt page"
)
# What labels and set phrases stand for, in the words that people ask with.
_MEANING = (
    (r"(?:grand )?total\b.*|balance due|amount due", "total amount to pay"),
    (r"(?:bill|billed|sold|ship) to|to", "addressed to, customer, client"),
)
_SALUTATION = re.compile(r"dear (.+?),?", re.IGNORECASE)
_CLOSING = re.compile(r".*\bregards|.*\bsincerely|yours .*|best wishes", re.IGNORECASE)
_LETTERHEAD = "from, issued by, sender, seller, company, shop, store, vendor"
_TYPED = {"email": "email address", "phone": "phone number"}


@dataclass(frozen=True, slots=True)
class _Candidate:
    label: str
    value: str
    weight: float = 0.0
    prose: bool = False
    """Whether the value is in a sentence, and not by itself."""


def answer(question: str, lines: list[Line], encoder: Encoder) -> str:
    """The value, or else the sentence, of a document that fits the question best. Blocks.

    Raises `PermanentError` where the question is empty or the document has no text.
    """
    if not question.strip():
        raise PermanentError("empty-text", "the question is empty")
    if not lines:
        raise PermanentError("no-text", "no text was found in the picture")
    kind = spans.expected(question)
    found = list(_candidates(lines, kind))
    cosines = encoder.encode([candidate.label for candidate in found]) @ encoder.encode([question])[0]
    scores = [
        float(cosine) + candidate.weight + _fit(candidate, question, kind)
        for candidate, cosine in zip(found, cosines, strict=True)
    ]
    best = found[int(np.argmax(scores))]
    values = spans.find(kind, best.value)
    if not values or (kind == "name" and not (best.prose and len(values) == 1)):
        return best.value
    return max(values, key=len) if kind == "identifier" else values[0]


def _fit(candidate: _Candidate, question: str, kind: str | None) -> float:
    """What speaks for a candidate beside its cosine: words it shares with the question, and its kind."""
    asked, said = _words(question), _words(candidate.label)
    common = len(asked & said)
    shared = _SHARED_WORDS * (common / max(len(asked | said), 1) + common / max(len(asked), 1)) / 2
    if kind is None or kind == "place":
        return shared
    values = spans.find(kind, candidate.value)
    # A name by itself is nothing but a name: "Invoice date" is none.
    fits = (
        values == [candidate.value.strip(" .,;:")] if kind == "name" and not candidate.prose else bool(values)
    )
    return shared + (_OF_KIND if fits else _NOT_OF_KIND)


def _words(text: str) -> set[str]:
    """The words that carry meaning, without a plural's s."""
    words = set(re.findall(r"[^\W\d_]+", text.lower()))
    return {word.removesuffix("s") for word in words - set(_QUESTION_WORDS.split()) or words}


def _candidates(lines: list[Line], kind: str | None) -> Iterator[_Candidate]:
    pieces = [piece for line in lines for piece in line]
    yield _Candidate(_LETTERHEAD, _letterhead(pieces).text)
    for line in lines:
        yield from _in_line(line)
        for piece in line:
            below = _below(piece, pieces)
            # Under one of several heads, with more below, lies a table's column of numbers: no single value.
            column = below and len(line) > 2 and below.text[-1].isdigit() and _below(below, pieces)
            if below and not column:
                closing = _CLOSING.fullmatch(piece.text.strip(" ,"))
                yield _Candidate(
                    "written by, signed by" if closing else _meaning(piece.text), below.text, _BELOW
                )
            if kind in _TYPED and spans.find(kind, piece.text):
                yield _Candidate(_TYPED[kind], piece.text)
    for sentence in _prose(lines):
        yield _Candidate(sentence, sentence, prose=True)


def _in_line(line: Line) -> Iterator[_Candidate]:
    for left, right in itertools.pairwise(line):
        yield _Candidate(_meaning(left.text), right.text)
    if len(line) > 2:
        yield _Candidate(_meaning(line[0].text), line[-1].text)
    for piece in line:
        label, _, value = piece.text.partition(":")
        if value.strip() and not label[-1:].isdigit():
            yield _Candidate(_meaning(label), value.strip())
        if salutation := _SALUTATION.fullmatch(piece.text):
            yield _Candidate("addressed to, recipient", salutation[1])


def _meaning(label: str) -> str:
    plain = label.strip(" :").lower()
    return next((meaning for pattern, meaning in _MEANING if re.fullmatch(pattern, plain)), label)


def _prose(lines: list[Line]) -> list[str]:
    """The sentences of a document. A row of cells is none; a long line whose sentence is not over goes on."""
    longest = max(line[-1].right - line[0].left for line in lines)
    text = ""
    for line in lines:
        if any(right.left - left.right > left.height for left, right in itertools.pairwise(line)):
            text += "\n\n"
            continue
        said = " ".join(piece.text for piece in line)
        goes_on = line[-1].right - line[0].left > 0.7 * longest and said[-1] not in ".!?:"
        text += said + (" " if goes_on else "\n\n")
    return sentences.split(text)


def _letterhead(pieces: list[Piece]) -> Piece:
    """Who wrote it: of the upper third, the tallest text of more than one word, or else the first."""
    end = min(piece.top for piece in pieces) + (max(piece.bottom for piece in pieces)) / 3
    upper = [piece for piece in pieces if piece.top <= end and " " in piece.text] or pieces[:1]
    return max(upper, key=lambda piece: piece.height)


def _below(piece: Piece, pieces: list[Piece]) -> Piece | None:
    """The nearest piece under this one, within two of its heights, that starts or ends where it does."""
    near = [
        other
        for other in pieces
        if 0 < other.middle - piece.middle < 3 * piece.height
        and other.overlap(piece) < 0.3
        and min(abs(other.left - piece.left), abs(other.right - piece.right)) < piece.height
    ]
    return min(near, key=lambda other: other.middle, default=None)
