"""What the failure of a server means: whether the same call may work if it is made again, and when."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from langchain_core.exceptions import ModelError

from hugginggpt.tools.runtime import PermanentError, TransientError

LONGEST_WAIT = 30.0
"""Seconds. A server that asks for a longer pause has given its answer for this run."""

_KINDS = {401: "account", 402: "account", 403: "account", 408: "timeout", 413: "too-long", 429: "busy"}


def run_error(error: Exception) -> TransientError | PermanentError:
    """What a client of a server raised, in one line. It may be of openai, huggingface_hub or httpx."""
    code, pause = status(error), _retry_after(error)
    message = " ".join(str(error).split())[:200] or type(error).__name__
    if isinstance(error, TimeoutError):
        return TransientError("timeout", "did not answer in time")
    kind = "connection" if code is None else _KINDS.get(code, "server")
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


def status(error: BaseException) -> int | None:
    """The HTTP status that an error came with."""
    response = getattr(error, "response", None)
    code = getattr(error, "status_code", None) or getattr(response, "status_code", None)
    return code if isinstance(code, int) else None


def _retry_after(error: BaseException) -> float | None:
    """Seconds, from the header's number or date (RFC 9110 §10.2.3)."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
