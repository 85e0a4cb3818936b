"""An encoder for very many texts: on the graphics processors of this machine, else in int8 on its cores."""

import shutil
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hugginggpt.tools.encoder import Encoder, EncoderError, Source, files_of, sentence_transformer
from hugginggpt.tools.encoder_onnx import ExportError, OnnxEncoder

_BATCH = 256


def bulk(encoder: Encoder) -> Encoder:
    """The same encoder, id and revision, for very many texts. Its vectors are searched by the other's.

    Raises `EncoderError`.
    """
    if not isinstance(encoder, OnnxEncoder):
        return encoder
    devices = accelerators()
    if devices and (source := files_of(encoder.id, encoder.folder.parent)).revision == encoder.revision:
        return AcceleratedEncoder(source, devices)
    try:
        return encoder.bulk()
    except ExportError as error:
        raise EncoderError(f"{error}; remove that file's folder, and it is made again") from error


def accelerators() -> list[str]:
    """Torch's names of the graphics processors that it can use: `cuda:0`, `cuda:1`, …, or `mps`."""
    # Looked for first, because importing torch takes seconds.
    if sys.platform != "darwin" and not shutil.which("nvidia-smi") and not Path("/dev/nvidiactl").exists():
        return []
    import torch

    if torch.cuda.is_available():
        return [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return ["mps"] if torch.backends.mps.is_available() else []


class AcceleratedEncoder:
    """An encoder as sentence-transformers runs it: on one device, or in a process for each of several."""

    def __init__(self, source: Source, devices: Sequence[str]) -> None:
        """`devices` are torch's names. Raises `EncoderError`."""
        self.id, self.revision = source.id, source.revision
        self._model = sentence_transformer(source.folder).to(devices[0]).eval()
        self.dimension = int(self._model.get_embedding_dimension() or 0)
        self._pool: Any = None
        if len(devices) > 1:
            self._pool = self._model.start_multi_process_pool(list(devices))
            weakref.finalize(self, type(self._model).stop_multi_process_pool, self._pool)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One L2-normalised row per text, shape (len(texts), dimension)."""
        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        vectors = self._model.encode(
            list(texts),
            batch_size=_BATCH,
            normalize_embeddings=True,
            show_progress_bar=False,
            pool=self._pool,
        )
        return np.asarray(vectors, np.float32)
