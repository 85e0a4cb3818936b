"""What the failure of a server means: whether the same call may work if it is made again, and when."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from langchain_core.exceptions import ModelError

from hugginggpt.tools.runtime import PermanentError, TransientError

LONGEST_WAIT = 30.0
"""Seconds. A server that asks for a longer pause has given its answer for this run."""

_KINDS = {401: "account", 402: "account", 403: "account", 404: "missing", 408: "timeout", 410: "gone",
          413: "too-long", 429: "busy", 504: "timeout"}  # fmt: skip
_MEMORY = re.compile(r"out of memory|OutOfMemory", re.IGNORECASE)
_GATED = re.compile(r"\bgated\b|GatedRepo", re.IGNORECASE)


def run_error(error: Exception) -> TransientError | PermanentError:
    """What a client of a server raised, in one line. It may be of openai, huggingface_hub or httpx."""
    if isinstance(error, TransientError | PermanentError):
        return error
    if status(error) is None and status(error.__cause__) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # huggingface_hub's errors of text generation
    code, pause, message = status(error), _pause(error), _line(error)
    if isinstance(error, TimeoutError) or type(error).__name__ in {"ReadTimeout", "WriteTimeout"}:
        return TransientError("timeout", "did not answer in time")
    if _MEMORY.search(message):
        return PermanentError("memory", message)
    kind = "connection" if code is None else _KINDS.get(code, "server")
    if code in {401, 403} and _GATED.search(message):
        return PermanentError("gated", f"{message}; accept its licence on its page on the Hub")
    if pause is not None and pause > LONGEST_WAIT:
        return PermanentError(kind, f"{message} (asks for a pause of {pause:.0f} s)")
    return TransientError(kind, message, pause) if _passes(error, code) else PermanentError(kind, message)


def _passes(error: Exception, code: int | None) -> bool:
    if isinstance(error, ModelError):
        return error.is_retryable
    if code is not None:
        return code in {408, 409, 425, 429} or code >= 500
    # broken connections, and replies that are not what the protocol says
    clients = ("openai", "httpx", "httpcore")
    return type(error).__module__.startswith(clients) or isinstance(error, OSError | ValueError)


def status(error: BaseException | None) -> int | None:
    """The HTTP status that an error came with."""
    response = getattr(error, "response", None)
    code = getattr(error, "status_code", None) or getattr(response, "status_code", None)
    return code if isinstance(code, int) else None


def _line(error: Exception) -> str:
    """What the server said in its JSON, else what the client says of it; at most 200 characters."""
    said = str(error)
    if type(error).__module__.startswith(("huggingface_hub", "httpx")) and (code := status(error)):
        body = _body(error)
        words = next((body[name] for name in ("error", "message", "detail") if body.get(name)), "")
        if isinstance(words, dict):
            words = words.get("message") or words
        gated = " (gated)" if _GATED.search(type(error).__name__) else ""
        phrase = str(getattr(getattr(error, "response", None), "reason_phrase", ""))
        said = f"answered {code}{gated}: {words or phrase}"
    return " ".join(said.split())[:200] or type(error).__name__


def _body(error: BaseException) -> dict[str, Any]:
    """The JSON object that an error came with; empty where there is none."""
    try:
        body = getattr(error, "response").json()  # noqa: B009, clients type it differently
    except Exception:  # noqa: BLE001, no response, not read, not JSON, not text
        return {}
    return body if isinstance(body, dict) else {}


def _pause(error: BaseException) -> float | None:
    """Seconds: the header's number or date (RFC 9110 §10.2.3), or the time that a model still loads."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    value = headers.get("retry-after")
    if value is None:
        loading = _body(error).get("estimated_time") if status(error) == 503 else None
        return max(0.0, float(loading)) if isinstance(loading, int | float) else None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
