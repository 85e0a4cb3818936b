"""A sentence encoder as one ONNX file: starts without torch. Exported once, then kept in the cache.

An export is a folder: `model.onnx` (tokens to normalised vector), `bulk.onnx` (the same in int8, where its
vectors are as good), `tokenizer.json`, and `encoder.json`, which says what it is and holds the SHA-256 of the
others.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from hugginggpt.tools.digest import sha256_of

if TYPE_CHECKING:
    from hugginggpt.tools.encoder import Source

MODEL, BULK, TOKENIZER, MANIFEST = "model.onnx", "bulk.onnx", "tokenizer.json", "encoder.json"
DIGESTS = "digests.json"

# More threads do not make batches of short texts faster, and take the cores from the models that run beside.
_THREADS = min(4, os.cpu_count() or 1)
# Tokens in one batch, padding included: 2 texts of 256 tokens, or many short ones. What a layer works on then
# stays in a core's cache: 2048 tokens are a tenth slower.
_BATCH_TOKENS = 512
_EXPORT_SECONDS = 600


class ExportError(Exception):
    """An encoder has no usable ONNX export; the message is one line."""


def exportable(folder: Path) -> bool:
    """Whether it is a transformer with mean or CLS pooling, and onnxruntime and onnxscript are installed."""
    if not all(importlib.util.find_spec(name) for name in ("onnxruntime", "onnxscript")):
        return False
    try:
        modules = json.loads((folder / "modules.json").read_text())
        kinds = [module["type"].rsplit(".", 1)[-1] for module in modules]
        if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
            return False
        pooling = json.loads((folder / modules[1]["path"] / "config.json").read_text())
    except (OSError, ValueError, KeyError, TypeError):
        return False
    legacy = {name.removeprefix("pooling_mode_") for name, on in pooling.items() if on is True}
    return pooling.get("pooling_mode") in {"mean", "cls"} or legacy - {"include_prompt"} in (
        {"mean_tokens"},
        {"cls_token"},
    )


def find(model_id: str, cache: Path, revision: str = "") -> Path | None:
    """The newest export of that model in the cache, of that or any revision, if onnxruntime is there."""
    if not importlib.util.find_spec("onnxruntime"):
        return None
    found = [
        path
        for path in cache.glob(f"{_slug(model_id)}-*/{MANIFEST}")
        if (known := _manifest(path)).get("id") == model_id and revision in {"", known.get("revision")}
    ]
    return max(found, key=lambda path: path.stat().st_mtime).parent if found else None


def open_or_export(source: "Source", cache: Path) -> "OnnxEncoder":
    """The source's export, made first where there is none or where it is damaged. Raises `ExportError`.

    The export runs in a process of its own: torch stays out of this one. Processes that want the same
    export wait for each other.
    """
    folder = cache / f"{_slug(source.id)}-{source.revision.removeprefix('sha256:')[:12]}"
    try:
        return OnnxEncoder(folder, cache / DIGESTS)
    except ExportError:
        pass  # not there, or damaged: made below, by one process
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            try:
                return OnnxEncoder(folder, cache / DIGESTS)
            except ExportError:
                _export(source, folder)
    except OSError as error:
        raise ExportError(f"{source.id}: not exported to {folder} ({error.strerror or error})") from error
    return OnnxEncoder(folder, cache / DIGESTS)


class OnnxEncoder:
    """An exported encoder. Raises `ExportError` where the export is missing, damaged or cannot be run.

    `memory` is where the digests of its files are remembered. With `bulk` it is one for very many texts: in
    int8, where the export has that, and one batch on each core, where otherwise all cores work on one. Its
    vectors have a cosine of 0.99 to the others, by which they are meant to be searched.
    """

    def __init__(self, folder: Path, memory: Path, *, bulk: bool = False) -> None:
        manifest = _manifest(folder / MANIFEST)
        try:
            model = BULK if manifest["bulk"] and bulk else MODEL  # one without the word is older than int8
            for name in (model, TOKENIZER):
                if sha256_of(folder / name, memory) != manifest["sha256"][name]:
                    raise ExportError(f"{folder / name}: damaged")
            self.folder, self._memory = folder, memory
            self._is_bulk = bulk
            self._workers = os.cpu_count() or 1 if bulk else 1
            self.id: str = manifest["id"]
            self.revision: str = manifest["revision"]
            self.dimension: int = manifest["dimension"]
            self._pad: int = manifest["pad"]
            self._session, self._tokenizer = _open(folder, model, 1 if bulk else _THREADS)
        except (OSError, KeyError) as error:
            raise ExportError(f"{folder}: not a whole export of an encoder") from error

    def bulk(self) -> "OnnxEncoder":
        """The same for very many texts."""
        return self if self._is_bulk else OnnxEncoder(self.folder, self._memory, bulk=True)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One L2-normalised row per text, shape (len(texts), dimension). Safe to call from threads."""
        # One by one: what tokenizers does in parallel prints a warning in every child that is forked later.
        return self._encode([self._tokenizer.encode(text).ids for text in texts])

    @property
    def tokens(self) -> int:
        """How many tokens its vocabulary has."""
        return int(self._tokenizer.get_vocab_size())

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text that are encoded, without those that mark its ends."""
        return [self._tokenizer.encode(text, add_special_tokens=False).ids for text in texts]

    def encode_tokens(self, tokens: Sequence[list[int]]) -> NDArray[np.float32]:
        """As `encode`, of texts that are tokens already, without those that mark ends."""
        ends = self._tokenizer.encode("").ids
        start = self._tokenizer.encode("a").ids[0] in ends[:1]  # some models mark the end only
        return self._encode([ends[:start] + own + ends[start:] for own in tokens])

    def _encode(self, tokens: Sequence[list[int]]) -> NDArray[np.float32]:
        vectors = np.zeros((len(tokens), self.dimension), np.float32)

        def run(rows: list[int]) -> None:
            vectors[rows] = self._run([tokens[row] for row in rows])

        batches = _batches([len(ids) for ids in tokens])
        if self._workers == 1:
            for rows in batches:
                run(rows)
        else:
            with ThreadPoolExecutor(self._workers) as pool:
                for done in [pool.submit(run, rows) for rows in batches]:
                    done.result()
        return vectors

    def _run(self, tokens: list[list[int]]) -> NDArray[np.float32]:
        width = max(1, *map(len, tokens))
        ids = np.full((len(tokens), width), self._pad, np.int64)
        mask = np.zeros((len(tokens), width), np.int64)
        for row, own in enumerate(tokens):
            ids[row, : len(own)] = own
            mask[row, : len(own)] = 1
        vectors: NDArray[np.float32] = self._session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
        return vectors


def _open(folder: Path, model: str, threads: int) -> tuple[Any, Any]:
    import onnxruntime  # type: ignore[import-untyped]
    from tokenizers import Tokenizer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # only what is fatal
    if model == MODEL:
        # The file was optimised when it was exported; doing it again would double the time to start.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(folder / model, options, providers=["CPUExecutionProvider"])
        return session, Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as error:  # both libraries raise kinds of their own, tokenizers bare ones
        raise ExportError(f"{folder}: cannot be loaded ({error})".splitlines()[0]) from error


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Rows of similar length together, so that little is padded; longest first, so memory peaks early."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _slug(model_id: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", model_id).strip("-.")[-80:]


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _export(source: "Source", folder: Path) -> None:
    """Into a draft folder, then moved into place whole. The caller holds the lock."""
    draft = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(draft, ignore_errors=True)  # of a process that was killed
    draft.mkdir()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "hugginggpt.tools.encoder_export", str(source.folder), str(draft)],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_EXPORT_SECONDS,
        )
        if done.returncode:
            reason = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]
            raise ExportError(f"{source.id}: not exported to ONNX ({reason})")
        exported = _manifest(draft / MANIFEST) | {"id": source.id, "revision": source.revision}
        (draft / MANIFEST).write_text(json.dumps(exported, indent=1))
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    except subprocess.TimeoutExpired as error:
        raise ExportError(f"{source.id}: the export to ONNX took more than {_EXPORT_SECONDS} s") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
