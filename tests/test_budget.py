"""What language models use is counted, and a limit stops a run between its steps. Over a real server."""

import pytest
from doubles import generate
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from hugginggpt.graph.app import builder, graph
from hugginggpt.graph.context import Context

pytestmark = pytest.mark.usefixtures("bench")
PLAN = [generate(0, "a"), generate(1, {"from": 0})]


def ask(**context):
    return graph.ainvoke({"messages": [HumanMessage("Write it.")]}, context=Context(**context))


async def test_tokens_and_seconds_of_every_call_are_in_the_output(llm):
    llm.says(plan=PLAN, answer="Here it is.")
    output = await ask()
    assert [use["stage"] for use in output["usage"]] == ["plan", "answer"]
    assert all(use["prompt_tokens"] > 50 and use["completion_tokens"] > 1 for use in output["usage"])
    assert all(use["seconds"] > 0 and use["model"] == "openai:scripted" for use in output["usage"])


async def test_tokens_are_estimated_where_the_server_counts_none(llm):
    llm.takes -= {"usage"}
    llm.says(plan=PLAN, answer="Here it is.")
    output = await ask()
    assert output["usage"][0]["prompt_tokens"] == pytest.approx(1150, abs=150)


async def test_the_embedded_controller_uses_nothing():
    assert (await ask(llm="embedded"))["usage"] == []


async def test_what_is_finished_is_answered_when_the_tokens_are_used_up(llm):
    llm.says(plan=([generate(0, "a")], [generate(1, "b")], []), answer="Never asked.")
    output = await ask(strategy="react", max_tokens=1500)
    assert [r["status"] for r in output["results"]] == ["done", "skipped"]
    answer = output["messages"][-1].text
    assert "<a>" in answer
    assert "of at most 1,500; raise --max-tokens" in answer
    assert llm.asked("answer") == []


async def test_a_price_makes_a_limit_in_dollars(llm):
    llm.says(plan=PLAN)
    output = await ask(max_cost=0.001, prompt_price=1.0, completion_price=10.0)
    assert "of at most $0.001; raise --max-cost" in output["messages"][-1].text
    assert {r["error"]["kind"] for r in output["results"]} == {"budget"}


async def test_a_limit_in_dollars_without_prices_is_refused_in_one_line(llm):
    answer = (await ask(max_cost=1.0))["messages"][-1].text
    assert answer == "max_cost needs prices: set prompt_price and completion_price"


async def test_a_limit_that_is_not_reached_changes_nothing(llm):
    llm.says(plan=PLAN, answer="Here it is.")
    assert (await ask(max_tokens=100_000))["messages"][-1].text == "Here it is."


async def test_each_turn_has_the_whole_budget(llm):
    llm.says(plan=[], answer="Here it is.")
    run = builder.compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "t"}}
    for _ in range(2):
        turn = {"messages": [HumanMessage("Say it.")]}
        output = await run.ainvoke(turn, config, context=Context(max_tokens=2000))
        assert output["messages"][-1].text == "Here it is."
        assert [use["stage"] for use in output["usage"]] == ["plan", "answer"]
