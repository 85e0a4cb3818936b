"""Which language model `Context.llm` means, and the chat model object for it.

A remote caller may set `Context.llm`. So an address in it is only called where this process's own
environment or command line names it, and `OPENAI_API_KEY` goes to `OPENAI_BASE_URL` (or api.openai.com)
and nowhere else, `HF_TOKEN` to Hugging Face's router and nowhere else. A host application that wants
another server passes a chat model object. A model that runs here, too, is only one that was named here.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import PurePath
from typing import TYPE_CHECKING

from hugginggpt.graph.context import LLM, Accounts, SettingsError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

OPENAI_URL = "https://api.openai.com/v1"
OPENAI_MODEL = "gpt-5.4-mini"
ROUTER_URL = "https://router.huggingface.co/v1"
ROUTER_MODEL = "openai/gpt-oss-120b"

_OPENAI = re.compile(r"openai:(?P<model>.+?)(?:@(?P<url>https?://\S+))?")
_NO_KEY = "none"  # servers without accounts take any; ChatOpenAI insists on one


@dataclass(frozen=True)
class ChatModel:
    """A language model that can be asked. `open` makes or finds the object; it blocks at first."""

    name: str
    """For people: `openai:gpt-5.4-mini`."""
    server: str
    """The same for the same model of the same server: what is found out about it is remembered by this."""
    open: "Callable[[], BaseChatModel]"


@dataclass(frozen=True)
class Choice:
    """The language model of a run, None for none, and why, in a few words."""

    model: ChatModel | None
    reason: str


def choice(llm: "str | BaseChatModel", accounts: Accounts) -> Choice:
    """What a value of `Context.llm` means here. Nothing is loaded. Raises `SettingsError`."""
    if not isinstance(llm, str):
        name = f"chat model {type(llm).__name__}"
        return Choice(ChatModel(name, f"object {id(llm)}", lambda: llm), "passed by the host application")
    if not re.fullmatch(LLM, llm):
        raise SettingsError(
            f"llm {llm!r}: not a language model; use auto, embedded, openai:MODEL, openai:MODEL@URL, "
            "huggingface:MODEL, huggingface:MODEL:PROVIDER or local:MODEL"
        )
    if llm == "embedded":
        return Choice(None, "asked for")
    if llm == "auto":
        return _configured(accounts)
    kind, _, model = llm.partition(":")
    if kind == "huggingface":
        return Choice(_router(model, accounts), "asked for")
    if kind == "local":
        return Choice(_local(llm, model, accounts), "asked for")
    return Choice(_asked_openai(llm, accounts), "asked for")


def _configured(accounts: Accounts) -> Choice:
    if accounts.openai_url and not accounts.openai_model:
        raise SettingsError(
            "OPENAI_BASE_URL is set, but no model: set OPENAI_MODEL too, or --llm openai:MODEL"
        )
    if accounts.openai_key or accounts.openai_url:
        reason = "OPENAI_BASE_URL is set" if accounts.openai_url else "OPENAI_API_KEY is set"
        return Choice(_own_openai(accounts.openai_model or OPENAI_MODEL, accounts), reason)
    if accounts.hf_token:
        return Choice(_router(ROUTER_MODEL, accounts), "HF_TOKEN is set")
    return Choice(None, "neither OPENAI_API_KEY, OPENAI_BASE_URL nor HF_TOKEN is set")


def _asked_openai(llm: str, accounts: Accounts) -> ChatModel:
    match = _OPENAI.fullmatch(llm)
    model, url = (match["model"], match["url"]) if match else (llm, None)
    if url is None or url.rstrip("/") == (accounts.openai_url or OPENAI_URL).rstrip("/"):
        return _own_openai(model, accounts)
    if llm not in accounts.named_here:
        raise SettingsError(
            f"llm {llm!r}: this address is not one that this server calls; set OPENAI_BASE_URL or "
            "HUGGINGGPT_LLM there, or pass a chat model object"
        )
    return _server(f"openai:{model}", model, url, _NO_KEY)


def _own_openai(model: str, accounts: Accounts) -> ChatModel:
    url = accounts.openai_url or OPENAI_URL
    if not accounts.openai_key and url == OPENAI_URL:
        raise SettingsError(f"openai:{model}: set OPENAI_API_KEY, or OPENAI_BASE_URL to a server of yours")
    return _server(f"openai:{model}", model, url, accounts.openai_key or _NO_KEY)


def _router(model: str, accounts: Accounts) -> ChatModel:
    """`MODEL` or `MODEL:PROVIDER`, as Hugging Face's router itself writes it."""
    if not accounts.hf_token:
        raise SettingsError(f"huggingface:{model}: set HF_TOKEN; get one at hf.co/settings/tokens")
    return _server(f"huggingface:{model}", model, ROUTER_URL, accounts.hf_token)


def _local(llm: str, model: str, accounts: Accounts) -> ChatModel:
    """`MODEL` is a folder or a Hub id."""
    if llm not in accounts.named_here:
        raise SettingsError(
            f"llm {llm!r}: this model is not one that this server loads; set HUGGINGGPT_LLM there, or pass "
            "a chat model object"
        )
    folder = model.startswith(("/", ".", "~"))
    return ChatModel(f"local:{PurePath(model).name if folder else model}", llm, partial(_opened_local, model))


def _server(name: str, model: str, url: str, key: str) -> ChatModel:
    return ChatModel(name, f"{model}@{url}", partial(_opened, model, url, key))


@cache
def _opened(model: str, url: str, key: str) -> "BaseChatModel":
    """One object per process. It keeps no connection open, so that any event loop may use it."""
    import httpx
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

    without = httpx.Limits(max_keepalive_connections=0)
    return ChatOpenAI(
        model=model,
        base_url=url,
        api_key=SecretStr(key),
        max_retries=0,  # tries and waits are counted in one place: `calls.py`
        stream_usage=True,
        stream_chunk_timeout=None,
        use_responses_api=False,  # what every compatible server speaks
        http_async_client=httpx.AsyncClient(limits=without, timeout=None),  # noqa: S113, `calls.py` has it
    )


@cache
def _opened_local(model: str) -> "BaseChatModel":
    from hugginggpt.graph.local_chat import local_chat

    return local_chat(model)
