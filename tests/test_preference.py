"""Which runtimes a run may use, and in which order: the setting `runtimes`."""

import json

import doubles
import pytest
from doubles import generate
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from hugginggpt.app.cli import main
from hugginggpt.graph import resources
from hugginggpt.graph.app import builder, graph
from hugginggpt.graph.context import Context, Home, SettingsError
from hugginggpt.tools import runtime


class Other(doubles.Bench):
    """A second runtime for the same models."""

    name = "other"


@pytest.fixture
def two(bench, monkeypatch):
    monkeypatch.setattr(runtime, "RUNTIMES", {"bench": "doubles:Bench", "other": f"{__name__}:Other"})


async def ran(**context):
    return await graph.ainvoke({"messages": [HumanMessage("go")]}, context=Context(**context))


@pytest.mark.parametrize(
    ("named", "used"), [("", "bench"), ("bench,other", "bench"), ("other, bench", "other")]
)
async def test_of_runtimes_for_one_model_the_first_that_is_named_is_used(two, script, named, used):
    script([generate(0, "a")])
    assert (await ran(runtimes=named))["results"][0]["runtime"] == used


async def test_a_runtime_that_is_not_named_is_never_used(two, script, models):
    models("broken")
    script([generate(0, "a")])
    output = await ran(runtimes="other", max_replans=0)
    assert {attempt["runtime"] for attempt in output["results"][0]["attempts"]} == {"other"}


async def test_a_run_that_goes_on_under_another_setting_keeps_to_it(two, script):
    script([generate(0, "a")])
    stopped = builder.compile(checkpointer=InMemorySaver(), interrupt_before=["execute"])
    config = {"configurable": {"thread_id": "t"}}
    begun = {"messages": [HumanMessage("go")]}
    await stopped.ainvoke(begun, config, context=Context(runtimes="bench"))
    state = await stopped.ainvoke(
        None, config, context=Context(runtimes="other", max_retries=0, max_replans=0)
    )
    assert state["results"][0]["error"]["kind"] == "left-out"
    assert "runtimes=other" in state["results"][0]["attempts"][0]["error"]


async def test_why_there_is_no_model_names_what_was_left_out(script, bench, monkeypatch):
    monkeypatch.setattr(
        runtime, "RUNTIMES", {"bench": "doubles:Bench", "builtin": "hugginggpt.tools.builtin:Builtin"}
    )
    script([generate(0, "a")])
    output = await ran(runtimes="builtin", max_replans=0)
    assert "bench: left out by the setting runtimes=builtin" in output["results"][0]["error"]["message"]


async def test_a_name_that_is_not_there_is_answered_in_one_line(two, script):
    script([generate(0, "a")])
    output = await ran(runtimes="bench,cloud")
    assert output["messages"][-1].text == "runtimes=bench,cloud: there is no cloud; there are bench, other"
    assert output["results"] == []


@pytest.mark.parametrize("named", ["cloud", "builtin,,local", "builtin local"])
def test_on_the_command_line_a_wrong_name_is_bad_input(named, capsys):
    assert main(["ask", "--runtimes", named, "Read aloud: hello"]) == 2
    said = capsys.readouterr().err.strip()
    assert named in said
    assert "\n" not in said


def lines(capsys):
    assert main(["doctor", "--json"]) == 0
    return [line for line in json.loads(capsys.readouterr().out) if line["about"] == "runtime"]


def test_the_doctor_says_what_is_left_out(monkeypatch, capsys):
    monkeypatch.setenv("HUGGINGGPT_RUNTIMES", "builtin")
    found = lines(capsys)
    assert found[0]["found"] == "builtin: available"
    assert {line["advice"] for line in found[1:]} == {"left out by the setting runtimes=builtin"}


def test_the_doctor_says_that_a_name_is_not_there(monkeypatch, capsys):
    monkeypatch.setenv("HUGGINGGPT_RUNTIMES", "cloud")
    assert lines(capsys)[0]["advice"].startswith("runtimes=cloud: there is no cloud; there are builtin")


def test_a_caller_from_outside_can_narrow_what_the_process_allows_and_not_widen_it(monkeypatch):
    monkeypatch.setenv("HUGGINGGPT_RUNTIMES", "builtin,chat")
    assert Context().runtime_names() == ["builtin", "chat"]
    assert Context(runtimes="chat").runtime_names() == ["chat"]
    with pytest.raises(
        SettingsError, match="runtimes=chat,local: local may not be used here, but builtin, chat"
    ):
        Context(runtimes="chat,local").runtime_names()


def test_a_flag_on_the_command_line_counts_more_than_the_environment(monkeypatch):
    monkeypatch.setenv("HUGGINGGPT_RUNTIMES", "builtin")
    context = Context.from_environment(runtimes="chat")
    found = resources.runtimes(Home.from_environment(), context)
    assert next(iter(found)) == "chat"
    assert not found["builtin"].available()


async def test_a_builtin_model_that_is_left_out_is_not_said_to_miss_a_package(script, monkeypatch):
    monkeypatch.setattr(
        runtime, "RUNTIMES", {"bench": "doubles:Bench", "builtin": "hugginggpt.tools.builtin:Builtin"}
    )
    script([{"id": 0, "task": "text-to-speech", "args": {"text": "x"}}])
    [result] = (await ran(runtimes="bench", max_replans=0))["results"]
    assert "builtin: left out by the setting runtimes=bench" in result["error"]["message"]
    assert "a package" not in result["error"]["message"]
