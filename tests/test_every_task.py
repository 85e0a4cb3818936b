"""Every task of the table: a tiny model runs through the local runtime, or there is a reason why none does.

A new task needs a maker of a tiny model, in `tiny_models.MAKERS` or one of the tables beside it, or a line
in `ELSEWHERE`.
"""

import pytest
import tiny_media
import tiny_models

from hugginggpt.tools.artifacts import artifact_store
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.local import RECIPES, Local
from hugginggpt.tools.media import Limits, inspect
from hugginggpt.tools.runtime import RuntimeSettings
from hugginggpt.tools.tasks import TASKS
from hugginggpt.tools.values import Media
from hugginggpt.tools.views import artifacts_in, store_outputs

ELSEWHERE = {
    "tabular-classification": "its models are pickles of scikit-learn; runs on your own endpoints",
    "tabular-regression": "its models are pickles of scikit-learn; runs on your own endpoints",
    "audio-to-audio": "its models are pickles of SpeechBrain and Asteroid, and SpeechT5 takes a vocoder "
    "and a voice from elsewhere; runs on providers",
}

TINY = tiny_models.MAKERS | tiny_media.MAKERS

WORDS = {
    "text": tiny_models.TEXT,
    "context": tiny_models.TEXT,
    "question": "Why was the ferry late?",
    "query": "fog at sea",
    "source": "The ferry was late.",
    "target_language": "German",
    "candidate_labels": ["travel", "food"],
    "sentences": ["The ship did not come.", "Bread is baked."],
    "documents": ["Fog lay on the sea.", "Bread is baked."],
    "table": [{"town": "Kiel", "people": "247"}, {"town": "Ulm", "people": "126"}],
    "prompt": "a ferry in fog",
    "control": "depth",
}


def values(task):
    """A value for every port that a task needs."""
    return {port.name: value_of(task, port) for port in TASKS[task].inputs if port.required}


def value_of(task, port):
    if task == "fill-mask":
        return "The ferry was [MASK] today."
    if task == "document-question-answering" and port.kind == "image":
        return tiny_media.page()
    if port.kind in {"image", "audio", "video"}:
        return tiny_media.sample(port.kind)
    return WORDS[port.name]


@pytest.fixture(scope="module")
def local():
    runtime = Local(RuntimeSettings(encoder=None, memory=10**9))
    yield runtime
    runtime.pool.close()


@pytest.mark.parametrize("task", TASKS)
async def test_a_model_of_the_task_runs(task, local, tiny_hub, tmp_path):
    if task in ELSEWHERE:
        assert task not in RECIPES, f"{task} runs here: take it out of ELSEWHERE"
        return
    assert task in TINY, f"{task} has no tiny model and no reason why it runs elsewhere"
    made, inputs = tiny_hub.make(f"tiny/{task}", TINY[task]), values(task)
    library = "diffusers" if (made.folder / "model_index.json").exists() else ""
    card = ModelCard(id=made.id, task=task, summary="tiny", library=library)
    assert local.can_run(card)
    outputs = await local.run(card, task, inputs)
    store = artifact_store(str(tmp_path / "artifacts"))
    stored = store_outputs(TASKS[task], outputs, inputs, store, task)
    assert {*stored} >= {*TASKS[task].outputs, "text"}
    check(task, outputs, inputs)
    for artifact in artifacts_in(stored):
        _, meta = inspect(store.get(artifact["id"]), artifact["name"], Limits())
        assert meta.get("width") or meta.get("seconds")


def check(task, outputs, inputs):
    """What holds of the outputs of any model of the task, by their kind."""
    for kind, value in outputs.items():
        if kind == "labels" and "candidate_labels" in inputs:
            assert {one["label"] for one in value} == {*inputs["candidate_labels"]}
        if kind == "labels" and value and isinstance(value[0], dict):
            scores = [one["score"] for one in value]
            assert scores == sorted(scores, reverse=True)
            assert 0 <= scores[-1] <= scores[0] <= 1
        if kind == "scores":
            assert len(value) == len(inputs.get("sentences") or inputs["documents"])
        if kind == "entities":
            assert all(inputs["text"][one["start"] : one["end"]] == one["word"] for one in value)
        if kind == "vector":
            assert len(value) >= 8
        if kind in {"image", "audio", "video"}:
            assert isinstance(value, Media)
            assert value.media_type.startswith(kind)
