"""The builder of every index, the starter's and any other's."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from filelock import FileLock

from hugginggpt.index.errors import IndexBuildError
from hugginggpt.index.honesty import honest
from hugginggpt.index.staging import Block
from hugginggpt.index.write import write_index
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
    collected = list(cards)
    write_index(folder, embedded(collected, encoder, len(collected), progress), encoder, source)


def embedded(
    cards: Iterable[ModelCard], encoder: Encoder, total: int, progress: Progress | None
) -> Iterator[Block]:
    """The cards with their vectors, block by block: no more than a block is in memory."""
    coming, done = map(honest, cards), 0
    while batch := list(islice(coming, _BATCH)):
        yield batch, encoder.encode([text_of(card) for card in batch])
        done += len(batch)
        if progress:
            progress(done, total)


def text_of(card: ModelCard) -> str:
    """What is embedded of a card: its task, its name and its summary, in words."""
    name = card.id.rpartition("/")[2]
    words = f"{card.task}: {name}".replace("-", " ").replace("_", " ")
    return f"{words}. {card.summary}"
