"""Writes an index, or changes one: new files, then one switch. The caller holds the folder's lock."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from hugginggpt.index import columns, manifest, segment, wishes
from hugginggpt.index.catalog import Catalog
from hugginggpt.index.errors import IndexBuildError
from hugginggpt.index.manifest import IndexInfo, SegmentInfo, Wishes
from hugginggpt.index.segment import Segment, gone_rows
from hugginggpt.index.staging import Block
from hugginggpt.tools.encoder import Encoder

_GROWTH = 3


def write_index(
    folder: Path,
    blocks: Iterable[Block],
    encoder: Encoder,
    source: str,
    table: NDArray[np.float32] | None = None,
    gathered: str = "",
) -> IndexInfo:
    """Write an index of these cards and their vectors and make it the one in use. Blocks.

    `encoder` is the one that the vectors are compared with, `table` the one that made them in its place;
    `gathered` is the id of what was gathered for it. The cards come in any order, each id once. Raises
    `IndexBuildError`; the index that was in use then still is. What `blocks` raises comes through.
    """
    with _writing(folder):
        name = _new_name(source)
        written = segment.write(folder, name, blocks, encoder.dimension)
        info = IndexInfo(
            source=source,
            gathered=gathered,
            created=_now(),
            encoder=encoder.id,
            encoder_revision=encoder.revision,
            dimension=encoder.dimension,
            tasks={task: stop - start for task, (start, stop) in written.tasks.items()},
            segments=(written,),
            wishes=_wishes(folder, name, wishes.embedded(encoder)),
            table=None if table is None else manifest.store_array(folder, f"{name}.{manifest.TABLE}", table),
        )
        manifest.switch(folder, info)
    return info


def update_index(
    folder: Path,
    blocks: Iterable[Block],
    removed: Iterable[str] = (),
    source: str | None = None,
    figures: Mapping[str, NDArray[np.int32]] = MappingProxyType({}),
) -> IndexInfo:
    """Put these cards in the place of those with the same ids, add those that are new, and remove some by id.

    `source` is what the manifest says from now on; without it a starter index becomes a `custom` one.
    `figures` are new downloads and likes by segment, (2, rows), -1 where they stay as they are.
    Blocks; readers of the index are not disturbed. Raises `IndexBuildError`, `NoIndexError` or
    `CorruptIndexError`; the index that was in use then still is.
    """
    info = manifest.index_info(folder)
    with _writing(folder):
        ids = list(removed)
        added = _added(folder, blocks, info.dimension, ids)
        segments = [
            _without(folder, _refreshed(folder, old, figures.get(old.name)), ids) for old in info.segments
        ]
        segments = _merged(folder, [old for old in segments if old.gone < old.rows] + added, info.dimension)
        if not segments:
            raise IndexBuildError(f"{folder}: the update removes every model; build the index anew instead")
        counts = _counts(folder, segments)
        source = source or ("custom" if info.source.startswith("starter:") else info.source)
        updated = info.model_copy(
            update={"source": source, "created": _now(), "tasks": counts, "segments": tuple(segments)}
        )
        manifest.switch(folder, updated)
    return updated


def keep_wishes(folder: Path, info: IndexInfo, vectors: NDArray[np.float32]) -> None:
    """Put these vectors of the program's wishes into the index, which has none, or those of other wishes.

    Raises `IndexBuildError` where they cannot be written. An index that is another by now stays as it is.
    """
    if manifest.index_info(folder) == info:
        with _writing(folder):
            kept = _wishes(folder, _new_name(info.source), vectors)
            manifest.switch(folder, info.model_copy(update={"wishes": kept}))


def _wishes(folder: Path, name: str, vectors: NDArray[np.float32]) -> Wishes:
    file = manifest.store_array(folder, f"{name}.{manifest.WISHES}", vectors)
    return Wishes(**file.model_dump(), texts=wishes.DIGEST)


def _added(folder: Path, blocks: Iterable[Block], dimension: int, ids: list[str]) -> list[SegmentInfo]:
    """A segment of the blocks, none where there are none; the ids in it are added to `ids`."""

    def noted() -> Iterator[Block]:
        for block in blocks:
            ids.extend(card.id for card in block[0])
            yield block

    rest = noted()
    first = next(rest, None)
    if first is None:
        return []

    def all_of_them() -> Iterator[Block]:
        yield first
        yield from rest

    return [segment.write(folder, f"update-{token_hex(4)}", all_of_them(), dimension)]


def _refreshed(folder: Path, old: SegmentInfo, figures: NDArray[np.int32] | None) -> SegmentInfo:
    """The segment with these downloads and likes."""
    if figures is None or (figures == columns.UNKNOWN).all():
        return old
    new = old.model_copy(update={"refreshed": old.refreshed + 1})
    before, after = (info.path(folder, manifest.COLUMNS) for info in (old, new))
    columns.refresh(before, after, figures)
    kept = [file for file in old.files if file.name != before.name]
    return new.model_copy(update={"files": (*kept, *manifest.store(folder, [after]))})


def _without(folder: Path, old: SegmentInfo, ids: list[str]) -> SegmentInfo:
    """The segment with these ids' rows void."""
    rows = np.array(list(Catalog(old.path(folder, manifest.CARDS)).rows_of(ids).values()), np.int64)
    before = gone_rows(folder, old)
    gone = np.zeros(old.rows, np.bool_) if before is None else before.copy()
    gone[rows] = True
    count = int(gone.sum())
    if count == old.gone:
        return old
    void = old.model_copy(update={"gone": count})
    path = void.path(folder, manifest.GONE)
    with path.open("wb") as file:
        np.save(file, np.packbits(gone), allow_pickle=False)
    kept = [file for file in old.files if not file.name.endswith(f".{manifest.GONE}")]
    return void.model_copy(update={"files": (*kept, *manifest.store(folder, [path]))})


def _merged(folder: Path, segments: list[SegmentInfo], dimension: int) -> list[SegmentInfo]:
    """The segments with the last ones in one, so that each is larger than `_GROWTH` times all that follow.

    So there are few, and a card is written anew only as often as what follows it has grown that much.
    """
    merged, models = 0, 0
    for old in reversed(segments):
        if models and old.rows - old.gone > _GROWTH * models:
            break
        merged, models = merged + 1, models + old.rows - old.gone
    if merged < 2:
        return segments
    kept, last = segments[:-merged], segments[-merged:]
    blocks = (block for old in last for block in Segment(folder, old).blocks())
    return [*kept, segment.write(folder, f"update-{token_hex(4)}", blocks, dimension)]


def _counts(folder: Path, segments: list[SegmentInfo]) -> dict[str, int]:
    """Task to how many models are left."""
    counts: dict[str, int] = {}
    for info in segments:
        gone = gone_rows(folder, info)
        for task, (start, stop) in info.tasks.items():
            void = 0 if gone is None else int(gone[start:stop].sum())
            counts[task] = counts.get(task, 0) + stop - start - void
    return {task: count for task, count in sorted(counts.items()) if count}


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        with manifest.tidy(folder):
            yield
    except (OSError, ValueError, RuntimeError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise IndexBuildError(
            f"{folder}: the index could not be written ({reason}); make room or choose another folder. "
            "An index that was there is unchanged"
        ) from error


def _new_name(source: str) -> str:
    """By it the files of a starter index are known, which may be built anew without a word."""
    return f"{source.partition(':')[0]}-{token_hex(4)}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
