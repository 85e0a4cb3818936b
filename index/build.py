"""The builder of every index, the starter's and any other's."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from hugginggpt.index import catalog, manifest, vectors
from hugginggpt.index.errors import IndexBuildError
from hugginggpt.index.manifest import IndexInfo
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.encoder import Encoder

Progress = Callable[[int, int], None]
"""Called with how many models are embedded, and of how many."""

_BATCH = 256


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Held by whoever builds in that folder; others wait. Raises `IndexBuildError`."""
    held = FileLock(folder / "build.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held.acquire()
    except OSError as error:
        raise IndexBuildError(
            f"{folder}: cannot be written ({error.strerror}); choose another folder for the index"
        ) from error
    try:
        yield
    finally:
        held.release()


def build(
    folder: Path, cards: Iterable[ModelCard], encoder: Encoder, source: str, progress: Progress | None
) -> None:
    """Build an index of the cards and make it the one in use. Blocks; the caller holds the lock.

    Raises `IndexBuildError`; the index that was in use then still is.
    """
    name = f"{source.partition(':')[0]}-{token_hex(4)}"
    try:
        with manifest.tidy(folder):
            tasks = catalog.write(folder / f"{name}.{manifest.CARDS}", cards)
            models = max((stop for _, stop in tasks.values()), default=0)
            if not models:
                raise IndexBuildError("there are no cards to build an index of")
            blocks = _embed(catalog.Catalog(folder / f"{name}.{manifest.CARDS}"), models, encoder, progress)
            vectors.write(folder / f"{name}.{manifest.VECTORS}", blocks, encoder.dimension)
            built = IndexInfo(
                source=source,
                created=datetime.now(UTC).isoformat(timespec="seconds"),
                encoder=encoder.id,
                encoder_revision=encoder.revision,
                dimension=encoder.dimension,
                models=models,
                tasks=tasks,
                files={
                    kind: manifest.store(folder, f"{name}.{kind}")
                    for kind in (manifest.CARDS, manifest.VECTORS)
                },
            )
            manifest.switch(folder, built)
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise IndexBuildError(
            f"{folder}: the index could not be written ({reason}); make room or choose another folder. "
            "An index that was there is unchanged"
        ) from error


def text_of(card: ModelCard) -> str:
    """What is embedded of a card: its task, its name and its summary, in words."""
    name = card.id.rpartition("/")[2]
    words = f"{card.task}: {name}".replace("-", " ").replace("_", " ")
    return f"{words}. {card.summary}"


def _embed(
    cards: catalog.Catalog, models: int, encoder: Encoder, progress: Progress | None
) -> Iterator[NDArray[np.float32]]:
    done = 0
    for batch in cards.batches(_BATCH):
        yield encoder.encode([text_of(card) for card in batch])
        done += len(batch)
        if progress:
            progress(done, models)
