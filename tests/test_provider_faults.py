"""What happens when a model's server fails: every fault, at a real router, through the compiled graph.

The first request of a task meets the fault. What may pass is tried again with the same model; what does not
pass is left to the next one.
"""

import json
import socket
import time

import pytest
import tenacity
from hub_server import HubServer
from huggingface_hub import constants
from langchain_core.messages import HumanMessage
from router_server import (
    RouterServer,
    breaks,
    fails,
    gives,
    huge,
    png,
    redirects,
    reset,
    silence,
    stalls,
)

from hugginggpt.graph import resources
from hugginggpt.graph.app import graph
from hugginggpt.graph.context import Context, Home
from hugginggpt.index.opening import build_index
from hugginggpt.tools import outgoing
from hugginggpt.tools.card import ModelCard

ARGS = {
    "summarization": {"text": "A long text."},
    "text-to-image": {"prompt": "a red square"},
}
TEXT, IMAGE = "summarization", "text-to-image"
UNREADABLE, PRIVATE = "answered what cannot be read", "which is not on the public internet"
NOISE = png((64, 64), color="blue")
METADATA = "http://169.254.169.254/latest/meta-data"


@pytest.fixture
def index(home, shared):
    """Two models for each task; built once."""
    folder = shared / "faults-index"
    if not folder.exists():
        cards = [
            ModelCard(id=f"{who}/{task}", task=task, summary="s") for task in ARGS for who in ("org", "other")
        ]
        build_index(folder, cards, resources.encoder(Home.from_environment()))
    return folder


@pytest.fixture
def router(index, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HUGGINGGPT_INDEX", str(index))
    monkeypatch.setenv("HUGGINGGPT_RUNTIMES", "endpoints,providers")
    monkeypatch.setenv("HUGGINGGPT_LLM", "embedded")
    monkeypatch.setattr(tenacity, "wait_random_exponential", lambda **_: lambda state: 0.01)
    monkeypatch.setattr(outgoing, "STALL", 0.3)
    monkeypatch.setattr(outgoing, "LARGEST", 4_000_000)
    with HubServer() as hub, RouterServer() as server:
        for task in ARGS:
            served = {"hf-inference": {"providerId": "x", "status": "live", "task": task}}
            for who in ("org", "other"):
                hub.add(f"{who}/{task}", inferenceProviderMapping=served)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "INFERENCE_PROXY_TEMPLATE", server.url + "/{provider}")
        yield server


def row(name, task, fault, then, words):
    return pytest.param(task, fault, then, words, id=name)


FAULTS = [
    row("busy", TEXT, fails(429, "too many", Retry_After=0.05), "again", "answered 429: too many"),
    row("busy for an hour", TEXT, fails(429, "too many", Retry_After=3600), "next", "a pause of 3600 s"),
    row("bad gateway", TEXT, fails(502), "again", "answered 502"),
    row("gateway timeout", TEXT, fails(504), "again", "answered 504"),
    row("loading", TEXT, fails(503, "is loading", estimated_time=0.05), "again", "answered 503: is loading"),
    row("loading for long", TEXT, fails(503, "is loading", estimated_time=90), "next", "a pause of 90 s"),
    row("no answer", TEXT, silence, "next", "no result within 1.5 s"),
    row("reset", TEXT, reset, "again", ""),
    row("broken off", TEXT, breaks, "again", ""),
    row("stall in the body", TEXT, stalls, "again", "did not answer in time"),
    row("not found", TEXT, fails(404, "no such model"), "next", "answered 404: no such model"),
    row("gone", TEXT, fails(410, "is no longer served"), "next", "answered 410: is no longer"),
    row("no account", TEXT, fails(401, "bad token"), "next", "answered 401: bad token"),
    row("no credit", TEXT, fails(402, "credit is used up"), "next", "answered 402: credit"),
    row("gated", TEXT, fails(403, "is restricted", X_Error_Code="GatedRepo"), "next", "accept its licence"),
    row("out of memory", TEXT, fails(500, "CUDA out of memory. Tried…"), "next", "CUDA out of memory"),
    row("refused input", TEXT, fails(422, "too many tokens"), "next", "answered 422: too many tokens"),
    row("wrong shape", TEXT, gives([{"text": "no summary"}]), "next", "output 'text'"),
    row("no list", TEXT, gives({"error": "?"}), "next", UNREADABLE),
    row("not UTF-8", TEXT, gives(b"\xff\xfe\x00", "application/json"), "next", UNREADABLE),
    row("HTML", TEXT, gives(b"<html>Sorry</html>", "text/html"), "next", UNREADABLE),
    row("HTML for a picture", IMAGE, gives(b"<html>Sorry</html>", "text/html"), "next", UNREADABLE),
    row("JSON for a picture", IMAGE, gives({"image": "later"}), "next", UNREADABLE),
    row("wrong content type", IMAGE, gives(b"RIFF0000WAVEfmt ", "image/png"), "next", UNREADABLE),
    row(
        "truncated picture",
        IMAGE,
        gives(NOISE[: len(NOISE) // 2], "image/png"),
        "next",
        "is cut off",
    ),
    row("picture for a text", TEXT, gives(NOISE, "image/png"), "next", UNREADABLE),
    row("2 GB, declared", TEXT, huge(declared=True), "next", "answered 2,147,483,648 bytes"),
    row("2 GB, undeclared", TEXT, huge(declared=False), "next", "at most 4,000,000 are taken"),
    row("2 GB for a picture", IMAGE, huge(declared=False), "next", "at most 4,000,000 are taken"),
    row("redirect to a private address", TEXT, redirects(METADATA), "next", PRIVATE),
    row(
        "redirect to this machine",
        TEXT,
        redirects("http://localhost:9/"),
        "next",
        PRIVATE,
    ),
    row("redirect of the request", TEXT, redirects(METADATA, 307), "next", "redirects the request"),
    row("redirect to a file", TEXT, redirects("file:///etc/passwd"), "next", ""),
]


async def ask(task, script):
    script([{"id": 0, "task": task, "args": ARGS[task]}])
    started = time.monotonic()
    state = await graph.ainvoke({"messages": [HumanMessage("go")]}, context=Context(task_timeout=1.5))
    return state["results"][0], time.monotonic() - started


@pytest.mark.parametrize(("task", "fault", "then", "words"), FAULTS)
async def test_a_task_succeeds_whatever_its_server_does(task, fault, then, words, router, script):
    router.faults = [fault]
    result, seconds = await ask(task, script)
    assert result["status"] == "done", result
    first, second = result["attempts"]
    assert first["error"]
    assert words in first["error"]
    assert "\n" not in first["error"]
    assert second["error"] is None
    assert (second["model"] == first["model"]) is (then == "again")
    assert result["model"] == second["model"]
    assert seconds < 4
    assert router.sent < 64_000_000


async def test_a_server_that_is_not_there_is_tried_again_and_then_left(router, script, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setenv("HUGGINGGPT_ENDPOINTS", json.dumps({TEXT: url}))
        result, _ = await ask(TEXT, script)
    assert [attempt["runtime"] for attempt in result["attempts"]] == ["endpoints"] * 3 + ["providers"]
    assert result["status"] == "done"


async def test_where_every_server_fails_the_answer_says_so(router, script):
    router.faults = [fails(404, "no such model"), fails(410, "is gone")]
    result, _ = await ask(TEXT, script)
    assert result["status"] == "failed"
    assert len(result["attempts"]) == 2
    assert "answered 410: is gone" in result["error"]["message"]
