"""Wires the steps of a request into tasks: what each reads, by its words and by port types."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise

from hugginggpt.graph.clauses import Clause
from hugginggpt.graph.plan import Argument, File, From, Task, Value
from hugginggpt.graph.vocabulary import nouns_of, words
from hugginggpt.tools.tasks import ITEMS, MEDIA, TASKS, Kind, Port, TaskSpec

# Tasks that write, draw or play what the clause itself describes; to read something besides is optional.
CREATORS = frozenset({"text-generation", "text-to-image", "text-to-audio", "text-to-video"})
# A picture about a picture: what comes after means the picture itself, unless it names the map.
MAPS = frozenset({"depth-estimation", "image-to-control"})
# Tasks that look into a text rather than pass it on: they read the text, not what was found in it.
_READERS = frozenset({
    "question-answering", "token-classification", "text-classification", "zero-shot-classification",
    "text-ranking", "feature-extraction", "fill-mask",
})  # fmt: skip
_CONVERTED: frozenset[Kind] = MEDIA | {"text"}


@dataclass(frozen=True)
class Thing:
    """Something that a step can read: files, a text, or what a step gives. Parallel `refs`, one per file."""

    refs: tuple[Value, ...]
    kind: Kind
    task: str = ""  # that made it
    said: frozenset[str] = frozenset()  # words of the clause that had it made
    origin: "Thing | None" = None  # what it was made from
    listed: bool = False  # made with `each`


@dataclass(frozen=True)
class Source:
    """What feeds the main port of a step, the tasks that convert it, and how far-fetched it is (0: plain)."""

    things: tuple[Thing, ...] = ()
    through: tuple[str, ...] = ()
    each: bool = False
    cost: float = 0.0


@cache
def conversion(source: Kind, target: Kind) -> tuple[str, ...] | None:
    """The shortest chain of tasks that need nothing else from one medium to another; () if equal."""
    paths: dict[Kind, tuple[str, ...]] = {source: ()}
    queue = [source]
    for kind in queue:
        for spec in TASKS.values():
            needed, gives = [port for port in spec.inputs if port.required], spec.outputs[0]
            if len(needed) == 1 and needed[0].kind == kind and gives in _CONVERTED and gives not in paths:
                paths[gives] = (*paths[kind], spec.id)
                queue.append(gives)
    return paths.get(target)


@cache
def main_port(spec: TaskSpec) -> Port:
    """The port that takes what the task works on, rather than what is asked of it."""
    asked = {"question", "query", "source", "source_language", "target_language"}
    return next(port for port in spec.inputs if port.name not in asked)


def detour(spec: TaskSpec) -> tuple[TaskSpec, tuple[str, ...]] | None:
    """Another way for a task with a question or labels: convert its medium to text, and ask the text."""
    main = main_port(spec)
    rest = [(port.kind, port.literal) for port in spec.inputs if port.required and port is not main]
    way = conversion(main.kind, "text") if main.kind in MEDIA else None
    for other in TASKS.values():
        others = [
            (port.kind, port.literal)
            for port in other.inputs
            if port.required and port is not main_port(other)
        ]
        if (
            way
            and rest
            and others == rest
            and main_port(other).kind == "text"
            and other.outputs == spec.outputs
        ):
            return other, way
    return None


@dataclass
class Desk:
    """The things at hand while a plan is drafted, and its tasks so far."""

    next_id: int
    files: Mapping[str, Kind]  # in order
    content: Sequence[str]  # texts given in the request
    earlier: Sequence[Thing] = ()  # results of earlier turns, oldest first
    made: list[Thing] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    finished: Sequence[
        Task
    ] = ()  # of an earlier plan for this request: their results are read, not made again

    def source(self, spec: TaskSpec, clause: Clause) -> Source | None:
        """What the task would read for this clause; None where there is nothing that it can read."""
        kind = main_port(spec).kind
        if (spec.id in CREATORS | {"summarization", "sentence-similarity"}) and (
            several := self._several(spec, clause)
        ):
            return Source(several)
        if spec.id in CREATORS and not (clause.files or clause.quotes or self._points(clause) or self.made):
            return Source(cost=0.03)
        spoken_of = [thing for thing in (*self.made, *self.earlier) if self._mentions(clause, thing)]
        found = list(self._named(kind, clause)) or [
            replace(source, cost=source.cost + 0.2 * bool(clause.files) + 0.15 * _misses(source, spoken_of))
            for source in self._at_hand(spec, kind, clause)
        ]
        return min(
            found, key=lambda source: source.cost, default=Source(cost=0.03) if spec.id in CREATORS else None
        )

    def add(self, spec: TaskSpec, clause: Clause, source: Source, languages: Sequence[str] = ()) -> None:
        """Appends the tasks of one step, converting first: one task per file, and per language."""
        if any(not thing.refs for thing in source.things):
            self.leave_out(spec, clause, source)
            return
        for name in source.through:
            source = Source((self._emit(TASKS[name], clause, source),))
        if spec.id == "control-to-image" and not any(thing.task in MAPS for thing in source.things):
            source = Source((self._emit(TASKS["image-to-control"], clause, source),))
        for language in languages[:-1]:
            self._emit(spec, clause, source, language)
        self._emit(spec, clause, source, *languages[-1:])

    def leave_out(self, spec: TaskSpec, clause: Clause, source: Source) -> None:
        """A gap where a step would be: what reads it is left out as well."""
        said = frozenset(clause.words)
        self.made.append(
            Thing((), spec.outputs[0], spec.id, said, source.things[0] if source.things else None)
        )

    def repeats(self, spec: TaskSpec, source: Source) -> bool:
        """Whether the step was there already, only in other words."""
        ports = {port.name for port in spec.inputs}
        asks = ports & {"question", "prompt"} or spec.id in CREATORS | {"translation"}
        return not asks and any(
            (
                thing.task == spec.id
                or (thing.kind == spec.outputs[0] and ITEMS.get(thing.kind) == main_port(spec).kind)
            )
            and source.things[:1] in ((thing.origin,), (thing,))
            for thing in self.made
        )

    def _emit(self, spec: TaskSpec, clause: Clause, source: Source, language: str = "") -> Thing:
        main, refs, listed = main_port(spec), [], False
        for argument in _arguments(spec, clause, source):
            args: dict[str, Argument] = {}
            for port in reversed(spec.inputs):
                value = argument if port is main else self._literal(spec, port, clause, language)
                if port.name == "source" and isinstance(argument, list) and len(argument) > 1:
                    value, args[main.name] = argument[0], argument[1:]
                if value is not None:
                    args[port.name] = value
            args = {port.name: args[port.name] for port in spec.inputs if port.name in args}
            task = Task(id=self.next_id, task=spec.id, args=args)
            known = (done for done in self.finished if (done.task, done.args) == (task.task, task.args))
            done = next(known, None)
            if done is None:
                self.tasks.append(task)
                self.next_id += 1
            refs.append(From(**{"from": (done or task).id}))
            listed = task.each is not None
        origin = source.things[0] if source.things else None
        self.made.append(
            Thing(tuple(refs), spec.outputs[0], spec.id, frozenset(clause.words), origin, listed)
        )
        return self.made[-1]

    def _literal(self, spec: TaskSpec, port: Port, clause: Clause, language: str) -> Argument | None:
        """A port's words out of the clause; None where the port can do without."""
        if port.name == "candidate_labels":
            return [*(clause.labels or [_object(clause)])]
        if port.name == "control":
            return clause.control or "canny"
        if port.name == "target_language":
            return language or next(iter(clause.languages), "English")
        if port.name in {"source", "query"}:
            return next(iter(clause.quotes or self.content), clause.written) or spec.description
        return clause.written or spec.description if port.required else None

    def _points(self, clause: Clause) -> bool:
        """Whether the clause speaks of something else than what it describes itself."""
        return (
            clause.says("pointing")
            or clause.says("each")
            or any(self._mentions(clause, thing) for thing in (*self.made, *self.earlier))
            or any(
                word in {"the", "each", "every", "my", "our"} and after in words("files")
                for word, after in pairwise(clause.words)
            )
        )

    def _mentions(self, clause: Clause, thing: Thing) -> bool:
        """ "the summary" after a summarization; "the fable" after "invent a fable"."""
        named = nouns_of(thing.task)
        if thing.origin and thing.origin.said == thing.said:  # "describe it in German": a description as well
            named |= nouns_of(thing.origin.task)
        return any(
            word
            in {"the", "that", "this", "its", "each", "every", "both", "those", "these", "repaired", "of"}
            and (after in named or (after in thing.said and len(after) > 3 and after not in words("files")))
            for word, after in pairwise(clause.words)
        )

    def _several(self, spec: TaskSpec, clause: Clause) -> tuple[Thing, ...]:
        """Everything that was made and not read yet, where the clause speaks of all of it.

        What is written after several findings is written from all of them, unless it names one.
        """
        if clause.says("each"):
            return ()
        read = {id(thing.origin) for thing in self.made}
        open_ = [thing for thing in self.made if id(thing) not in read and thing.kind not in MEDIA]
        named = any(self._mentions(clause, thing) for thing in self.made)
        written = spec.id == "text-generation" and not (named or clause.files or clause.quotes)
        if not (clause.says("several") or written):
            return ()
        return tuple(open_) if len(open_) > 1 else ()

    def _named(self, kind: Kind, clause: Clause) -> Iterator[Source]:
        """Files and quotes in the clause itself."""
        by_kind: dict[Kind, list[str]] = {}
        for name in clause.files:
            by_kind.setdefault(self.files[name], []).append(name)
        for own, names in by_kind.items():
            yield from self._fed_by_files(names, own, kind, clause, 0.0)
        texts = clause.quotes or ([clause.written] if "[mask]" in clause.words else [])
        if texts and kind in {"text", "texts"}:
            yield Source((Thing(tuple(texts), kind),))

    def _at_hand(self, spec: TaskSpec, kind: Kind, clause: Clause) -> Iterator[Source]:
        """What earlier steps gave, the request's files, its pasted text, then earlier turns."""
        for age, thing in enumerate(reversed(self.made)):
            mentioned = self._mentions(clause, thing)
            meant = thing if mentioned else _meant(spec, thing)
            yield from _fed(meant, kind, clause, (0.0 if mentioned else 0.03) + 0.001 * age)
        by_kind: dict[Kind, list[str]] = {}
        for name, own in self.files.items():
            by_kind.setdefault(own, []).append(name)
        all_ = not self.earlier or any(map(clause.says, ("each", "several", "plural")))
        for own, names in by_kind.items():  # later in a thread, the file is the last one
            yield from self._fed_by_files(names if all_ else names[-1:], own, kind, clause, 0.05)
        if self.content and kind in {"text", "texts"}:
            yield Source((Thing(tuple(self.content), kind),), cost=0.06)
        referred = clause.says("referring") and not self.made
        for age, thing in enumerate(reversed(self.earlier[-50:])):
            near = 0.0 if self._mentions(clause, thing) else 0.01 if referred else 0.1
            yield from _fed(thing, kind, clause, near + 0.001 * age)

    def _fed_by_files(
        self, names: Sequence[str], own: Kind, kind: Kind, clause: Clause, cost: float
    ) -> Iterator[Source]:
        """From files, or from what an earlier step converted them to."""
        thing = Thing(tuple(File(file=name) for name in names), own)
        known = [
            made
            for made in self.made
            if own != kind and made.kind == kind and made.origin and set(thing.refs) <= set(made.origin.refs)
            and made.task in (conversion(own, kind) or ())
        ]  # fmt: skip
        if known:
            yield Source((known[-1],), cost=cost)
        else:
            yield from _fed(thing, kind, clause, cost)


def _misses(source: Source, spoken_of: Sequence[Thing]) -> bool:
    """Whether the source is none of the things that the clause speaks of."""
    return bool(spoken_of) and not any(thing in spoken_of for thing in source.things)


def _meant(spec: TaskSpec, thing: Thing) -> Thing:
    """The thing itself, or what it was made from where the step is about that."""
    while thing.origin and (
        (thing.task in MAPS and spec.id != "control-to-image")
        or (thing.task == spec.id and spec.id not in CREATORS and not spec.input("prompt"))
        or (
            spec.id in _READERS
            and (thing.kind != "text" or thing.task.endswith(("question-answering", "summarization")))
        )
        or (spec.id in {"summarization", "translation"} and thing.kind in {"labels", "entities", "scores"})
        or thing.task == "text-to-speech"
    ):
        thing = thing.origin
    return thing


def _fed(thing: Thing, kind: Kind, clause: Clause, cost: float) -> Iterator[Source]:
    """How a thing can feed an input of that kind: as it is, item by item, by its text view, or converted."""
    want: Kind = "text" if kind == "texts" else kind
    by_item = clause.says("each") or clause.says("plural")
    if thing.kind in {kind, want}:
        yield Source((thing,), cost=cost)
    elif thing.kind == "table" and want == "text":
        yield Source((thing,), cost=cost + 0.1)
    elif ITEMS.get(thing.kind) == want and thing.task and by_item and not thing.listed:
        yield Source((thing,), each=True, cost=cost - 0.08 * (want in MEDIA and clause.says("each")))
    elif want == "text" and thing.task and thing.kind not in MEDIA:
        yield Source((thing,), cost=cost + 0.01)
    elif thing.origin and thing.kind not in MEDIA and thing.origin.kind == kind:
        yield Source((thing.origin,), cost=cost + 0.01)
    elif thing.kind in MEDIA and want == "text" and (way := conversion(thing.kind, want)):
        yield Source((thing,), way, cost=cost + 0.02 * len(way))


def _arguments(spec: TaskSpec, clause: Clause, source: Source) -> list[Argument]:
    """The main port's argument of each task of a step: one, or one for each of parallel refs."""
    told: list[Value] = [clause.written] if spec.id in CREATORS and clause.words else []
    refs: list[Value] = [ref for thing in source.things for ref in thing.refs]
    if source.each or any(thing.listed for thing in source.things):
        refs = [ref.model_copy(update={"each": True}) if isinstance(ref, From) else ref for ref in refs]
    kind = main_port(spec).kind
    if kind == "texts":
        return [refs[1:] if len(refs) > 1 and isinstance(refs[0], str) else refs]
    if not refs:
        return [told or [spec.description]]
    made = bool(source.things) and all(thing.task for thing in source.things)
    gathers = (
        kind == "text"
        and (clause.says("several") or (made and spec.id in CREATORS))
        and not clause.says("each")
    )
    if len(source.things) > 1 or (len(refs) > 1 and gathers and spec.id in CREATORS | {"summarization"}):
        return [[*told, *refs]]
    return [[*told, ref] if told and ref not in told else ref for ref in refs]


def _object(clause: Clause) -> str:
    """What is to be found: the words between the verb and the place."""
    said = clause.words[1:] or clause.words
    stop = next(
        (i for i, word in enumerate(said) if i and word in {"in", "on", "of", "from", "at", "and"}), len(said)
    )
    return (
        " ".join(word for word in said[:stop] if word not in {"the", "all", "a", "every", "any"}) or "object"
    )
