"""The four nodes. They read the state, ask the controller, the index or the dataflow, and write the state."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, cast

from langchain_core.messages import AIMessage, AnyMessage
from langgraph.config import get_config
from langgraph.graph.message import add_messages
from langgraph.runtime import Runtime

from hugginggpt.graph import resources
from hugginggpt.graph.arguments import Sources
from hugginggpt.graph.budget import exceeded, metered
from hugginggpt.graph.calls import StartOver
from hugginggpt.graph.compiled import models_at_once
from hugginggpt.graph.context import Context, Home, SettingsError
from hugginggpt.graph.controller import Controller, controller_for, notices
from hugginggpt.graph.dataflow import Job, failure, run_plan
from hugginggpt.graph.events import tell
from hugginggpt.graph.plan import Known, Plan, Task, problems, sound_part
from hugginggpt.graph.reading import Unreadable
from hugginggpt.graph.shortlist import query, shortlist, why_none
from hugginggpt.graph.speaking import speak
from hugginggpt.graph.state import State, add_files, done, due, failed, turn_results
from hugginggpt.graph.turn import BadRequestError, begin, history, request_message
from hugginggpt.index.errors import ModelIndexError
from hugginggpt.index.search import Index
from hugginggpt.tools.artifacts import ArtifactError
from hugginggpt.tools.attempts import Limits
from hugginggpt.tools.encoder import EncoderError
from hugginggpt.tools.media import BadFileError, modality_of
from hugginggpt.tools.runtime import Candidate
from hugginggpt.tools.tasks import TASKS
from hugginggpt.tools.values import Artifact, Error, Result
from hugginggpt.tools.views import artifacts_in

Update = dict[str, Any]

# What keeps a turn from beginning; each says why in one line.
_REFUSALS = (SettingsError, BadRequestError, BadFileError, ArtifactError, EncoderError, ModelIndexError)


@metered
async def plan(state: State, runtime: Runtime[Context]) -> Update:
    """Begin a turn; or repair its plan, or make another; and check what the controller came up with."""
    home = Home.from_environment()
    try:
        context = Context.of(runtime.context)
        controller = controller_for(home, context)
        await asyncio.to_thread(resources.runtimes, home, context)  # that their settings can be used
        begun = await _begun(state, context, home)
    except _REFUSALS as error:
        return _refused(str(error))
    state = _applied(state, begun)
    another = bool(failed(state)) and not state["problems"]
    stepping = state["strategy"] != "plan"
    update: Update = {**begun, "replans": state["replans"] + (another and not stepping)}
    files, results = state.get("files", []), state.get("results", [])
    asked = Asked(request_message(state).text, files, history(state), results, state["problems"])
    one = state["strategy"] == "react" and controller.stepwise
    index = await asyncio.to_thread(resources.index, home)
    drafted, found = await draft(controller, asked, context, one=one, index=index)
    update["notices"] = [*state.get("notices", []), *notices(controller)]
    if stepping and not controller.stepwise:  # it plans all at once, so it may only be the first to plan
        drafted, found = (Plan(), []) if state["steps"] else (drafted, found)
        update["strategy"] = "plan"
        update["notices"] += [f"The strategy {state['strategy']} needs a language model; planned once."]
    kept = [task for task in state["plan"].tasks if task.id in done(results)]
    if found and state["repairs"] < context.max_repairs:
        whole = Plan(tasks=[*kept, *drafted.tasks])
        return {**update, "plan": whole, "problems": found, "repairs": state["repairs"] + 1}
    sound, dropped = sound_part(drafted, _known(files, results), context.max_tasks)
    update |= {"problems": [], "results": _unplanned(drafted, dropped, results), "steps": state["steps"] + 1}
    told = tuple(f"task {id_}:" for id_ in dropped)  # by their results
    update["notices"] += [f"Left out of the plan: {line}." for line in found if not line.startswith(told)]
    if another and not sound.tasks:  # there is no other way: what failed stays, and the answer says so
        tried = {result["id"] for result in results}
        return {**update, "plan": Plan(tasks=[task for task in state["plan"].tasks if task.id in tried])}
    whole = Plan(tasks=[*kept, *sound.tasks])
    tell("plan", controller=controller.name, tasks=[_wire(task) for task in whole.tasks])
    return {**update, "plan": whole}


async def _begun(state: State, context: Context, home: Home) -> Update:
    """The beginning of a turn; nothing in the middle of one."""
    if state.get("request") == request_message(state).id:
        return {}
    begun = await begin(state, context, await asyncio.to_thread(resources.store, home))
    if not await asyncio.to_thread(resources.is_prepared, home):
        tell("notice", message="preparing the encoder and the index of models; this takes a minute, once")
    await asyncio.to_thread(resources.runtimes, home, context)
    # What is wrong with them is said before anything is planned.
    await asyncio.to_thread(resources.encoder, home)
    await asyncio.to_thread(resources.index, home)
    return begun


@dataclass(frozen=True, slots=True)
class Asked:
    """What a controller is asked to plan; see `Controller.plan`."""

    request: str
    files: Sequence[Artifact] = ()
    history: Sequence[AnyMessage] = ()
    results: Sequence[Result] = ()
    feedback: Sequence[str] = ()


async def draft(
    controller: Controller, asked: Asked, context: Context, *, one: bool = False, index: Index | None = None
) -> tuple[Plan, list[str]]:
    """The controller's new tasks, and what is wrong with them. Stops listening past the task limit.

    With `one`, its first task. With an index, every task's search is prepared while the plan is written.
    """
    tasks: list[Task] = []
    unreadable: list[str] = []
    ahead: list[Awaitable[None]] = []
    plan = controller.plan(asked.request, asked.files, asked.history, asked.results, asked.feedback)
    async with aclosing(plan) as items:  # type: ignore[type-var]
        async for item in items:
            if isinstance(item, StartOver):
                tasks, unreadable = [], []
            elif isinstance(item, Unreadable):
                unreadable.append(item.line)
            else:
                tasks.append(item)
                tell("planned", task=_wire(item))
                if index and item.task in TASKS:
                    words = query(item, asked.request)
                    ahead.append(asyncio.ensure_future(asyncio.to_thread(index.prepare, words)))
            if (one and tasks) or max(len(tasks), len(unreadable)) > context.max_tasks:
                break
    await asyncio.gather(*ahead)
    drafted = Plan(tasks=tasks)
    known = _known(asked.files, asked.results)
    return drafted, [*problems(drafted, known, context.max_tasks), *unreadable]


@metered
async def select(state: State, runtime: Runtime[Context]) -> Update:
    """A shortlist for every task that is due, and the controller's choice from each."""
    context, home = Context.of(runtime.context), Home.from_environment()
    tried = {result["id"]: result for result in state.get("results", [])}
    todo = due(state, context.max_steps)
    request = request_message(state).text

    def look_up() -> dict[int, list[Candidate]]:
        index, seen = resources.index(home), resources.seen(home)
        runtimes, k = resources.runtimes(home, context), context.top_k
        return {t.id: shortlist(t, request, index, runtimes, k, tried.get(t.id), seen) for t in todo}

    lists = await asyncio.to_thread(look_up)
    open_ = {id_: candidates for id_, candidates in lists.items() if candidates}
    controller = controller_for(home, context)
    chosen = await controller.choose(request, state["plan"], open_) if open_ else {}
    choices = {id_: _chosen_first(chosen.get(id_), candidates) for id_, candidates in lists.items()}
    for id_, candidates in choices.items():
        if candidates:
            first, models = candidates[0], [candidate.card.id for candidate in candidates]
            tell("choice", id=id_, model=first.card.id, runtime=first.runtime, shortlist=models)
    told = [*state.get("notices", []), *notices(controller)]
    return {"choices": choices, "retries": state["retries"] + bool(failed(state)), "notices": told}


@metered
async def execute(state: State, runtime: Runtime[Context]) -> Update:
    """Run what is due."""
    context, home = Context.of(runtime.context), Home.from_environment()
    finished, before = done(state.get("results", [])), {r["id"]: r for r in state.get("results", [])}
    todo = due(state, context.max_steps)
    without = [task for task in todo if not state["choices"].get(task.id)]

    def open_() -> Job:
        runtimes = resources.runtimes(home, context)
        files = {file["name"]: file for file in state.get("files", [])}
        return Job(
            sources=Sources(finished, files, resources.store(home)),
            choices=state["choices"],
            reasons={t.id: why_none(t, resources.index(home), runtimes, before.get(t.id)) for t in without},
            runtimes=runtimes,
            limits=Limits(context.task_timeout, context.max_attempts, context.task_deadline),
            places=asyncio.Semaphore(models_at_once(get_config(), context.max_parallel)),
            max_items=context.max_items,
            circuits=resources.circuits(home),
            seen=resources.seen(home),
        )

    job = await asyncio.to_thread(open_)
    results = await run_plan(Plan(tasks=todo), job)
    await asyncio.to_thread(job.seen.save)
    return {"results": [_continued(before.get(result["id"]), result) for result in results]}


@metered
async def synthesize(state: State, runtime: Runtime[Context]) -> Update:
    """The answer, from what this turn gave, and what went otherwise than asked."""
    context = Context.of(runtime.context)
    over = exceeded(state["usage"], context)
    unrun = [_skipped(task, over) for task in _unrun(state)]
    results = [*turn_results(state), *unrun]
    asked = replace(context, llm="embedded", max_cost=0.0) if over else context
    controller = controller_for(Home.from_environment(), asked)

    async def pieces() -> AsyncIterator[str]:
        async for piece in controller.answer(request_message(state).text, results, history(state)):
            yield piece
        for line in dict.fromkeys([*state.get("notices", []), *notices(controller)]):
            yield f"\n\nNote: {line}"
        if over:
            yield f"\n\nNote: {over}"

    answer = await speak(pieces())
    made = [artifact for result in results for artifact in artifacts_in(result["outputs"])]
    artifacts = list({artifact["id"]: artifact for artifact in made}.values())
    return {"messages": [answer], "results": unrun, "artifacts": artifacts, "request": ""}


def _skipped(task: Task, why: str) -> Result:
    return {**failure(task.id, task.task, Error(kind="budget", message=why)), "status": "skipped"}


def _unrun(state: State) -> list[Task]:
    """The plan's tasks that have no result, as when the run was stopped before them."""
    known = {result["id"] for result in state.get("results", [])}
    return [task for task in state["plan"].tasks if task.id not in known]


def _applied(state: State, update: Update) -> State:
    """The state as LangGraph will have it after `update`."""
    messages = add_messages(state["messages"], update.get("messages", []))  # type: ignore[arg-type]
    files = add_files(state.get("files", []), update.get("files", []))
    return cast("State", {**state, **update, "messages": messages, "files": files})


def _refused(line: str) -> Update:
    """The end of a turn that could not begin: the answer says why, and so does `problems`."""
    return {"messages": [AIMessage(line)], "request": "", "plan": Plan(), "problems": [line], "artifacts": []}


def _known(files: Sequence[Artifact], results: Sequence[Result]) -> Known:
    listed = {
        r["id"]: (r["task"], isinstance(r["outputs"].get("text"), list)) for r in done(results).values()
    }
    return Known(files={file["name"]: modality_of(file) for file in files}, results=listed)


def _chosen_first(choice: Candidate | None, candidates: list[Candidate]) -> list[Candidate]:
    """The choice, then the others by rank; by rank alone where the choice is not on the shortlist."""
    return sorted(candidates, key=lambda candidate: candidate != choice)


def _continued(before: Result | None, after: Result) -> Result:
    """A result with the attempts of an earlier round; where no model was left, the earlier error stays."""
    if before is None:
        return after
    attempts = [*before["attempts"], *after["attempts"]]
    error = (
        before["error"] if before["attempts"] and not after["attempts"] and after["error"] else after["error"]
    )
    return {**after, "attempts": attempts, "error": error}


def _unplanned(drafted: Plan, dropped: Mapping[int, str], results: Sequence[Result]) -> list[Result]:
    """A failed result for every task that was dropped, under an id of its own where its id is taken."""
    taken = {result["id"] for result in results}
    free = itertools.count(max([*taken, *(task.id for task in drafted.tasks)], default=-1) + 1)
    failures = []
    for task in drafted.tasks:
        if task.id in dropped:
            id_ = next(free) if task.id in taken else task.id
            taken.add(id_)
            error = Error(kind="invalid-plan", message=dropped[task.id])
            failures.append(failure(id_, task.task, error))
    return failures


def _wire(task: Task) -> dict[str, Any]:
    """The task as JSON, fields that say nothing left out."""
    return task.model_dump(by_alias=True, exclude_defaults=True)
