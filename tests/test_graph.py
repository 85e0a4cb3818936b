"""The compiled graph: repair, retry, fallback, replanning, turns. The runtime and the controller are
doubles at the protocols' edge; the index, the store and everything between are real."""

import asyncio

import pytest
from doubles import generate
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph

from hugginggpt.graph import dataflow
from hugginggpt.graph.app import builder, graph
from hugginggpt.graph.context import Context
from hugginggpt.graph.state import shortfalls
from hugginggpt.tools.artifacts import ArtifactError
from hugginggpt.tools.breaker import FAULTS
from hugginggpt.tools.seen import Seen

pytestmark = pytest.mark.usefixtures("bench")


def ask(text="go", **context):
    return graph.ainvoke({"messages": [HumanMessage(text)]}, context=Context(**context))


def statuses(output):
    return {result["id"]: result["status"] for result in output["results"]}


async def test_a_request_is_planned_selected_executed_and_answered(script):
    script([generate(0, "a"), generate(1, {"from": 0})])
    output = await ask()
    assert output["messages"][-1].text == "0=<a>;1=<<a>>;"
    assert statuses(output) == {0: "done", 1: "done"}
    assert output.keys() == {"messages", "results", "artifacts", "usage"}


async def test_an_empty_plan_goes_straight_to_the_answer(script):
    script([])
    steps = [step async for step in graph.astream({"messages": [HumanMessage("hi")]}, stream_mode="updates")]
    assert [name for step in steps for name in step] == ["plan", "synthesize"]


async def test_a_faulty_plan_is_repaired_with_its_problems_fed_back(script):
    scripted = script([generate(0, {"from": 9})], [generate(0, "a")])
    output = await ask()
    assert scripted.feedback == [[], ["task 0: 'text' refers to task 9, which is not there"]]
    assert statuses(output) == {0: "done"}


async def test_what_stays_faulty_is_dropped_and_the_rest_is_run(script):
    faulty = [generate(0, {"from": 9}), generate(1, "a"), generate(2, {"from": 0})]
    scripted = script(faulty, faulty, faulty)
    output = await ask(max_repairs=2)
    assert len(scripted.feedback) == 3
    assert statuses(output) == {0: "failed", 1: "done", 2: "failed"}
    assert output["results"][0]["error"]["kind"] == "invalid-plan"


async def test_a_dropped_task_never_takes_the_place_of_an_earlier_result(script):
    script([generate(0, "a")], [generate(0, "b"), generate(0, "c")])
    run = builder.compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "t"}}
    await run.ainvoke({"messages": [HumanMessage("one")]}, config)
    output = await run.ainvoke({"messages": [HumanMessage("two")]}, config, context=Context(max_repairs=0))
    assert statuses(output) == {0: "done", 1: "failed", 2: "failed"}
    assert output["results"][0]["outputs"]["text"] == "<a>"


async def test_an_unknown_task_ends_in_a_clear_answer(script):
    script([{"id": 0, "task": "make-coffee"}])
    output = await ask(max_repairs=0)
    assert "'make-coffee' is not a task" in output["messages"][-1].text


async def test_a_transient_fault_is_tried_again(script, models):
    models("flaky")
    script([generate(0, "a")])
    result = (await ask())["results"][0]
    assert result["status"] == "done"
    assert [attempt["error"] for attempt in result["attempts"]] == ["try again", "try again", None]


@pytest.mark.parametrize("fault", ["broken", "crash", "wrong"])
async def test_a_model_that_fails_is_replaced_by_the_next_on_its_shortlist(script, models, fault):
    models(fault, "echo")
    script([generate(0, "a")])
    fallback = (await ask())["results"][0]
    used = [attempt["model"] for attempt in fallback["attempts"]]
    assert fallback["status"] == "done"
    assert fallback["model"] == "bench/echo"
    assert used[-1] == "bench/echo"
    assert fallback["outputs"]["text"] == "<a>"


async def test_a_model_that_is_down_is_passed_over_by_later_tasks_and_the_result_says_so(
    script, models, bench
):
    models("down", "echo")
    script(
        [{**generate(n, "down"), "after": list(range(n))} for n in range(3)],
    )
    results = (await ask("down", top_k=2))["results"]
    assert [model for model, _ in bench().calls].count("bench/down") == FAULTS + 1, "the second task tries on"
    assert statuses({"results": results}) == {0: "done", 1: "done", 2: "done"}
    assert results[2]["attempts"][0]["error"].startswith("passed over for another")


async def test_what_was_seen_of_models_is_kept_for_the_next_process(script, models, home):
    models("broken-twin", "twin")
    script([generate(0, "twin")])
    result = (await ask("broken twin", top_k=2))["results"][0]
    assert [attempt["model"] for attempt in result["attempts"]] == ["bench/broken-twin", "bench/twin"]
    seen = Seen(home / "seen.sqlite")
    assert seen.merit("bench/broken-twin") < 0 < seen.merit("bench/twin")
    assert seen.seconds("bench/twin", "bench") is not None


async def test_a_task_has_a_deadline(script, models):
    models("echo", "echo-too", "echo-three")
    script([generate(0, "@5 slow")])
    result = (await ask(task_timeout=0.2, task_deadline=0.3, max_retries=0, max_replans=0))["results"][0]
    assert result["error"]["kind"] == "deadline"
    assert len(result["attempts"]) == 2


async def test_a_model_that_takes_too_long_is_given_up(script, models):
    models("echo")
    script([generate(0, "@5 slow")])
    result = (await ask(task_timeout=0.05, max_retries=0, max_replans=0))["results"][0]
    assert result["error"] == {"kind": "timeout", "message": "bench/echo: no result within 0.05 s"}


async def test_a_task_whose_shortlist_is_used_up_is_selected_anew_without_what_was_tried(script, models):
    models("broken", "broken-too", "echo")
    script([generate(0, "a")])
    output = await ask(top_k=1, max_retries=2)
    tried = [attempt["model"] for attempt in output["results"][0]["attempts"]]
    assert sorted(tried[:-1]) == sorted({*tried} - {"bench/echo"})
    assert tried[-1] == "bench/echo"
    assert statuses(output) == {0: "done"}


async def test_selecting_anew_is_limited(script, models):
    models("broken", "broken-b", "broken-c", "broken-d")
    script([generate(0, "a")])
    output = await ask(top_k=1, max_retries=2, max_replans=0)
    assert len(output["results"][0]["attempts"]) == 3
    assert statuses(output) == {0: "failed"}


async def test_a_task_that_no_model_can_do_is_planned_anew_and_finished_results_are_kept(script, bench):
    impossible = {"id": 1, "task": "text-to-video", "args": {"prompt": {"from": 0}}}
    scripted = script([generate(0, "a"), impossible], [generate(2, {"from": 0})])
    output = await ask()
    assert [r["status"] for r in scripted.results[1]] == ["done", "failed"]
    assert output["results"][2]["outputs"]["text"] == "<<a>>"
    assert [text for _, text in bench().calls] == ["a", "<a>"], "a finished task never runs twice"


async def test_a_failure_that_another_plan_made_up_for_is_no_shortfall(script):
    impossible = {"id": 0, "task": "text-to-video", "args": {"prompt": "a cat"}}
    script([impossible], [generate(1, "a")])
    run = builder.compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "t"}}
    await run.ainvoke({"messages": [HumanMessage("go")]}, config)
    assert shortfalls((await run.aget_state(config)).values) == []


async def test_replanning_is_limited_and_the_reason_is_answered(script):
    impossible = [{"id": n, "task": "text-to-video", "args": {"prompt": "a cat"}} for n in range(5)]
    scripted = script(*[[task] for task in impossible])
    output = await ask(max_replans=2)
    assert len(scripted.feedback) == 3
    assert "no available model can do text-to-video" in output["messages"][-1].text


async def test_a_failed_task_fails_only_what_needs_it(script, models):
    models("broken")
    script(
        [generate(0, "a"), generate(1, {"from": 0}), generate(2, {"from": 1}), generate(3, "b", after=[0])]
    )
    output = await ask(max_retries=0, max_replans=0)
    assert statuses(output) == {0: "failed", 1: "skipped", 2: "skipped", 3: "failed"}
    assert output["results"][1]["error"]["message"] == "needs task 0 (text-generation), which failed"


async def test_a_store_that_cannot_be_written_is_no_fault_of_the_model(script, models, monkeypatch):
    def full(*args):
        raise ArtifactError("memory://: no space is left; free some")

    models("echo", "echo-too")
    monkeypatch.setattr(dataflow, "store_outputs", full)
    script([generate(0, "a")])
    result = (await ask(max_retries=0, max_replans=0))["results"][0]
    assert result["error"] == {"kind": "storage", "message": "memory://: no space is left; free some"}
    assert result["attempts"] == []


async def test_each_runs_once_per_item_and_gives_lists_in_item_order(script):
    names = {"id": 0, "task": "token-classification", "args": {"text": "@0 @0.1~Ann @0.01~Bo Cy"}}
    script([names, generate(1, {"from": 0, "each": True}), generate(2, ["All:", {"from": 1}])])
    output = await ask()
    assert output["results"][1]["outputs"]["text"] == ["<Ann>", "<Bo>", "<Cy>"]
    assert output["results"][2]["outputs"]["text"] == "<All:\n\n<Ann>\n<Bo>\n<Cy>>"


async def test_each_over_nothing_is_done_with_nothing(script):
    names = {"id": 0, "task": "token-classification", "args": {"text": "@0 "}}
    script([names, generate(1, {"from": 0, "each": True})])
    output = await ask()
    assert statuses(output) == {0: "done", 1: "done"}
    assert output["results"][1]["outputs"]["text"] == []


async def test_too_many_items_are_refused_by_number(script):
    names = {"id": 0, "task": "token-classification", "args": {"text": "a b c d"}}
    script([names, generate(1, {"from": 0, "each": True})])
    output = await ask(max_items=3, max_retries=0, max_replans=0)
    assert output["results"][1]["error"]["message"] == "4 items; at most 3 are run"


async def test_independent_tasks_run_at_once_up_to_the_limit(script, bench):
    script([generate(n, f"@0.05 {n}") for n in range(6)])
    await ask(max_parallel=3)
    assert bench().most == 3


async def test_max_concurrency_of_the_caller_limits_the_models(script, bench):
    script([generate(0, "@0.05 0"), *[generate(n, [f"@0.05 {n}", {"from": 0}]) for n in range(1, 6)]])
    await graph.ainvoke({"messages": [HumanMessage("go")]}, {"max_concurrency": 2})
    assert bench().most == 2


async def test_waiting_for_inputs_holds_no_place(script):
    script([generate(1, {"from": 0}), generate(2, {"from": 0}), generate(0, "@0.05 a")])
    assert set(statuses(await ask(max_parallel=1)).values()) == {"done"}


async def test_cancelling_stops_the_models(script, bench):
    script([generate(0, "@30 a"), generate(1, "@30 b")])
    run = asyncio.create_task(ask())
    while bench().running < 2:  # noqa: ASYNC110, the double has no event to wait for
        await asyncio.sleep(0.01)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    await asyncio.sleep(0.05)
    assert bench().running == 0


async def test_counters_and_plans_do_not_survive_into_the_next_turn(script, models):
    models("broken", "echo")
    scripted = script([generate(0, {"from": 5})], [generate(0, "a")], [generate(1, {"from": 0})])
    run = builder.compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "t"}}
    await run.ainvoke({"messages": [HumanMessage("one")]}, config)
    first = (await run.aget_state(config)).values
    assert first["repairs"] == 1
    await run.ainvoke({"messages": [HumanMessage("two")]}, config)
    state = (await run.aget_state(config)).values
    assert (state["repairs"], state["retries"], state["replans"], state["first"]) == (0, 0, 0, 1)
    assert [task.id for task in state["plan"].tasks] == [1]
    assert [r["id"] for r in scripted.results[2]] == [0], "earlier results stay within reach"
    assert state["messages"][-1].text == "1=<<a>>;"


@pytest.mark.parametrize("text", ["", "   \n"])
async def test_an_empty_request_is_answered_in_one_line(text):
    output = await graph.ainvoke({"messages": [HumanMessage(text)]})
    assert output["messages"][-1].text == "The request is empty. Say what you want done."


async def test_no_message_at_all_is_answered_in_one_line():
    output = await graph.ainvoke({"messages": []})
    assert isinstance(output["messages"][-1], AIMessage)


async def test_a_request_of_a_megabyte_is_answered_in_one_line():
    output = await ask("x" * 1_000_000)
    assert "1,000,000 characters; at most 100,000" in output["messages"][-1].text


@pytest.mark.parametrize(
    "files", [["photo.png"], [{"name": "x"}], [{"id": "sha256:" + "0" * 64, "name": "a.png"}]]
)
async def test_files_that_are_no_artifacts_end_in_a_clear_answer(files):
    output = await graph.ainvoke({"messages": [HumanMessage("read it")], "files": files})
    assert output["results"] == []
    assert "\n" not in output["messages"][-1].text


async def test_no_encoder_is_answered_in_one_line(monkeypatch):
    monkeypatch.setenv("HUGGINGGPT_ENCODER", "nobody/no-such-encoder")
    answer = (await ask("read it"))["messages"][-1].text
    assert "nobody/no-such-encoder" in answer
    assert "\n" not in answer


async def test_a_damaged_index_of_a_persons_own_is_answered_in_one_line(home, models):
    models("echo")
    [vectors] = next(home.glob("index-*")).glob("*.vectors")
    vectors.write_bytes(b"damaged")
    answer = (await ask("read it"))["messages"][-1].text
    assert vectors.name in answer
    assert "\n" not in answer


def test_invoke_and_stream_work_for_synchronous_hosts(script):
    script([generate(0, "a")], [generate(0, "b")])
    assert graph.invoke({"messages": [HumanMessage("go")]})["messages"][-1].text == "0=<a>;"
    steps = list(graph.stream({"messages": [HumanMessage("go")]}, stream_mode="updates"))
    assert [name for step in steps for name in step] == ["plan", "select", "task", "execute", "synthesize"]


async def test_invoke_works_inside_a_running_event_loop(script):
    script([generate(0, "a")])
    assert graph.invoke({"messages": [HumanMessage("go")]})["messages"][-1].text == "0=<a>;"


def test_a_stream_that_is_left_early_stops_the_run(script, bench):
    script([generate(0, "@30 a")])
    stream = graph.stream({"messages": [HumanMessage("go")]}, stream_mode="custom")
    next(chunk for chunk in stream if chunk["type"] == "task")
    stream.close()
    assert bench().running == 0


def test_a_checkpointer_without_asynchronous_methods_gets_one_clear_line(tmp_path):
    with SqliteSaver.from_conn_string(str(tmp_path / "t.sqlite")) as saver:
        run = builder.compile(checkpointer=saver)
        with pytest.raises(TypeError, match="use AsyncSqliteSaver"):
            run.invoke({"messages": [HumanMessage("go")]}, {"configurable": {"thread_id": "t"}})


class Foreign:
    """A parent graph's own context."""


@pytest.mark.parametrize("checkpointer", [None, InMemorySaver()])
async def test_it_works_as_a_subgraph_with_a_foreign_context(script, checkpointer):
    script([generate(0, "a")])
    parent = StateGraph(MessagesState, context_schema=Foreign)
    parent.add_node("hugginggpt", graph)
    parent.add_edge(START, "hugginggpt")
    run = parent.compile(checkpointer=checkpointer)
    config = {"configurable": {"thread_id": "t"}}
    output = await run.ainvoke({"messages": [HumanMessage("go")]}, config, context=Foreign())
    assert output["messages"][-1].text == "0=<a>;"


def test_it_works_as_a_subgraph_of_a_synchronous_parent(script):
    script([generate(0, "a")])
    parent = StateGraph(MessagesState)
    parent.add_node("hugginggpt", graph)
    parent.add_edge(START, "hugginggpt")
    run = parent.compile(checkpointer=InMemorySaver())
    output = run.invoke({"messages": [HumanMessage("go")]}, {"configurable": {"thread_id": "t"}})
    assert output["messages"][-1].text == "0=<a>;"


async def test_events_tell_the_plan_the_choices_and_every_task(script):
    script([generate(0, "a"), generate(1, {"from": 0})])
    events = [e async for e in graph.astream({"messages": [HumanMessage("go")]}, stream_mode="custom")]
    assert {event["v"] for event in events} == {1}
    kinds = [(e["type"], e.get("id"), e.get("status")) for e in events]
    assert kinds == [
        ("planned", None, None),
        ("planned", None, None),
        ("plan", None, None),
        ("choice", 0, None),
        ("choice", 1, None),
        ("task", 0, "running"),
        ("attempt", 0, None),
        ("task", 0, "done"),
        ("task", 1, "running"),
        ("attempt", 1, None),
        ("task", 1, "done"),
        ("answer", None, None),
        ("answer", None, None),
    ]


def test_the_context_describes_every_setting():
    schema = graph.get_context_jsonschema()
    assert all(setting.get("description") for setting in schema["properties"].values())
