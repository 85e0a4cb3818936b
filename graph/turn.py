"""The beginning of a turn: what is asked, and what came with it."""

import asyncio
import base64
import binascii
from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AnyMessage, HumanMessage

from hugginggpt.graph.context import Context
from hugginggpt.graph.plan import Plan
from hugginggpt.graph.state import State
from hugginggpt.tools.artifacts import ArtifactStore
from hugginggpt.tools.fetch import fetch
from hugginggpt.tools.media import BadFileError, Limits
from hugginggpt.tools.values import Artifact

_MEDIA_BLOCKS = {"image", "audio", "video", "file", "text-plain"}


class BadRequestError(ValueError):
    """A request that cannot be worked on; the message is one line for people."""


def request_message(state: State) -> HumanMessage:
    """The last human message. Raises `BadRequestError` when there is none."""
    for message in reversed(state.get("messages", [])):
        if isinstance(message, HumanMessage):
            return message
    raise BadRequestError("The request is empty. Say what you want done.")


def history(state: State) -> list[AnyMessage]:
    """The messages before the request."""
    messages = state["messages"]
    return messages[: messages.index(request_message(state))]


def next_id(state: State) -> int:
    """The id of the next task of the thread."""
    return max((result["id"] for result in state.get("results", [])), default=-1) + 1


async def begin(state: State, context: Context, store: ArtifactStore) -> dict[str, Any]:
    """The state of a new turn: everything of the last one reset, inline files turned into artifacts.

    Raises `BadRequestError` or `BadFileError`.
    """
    message = request_message(state)
    limits = Limits(max_bytes=context.max_file_bytes, max_pixels=context.max_pixels)
    files = [await asyncio.to_thread(store.check, file, limits) for file in state.get("files", [])]
    inline = await _inline_files(message, limits, store)
    text = message.text.strip()
    if len(text) > context.max_request_chars:
        limit = f"{len(text):,} characters; at most {context.max_request_chars:,} are read"
        raise BadRequestError(f"The request has {limit}. Attach long text as a file.")
    if not text:
        raise BadRequestError("The request is empty. Say what you want done.")
    update: dict[str, Any] = {
        "request": message.id,
        "first": next_id(state),
        "plan": Plan(),
        "problems": [],
        "choices": {},
        "artifacts": [],
        "usage": [],
        "notices": [],
        "strategy": context.strategy,
        "steps": 0,
        "repairs": 0,
        "retries": 0,
        "replans": 0,
    }
    if inline:
        update["files"] = _renamed(inline, taken={file["name"] for file in files})
        update["messages"] = [HumanMessage(text, id=message.id, name=message.name)]
    return update


async def _inline_files(message: HumanMessage, limits: Limits, store: ArtifactStore) -> list[Artifact]:
    found = []
    for block in message.content_blocks:
        if block["type"] == "text":
            continue
        if block["type"] not in _MEDIA_BLOCKS:
            raise BadFileError(f"a content block of type {block['type']!r} is not supported; attach a file")
        data, name = await _content(block, limits)
        found.append(await asyncio.to_thread(store.add, data, name, limits))
    return found


async def _content(block: Mapping[str, Any], limits: Limits) -> tuple[bytes, str]:
    """The bytes of a content block, and a name for them."""
    name = str(block.get("filename") or block.get("extras", {}).get("filename") or block["type"])
    if "base64" in block:
        try:
            return base64.b64decode(block["base64"], validate=True), name
        except (binascii.Error, ValueError) as error:
            raise BadFileError(f"{name}: the attached data is not base64 ({error})") from error
    if "text" in block:
        return str(block["text"]).encode(), name
    if "url" in block:
        return await fetch(str(block["url"]), limits)
    raise BadFileError(f"{name}: attach it as base64 data or upload it first")


def _renamed(files: list[Artifact], taken: set[str]) -> list[Artifact]:
    """The files, renamed where their names are taken: `image.png`, `image-2.png`, …"""
    for file in files:
        stem, dot, extension = file["name"].rpartition(".")
        name, number = file["name"], 1
        while name in taken:
            number += 1
            name = f"{stem}-{number}{dot}{extension}" if dot else f"{extension}-{number}"
        taken.add(name)
        file["name"] = name
    return files
