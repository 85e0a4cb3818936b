"""What the nodes read and write, what comes in and what goes out."""

from collections.abc import Iterable
from typing import Annotated

from langchain_core.messages import AnyMessage
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict

from hugginggpt.graph.context import Strategy
from hugginggpt.graph.plan import Plan, Task
from hugginggpt.tools.runtime import Candidate
from hugginggpt.tools.values import Artifact, Result


def add_files(old: list[Artifact], new: list[Artifact]) -> list[Artifact]:
    """The thread's files, newest last; a new file takes the place of an old one of its name."""
    names = [file.get("name") for file in new if isinstance(file, dict)]
    return [file for file in old if file.get("name") not in names] + list(new)


def add_results(old: list[Result], new: list[Result]) -> list[Result]:
    """The thread's results by id; a new one takes the place of an old one of its id."""
    return sorted(({r["id"]: r for r in old} | {r["id"]: r for r in new}).values(), key=lambda r: r["id"])


class Input(TypedDict, total=False):
    """A turn: the request is the last human message. Files are uploaded first and named here."""

    messages: Annotated[list[AnyMessage], add_messages]
    files: Annotated[list[Artifact], add_files]


class Usage(TypedDict):
    """What one call of a language model took. `stage` is plan, choose, execute or answer."""

    stage: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float


class Output(TypedDict):
    """The thread's messages, answer last; all its results; the files that this turn made; and what its
    language models used."""

    messages: Annotated[list[AnyMessage], add_messages]
    results: Annotated[list[Result], add_results]
    artifacts: list[Artifact]
    usage: list[Usage]


class State(TypedDict, total=False):
    """Messages, files and results live as long as the thread; everything else belongs to one turn."""

    messages: Annotated[list[AnyMessage], add_messages]
    files: Annotated[list[Artifact], add_files]
    results: Annotated[list[Result], add_results]
    artifacts: list[Artifact]
    request: str
    """Id of the message that is being answered; empty between turns."""
    first: int
    """Id of the turn's first task."""
    plan: Plan
    problems: list[str]
    """What is wrong with the plan, or with the request where `request` is empty."""
    choices: dict[int, list[Candidate]]
    """Per task the candidates in the order in which they are tried, the choice first."""
    notices: list[str]
    """What went otherwise than asked in this turn, a line each; it ends the answer."""
    usage: list[Usage]
    strategy: Strategy
    """The Context's, or `plan` where the controller can only plan once."""
    steps: int
    repairs: int
    retries: int
    replans: int


def due(state: State, max_steps: int) -> list[Task]:
    """The plan's tasks that are to run now: those that are not done, in `adaptive` only what is ready."""
    finished = done(state.get("results", []))
    rest = [task for task in state["plan"].tasks if task.id not in finished]
    if state["strategy"] != "adaptive" or state["steps"] >= max_steps:
        return rest
    waiting = {task.id for task in rest}
    return [task for task in rest if not waiting & {*task.sources, *task.after}]


def failed(state: State) -> list[Result]:
    """The results of the plan's tasks that failed; skipped ones are not among them."""
    ids = {task.id for task in state["plan"].tasks}
    return [r for r in state.get("results", []) if r["id"] in ids and r["status"] == "failed"]


def done(results: Iterable[Result]) -> dict[int, Result]:
    """The finished results by id."""
    return {result["id"]: result for result in results if result["status"] == "done"}


def turn_results(state: State) -> list[Result]:
    """The results of this turn: of its plan's tasks, and of those that could not be planned.

    What failed and was made up for by another plan is not among them.
    """
    ids = {task.id for task in state["plan"].tasks}
    return [
        result
        for result in state.get("results", [])
        if result["id"] in ids or (result["id"] >= state["first"] and _unplanned(result))
    ]


def shortfalls(state: State) -> list[Result]:
    """What this turn did not do: results that failed or were skipped."""
    return [result for result in turn_results(state) if result["error"]]


def _unplanned(result: Result) -> bool:
    return result["error"] is not None and result["error"]["kind"] == "invalid-plan"
