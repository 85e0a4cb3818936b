"""The builder of every index, the starter's and any other's."""

import logging
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from hugginggpt.index import embedding, gather, manifest
from hugginggpt.index.errors import CorruptIndexError, IndexBuildError, ModelIndexError, NoIndexError
from hugginggpt.index.write import write_index
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.encoder import Encoder

Progress = embedding.Progress

_log = logging.getLogger(__name__)


@contextmanager
def lock(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Held by whoever builds in that folder; others wait.

    Raises `IndexBuildError` where the folder cannot be written; without `wait`, also where another has it.
    Raises `ForeignFolderError` where it is another program's.
    """
    with suppress(NoIndexError, CorruptIndexError):
        manifest.index_info(folder)
    held = FileLock(folder / "build.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _acquire(held, wait=wait)
    except Timeout as error:
        raise IndexBuildError(f"{folder}: another process builds in it") from error
    except OSError as error:
        raise IndexBuildError(
            f"{folder}: cannot be written ({error.strerror}); choose another folder for the index"
        ) from error
    try:
        _remove_finished(folder)
        yield
    finally:
        held.release()


def _acquire(held: FileLock, *, wait: bool) -> None:
    try:
        held.acquire(blocking=False)
    except Timeout:
        if not wait:
            raise
        _log.warning("%s: another process builds in it; waiting for its end", Path(held.lock_file).parent)
        held.acquire()


def _remove_finished(folder: Path) -> None:
    """Remove what a build had gathered that was killed when the index was already switched to."""
    try:
        finished = manifest.index_info(folder).gathered
    except ModelIndexError:
        return
    if finished and gather.gathering(folder / gather.STAGING) == finished:
        shutil.rmtree(folder / gather.STAGING)


def build(
    folder: Path, cards: Iterable[ModelCard], encoder: Encoder, source: str, progress: Progress | None
) -> None:
    """Build an index of the cards and make it the one in use. Blocks; the caller holds the lock.

    Raises `IndexBuildError`; the index that was in use then still is.
    """
    collected = list(cards)
    write_index(folder, embedding.embedded([collected], encoder, len(collected), progress), encoder, source)
