"""What language models write, read: plans piece by piece, and JSON with the faults that they make."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hugginggpt.graph.plan import Task
from hugginggpt.graph.reading import BROKEN_OFF, NO_PLAN, PlanReader, Spoken, Unreadable, loads

ONE = {"id": 0, "task": "image-to-text", "args": {"image": {"file": "a.png"}}}
TWO = {"id": 1, "task": "translation", "args": {"text": {"from": 0}, "target_language": "German"}}
PLAN = json.dumps({"tasks": [ONE, TWO]})
TASKS = [Task.model_validate(ONE), Task.model_validate(TWO)]


def read(text, size=7):
    reader = PlanReader()
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    return [item for piece in pieces for item in reader.feed(piece)] + list(reader.close())


@pytest.mark.parametrize(
    "reply",
    [
        PLAN,
        json.dumps([ONE, TWO]),
        json.dumps({"thought": "two steps {like} these", "tasks": [ONE, TWO]}, indent=2),
        f"{json.dumps(ONE)}\n{json.dumps(TWO)}",
        f"Here's the plan, as you've asked:\n```json\n{PLAN}\n```\nThat's it, isn't it?",
        PLAN.replace("}]}", "},]}").replace('"}}', '",},}'),
        PLAN.replace('{"id": 1', '// it\'s the second "one"\n{ /* id */ "id": 1'),
        str({"tasks": [ONE, TWO]}),
        PLAN.replace('"id": 0', '"id": "0"').replace('"from": 0', '"from": "0"'),
        PLAN.replace('"id": 1', '"id": "task_1", "reason": "as asked", "after": null'),
        PLAN.replace('"German"', '"German", "source_language": null'),
        json.dumps({"tasks": [{**ONE, "args": json.dumps(ONE["args"])}, TWO]}),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_plan_is_read_however_it_is_wrapped(reply, size):
    assert read(reply, size) == TASKS


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("Hello.", "Hello."),
        ("  \n <think>Do they <mean> it?</think>\n\nHello.", "Hello."),
        ("<think>No end", ""),
        ("<thin ice", "<thin ice"),
        ("<th", "<th"),
        (" ", ""),
        ("Use <think> and </think>.", "Use <think> and </think>."),
    ],
)
@pytest.mark.parametrize("size", [1, 4, 100])
def test_thoughts_are_not_said(reply, said, size):
    spoken = Spoken()
    pieces = [spoken.feed(reply[at : at + size]) for at in range(0, len(reply), size)]
    assert "".join(pieces) + spoken.close() == said


def test_a_task_is_given_as_soon_as_its_object_closes():
    reader = PlanReader()
    end = PLAN.index(', {"id": 1')
    assert list(reader.feed(PLAN[: end - 1])) == []
    assert list(reader.feed(PLAN[end - 1 : end])) == TASKS[:1]


@pytest.mark.parametrize("reply", ['{"tasks": []}', "[]", "```json\n{}\n```", '{"why": "hi", "tasks": [ ]}'])
def test_an_empty_plan_is_a_plan(reply):
    assert read(reply) == []


@pytest.mark.parametrize("reply", ["I'm sorry, I can't help with that.", "", "null"])
def test_a_reply_without_a_plan_is_told_from_an_empty_plan(reply):
    assert read(reply) == [Unreadable(NO_PLAN)]


@pytest.mark.parametrize("cut", [PLAN.index('"translation"'), len(PLAN) - 3, PLAN.index("German") + 2])
def test_of_a_plan_that_breaks_off_the_whole_tasks_are_kept(cut):
    assert read(PLAN[:cut]) == [TASKS[0], Unreadable(BROKEN_OFF)]


def test_what_follows_the_plan_is_not_read():
    reader = PlanReader()
    assert list(reader.feed(PLAN + json.dumps(ONE))) == TASKS
    assert reader.complete


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"args": {"image": {"path": "a.png"}}}, "the argument 'image' is none of"),
        ({"id": None}, "task None: 'id': Field required"),
        ({"task": 3}, "'task': Input should be a valid string"),
        ({"task": None, "name": "image-to-text"}, "task 0: 'task': Field required"),
        ({"id": 10**12}, "the id is too large"),
        ({"after": "all"}, "'after'"),
    ],
)
def test_what_is_no_task_is_told_in_one_line(change, line):
    [unreadable] = read(json.dumps({"tasks": [{**ONE, **change}]}))
    assert line in unreadable.line
    assert "\n" not in unreadable.line


def test_the_other_tasks_of_a_plan_with_a_garbled_one_are_read():
    garbled = PLAN.replace('"image-to-text"', '"image-to-text" oops')
    items = read(garbled)
    assert [type(item) for item in items] == [Unreadable, Task]


def test_lone_surrogates_and_numbers_that_no_checkpoint_holds_are_replaced():
    value = loads('{"a": "x\\ud800y", "b": "\\ud83d\\ude00", "c": 99999999999999999999, "d": NaN}')
    assert value == {"a": "x\ufffdy", "b": "😀", "c": "99999999999999999999", "d": "NaN"}


def test_nesting_without_end_is_unreadable_and_not_an_error():
    assert loads("[" * 100_000) is None
    assert read('{"task":' * 20_000)[-1] == Unreadable(BROKEN_OFF)


@given(st.text(alphabet="{}[]\",:\\'/*\n task01<>", max_size=80), st.integers(1, 9))
def test_no_text_makes_the_reader_fail(text, size):
    assert read(text, size) == read(text, 1000)
