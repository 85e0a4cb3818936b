"""The conditional edges: what comes after what."""

from typing import Literal

from langgraph.runtime import Runtime

from hugginggpt.graph.budget import exceeded
from hugginggpt.graph.context import Context
from hugginggpt.graph.state import State, failed


def after_plan(state: State, runtime: Runtime[Context]) -> Literal["plan", "select", "synthesize", "__end__"]:
    """Repair what is faulty; run what has no result yet; answer when nothing is left, or to be spent."""
    if not state["request"]:
        return "__end__"  # the request could not be read, and the answer says so
    if exceeded(state["usage"], Context.of(runtime.context)):
        return "synthesize"
    if state["problems"]:
        return "plan"
    known = {result["id"] for result in state.get("results", [])}
    return "select" if any(task.id not in known for task in state["plan"].tasks) else "synthesize"


def after_execute(state: State, runtime: Runtime[Context]) -> Literal["select", "plan", "synthesize"]:
    """Other models for what failed, then the next step or another plan, each a limited number of times."""
    context = Context.of(runtime.context)
    if exceeded(state["usage"], context):
        return "synthesize"
    broken = failed(state)
    if any(result["attempts"] for result in broken) and state["retries"] < context.max_retries:
        return "select"
    if state["strategy"] != "plan":
        return "plan" if state["steps"] < context.max_steps else "synthesize"
    return "plan" if broken and state["replans"] < context.max_replans else "synthesize"
