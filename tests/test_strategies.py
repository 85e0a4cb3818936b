"""Strategies, through the compiled graph: the same nodes, planned once or step by step."""

import pytest
from doubles import generate
from langchain_core.messages import HumanMessage

from hugginggpt.graph.app import graph
from hugginggpt.graph.context import Context

pytestmark = pytest.mark.usefixtures("bench")


def ask(**context):
    return graph.ainvoke({"messages": [HumanMessage("go")]}, context=Context(**context))


def statuses(output):
    return {result["id"]: result["status"] for result in output["results"]}


async def test_react_runs_one_task_at_a_time_each_decided_on_what_was_observed(script, bench):
    many = [generate(0, "a"), generate(1, "never run")]
    scripted = script(many, [generate(1, {"from": 0})], [])
    output = await ask(strategy="react")
    assert [[r["outputs"]["text"] for r in seen] for seen in scripted.results] == [
        [],
        ["<a>"],
        ["<a>", "<<a>>"],
    ]
    assert [text for _, text in bench().calls] == ["a", "<a>"]
    assert output["messages"][-1].text == "0=<a>;1=<<a>>;"


async def test_adaptive_runs_what_is_ready_and_plans_the_rest_anew(script, bench):
    first = [generate(0, "a"), generate(1, "b"), generate(2, {"from": 0})]
    scripted = script(first, [generate(2, ["new", {"from": 1}])], [])
    output = await ask(strategy="adaptive")
    assert [len(seen) for seen in scripted.results] == [0, 2, 3]
    assert sorted(text for _, text in bench().calls) == ["a", "b", "new\n\n<b>"]
    assert statuses(output) == {0: "done", 1: "done", 2: "done"}


@pytest.mark.parametrize("strategy", ["adaptive", "react"])
async def test_steps_are_limited_and_the_last_one_runs_all_that_is_planned(script, strategy):
    scripted = script(*[[generate(n, "a"), generate(n + 1, {"from": n})] for n in range(9)])
    output = await ask(strategy=strategy, max_steps=3)
    assert len(scripted.results) == 3
    assert statuses(output) == dict.fromkeys(range(4 if strategy == "adaptive" else 3), "done")


@pytest.mark.parametrize("strategy", ["adaptive", "react"])
async def test_a_failed_step_is_told_to_the_controller_and_another_way_makes_up_for_it(script, strategy):
    impossible = {"id": 0, "task": "text-to-video", "args": {"prompt": "a cat"}}
    scripted = script([impossible], [generate(1, "a")], [])
    output = await ask(strategy=strategy)
    assert [[r["status"] for r in seen] for seen in scripted.results] == [[], ["failed"], ["failed", "done"]]
    assert output["messages"][-1].text == "1=<a>;"


async def test_a_controller_that_plans_once_is_asked_once_and_says_so(script):
    scripted = script([generate(0, "a"), generate(1, {"from": 0})], [generate(2, "again")])
    scripted.stepwise = False
    output = await ask(strategy="react")
    assert statuses(output) == {0: "done", 1: "done"}
    assert "The strategy react needs a language model" in output["messages"][-1].text
