"""The four nodes. They read the state, ask the controller, the index or the dataflow, and write the state."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, cast

from langchain_core.messages import AIMessage, AnyMessage
from langgraph.config import get_config
from langgraph.graph.message import add_messages
from langgraph.runtime import Runtime

from hugginggpt.graph import resources
from hugginggpt.graph.arguments import Sources
from hugginggpt.graph.calls import StartOver
from hugginggpt.graph.compiled import models_at_once
from hugginggpt.graph.context import Context, Home, SettingsError
from hugginggpt.graph.controller import Controller, controller_for, notices
from hugginggpt.graph.dataflow import Job, failure, run_plan
from hugginggpt.graph.events import tell
from hugginggpt.graph.plan import Known, Plan, Task, problems, sound_part
from hugginggpt.graph.reading import Unreadable
from hugginggpt.graph.shortlist import shortlist, why_none
from hugginggpt.graph.speaking import speak
from hugginggpt.graph.state import State, add_files, done, due, failed, turn_results
from hugginggpt.graph.turn import BadRequestError, begin, history, request_message
from hugginggpt.index.errors import ModelIndexError
from hugginggpt.tools.artifacts import ArtifactError
from hugginggpt.tools.attempts import Limits
from hugginggpt.tools.encoder import EncoderError
from hugginggpt.tools.media import BadFileError, modality_of
from hugginggpt.tools.runtime import Candidate
from hugginggpt.tools.values import Artifact, Error, Result
from hugginggpt.tools.views import artifacts_in

Update = dict[str, Any]

# What keeps a turn from beginning; each says why in one line.
_REFUSALS = (SettingsError, BadRequestError, BadFileError, ArtifactError, EncoderError, ModelIndexError)


async def plan(state: State, runtime: Runtime[Context]) -> Update:
    """Begin a turn; or repair its plan, or make another; and check what the controller came up with."""
    home = Home.from_environment()
    try:
        context = Context.of(runtime.context)
        controller = controller_for(home, context)
        begun = await _begun(state, context, home)
    except _REFUSALS as error:
        return _refused(str(error))
    state = _applied(state, begun)
    another = bool(failed(state)) and not state["problems"]
    stepping = state["strategy"] != "plan"
    update: Update = {**begun, "replans": state["replans"] + (another and not stepping)}
    text = request_message(state).text
    files, results = state.get("files", []), state.get("results", [])
    one = state["strategy"] == "react" and controller.stepwise
    drafted, found = await draft(
        controller, text, files, history(state), results, state["problems"], context, one=one
    )
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
    await asyncio.to_thread(resources.index, home)  # says what is wrong with it before anything is planned
    return begun


async def draft(
    controller: Controller,
    request: str,
    files: Sequence[Artifact],
    history: Sequence[AnyMessage],
    results: Sequence[Result],
    feedback: Sequence[str],
    context: Context,
    *,
    one: bool = False,
) -> tuple[Plan, list[str]]:
    """The controller's new tasks, and what is wrong with them. Stops listening past the task limit.

    With `one`, its first task.
    """
    tasks: list[Task] = []
    unreadable: list[str] = []
    async with aclosing(controller.plan(request, files, history, results, feedback)) as items:  # type: ignore[type-var]
        async for item in items:
            if isinstance(item, StartOver):
                tasks, unreadable = [], []
            elif isinstance(item, Unreadable):
                unreadable.append(item.line)
            else:
                tasks.append(item)
                tell("planned", task=_wire(item))
            if (one and tasks) or max(len(tasks), len(unreadable)) > context.max_tasks:
                break
    drafted = Plan(tasks=tasks)
    return drafted, [*problems(drafted, _known(files, results), context.max_tasks), *unreadable]


async def select(state: State, runtime: Runtime[Context]) -> Update:
    """A shortlist for every task that is due, and the controller's choice from each."""
    context, home = Context.of(runtime.context), Home.from_environment()
    tried = {result["id"]: result for result in state.get("results", [])}
    todo = due(state, context.max_steps)
    request = request_message(state).text

    def look_up() -> dict[int, list[Candidate]]:
        index, runtimes = resources.index(home), resources.runtimes(home, context)
        return {t.id: shortlist(t, request, index, runtimes, context.top_k, tried.get(t.id)) for t in todo}

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
            limits=Limits(context.task_timeout, context.max_attempts),
            places=asyncio.Semaphore(models_at_once(get_config(), context.max_parallel)),
            max_items=context.max_items,
        )

    results = await run_plan(Plan(tasks=todo), await asyncio.to_thread(open_))
    return {"results": [_continued(before.get(result["id"]), result) for result in results]}


async def synthesize(state: State, runtime: Runtime[Context]) -> Update:
    """The answer, from what this turn gave, and what went otherwise than asked."""
    results = turn_results(state)
    controller = controller_for(Home.from_environment(), Context.of(runtime.context))

    async def pieces() -> AsyncIterator[str]:
        async for piece in controller.answer(request_message(state).text, results, history(state)):
            yield piece
        for line in dict.fromkeys([*state.get("notices", []), *notices(controller)]):
            yield f"\n\nNote: {line}"

    answer = await speak(pieces())
    made = [artifact for result in results for artifact in artifacts_in(result["outputs"])]
    artifacts = list({artifact["id"]: artifact for artifact in made}.values())
    return {"messages": [answer], "artifacts": artifacts, "request": ""}


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
