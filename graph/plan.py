"""A plan: tasks, and what each of their arguments is.

On the wire:

    {"tasks": [
      {"id": 0, "task": "automatic-speech-recognition", "args": {"audio": {"file": "memo.wav"}}},
      {"id": 1, "task": "translation", "args": {"text": {"from": 0}, "target_language": "German"}},
      {"id": 2, "task": "text-to-speech", "args": {"text": {"from": 1}}, "after": []}
    ]}
"""

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, Field


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
