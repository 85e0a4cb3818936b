"""A controller without a language model: it reads requests by sentence embeddings and port types."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

from langchain_core.messages import AnyMessage

from hugginggpt.graph.matching import Closeness, Matcher
from hugginggpt.graph.plan import From, Plan, Task
from hugginggpt.graph.report import report
from hugginggpt.graph.wiring import CREATORS, Desk, Source, Thing, detour, main_port
from hugginggpt.graph.clauses import Clause
from hugginggpt.graph.wording import Reading, coordinated, read
from hugginggpt.tools.encoder import Encoder
from hugginggpt.tools.media import modality_of
from hugginggpt.tools.runtime import Candidate
from hugginggpt.tools.tasks import MEDIA, TASKS, Kind, TaskSpec
from hugginggpt.tools.values import Artifact, Result

# Set by hand on the requests of benchmarks/planning.py; cosines of MiniLM, so about 0 to 1.
FLOOR = 0.36  # a clause that is less close than this to every task is not understood
CLEAR = 0.55  # how close each part of "X and Y" must be to a task of its own to be a step of its own
_NOUNS: dict[Kind, str] = {"image": "the picture", "audio": "the recording", "video": "the video",
                           "table": "the table", "text": "the text"}  # fmt: skip
_ALOUD = frozenset(["aloud", "loud", "spoken", "audibly"])


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
        spans = [part for clause in self.reading.clauses for part in _spans(clause)]
        texts = list(dict.fromkeys(span.english(self.nouns) for span in spans))
        self.close = dict(zip(texts, self.matcher.closeness(texts), strict=True))
        steps = [step for clause in self.reading.clauses for step in self.steps(clause)]
        told = [step for step in steps if step.mood == "telling"]
        asked = [step for step in steps if step.mood != "telling"]
        missed = []
        for step in asked or told:
            best = self.best(step)
            if best is None:
                missed.append(step.written)
            elif not self.desk.repeats(*best):
                self.add(step, *best)
        return missed

    def steps(self, clause: Clause) -> list[Clause]:
        """The clause, or the parts of "a caption and a depth map" where each is clearly a task of its own."""
        parts = coordinated(clause)
        if len(parts) == 1 or clause.labels:
            return [clause]
        best = [self.best(part) for part in parts]
        names = {found[0].id for found in best if found}
        closest = [max(self.of(part).tasks.values()) for part in parts]
        return parts if len(names) == len(parts) and min(closest) > CLEAR else [clause]

    def of(self, clause: Clause) -> Closeness:
        return self.close[clause.english(self.nouns)]

    def best(self, clause: Clause) -> tuple[TaskSpec, Source] | None:
        """The task that the clause means and what it reads, or None where no model is needed or known."""
        close = self.of(clause)
        ranked = []
        for spec in TASKS.values():
            source = self.desk.source(spec, clause)
            if source is not None:
                value = close.tasks[spec.id] + _evidence(spec, clause, source) - source.cost
                ranked.append((value, spec, source))
        if not ranked:
            return None
        value, spec, source = max(ranked, key=lambda row: row[0])
        if value < FLOOR or value < self.none(clause, close):
            return None
        return self.allowed(spec, clause, source)

    def none(self, clause: Clause, close: Closeness) -> float:
        """How close the clause is to needing no task. A question about what is at hand may be asked."""
        at_hand = self.desk.files or self.desk.content or self.desk.made or self.desk.earlier
        kinds = dict(close.none)
        if at_hand:
            kinds = {
                kind: value
                for kind, value in kinds.items()
                if kind in {"action", "chat", "assistant", "statement"}
            }
            if clause.question:
                kinds.pop("statement")
        return max(kinds.values()) + (0.1 if clause.question and not at_hand else 0.0)

    def allowed(self, spec: TaskSpec, clause: Clause, source: Source) -> tuple[TaskSpec, Source] | None:
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
        if clause.says("aloud") and gives not in MEDIA:
            self.desk.add(TASKS["text-to-speech"], clause, Source((self.desk.made[-1],)))


def _spans(clause: Clause) -> Iterator[Clause]:
    yield clause
    parts = coordinated(clause)
    if len(parts) > 1:
        yield from parts


def _evidence(spec: TaskSpec, clause: Clause, source: Source) -> float:
    """What the clause's form says for or against a task, added to its closeness."""
    ports = {port.name for port in spec.inputs}
    value = 0.0
    labels = clause.labels
    if "candidate_labels" in ports and spec.id != "zero-shot-object-detection":
        value += 0.15 if labels else -0.25
    elif labels and "labels" in spec.outputs:
        value -= 0.05
    if spec.id == "translation":
        value += 0.12 if clause.languages else 0.0 if "translate" in clause.words else -0.25
    if "control" in ports and clause.control:
        value += 0.05
    if "question" in ports:
        value += 0.1 if clause.question else -0.08
    if spec.id not in CREATORS and main_port(spec).kind in MEDIA:
        value += 0.05
    return value
