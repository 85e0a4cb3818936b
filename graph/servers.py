"""Servers of one's own, as the environment names them.

`HUGGINGGPT_ENDPOINTS` is a JSON object or the path of one: a task or the id of a model, to an address or to
`{"url", "task", "token_env", "speaks"}`. From the environment only: no remote caller has an address called.
"""

from functools import cache
from pathlib import Path
from typing import Literal, Required
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from hugginggpt.graph.context import Accounts, SettingsError
from hugginggpt.tools.runtime import Endpoint
from hugginggpt.tools.tasks import TASKS


class EndpointsError(SettingsError):
    """`HUGGINGGPT_ENDPOINTS` cannot be used."""


_HUGGING_FACE = ".endpoints.huggingface.cloud"


class _Entry(TypedDict, total=False):
    """An address, and what is said of it. `token_env` is the environment variable that holds its token."""

    __pydantic_config__ = {"extra": "forbid"}  # type: ignore[misc]  # noqa: RUF012, as Pydantic reads it
    url: Required[str]
    task: str
    token_env: str
    speaks: Literal["openai", "tgi", "tei", "inference"]


def endpoints(accounts: Accounts) -> tuple[Endpoint, ...]:
    """The servers that are named. Raises `EndpointsError`. Blocks where a file is."""
    text = accounts.endpoints
    if not text:
        return ()
    try:
        entries = _adapter().validate_json(text if text.startswith("{") else Path(text).read_bytes())
    except OSError as error:
        raise _wrong("", f"{text[:100]} is neither a JSON object nor a file that can be read") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[-1]
        raise _wrong(".".join(map(str, first["loc"])), first["msg"]) from error
    return tuple(
        _endpoint(key, {"url": entry} if isinstance(entry, str) else entry, accounts)
        for key, entry in entries.items()
    )


@cache
def _adapter() -> TypeAdapter[dict[str, str | _Entry]]:
    return TypeAdapter(dict[str, str | _Entry])


def _endpoint(key: str, entry: _Entry, accounts: Accounts) -> Endpoint:
    url, task = entry["url"].rstrip("/"), entry.get("task", key if key in TASKS else "")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise _wrong(key, f"{url!r} is not an http or https address")
    if task and task not in TASKS:
        raise _wrong(key, f"{task!r} is not a task; see hugginggpt tasks")
    token = ""
    if name := entry.get("token_env"):
        token = accounts.secret(name)
        if not token:
            raise _wrong(key, f"the environment variable {name} is not set")
    elif parts.scheme == "https" and parts.hostname.endswith(_HUGGING_FACE):
        token = accounts.hf_token
    return Endpoint(url, "" if key in TASKS else key, task, token, entry.get("speaks", ""))


def _wrong(where: str, line: str) -> EndpointsError:
    return EndpointsError(f"HUGGINGGPT_ENDPOINTS: {where + ': ' if where else ''}{line}")
