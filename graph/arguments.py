"""Turns a task's arguments into the values that a model is handed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from hugginggpt.graph.plan import File, From, Task, Value, feeding_port
from hugginggpt.tools.artifacts import ArtifactStore
from hugginggpt.tools.readers import rows_of, text_of
from hugginggpt.tools.tasks import ITEMS, MEDIA, TASKS, Kind, Port
from hugginggpt.tools.values import Artifact, Inputs, Result
from hugginggpt.tools.views import items, text_view


@dataclass(frozen=True, slots=True)
class Sources:
    """Where arguments come from: finished results by id, files by name, and the store that has both."""

    results: Mapping[int, Result]
    files: Mapping[str, Artifact]
    store: ArtifactStore

    def inputs(self, task: Task) -> Inputs:
        """The values of a task that runs once. Blocks. Raises `BadFileError` or `ArtifactError`."""
        return {name: self._argument(_port(task, name), value) for name, value in task.args.items()}

    def each_inputs(self, task: Task) -> list[Inputs]:
        """The values of each run of a task: one, or one per item in item order. Blocks; raises as above."""
        if task.each is None:
            return [self.inputs(task)]
        name, ref = task.each
        port = _port(task, name)
        fixed = self.inputs(
            task.model_copy(update={"args": {k: v for k, v in task.args.items() if k != name}})
        )
        others = [v for p, v in task.values() if p == name and v != ref]
        return [
            {**fixed, name: _join(port, [*(self._value(port, v) for v in others), item])}
            for item in self._items(port, ref)
        ]

    def _argument(self, port: Port, argument: Value | list[Value]) -> Any:  # noqa: ANN401
        values = argument if isinstance(argument, list) else [argument]
        return _join(port, [self._value(port, value) for value in values])

    def _value(self, port: Port, value: Value) -> Any:  # noqa: ANN401, as many types as kinds
        if isinstance(value, File):
            return self._file(port.kind, self.files[value.file])
        if isinstance(value, From):
            return self._result(port, value)
        return str(value)

    def _file(self, kind: Kind, artifact: Artifact) -> Any:  # noqa: ANN401
        media = self.store.read(artifact)
        if kind == "table":
            return rows_of(media.data, media.media_type)
        return media if kind in MEDIA else text_of(media.data, media.media_type)

    def _output(self, port: Port, ref: From) -> Kind:
        result = self.results[ref.source]
        listed = isinstance(result["outputs"].get("text"), list)
        found = feeding_port(TASKS[result["task"]], ref, port.kind, listed=listed)
        if found is None:
            raise LookupError(f"task {ref.source} has no output for {port.name!r}")
        return found

    def _result(self, port: Port, ref: From) -> Any:  # noqa: ANN401
        output = self._output(port, ref)
        return self._convert(port, output, self.results[ref.source]["outputs"][output])

    def _items(self, port: Port, ref: From) -> list[Any]:
        output = self._output(port, ref)
        outputs = self.results[ref.source]["outputs"]
        if isinstance(outputs["text"], list):
            return [self._convert(port, output, entry) for entry in outputs[output]]
        if port.kind in {"text", "texts"}:
            return _texts(output, outputs[output])
        return items(output, outputs[output], self.store)

    def _convert(self, port: Port, output: Kind, value: Any) -> Any:  # noqa: ANN401
        if port.kind == "text":
            return value if isinstance(value, str) else text_view(output, value)
        if port.kind == "texts":
            return [value] if isinstance(value, str) else _texts(output, value)
        return self.store.read(cast("Artifact", value)) if isinstance(value, dict) else value


def _texts(output: Kind, value: list[Any]) -> list[str]:
    """One text per item: its label where it has one."""
    if output not in ITEMS:
        return [text_view(output, entry) for entry in value]
    return [
        str(entry["label"]) if isinstance(entry, dict) and "label" in entry else text_view(output, [entry])
        for entry in value
    ]


def _join(port: Port, values: list[Any]) -> Any:  # noqa: ANN401
    """Fan-in: texts one below the other, lists one after the other."""
    if port.kind == "texts":
        return [text for value in values for text in (value if isinstance(value, list) else [value])]
    return "\n\n".join(values) if len(values) > 1 else values[0]


def _port(task: Task, name: str) -> Port:
    port = TASKS[task.task].input(name)
    if port is None:
        raise LookupError(f"{task.task} has no argument {name!r}")
    return port
