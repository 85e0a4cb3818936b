import json

import pytest

from hugginggpt.graph.embedded import EmbeddedController
from hugginggpt.graph.plan import Known, Plan, problems
from hugginggpt.tools.encoder import DEFAULT_ENCODER, load_encoder
from hugginggpt.tools.media import modality_of, type_of_name


def artifact(name):
    return {"id": f"sha256:{0:064}", "name": name, "media_type": type_of_name(name), "bytes": 1, "meta": {}}


def result(id_, task, status="done", **outputs):
    error = {"kind": "no_model", "message": f"no model can do {task}"} if status == "failed" else None
    return {
        "id": id_,
        "task": task,
        "status": status,
        "model": "maker/model",
        "runtime": "builtin",
        "seconds": 0.1,
        "attempts": [],
        "outputs": outputs or ({"text": f"what {task} gave"} if status == "done" else {}),
        "error": error,
    }


@pytest.fixture
def controller(shared):
    return EmbeddedController(lambda: load_encoder(DEFAULT_ENCODER, shared / "encoder"))


@pytest.fixture
def plan(controller):
    """Plans a request; the plan is checked, and given in short: each task with what it reads."""

    async def planned(request, *names, results=()):
        files = [artifact(name) for name in names]
        tasks = [task async for task in controller.plan(request, files, [], results, [])]
        known = {r["id"]: (r["task"], False) for r in results if r["status"] == "done"}
        assert problems(Plan(tasks=tasks), Known({f["name"]: modality_of(f) for f in files}, known)) == []
        return [short(task) for task in tasks]

    return planned


def short(task):
    """`translation(0, 'Danish')`, in the order of the table's ports."""
    args = task.model_dump(by_alias=True, exclude_defaults=True).get("args", {})
    return f"{task.task}({', '.join(map(said, args.values()))})"


def said(value):
    if isinstance(value, list):
        return " + ".join(map(said, value))
    if isinstance(value, dict):
        return value.get("file") or f"{value['from']}{' each' if value.get('each') else ''}"
    return json.dumps(value)


async def test_one_step_on_a_file(plan):
    assert await plan("Please transcribe lesson.flac", "lesson.flac") == [
        "automatic-speech-recognition(lesson.flac)"
    ]


async def test_steps_are_done_in_the_order_that_before_means(plan):
    assert await plan("Before you translate it into Finnish, sum up guide.txt.", "guide.txt") == [
        "summarization(guide.txt)",
        'translation(0, "Finnish")',
    ]


async def test_a_numbered_list_is_a_list_of_steps(plan):
    steps = "1. Describe boat.jpg\n2. Translate the description into Korean\n3. Read the translation aloud"
    assert await plan(steps, "boat.jpg") == [
        "image-to-text(boat.jpg)",
        'translation(0, "Korean")',
        "text-to-speech(1)",
    ]


async def test_a_relative_clause_is_a_step(plan):
    assert await plan("Generate a picture of a windmill, which you then animate.") == [
        'text-to-image("Generate a picture of a windmill")',
        "image-to-video(0)",
    ]


async def test_coordinated_nouns_are_tasks_of_their_own(plan):
    assert await plan("I need a depth map and a caption for barn.png", "barn.png") == [
        "depth-estimation(barn.png)",
        "image-to-text(barn.png)",
    ]


async def test_a_recording_is_written_down_where_a_text_is_needed(plan):
    assert await plan("Summarize the debate in debate.mp3", "debate.mp3") == [
        "automatic-speech-recognition(debate.mp3)",
        "summarization(0)",
    ]


async def test_the_text_of_a_picture_is_read_before_it_is_translated(plan):
    assert await plan("Translate the letter in brief.jpg into Italian", "brief.jpg") == [
        "image-to-text(brief.jpg)",
        'translation(0, "Italian")',
    ]


async def test_a_question_on_a_recording_is_asked_of_its_transcript(plan):
    question = "According to meeting.ogg, who pays for the new roof?"
    assert await plan(question, "meeting.ogg") == [
        "automatic-speech-recognition(meeting.ogg)",
        f"question-answering({json.dumps(question)}, 0)",
    ]


async def test_an_answer_wanted_aloud_is_spoken(plan):
    names = [
        step.partition("(")[0] for step in await plan("Tell me out loud who signed form.png", "form.png")
    ]
    assert names in (
        ["document-question-answering", "text-to-speech"],
        ["visual-question-answering", "text-to-speech"],
    )


async def test_the_same_pose_goes_through_a_control_map(plan):
    assert await plan("Draw a pirate in the same pose as the boy in jump.jpg", "jump.jpg") == [
        'image-to-control(jump.jpg, "openpose")',
        'control-to-image(0, "Draw a pirate in the same pose as the boy in jump.jpg", "openpose")',
    ]


async def test_named_labels_mean_zero_shot(plan):
    assert await plan("Is note.txt a complaint, a question or an order?", "note.txt") == [
        'zero-shot-classification(note.txt, "complaint" + "question" + "order")'
    ]


async def test_quoted_text_is_what_the_task_reads(plan):
    assert await plan('Translate "the shop is closed" into Dutch') == [
        'translation("the shop is closed", "Dutch")'
    ]


async def test_text_after_a_colon_is_what_the_task_reads(plan):
    assert await plan("Translate into Dutch: we make and repair shoes") == [
        'translation("we make and repair shoes", "Dutch")'
    ]


async def test_every_file_gets_a_task_of_its_own(plan):
    assert await plan("Caption these photos", "one.jpg", "two.jpg") == [
        "image-to-text(one.jpg)",
        "image-to-text(two.jpg)",
    ]


async def test_several_languages_are_several_translations(plan):
    assert await plan("Translate sign.txt into Greek and Turkish", "sign.txt") == [
        'translation(sign.txt, "Greek")',
        'translation(sign.txt, "Turkish")',
    ]


async def test_what_is_only_known_when_it_runs_is_run_for_each(plan):
    assert await plan("Detect the people in crowd.png and describe each of them", "crowd.png") == [
        "object-detection(crowd.png)",
        "image-to-text(0 each)",
    ]


async def test_several_results_flow_into_one_text(plan):
    steps = await plan(
        "Describe den.jpg, transcribe fox.wav, and write one report from both", "den.jpg", "fox.wav"
    )
    assert steps == [
        "image-to-text(den.jpg)",
        "automatic-speech-recognition(fox.wav)",
        'text-generation("write one report from both" + 0 + 1)',
    ]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("Übersetze den Brief ins Polnische", ['translation(a.txt, "Polish")']),
        ("Résume ce texte, puis lis le résumé à voix haute", ["summarization(a.txt)", "text-to-speech(0)"]),
        ("Traduce este texto al inglés", ['translation(a.txt, "English")']),
        ("Riassumi questo testo", ["summarization(a.txt)"]),
    ],
)
async def test_requests_in_other_languages_are_understood(plan, request_, expected):
    assert await plan(request_, "a.txt") == expected


@pytest.mark.parametrize(
    "request_",
    [
        "Who discovered penicillin?",
        "Hello, nice to see you again!",
        "Would you rather live in a city or in a village?",
        "Are you able to learn new things?",
        "Cancel my dentist appointment on Monday.",
        "Wie viele Einwohner hat Portugal?",
    ],
)
async def test_no_model_is_needed(plan, request_):
    assert await plan(request_) == []


async def test_background_is_not_taken_for_an_order(plan):
    said_ = (
        "We recorded talk.wav in a noisy hall and my boss wants to read it. Please write down what is said."
    )
    assert await plan(said_, "talk.wav") == ["automatic-speech-recognition(talk.wav)"]


async def test_a_later_turn_reads_an_earlier_result(plan):
    assert await plan("Now read that aloud", "scan.png", results=[result(0, "image-to-text")]) == [
        "text-to-speech(0)"
    ]


async def test_a_later_turn_can_name_an_earlier_result(plan):
    results = [result(0, "summarization"), result(1, "translation")]
    assert await plan("Read the summary aloud", "essay.txt", results=results) == ["text-to-speech(0)"]


async def test_new_ids_follow_the_earlier_ones(controller):
    results = [result(4, "image-to-text")]
    tasks = [task async for task in controller.plan("Translate it into Thai", [], [], results, [])]
    assert [task.id for task in tasks] == [5]


async def test_a_failed_document_question_is_asked_of_the_text_instead(plan):
    failed = [result(0, "document-question-answering", "failed"), result(1, "text-to-speech", "skipped")]
    request = "What is the due date on bill.png? Read the answer aloud."
    assert await plan(request, "bill.png", results=failed) == [
        "image-to-text(bill.png)",
        'question-answering("What is the due date on bill.png?", 2)',
        "text-to-speech(3)",
    ]


async def test_what_is_finished_is_not_planned_again(plan):
    request = "Transcribe show.mp3. According to the transcript, who pays? Make a depth map of pan.jpg."
    first = await plan(request, "show.mp3", "pan.jpg")
    assert [step.partition("(")[0] for step in first] == [
        "automatic-speech-recognition",
        "question-answering",
        "depth-estimation",
    ]
    results = [result(0, "automatic-speech-recognition"), result(1, "question-answering"),
               result(2, "depth-estimation", "failed")]  # fmt: skip
    assert await plan(request, "show.mp3", "pan.jpg", results=results) == []


async def test_there_is_no_other_way_to_a_failed_translation_nor_to_what_reads_it(plan):
    results = [result(0, "translation", "failed"), result(1, "text-to-speech", "skipped")]
    request = "Translate post.txt into Irish, then read the translation aloud"
    assert await plan(request, "post.txt", results=results) == []


async def test_the_first_of_every_shortlist_is_chosen(controller):
    assert await controller.choose("", Plan(), {3: ["best", "second"], 4: ["only"]}) == {3: "best", 4: "only"}


async def answer(controller, request, results):
    return "".join([piece async for piece in controller.answer(request, results)])


async def test_a_direct_question_is_told_what_a_language_model_needs(controller):
    said_ = await answer(controller, "Who discovered penicillin?", [])
    assert "OPENAI_API_KEY" in said_
    assert "HF_TOKEN" in said_


async def test_the_answer_begins_with_the_last_result(controller):
    results = [result(0, "image-to-text", text="a red bus"), result(1, "translation", text="ein roter Bus")]
    said_ = await answer(controller, "Describe bus.png and translate it into German", results)
    assert said_.index("ein roter Bus") < said_.index("a red bus")


async def test_the_answer_names_files_models_and_failures(controller):
    spoken = {"audio": artifact("speech.wav"), "text": "audio, 2.0 s"}
    results = [result(0, "text-to-speech", **spoken), result(1, "translation", "failed")]
    said_ = await answer(controller, 'Say "hello" and translate "hello" into Maltese', results)
    assert "speech.wav" in said_
    assert "maker/model (builtin)" in said_
    assert "no model can do translation" in said_


async def test_the_answer_names_what_was_not_understood(controller):
    said_ = await answer(controller, "Summarize a.txt and post it on Instagram", [result(0, "summarization")])
    assert "post it on Instagram" in said_
