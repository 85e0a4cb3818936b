import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hugginggpt.graph import matching
from hugginggpt.graph.clauses import Clause
from hugginggpt.graph.embedded import EmbeddedController
from hugginggpt.graph.plan import Known, Plan, problems
from hugginggpt.graph.wiring import conversion
from hugginggpt.graph.wording import read
from hugginggpt.tools.encoder import DEFAULT_ENCODER, load_encoder
from hugginggpt.tools.media import modality_of, type_of_name

WORDS = [
    *(
        "translate",
        "summary",
        "the",
        "a",
        "it",
        "them",
        "that",
        "into",
        "French",
        "Danish",
        "German",
        "read",
        "aloud",
    ),
    *(
        "then",
        "before",
        "after",
        "and",
        "or",
        "which",
        "you",
        "each",
        "both",
        "one",
        "other",
        "same",
        "pose",
        "canny",
    ),
    *(
        "write",
        "describe",
        "detect",
        "people",
        "depth",
        "map",
        "story",
        "about",
        "sport",
        "politics",
        "what",
        "is",
    ),
    *(
        ".",
        ";",
        ",",
        ":",
        "?",
        "1.",
        "-",
        "a.png",
        "b.wav",
        "c.csv",
        "d.txt",
        "e.mp4",
        '"some text"',
        "'other'",
    ),
    *(
        "traduis",
        "puis",
        "übersetze",
        "dann",
        "[MASK]",
        "who",
        "of",
        "from",
        "music",
        "video",
        "similar",
        "labels",
    ),
]
NAMES = st.lists(
    st.sampled_from(["a.png", "b.wav", "c.csv", "d.txt", "e.mp4", "f f.jpg", "", ".", "ü.pdf", "x.bin"]),
    unique=True,
)


def artifact(name):
    return {"id": f"sha256:{0:064}", "name": name, "media_type": type_of_name(name), "bytes": 1, "meta": {}}


@pytest.fixture
def controller(shared):
    return EmbeddedController(lambda: load_encoder(DEFAULT_ENCODER, shared / "encoder"))


def planned(controller, request, names):
    """The plan, which has no problems."""
    files = [artifact(name) for name in names]

    async def collect():
        return [task async for task in controller.plan(request, files, [], [], [])]

    plan = Plan(tasks=asyncio.run(collect()))
    known = Known({file["name"]: modality_of(file) for file in files})
    assert problems(plan, known, max_tasks=10**6) == []
    return plan


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request_=st.text(max_size=300), names=NAMES)
def test_any_text_gives_a_valid_plan(controller, request_, names):
    planned(controller, request_, names)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.lists(st.sampled_from(WORDS), max_size=25), names=NAMES)
def test_any_mix_of_instructions_gives_a_valid_plan(controller, said, names):
    planned(controller, " ".join(said), names)


def test_the_same_request_gives_the_same_plan(controller, shared):
    request, names = "Detect the cars in a.png, describe each of them and say it in Welsh", ["a.png"]
    other = EmbeddedController(lambda: load_encoder(DEFAULT_ENCODER, shared / "encoder"))
    assert planned(controller, request, names) == planned(other, request, names)


def test_a_long_pasted_text_is_content(controller):
    text = "It rained all day and nobody came. " * 30_000
    [task] = planned(controller, f"Summarize this text:\n{text}", []).tasks
    assert task.task == "summarization"
    assert str(task.args["text"]).count("nobody came") >= 29_999


def test_ten_thousand_files_are_planned(controller):
    names = [f"photo-{number}.jpg" for number in range(10_000)]
    plan = planned(controller, "Describe photo-9999.jpg", names)
    assert [task.args["image"].file for task in plan.tasks] == ["photo-9999.jpg"]


@pytest.mark.parametrize("request_", ["", " \n ", "?!", "🐈", "\u202e\u0000", "a" * 5000, '"' * 99, ": : :"])
def test_odd_requests_give_a_valid_plan(controller, request_):
    planned(controller, request_, ["a.png"])


@given(request_=st.text(max_size=400), names=NAMES)
def test_every_clause_has_something_in_it(request_, names):
    assert all(isinstance(clause, Clause) and clause.tokens for clause in read(request_, names).clauses)


def test_conversions_are_the_shortest_chains_of_the_task_table():
    assert conversion("audio", "text") == ("automatic-speech-recognition",)
    assert conversion("image", "audio") == ("image-to-text", "text-to-speech")
    assert conversion("text", "text") == ()
    assert conversion("table", "image") is None


class Counting:
    """The encoder, counting the texts it is given."""

    def __init__(self, encoder):
        self.id, self.revision, self.dimension = "counting", encoder.revision, encoder.dimension
        self.encoder, self.texts = encoder, 0

    def encode(self, texts):
        self.texts += len(texts)
        return self.encoder.encode(texts)


@pytest.fixture
def counted(shared, tmp_path, monkeypatch):
    """Plans one request as a new process would, and gives how many texts were encoded for it."""

    def plan():
        monkeypatch.setattr(matching, "_fits", {})
        encoder = Counting(load_encoder(DEFAULT_ENCODER, shared / "encoder"))
        planned(EmbeddedController(lambda: encoder, tmp_path / "cache"), "Describe a.png", ["a.png"])
        return encoder.texts

    return plan


def test_the_exemplars_are_encoded_once_for_all_processes(counted):
    assert counted() > 300
    assert counted() < 10


def test_a_damaged_cache_of_exemplars_is_made_anew(counted, tmp_path):
    counted()
    [file] = (tmp_path / "cache").glob("exemplars-*.npy")
    file.write_bytes(file.read_bytes()[:1000])
    assert counted() > 300
    assert counted() < 10


def test_a_cache_that_cannot_be_written_is_done_without(counted, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert counted() > 300
