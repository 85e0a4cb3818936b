"""Reads what a language model wrote: plans while they are still being written, and JSON with small faults."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from hugginggpt.graph.plan import Task

NO_PLAN = 'the reply held no plan; reply with {"tasks": [...]} and nothing else'
BROKEN_OFF = "the plan breaks off before its end"
_LARGEST_ID = 1_000_000
_DEEPEST = 50

# Strings in either quotes, comments, Python's words, and commas before a closing bracket.
_TOKEN = re.compile(
    r"""(?P<double>"(?:[^"\\]|\\.)*")|(?P<single>'(?:[^'\\]|\\.)*')|(?P<comment>//[^\n]*|/\*.*?\*/)"""
    r"""|(?P<word>\b(?:True|False|None)\b)|(?P<comma>,(?=(?:\s|//[^\n]*\n|/\*.*?\*/)*[}\]]))""",
    re.DOTALL,
)
_WORDS = {"True": "true", "False": "false", "None": "null"}


@dataclass(frozen=True)
class Unreadable:
    """A part of a plan that is no task; `line` says why, for whoever wrote it."""

    line: str


class Spoken:
    """Of a reply in pieces, what is said: without blanks at its beginning, and without `<think>…</think>`."""

    def __init__(self) -> None:
        self._held: str | None = ""
        """What is not known to be said; None when all that comes is."""

    def feed(self, piece: str) -> str:
        """As much of what has come as is known to be said."""
        if self._held is None:
            return piece
        self._held = (self._held + piece).lstrip()
        if self._held.startswith("<think>"):
            _, end, said = self._held.partition("</think>")
            if not end:
                self._held = "<think>" + self._held[-len("</think>") :]  # its end may have begun
                return ""
            self._held = said.lstrip()
        elif "<think>".startswith(self._held):
            return ""
        said, self._held = self._held, None if self._held else ""
        return said

    def close(self) -> str:
        """What was held back though it is no thought."""
        return "" if not self._held or self._held.startswith("<think>") else self._held


class PlanReader:
    """Takes the pieces of a reply as they come and gives every task the moment its object closes.

    Prose and fences around the plan are passed over. Tasks may stand in `{"tasks": [...]}`, in a list, or one
    after the other.
    """

    def __init__(self) -> None:
        self.found = False
        """Whether a plan, also an empty one, has been seen."""
        self.complete = False
        """Whether the plan has come to its end; what follows is not read."""
        self._text = ""
        self._at = 0
        self._open: list[_Object] = []
        self._quote = ""
        self._last = ""

    def feed(self, piece: str) -> Iterator[Task | Unreadable]:
        """The tasks that this piece completes."""
        self._text += piece
        while self._at < len(self._text) and not self.complete and not self._in_comment():
            yield from self._step()

    def close(self) -> Iterator[Unreadable]:
        """What is wrong with the reply as a whole, now that it is over."""
        if self._open and not self.complete:
            self.found = True
            yield Unreadable(BROKEN_OFF)
        elif not self.found:
            self.found = re.search(r"\[\s*\]|\{\s*\}", self._text) is not None
            if not self.found:
                yield Unreadable(NO_PLAN)

    def _in_comment(self) -> bool:
        """Goes past a comment; whether more of it, or of what may be one, has to come first."""
        if not self._open or self._quote:
            return False
        for opening, closing in (("//", "\n"), ("/*", "*/")):
            if self._text.startswith(opening, self._at):
                end = self._text.find(closing, self._at + 2)
                self._at = self._at if end < 0 else end + len(closing)
                return end < 0 or self._at == len(self._text)
        return self._text[self._at] == "/" and self._at + 1 == len(self._text)

    def _step(self) -> Iterator[Task | Unreadable]:
        """One character; in a string two where the first is a backslash."""
        char = self._text[self._at]
        if self._quote:
            if char == "\\":
                self._at += 1
            elif char == self._quote:
                self._quote = ""
        elif self._open and (char == '"' or (char == "'" and self._last in "{[,:")):
            self._quote = char
        elif char == "{":
            self._open.append(_Object(self._at))
        elif char == "}" and self._open:
            yield from self._closed(self._open.pop())
        if not char.isspace():
            self._last = char
        self._at += 1

    def _closed(self, done: "_Object") -> Iterator[Task | Unreadable]:
        if done.holds_tasks:
            self.complete = not self._open
            return
        text = self._text[done.start : self._at + 1]
        if len(self._open) > _DEEPEST or not re.search(r"""\b(?:tasks?|args)\b["']?\s*:""", text):
            return
        value = loads(text)
        if not isinstance(value, dict):
            self.found = True
            yield Unreadable(f"this is not JSON: {text[:120]}")
        elif value.get("tasks") == []:
            self.found = self.complete = True
        elif "task" in value or {"id", "args"} <= value.keys():
            self.found = True
            for outer in self._open:
                outer.holds_tasks = True
            yield task_of(value)


@dataclass
class _Object:
    """An object that is not closed yet."""

    start: int
    holds_tasks: bool = False


def loads(text: str) -> Any:  # noqa: ANN401, any JSON
    """The value of JSON with trailing commas, comments, single quotes or Python's words; else None."""
    for candidate in (text, _TOKEN.sub(_mended, text)):
        try:
            return _whole(json.loads(candidate, strict=False, parse_constant=str))
        except (ValueError, RecursionError):
            continue
    return None


def whole_text(text: str) -> str:
    """The text with surrogate pairs joined and lone surrogates, which no file can hold, replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def task_of(value: dict[str, Any]) -> Task | Unreadable:
    """A task from the object that a language model wrote for it."""
    kept = {name: value[name] for name in Task.model_fields if value.get(name) is not None}
    if isinstance(kept.get("id"), str) and (number := re.fullmatch(r"\D*(\d{1,9})", kept["id"])):
        kept["id"] = int(number[1])
    if isinstance(kept.get("args"), str):
        kept["args"] = loads(kept["args"])
    if isinstance(kept.get("args"), dict):
        kept["args"] = {name: argument for name, argument in kept["args"].items() if argument is not None}
    about = f"task {str(value.get('id'))[:20]}"
    try:
        task = Task.model_validate(kept)
    except ValidationError as error:
        return Unreadable(f"{about}: {_fault(error)}")
    if task.id > _LARGEST_ID:
        return Unreadable(f"{about}: the id is too large; count up from the first id")
    return task


def _fault(error: ValidationError) -> str:
    first = error.errors()[0]
    where = [str(part) for part in first["loc"]]
    if where[:1] == ["args"] and len(where) > 1:
        return (
            f'the argument {where[1]!r} is none of: a text, a number, {{"file": name}}, {{"from": id}}, '
            "or a list of these"
        )
    return f"{where[0] if where else 'task'!r}: {first['msg']}"


def _mended(match: re.Match[str]) -> str:
    if match["double"]:
        return match["double"]
    if match["single"]:
        inner = match["single"][1:-1].replace("\\'", "'").replace('"', '\\"')
        return f'"{inner}"'
    return _WORDS.get(match[0], "")


def _whole(value: Any) -> Any:  # noqa: ANN401, any JSON
    match value:
        case str():
            return whole_text(value)
        case int() if not isinstance(value, bool) and abs(value) >= 2**63:
            return str(value)  # more than a checkpoint can hold
        case list():
            return [_whole(item) for item in value]
        case dict():
            return {whole_text(name): _whole(item) for name, item in value.items()}
    return value
