"""One step of a request: its tokens, and what they name."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, zip_longest
from typing import Literal

from hugginggpt.graph.vocabulary import forms, names_of, words

# Kinds of control maps, with the words that mean them (the ControlNet paper's conditions, arXiv 2302.05543).
_CONTROLS = {
    "canny": "canny edge edges outline outlines contours",
    "hed": "hed soft-edge scribble soft",
    "openpose": "openpose pose poses skeleton posture stance",
    "mlsd": "mlsd wireframe straight-line",
    "normal": "normal normals normal-map",
    "depth": "depth",
    "seg": "seg segmentation",
}
_CONTROL = {word: name for name, listed in _CONTROLS.items() for word in listed.split()}

_POLITE = re.compile(
    r"\A(?:(?:please|besides|now|so|and|ok|okay|hi|hello|hey|well|then|also|just|finally|maybe|first) )*"
    r"(?P<wish>(?:(?:can|could|would|will) (?:you|i|we)|i(?:'d| would) (?:like|love)"
    r"|(?:what )?(?:i|we) (?:also )?(?:want|need|lack|miss)(?: is| are)?"
    r"|help me|go ahead and|let's|i'm (?:only )?after|would you mind) )?"
    r"(?:(?:also|please|you|just|now|to|me) )*"
    r"(?:(?:use|take|using) (?:the|that|this|its|those|these) \w+ to )?(?=\S)"
)  # "could you please", "I'd like you to", "use the summary to"

Mood = Literal["order", "question", "telling", "noun"]


@dataclass(frozen=True, slots=True)
class Token:
    """One word as written, and in English, lower case; or a quote, a file, or a punctuation mark."""

    written: str
    english: str
    kind: Literal["word", "quote", "file", "mark"] = "word"


@dataclass(frozen=True)
class Clause:
    """One step of a request. `asked` where its sentence ends in a question mark."""

    tokens: tuple[Token, ...]
    asked: bool = False

    @cached_property
    def words(self) -> list[str]:
        """English words, without quotes and files."""
        return [word for token in self.tokens if token.kind == "word" for word in token.english.split()]

    @cached_property
    def main(self) -> tuple[Token, ...]:
        """The order itself, without what leads up to it: "for each of them, write a line"."""
        if self.tokens and self.tokens[0].english in words("leads"):
            for place in range(2, len(self.tokens)):
                before = self.tokens[place - 1].english
                bound = before in words("subjects") | words("prepositions") | words("described")
                if not bound and is_verb(self.tokens, place):
                    return self.tokens[place:]
        return self.tokens

    @property
    def written(self) -> str:
        """As the user wrote it."""
        text = re.sub(r" ([,.;:!?)%])", r"\1", " ".join(token.written for token in self.tokens)).strip(" ,;:")
        return text + "?" if self.asked and not text.endswith("?") else text

    @property
    def quotes(self) -> list[str]:
        """Texts given in the clause, without their marks."""
        return [token.written for token in self.tokens if token.kind == "quote"]

    @property
    def files(self) -> list[str]:
        """Names of attached files that the clause mentions."""
        return list(dict.fromkeys(token.written for token in self.tokens if token.kind == "file"))

    @cached_property
    def mood(self) -> Mood:
        """Whether the clause orders, asks, tells something, or is only a noun: "a caption for it"."""
        return _mood(self)

    @property
    def question(self) -> bool:
        """Whether it asks something, rather than to do something."""
        return self.mood == "question"

    def english(self, nouns: Mapping[str, str], it: str = "it") -> str:
        """For the encoder: quotes are `this text`, files the noun `nouns` has for them, pronouns `it`."""
        said = []
        for token, after in zip_longest(self.tokens, self.tokens[1:]):
            alone = after is None or after.kind == "mark" or after.english in words("prepositions")
            if token.kind == "file":
                said.append(nouns.get(token.written, "the file"))
            elif token.english in {"it", "them"} or (
                alone and token.english in {"that", "this", "these", "those"}
            ):
                said.append(it)
            else:
                said.append("this text" if token.kind == "quote" else token.english)
        return _POLITE.sub("", " ".join(said)) + ("?" if self.question else "")

    @property
    def asks(self) -> bool:
        """Whether an answer is wanted: a question, or "tell me which", "look up how many"."""
        said = [token.english for token in _bare(self.tokens)[0]]
        told = not words("telling").isdisjoint(said[:2]) and not words("wh").isdisjoint(said[1:8])
        return self.mood == "question" or (self.mood == "order" and told)

    @cached_property
    def languages(self) -> list[str]:
        """Languages that something is to be put into, in English. "the German text" is not one of them."""
        found = []
        for place, token in enumerate(self.tokens):
            name = forms("languages").get(token.english)
            before = self.tokens[place - 1].english if place else ""
            after = self.tokens[place + 1].english if place + 1 < len(self.tokens) else ""
            described = after.isalpha() and after not in words("prepositions") | {
                "version",
                "translation",
                "please",
            }
            stated = before == "in" and self.tokens[place - 2].english in {"is", "are", "was", "it's"}
            source = (
                stated
                or before == "from"
                or (before in words("described") and (described or before.endswith("ing")))
            )
            if token.kind == "word" and name and not source:
                found.append(name)
        return list(dict.fromkeys(found))

    @property
    def control(self) -> str | None:
        """The kind of control map that the clause names."""
        return next((_CONTROL[word] for word in self.words if word in _CONTROL), None)

    @cached_property
    def labels(self) -> list[str]:
        """Alternatives that the clause names: "sport, politics or science", "spam or not"."""
        return _alternatives(self.tokens)

    @cached_property
    def aloud(self) -> bool:
        """Whether the result is to be heard, whatever else is asked."""
        if self.says("aloud"):
            return True
        if self.mood == "question":  # not "which language is spoken?"
            return False
        heard = {
            ("read", "out"),
            ("read", "me"),
            ("read", "us"),
            ("to", "hear"),
            ("want", "hear"),
            ("say", "it"),
        }
        read_to = "read" in self.words[:1] and bool({("to", "me"), ("to", "us")} & set(pairwise(self.words)))
        return self.says("spoken") or read_to or not heard.isdisjoint(pairwise(self.words))

    def names(self, task: str) -> bool:
        """Whether it all but names the task: "transcribe", "a summary", but not "the summary"."""
        known = {"the", "this", "that", "those", "these", "each", "every", "both"}
        return any(
            word in names_of(task) and before not in known
            for before, word in zip(["", *self.words], self.words, strict=False)
        )

    def says(self, name: str) -> bool:
        """Whether one of the words of that set of the vocabulary is in it."""
        return not words(name).isdisjoint(self.words)


def is_verb(tokens: Sequence[Token], place: int) -> bool:
    """Whether an instruction begins at `place`."""
    if place >= len(tokens) or tokens[place].kind != "word" or not tokens[place].english:
        return False
    word = tokens[place].english.split()[0]
    if word in words("either"):
        after = tokens[place + 1] if place + 1 < len(tokens) else None
        return after is not None and after.kind != "mark" and (
            after.kind != "word" or after.english.split(" ")[0] in words("objects"))  # fmt: skip
    stem = word.removesuffix("ing")
    verbs = words("verbs")
    return word in verbs or (stem != word and (stem in verbs or stem + "e" in verbs or stem[:-1] in verbs))


def _bare(tokens: Sequence[Token]) -> tuple[list[Token], bool]:
    """Without marks, leading files and "could you please"; and whether it is a wish, like "I need"."""
    bare = [token for token in tokens if token.kind != "mark" and token.english]
    while (
        len(bare) > 1
        and bare[0].kind in {"file", "quote"}
        and (
            is_verb(bare, 1) or bare[1].english in words("wh") | {"does", "do", "did", "will", "can", "could"}
        )
    ):
        bare = bare[1:]
    lead = _POLITE.match(" ".join(token.english for token in bare))
    count = len(lead[0].split()) if lead else 0
    while bare and count > 0:
        count -= len(bare[0].english.split())
        bare = bare[1:]
    return bare, bool(lead and lead["wish"])


def _mood(clause: Clause) -> Mood:
    tokens, wish = _bare(clause.main)
    said = [word for token in tokens for word in (token.english.split() if token.kind == "word" else ["\0"])]
    if not said or "[mask]" in said:
        return "noun"
    first, verb = said[0], said[0].removesuffix("s")
    if not words("own").isdisjoint(said) or _is_background(said):
        return "telling"
    if (
        wish
        or is_verb(tokens, 0)
        or (first != verb and verb in words("verbs") and first not in words("either"))
    ):
        return "order"
    if first in words("asking") or (clause.asked and not (words("finite") | words("wh")).isdisjoint(said)):
        return "question"
    if clause.asked:
        return "noun"
    return "order" if _is_wish(said) else "telling" if _is_told(said) else "noun"


def _is_background(said: Sequence[str]) -> bool:
    """ "Because it rained", "no poetry", "recorded last night", "when it is done"."""
    first, rest = said[0], said[1:]
    return (
        first in words("subordinate") | {"no", "not", "nothing", "none"}
        or (first.endswith("ed") and len(first) > 4)
        or (first in {"when", "once", "after", "where"} and bool(rest) and rest[0] in words("subjects"))
    )


def _is_wish(said: Sequence[str]) -> bool:
    """ "It should be in Welsh", "the editor wants a title"."""
    subject = next((place for place, word in enumerate(said) if word in words("subjects")), None)
    if subject is not None and not words("wh").isdisjoint(said[:subject]):
        return False  # "it says how much I have to pay"
    must = ("has", "to") in pairwise(said) or ("have", "to") in pairwise(said)
    return subject is not None and (must or not words("wishing").isdisjoint(said[subject:]))


def _is_told(said: Sequence[str]) -> bool:
    """A subject and a verb: "the tent is up for sale"."""
    first = said[0]
    determined = first in words("subjects") | {"the", "a", "an", "\0", "all", "every", "in", "on"}
    verb = next((place for place, word in enumerate(said[:8]) if word in words("finite")), 0)
    if first in {"a", "an"} and said[verb - 1] in {"that", "which", "who"}:
        return False  # "a letter that has both in it"
    if (determined or first.endswith("s")) and verb:
        return True
    if first == "\0" and len(said) > 1 and said[1].endswith("ed"):
        return True
    possessive = {"my", "our", "his", "her", "their", "its", "your", "this", "these", "those"}
    return first in words("subjects") - possessive


def _alternatives(tokens: Sequence[Token]) -> list[str]:
    """Items joined by "or", or listed after a colon, "into" or "as": short runs of words."""
    written = [token.written if token.kind in {"word", "mark"} else "\0" for token in tokens]
    english = [token.english for token in tokens]
    joint = next((i for i, word in enumerate(english) if word == "or" and 0 < i < len(english) - 1), None)
    if joint is not None:
        last = _until(written[joint + 1 :], english[joint + 1 :])
        first: list[str] = []
        for place in range(joint - 1, -1, -1):
            stops = english[place] in words("triggers") and english[place] not in {"a", "an", "the"}
            if stops or written[place] in {"\0", ":"}:
                break
            if english[place] not in {"a", "an", "the"}:
                first.insert(0, written[place])
        items = [item.strip() for item in " ".join(first).split(",")]
        items = [item for item in items if item and len(item.split()) <= 4] + [last]
        return items if len(items) > 1 and all(items) else []
    for place, word in enumerate(english):
        if word in {":", "into", "as", "labels", "categories", "classes", "groups", "between"}:
            rest = " ".join(written[place + 1 :])
            items = [item.strip(" .()") for item in re.split(r",|/|\band\b|\bund\b|\bet\b|\by\b|;", rest)]
            items = [item for item in items if item]
            if any(item.split()[0].lower() in words("objects") for item in items):
                continue
            if len(items) > 1 and all(len(item.split()) <= 3 and "\0" not in item for item in items):
                return items
    return []


def _until(written: Sequence[str], english: Sequence[str]) -> str:
    kept: list[str] = []
    for own, word in zip(written, english, strict=True):
        if len(kept) == 3 or not own[0].isalnum() or word in {"in", "of", "for", "and", "on", "here"}:
            break
        if word not in {"a", "an", "the"}:
            kept.append(own)
    return " ".join(kept)
