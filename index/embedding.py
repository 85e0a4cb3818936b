"""Vectors of cards, made chunk by chunk and kept on disk until they are in an index.

    staging/vectors/3fa4….npy   (cards of the chunk, dimension), float32

The name is a digest of the encoder and of the texts. Whoever needs the vectors of a chunk that was finished
before finds them, after a kill too, and no other encoder or text is ever taken for it.
"""

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hugginggpt.index.errors import IndexBuildError
from hugginggpt.index.honesty import honest
from hugginggpt.index.staging import Block
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.encoder import Encoder, bulk_encoder, fit_table, static_encoder

Progress = Callable[[int, int], None]
"""Called with how many models are embedded, and of how many."""

CHUNK = 512
"""Cards of a chunk, at most: what an interruption costs."""

_SAMPLE = 6000  # cards that a table is fitted to: more cost memory with their square, fewer cost quality
_MANY = 2000  # cards from which on loading an encoder for very many texts pays


def text_of(card: ModelCard) -> str:
    """What is embedded of a card: its task, its name and its summary, in words."""
    name = card.id.rpartition("/")[2]
    words = f"{card.task}: {name}".replace("-", " ").replace("_", " ")
    return f"{words}. {card.summary}"


def embedded(
    parts: Iterable[Sequence[ModelCard]],
    encoder: Encoder,
    total: int,
    progress: Progress | None = None,
    keep: Path | None = None,
) -> Iterator[Block]:
    """The cards of all parts with their vectors, chunk by chunk: no more than a part is in memory.

    `total` is how many cards there are. With `keep`, a folder, finished chunks are kept there and not made
    again. Raises `IndexBuildError`.
    """
    encoder = fitting(encoder, total)
    done = 0
    for part in parts:
        for chunk in chunks(part):
            texts = [text_of(card) for card in chunk]
            yield chunk, encoder.encode(texts) if keep is None else kept_vectors(texts, encoder, keep)
            done += len(chunk)
            if progress:
                progress(done, total)


def fitting(encoder: Encoder, total: int) -> Encoder:
    """The encoder as it is best for so many cards. Raises `EncoderError`."""
    return bulk_encoder(encoder) if total >= _MANY else encoder


def chunks(part: Sequence[ModelCard]) -> Iterator[list[ModelCard]]:
    """A part's cards as they are embedded together, without what must not count in them."""
    for start in range(0, len(part), CHUNK):
        yield [honest(card) for card in part[start : start + CHUNK]]


def sample_of(parts: Iterable[Sequence[ModelCard]], total: int) -> list[ModelCard]:
    """Some thousand cards, evenly from all parts, to fit a table to."""
    every = max(1, total // _SAMPLE)
    return [card for part in parts for card in part[::every]]


def table_for(sample: Sequence[ModelCard], encoder: Encoder, keep: Path) -> Encoder:
    """A table in place of the encoder (tools/encoder_static.py), fitted to these cards, kept in a folder.

    Raises `IndexBuildError` or `EncoderError`.
    """
    texts = [text_of(honest(card)) for card in sample]
    path = keep / f"table-{_digest(encoder, texts)}.npy"
    table = _read(path)
    if table is None:
        parts = [texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK)]
        fast = bulk_encoder(encoder)
        vectors = np.concatenate([kept_vectors(part, fast, keep) for part in parts])
        table = fit_table(encoder, texts, vectors)
        _keep(path, table)
    return static_encoder(encoder, table)


def kept_vectors(texts: Sequence[str], encoder: Encoder, folder: Path) -> NDArray[np.float32]:
    """The vectors of a chunk: those that are kept, else made now and kept. Raises `IndexBuildError`."""
    path = folder / f"{_digest(encoder, texts)}.npy"
    kept = _read(path)
    if kept is None or kept.shape != (len(texts), encoder.dimension):
        kept = encoder.encode(texts)
        _keep(path, kept)
    return kept


def _digest(encoder: Encoder, texts: Sequence[str]) -> str:
    key = json.dumps([encoder.id, encoder.revision, encoder.dimension, *texts])
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _read(path: Path) -> NDArray[np.float32] | None:
    try:
        return np.asarray(np.load(path, allow_pickle=False), np.float32)
    except (OSError, ValueError, EOFError):
        return None  # not there, or damaged: made again


def _keep(path: Path, vectors: NDArray[np.float32]) -> None:
    """Written so that it is there as a whole or not at all. Raises `IndexBuildError`."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            # By Python: NumPy does not say why a write failed.
            file.write(_bytes(vectors))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise IndexBuildError(
            f"{path.parent}: finished vectors cannot be kept ({error.strerror}); make room and run the same "
            "command again: it goes on where it stopped. An index that was there is unchanged"
        ) from error


def _bytes(vectors: NDArray[np.float32]) -> bytes:
    file = io.BytesIO()
    np.save(file, vectors, allow_pickle=False)
    return file.getvalue()
