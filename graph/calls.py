"""One call of a chat model: how its reply is asked for and streamed, tried again, timed and counted."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import tenacity
from langchain_core.exceptions import ContextOverflowError
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.constants import TAG_NOSTREAM

from hugginggpt.graph.chat_models import ChatModel
from hugginggpt.graph.events import tell
from hugginggpt.graph.reading import Spoken, whole_text
from hugginggpt.tools.chat import about
from hugginggpt.tools.faults import LONGEST_WAIT, run_error, status
from hugginggpt.tools.runtime import TransientError

_TURNS = 10  # a reply may take this many times the time-out in all

Schema = dict[str, Any]


class LLMError(Exception):
    """The language model gave no usable reply; the message is one line for people."""

    def __init__(self, message: str, *, transient: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.transient = transient
        self.retry_after = retry_after


@dataclass(frozen=True)
class StartOver:
    """What came before is void: the reply, or the plan, begins anew."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds between two pieces of a reply, and how often a call is tried on transient faults."""

    timeout: float = 60.0
    max_attempts: int = 3


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked. `schema` is that of a JSON reply, None for prose; `most` its longest, in characters."""

    stage: str
    messages: Sequence[BaseMessage]
    schema: Schema | None = None
    most: int = 40_000


# How a reply is asked for, best first: JSON that the server holds to a schema, the arguments of a function
# call, or just the words of the prompt; and without the count of tokens, which some servers do not know.
_MODES = {True: ("schema", "tools", "words", "bare"), False: ("words", "bare")}
_known: dict[tuple[str, bool], str] = {}
"""What a server was found to take, by its name and whether JSON was asked for."""


async def stream(model: ChatModel, ask: Ask, limits: Limits) -> AsyncGenerator[str | StartOver]:
    """The reply in pieces. After a transient fault it is asked for again, and `StartOver` says so.

    Once a piece of prose is out it cannot be taken back, so then a fault is final. Raises `LLMError`.
    """
    given = False
    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(lambda e: retry_on(e) and (ask.schema is not None or not given)),
        stop=tenacity.stop_after_attempt(limits.max_attempts),
        wait=_wait,
        reraise=True,
    )
    async for attempt in retrying:
        with attempt:
            if given:
                yield StartOver()
                given = False
            async with aclosing(_attempt(model, ask, limits)) as pieces:
                async for piece in pieces:
                    given = True
                    yield piece


async def whole(model: ChatModel, ask: Ask, limits: Limits) -> str:
    """The reply as one text. Raises `LLMError`."""
    text = ""
    async for piece in stream(model, ask, limits):
        text = "" if isinstance(piece, StartOver) else text + piece
    return text


def retry_on(error: BaseException) -> bool:
    """Whether the same call may work if it is made again."""
    return isinstance(error, LLMError) and error.transient


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, LLMError) and error.retry_after is not None:
        return error.retry_after
    return float(tenacity.wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT)(state))


async def _attempt(model: ChatModel, ask: Ask, limits: Limits) -> AsyncGenerator[str]:
    """The reply in the best mode that this server takes; which one that is is remembered."""
    key = (model.server, ask.schema is not None)
    modes = _MODES[ask.schema is not None]
    left = [_known[key]] if key in _known else list(modes)
    chat = await asyncio.to_thread(model.open)
    while left:
        mode = left.pop(0)
        empty, spoken = True, Spoken()
        try:
            async with aclosing(_reply(_asking(chat, mode, ask.schema), model.name, ask, limits)) as pieces:
                async for piece in pieces:
                    _known[key] = mode
                    if said := spoken.feed(piece):
                        empty = False
                        yield said
        except Exception as error:
            if left and empty and _not_taken(error):
                continue
            raise _fault(error, model.name) from error
        if held := spoken.close():
            yield held
        elif empty:
            raise LLMError(f"{model.name}: gave an empty reply, or refused", transient=True)
        return


def _asking(chat: BaseChatModel, mode: str, schema: Schema | None) -> Runnable[Any, AIMessage]:
    """The model, bound to give its reply in this mode. Raises `NotImplementedError` where it cannot."""
    ours = any(kind.__module__.startswith("langchain_openai") for kind in type(chat).__mro__)
    counting = {"stream_usage": mode != "bare"} if ours else {}
    if mode == "schema":
        if not ours:
            raise NotImplementedError
        wish = {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema, "strict": False}}
        # As a plain part of the body: as an argument of its own it makes the client parse the reply, and
        # raise where it breaks off.
        body = {**(getattr(chat, "extra_body", None) or {}), "response_format": wish}
        return chat.bind(extra_body=body, **counting)
    if mode == "tools" and schema is not None:
        tool = {"type": "function", "function": {"name": "reply", "parameters": schema}}
        return chat.bind_tools([tool], tool_choice="reply").bind(**counting)
    return chat.bind(**counting)


async def _reply(
    asking: Runnable[Any, AIMessage], name: str, ask: Ask, limits: Limits
) -> AsyncGenerator[str]:
    """The text of the reply in pieces, function arguments included; and the usage event at its end."""
    started, length = time.monotonic(), 0
    usage: dict[str, int] = {}
    config = RunnableConfig(
        tags=[TAG_NOSTREAM], run_name=ask.stage
    )  # the graph says itself what is for people
    try:
        async with aclosing(asking.astream(list(ask.messages), config)) as chunks:  # type: ignore[type-var]
            while (chunk := await _next(chunks, limits)) is not None:
                for kind, tokens in (chunk.usage_metadata or {}).items():
                    if isinstance(tokens, int):
                        usage[kind] = max(tokens, usage.get(kind, 0))
                text = whole_text(_text(chunk))
                length += len(text)
                if length > ask.most or time.monotonic() - started > _TURNS * limits.timeout:
                    raise LLMError(f"{name}: did not come to an end within {length:,} characters")
                if text:
                    yield text
    finally:
        if length or usage:
            tell(
                "usage",
                stage=ask.stage,
                model=name,
                prompt_tokens=usage.get("input_tokens", about(sum(len(m.text) for m in ask.messages))),
                completion_tokens=usage.get("output_tokens", about(length)),
                seconds=round(time.monotonic() - started, 4),
            )


async def _next(chunks: AsyncIterator[AIMessage], limits: Limits) -> AIMessage | None:
    try:
        async with asyncio.timeout(limits.timeout):
            return await anext(chunks, None)
    except ValueError as error:
        if "No generation chunks" in str(error):  # langchain-core, of a stream without any
            return None
        raise


def _text(chunk: AIMessage) -> str:
    pieces = getattr(chunk, "tool_call_chunks", None)
    if pieces is None:  # a model that does not stream gives whole calls
        return chunk.text + "".join(json.dumps(call["args"]) for call in chunk.tool_calls)
    return chunk.text + "".join(piece["args"] or "" for piece in pieces)


def _not_taken(error: BaseException) -> bool:
    """Whether the server refused how it was asked, and may take another mode."""
    if isinstance(error, ContextOverflowError):
        return False
    return isinstance(error, NotImplementedError) or status(error) in {400, 405, 415, 422, 501}


def _fault(error: Exception, name: str) -> LLMError:
    """The error in one line, and whether trying again may help."""
    if isinstance(error, LLMError):
        return error
    fault = run_error(error)
    if isinstance(fault, TransientError):
        return LLMError(f"{name}: {fault.message}", transient=True, retry_after=fault.retry_after)
    return LLMError(f"{name}: {fault.message}")
