"""What a run tells while it happens: custom events of the graph's stream."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_gathered: ContextVar[tuple[str, list[Any]]] = ContextVar("_gathered", default=("", []))


@contextmanager
def gathering(type_: str) -> Iterator[list[Any]]:
    """The facts of all events of a type that are told inside, also by tasks and threads begun there."""
    found: list[Any] = []
    token = _gathered.set((type_, found))
    try:
        yield found
    finally:
        _gathered.reset(token)


def tell(type_: str, **facts: Any) -> None:  # noqa: ANN401, any JSON
    """Write an event. Outside of a run, as when a plan is only drafted, nobody listens."""
    from langgraph.config import get_stream_writer

    wanted, found = _gathered.get()
    if type_ == wanted:
        found.append(facts)
    try:
        write = get_stream_writer()
    except (RuntimeError, KeyError):
        return
    write({"v": 1, "type": type_, **facts})
