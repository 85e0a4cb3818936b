"""What language models cost in a turn, and when that is enough."""

import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

from langgraph.runtime import Runtime

from hugginggpt.graph.context import Context
from hugginggpt.graph.events import gathering
from hugginggpt.graph.state import State, Usage

Update = dict[str, Any]
Node = TypeVar("Node", bound=Callable[..., Awaitable[Update]])


def metered(node: Node) -> Node:
    """The node, with what its language models used added to the state."""

    @functools.wraps(node)
    async def measured(state: State, runtime: Runtime[Context]) -> Update:
        with gathering("usage") as used:
            update = await node(state, runtime)
        return {**update, "usage": [*update.get("usage", state.get("usage", [])), *used]}

    return cast("Node", measured)


def cost(usage: Sequence[Usage], context: Context) -> float:
    """US dollars, at the Context's prices per million tokens."""
    prompt = sum(use["prompt_tokens"] for use in usage) * context.prompt_price
    completion = sum(use["completion_tokens"] for use in usage) * context.completion_price
    return (prompt + completion) / 1_000_000


def exceeded(usage: Sequence[Usage], context: Context) -> str:
    """One line where a limit of the Context is reached, else nothing. Checked between the steps of a run."""
    tokens = sum(use["prompt_tokens"] + use["completion_tokens"] for use in usage)
    if context.max_tokens and tokens >= context.max_tokens:
        return f"stopped at {tokens:,} tokens, of at most {context.max_tokens:,}; raise --max-tokens"
    dollars = cost(usage, context)
    if context.max_cost and dollars >= context.max_cost:
        return f"stopped at ${dollars:.4f}, of at most ${context.max_cost:g}; raise --max-cost"
    return ""
