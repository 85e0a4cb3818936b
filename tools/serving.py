"""What servers of models speak: four protocols, how to tell them apart, and what each is asked for a task.

| protocol | spoken by | asked |
|---|---|---|
| openai | vLLM, llama.cpp, Ollama, SGLang | `/v1/chat/completions`, `/v1/embeddings`, `/v1/rerank` |
| tgi | text-generation-inference | `/v1/chat/completions`; `/generate` where the model has no chat template |
| tei | text-embeddings-inference | `/embed`, `/rerank`, `/predict`, `/similarity` |
| inference | Inference Endpoints' own images, apps on Ray Serve | the address, as `InferenceClient` does |

Tables go to `inference` as `{"inputs": {"data": {column: [value of each row]}}}`; the answer is a list with a
label or a number for each row, or for each row a list of `{"label", "score"}`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.inference import at_url, server_faults
from hugginggpt.tools.methods import METHODS, Call, methods_for
from hugginggpt.tools.outgoing import Reach, client, opened, origin
from hugginggpt.tools.runtime import Endpoint, PermanentError
from hugginggpt.tools.values import Inputs, Outputs, Rows

_PROBE = 10.0  # seconds to say what one is
_AWAY = frozenset({401, 402, 403, 429, 502, 503, 504})  # says nothing of what would be spoken


@dataclass(slots=True)
class Protocol:
    """What a server speaks, the names of its models where it tells them, and whether they chat."""

    name: str
    models: tuple[str, ...] = ()
    chats: bool = True


@dataclass(frozen=True, slots=True)
class _Post:
    """A path, the JSON that is sent there, and what its answer gives."""

    path: str
    body: Callable[[Call], dict[str, Any]]
    read: Callable[[Any, Call], Outputs]


def protocol_of(endpoint: Endpoint) -> Protocol:
    """What a server speaks, as is said of it, or by what it answers. Blocks. Raises `RunError`."""
    base, said = _base(endpoint), endpoint.speaks
    if said in {"tgi", "tei", "inference"}:
        return Protocol(said)
    with client(_reach(endpoint, _PROBE)) as http, server_faults():
        about = {} if said else _json(http, f"{base}/info")
        if "model_type" in about:
            return Protocol("tei")
        if about.get("router") == "text-generation-router" or "max_total_tokens" in about:
            return Protocol("tgi")
        listed = _json(http, f"{base}/v1/models")
    if said or listed.get("object") == "list":
        return Protocol("openai", tuple(each["id"] for each in listed.get("data") or ()))
    return Protocol("inference")


def _json(http: httpx.Client, url: str) -> dict[str, Any]:
    """The JSON object there; empty where there is none."""
    response = http.get(url)
    if response.status_code in _AWAY:
        response.raise_for_status()
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if response.is_success and isinstance(found, dict) else {}


def can_do(task: str) -> bool:
    """Whether servers of any protocol do the task."""
    return bool(methods_for(task)) or any(task == done for _, done in _POSTS)


async def ask(endpoint: Endpoint, protocol: Protocol, card: ModelCard, task: str, inputs: Inputs) -> Outputs:
    """Have a server do a task. Raises `RunError`."""
    name = endpoint.model if endpoint.model in protocol.models or not protocol.models else protocol.models[0]
    call, reach = Call(card, inputs, name), _reach(endpoint)
    if protocol.name in {"openai", "tgi"} and protocol.chats and "conversational" in methods_for(task):
        try:
            return await at_url(f"{_base(endpoint)}/v1", "conversational", call, reach)
        except PermanentError as error:
            if protocol.name != "tgi" or "template" not in error.message.lower():
                raise
            protocol.chats = False
    if post := _POSTS.get((protocol.name, task)):
        return await _posted(post, _base(endpoint), call, reach)
    if protocol.name == "inference" and task in METHODS:
        return await at_url(endpoint.url, task, call, reach)
    raise PermanentError("protocol", f"its server speaks {protocol.name}, which has nothing for {task}")


async def _posted(post: _Post, base: str, call: Call, reach: Reach) -> Outputs:
    async with opened(reach) as http:
        with server_faults():
            response = await http.post(base + post.path, json=post.body(call))
            response.raise_for_status()
            return post.read(response.json(), call)


def _base(endpoint: Endpoint) -> str:
    return endpoint.url.rstrip("/").removesuffix("/v1")


def _reach(endpoint: Endpoint, think: float = Reach.think) -> Reach:
    return Reach({origin(endpoint.url): endpoint.token}, think)


def _scores(answer: list[dict[str, Any]], name: str, documents: list[str]) -> Outputs:
    """Scores in the order of the documents: servers give them best first."""
    by_index = {each["index"]: each[name] for each in answer}
    return {"scores": [by_index[index] for index in range(len(documents))]}


def _columns(rows: Rows) -> dict[str, list[Any]]:
    return {
        name: [row.get(name) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)
    }


def _table(call: Call) -> dict[str, Any]:
    return {"inputs": {"data": _columns(call["table"])}}


def _row_labels(answer: Any, call: Call) -> Outputs:  # noqa: ANN401
    """A list of labels per row; a server that gives only the best one is sure of it."""
    rows = [each if isinstance(each, list) else [{"label": str(each), "score": 1.0}] for each in answer]
    _check_rows(rows, call)
    return {"labels": [[{"label": str(x["label"]), "score": x["score"]} for x in row] for row in rows]}


def _numbers(answer: Any, call: Call) -> Outputs:  # noqa: ANN401
    _check_rows(answer, call)
    return {"numbers": [float(each) for each in answer]}


def _check_rows(answer: Any, call: Call) -> None:  # noqa: ANN401
    if len(answer) != len(call["table"]):
        raise PermanentError("wrong-output", f"answered {len(answer)} rows for {len(call['table'])}")


_POSTS: dict[tuple[str, str], _Post] = {
    ("openai", "feature-extraction"): _Post(
        "/v1/embeddings",
        lambda call: {"model": call.name, "input": call["text"]},
        lambda answer, _: {"vector": answer["data"][0]["embedding"]},
    ),
    ("openai", "text-ranking"): _Post(
        "/v1/rerank",
        lambda call: {"model": call.name, "query": call["query"], "documents": call["documents"]},
        lambda answer, call: _scores(answer["results"], "relevance_score", call["documents"]),
    ),
    ("tgi", "text-generation"): _Post(
        "/generate",
        lambda call: {"inputs": call["text"], "parameters": {"return_full_text": False}},
        lambda answer, _: {"text": answer["generated_text"]},
    ),
    ("tei", "feature-extraction"): _Post(
        "/embed", lambda call: {"inputs": call["text"]}, lambda answer, _: {"vector": answer[0]}
    ),
    ("tei", "text-ranking"): _Post(
        "/rerank",
        lambda call: {"query": call["query"], "texts": call["documents"]},
        lambda answer, call: _scores(answer, "score", call["documents"]),
    ),
    ("tei", "text-classification"): _Post(
        "/predict", lambda call: {"inputs": call["text"]}, lambda answer, _: {"labels": answer}
    ),
    ("tei", "sentence-similarity"): _Post(
        "/similarity",
        lambda call: {"inputs": {"source_sentence": call["source"], "sentences": call["sentences"]}},
        lambda answer, _: {"scores": answer},
    ),
    ("inference", "tabular-classification"): _Post("", _table, _row_labels),
    ("inference", "tabular-regression"): _Post("", _table, _numbers),
}
"""By protocol and task: what is asked besides the methods of `inference.py`."""
