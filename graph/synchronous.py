"""`invoke` and `stream` for synchronous hosts of a graph whose nodes are asynchronous."""

from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

from anyio.from_thread import start_blocking_portal
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph

from hugginggpt.graph.context import Context
from hugginggpt.graph.state import Input, Output, State

_END = object()


class CompiledGraph(CompiledStateGraph[State, Context, Input, Output]):
    """A compiled graph that runs the same under `invoke` and `stream` as under `ainvoke` and `astream`."""

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:  # noqa: ANN401
        """`astream` on an event loop in a thread of its own; `invoke` is built on it.

        Raises `TypeError` for a checkpointer without asynchronous methods.
        """
        chunks: SimpleQueue[Any] = SimpleQueue()

        async def pump() -> None:
            try:
                async for chunk in self.astream(*args, **kwargs):
                    chunks.put(chunk)
            except NotImplementedError as error:
                raise TypeError(
                    "the checkpointer has no asynchronous methods, and this graph needs them under invoke() "
                    "and stream() too: use AsyncSqliteSaver, AsyncPostgresSaver or InMemorySaver"
                ) from error
            finally:
                chunks.put(_END)

        with start_blocking_portal() as portal:
            running = portal.start_task_soon(pump)
            try:
                while (chunk := chunks.get()) is not _END:
                    yield chunk
            except BaseException:
                running.cancel()
                raise
            running.result()


class Builder(StateGraph[State, Context, Input, Output]):
    """A `StateGraph` that compiles to a `CompiledGraph`."""

    def compile(self, *args: Any, **kwargs: Any) -> CompiledGraph:  # noqa: ANN401, as StateGraph has them
        """As `StateGraph.compile`."""
        compiled = super().compile(*args, **kwargs)
        compiled.__class__ = CompiledGraph
        return compiled  # type: ignore[return-value]
