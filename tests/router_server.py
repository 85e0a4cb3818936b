"""A router on loopback that speaks the Inference Providers' API as huggingface_hub calls it.

A model is called by its task: `org/summarization` summarizes, and so does `other/summarization`. Third
parties are there as far as their ways to answer differ: fal-ai has a job that is polled and a URL, replicate
a URL, together base64 in JSON.
"""

import base64
import io
import json
import re
import socket
import struct
import threading

import numpy as np
import soundfile
from loopback import LoopbackHandler, LoopbackServer
from PIL import Image

from hugginggpt.tools import video

HUGE = 2 << 30


def png(size=(8, 6), mode="RGB", color="red"):
    file = io.BytesIO()
    Image.new(mode, size, color).save(file, "PNG")
    return file.getvalue()


def wav(seconds=0.1, rate=16_000):
    file = io.BytesIO()
    soundfile.write(file, np.sin(np.arange(int(seconds * rate)) / 5) / 2, rate, format="WAV")
    return file.getvalue()


def mp4():
    return video.encode_mp4([Image.new("RGB", (32, 32), color) for color in ("red", "blue")], 2.0)


LABELS = [{"label": "cat", "score": 0.2}, {"label": "dog", "score": 0.7}]
BOX = {"xmin": 1, "ymin": 1, "xmax": 5, "ymax": 4}


def _b64(data):
    return base64.b64encode(data).decode()


def chat(text, end="stop"):
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": end}
    return {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}


ANSWERS = {
    "text-generation": [{"generated_text": "Once upon a time."}],
    "summarization": [{"summary_text": "A bridge."}],
    "translation": [{"translation_text": "Guten Morgen."}],
    "question-answering": {"answer": "Monday", "score": 0.9, "start": 0, "end": 6},
    "table-question-answering": {
        "answer": "4",
        "cells": ["4"],
        "coordinates": [[0, 1]],
        "aggregator": "NONE",
    },
    "text-classification": [LABELS],
    "zero-shot-classification": LABELS,
    "token-classification": [{"entity_group": "PER", "word": "Ada", "score": 0.99, "start": 0, "end": 3}],
    "fill-mask": [{"sequence": "Paris is nice.", "score": 0.9, "token": 3, "token_str": "Paris"}],
    "sentence-similarity": [0.9, 0.1],
    "feature-extraction": [[[0.5, 1.5], [1.5, 0.5]]],
    "image-classification": LABELS,
    "zero-shot-image-classification": LABELS,
    "object-detection": [{"label": "cat", "score": 0.9, "box": BOX}],
    "image-segmentation": [{"label": "cat", "score": 0.9, "mask": _b64(png(mode="L", color=255))}],
    "image-to-text": [{"generated_text": "a red square"}],
    "visual-question-answering": [{"answer": "red", "score": 0.9}],
    "document-question-answering": [{"answer": "EUR 3", "score": 0.9, "start": 0, "end": 1}],
    "image-to-image": png(),
    "text-to-image": png(),
    "text-to-speech": wav(),
    "automatic-speech-recognition": {"text": "hello"},
    "audio-classification": LABELS,
    "audio-to-audio": [{"label": "clean", "content-type": "audio/wav", "blob": _b64(wav())}],
}
"""What Hugging Face's own servers answer, by task: JSON or a file."""


class Server(LoopbackServer):
    """Use as a context manager. `answer(path, body)` gives JSON, bytes, (status, JSON), or a fault."""

    def __init__(self, answer):
        super().__init__(_Handler)
        self.answer = answer
        self.over = threading.Event()
        self.requests = []
        """(method, path with query, headers in lower case, body) of all requests."""

    def __exit__(self, *exception):
        self.over.set()
        super().__exit__(*exception)


class RouterServer(Server):
    """`faults` are functions of a handler; `result` is the URL that third parties answer with."""

    def __init__(self):
        super().__init__(self._answer)
        self.faults = []
        self.result = f"{self.url}/files/result"
        self.file = png()
        self.sent = 0
        """Bytes of huge answers."""

    def asked(self):
        """What was posted."""
        return [request for request in self.requests if request[0] == "POST"]

    def _answer(self, method, path, body):  # noqa: PLR0911, a line per address
        if method == "POST" and self.faults:
            return self.faults.pop(0)
        if path == "/v1/chat/completions":
            return chat(f"Said by {body['model']}.")
        if found := re.fullmatch(r"/hf-inference/models/[a-z]+/([a-z-]+)(/pipeline/([a-z-]+))?", path):
            return ANSWERS[found[3] or found[1]]
        if method == "POST" and path.startswith("/fal-ai/"):
            if not path.endswith("?_subdomain=queue"):
                return {"images": [{"url": self.result}]}
            job = {"request_id": "1", "status": "IN_QUEUE"}
            return {**job, "response_url": f"https://queue.fal.run{path.split('?')[0]}/requests/1"}
        if found := re.fullmatch(r"/fal-ai/.*/requests/1/status\?.*", path):
            return {"status": "COMPLETED"}
        if re.fullmatch(r"/fal-ai/.*/requests/1\?.*", path):
            return {"video": {"url": self.result}}
        if path.startswith("/together/v1/images"):
            return {"data": [{"b64_json": _b64(self.file)}]}
        if path.startswith("/together/v1/completions"):
            return {"choices": [{"text": "and so on.", "finish_reason": "stop"}]}
        if path.startswith("/replicate/"):
            return {"output": [self.result]}
        if path == "/files/result":
            return self.file
        return (404, {"error": "Not Found"})


class _Handler(LoopbackHandler):
    def reply(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind = self.headers.get("Content-Type", "")
        body = json.loads(raw) if raw and kind == "application/json" else raw
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.command, self.path, headers, body))
        answer = self.server.answer(self.command, self.path, body)
        if callable(answer):
            self.close_connection = True
            answer(self)
            return
        status, answer = answer if isinstance(answer, tuple) else (200, answer)
        self.send(status, answer)

    def send(self, status, answer, headers=(), cut=None, kind=None):
        """JSON or a file; `cut` ends the body at that byte and keeps the connection open."""
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        kind = kind or ("application/octet-stream" if isinstance(answer, bytes) else "application/json")
        self.begin(status, {"Content-Type": kind, "Content-Length": str(len(content)), **dict(headers)})
        self.wfile.write(content[:cut])

    def begin(self, status, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def fails(status, error="no", **headers):
    """A reply that is no success; `estimated_time` is part of the body."""
    body = {"error": error} | {k: headers.pop(k) for k in ("estimated_time",) if k in headers}
    named = {name.replace("_", "-"): str(value) for name, value in headers.items()}
    return lambda handler: handler.send(status, body, named)


def gives(answer, kind=None):
    """Another answer than the task's, with status 200."""
    return lambda handler: handler.send(200, answer, kind=kind)


def redirects(url, status=302):
    return lambda handler: handler.send(status, b"", {"Location": url})


def reset(handler):
    """The connection is reset before an answer."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.wfile = io.BytesIO()


def silence(handler):
    """No answer."""
    handler.server.over.wait(30)


def stalls(handler):
    """The beginning of an answer, and then nothing, on an open connection."""
    handler.send(200, b"{" + b" " * 1000, cut=10, kind="application/json")
    handler.wfile.flush()
    handler.server.over.wait(30)


def breaks(handler):
    """The beginning of an answer, and the end of the connection."""
    handler.send(200, b"{" + b" " * 1000, cut=10, kind="application/json")


def huge(*, declared):
    """An answer of 2 GB, for as long as somebody reads it."""

    def answer(handler):
        length = {"Content-Length": str(HUGE)} if declared else {"Transfer-Encoding": "chunked"}
        handler.begin(200, {"Content-Type": "application/json", **length})
        block = b" " * (1 << 20)
        chunk = block if declared else b"100000\r\n" + block + b"\r\n"
        for _ in range(HUGE >> 20):
            handler.wfile.write(chunk)
            handler.server.sent += len(block)

    return answer
