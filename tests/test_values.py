import io
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hugginggpt.tools import views
from hugginggpt.tools.artifacts import ArtifactError, ArtifactStore
from hugginggpt.tools.media import Limits
from hugginggpt.tools.readers import decode_audio, decode_image, encode_png, encode_wav
from hugginggpt.tools.runtime import PermanentError
from hugginggpt.tools.tasks import TASKS, Kind
from hugginggpt.tools.values import Media
from hugginggpt.tools.views import artifacts_in, items, outputs_text, store_outputs, text_view

LIMITS = Limits()
RATE = 16000
CAT = {"label": "cat", "score": 0.9, "box": {"xmin": 2, "ymin": 3, "xmax": 12, "ymax": 8}}
DOG = {"label": "dog", "score": 0.8, "box": {"xmin": 0, "ymin": 0, "xmax": 4, "ymax": 4}}


@pytest.fixture
def store(tmp_path):
    return ArtifactStore(str(tmp_path))


def photo(size=(20, 10), color="red"):
    return Media(encode_png(Image.new("RGB", size, color)), "image/png", "photo.png")


def memo(seconds=2.0):
    return Media(
        encode_wav(np.linspace(0, 1, int(seconds * RATE), dtype=np.float32), RATE), "audio/wav", "memo.wav"
    )


def kept(store, media):
    return store.add(media.data, media.name, LIMITS)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("text", "hello", "hello"),
        ("texts", ["a", "b"], "a\nb"),
        ("labels", [{"label": "joy", "score": 0.9}, {"label": "fear", "score": 0.1}], "joy"),
        ("labels", [[{"label": "yes", "score": 1}], [{"label": "no", "score": 1}]], "yes\nno"),
        ("entities", [{"word": "Ada"}, {"word": "Paris"}], "Ada, Paris"),
        ("objects", [DOG, CAT, CAT], "2 cats, 1 dog"),
        ("masks", [{"label": "wine glass"}] * 2 + [{"label": "sky"}], "2 wine glasses, 1 sky"),
        ("masks", [{"label": ""}] * 3, "3 parts"),
        ("segments", [{"start": 0.5, "end": 2.1}, {"start": 3, "end": 4.2}], "0.5–2.1 s, 3.0–4.2 s"),
        ("keypoints", [{"label": "nose"}] * 2, "2 keypoints"),
        ("scores", [0.914, 0.1], "0.91, 0.10"),
        ("numbers", [1234.5, 2.0], "1234.5, 2"),
        ("vector", [0.0] * 384, "vector of 384 numbers"),
        ("image", {"media_type": "image/png", "meta": {"width": 640, "height": 480}}, "image, 640×480"),
        ("audio", {"media_type": "audio/wav", "meta": {"seconds": 3.21}}, "audio, 3.2 s"),
        ("video", {"media_type": "video/mp4", "meta": {}}, "video"),
        ("table", [{"a": 1, "b": "x\ny"}, {"a": 2}], "| a | b |\n| --- | --- |\n| 1 | x y |\n| 2 |  |"),
        ("objects", [], "nothing found"),
    ],
)
def test_a_value_has_a_text_view(kind, value, text):
    assert text_view(kind, value) == text


@pytest.mark.parametrize(
    ("label", "plural"),
    [
        ("person", "people"),
        ("bus", "buses"),
        ("puppy", "puppies"),
        ("boy", "boys"),
        ("sheep", "sheep"),
        ("box", "boxes"),
    ],
)
def test_labels_are_counted_in_plain_english(label, plural):
    assert text_view("objects", [{"label": label}] * 2) == f"2 {plural}"


def test_the_values_of_an_each_task_stand_one_per_line():
    assert text_view("objects", [[CAT], [DOG, DOG], None]) == "1 cat\n2 dogs\n"
    assert text_view("text", ["a", "b"]) == "a\nb"


def test_a_long_table_is_clipped():
    text = text_view("table", [{"a": n} for n in range(60)])
    assert text.endswith("| 49 |\n… and 10 more rows")


def test_every_kind_has_a_view_and_a_type():
    assert set(views._VIEWS) == set(views._TYPES) == set(get_args(Kind))


def test_a_result_is_viewed_by_its_main_output():
    outputs = {"objects": [CAT, DOG], "image": {"media_type": "image/png", "meta": {}}}
    assert outputs_text(TASKS["object-detection"], outputs) == "1 cat, 1 dog"


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("texts", ["a", "b"], ["a", "b"]),
        ("labels", [{"label": "joy"}, {"label": "fear"}], ["joy", "fear"]),
        ("labels", [[{"label": "yes"}], [{"label": "no"}]], ["yes", "no"]),
        ("entities", [{"word": "Ada"}], ["Ada"]),
        ("table", [{"a": 1, "b": 2}], ["a: 1, b: 2"]),
        ("scores", [0.5], ["0.50"]),
        ("numbers", [7.0], ["7"]),
    ],
)
def test_items_that_are_read(store, kind, value, expected):
    assert items(kind, value, store) == expected


def test_objects_are_cut_out_of_their_picture(store):
    picture = Image.new("RGB", (20, 10), "red")
    picture.paste("blue", (2, 3, 12, 8))
    source = kept(store, Media(encode_png(picture), "image/png", "photo.png"))["id"]
    (crop,) = items("objects", [{**CAT, "source": source}], store)
    assert (crop.media_type, crop.name) == ("image/png", "cat-1.png")
    assert decode_image(crop.data).tobytes() == Image.new("RGB", (10, 5), "blue").tobytes()


numbers = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(numbers, numbers, numbers, numbers), max_size=5))
def test_any_box_gives_a_picture_inside_of_its_source(boxes):
    store = ArtifactStore("memory://boxes")
    source = kept(store, photo())["id"]
    value = [
        {
            "label": "x",
            "score": 1.0,
            "source": source,
            "box": dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)),
        }
        for box in boxes
    ]
    sizes = [decode_image(crop.data).size for crop in items("objects", value, store)]
    assert len(sizes) == len(boxes)
    assert all(1 <= width <= 20 and 1 <= height <= 10 for width, height in sizes)


def test_a_mask_cuts_its_shape_on_white(store):
    mask = Image.new("L", (20, 10))
    mask.paste(255, (5, 5, 8, 9))
    mask.putpixel((5, 5), 0)
    kept_mask = kept(store, Media(encode_png(mask), "image/png", "mask.png"))
    (crop,) = items("masks", [{"label": "x", "mask": kept_mask, "source": kept(store, photo())["id"]}], store)
    cut = decode_image(crop.data)
    assert cut.size == (3, 4)
    assert (cut.getpixel((0, 0)), cut.getpixel((1, 1))) == ((255, 255, 255), (255, 0, 0))


def test_an_empty_mask_still_is_an_item(store):
    mask = kept(store, Media(encode_png(Image.new("L", (20, 10))), "image/png", "mask.png"))
    (crop,) = items("masks", [{"label": "x", "mask": mask, "source": kept(store, photo())["id"]}], store)
    assert decode_image(crop.data).size == (1, 1)


def test_segments_are_clips_of_their_sound(store):
    source = kept(store, memo())["id"]
    spans = [(0.5, 1.0), (1.5, 9.0), (5.0, 6.0), (1.0, 0.5)]
    clips = items("segments", [{"start": a, "end": b, "source": source} for a, b in spans], store)
    assert [len(decode_audio(clip.data)[0]) for clip in clips] == [8000, 8000, 1, 1]
    assert decode_audio(clips[0].data)[0][0] == pytest.approx(0.25, abs=1e-3)


def test_a_source_that_is_gone_is_told(store):
    with pytest.raises(ArtifactError, match="is not in the artifact store"):
        items("objects", [{**CAT, "source": "sha256:" + "0" * 64}], store)


def test_media_that_a_model_made_become_artifacts(store):
    outputs = store_outputs(
        TASKS["text-to-speech"], {"audio": memo()}, {"text": "hi"}, store, "text-to-speech-2"
    )
    assert outputs["text"] == "audio, 2.0 s"
    assert outputs["audio"]["name"] == "text-to-speech-2.wav"
    assert outputs["audio"]["meta"] == {"seconds": 2.0, "sample_rate": RATE, "channels": 1}
    assert store.get(outputs["audio"]["id"]) == memo().data


def test_what_was_found_says_where(store):
    given = photo()
    made = {"objects": [CAT], "image": photo(color="blue")}
    outputs = store_outputs(TASKS["object-detection"], made, {"image": given}, store, "object-detection-0")
    source = outputs["objects"][0]["source"]
    assert store.get(source) == given.data
    assert outputs["text"] == "1 cat"
    assert len(items("objects", outputs["objects"], store)) == 1


def test_masks_are_stored_each(store):
    element = {"label": "sky", "score": None, "mask": photo(color="white")}
    made = {"masks": [element, element], "image": photo(color="blue")}
    outputs = store_outputs(TASKS["image-segmentation"], made, {"image": photo()}, store, "s-1")
    assert [artifact["name"] for artifact in artifacts_in(outputs)] == [
        "s-1-mask-1.png",
        "s-1-mask-2.png",
        "s-1.png",
    ]


def test_text_that_a_model_wrote_is_its_own_view(store):
    assert store_outputs(TASKS["summarization"], {"text": "short"}, {"text": "long"}, store, "s") == {
        "text": "short"
    }


def test_numbers_of_numpy_become_plain_ones(store):
    outputs = store_outputs(
        TASKS["feature-extraction"], {"vector": [np.float32(0.5)]}, {"text": "a"}, store, "s"
    )
    assert outputs == {"vector": [0.5], "text": "vector of 1 numbers"}
    assert type(outputs["vector"][0]) is float


def truncated():
    buffer = io.BytesIO()
    Image.effect_noise((50, 50), 90).save(buffer, "PNG")
    return Media(buffer.getvalue()[:400], "image/png")


@pytest.mark.parametrize(
    ("task", "outputs", "message"),
    [
        ("summarization", {}, "output 'text' is missing"),
        ("summarization", {"text": None}, "output 'text': Input should be a valid string"),
        ("summarization", {"text": "a", "labels": []}, "summarization has no output 'labels'"),
        (
            "text-ranking",
            {"scores": [0.5, float("nan")]},
            "output 'scores' at 1: Input should be a finite number",
        ),
        (
            "voice-activity-detection",
            {"segments": [{"start": 1}]},
            "output 'segments' at 0.end: Field required",
        ),
        ("text-to-image", {"image": b"..."}, "output 'image': Input should be an instance of Media"),
        ("text-to-image", {"image": memo()}, "output 'image' is audio/wav"),
        ("text-to-image", {"image": truncated()}, "x-0: is cut off or broken"),
    ],
)
def test_outputs_of_another_shape_are_the_models_fault(store, task, outputs, message):
    with pytest.raises(PermanentError) as caught:
        store_outputs(TASKS[task], outputs, {}, store, "x-0")
    assert caught.value.kind == "wrong-output"
    assert caught.value.message.startswith(message)


def test_artifacts_are_found_however_deep(store):
    artifact = kept(store, photo())
    assert list(artifacts_in({"masks": [[{"mask": artifact}], None], "text": ["a"]})) == [artifact]
    assert list(artifacts_in(None)) == []
