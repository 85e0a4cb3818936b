"""Servers of one's own: real HTTP on loopback, to servers that speak what TGI, TEI, vLLM and others do."""

import asyncio
import json

import pytest
from router_server import ANSWERS, Server, chat, fails, png, redirects, silence

from hugginggpt.app.cli import main
from hugginggpt.graph import resources, servers
from hugginggpt.graph.app import graph
from hugginggpt.graph.context import Accounts, Context, Home, SettingsError
from hugginggpt.tools import outgoing, serving
from hugginggpt.tools.artifacts import artifact_store
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.endpoints import Endpoints
from hugginggpt.tools.runtime import Endpoint, PermanentError, RuntimeSettings, TransientError
from hugginggpt.tools.tasks import TASKS
from hugginggpt.tools.values import Media
from hugginggpt.tools.views import store_outputs

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

ROWS = [{"height": 3, "kind": "a"}, {"height": 4, "kind": "b"}]
DOCUMENTS = {"query": "cats", "documents": ["dogs", "cats"]}
PICTURE = Media(png(), "image/png", "red.png")
EUROPE = "https://x.eu.endpoints.huggingface.cloud"
NOT_THEIRS = ("http://x.endpoints.huggingface.cloud", "https://endpoints.huggingface.cloud.evil.org")
NOTHING = (404, {"error": "Not Found"})


def tgi(method, path, body):
    return {
        "/info": {"model_id": "m", "router": "text-generation-router", "max_total_tokens": 4096},
        "/v1/chat/completions": chat("Chatted."),
        "/generate": {"generated_text": "Generated."},
    }.get(path, NOTHING)


def tgi_without_template(method, path, body):
    if path == "/v1/chat/completions":
        return (422, {"error": "Template error: template not found", "error_type": "template_error"})
    return tgi(method, path, body)


def tei(method, path, body):
    return {
        "/info": {"model_id": "m", "model_type": {"embedding": {"pooling": "cls"}}},
        "/embed": [[0.5, 1.5]],
        "/rerank": [{"index": 1, "score": 0.9}, {"index": 0, "score": 0.1}],
        "/predict": [{"label": "good", "score": 0.9}, {"label": "bad", "score": 0.1}],
        "/similarity": [0.9, 0.1],
    }.get(path, NOTHING)


def vllm(method, path, body):
    return {
        "/v1/models": {"object": "list", "data": [{"id": "served-name"}]},
        "/v1/chat/completions": chat("Chatted."),
        "/v1/embeddings": {"data": [{"embedding": [0.5, 1.5]}]},
        "/v1/rerank": {
            "results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]
        },
    }.get(path, NOTHING)


def own_app(method, path, body):
    """An app that answers whatever is posted to its address, as one on Ray Serve."""
    if method == "GET":
        return (500, {"error": "no JSON in the request"})
    if isinstance(body, bytes):
        return ANSWERS["object-detection"]
    if "table" in str(body["inputs"]) or isinstance(body["inputs"], dict):
        return [1.5, 2]
    return ANSWERS["summarization"]


def endpoints(url, **facts):
    return Endpoints(RuntimeSettings(encoder=None, endpoints=(Endpoint(url, **facts),)))


async def ask(runtime, task, **inputs):
    [card] = runtime.cards(task)
    return await runtime.run(card, task, inputs)


@pytest.mark.parametrize(
    ("answer", "task", "inputs", "outputs"),
    [
        (tgi, "text-generation", {"text": "Write."}, {"text": "Chatted."}),
        (tgi_without_template, "text-generation", {"text": "Write."}, {"text": "Generated."}),
        (tgi, "image-text-to-text", {"text": "What?", "image": PICTURE}, {"text": "Chatted."}),
        (vllm, "text-generation", {"text": "Write."}, {"text": "Chatted."}),
        (vllm, "feature-extraction", {"text": "a"}, {"vector": [0.5, 1.5]}),
        (vllm, "text-ranking", DOCUMENTS, {"scores": [0.1, 0.9]}),
        (tei, "feature-extraction", {"text": "a"}, {"vector": [0.5, 1.5]}),
        (tei, "text-ranking", DOCUMENTS, {"scores": [0.1, 0.9]}),
        (tei, "text-classification", {"text": "a"}, {"labels": tei("POST", "/predict", {})}),
        (tei, "sentence-similarity", {"source": "a", "sentences": ["b", "c"]}, {"scores": [0.9, 0.1]}),
        (own_app, "summarization", {"text": "Long."}, {"text": "A bridge."}),
        (own_app, "tabular-regression", {"table": ROWS}, {"numbers": [1.5, 2.0]}),
    ],
)
async def test_what_a_server_speaks_is_found_out(answer, task, inputs, outputs, home):
    with Server(answer) as server:
        gave = await ask(endpoints(server.url, task=task), task, **inputs)
    assert gave == outputs
    store_outputs(TASKS[task], gave, inputs, artifact_store(str(home / "artifacts")), "made")


async def test_it_is_found_out_once_per_address(home):
    with Server(tgi_without_template) as server:
        runtime = endpoints(server.url, task="text-generation")
        await asyncio.gather(*(ask(runtime, "text-generation", text="a") for _ in range(3)))
        await ask(runtime, "text-generation", text="a")
        paths = [path for _, path, *_ in server.requests]
    assert paths.count("/info") == 1
    assert paths[-1] == "/generate"
    assert paths[-2] != "/v1/chat/completions"


async def test_what_is_said_of_a_server_is_not_found_out():
    with Server(tei) as server:
        await ask(endpoints(server.url, task="text-ranking", speaks="tei"), "text-ranking", **DOCUMENTS)
        assert [path for _, path, *_ in server.requests] == ["/rerank"]


async def test_a_server_that_is_away_is_a_passing_fault_and_is_asked_again():
    replies = [fails(503), tei]

    def wakes(method, path, body):
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        return reply(method, path, body) if reply is tei else reply

    with Server(wakes) as server:
        runtime = endpoints(server.url, task="text-ranking")
        with pytest.raises(TransientError):
            await ask(runtime, "text-ranking", **DOCUMENTS)
        assert await ask(runtime, "text-ranking", **DOCUMENTS) == {"scores": [0.1, 0.9]}


async def test_a_server_that_does_not_say_what_it_is_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(serving, "_PROBE", 0.2)
    with Server(lambda *_: silence) as server:
        with pytest.raises(TransientError) as error:
            await ask(endpoints(server.url, task="text-ranking"), "text-ranking", **DOCUMENTS)
        assert error.value.kind == "timeout"


async def test_a_task_that_the_server_has_nothing_for_is_told():
    nothing = "speaks tei, which has nothing for summarization"
    with Server(tei) as server, pytest.raises(PermanentError, match=nothing):
        await ask(endpoints(server.url, task="summarization"), "summarization", text="a")


async def test_the_model_of_an_openai_server_is_called_by_its_own_name():
    with Server(vllm) as server:
        runtime = endpoints(f"{server.url}/v1", task="text-generation", model="org/model")
        await ask(runtime, "text-generation", text="a")
        assert server.requests[-1][1] == "/v1/chat/completions"
        assert server.requests[-1][3]["model"] == "served-name"


async def test_tables_are_sent_by_column_and_answered_by_row(home):
    answers = [[["a", 0.7]], ["x", 2], [[{"label": "x", "score": 0.7}, {"label": "y", "score": 0.3}], []]]
    with Server(lambda method, *_: answers.pop(0) if method == "POST" else NOTHING) as server:
        runtime = endpoints(server.url, task="tabular-classification", speaks="inference")
        with pytest.raises(PermanentError, match="1 rows for 2"):
            await ask(runtime, "tabular-classification", table=ROWS)
        gave = await ask(runtime, "tabular-classification", table=ROWS)
        assert server.requests[0][3] == {"inputs": {"data": {"height": [3, 4], "kind": ["a", "b"]}}}
    assert gave == {"labels": [[{"label": "x", "score": 1.0}], [{"label": "2", "score": 1.0}]]}
    spec = TASKS["tabular-classification"]
    store_outputs(spec, gave, {"table": ROWS}, artifact_store(str(home / "artifacts")), "made")


async def test_a_file_is_sent_as_it_is():
    with Server(own_app) as server:
        runtime = endpoints(server.url, task="object-detection")
        gave = await ask(runtime, "object-detection", image=PICTURE)
        assert server.requests[-1][3] == png()
    assert gave["objects"][0]["label"] == "cat"


async def test_a_token_goes_to_its_own_server_and_no_other(monkeypatch):
    monkeypatch.setattr(outgoing, "is_public", lambda _: True)
    with Server(tei) as other, Server(lambda *_: redirects(f"{other.url}/info")) as server:
        runtime = endpoints(server.url, task="text-ranking", token="own")
        with pytest.raises(PermanentError):  # a post is not redirected to another server
            await ask(runtime, "text-ranking", **DOCUMENTS)
        assert {headers.get("authorization") for _, _, headers, _ in server.requests} == {"Bearer own"}
        assert {headers.get("authorization") for _, _, headers, _ in other.requests} == {None}


async def test_no_saved_account_goes_to_a_server_without_a_token(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with Server(vllm) as server:
        await ask(endpoints(server.url, task="text-generation"), "text-generation", text="a")
        assert {headers.get("authorization") for _, _, headers, _ in server.requests} == {None}


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ({"text-ranking": "http://tei:80/"}, Endpoint("http://tei:80", task="text-ranking")),
        ({"org/model": "http://vllm:8000/v1"}, Endpoint("http://vllm:8000/v1", "org/model")),
        (
            {"org/model": {"url": "http://h", "task": "summarization", "token_env": "KEY", "speaks": "tgi"}},
            Endpoint("http://h", "org/model", "summarization", "secret", "tgi"),
        ),
        ({"org/model": EUROPE}, Endpoint(EUROPE, "org/model", token="hf_secret")),
        *(({"org/model": url}, Endpoint(url, "org/model")) for url in NOT_THEIRS),
    ],
)
@pytest.mark.parametrize("as_file", [False, True])
def test_servers_are_named_by_the_environment(entries, found, as_file, home, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("KEY", "secret")
    text = json.dumps(entries)
    if as_file:
        (home / "endpoints.json").write_text(text)
        text = str(home / "endpoints.json")
    monkeypatch.setenv("HUGGINGGPT_ENDPOINTS", text)
    assert servers.endpoints(Accounts.from_environment()) == (found,)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("/no/such/file", "neither a JSON object nor a file"),
        ("{", "JSON"),
        ('{"summarization": "tei:80"}', "'tei:80' is not an http or https address"),
        ('{"summarization": "file:///etc/passwd"}', "is not an http or https address"),
        ('{"a/b": {"url": "http://h", "task": "nonsense"}}', "'nonsense' is not a task"),
        ('{"a/b": {"url": "http://h", "token_env": "NO_SUCH"}}', "NO_SUCH is not set"),
        ('{"a/b": {"task": "summarization"}}', "Field required"),
        ('{"a/b": {"url": "http://h", "tokn": "x"}}', "Extra inputs"),
    ],
)
def test_a_setting_that_cannot_be_used_gets_one_line(text, line, monkeypatch, capsys):
    monkeypatch.setenv("HUGGINGGPT_ENDPOINTS", text)
    with pytest.raises(SettingsError, match=line) as error:
        servers.endpoints(Accounts.from_environment())
    assert "\n" not in str(error.value)
    assert main(["ask", "Say hello"]) == 2
    assert "HUGGINGGPT_ENDPOINTS: " in capsys.readouterr().err
    assert main(["doctor"]) == 0
    assert "→ HUGGINGGPT_ENDPOINTS: " in capsys.readouterr().out


def test_a_server_for_a_task_is_a_model_of_its_own_and_one_for_a_model_runs_its_card():
    runtime = Endpoints(
        RuntimeSettings(
            encoder=None,
            endpoints=(Endpoint("http://a", task="text-ranking"), Endpoint("http://b", "org/model")),
        )
    )
    [own] = runtime.cards("text-ranking")
    assert (own.id, runtime.can_run(own)) == ("endpoint/text-ranking", True)
    assert runtime.can_run(ModelCard(id="org/model", task="summarization", summary="s"))
    assert not runtime.can_run(ModelCard(id="org/model", task="video-classification", summary="s"))
    assert not runtime.can_run(ModelCard(id="org/other", task="summarization", summary="s"))
    assert runtime.cards("summarization") == []


def test_doctor_says_that_servers_are_named(monkeypatch, capsys):
    monkeypatch.setenv("HUGGINGGPT_ENDPOINTS", '{"text-ranking": "http://127.0.0.1:9"}')
    assert main(["doctor", "--json"]) == 0
    assert "endpoints: available" in [f["found"] for f in json.loads(capsys.readouterr().out)]


async def test_a_table_is_judged_by_a_server_of_ones_own_from_the_request_to_the_answer(monkeypatch, script):
    script([{"id": 0, "task": "tabular-regression", "args": {"table": {"file": "trees.csv"}}}])
    with Server(own_app) as server:
        monkeypatch.setenv("HUGGINGGPT_ENDPOINTS", json.dumps({"tabular-regression": server.url}))
        artifact = resources.store(Home.from_environment()).put(
            b"height,kind\n3,a\n4,b\n", "trees.csv", "text/csv", {"rows": 2}
        )
        state = await graph.ainvoke(
            {"messages": [("user", "How tall?")], "files": [artifact]}, context=Context()
        )
    [result] = state["results"]
    assert (result["model"], result["runtime"]) == ("endpoint/tabular-regression", "endpoints")
    assert result["outputs"]["numbers"] == [1.5, 2.0]
