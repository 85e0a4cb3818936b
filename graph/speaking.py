"""Says the answer piece by piece, so that people see it as it comes."""

from collections.abc import AsyncIterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from hugginggpt.graph.events import tell


class _Speaker(BaseChatModel):
    """Says pieces that are there already, whoever the controller is, as a chat model says its own.

    LangGraph's `messages` mode streams what chat models say, and nothing else.
    """

    pieces: Any

    @property
    def _llm_type(self) -> str:
        return "hugginggpt-answer"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:  # noqa: ANN401, ARG002, as BaseChatModel
        raise TypeError("an answer is streamed")

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:  # noqa: ANN401, ARG002
        async for piece in self.pieces:
            tell("answer", text=piece)
            yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
        yield ChatGenerationChunk(message=AIMessageChunk(content="", chunk_position="last"))


async def speak(pieces: AsyncIterator[str]) -> AIMessage:
    """The whole answer; its pieces go to the stream, as `answer` events and as message chunks."""
    said, id_ = "", None
    nothing: list[BaseMessage] = []
    async for chunk in _Speaker(pieces=pieces).astream(nothing):
        said, id_ = said + chunk.text, chunk.id
    return AIMessage(said, id=id_)
