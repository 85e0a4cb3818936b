"""Runs a plan's tasks, each the moment its inputs exist.

Every task is a LangGraph `@task`, so that each finished one is checkpointed by itself and a resumed
run does not repeat it. On resume LangGraph matches stored results to calls by *call order*; that is
why all tasks are called up front, in the plan's order, and wait inside for their inputs, and why the
items of an `each` task are called in item order before any is awaited.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec, TypeVar, cast

from langgraph.func import task as langgraph_task

from hugginggpt.graph.arguments import Sources
from hugginggpt.graph.events import tell
from hugginggpt.graph.plan import Plan, Task, order
from hugginggpt.tools.artifacts import ArtifactError
from hugginggpt.tools.attempts import Call, Limits, Run, run_shortlist
from hugginggpt.tools.breaker import Circuits
from hugginggpt.tools.media import BadFileError
from hugginggpt.tools.readers import UnreadableError
from hugginggpt.tools.runtime import Candidate, Runtime
from hugginggpt.tools.seen import Seen
from hugginggpt.tools.tasks import TASKS
from hugginggpt.tools.values import Attempt, Error, Inputs, Outputs, Result
from hugginggpt.tools.views import artifacts_in, store_outputs

_log = logging.getLogger(__name__)

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Function = Callable[_P, Coroutine[Any, Any, _T]]

_WAS = {"failed": "failed", "skipped": "was skipped"}


def checkpointed(name: str) -> Callable[[_Function[_P, _T]], Callable[_P, Awaitable[_T]]]:
    """LangGraph's `@task`, typed as what it makes of an asynchronous function."""
    decorate: Callable[[_Function[_P, _T]], Callable[_P, Awaitable[_T]]] = cast(
        "Any", langgraph_task(name=name)
    )
    return decorate


@dataclass(frozen=True)
class Job:
    """What the tasks of one execution share. `places` limits how many models run at once."""

    sources: Sources
    choices: Mapping[int, Sequence[Candidate]]
    reasons: Mapping[int, str]
    """Per task without a candidate, why there is none and what would help."""
    runtimes: Mapping[str, Runtime]
    limits: Limits
    places: asyncio.Semaphore
    max_items: int
    circuits: Circuits = field(default_factory=Circuits)
    seen: Seen = field(default_factory=Seen)


async def run_plan(plan: Plan, job: Job) -> list[Result]:
    """Run all tasks of the plan that are not done yet; their results, in the plan's order.

    Must be called inside a LangGraph node. A failed task fails only the tasks that need its result.
    """
    calls: dict[int, Awaitable[Result]] = {}
    for task in order(plan):
        if task.id not in job.sources.results:
            needed = {id_: calls[id_] for id_ in dict.fromkeys([*task.sources, *task.after]) if id_ in calls}
            calls[task.id] = _run_task(task, needed, job)
    return list(await asyncio.gather(*calls.values()))


@checkpointed("task")
async def _run_task(task: Task, needed: Mapping[int, Awaitable[Result]], job: Job) -> Result:
    """One task: wait for what it needs, run it once or once per item, and say what became of it."""
    fresh = {id_: await call for id_, call in needed.items()}
    results = {**job.sources.results, **fresh}
    lost = next((results[id_] for id_ in task.sources if results[id_]["status"] != "done"), None)
    if lost:
        message = f"needs task {lost['id']} ({lost['task']}), which {_WAS[lost['status']]}"
        return _ended(task, {**_without(task, "skipped", message), "status": "skipped"})
    job = replace(job, sources=replace(job.sources, results=results))
    _tell("task", task, status="running")
    started = time.monotonic()
    try:
        result = await _run_inputs(task, job)
    except (BadFileError, UnreadableError) as error:
        result = _without(task, "bad-input", str(error))
    except ArtifactError as error:
        result = _without(task, "storage", str(error))
    except Exception as error:  # noqa: BLE001, one task's fault is never another's
        _log.exception("task %s (%s) failed", task.id, task.task)
        result = _without(task, "internal", f"{type(error).__name__}: {error}")
    return _ended(task, {**result, "seconds": round(time.monotonic() - started, 4)})


async def _run_inputs(task: Task, job: Job) -> Result:
    if not job.choices.get(task.id):
        return _without(task, "no-model", job.reasons.get(task.id, f"no model is left for {task.task}"))
    runs = await asyncio.to_thread(job.sources.each_inputs, task)
    if task.each is None:
        return _result(task, await _run_model(task, f"{task.task}-{task.id}", runs[0], job))
    if len(runs) > job.max_items:
        return _without(task, "too-many-items", f"{len(runs)} items; at most {job.max_items} are run")
    calls = [_run_item(task, n, inputs, job) for n, inputs in enumerate(runs)]
    return _gathered(task, list(await asyncio.gather(*calls)))


@checkpointed("item")
async def _run_item(task: Task, number: int, inputs: Inputs, job: Job) -> Result:
    return _result(task, await _run_model(task, f"{task.task}-{task.id}-{number + 1}", inputs, job))


async def _run_model(task: Task, stem: str, inputs: Inputs, job: Job) -> Run:
    """Work through the task's shortlist, holding one of the places; outputs are stored as artifacts."""

    async def accept(outputs: Outputs) -> Outputs:
        spec, store = TASKS[task.task], job.sources.store
        return await asyncio.to_thread(store_outputs, spec, outputs, inputs, store, stem)

    def report(attempt: Attempt) -> None:
        _tell("attempt", task, **attempt)

    async with job.places:
        call = Call(task.task, inputs, job.runtimes, job.limits, accept, report, job.circuits, job.seen)
        run = await run_shortlist(job.choices[task.id], call)
    for artifact in artifacts_in(run.outputs):
        _tell("artifact", task, artifact=artifact)
    return run


def _result(task: Task, run: Run) -> Result:
    return Result(
        id=task.id,
        task=task.task,
        status="failed" if run.error else "done",
        model=run.candidate.card.id if run.candidate else None,
        runtime=run.candidate.runtime if run.candidate else None,
        seconds=0.0,
        attempts=run.attempts,
        outputs=run.outputs or {},
        error=run.error,
    )


def _gathered(task: Task, items: Sequence[Result]) -> Result:
    """The result of an `each` task: lists in item order. What finished is kept even if an item failed."""
    bad = [item for item in items if item["error"]]
    error = None
    if bad and bad[0]["error"]:
        message = f"{len(bad)} of {len(items)} items failed; the first: {bad[0]['error']['message']}"
        error = Error(kind=bad[0]["error"]["kind"], message=message)
    ports = dict.fromkeys([*TASKS[task.task].outputs, "text"])
    models = [item["model"] for item in items if item["model"]]
    runtimes = [item["runtime"] for item in items if item["runtime"]]
    return Result(
        id=task.id,
        task=task.task,
        status="failed" if error else "done",
        model=max(models, key=models.count, default=None),
        runtime=max(runtimes, key=runtimes.count, default=None),
        seconds=0.0,
        attempts=[attempt for item in items for attempt in item["attempts"]],
        outputs={port: [item["outputs"].get(port) for item in items] for port in ports},
        error=error,
    )


def failure(id_: int, task: str, error: Error) -> Result:
    """The result of a task on which no model was tried."""
    return Result(
        id=id_,
        task=task,
        status="failed",
        model=None,
        runtime=None,
        seconds=0.0,
        attempts=[],
        outputs={},
        error=error,
    )


def _without(task: Task, kind: str, message: str) -> Result:
    return failure(task.id, task.task, Error(kind=kind, message=message))


def _ended(task: Task, result: Result) -> Result:
    _tell("task", task, **{k: result[k] for k in ("status", "model", "runtime", "seconds", "error")})
    return result


def _tell(type_: str, task: Task, **facts: Any) -> None:  # noqa: ANN401
    tell(type_, id=task.id, task=task.task, **facts)
