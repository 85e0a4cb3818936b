"""A plan: tasks, and what each of their arguments is.

On the wire:

    {"tasks": [
      {"id": 0, "task": "automatic-speech-recognition", "args": {"audio": {"file": "memo.wav"}}},
      {"id": 1, "task": "translation", "args": {"text": {"from": 0}, "target_language": "German"}},
      {"id": 2, "task": "text-to-speech", "args": {"text": {"from": 1}}, "after": []}
    ]}
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

from hugginggpt.tools.tasks import ITEMS, TASKS, Kind, Port, TaskSpec, source_port


class File(BaseModel):
    """An attached file, by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    file: str = Field(description="Name of an attached file.")


class From(BaseModel):
    """The result of another task."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    source: int = Field(alias="from", ge=0, description="Id of the task whose result is used.")
    output: str | None = Field(None, description="Which output, where the task has several.")
    each: bool = Field(default=False, description="Run once for every item of a list output.")


Literal = str | int | float | bool
Value = File | From | Literal
Argument = Value | list[Value]


class Task(BaseModel):
    """One task of a plan."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: int = Field(ge=0, description="Unique in the thread.")
    task: str = Field(description="Name of a task of the task table.")
    args: dict[str, Argument] = Field(default_factory=dict, description="Input port to argument.")
    after: list[int] = Field(default_factory=list, description="Ids of tasks that must be over first.")

    def values(self) -> Iterator[tuple[str, Value]]:
        """Every single value with its port, fan-in lists flattened."""
        for port, argument in self.args.items():
            for value in argument if isinstance(argument, list) else [argument]:
                yield port, value

    @property
    def sources(self) -> list[int]:
        """Ids of the tasks whose results this one reads, in argument order, each once."""
        return list(dict.fromkeys(v.source for _, v in self.values() if isinstance(v, From)))

    @property
    def each(self) -> tuple[str, From] | None:
        """The port and reference that this task runs once per item of, if there is one."""
        return next(((p, v) for p, v in self.values() if isinstance(v, From) and v.each), None)


class Plan(BaseModel):
    """Tasks to run. An empty plan means that no model is needed."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    tasks: list[Task] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Known:
    """What a plan may refer to: files of the thread by name, and earlier results by id.

    `results` says of each finished task its name, and whether it ran with `each`.
    """

    files: Mapping[str, Kind] = field(default_factory=dict)
    results: Mapping[int, tuple[str, bool]] = field(default_factory=dict)


def feeding_port(spec: TaskSpec, ref: From, target: Kind, *, listed: bool) -> Kind | None:
    """The output port of `spec` that `ref` means for an input of kind `target`; None if it does not fit.

    `listed` says that the source ran with `each`, so that its outputs are lists.
    """
    inside = ref.each and not listed  # the items of the output itself flow, not the entries of a list
    if listed and not ref.each and target not in {"text", "texts"}:
        return None
    if ref.output is None:
        return source_port(spec, target, each=inside)
    if ref.output not in (*spec.outputs, "text") or (inside and ref.output not in ITEMS):
        return None
    output = ref.output
    kind = ITEMS[output] if inside else output
    return output if kind == target or target in {"text", "texts"} else None


def order(plan: Plan) -> list[Task]:
    """The tasks so that each comes after all that it refers to, otherwise as they stand in the plan.

    References to tasks outside the plan are earlier results. Tasks on or behind a cycle are left out.
    """
    ids = {task.id for task in plan.tasks}
    waiting = {task.id: {*task.sources, *task.after} & ids for task in plan.tasks}
    ordered: list[Task] = []
    while ready := next((t for t in plan.tasks if t.id in waiting and not waiting[t.id]), None):
        ordered.append(ready)
        del waiting[ready.id]
        for needs in waiting.values():
            needs.discard(ready.id)
    return ordered


def problems(plan: Plan, known: Known, max_tasks: int = 40) -> list[str]:
    """What is wrong with a plan, a line each; an empty list when it can be run.

    Every line starts with `task ID` where it concerns one task.
    """
    found = [line for _, line in faults(plan, known)]
    if len(plan.tasks) > max_tasks:
        found.insert(0, f"the plan has {len(plan.tasks)} tasks; at most {max_tasks} are allowed")
    return found


def faults(plan: Plan, known: Known) -> list[tuple[int, str]]:
    """The id of each faulty task with what is wrong with it, in plan order."""
    found: list[tuple[int, str]] = []
    seen: dict[int, Task] = {}
    for task in plan.tasks:
        if task.id in seen or task.id in known.results:
            found.append((task.id, f"task {task.id}: the id is used twice; ids are unique in a thread"))
        seen.setdefault(task.id, task)
    for task in plan.tasks:
        found += [(task.id, f"task {task.id}: {line}") for line in _task_faults(task, seen, known)]
    running = {task.id for task in order(plan)}
    for task in plan.tasks:
        if task.id not in running and task.id in seen:
            found.append((task.id, f"task {task.id}: it waits for itself, through a cycle of references"))
    return found


def sound_part(plan: Plan, known: Known, max_tasks: int) -> tuple[Plan, dict[int, str]]:
    """The part of a plan that can be run, and why each other task cannot, by id."""
    dropped: dict[int, str] = {}
    rest = plan
    while bad := faults(rest, known):
        for id_, line in bad:
            dropped.setdefault(id_, line)
        rest = Plan(tasks=[task for task in rest.tasks if task.id not in dropped])
    kept = order(rest)
    for task in kept[max_tasks:]:
        dropped[task.id] = f"task {task.id}: over the limit of {max_tasks} tasks"
    within = {task.id for task in kept[:max_tasks]}
    return Plan(tasks=[task for task in rest.tasks if task.id in within]), dropped


def _task_faults(task: Task, tasks: Mapping[int, Task], known: Known) -> Iterator[str]:
    spec = TASKS.get(task.task)
    if spec is None:
        yield f"{task.task!r} is not a task; the tasks are those of the task table"
        return
    for port in spec.inputs:
        if port.required and port.name not in task.args:
            yield f"{spec.id} needs the argument {port.name!r}"
    for name, argument in task.args.items():
        matching = spec.input(name)
        if matching is None:
            ports = ", ".join(port.name for port in spec.inputs)
            yield f"{spec.id} has no argument {name!r}; it takes {ports}"
        else:
            values = argument if isinstance(argument, list) else [argument]
            yield from _argument_faults(matching, values, tasks, known)
    if sum(isinstance(value, From) and value.each for _, value in task.values()) > 1:
        yield "only one argument can have 'each'"
    for id_ in task.after:
        if id_ not in tasks and id_ not in known.results:
            yield f"'after' names task {id_}, which is not there"


def _argument_faults(
    port: Port, values: Sequence[Value], tasks: Mapping[int, Task], known: Known
) -> Iterator[str]:
    if not values:
        yield f"{port.name!r} is empty"
    elif len(values) > 1 and port.kind not in {"text", "texts"}:
        yield f"{port.name!r} takes one {port.kind}, not a list of {len(values)}"
    for value in values:
        if isinstance(value, From):
            line = _reference_fault(port, value, tasks, known)
        elif isinstance(value, File):
            line = _file_fault(port, value, known)
        else:
            line = _literal_fault(port, value)
        if line:
            yield line


def _reference_fault(port: Port, ref: From, tasks: Mapping[int, Task], known: Known) -> str | None:
    if ref.source in tasks:
        name, listed = tasks[ref.source].task, tasks[ref.source].each is not None
    elif ref.source in known.results:
        name, listed = known.results[ref.source]
    else:
        return f"{port.name!r} refers to task {ref.source}, which is not there"
    if port.literal:
        return f"{port.name!r} takes a word, not a result"
    spec = TASKS.get(name)
    if spec is None or feeding_port(spec, ref, port.kind, listed=listed):
        return None
    gives = "a list" if listed else " and ".join(spec.outputs)
    wish = f" with output {ref.output!r}" if ref.output else ""
    wish += " and 'each'" if ref.each else ""
    return f"{port.name!r} takes {port.kind}, but task {ref.source} ({name}) gives {gives}{wish}"


def _file_fault(port: Port, value: File, known: Known) -> str | None:
    kind = known.files.get(value.file)
    if kind is None:
        names = ", ".join(map(repr, known.files)) or "none"
        return f"{port.name!r} names the file {value.file!r}, which is not attached (attached: {names})"
    if port.literal:
        return f"{port.name!r} takes a word, not a file"
    if kind == port.kind or (port.kind in {"text", "texts"} and kind in {"text", "table"}):
        return None
    return f"{port.name!r} takes {port.kind}, but {value.file!r} is {kind}"


def _literal_fault(port: Port, value: Literal) -> str | None:
    if port.kind not in {"text", "texts"}:
        return f"{port.name!r} takes a file or a result, not the text {str(value)[:60]!r}"
    return None if str(value).strip() else f"{port.name!r} is empty"
