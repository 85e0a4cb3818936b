"""A controller without a language model: it reads requests by sentence embeddings and port types."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from itertools import zip_longest

from langchain_core.messages import AnyMessage

from hugginggpt.graph.matching import Closeness, Matcher, mean
from hugginggpt.graph.plan import From, Plan, Task
from hugginggpt.graph.report import report
from hugginggpt.graph.vocabulary import words
from hugginggpt.graph.wiring import CREATORS, MAPS, Desk, Source, Thing, detour, main_port
from hugginggpt.graph.clauses import Clause, Token
from hugginggpt.graph.wording import Reading, coordinated, read
from hugginggpt.tools.encoder import Encoder
from hugginggpt.tools.media import modality_of
from hugginggpt.tools.runtime import Candidate
from hugginggpt.tools.tasks import MEDIA, TASKS, Kind, TaskSpec
from hugginggpt.tools.values import Artifact, Result

# Set by hand on the requests of benchmarks/planning.py; cosines of MiniLM, so about 0 to 1.
# A clause that is less close than this to every task is not understood.
FLOOR = {"order": 0.28, "question": 0.28, "noun": 0.4, "telling": 0.4}
CLEAR = 0.55  # how close each part of "X and Y" must be to a task of its own to be a step of its own
_NOUNS: dict[Kind, str] = {"image": "the picture", "audio": "the recording", "video": "the video",
                           "table": "the table", "text": "the text"}  # fmt: skip
_ALOUD = frozenset(["aloud", "loud", "spoken", "audibly"])


_ORDINALS = {"one": 0, "first": 0, "former": 0, "other": 1, "second": 1, "latter": 1, "third": 2, "fourth": 3}


class EmbeddedController:
    """Needs no account and no network: an encoder is all."""

    name = "embedded"

    def __init__(self, encoder: Callable[[], Encoder]) -> None:
        self._matcher = Matcher(encoder)

    async def plan(
        self,
        request: str,
        files: Sequence[Artifact],
        history: Sequence[AnyMessage],  # noqa: ARG002
        results: Sequence[Result],
        feedback: Sequence[str],  # noqa: ARG002
    ) -> AsyncIterator[Task]:
        """See `Controller.plan`."""
        tasks, _ = await asyncio.to_thread(self.understand, request, files, results)
        for task in tasks:
            yield task

    async def choose(
        self,
        request: str,  # noqa: ARG002
        plan: Plan,  # noqa: ARG002
        shortlists: Mapping[int, Sequence[Candidate]],
    ) -> dict[int, Candidate]:
        """The first of every shortlist: the index has ranked them."""
        return {id_: candidates[0] for id_, candidates in shortlists.items() if candidates}

    async def answer(self, request: str, results: Sequence[Result]) -> AsyncIterator[str]:
        """A plain report of the results."""
        for piece in report(request, results, []):
            yield piece

    def understand(
        self, request: str, files: Sequence[Artifact], results: Sequence[Result]
    ) -> tuple[list[Task], list[str]]:
        """The tasks of a request, and those of its parts that no task was found for. Blocks."""
        kinds: dict[str, Kind] = {file["name"]: modality_of(file) for file in files}
        reading = read(request, list(kinds))
        next_id = 1 + max((result["id"] for result in results), default=-1)
        desk = Desk(next_id, kinds, reading.content, _things(results))
        banned = {result["task"] for result in results if result["status"] == "failed"}
        missed = _Draft(desk, self._matcher, reading, banned).run()
        return desk.tasks, missed


def _things(results: Sequence[Result]) -> list[Thing]:
    """Finished results as things to read."""
    return [
        Thing(
            (From(**{"from": result["id"]}),),
            TASKS[result["task"]].outputs[0],
            result["task"],
            listed=isinstance(result["outputs"].get("text"), list),
        )
        for result in results
        if result["status"] == "done" and result["task"] in TASKS
    ]


class _Draft:
    """Goes through the clauses of one request."""

    def __init__(self, desk: Desk, matcher: Matcher, reading: Reading, banned: set[str]) -> None:
        self.desk, self.matcher, self.reading, self.banned = desk, matcher, reading, banned
        self.nouns = {name: _NOUNS.get(kind, "the file") for name, kind in desk.files.items()}

    def run(self) -> list[str]:
        """Fills the desk; returns the clauses that were not understood, as written."""
        clauses = self.reading.clauses
        clauses = [self.told_apart(clause) for clause in clauses]
        asked = [clause for clause in clauses if clause.mood != "telling"]
        missed = []
        for clause in asked or clauses:
            for step in self.steps(clause):
                best = self.best(step)
                if best is None:
                    missed.append(step.written)
                elif not self.desk.repeats(*best):
                    self.add(step, *best)
        return missed

    def told_apart(self, clause: Clause) -> Clause:
        """With "the one", "the other" and "the second" replaced by the files they mean."""
        names, tokens = list(self.desk.files), list(clause.tokens)
        for place, (token, after) in enumerate(zip_longest(tokens, clause.tokens[1:])):
            ends = after is None or after.kind == "mark" or after.english in words("prepositions")
            index = _ORDINALS.get(token.english, len(names))
            if ends and index < len(names) > 1 and place and tokens[place - 1].english == "the":
                tokens[place] = Token(names[index], "file", "file")
        return Clause(tuple(tokens), clause.asked)

    def steps(self, clause: Clause) -> list[Clause]:
        """The clause, or the parts of "a caption and a depth map" where each is clearly a task of its own."""
        parts = coordinated(clause)
        if len(parts) == 1 or clause.labels:
            return [clause]
        names = {found[0].id for found in map(self.best, parts) if found}
        closest = min(max(self.of(part).tasks.values()) for part in parts)
        return parts if len(names) == len(parts) and closest > CLEAR else [clause]

    def of(self, clause: Clause) -> Closeness:
        """How close the clause is to each task: as a whole, and without its topic."""
        plain, whole = clause.english(self.nouns), clause.english(self.nouns, self.it())
        return mean(self.matcher.closeness([plain, whole, _core(whole)]))

    def it(self) -> str:
        """The noun for what the last step gave, or for the only kind of thing at hand."""
        kinds: set[Kind] = {self.desk.made[-1].kind} if self.desk.made else set(self.desk.files.values())
        if not kinds and self.desk.content:
            kinds = {"text"}
        if not kinds and self.desk.earlier:
            kinds = {self.desk.earlier[-1].kind}
        return _NOUNS.get(kinds.pop(), "it") if len(kinds) == 1 else "it"

    def best(self, clause: Clause) -> tuple[TaskSpec, Source] | None:
        """The task that the clause means and what it reads, or None where no model is needed or known."""
        close = self.of(clause)
        ranked = []
        for spec in TASKS.values():
            source = self.desk.source(spec, clause)
            if source is not None:
                value = close.tasks[spec.id] + _evidence(spec, clause, source) - source.cost - 0.15 * self.desk.repeats(spec, source)
                ranked.append((value, spec, source))
        if not ranked:
            return None
        value, spec, source = max(ranked, key=lambda row: row[0])
        if value < FLOOR[clause.mood] or value < self.none(clause, close):
            return None
        return self.allowed(spec, source)

    def none(self, clause: Clause, close: Closeness) -> float:
        """How close the clause is to needing no task. A question about what is at hand may be asked."""
        if self.desk.files or self.desk.content or self.desk.made or self.desk.earlier:
            kinds = {"action", "chat"} | ({"statement"} if clause.mood in {"noun", "telling"} else set())
            return max(close.none[kind] for kind in kinds)
        if clause.mood == "order":
            return max(close.none[kind] for kind in ("action", "chat", "assistant", "maths", "opinion"))
        return max(close.none.values()) + (0.1 if clause.question else 0.0)

    def allowed(self, spec: TaskSpec, source: Source) -> tuple[TaskSpec, Source] | None:
        """The task itself, or another way where no model could do it."""
        if spec.id not in self.banned:
            return spec, source
        way = detour(spec)
        if way is None or {way[0].id, *way[1]} & self.banned:
            return None
        return way[0], Source(source.things, way[1], source.each)

    def add(self, clause: Clause, spec: TaskSpec, source: Source) -> None:
        """The step's tasks, and what the clause asks of its result besides: another language, a voice."""
        languages, gives = clause.languages, spec.outputs[0]
        if languages and spec.id == "text-to-speech" and source.things:
            self.desk.add(TASKS["translation"], clause, source)
            source = Source((self.desk.made[-1],))
        self.desk.add(spec, clause, source, languages if spec.id == "translation" else ())
        if languages and gives == "text" and spec.id not in {"translation", "text-generation"}:
            self.desk.add(TASKS["translation"], clause, Source((self.desk.made[-1],)), languages)
        if clause.aloud and gives not in MEDIA:
            self.desk.add(TASKS["text-to-speech"], clause, Source((self.desk.made[-1],)))


def _core(english: str) -> str:
    """The clause without its topic: "write a report", of "write a report about the harvest in Spain"."""
    said = english.split()
    stops = {"about", "of", "for", "from", "with", "that", "which", "who", "in", "on", "at", "so", "by", ",", ":"}
    end = next((place for place, word in enumerate(said) if place > 1 and word in stops), len(said))
    return " ".join(said[:end])


def _evidence(spec: TaskSpec, clause: Clause, source: Source) -> float:
    """What the clause's form says for or against a task, added to its closeness."""
    ports = {port.name for port in spec.inputs}
    value = 0.0
    if "objects" in spec.outputs:
        named = clause.says("generic")
        value += -0.08 if named == ("candidate_labels" in ports) else 0.05
    elif "candidate_labels" in ports:
        value += 0.25 if clause.labels else -0.25
    elif clause.labels and "labels" in spec.outputs:
        value -= 0.05
    if spec.id == "translation":
        value += 0.2 if clause.languages else 0.0 if "translate" in clause.words else -0.25
    if spec.id == "image-to-control":
        value += 0.1 * clause.says("controls")
    if spec.id == "control-to-image":
        guided = any(thing.task in MAPS for thing in source.things)
        value += 0.15 if guided else 0.0 if clause.control and clause.mood == "order" else -0.15
    if "question" in ports:
        value += 0.15 if clause.asks and not clause.labels else 0.0 if clause.asks else -0.1
    if spec.id in CREATORS:
        value += 0.1 * (len(source.things) > 1) - 0.25 * clause.question
    elif main_port(spec).kind in MEDIA:
        value += 0.03
    if spec.id == "image-text-to-text" or (spec.id == "text-to-speech" and source.through and not clause.aloud):
        value -= 0.1
    return value
