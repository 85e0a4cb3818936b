"""The local runtime: models of the Hub on this machine, with transformers and its sister libraries."""

import asyncio
import functools
import importlib.util
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from hugginggpt.tools import machine, weights
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.pool import Model, Pool
from hugginggpt.tools.quiet import without_bars
from hugginggpt.tools.readers import UnreadableError
from hugginggpt.tools.recipe import Recipe
from hugginggpt.tools.runtime import Availability, PermanentError, RunError, RuntimeSettings
from hugginggpt.tools.values import Inputs, Outputs

# Every task that models do here: its recipe, as module:attribute. A new task is one row.
RECIPES: dict[str, str] = {
    "text-generation": "hugginggpt.tools.local_text:TEXT_GENERATION",
    "summarization": "hugginggpt.tools.local_text:SUMMARIZATION",
    "translation": "hugginggpt.tools.local_translation:TRANSLATION",
    "question-answering": "hugginggpt.tools.local_reading:QUESTION_ANSWERING",
    "table-question-answering": "hugginggpt.tools.local_reading:TABLE_QUESTION_ANSWERING",
    "text-classification": "hugginggpt.tools.local_reading:TEXT_CLASSIFICATION",
    "zero-shot-classification": "hugginggpt.tools.local_reading:ZERO_SHOT_CLASSIFICATION",
    "token-classification": "hugginggpt.tools.local_reading:TOKEN_CLASSIFICATION",
    "fill-mask": "hugginggpt.tools.local_reading:FILL_MASK",
    "sentence-similarity": "hugginggpt.tools.local_sentences:SENTENCE_SIMILARITY",
    "feature-extraction": "hugginggpt.tools.local_sentences:FEATURE_EXTRACTION",
    "text-ranking": "hugginggpt.tools.local_sentences:TEXT_RANKING",
    "image-classification": "hugginggpt.tools.local_vision:IMAGE_CLASSIFICATION",
    "zero-shot-image-classification": "hugginggpt.tools.local_vision:ZERO_SHOT_IMAGE_CLASSIFICATION",
    "object-detection": "hugginggpt.tools.local_detection:OBJECT_DETECTION",
    "zero-shot-object-detection": "hugginggpt.tools.local_detection:ZERO_SHOT_OBJECT_DETECTION",
    "image-segmentation": "hugginggpt.tools.local_detection:IMAGE_SEGMENTATION",
    "depth-estimation": "hugginggpt.tools.local_vision:DEPTH_ESTIMATION",
    "image-to-text": "hugginggpt.tools.local_language_vision:IMAGE_TO_TEXT",
    "image-text-to-text": "hugginggpt.tools.local_language_vision:IMAGE_TEXT_TO_TEXT",
    "visual-question-answering": "hugginggpt.tools.local_language_vision:VISUAL_QUESTION_ANSWERING",
    "document-question-answering": "hugginggpt.tools.local_language_vision:DOCUMENT_QUESTION_ANSWERING",
    "image-to-image": "hugginggpt.tools.local_diffusion:IMAGE_TO_IMAGE",
    "text-to-image": "hugginggpt.tools.local_diffusion:TEXT_TO_IMAGE",
    "image-to-control": "hugginggpt.tools.local_controls:IMAGE_TO_CONTROL",
    "control-to-image": "hugginggpt.tools.local_diffusion:CONTROL_TO_IMAGE",
    "automatic-speech-recognition": "hugginggpt.tools.local_audio:AUTOMATIC_SPEECH_RECOGNITION",
    "audio-classification": "hugginggpt.tools.local_audio:AUDIO_CLASSIFICATION",
    "text-to-speech": "hugginggpt.tools.local_audio:TEXT_TO_SPEECH",
    "text-to-audio": "hugginggpt.tools.local_audio:TEXT_TO_AUDIO",
    "voice-activity-detection": "hugginggpt.tools.local_audio:VOICE_ACTIVITY_DETECTION",
    "video-classification": "hugginggpt.tools.local_vision:VIDEO_CLASSIFICATION",
    "text-to-video": "hugginggpt.tools.local_diffusion:TEXT_TO_VIDEO",
    "image-to-video": "hugginggpt.tools.local_diffusion:IMAGE_TO_VIDEO",
    "mask-generation": "hugginggpt.tools.local_detection:MASK_GENERATION",
    "keypoint-detection": "hugginggpt.tools.local_vision:KEYPOINT_DETECTION",
    "image-feature-extraction": "hugginggpt.tools.local_vision:IMAGE_FEATURE_EXTRACTION",
    "zero-shot-audio-classification": "hugginggpt.tools.local_audio:ZERO_SHOT_AUDIO_CLASSIFICATION",
}

_SHOWN = 0.5  # seconds between two events of a download
_PACKAGES = {
    "transformers": "transformers",
    "sentence-transformers": "sentence_transformers",
    "diffusers": "diffusers",
}
_log = logging.getLogger(__name__)
_loading = threading.Lock()  # transformers sets torch's default precision while it loads


@functools.cache
def recipe(task: str) -> Recipe | None:
    """The recipe of a task, if it has one. Nothing heavy is imported."""
    if task not in RECIPES:
        return None
    module, _, attribute = RECIPES[task].partition(":")
    found: Recipe = getattr(import_module(module), attribute)
    return found


@functools.cache
def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


class Local:
    """Models of the Hub on this machine, as a runtime."""

    name = "local"

    def __init__(self, settings: RuntimeSettings) -> None:
        self._settings = settings
        self.pool = Pool(self._memory)

    def available(self) -> Availability:
        """Whether torch and transformers are installed."""
        if _installed("torch") and _installed("transformers"):
            return Availability(ok=True)
        return Availability(ok=False, reason="torch is not installed; pip install 'hugginggpt[local]'")

    def cards(self, task: str) -> Sequence[ModelCard]:  # noqa: ARG002 - the protocol's
        """None: models are those of the index."""
        return ()

    def can_run(self, card: ModelCard) -> bool:
        """Whether the model would be loaded here, as far as its card says what it is. It is cheap."""
        found = recipe(card.task)
        if found is None or card.builtin or card.safetensors is False:
            return False
        libraries = {name for name in found.libraries if _installed(_PACKAGES[name])}
        if not libraries or card.library not in libraries | {""}:
            return False
        if card.architecture and card.architecture not in found.architectures():
            return False
        numbers = card.parameters or 0
        if numbers * machine.likely_width() > self._memory():
            return False
        return self._may_download(card, numbers) or self.ready(card)

    def ready(self, card: ModelCard) -> bool:
        """Whether all of the model is on this machine."""
        found = recipe(card.task)
        folder = weights.cached(card, found) if found else None
        if found is None or folder is None:
            return False
        other = found.beside(folder)
        return other is None or weights.cached(*other) is not None

    async def run(self, card: ModelCard, task: str, inputs: Inputs) -> Outputs:
        """Run the model once. It is loaded where it is not, and downloaded, which `download` events tell."""
        found = recipe(task)
        if found is None:
            raise PermanentError("missing", f"no model is run for {task} on this machine")
        prepare = functools.partial(self._prepared, card, found)
        model = Model(f"{card.id}@{card.revision} {task}", prepare, _guarded(found.run), found.batch)
        future = asyncio.wrap_future(self.pool.submit(model, inputs))
        told = None
        try:
            while not (await asyncio.wait({future}, timeout=_SHOWN))[0]:
                if (state := self.pool.download(model.key)) and state != told:
                    self._settings.tell("download", model=card.id, bytes=state[0], total=state[1])
                    told = state
        finally:
            future.cancel()  # of no effect where it is done
            if told:
                self._settings.tell("download", model=card.id, bytes=told[1], total=told[1])
        return future.result()

    def _prepared(
        self, card: ModelCard, found: Recipe, progress: Callable[[int, int], None]
    ) -> tuple[int, Callable[[], Any]]:
        """The model's bytes in memory, and what loads it; its files are here then. Blocks."""
        with _quietly(), _one_line("not-loaded"):
            place = machine.place()
            limits = weights.Limits(self._settings.max_download, self._memory())
            folder = weights.fetch(card, found, place, limits, progress)
            size = weights.memory(folder, found, place)
            if other := found.beside(folder):
                size += weights.memory(weights.fetch(*other, place, limits, progress), other[1], place)

            def load() -> Any:  # noqa: ANN401, of any library
                with _loading, _quietly(), _one_line("not-loaded"):
                    return found.load(folder, place)

            return size, load

    def _memory(self) -> int:
        return machine.default_memory() if self._settings.memory is None else self._settings.memory

    def _may_download(self, card: ModelCard, numbers: int) -> bool:
        from huggingface_hub import constants

        # Most weights are kept in 16 bits or more.
        fits = 0 < numbers * 2 <= self._settings.max_download or not numbers
        allowed = self._settings.max_download > 0 and not constants.HF_HUB_OFFLINE
        return allowed and fits and not (card.gated and not _has_token())


@functools.cache
def _has_token() -> bool:
    from huggingface_hub import get_token

    return get_token() is not None


def _guarded(
    run: Callable[[Any, Sequence[Inputs]], list[Outputs]],
) -> Callable[[Any, Sequence[Inputs]], list[Outputs]]:
    def guarded(loaded: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, of any library
        with _one_line("error"):
            return run(loaded, inputs)

    return guarded


@contextmanager
def _one_line(kind: str) -> Iterator[None]:
    """Makes a `PermanentError` of whatever a library raises."""
    try:
        yield
    except RunError:
        raise
    except UnreadableError as error:
        raise PermanentError("unreadable", f"the file {error}") from error
    except Exception as error:
        _log.warning("a model failed", exc_info=error)
        line = " ".join(str(error).split())[:200] or type(error).__name__
        full = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
        raise PermanentError("out-of-memory" if full else kind, line) from error


@contextmanager
def _quietly() -> Iterator[None]:
    """No progress bars while a model is loaded; what libraries log goes where all logs go."""
    for name in ("huggingface_hub", "transformers", "diffusers"):  # each writes on stderr by itself
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    with without_bars():
        yield
