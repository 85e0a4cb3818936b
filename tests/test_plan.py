import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hugginggpt.graph.plan import Known, Plan, Task, order, problems, sound_part
from hugginggpt.tools.tasks import TASKS, source_port

FILES = {
    "photo.png": "image",
    "memo.wav": "audio",
    "data.csv": "table",
    "note.txt": "text",
    "clip.mp4": "video",
}
KNOWN = Known(files=FILES, results={90: ("image-to-text", False), 91: ("text-to-speech", True)})


def plan(*tasks):
    return Plan.model_validate({"tasks": [{"id": n, **task} for n, task in enumerate(tasks)]})


def only_problem(*tasks, known=KNOWN):
    found = problems(plan(*tasks), known)
    assert len(found) == 1, found
    return found[0]


CAPTION = {"task": "image-to-text", "args": {"image": {"file": "photo.png"}}}
DETECT = {"task": "object-detection", "args": {"image": {"file": "photo.png"}}}


def speech(text):
    return {"task": "text-to-speech", "args": {"text": text}}


def test_the_plan_of_the_specification_is_sound():
    transcript = {"task": "automatic-speech-recognition", "args": {"audio": {"file": "memo.wav"}}}
    german = {"task": "translation", "args": {"text": {"from": 0}, "target_language": "German"}}
    assert problems(plan(transcript, german, {**speech({"from": 1}), "after": []}), KNOWN) == []


def test_an_unknown_task_is_named():
    assert "'make-coffee' is not a task" in only_problem({"task": "make-coffee"})


def test_a_missing_argument_is_named():
    task = {"task": "translation", "args": {"text": "hi"}}
    assert only_problem(task) == "task 0: translation needs the argument 'target_language'"


def test_an_unknown_argument_is_named_with_the_right_ones():
    line = only_problem({"task": "summarization", "args": {"text": "hi", "length": 3}})
    assert "no argument 'length'; it takes text" in line


def test_a_wrong_modality_on_an_edge_is_a_problem():
    line = only_problem(CAPTION, {"task": "audio-classification", "args": {"audio": {"from": 0}}})
    assert line == "task 1: 'audio' takes audio, but task 0 (image-to-text) gives text"


def test_a_file_of_the_wrong_modality_is_a_problem():
    line = only_problem({"task": "image-to-text", "args": {"image": {"file": "memo.wav"}}})
    assert line == "task 0: 'image' takes image, but 'memo.wav' is audio"


def test_an_unknown_file_is_a_problem_that_lists_the_known_ones():
    line = only_problem({"task": "image-to-text", "args": {"image": {"file": "other.png"}}})
    assert "'other.png'" in line
    assert "'photo.png'" in line


def test_a_dangling_reference_is_a_problem():
    assert only_problem(speech({"from": 7})) == "task 0: 'text' refers to task 7, which is not there"


def test_a_dangling_order_is_a_problem():
    assert "'after' names task 7" in only_problem({**speech("hi"), "after": [7]})


def test_a_cycle_is_a_problem_of_each_task_on_it():
    found = problems(
        plan(speech({"from": 1}), {"task": "automatic-speech-recognition", "args": {"audio": {"from": 0}}}),
        KNOWN,
    )
    assert [line[:6] for line in found] == ["task 0", "task 1"]
    assert all("cycle" in line for line in found)


def test_too_many_tasks_are_a_problem():
    assert problems(plan(*[speech("hi")] * 5), KNOWN, max_tasks=4) == [
        "the plan has 5 tasks; at most 4 are allowed"
    ]


def test_an_id_used_twice_is_a_problem():
    twice = Plan.model_validate({"tasks": [{"id": 3, **speech("a")}, {"id": 3, **speech("b")}]})
    assert problems(twice, KNOWN) == ["task 3: the id is used twice; ids are unique in a thread"]


def test_an_id_of_an_earlier_result_is_taken():
    assert "used twice" in problems(Plan.model_validate({"tasks": [{"id": 90, **speech("a")}]}), KNOWN)[0]


def test_text_can_be_had_from_any_output():
    assert problems(plan(DETECT, speech({"from": 0})), KNOWN) == []


def test_earlier_results_feed_new_tasks():
    assert problems(plan(speech({"from": 90})), KNOWN) == []


def test_each_runs_over_cropped_objects():
    each = {"task": "image-to-text", "args": {"image": {"from": 0, "each": True}}}
    assert problems(plan(DETECT, each), KNOWN) == []


def test_a_list_does_not_feed_a_single_input_without_each():
    line = only_problem({"task": "audio-to-audio", "args": {"audio": {"from": 91}}})
    assert line == "task 0: 'audio' takes audio, but task 91 (text-to-speech) gives a list"
    assert (
        problems(plan({"task": "audio-to-audio", "args": {"audio": {"from": 91, "each": True}}}), KNOWN) == []
    )


def test_each_over_something_without_items_is_a_problem():
    assert "and 'each'" in only_problem(CAPTION, speech({"from": 0, "each": True}))


def test_only_one_argument_has_each():
    both = {"task": "visual-question-answering"}
    both["args"] = {
        "image": {"from": 0, "each": True},
        "question": {"from": 0, "output": "objects", "each": True},
    }
    assert only_problem(DETECT, both) == "task 1: only one argument can have 'each'"


def test_fan_in_is_for_texts_only():
    image = {"task": "image-to-text", "args": {"image": [{"file": "photo.png"}, {"file": "photo.png"}]}}
    assert "takes one image, not a list of 2" in only_problem(image)
    assert problems(plan(CAPTION, CAPTION, speech(["Now hear:", {"from": 0}, {"from": 1}])), KNOWN) == []


def test_a_literal_for_a_picture_is_a_problem():
    assert "takes a file or a result" in only_problem(
        {"task": "image-to-text", "args": {"image": "photo.png"}}
    )


def test_a_language_is_a_word_not_a_result():
    args = {"text": "hi", "target_language": {"from": 0}}
    assert "takes a word" in only_problem(CAPTION, {"task": "translation", "args": args})


def test_the_sound_part_drops_what_depends_on_a_dropped_task():
    kept, dropped = sound_part(
        plan(CAPTION, {"task": "make-coffee"}, speech({"from": 1}), speech({"from": 0})), KNOWN, 40
    )
    assert [task.id for task in kept.tasks] == [0, 3]
    assert set(dropped) == {1, 2}


def test_the_sound_part_keeps_within_the_task_limit():
    kept, dropped = sound_part(plan(*[speech("hi")] * 5), KNOWN, 3)
    assert [task.id for task in kept.tasks] == [0, 1, 2]
    assert set(dropped) == {3, 4}


def test_the_wire_form_is_strict():
    with pytest.raises(ValidationError):
        Task.model_validate({"id": 0, "task": "x", "arguments": {}})


def test_a_reference_is_written_with_from():
    task = Task.model_validate({"id": 1, **speech({"from": 0})})
    assert task.model_dump(by_alias=True, exclude_defaults=True) == {"id": 1, **speech({"from": 0})}


def test_the_schema_for_language_models_comes_from_the_same_classes():
    schema = Plan.model_json_schema(by_alias=True)
    assert {"id", "task", "args", "after"} == schema["$defs"]["Task"]["properties"].keys()
    assert "from" in schema["$defs"]["From"]["properties"]


# --- properties -------------------------------------------------------------------------------------------

words = st.text(max_size=6)
refs = st.builds(
    lambda s, o, e: {"from": s, **({"output": o} if o else {}), "each": e},
    st.integers(0, 12) | st.sampled_from([90, 91]),
    st.none() | st.sampled_from(["text", "objects", "image", "audio", "labels", "nonsense"]),
    st.booleans(),
)
files = st.sampled_from([*FILES, "missing.png"]).map(lambda name: {"file": name})
single = words | refs | files | st.integers() | st.booleans()
ports = sorted({port.name for spec in TASKS.values() for port in spec.inputs} | {"bogus"})
any_task = st.fixed_dictionaries(
    {
        "id": st.integers(0, 12),
        "task": st.sampled_from([*TASKS, "bogus"]),
        "args": st.dictionaries(st.sampled_from(ports), single | st.lists(single, max_size=3), max_size=4),
        "after": st.lists(st.integers(0, 12), max_size=2),
    }
)
any_plan = st.lists(any_task, max_size=10).map(lambda tasks: Plan.model_validate({"tasks": tasks}))


@st.composite
def sound_plans(draw):
    """Plans whose arguments are drawn from what fits: the checker must find nothing in them."""
    tasks: list[dict] = []
    for id_ in range(draw(st.integers(1, 9))):
        spec = TASKS[draw(st.sampled_from(sorted(TASKS)))]
        args = {}
        for port in spec.inputs:
            sources = [{"file": n} for n, k in FILES.items() if k == port.kind]
            if port.kind in {"text", "texts"}:
                sources = ["some words"]
            if not port.literal:
                sources += [{"from": t["id"]} for t in tasks if source_port(TASKS[t["task"]], port.kind)]
            args[port.name] = draw(st.sampled_from(sources))
        tasks.append(
            {
                "id": id_,
                "task": spec.id,
                "args": args,
                "after": draw(st.lists(st.sampled_from(range(id_)), max_size=2)) if id_ else [],
            }
        )
    return Plan.model_validate({"tasks": draw(st.permutations(tasks))})


@given(any_plan)
def test_no_plan_makes_the_checker_raise(broken):
    assert all(isinstance(line, str) and line for line in problems(broken, KNOWN))
    order(broken)


@given(any_plan)
def test_what_is_left_of_any_plan_has_no_problems(broken):
    kept, dropped = sound_part(broken, KNOWN, 40)
    assert problems(kept, KNOWN) == []
    assert {task.id for task in broken.tasks} == {task.id for task in kept.tasks} | set(dropped)


@given(sound_plans())
def test_a_sound_plan_has_no_problems_and_its_order_respects_every_reference(sound):
    assert problems(sound, KNOWN) == []
    place = {task.id: n for n, task in enumerate(order(sound))}
    assert len(place) == len(sound.tasks)
    for task in sound.tasks:
        assert all(place[source] < place[task.id] for source in [*task.sources, *task.after])


@given(sound_plans())
def test_the_order_is_deterministic_and_survives_the_wire(sound):
    again = Plan.model_validate_json(sound.model_dump_json(by_alias=True))
    assert [task.id for task in order(again)] == [task.id for task in order(sound)]
