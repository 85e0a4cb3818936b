"""What a run tells while it happens: custom events of the graph's stream."""

from typing import Any

from langgraph.config import get_stream_writer


def tell(type_: str, **facts: Any) -> None:  # noqa: ANN401, any JSON
    """Write an event. Outside of a run, as when a plan is only drafted, nobody listens."""
    try:
        write = get_stream_writer()
    except (RuntimeError, KeyError):
        return
    write({"v": 1, "type": type_, **facts})
