"""Recipes of pictures and videos on this machine: tiny models of the real classes, and odd inputs."""

import io

import numpy as np
import pytest
import tiny_diffusion
import tiny_media
from PIL import Image

from hugginggpt.tools import local_diffusion, local_vision
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.local import Local, recipe
from hugginggpt.tools.recipe import Place
from hugginggpt.tools.runtime import PermanentError, RuntimeSettings
from hugginggpt.tools.tasks import TASKS
from hugginggpt.tools.values import Media

HERE = Place("cpu", "float32")
LABELS = {"candidate_labels": ["cat", "dog"]}


@pytest.fixture(scope="module")
def loaded(tiny_folder):
    """A task's tiny model, loaded by its recipe, once."""
    made = {}

    def load(task, maker=None):
        maker = maker or tiny_media.MAKERS[task]
        if (task, maker) not in made:
            made[task, maker] = recipe(task).load(tiny_folder(maker), HERE)
        return made[task, maker]

    return load


@pytest.fixture
def run(loaded):
    def run(task, *inputs, maker=None):
        return recipe(task).run(loaded(task, maker), inputs)

    return run


def opened(media):
    return Image.open(io.BytesIO(media.data))


def turned(picture):
    """The same picture as a camera held upright stores it: lying, with a note in its EXIF to turn it."""
    lying = opened(picture).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    buffer = io.BytesIO()
    lying.save(buffer, "PNG", exif=exif)
    return Media(buffer.getvalue(), "image/png")


LOOKING = [
    ("image-classification", None, {}),
    ("zero-shot-image-classification", None, LABELS),
    ("image-feature-extraction", None, {}),
    ("image-feature-extraction", tiny_media.clip_model, {}),
    ("object-detection", None, {}),
    ("zero-shot-object-detection", None, LABELS),
    ("image-segmentation", None, {}),
    ("depth-estimation", None, {}),
    ("keypoint-detection", None, {}),
    ("keypoint-detection", tiny_media.superpoint, {}),
    ("mask-generation", None, {}),
    ("image-to-control", None, {"control": "normal"}),
    ("image-to-control", tiny_media.segformer_of_scenes, {"control": "seg"}),
    ("image-to-control", tiny_media.vitpose, {"control": "openpose"}),
    ("image-to-text", tiny_media.trocr, {}),
    ("image-to-text", tiny_media.git, {}),
    ("visual-question-answering", None, {"question": "what is it?"}),
    ("visual-question-answering", tiny_media.blip_of_questions, {"question": "what is it?"}),
    ("visual-question-answering", tiny_media.git, {"question": "what is it?"}),
    ("document-question-answering", tiny_media.donut, {"question": "what is the total?"}),
]


@pytest.mark.parametrize(
    "picture",
    [
        tiny_media.picture((1, 1)),
        tiny_media.picture((3, 200)),
        tiny_media.picture((61, 47), "L"),
        tiny_media.picture((61, 47), "RGBA"),
        tiny_media.picture((61, 47), "I;16"),
        turned(tiny_media.picture((61, 47))),
    ],
    ids=["1×1", "3×200", "grey", "transparent", "16 bit", "turned"],
)
@pytest.mark.parametrize(("task", "maker", "more"), LOOKING)
def test_any_picture_can_be_looked_at_and_results_are_in_its_pixels(run, task, maker, more, picture):
    (outputs,) = run(task, {"image": picture, **more}, maker=maker)
    size = local_vision.fitted(picture)[0].size
    drawn = [outputs["image"]] if "image" in outputs else []
    assert {opened(media).size for media in drawn + [m["mask"] for m in outputs.get("masks", [])]} <= {size}
    for thing in outputs.get("objects", []):
        box = thing["box"]
        assert 0 <= box["xmin"] <= box["xmax"] <= size[0]
        assert 0 <= box["ymin"] <= box["ymax"] <= size[1]
    for point in outputs.get("keypoints", []):
        assert 0 <= point["x"] <= size[0]
        assert 0 <= point["y"] <= size[1]


def test_masks_are_white_where_the_thing_is_and_black_elsewhere(run):
    (segmented,) = run("image-segmentation", {"image": tiny_media.picture()})
    (cut,) = run("mask-generation", {"image": tiny_media.picture()})
    assert segmented["masks"]
    assert cut["masks"]
    for mask in segmented["masks"] + cut["masks"]:
        assert opened(mask["mask"]).mode == "L"
        assert {*np.unique(np.asarray(opened(mask["mask"])))} <= {0, 255}
    covered = sum(np.asarray(opened(mask["mask"])).astype(int) for mask in segmented["masks"])
    assert (covered == 255).all()  # every point has one class


def test_a_large_picture_is_looked_at_smaller_and_its_boxes_are_as_large_as_it_is(run):
    (small,) = run("object-detection", {"image": tiny_media.picture((640, 480))})
    (large,) = run("object-detection", {"image": tiny_media.picture((3200, 2400))})
    for one, other in zip(small["objects"], large["objects"], strict=True):
        assert other["box"]["xmax"] == pytest.approx(5 * one["box"]["xmax"], abs=15)
        assert other["box"]["ymin"] == pytest.approx(5 * one["box"]["ymin"], abs=15)


def test_a_batch_gives_what_its_pictures_give_alone(run):
    pictures = [{"image": tiny_media.picture(size)} for size in ((64, 48), (33, 90), (5, 5))]
    for task in ("image-classification", "image-feature-extraction"):
        together = run(task, *pictures)
        alone = [run(task, picture)[0] for picture in pictures]
        values = [[one.get("vector") or [label["score"] for label in one["labels"]] for one in outputs]
                  for outputs in (together, alone)]  # fmt: skip
        np.testing.assert_allclose(values[0], values[1], rtol=1e-3, atol=1e-5)


def test_labels_that_name_nothing_are_refused(run):
    with pytest.raises(PermanentError, match="names no label"):
        run("zero-shot-image-classification", {"image": tiny_media.picture(), "candidate_labels": [" "]})


def test_depth_in_metres_is_turned_round_so_that_what_is_near_is_bright(loaded, monkeypatch):
    pipe = loaded("depth-estimation")
    relative = local_vision.nearness(pipe, tiny_media.picture())
    monkeypatch.setattr(pipe.model.config, "depth_estimation_type", "metric", raising=False)
    np.testing.assert_allclose(local_vision.nearness(pipe, tiny_media.picture()), -relative, rtol=1e-5)


@pytest.mark.parametrize(
    ("maker", "control", "line"),
    [
        (tiny_media.dpt, "canny", "this model makes depth and normal maps only"),
        (tiny_media.vitpose, "depth", "this model makes openpose maps only"),
        (tiny_media.dpt, "hed", "only published as pickles"),
    ],
)
def test_a_control_that_a_model_does_not_make_is_refused(run, maker, control, line):
    with pytest.raises(PermanentError, match=line):
        run("image-to-control", {"image": tiny_media.picture(), "control": control}, maker=maker)


def test_regions_with_other_classes_than_controlnets_know_are_refused(loaded):
    with pytest.raises(PermanentError, match="knows 3 classes; seg maps have ADE20K's 150"):
        loaded("image-to-control", tiny_media.segformer)


def test_a_video_is_labelled_by_frames_from_all_over_it(run):
    (outputs,) = run("video-classification", {"video": tiny_media.clip(1)})
    assert {label["label"] for label in outputs["labels"]} == {"cat", "dog", "house"}


def test_an_answer_about_a_page_is_words_of_that_page(run):
    (outputs,) = run("document-question-answering", {"image": tiny_media.page(), "question": "How much?"})
    assert outputs["text"] in "Total 99 EUR"


def test_a_page_without_words_is_said_to_have_none(run):
    with pytest.raises(PermanentError, match="no text was found"):
        run("document-question-answering", {"image": tiny_media.picture(), "question": "How much?"})


def test_an_empty_question_is_refused(run):
    with pytest.raises(PermanentError, match="the question is empty"):
        run("visual-question-answering", {"image": tiny_media.picture(), "question": " "})


@pytest.mark.parametrize("size", [(1, 1), (61, 47), (300, 20)])
def test_an_upscaled_picture_is_as_many_times_larger_and_has_no_seams(run, size, monkeypatch):
    monkeypatch.setattr(local_vision, "_TILE", 128)
    picture = {"image": tiny_media.picture(size), "prompt": "larger"}
    (outputs,) = run("image-to-image", picture, maker=tiny_media.swin2sr)
    assert opened(outputs["image"]).size == (size[0] * 2, size[1] * 2)


def test_a_picture_too_large_to_upscale_is_refused(run, monkeypatch):
    monkeypatch.setattr(local_vision, "_MOST_UPSCALED", 1000)
    picture = {"image": tiny_media.picture(), "prompt": "larger"}
    with pytest.raises(PermanentError, match="64×48 pixels are too many to make 2 times larger"):
        run("image-to-image", picture, maker=tiny_media.swin2sr)


def test_changed_and_guided_pictures_keep_their_size_up_to_what_the_model_makes(run):
    for task, maker in [
        ("image-to-image", None),
        ("image-to-image", tiny_diffusion.instruct_pix2pix),
        ("control-to-image", None),
    ]:
        (outputs,) = run(task, {"image": tiny_media.picture((15, 13)), "prompt": "snow"}, maker=maker)
        assert opened(outputs["image"]).size == (15, 13)
        (outputs,) = run(task, {"image": tiny_media.picture((640, 480)), "prompt": "snow"}, maker=maker)
        assert max(opened(outputs["image"]).size) < 64


async def test_a_controlnet_brings_the_model_that_it_works_beside(tiny_hub, monkeypatch):
    names = ("tiny/base", "StableDiffusionControlNetPipeline")
    monkeypatch.setattr(local_diffusion, "_BASES", {16: names})
    tiny_hub.make("tiny/base", tiny_diffusion.stable_diffusion)
    made = tiny_hub.make("tiny/control", tiny_diffusion.controlnet_alone)
    card = ModelCard(id=made.id, task="control-to-image", summary="", library="diffusers")
    runtime = Local(RuntimeSettings(encoder=None, memory=10**9))
    try:
        assert runtime.can_run(card)
        assert not runtime.ready(card)
        outputs = await runtime.run(
            card, card.task, {"image": tiny_media.picture((16, 16)), "prompt": "a house"}
        )
    finally:
        runtime.pool.close()
    assert runtime.ready(card)
    assert opened(outputs["image"]).size == (16, 16)


def test_a_controlnet_for_a_model_that_is_not_known_is_refused(loaded):
    with pytest.raises(PermanentError, match="a ControlNet for a model that is not known here"):
        loaded("control-to-image", tiny_diffusion.controlnet_alone)


def test_no_two_calls_paint_the_same_picture(run):
    one, other = run("text-to-image", {"prompt": "a cat"}, {"prompt": "a cat"})
    assert one["image"].data != other["image"].data


def test_an_empty_prompt_is_refused(run):
    with pytest.raises(PermanentError, match="the prompt is empty"):
        run("text-to-image", {"prompt": " "})


def test_a_video_of_a_picture_has_its_shape(run):
    from hugginggpt.tools.media import Limits, inspect

    (outputs,) = run("image-to-video", {"image": tiny_media.picture((48, 64))})
    meta = inspect(outputs["video"].data, "video.mp4", Limits())[1]
    assert (meta["width"], meta["height"], meta["frames"]) == (48, 64, 3)


def test_a_model_that_needs_torchvision_is_refused_by_its_small_files(tmp_path):
    (tmp_path / "preprocessor_config.json").write_text('{"processor_class": "Qwen2_5_VLProcessor"}')
    with pytest.raises(PermanentError, match="needs torchvision, which is not installed"):
        recipe("image-text-to-text").check(tmp_path)


def test_a_model_that_only_reads_pictures_needs_no_torchvision(tiny_folder):
    recipe("image-text-to-text").check(tiny_folder(tiny_media.llava))


@pytest.mark.parametrize("task", tiny_media.MAKERS)
def test_models_run_in_the_precision_of_accelerators(task, tiny_folder):
    half = Place("cpu", "bfloat16")
    inputs = {
        "prompt": "a cat",
        "text": "Good morning.",
        "question": "what is it?",
        "control": "depth",
        **LABELS,
    }
    inputs |= {"audio": tiny_media.tone(), "video": tiny_media.clip()}
    inputs["image"] = tiny_media.page() if task.startswith("document") else tiny_media.picture()
    (outputs,) = recipe(task).run(recipe(task).load(tiny_folder(tiny_media.MAKERS[task]), half), [inputs])
    assert {*outputs} == {*TASKS[task].outputs}
