"""Wires the steps of a request into tasks: what each reads, by its words and by port types."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise

from hugginggpt.graph.plan import Argument, File, From, Task, Value
from hugginggpt.graph.wording import Clause
from hugginggpt.tools.tasks import ITEMS, MEDIA, TASKS, Kind, Port, TaskSpec

# Tasks that write or draw what the clause itself describes; another source is optional.
CREATORS = frozenset({"text-generation", "text-to-image", "text-to-audio", "text-to-video"})
# A picture about a picture: what comes after means the picture itself, unless it names the map.
_MAPS = frozenset({"depth-estimation", "image-to-control"})
# Tasks that look into a text rather than pass it on: they read the text itself, not what was found in it.
_READERS = frozenset(
    [
        "question-answering",
        "token-classification",
        "text-classification",
        "zero-shot-classification",
        "text-ranking",
        "sentence-similarity",
        "feature-extraction",
        "fill-mask",
    ]
)
_SINGLE: tuple[Kind, ...] = ("text", "image", "audio", "video")
_POINTING = frozenset(
    [
        "it",
        "its",
        "them",
        "they",
        "that",
        "this",
        "these",
        "those",
        "both",
        "all",
        "result",
        "results",
        "everything",
        "same",
        "there",
        "together",
        "matching",
        "fitting",
        "fits",
        "based",
        "which",
        "thereof",
        "answer",
        "output",
    ]
)
_SEVERAL = frozenset(
    [
        "both",
        "all",
        "everything",
        "together",
        "combined",
        "combine",
        "combining",
        "overall",
        "results",
        "two",
        "three",
    ]
)
_EACH = frozenset(["each", "every", "per", "separately", "individually", "apiece", "respectively", "single"])
_PLURAL = frozenset(["them", "these", "those"])
_FILES = frozenset(["file", "files", "picture", "pictures", "photo", "photos", "image", "images", "text", "texts", "recording", "recordings", "document", "documents", "page", "pages", "video", "videos", "row", "rows", "sentence", "line", "language", "languages", "letter", "one", "of", "receipt", "scan", "clip", "review", "message", "article", "day"])  # fmt: skip
_NOUNS: dict[str, frozenset[str]] = {
    "summarization": frozenset(["summary", "gist", "overview", "abstract", "summarised", "summarized"]),
    "translation": frozenset(["translation", "version", "translated"]),
    "automatic-speech-recognition": frozenset(
        ["transcript", "transcription", "transcribed", "lyrics", "speech"]
    ),
    "image-to-text": frozenset(["caption", "captions", "description", "descriptions", "text", "words"]),
    "text-generation": frozenset(
        [
            "story",
            "poem",
            "haiku",
            "letter",
            "slogan",
            "post",
            "tale",
            "article",
            "recipe",
            "speech",
            "rhyme",
            "script",
            "tweet",
        ]
    ),
    "token-classification": frozenset(["names", "name", "people", "places", "entities"]),
    "object-detection": frozenset(["objects", "things", "people", "boxes"]),
    "text-to-image": frozenset(["picture", "image", "drawing", "painting", "illustration"]),
    "image-to-image": frozenset(["picture", "photo", "image"]),
    "image-to-control": frozenset(["edges", "outline", "pose", "map", "lines", "contours", "edge"]),
    "depth-estimation": frozenset(["depth", "map"]),
}


@dataclass(frozen=True)
class Thing:
    """Something that a step can read: files, a text, or what a step gives. Parallel `refs`, one per file."""

    refs: tuple[Value, ...]
    kind: Kind
    task: str = ""
    origin: "Thing | None" = None
    listed: bool = False  # ran with `each`
    fresh: bool = True  # of this request


@dataclass(frozen=True)
class Source:
    """What feeds the main port of a step, the tasks that convert it, and how far-fetched that is (0 is plain)."""

    things: tuple[Thing, ...] = ()
    through: tuple[str, ...] = ()
    each: bool = False
    cost: float = 0.0


@cache
def conversion(source: Kind, target: Kind) -> tuple[str, ...] | None:
    """The shortest chain of tasks from one medium to another: those that need nothing else. () if equal."""
    paths: dict[Kind, tuple[str, ...]] = {source: ()}
    queue = [source]
    for kind in queue:
        for spec in TASKS.values():
            needed = [port for port in spec.inputs if port.required]
            gives = spec.outputs[0]
            if len(needed) == 1 and needed[0].kind == kind and gives in _SINGLE and gives not in paths:
                paths[gives] = (*paths[kind], spec.id)
                queue.append(gives)
    return paths.get(target)


def main_port(spec: TaskSpec) -> Port:
    """The port that takes what the task works on, rather than the question or the words about it."""
    asked = {"question", "query", "source", "source_language", "target_language"}
    return next(port for port in spec.inputs if port.name not in asked)


def detour(spec: TaskSpec) -> tuple[TaskSpec, tuple[str, ...]] | None:
    """Another way for a task with a question or labels: convert its medium to text and ask the text."""
    main = main_port(spec)
    rest = sorted(port.kind for port in spec.inputs if port.required and port is not main)
    way = conversion(main.kind, "text") if main.kind in MEDIA else None
    for other in TASKS.values():
        others = sorted(p.kind for p in other.inputs if p.required and p is not main_port(other))
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
    """The things at hand while a plan is drafted, and the tasks so far."""

    next_id: int
    files: dict[Kind, list[str]]  # of this request, in order
    kinds: dict[str, Kind]  # of all files
    content: list[str]
    earlier: list[Thing] = field(default_factory=list)
    made: list[Thing] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)

    def source(self, spec: TaskSpec, clause: Clause) -> Source | None:
        """What the task would read for this clause; None where there is nothing it can read."""
        kind = main_port(spec).kind
        if spec.id in CREATORS:
            several = self._several(clause)
            named = [s for s in self._named(kind, clause) if kind == "text"]
            if several:
                return Source(several)
            pointed = named or (list(self._at_hand(spec, kind, clause)) if self._points(clause) else [])
            return min(pointed, key=lambda source: source.cost, default=Source(cost=0.03))
        if spec.id == "summarization" and (several := self._several(clause)) and len(several) > 1:
            return Source(several)
        found = list(self._named(kind, clause)) or [
            replace(source, cost=source.cost + 0.2 * bool(clause.files))
            for source in self._at_hand(spec, kind, clause)
        ]
        return min(found, key=lambda source: source.cost, default=None)

    def add(self, spec: TaskSpec, clause: Clause, source: Source, extra: dict[str, list[str]]) -> None:
        """Appends the tasks of one step, converting first; one task per file, and per value of `extra`."""
        for name in source.through:
            source = Source((self._emit(TASKS[name], clause, source, {}),))
        if spec.id == "control-to-image" and not any(thing.task in _MAPS for thing in source.things):
            source = Source((self._emit(TASKS["image-to-control"], clause, source, {}),))
        port, values = next(iter(extra.items()), ("", [""]))
        things = [self._emit(spec, clause, source, {port: value} if port else {}) for value in values]
        if len(things) > 1:
            self.made.append(replace(things[-1], refs=tuple(ref for thing in things for ref in thing.refs)))
            del self.made[-1 - len(things) : -1]

    def _emit(self, spec: TaskSpec, clause: Clause, source: Source, given: dict[str, str]) -> Thing:
        main, refs = main_port(spec), []
        for argument in self._arguments(spec, clause, source):
            args: dict[str, Argument] = {}
            for port in spec.inputs:
                value = given.get(port.name) or (
                    argument if port is main else _literal(spec, port, clause, self.content)
                )
                if value is not None:
                    args[port.name] = value
            self.tasks.append(Task(id=self.next_id, task=spec.id, args=args))
            refs.append(From(**{"from": self.next_id}))
            self.next_id += 1
        origin = source.things[0] if source.things else None
        listed = any(task.each for task in self.tasks[-1:])
        self.made.append(Thing(tuple(refs), spec.outputs[0], spec.id, origin, listed))
        return self.made[-1]

    def _arguments(self, spec: TaskSpec, clause: Clause, source: Source) -> list[Argument]:
        """The main port's argument of each task of a step: one, or one per parallel ref."""
        words = [clause.written] if spec.id in CREATORS else []
        refs = [ref for thing in source.things for ref in thing.refs]
        if source.each or any(thing.listed for thing in source.things):
            refs = [replace_each(ref) for ref in refs]
            return [ref if not words else [*words, ref] for ref in refs]
        together = len(source.things) > 1 or (len(refs) > 1 and _gathers(spec, clause))
        if main_port(spec).kind == "texts":
            return [refs[1:] if len(refs) > 1 and isinstance(refs[0], str) else refs]
        if not refs:
            return [*words]
        if together:
            return [[*words, *refs]]
        return [[*words, ref] if words else ref for ref in refs]

    def _points(self, clause: Clause) -> bool:
        return bool(_POINTING & set(clause.words)) or any(
            word in {"the", "each", "every"} and after in set().union(*_NOUNS.values()) | _FILES
            for word, after in pairwise(clause.words)
        )

    def _several(self, clause: Clause) -> tuple[Thing, ...]:
        """Everything that was made and not read yet, where the clause speaks of all of it."""
        if not _SEVERAL & set(clause.words) or _EACH & set(clause.words):
            return ()
        read = {id(thing.origin) for thing in self.made}
        open_ = [t for t in self.made if id(t) not in read and t.kind not in MEDIA]
        return tuple(open_) if len(open_) > 1 else ()

    def _named(self, kind: Kind, clause: Clause) -> Iterator[Source]:
        """Files and quotes in the clause itself."""
        by_kind: dict[Kind, list[str]] = {}
        for name in clause.files:
            by_kind.setdefault(self.kinds.get(name, "text"), []).append(name)
        for own, names in by_kind.items():
            thing = Thing(tuple(File(file=name) for name in names), own)
            yield from self._made_of(thing, kind, clause) or _fed(thing, kind, clause, 0.0)
        if clause.quotes and kind in {"text", "texts"}:
            yield Source((Thing(tuple(clause.quotes), kind),))

    def _made_of(self, thing: Thing, kind: Kind, clause: Clause) -> list[Source]:
        """A named file that has to be converted, where an earlier step has done so."""
        if thing.kind == kind:
            return []
        for made in self.made:
            if made.kind == kind and made.origin and set(thing.refs) <= set(made.origin.refs):
                return [Source((made,))]
        return []

    def _at_hand(self, spec: TaskSpec, kind: Kind, clause: Clause) -> Iterator[Source]:
        """What earlier steps gave, the request's files, its pasted text, then earlier turns."""
        words = set(clause.words)
        for thing in reversed(self.made):
            if words & _NOUNS.get(thing.task, frozenset()) and "the" in words:
                yield from _fed(thing, kind, clause, 0.0)
        for age, thing in enumerate(reversed(self.made)):
            yield from _fed(self._meant(spec, thing, clause), kind, clause, 0.03 + 0.001 * age)
        for own, names in self.files.items():
            thing = Thing(tuple(File(file=name) for name in names), own)
            yield from self._made_of(thing, kind, clause) or _fed(thing, kind, clause, 0.05)
        if self.content and kind in {"text", "texts"}:
            yield Source((Thing(tuple(self.content), kind),), cost=0.06)
        for age, thing in enumerate(reversed(self.earlier)):
            yield from _fed(thing, kind, clause, 0.1 + 0.001 * min(age, 50))

    def _meant(self, spec: TaskSpec, thing: Thing, clause: Clause) -> Thing:
        """The thing itself, or what it was made from where the step is about that."""
        while thing.origin and (
            (thing.task in _MAPS and spec.id != "control-to-image")
            or (thing.task == spec.id and spec.id not in CREATORS)
            or (spec.id in _READERS and (thing.kind != "text" or thing.task.endswith("question-answering")))
            or (thing.kind == "audio" and thing.task == "text-to-speech")
        ):
            thing = thing.origin
        return thing


def replace_each(ref: Value) -> Value:
    """The reference, once for every item."""
    return ref.model_copy(update={"each": True}) if isinstance(ref, From) else ref


def _gathers(spec: TaskSpec, clause: Clause) -> bool:
    words = set(clause.words)
    return (
        not words & _EACH and bool(words & (_SEVERAL | {"one"})) and main_port(spec).kind in {"text", "texts"}
    )


def _fed(thing: Thing, kind: Kind, clause: Clause, cost: float) -> Iterator[Source]:
    """How a thing can feed an input of that kind: as it is, item by item, by its text view, or converted."""
    words = set(clause.words)
    by_item = bool(words & _EACH) or bool(words & _PLURAL)
    want: Kind = "text" if kind == "texts" else kind
    if thing.kind in {kind, want} or (thing.kind == "table" and want == "text"):
        yield Source((thing,), cost=cost + 0.05 * (thing.kind == "table" and want == "text"))
    elif ITEMS.get(thing.kind) == want and thing.task and (want != "text" or by_item) and not thing.listed:
        yield Source((thing,), each=True, cost=cost)
    elif want == "text" and thing.task and thing.kind not in MEDIA:
        yield Source((thing,), cost=cost + 0.01)
    elif thing.origin and thing.origin.kind == kind and thing.kind not in MEDIA:
        yield Source((thing.origin,), cost=cost + 0.01)
    elif thing.kind in MEDIA and want == "text" and (way := conversion(thing.kind, want)):
        yield Source((thing,), way, cost=cost + 0.04 * len(way))


def _literal(spec: TaskSpec, port: Port, clause: Clause, content: Sequence[str]) -> Argument | None:
    """A port's words out of the clause; None where the port can do without."""
    if port.name == "candidate_labels":
        labels: list[Value] = [*(clause.labels or [_object(clause)])]
        return labels
    if port.name == "control":
        return clause.control or "canny"
    if port.name == "target_language":
        return next(iter(clause.languages), "English")
    if port.name in {"source", "query"}:
        texts = clause.quotes or list(content)
        return texts[0] if texts else clause.written
    if not port.required and port.name != "prompt":
        return None
    return clause.written or " ".join(clause.quotes) or spec.description


def _object(clause: Clause) -> str:
    """What is to be found: the words between the verb and the place."""
    words = clause.words[1:] or clause.words
    stop = next(
        (i for i, word in enumerate(words) if i and word in {"in", "on", "of", "from", "at"}), len(words)
    )
    return (
        " ".join(word for word in words[:stop] if word not in {"the", "all", "a", "every", "any"}) or "object"
    )


def things_of(results: Iterable[tuple[int, str, bool]]) -> list[Thing]:
    """Earlier results as things: (id, task, whether it ran with `each`)."""
    return [
        Thing((From(**{"from": id_}),), TASKS[task].outputs[0], task, None, listed, fresh=False)
        for id_, task, listed in results
        if task in TASKS
    ]
