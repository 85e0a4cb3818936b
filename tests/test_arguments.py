"""Arguments as models are handed them: files, results and fan-in, from a real store."""

import io

import pytest
from PIL import Image

from hugginggpt.graph.arguments import Sources
from hugginggpt.graph.plan import Task
from hugginggpt.tools.artifacts import artifact_store
from hugginggpt.tools.media import Limits
from hugginggpt.tools.values import Media


def png(width, height, color):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), color).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def sources(tmp_path):
    store = artifact_store(str(tmp_path))
    files = [
        store.add(png(40, 20, "red"), "photo.png", Limits()),
        store.add(b"It rains.", "note.txt", Limits()),
        store.add(b"name,age\nAnn,7\nBo,9\n", "people.csv", Limits()),
    ]
    photo = files[0]
    boxes = [(0, 0, 10, 20), (10, 5, 40, 20)]
    objects = [
        {
            "label": label,
            "score": 0.9,
            "box": dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)),
            "source": photo["id"],
        }
        for label, box in zip(("cat", "dog"), boxes, strict=True)
    ]
    outputs = {
        0: ("object-detection", {"objects": objects, "image": photo, "text": "1 cat, 1 dog"}),
        1: ("image-to-text", {"text": ["a cat", "a dog"]}),
        2: ("text-to-image", {"image": [photo, photo], "text": ["image", "image"]}),
    }
    results = {
        id_: {"id": id_, "task": task, "status": "done", "outputs": values}
        for id_, (task, values) in outputs.items()
    }
    return Sources(results, {file["name"]: file for file in files}, store)


def task(name, **args):
    return Task.model_validate({"id": 9, "task": name, "args": args})


def test_a_text_file_is_handed_over_as_its_text(sources):
    assert sources.inputs(task("summarization", text={"file": "note.txt"})) == {"text": "It rains."}


def test_a_table_file_is_handed_over_as_rows_or_as_text(sources):
    asked = task("table-question-answering", question="how old is Bo?", table={"file": "people.csv"})
    assert [row["name"] for row in sources.inputs(asked)["table"]] == ["Ann", "Bo"]
    assert "Ann" in sources.inputs(task("summarization", text={"file": "people.csv"}))["text"]


def test_a_picture_is_handed_over_as_bytes(sources):
    media = sources.inputs(task("image-to-text", image={"file": "photo.png"}))["image"]
    assert isinstance(media, Media)
    assert Image.open(io.BytesIO(media.data)).size == (40, 20)


def test_the_output_that_fits_the_port_is_taken(sources):
    assert sources.inputs(task("image-to-text", image={"from": 0}))["image"].media_type == "image/png"
    assert sources.inputs(task("text-to-speech", text={"from": 0})) == {"text": "1 cat, 1 dog"}


def test_a_list_port_takes_the_items_texts(sources):
    labels = task("zero-shot-classification", text="x", candidate_labels={"from": 0, "output": "objects"})
    assert sources.inputs(labels)["candidate_labels"] == ["cat", "dog"]
    ranked = task("text-ranking", query="x", documents=[{"from": 1}, "a bird", {"file": "note.txt"}])
    assert sources.inputs(ranked)["documents"] == ["a cat", "a dog", "a bird", "It rains."]


def test_fan_in_puts_texts_one_below_the_other(sources):
    joined = sources.inputs(task("text-generation", text=["Write:", {"from": 1}, {"file": "note.txt"}]))
    assert joined == {"text": "Write:\n\na cat\na dog\n\nIt rains."}


def test_each_object_is_cut_out_of_its_picture(sources):
    runs = sources.each_inputs(task("image-to-text", image={"from": 0, "each": True}))
    sizes = [Image.open(io.BytesIO(run["image"].data)).size for run in runs]
    assert sizes == [(10, 20), (30, 15)]


def test_each_object_is_its_label_to_a_task_that_reads(sources):
    runs = sources.each_inputs(task("text-to-speech", text={"from": 0, "output": "objects", "each": True}))
    assert runs == [{"text": "cat"}, {"text": "dog"}]


def test_each_of_a_list_is_its_entries(sources):
    runs = sources.each_inputs(task("depth-estimation", image={"from": 2, "each": True}))
    assert [type(run["image"]) for run in runs] == [Media, Media]


def test_the_other_arguments_are_the_same_for_each(sources):
    asked = task(
        "visual-question-answering", image={"from": 0, "each": True}, question=["What?", {"from": 1}]
    )
    assert {run["question"] for run in sources.each_inputs(asked)} == {"What?\n\na cat\na dog"}


def test_each_keeps_what_stands_beside_it(sources):
    runs = sources.each_inputs(task("text-generation", text=["Rhyme on", {"from": 1, "each": True}]))
    assert runs == [{"text": "Rhyme on\n\na cat"}, {"text": "Rhyme on\n\na dog"}]
