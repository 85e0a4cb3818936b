"""From a card's text to a summary: the sentences that say what the model is and for what."""

import re
from collections.abc import Iterator

from hugginggpt.index import boilerplate
from hugginggpt.index.visible import visible

LONGEST = 400
"""Characters of a summary, at most."""

_READ = 20_000  # characters of a card: what a model is for stands at its beginning
_SENTENCE = 300
_ENOUGH = 15  # letters, for a sentence to say something

_WORD = re.compile(r"\w+")
_PICTURE = re.compile(r"!\[[^\]\n]*\](?:\([^)\n]*\)|\[[^\]\n]*\])")
_LINK = re.compile(r"\[((?:[^\[\]\n]|\[[^\[\]\n]*\])*)\](?:\((?:[^()\n]|\([^()\n]*\))*\)|\[[^\]\n]*\])")
_ON_THE_HUB = re.compile(  # the address of a model or a data set, which cards give in place of the name
    r"<?\bhttps?://(?:huggingface|hf)\.co/(?:datasets/)?(?!(?:blog|docs|learn|papers|spaces|tasks)/)"
    r"([\w.-]+/[\w.-]*\w)(?![\w/#?])>?"
)
_NOT_SHOWN = re.compile(
    r"^[ \t]*\[[^\]\n]+\]:.*$"  # definitions of links
    r"|[(<]?\bhttps?://[^\s)>]+[)>]?|\bwww\.\S+"
    r"|^[ \t]*(?:\|.*|[^|\n]*\|[^|\n]*\|.*|[ \t|:=-]{3,}\|[ \t|:-]*)$",  # rows of tables
    re.MULTILINE,
)
_MARKS = re.compile(
    r"`+|~~|\*\*+|(?<!\w)[*_]+(?=\S)|(?<=\S)[*_]+(?!\w)|\\(?=[^\w\s])|\[\^\w+\]|\[[ xX]\]|\[![A-Z]+\]"
)
_UNDERLINED = re.compile(r"^([^\n]{1,100})\n[ \t]*(?:=+|-{3,})[ \t]*$", re.MULTILINE)
_BOLD_LINE = re.compile(r"^[ \t]*\*\*([^*\n]{1,60})\*\*:?[ \t]*$", re.MULTILINE)
_HEADING = re.compile(r"^[ \t]{0,3}(#{1,7})[ \t]*(.*?)[ \t#]*$", re.MULTILINE)
_PARAGRAPH = re.compile(
    r"\n[ \t]*(?:\n\s*|(?:>[ \t>]*|[-*+•·][ \t]+|\d{1,2}[.)][ \t]+|(?:[-=*_][ \t]*){3,}$)+)", re.MULTILINE
)
_INDENTED_CODE = re.compile(r"(?<=\n\n)(?:(?: {4}|\t)(?![ \t]*(?:[-*+•]|\d+[.)]) ).*\n)+")
_ENDS = re.compile(  # of sentences
    r"(?<=[.!?])(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bal\.)(?<!\bvs\.)(?<!\bNo\.)\s+(?=[\"'(]?[^\Wa-z_])"
    "|(?<=[\u3002\uff01\uff1f])"
)


def summarize(text: str, name: str = "") -> str:
    """At most `LONGEST` characters of a card's Markdown, front matter excluded: whole sentences.

    Those of the introduction come first, then those of a description, then of uses. What is about
    training, results, code, licences and the like is passed over. `name`, the model's, is no sentence.
    """
    said: list[str] = []
    room = LONGEST
    for sentence in _ranked(visible(text[:_READ]), name):
        if len(sentence) < room and sentence not in said:
            said.append(sentence)
            room -= len(sentence) + 1
        if room < 3 * _ENOUGH:
            break
    return " ".join(said)


def _ranked(text: str, name: str) -> Iterator[str]:
    """Sentences that say something, those of the most telling sections first."""
    known = set(_WORD.findall(name.lower())) | boilerplate.EMPTY_WORDS
    for _, section in sorted(_sections(text), key=lambda ranked: ranked[0]):
        for paragraph in _PARAGRAPH.split(section):
            for sentence in _ENDS.split(_MARKS.sub("", paragraph)):
                if told := _telling(sentence, known):
                    yield told


def _sections(text: str) -> list[tuple[int, str]]:
    """Sections with their ranks, 0 the best; those that say nothing of what the model is for are left out."""
    text = _LINK.sub(r"\1", _LINK.sub(r"\1", _PICTURE.sub("", text)))
    text = _INDENTED_CODE.sub("", _NOT_SHOWN.sub("", _ON_THE_HUB.sub(r"\1", text)))
    text = _BOLD_LINE.sub(r"####### \1", _UNDERLINED.sub(r"# \1", text))
    before, *rest = _HEADING.split(text)
    found = [(0, "\n" + before)]
    above: list[tuple[int, int | None]] = [(0, 0)]
    for number, (marks, title, body) in enumerate(zip(rest[::3], rest[1::3], rest[2::3], strict=True)):
        while above[-1][0] >= len(marks):
            above.pop()
        rank = _rank(title, above[-1][1], first=number == 0)
        above.append((len(marks), rank))
        if rank is not None:
            found.append((rank, f"\n{title}.\n{body}" if number == 0 else f"\n{body}"))
    return found


def _rank(title: str, above: int | None, *, first: bool) -> int | None:
    title = title.lower()
    if first and not boilerplate.NO_TITLE.match(title):
        return 0
    if boilerplate.ABOUT.search(title) and "data" not in title:
        return 1
    if boilerplate.PURPOSE.search(title):
        return 2
    return None if above is None or boilerplate.ASIDE.search(title) else 3


def _telling(sentence: str, known: set[str]) -> str:
    """The sentence on one line, or nothing where it says nothing of the model."""
    sentence = " ".join(boilerplate.UNKNOWN_DATA.sub("", sentence).split()).strip(" *+•-–:;,|>")
    letters, lowered = sum(map(str.isalpha, sentence)), sentence.lower()
    if letters < _ENOUGH or letters < 0.6 * len(sentence) or known.issuperset(_WORD.findall(lowered)):
        return ""
    if boilerplate.NOTHING_SAID.search(lowered):
        return ""
    if len(sentence) > _SENTENCE:
        sentence = sentence[:_SENTENCE].rpartition(" ")[0] + " …"
    return sentence if sentence[-1] in ".!?…\u3002\uff01\uff1f" else sentence + "."
