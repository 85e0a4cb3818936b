"""The builder of every index, the starter's and any other's."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from hugginggpt.index import embedding
from hugginggpt.index.errors import IndexBuildError
from hugginggpt.index.write import write_index
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.encoder import Encoder

Progress = embedding.Progress


@contextmanager
def lock(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Held by whoever builds in that folder; others wait.

    Raises `IndexBuildError` where the folder cannot be written; without `wait`, also where another has it.
    """
    held = FileLock(folder / "build.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held.acquire(blocking=wait)
    except Timeout as error:
        raise IndexBuildError(f"{folder}: another process builds in it") from error
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
    write_index(folder, embedding.embedded([collected], encoder, len(collected), progress), encoder, source)
