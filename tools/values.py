"""What flows between tasks: artifacts on the wire, media in memory, and results."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from typing_extensions import TypedDict


class Artifact(TypedDict):
    """A stored file, by reference. `meta` has pixels, seconds, rows or characters, as they apply."""

    id: str
    """`sha256:` and the 64 hex digits of the content's SHA-256."""
    name: str
    media_type: str
    bytes: int
    meta: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Media:
    """A picture, sound or video in memory, as runtimes are handed it and as they return it."""

    data: bytes
    media_type: str
    name: str = ""


Rows = list[dict[str, Any]]
"""A table: one dictionary per row, the column's name to its value."""

Inputs = Mapping[str, Any]
"""Port name to value, by the port's kind: text → str, texts → list[str], table → Rows, image, audio
and video → Media."""

Outputs = dict[str, Any]
"""Output port to value, by kind. In memory, media are `Media`; on the wire they are `Artifact`.

| kind | value |
|---|---|
| text | str |
| labels | [{"label", "score"}], best first (a list of these lists for tables: one per row) |
| entities | [{"entity_group", "word", "score", "start", "end"}] |
| objects | [{"label", "score", "box": {"xmin", "ymin", "xmax", "ymax"}}], pixels |
| masks | [{"label", "score", "mask": Media}], white where the thing is |
| segments | [{"start", "end"}], seconds |
| keypoints | [{"label", "score", "x", "y"}], pixels |
| scores | [float], in the order of the input |
| numbers | [float] |
| vector | [float] |

Objects, masks and segments also carry `source`, the id of the artifact they were found in, so that
their items can be cut out of it.
"""


class Attempt(TypedDict):
    """One try of one model. `error` is None when it worked."""

    model: str
    runtime: str
    seconds: float
    error: str | None


class Error(TypedDict):
    """Why a task has no result. `kind` is a short word for programs, `message` a line for people."""

    kind: str
    message: str


class Result(TypedDict):
    """What became of one task."""

    id: int
    task: str
    status: Literal["done", "failed", "skipped"]
    model: str | None
    runtime: str | None
    seconds: float
    attempts: list[Attempt]
    outputs: Outputs
    """Port to value, or a list of these in item order for a task that ran with `each`. Every result
    that is done has `text` as well: a view of it for tasks and people that read."""
    error: Error | None
