"""What our compiled graph does differently: synchronous hosts, and LangGraph's `max_concurrency`."""

from collections.abc import AsyncIterator, Iterator
from queue import SimpleQueue
from typing import Any

from anyio.from_thread import start_blocking_portal
from langchain_core.runnables.config import RunnableConfig, ensure_config
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph

from hugginggpt.graph.context import Context
from hugginggpt.graph.state import Input, Output, State

_END = object()
_NO_LIMIT = 1_000_000
_LIMIT = "hugginggpt_max_models"


def models_at_once(config: RunnableConfig, max_parallel: int) -> int:
    """How many models may run at once: the Context's limit, or the caller's `max_concurrency` if lower."""
    limit: int = config.get("configurable", {}).get(_LIMIT, max_parallel)
    return min(max_parallel, limit)


def _ungated(config: RunnableConfig | None) -> RunnableConfig:
    """The config with `max_concurrency` meant for models only.

    LangGraph counts against it also tasks that wait for their inputs, and the storing of finished
    results (`AsyncBackgroundExecutor`, langgraph 1.2): results would be stored late, and lost in a kill.
    """
    config = ensure_config(config)
    limit = config.get("max_concurrency")
    if limit in {None, _NO_LIMIT}:
        return config
    configurable = {**config["configurable"], _LIMIT: limit}
    return {**config, "max_concurrency": _NO_LIMIT, "configurable": configurable}


class CompiledGraph(CompiledStateGraph[State, Context, Input, Output]):
    """A compiled graph that runs the same under `invoke` and `stream` as under `ainvoke` and `astream`."""

    def astream(
        self,
        input: Any,  # noqa: A002, ANN401, as Pregel has it
        config: RunnableConfig | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> AsyncIterator[Any]:
        """As `Pregel.astream`; `max_concurrency` limits how many models run at once."""
        return super().astream(input, _ungated(config), **kwargs)

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
