"""A server on loopback that speaks OpenAI's chat protocol and says what a test gives it to say.

It streams, counts tokens, and takes a JSON schema or tools where it is told to; and it does what servers do
when they fail. All between it and the graph is the real client.
"""

import itertools
import json
import time
from dataclasses import dataclass, field

from loopback import LoopbackHandler, LoopbackServer

_STAGES = {"Plan a": "plan", "Choose the": "choose", "Answer the request": "answer"}
"""What the controller's prompts begin with; all others are a task's, stage `run`."""


@dataclass
class Says:
    """A reply that is streamed, `size` characters at a time, with `pause` seconds before each piece, and
    `first` seconds before the first.

    `end` is how it ends: `stop` or `length`; `cut` is a broken connection, before the end. `refusal` is said
    where a reply is not streamed.
    """

    text: str
    size: int = 9
    pause: float = 0.0
    first: float = 0.0
    end: str = "stop"
    refusal: str | None = None


@dataclass
class Fails:
    """A reply with a status that is no success."""

    status: int
    message: str = "no"
    headers: dict = field(default_factory=dict)


@dataclass
class Raw:
    """The body as it is, with status 200."""

    body: bytes


@dataclass
class Forever:
    """A reply that repeats this text and never ends."""

    text: str


class LLMServer(LoopbackServer):
    """Use as a context manager. `script[stage]` is what it replies, one after the other, the last again."""

    def __init__(self):
        super().__init__(_Handler)
        self.script = {"plan": [Says('{"tasks": []}')], "choose": [Says("{}")], "answer": [Says("Well.")]}
        self.script["run"] = [Says("Done.")]
        self.takes = {"schema", "tools", "usage"}
        self.requests = []
        """Bodies of all requests, with `stage`, the headers' `key`, and `at`, seconds of a clock."""

    @property
    def url(self):
        return f"{super().url}/v1"

    def says(self, **replies):
        """The replies of these stages: texts, plans as lists of tasks, or the classes above."""
        for stage, script in replies.items():
            self.script[stage] = [
                _reply(reply) for reply in (script if isinstance(script, tuple) else (script,))
            ]

    def asked(self, stage):
        return [request for request in self.requests if request["stage"] == stage]


def _reply(reply):
    if isinstance(reply, str):
        return Says(reply)
    return Says(json.dumps({"tasks": reply})) if isinstance(reply, list) else reply


class _Handler(LoopbackHandler):
    def reply(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = body["messages"][0]["content"]
        stage = next((stage for words, stage in _STAGES.items() if said.startswith(words)), "run")
        key, now = self.headers["Authorization"], time.monotonic()
        self.server.requests.append({**body, "stage": stage, "key": key, "at": now})
        self.close_connection = True
        if refused := self._refused(body):
            self._fail(Fails(400, f"{refused} is not supported"))
            return
        script = self.server.script[stage]
        reply = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(reply, Fails):
            self._fail(reply)
        elif isinstance(reply, Raw):
            self._begin()
            self._chunk(reply.body)
            self._chunk(b"")
        elif body.get("stream"):
            self._stream(reply, body)
        else:
            self._whole(reply, body)

    def _refused(self, body):
        wants = {"schema": "response_format", "tools": "tools", "usage": "stream_options"}
        return next(
            (name for what, name in wants.items() if name in body and what not in self.server.takes), None
        )

    def _fail(self, reply):
        error = {"message": reply.message, "type": "error", "code": None}
        self._send(reply.status, {"error": error}, reply.headers)

    def _send(self, status, value, headers):
        content = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {**headers, "Content-Type": "application/json"}.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _whole(self, reply, body):
        message = {"role": "assistant", "content": reply.text, "refusal": reply.refusal}
        choice = {"index": 0, "message": message, "finish_reason": reply.end}
        head = {"id": "c", "object": "chat.completion", "created": 0, "model": "scripted"}
        self._send(200, {**head, "choices": [choice], "usage": _usage(reply, body)}, {})

    def _begin(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, data):
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _event(self, choices, **more):
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "scripted", **more}
        self._chunk(b"data: " + json.dumps({**chunk, "choices": choices}).encode() + b"\n\n")

    def _stream(self, reply, body):
        self._begin()
        text = reply.text
        pieces = (
            itertools.repeat(text)
            if isinstance(reply, Forever)
            else [text[at : at + reply.size] for at in range(0, len(text), reply.size)]
        )
        time.sleep(getattr(reply, "first", 0))
        for number, piece in enumerate(pieces):
            time.sleep(getattr(reply, "pause", 0))
            self._event([{"index": 0, "delta": _delta(piece, body, number), "finish_reason": None}])
        if reply.end == "cut":
            return  # without the chunk that ends the body
        self._event([{"index": 0, "delta": {}, "finish_reason": reply.end}])
        if body.get("stream_options", {}).get("include_usage"):
            self._event([], usage=_usage(reply, body))
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")


def _usage(reply, body):
    prompt = sum(len(message["content"]) for message in body["messages"]) // 4
    usage = {"prompt_tokens": prompt, "completion_tokens": len(reply.text) // 4}
    return {**usage, "total_tokens": sum(usage.values())}


def _delta(piece, body, number):
    if "tools" not in body:
        return {"role": "assistant", "content": piece}
    first = {"id": "call", "type": "function"} if number == 0 else {}
    name = {"name": body["tools"][0]["function"]["name"]} if number == 0 else {}
    return {
        "role": "assistant",
        "tool_calls": [{"index": 0, **first, "function": {**name, "arguments": piece}}],
    }
