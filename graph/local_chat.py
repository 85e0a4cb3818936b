"""A language model in this process: a folder, or a Hub model, through langchain-huggingface's pipeline.

It is loaded once, when it is opened. One thread does all writing, one reply after the other, so that replies
do not slow each other down; an event loop only waits for the pieces. Weights are safetensors, and no code
that comes with a model is run.
"""

import asyncio
import math
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import agenerate_from_stream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_openai_messages
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from hugginggpt.graph.calls import LLMError
from hugginggpt.tools.once import Once
from hugginggpt.tools.quiet import without_bars

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import AsyncTextIteratorStreamer, TextGenerationPipeline

MAX_NEW_TOKENS = 4096
"""The longest reply, in tokens: 100 a task for the 40 tasks that a plan may have at first."""

_FILES = ["*.json", "*.txt", "*.model", "*.jinja", "*.safetensors"]
_writer = ThreadPoolExecutor(1, "local-chat")


class LocalChat(BaseChatModel):
    """The model `model`, a folder or a Hub id, as a chat model. Raises `LLMError` where it cannot be used."""

    model: str

    @property
    def _llm_type(self) -> str:
        return "local"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002, langchain's signature
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **_: object,
    ) -> ChatResult:
        reply = _Reply(self.model, messages)
        text = _writer.submit(reply.write).result()
        return ChatResult(
            generations=[ChatGeneration(message=AIMessage(content=text, usage_metadata=reply.usage()))]
        )

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **_: object,
    ) -> ChatResult:
        # Not `_generate` in a thread: that would write on where nobody waits any longer.
        return await agenerate_from_stream(self._astream(messages, stop, run_manager))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **_: object,
    ) -> AsyncIterator[ChatGenerationChunk]:
        tokenizer: Any = (await asyncio.to_thread(pipeline, self.model)).tokenizer
        from transformers import AsyncTextIteratorStreamer  # it is there since the model is

        pieces = AsyncTextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
        reply = _Reply(self.model, messages, pieces)
        writing = asyncio.get_running_loop().run_in_executor(_writer, reply.write)
        try:
            async for piece in pieces:
                yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
            await writing
            yield ChatGenerationChunk(message=AIMessageChunk(content="", usage_metadata=reply.usage()))
        finally:
            reply.unwanted.set()


class _Reply:
    """One reply while it is written. It ends with its next token once it is `unwanted`."""

    def __init__(
        self, model: str, messages: list[BaseMessage], pieces: "AsyncTextIteratorStreamer | None" = None
    ) -> None:
        self.unwanted = threading.Event()
        self._model, self._messages, self._pieces = model, messages, pieces
        self._prompt = self._length = 0  # tokens

    def write(self) -> str:
        """Blocks until it is written. Raises `LLMError`."""
        try:
            return self._written()
        except Exception as error:
            raise _fault(self._model, error) from error
        finally:
            if self._pieces:
                # where the model failed nobody else says that nothing follows
                self._pieces.end()  # type: ignore[no-untyped-call]

    def usage(self) -> UsageMetadata:
        """What it took so far."""
        return UsageMetadata(
            input_tokens=self._prompt, output_tokens=self._length - self._prompt, total_tokens=self._length
        )

    def _written(self) -> str:
        if self.unwanted.is_set():
            return ""
        asked = convert_to_openai_messages(self._messages)
        loaded: Any = pipeline(self._model)
        self._prompt = self._length = len(
            loaded.tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
        )
        window = getattr(loaded.model.config.get_text_config(), "max_position_embeddings", math.inf)
        if self._prompt >= window:
            raise LLMError(f"local:{self._model}: reads {window:,} tokens; the prompt has {self._prompt:,}")
        replies = loaded(
            asked,
            return_full_text=False,
            max_new_tokens=min(MAX_NEW_TOKENS, window - self._prompt),
            streamer=self._pieces,
            stopping_criteria=[self._is_over],
        )
        return str(replies[0]["generated_text"])

    def _is_over(self, tokens: "Tensor", _scores: object, **_: object) -> "Tensor":
        """Called after every token, with all tokens (1, length); gives for each row whether it ends."""
        import torch

        self._length = tokens.shape[-1]
        return torch.full((1,), self.unwanted.is_set(), device=tokens.device)


def local_chat(model: str) -> BaseChatModel:
    """The chat model, loaded. Where that fails it says so when it is asked, like any other that fails."""
    with suppress(LLMError):  # the caller asks next, and is told then
        pipeline(model)
    return LocalChat(model=model)


@Once
def pipeline(model: str) -> "TextGenerationPipeline":
    """The model of a folder or of the Hub; the same object for the same name. Blocks. Raises `LLMError`."""
    folder = _folder(model)
    if not any(folder.glob("*.safetensors")):
        raise LLMError(f"local:{model}: no safetensors weights there; only such are loaded")
    try:
        loaded = _loaded(folder)
    except Exception as error:
        raise _fault(model, error) from error
    if not getattr(loaded.tokenizer, "chat_template", None):
        raise LLMError(f"local:{model}: has no chat template; take a model that is made for chats")
    return loaded


def _folder(model: str) -> Path:
    """Where the model is. One of the Hub is downloaded, or found in the Hub's own cache."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if model.startswith(("/", ".", "~")):
        raise LLMError(f"local:{model}: no such folder")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, allow_patterns=_FILES, ignore_patterns=["*/*"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise LLMError(
            f"local:{model}: no such folder, and the Hub does not give it; give the folder of a model, "
            "or download it with `hf download`"
        ) from error


def _loaded(folder: Path) -> "TextGenerationPipeline":
    from langchain_huggingface import HuggingFacePipeline

    with without_bars():
        held = HuggingFacePipeline.from_model_id(
            str(folder),
            task="text-generation",
            model_kwargs={"use_safetensors": True, "trust_remote_code": False, "local_files_only": True},
            batch_size=1,
        )
    loaded: TextGenerationPipeline = held.pipeline
    return loaded


def _fault(model: str, error: Exception) -> LLMError:
    if isinstance(error, LLMError):
        return error
    return LLMError(f"local:{model}: {' '.join(str(error).split())[:200] or type(error).__name__}")
