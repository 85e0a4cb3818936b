"""Gradio apps as models: a real gradio server on loopback, called through the real client."""

import asyncio
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from doubles import generate
from langchain_core.messages import HumanMessage
from PIL import Image

from hugginggpt.app.cli import main
from hugginggpt.graph.app import graph
from hugginggpt.graph.context import Context
from hugginggpt.tools import readers, spaces
from hugginggpt.tools.runtime import PermanentError, RuntimeSettings, TransientError
from hugginggpt.tools.spaces import Spaces, read_settings
from hugginggpt.tools.values import Media


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The address of the app of tests/gradio_app.py, which writes its files to a folder of the tests."""
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(tmp_path_factory.mktemp("gradio"))}
    script = Path(__file__).with_name("gradio_app.py")
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    ) as process:
        yield process.stdout.readline().strip()
        process.terminate()


def named(app, task, **how):
    return Spaces(RuntimeSettings(encoder=None, spaces=json.dumps({task: {"space": app, **how}})))


async def run(app, task, values, **how):
    runtime = named(app, task, **how)
    [card] = runtime.cards(task)
    return await runtime.run(card, task, values)


def picture(colour):
    out = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(out, "PNG")
    return Media(out.getvalue(), "image/png", "in.png")


async def test_a_text_becomes_a_text(app):
    assert await run(app, "text-generation", {"text": "hello"}, api_name="shout") == {"text": "HELLO"}


async def test_a_picture_becomes_a_picture(app):
    outputs = await run(
        app, "image-to-image", {"image": picture((255, 0, 10)), "prompt": "x"}, api_name="/negative"
    )
    assert Image.open(io.BytesIO(outputs["image"].data)).getpixel((0, 0)) == (0, 255, 245)
    assert outputs["image"].media_type == "image/png"


async def test_a_sound_becomes_a_sound(app):
    sound = Media(readers.encode_wav(np.full(800, 0.25, np.float32), 8000), "audio/wav", "in.wav")
    outputs = await run(app, "audio-to-audio", {"audio": sound}, api_name="louder")
    samples, rate = readers.decode_audio(outputs["audio"].data)
    assert (len(samples), rate) == (800, 8000)
    assert samples.max() == pytest.approx(0.5, abs=0.01)


async def test_a_label_becomes_labels_best_first(app):
    outputs = await run(app, "text-classification", {"text": "all good"}, api_name="mood")
    assert outputs == {"labels": [{"label": "good", "score": 0.9}, {"label": "bad", "score": 0.1}]}


async def test_a_table_is_handed_over_and_names_no_file_of_this_machine(app):
    trap = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    outputs = await run(
        app, "tabular-classification", {"table": [{"a": 1, "b": trap}, {"a": 2}]}, api_name="count"
    )
    assert outputs == {"labels": [{"label": "2", "score": 1.0}]}


async def test_ports_go_to_the_parameters_that_are_named_for_them(app):
    inputs = {"text": "dog", "target_language": "German"}
    by_order = await run(app, "translation", inputs, api_name="translate")
    assert by_order == {"text": "dog in German"}
    turned = {"text": "into", "target_language": "words"}
    assert await run(app, "translation", inputs, api_name="translate", inputs=turned) == {
        "text": "German in dog"
    }


async def test_a_function_that_is_not_there_is_told_with_those_that_are(app):
    with pytest.raises(PermanentError, match=r"has no /predict; set api_name to one of /shout, /translate"):
        await run(app, "text-generation", {"text": "x"})


async def test_what_the_app_raises_is_the_error(app):
    with pytest.raises(PermanentError, match="the app failed: no such voice"):
        await run(app, "text-generation", {"text": "x"}, api_name="fail")


async def test_a_result_of_another_kind_is_a_wrong_output(app):
    with pytest.raises(PermanentError, match="gave no audio; outputs says which result is which port"):
        await run(app, "text-to-speech", {"text": "x"}, api_name="shout")


async def test_an_app_that_is_not_reached_is_tried_again(app):
    with pytest.raises(TransientError):
        await run("http://127.0.0.1:9", "text-generation", {"text": "x"})


async def test_a_file_that_is_too_large_is_not_taken(app, monkeypatch):
    monkeypatch.setattr(spaces, "LARGEST", 10)
    with pytest.raises(PermanentError, match="more than 10 bytes"):
        await run(app, "image-to-image", {"image": picture((1, 2, 3))}, api_name="negative")


async def test_no_file_stays_behind(app, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    await run(app, "image-to-image", {"image": picture((1, 2, 3))}, api_name="negative")
    assert os.listdir(tmp_path) == []  # noqa: PTH208, a path's own method blocks


async def test_when_nobody_waits_any_longer_the_call_ends_and_the_next_one_works(app):
    runtime = named(app, "text-generation", api_name="wait")
    [card] = runtime.cards("text-generation")
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await runtime.run(card, "text-generation", {"text": "x"})
    assert time.monotonic() - started < 10
    assert await run(app, "text-generation", {"text": "hello"}, api_name="shout") == {"text": "HELLO"}


async def test_calls_at_once_share_one_connection(app):
    runtime = named(app, "text-generation", api_name="shout")
    [card] = runtime.cards("text-generation")
    outputs = await asyncio.gather(
        *(runtime.run(card, "text-generation", {"text": f"n{n}"}) for n in range(6))
    )
    assert outputs == [{"text": f"N{n}"} for n in range(6)]
    assert len(runtime._clients) == 1


def test_a_file_is_fetched_from_the_app_and_from_nowhere_that_a_result_points_to(app):
    visitors = []

    class Trap(BaseHTTPRequestHandler):
        def do_GET(self):
            visitors.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), Trap) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        elsewhere = f"http://127.0.0.1:{server.server_port}/secret.png"
        with pytest.raises(PermanentError, match=r"could not be fetched: HTTP 4\d\d"):
            spaces._fetched(spaces._connected(app), {"path": elsewhere, "url": elsewhere})
        server.shutdown()
    assert visitors == []


async def test_no_token_of_a_login_goes_to_the_app(app, monkeypatch):
    monkeypatch.setattr("huggingface_hub.utils._headers.get_token", lambda: "hf_secret")
    assert "hf_secret" not in str(spaces._connected(app).headers)


async def test_the_graph_uses_a_space_before_the_models_of_the_index(app, monkeypatch, script):
    monkeypatch.setenv(
        "HUGGINGGPT_SPACES", json.dumps({"text-generation": {"space": app, "api_name": "shout"}})
    )
    script([generate(0, "hello")])
    output = await graph.ainvoke({"messages": [HumanMessage("go")]}, context=Context())
    [result] = output["results"]
    assert (result["runtime"], result["outputs"]["text"]) == ("spaces", "HELLO")
    assert result["model"] == f"spaces/{app.rstrip('/').rpartition('://')[2]}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{", "Expecting property name"),
        ("[]", "Input should be a valid dictionary"),
        ('{"text-to-speech": 3}', "text-to-speech"),
        ('{"text-to-speech": "no space"}', "space: String should match pattern"),
        ('{"make-coffee": "a/b"}', "make-coffee is not a task"),
        ('{"text-to-speech": {"space": "a/b", "input": {}}}', "Extra inputs are not permitted"),
        ('{"text-to-speech": {"space": "a/b", "inputs": {"image": "x"}}}', "has no input image, but text"),
        ('{"text-to-speech": {"space": "a/b", "outputs": {"text": 1}}}', "has no output text, but audio"),
    ],
)
def test_a_setting_that_cannot_be_read_is_told_in_one_line_and_breaks_nothing(
    text, line, monkeypatch, capsys
):
    monkeypatch.setenv("HUGGINGGPT_SPACES", text)
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    [advice] = [it["advice"] for it in found if it["found"] == "spaces: not available"]
    assert line in advice
    assert advice.startswith("HUGGINGGPT_SPACES cannot be read: ")
    assert "\n" not in advice


def test_a_space_is_named_by_its_id_or_its_address():
    found = read_settings('{"text-to-speech": "a/b", "text-to-image": "https://c.hf.space/"}')
    assert [space.id for space in found.values()] == ["spaces/a/b", "spaces/c.hf.space"]


def test_the_setting_that_is_documented_can_be_read():
    text = (Path(__file__).parents[1] / "docs" / "runtimes.md").read_text(encoding="utf-8")
    [setting] = re.findall(r"HUGGINGGPT_SPACES='(.*?)'", text, re.DOTALL)
    assert read_settings(setting).keys() == {"text-to-speech", "image-to-image"}
