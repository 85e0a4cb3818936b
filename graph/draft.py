"""Drafts a plan clause by clause: the task that each means, by closeness, by form and by what is at hand."""

import re
from collections.abc import Sequence
from itertools import zip_longest

from hugginggpt.graph.clauses import Clause, Token
from hugginggpt.graph.matching import Closeness, Matcher
from hugginggpt.graph.vocabulary import forms, words
from hugginggpt.graph.wiring import CREATORS, MAPS, Desk, Source, detour, main_port
from hugginggpt.graph.wording import coordinated
from hugginggpt.tools.tasks import MEDIA, TASKS, Kind, TaskSpec

# All numbers here are cosines of all-MiniLM-L6-v2, or are added to one. They were set by hand on the requests
# of benchmarks/requests.jsonl.
FLOOR = {"order": 0.28, "question": 0.28, "noun": 0.4, "telling": 0.4}  # less close is not understood
CLEAR = 0.6  # how close each part of "X and Y" must be to a task of its own to be a step of its own
VAGUE = 0.42  # an order that is less close than this to every task is read after what was told before it
REPEATED = 0.15  # against doing again what is done

_NOUNS: dict[Kind, str] = {
    "image": "the picture",
    "audio": "the recording",
    "video": "the video",
    "table": "the table",
    "text": "the text",
}
_ORDINALS = {"one": 0, "first": 0, "former": 0, "other": 1, "second": 1, "latter": 1, "third": 2, "fourth": 3}


_LEAD = re.compile(r"\A(?:according|based|judging|in|on|from|for|with|by) [^,]{1,60} , (?=\S+ \S+)")
_ALL_OF = re.compile(
    r"\b(?:each|every one|all|both)(?: of)? "
    r"(?:(?:the|these|those|my|our)(?: two| three| four)?|two|three|four)\b"
)
_IN_FILE = re.compile(r" (?:in|of|for|from|on|to|at) the (?:picture|recording|video|table|text|file)\b.*")
_ALOUD = re.compile(r" ?\b(?:out loud|aloud|loud and clear)\b")


class Draft:
    """Goes through the clauses of one request."""

    def __init__(self, desk: Desk, matcher: Matcher, clauses: Sequence[Clause], banned: set[str]) -> None:
        self.desk = desk
        self._told = ""
        self.missed: list[str] = []
        """Orders and questions that no task was found for, as written."""
        self._matcher, self._clauses, self._banned = matcher, clauses, banned
        self._nouns = {name: _NOUNS.get(kind, "the file") for name, kind in desk.files.items()}

    def run(self) -> None:
        """Fills the desk. What is only told is read as an order where nothing is ordered."""
        clauses = [self._pointed(clause) for clause in self._clauses]
        told = [clause.english(self._nouns) for clause in clauses if clause.mood == "telling"]
        self._told = told[-1] if told else ""
        asked = [clause for clause in clauses if clause.mood != "telling"] or clauses
        for clause in self._voiced_last(asked):
            for step in self._steps(clause):
                best = self._best(step)
                if best is None:
                    self.missed += [step.written] if step.mood in {"order", "question"} else []
                elif not self.desk.repeats(*best):
                    self._add(step, *best)

    def _voiced_last(self, clauses: Sequence[Clause]) -> list[Clause]:
        """What works on a text comes before it is spoken: "read it out, in English, cut down a bit"."""
        ordered: list[Clause] = []
        for clause in clauses:
            near = self._close(clause).tasks
            on_text = max(near, key=lambda name: near[name]) in {"translation", "summarization"}
            if on_text and not clause.aloud and ordered and ordered[-1].aloud and not clause.says("pointing"):
                ordered.insert(len(ordered) - 1, clause)
            else:
                ordered.append(clause)
        return ordered

    def _pointed(self, clause: Clause) -> Clause:
        """With "the one", "the other" and "the second" replaced by the files they mean."""
        names, tokens = list(self.desk.files), list(clause.tokens)
        for place, (token, after) in enumerate(zip_longest(clause.tokens, clause.tokens[1:])):
            ends = after is None or after.kind == "mark" or after.english in words("prepositions") | {"one"}
            index = _ORDINALS.get(token.english, len(names))
            if ends and index < len(names) > 1 and place and tokens[place - 1].english == "the":
                tokens[place] = Token(names[index], "file", "file")
        return Clause(tuple(tokens), clause.asked)

    def _steps(self, clause: Clause) -> list[Clause]:
        """The clause, or the parts of "a caption and a depth map" where each is clearly a task of its own."""
        parts = coordinated(clause)
        if len(parts) == 1 or clause.labels:
            return [clause]
        found = [self._ranked(part)[0] for part in parts]
        names = {spec.id for value, spec, _ in found if value > CLEAR}
        return parts if len(names) == len(parts) else [clause]

    def _close(self, clause: Clause, *, as_text: bool = False) -> Closeness:
        """As it stands, with nouns for its pronouns, and without its topic; if vague, after what was told.

        With `as_text`, files are called texts, as what reads them converted sees them.
        """
        nouns = dict.fromkeys(self._nouns, _NOUNS["text"]) if as_text else self._nouns
        wordings = [clause.english(nouns), clause.english(nouns, _NOUNS["text"] if as_text else self._it())]
        if clause.asks:
            wordings = [_ALOUD.sub("", wording) for wording in wordings]
        wordings = [_ALL_OF.sub("the", _LEAD.sub("", wording)) for wording in wordings]
        core = _IN_FILE.sub("", wordings[-1]) if clause.mood == "noun" else _core(wordings[-1])
        close = self._matcher.closeness(*wordings, core, core)
        if self._told and clause.mood == "order" and max(close.tasks.values()) < VAGUE:
            close = self._matcher.closeness(*wordings, core, core, f"{self._told} . {wordings[-1]}")
        return close

    def _it(self) -> str:
        """The noun for what the last step gave, or for the only kind of thing at hand."""
        kinds: set[Kind] = {self.desk.made[-1].kind} if self.desk.made else set(self.desk.files.values())
        if not kinds and self.desk.content:
            kinds = {"text"}
        if not kinds and self.desk.earlier:
            kinds = {self.desk.earlier[-1].kind}
        return _NOUNS.get(kinds.pop(), "it") if len(kinds) == 1 else "it"

    def _best(self, clause: Clause) -> tuple[TaskSpec, Source] | None:
        """The task that the clause means and what it reads, or None where no model is needed or known."""
        value, spec, source = self._ranked(clause)[0]
        floor = FLOOR["order"] if spec.id in CREATORS and not self._at_hand else FLOOR[clause.mood]
        return None if value < floor or value < self._none(clause, self._close(clause)) else (spec, source)

    def _ranked(self, clause: Clause) -> list[tuple[float, TaskSpec, Source]]:
        """The tasks that can read something at hand, best first, each with how well it fits."""
        close, close_as_text = self._close(clause), self._close(clause, as_text=True)
        ranked: list[tuple[float, TaskSpec, Source]] = []
        for spec in TASKS.values():
            source = self.desk.source(spec, clause)
            if source is not None:
                near = (close_as_text if source.through else close).tasks[spec.id]
                value = near + _evidence(spec, clause, source) - source.cost
                ranked.append((value - REPEATED * self.desk.repeats(spec, source), spec, source))
        return sorted(ranked, key=lambda row: -row[0])

    @property
    def _at_hand(self) -> bool:
        return bool(self.desk.files or self.desk.content or self.desk.made or self.desk.earlier)

    def _none(self, clause: Clause, close: Closeness) -> float:
        """How close the clause is to needing no task. A question about what is at hand may be asked."""
        if self._at_hand:
            kinds = {"action", "chat"} | ({"statement"} if clause.mood in {"noun", "telling"} else set())
        elif clause.mood == "order" and not clause.asks:
            kinds = set(close.none) - {"statement", "question"}
        else:
            kinds = set(close.none)
        if clause.mood == "order" and words("light").isdisjoint(clause.words[:2]):
            kinds -= {"chat", "assistant"}
            kinds -= set() if words("making").isdisjoint(clause.words[:2]) else {"action"}
        return max((close.none[kind] for kind in kinds), default=0.0)

    def _do(self, spec: TaskSpec, clause: Clause, source: Source, languages: Sequence[str] = ()) -> None:
        """A step, or another way to it where no model could do it, or else a gap in its place."""
        if spec.id in self._banned and (way := detour(spec)):
            spec, source = way[0], Source(source.things, way[1], source.each)
        if {spec.id, *source.through} & self._banned:
            self.desk.leave_out(spec, clause, source)
        else:
            self.desk.add(spec, clause, source, languages)

    def _add(self, clause: Clause, spec: TaskSpec, source: Source) -> None:
        """The step's tasks, and what the clause asks of its result besides: another language, a voice."""
        languages, gives = clause.languages, spec.outputs[0]
        if languages and spec.id == "text-to-speech" and source.things:
            self._do(TASKS["translation"], clause, source)
            source = Source((self.desk.made[-1],))
        self._do(spec, clause, source, languages if spec.id == "translation" else ())
        if languages and gives == "text" and spec.id not in {"translation", "text-generation"}:
            self._do(TASKS["translation"], clause, Source((self.desk.made[-1],)), languages)
        if clause.aloud and gives not in MEDIA:
            self._do(TASKS["text-to-speech"], clause, Source((self.desk.made[-1],)))


def _core(english: str) -> str:
    """The clause without its topic: "write a report", of "write a report about the harvest in Spain"."""
    said = english.split()
    if said and said[0] in words("light"):
        return english
    stops = {
        "about",
        "of",
        "for",
        "from",
        "with",
        "that",
        "which",
        "who",
        "in",
        "on",
        "at",
        "so",
        "by",
        ",",
        ":",
    }
    for place, (before, word, after) in enumerate(zip(said[1:], said[2:], [*said[3:], ""], strict=False), 2):
        if word in stops and before != "up" and after.rstrip("?") not in forms("languages"):
            return " ".join(said[:place])
    return english


def _asking(source: Source) -> list[TaskSpec]:
    """The tasks that ask the source's own medium something."""
    kinds = {thing.kind for thing in source.things}
    return [spec for spec in TASKS.values() if spec.input("question") and main_port(spec).kind in kinds]


def _evidence(spec: TaskSpec, clause: Clause, source: Source) -> float:
    """What the clause's form and the source say for or against a task, added to its closeness."""
    ports = {port.name for port in spec.inputs}
    value = _for_naming(spec, clause, ports) + 0.12 * clause.names(spec.id)
    if "question" in ports:
        value += (0.0 if clause.labels else 0.15) if clause.asks else -0.1
        value -= 0.1 * any(detour(other) for other in _asking(source) if source.through)
    if "table" in ports:  # one answer, or one for every row
        value += (0.1 if clause.says("each") else -0.05) * (1 if spec.id.startswith("tabular") else -1)
    if spec.id == "control-to-image":
        guided = any(thing.task in MAPS for thing in source.things)
        named = clause.control is not None and clause.says("guiding")
        ordered = clause.control is not None and clause.mood == "order"
        value += 0.15 if guided or named else 0.0 if ordered else -0.15
    if spec.id == "text-to-speech":
        drawn = source.through or any(thing.kind in {"objects", "masks"} for thing in source.things)
        value += -0.3 if clause.asks else 0.1 if clause.aloud else -0.1 if drawn else 0.0
    if spec.id == "text-generation" and not words("writing").isdisjoint(clause.words[:2]):
        value += -0.1 if "down" in clause.words else 0.12
    if spec.id == "image-text-to-text":  # the more specific task wins
        value -= 0.1
    if spec.id in CREATORS:  # from a map of a picture, another picture is drawn by the map
        value -= 0.2 * any(thing.task in MAPS for thing in source.things)
        return value + 0.1 * (len(source.things) > 1) - 0.4 * clause.asks
    return value + 0.03 * (main_port(spec).kind in MEDIA)


def _for_naming(spec: TaskSpec, clause: Clause, ports: set[str]) -> float:
    """For tasks that need something named: labels, things to find, a language, a kind of control map."""
    if "objects" in spec.outputs:
        named = -0.08 if clause.says("generic") == ("candidate_labels" in ports) else 0.05
        return named + 0.25 * (not words("finding").isdisjoint(clause.words[:1]))
    if "candidate_labels" in ports:
        return 0.25 if clause.labels else -0.25
    if spec.id == "translation":
        return 0.2 if clause.languages else 0.0 if "translate" in clause.words else -0.25
    if spec.id == "image-to-control":
        return 0.1 * clause.says("controls")
    if spec.id == "fill-mask":
        return 0.4 if "[mask]" in clause.words else -0.25 if words("gap").isdisjoint(clause.words) else 0.0
    return _for_labels(spec, clause) if "labels" in spec.outputs else 0.0


def _for_labels(spec: TaskSpec, clause: Clause) -> float:
    """What cannot be asked a question can still be labelled."""
    rivals = [other for other in TASKS.values() if main_port(other) == main_port(spec)]
    unasked = not any(other.input("question") for other in rivals)
    return 0.1 * (clause.asks and unasked) - 0.05 * bool(clause.labels)
