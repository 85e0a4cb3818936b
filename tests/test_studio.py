"""`langgraph dev` with the project's langgraph.json, as Studio and a client of a deployed graph see it."""

import base64
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from langgraph_sdk import get_client

ROOT = Path(__file__).parent.parent
INVOICE = (ROOT / "examples" / "invoice.png").read_bytes()


@pytest.fixture(scope="module")
def server(tmp_path_factory, shared):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log"
    keys = ("OPENAI_API_KEY", "HF_TOKEN", "LANGSMITH_API_KEY")
    environment = {name: value for name, value in os.environ.items() if name not in keys} | {
        "HUGGINGGPT_HOME": str(tmp_path_factory.mktemp("home")),
        "HUGGINGGPT_ENCODER_CACHE": str(shared / "encoder"),
        "HUGGINGGPT_INDEX": str(shared / "index"),
    }
    command = [
        Path(sys.executable).parent / "langgraph",
        "dev",
        "--no-browser",
        "--no-reload",
        "--port",
        str(port),
    ]
    with (
        log.open("w") as output,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output) as process,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_for(url, process, log)
            yield url, log
        finally:
            process.terminate()


def _wait_for(url, process, log):
    for _ in range(600):
        try:
            if httpx.get(f"{url}/ok").is_success:
                return
        except httpx.TransportError:
            pass
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    pytest.fail(f"langgraph dev did not start: {log.read_text()}")


@pytest.fixture
async def client(server):
    async with get_client(url=server[0]) as client:
        yield client


async def test_a_run_with_an_attached_picture_streams_to_the_answer(server, client):
    _, log = server
    thread = await client.threads.create()
    content = [
        {"type": "text", "text": "Read the text in the picture."},
        {"type": "image", "base64": base64.b64encode(INVOICE).decode(), "mime_type": "image/png"},
    ]
    events = []
    async for part in client.runs.stream(
        thread["thread_id"],
        "hugginggpt",
        input={"messages": [{"role": "user", "content": content}]},
        stream_mode=["custom", "values"],
    ):
        assert part.event != "error", part.data
        events.append(part)
    told = [part.data["type"] for part in events if part.event == "custom"]
    assert {"plan", "choice", "task", "attempt", "answer"} <= set(told)
    final = events[-1].data
    [result] = final["results"]
    assert (result["status"], result["model"]) == ("done", "builtin/pp-ocr")
    assert "Invoice" in result["outputs"]["text"]
    assert "Invoice" in final["messages"][-1]["content"]
    assert "BlockingError" not in log.read_text()
    state = await client.threads.get_state(thread["thread_id"])
    assert "base64" not in str(state["values"]["messages"]), "inline bytes become artifacts"


async def test_a_second_turn_reaches_the_results_of_the_first(client):
    thread = await client.threads.create()
    content = [
        {"type": "text", "text": "Read the text in the picture."},
        {"type": "image", "base64": base64.b64encode(INVOICE).decode(), "mime_type": "image/png"},
    ]
    for message in (content, "Now read that aloud."):
        values = await client.runs.wait(
            thread["thread_id"], "hugginggpt", input={"messages": [{"role": "user", "content": message}]}
        )
    assert [r["task"] for r in values["results"]] == ["image-to-text", "text-to-speech"]
    assert values["artifacts"][0]["media_type"] == "audio/wav"


async def test_the_settings_of_a_run_are_described_for_the_form(client):
    [assistant] = await client.assistants.search(graph_id="hugginggpt")
    schemas = await client.assistants.get_schemas(assistant["assistant_id"])
    assert "Times a failed plan is made anew." in str(schemas["context_schema"])
