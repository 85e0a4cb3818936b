"""Whatever a language model's server does, a request ends in an answer that holds all finished work."""

import json
import socket

import pytest
from doubles import generate
from langchain_core.messages import HumanMessage
from llm_server import Fails, Forever, Raw, Says

from hugginggpt.graph import calls
from hugginggpt.graph import llm as controller
from hugginggpt.graph.app import graph
from hugginggpt.graph.context import Context

pytestmark = pytest.mark.usefixtures("bench")

PLAN = json.dumps({"tasks": [generate(0, "a"), generate(1, {"from": 0})]})
REQUEST = "Write a story about a cat that sails to France."
STORY = "<Write a story about a cat that sails to France>"
CUT = Says(PLAN[: PLAN.index('"id": 1')], end="cut")


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch):
    monkeypatch.setattr(calls.tenacity, "wait_random_exponential", lambda **_: lambda state: 0.01)


async def ask(request=REQUEST, **context):
    events = []
    async for mode, chunk in graph.astream(
        {"messages": [HumanMessage(request)]}, context=Context(**context), stream_mode=["custom", "values"]
    ):
        if mode == "custom":
            events.append(chunk)
        else:
            output = chunk
    answer = output["messages"][-1].text
    told = [e["message"] for e in events if e["type"] == "notice" and "language model" in e["message"]]
    assert all(line in answer for line in told), "what people are told is in the answer too"
    assert "".join(e["text"] for e in events if e["type"] == "answer") == answer
    assert all(r["outputs"]["text"] in answer for r in output["results"] if r["status"] == "done")
    return output, answer, told


PERMANENT = {
    "401": Fails(401, "Incorrect API key"),
    "404": Fails(404, "no such model"),
    "a long pause": Fails(429, "quota", {"Retry-After": "3600"}),
    "endless output": Forever("la " * 1000),
}
TRANSIENT = {
    "429": Fails(429, "slow down", {"Retry-After": "0"}),
    "500": Fails(500, "oops"),
    "an empty reply": Says(""),
    "only blanks": Says("  \n "),
    "a broken connection": Says(" ", end="cut"),
    "invalid UTF-8": Raw(b'data: {"choices": [{"index": 0, "delta": {"content": "\xff\xfe"}}]}\n\n'),
    "no JSON": Raw(b"data: <html>\n\n"),
    "an error in the stream": Raw(b'data: {"error": {"message": "overloaded"}}\n\n'),
    "nothing": Raw(b""),
    "no answer in time": Says(PLAN, pause=9),
}


@pytest.mark.parametrize("fault", [*PERMANENT.values(), *TRANSIENT.values()], ids=[*PERMANENT, *TRANSIENT])
async def test_a_plan_that_does_not_come_is_made_by_the_embedded_controller(llm, fault):
    llm.says(plan=fault, answer=f"Here: {STORY}")
    output, _, told = await ask(llm_timeout=0.5, max_attempts=2)
    assert [r["status"] for r in output["results"]] == ["done"]
    assert "planned by the embedded controller" in told[0]
    assert "\n" not in told[0]


@pytest.mark.parametrize("fault", [*PERMANENT.values(), *TRANSIENT.values()], ids=[*PERMANENT, *TRANSIENT])
async def test_an_answer_that_does_not_come_is_given_by_the_embedded_controller(llm, fault, monkeypatch):
    monkeypatch.setattr(controller, "ANSWER_CHARS", 2_000)
    llm.says(plan=PLAN, answer=fault)
    _, answer, told = await ask(llm_timeout=0.5, max_attempts=2)
    assert "<<a>>" in answer
    assert "answered by the embedded controller" in told[0]


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT)
async def test_what_may_pass_is_tried_again(llm, fault):
    llm.says(plan=(fault, Says(PLAN)), answer=(fault, Says("It is <<a>>, from <a>.")))
    output, answer, told = await ask(llm_timeout=0.5)
    assert answer == "It is <<a>>, from <a>."
    assert told == []
    assert len(output["results"]) == 2


async def test_the_pause_that_a_server_asks_for_is_kept(llm):
    llm.says(plan=(Fails(429, "slow down", {"Retry-After": "0.4"}), Says(PLAN)), answer="<a> <<a>>")
    _, _, told = await ask()
    refused, again = (request["at"] for request in llm.asked("plan"))
    assert again - refused >= 0.4
    assert told == []


@pytest.mark.parametrize("fault", PERMANENT.values(), ids=PERMANENT)
async def test_what_will_not_pass_is_not_tried_again(llm, fault):
    llm.says(plan=fault, answer=STORY)
    await ask()
    assert len(llm.asked("plan")) == 1


async def test_a_server_that_is_not_there(llm, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        output, answer, told = await ask(max_attempts=2)
    assert [r["status"] for r in output["results"]] == ["done"]
    assert len(told) == 2
    assert "answered by the embedded controller" in answer


async def test_models_are_taken_by_rank_where_the_choice_fails(llm, models):
    models("echo", "echo-b")
    llm.says(plan=[generate(0, "a")], choose=Fails(500), answer="<a>")
    output, _, told = await ask(max_attempts=1)
    assert [r["status"] for r in output["results"]] == ["done"]
    assert "models chosen by the embedded controller" in told[0]


async def test_a_plan_whose_connection_breaks_is_begun_anew(llm):
    llm.says(plan=(CUT, Says(json.dumps({"tasks": [generate(3, "b")]}))), answer="<b>")
    output, _, _ = await ask()
    assert [r["id"] for r in output["results"]] == [3], "the task that came before the break is void"


async def test_of_a_plan_at_its_limit_of_tokens_the_whole_tasks_are_run(llm):
    llm.says(plan=Says(CUT.text, end="length"), answer="<a>")
    output, answer, _ = await ask(max_repairs=1)
    assert [r["id"] for r in output["results"]] == [0]
    assert "Note: Left out of the plan: the plan breaks off before its end." in answer
    assert len(llm.asked("plan")) == 2


async def test_a_plan_that_goes_on_in_blanks_without_end_is_used(llm, monkeypatch):
    llm.says(plan=Says(PLAN + " " * 3000, size=500), answer="<a> <<a>>")
    output, _, told = await ask()
    assert (len(output["results"]), told) == (2, [])


async def test_an_answer_that_breaks_off_is_followed_by_the_results(llm):
    llm.says(plan=PLAN, answer=Says("The story begins", end="cut"))
    _, answer, told = await ask()
    assert answer.startswith("The story begins\n\n[The answer breaks off here")
    assert "<<a>>" in answer
    assert len(told) == len(llm.asked("answer")) == 1


@pytest.mark.parametrize(
    "reply", ["I'm sorry, I can't help with that.", "{}x{", '{"tasks": [{"task": 1}]}', '{"steps": "many"}']
)
async def test_a_refusal_to_plan_is_asked_again_then_planned_by_the_embedded_controller(llm, reply):
    llm.says(plan=reply, answer=STORY)
    output, _, told = await ask()
    assert len(llm.asked("plan")) == 2
    assert [r["status"] for r in output["results"]] == ["done"]
    assert "gave no plan" in told[0]


async def test_a_plan_of_500_tasks_is_cut_to_the_limit(llm):
    llm.says(plan=Says(json.dumps({"tasks": [generate(n, f"t{n}") for n in range(500)]}), size=200))
    llm.says(answer=Fails(401))
    output, answer, _ = await ask(max_tasks=5, max_repairs=1)
    assert sum(r["status"] == "done" for r in output["results"]) == 5
    assert "the plan has 6 tasks; at most 5 are allowed" in answer
    assert "the plan has 6 tasks" in llm.asked("plan")[1]["messages"][1]["content"]


@pytest.mark.parametrize(
    ("plan", "line"),
    [
        ([generate(0, {"from": 1}), generate(1, {"from": 0})], "waits for itself"),
        ([{"id": 0, "task": "make-coffee", "args": {}}], "'make-coffee' is not a task"),
        ([generate(0, {"file": "/etc/passwd"})], "'/etc/passwd', which is not attached"),
        (
            [generate(0, "a", model="gpt-99"), generate(1, {"from": 7})],
            "refers to task 7, which is not there",
        ),
    ],
)
async def test_what_a_plan_makes_up_is_left_out_and_told(llm, plan, line):
    llm.says(plan=plan, answer=Fails(401))
    output, answer, _ = await ask(max_repairs=1)
    assert line in answer
    assert line in llm.asked("plan")[1]["messages"][1]["content"]
    assert not any(r["status"] == "done" and r["model"] == "gpt-99" for r in output["results"])
