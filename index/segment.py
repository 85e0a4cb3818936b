"""Models that were written together: their cards, columns, vectors and words, row by row the same."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hugginggpt.index import manifest
from hugginggpt.index.catalog import Catalog, CatalogWriter
from hugginggpt.index.cells import split
from hugginggpt.index.columns import CODED, FIGURES, UNKNOWN, Columns, ColumnsWriter
from hugginggpt.index.errors import CorruptIndexError
from hugginggpt.index.filters import Filters
from hugginggpt.index.lexical import Lexical, LexicalWriter
from hugginggpt.index.manifest import SegmentInfo
from hugginggpt.index.passing import Passing
from hugginggpt.index.staging import Block, Staging
from hugginggpt.index.vectors import Rows, Scores, Vectors, VectorsWriter
from hugginggpt.tools.card import ModelCard

_BATCH = 4096
_SAMPLE = 50_000
_FILTERS_REMEMBERED = 64


def write(folder: Path, name: str, blocks: Iterable[Block], dimension: int) -> SegmentInfo:
    """Write a segment of these cards. Raises `IndexBuildError`, or what is raised where there is no room."""
    info = SegmentInfo(name=name, tasks={}, files=())
    paths = {kind: info.path(folder, kind) for kind in manifest.KINDS if kind != manifest.GONE}
    with closing(Staging(folder, name, dimension)) as staging:
        for block in blocks:
            staging.add(block)
        tasks, order = staging.order()
        cells, order = split(staging.vectors(), tasks, order)
        vectors = VectorsWriter(paths[manifest.VECTORS], cells, staging.sample(_SAMPLE))
        _write_rows(paths, staging.blocks(order, _BATCH), vectors)
    written = sorted(folder.glob(f"{name}.*"))
    return SegmentInfo(name=name, tasks=tasks, files=manifest.store(folder, written))


def _write_rows(paths: dict[str, Path], blocks: Iterable[Block], vectors: VectorsWriter) -> None:
    columns = ColumnsWriter()
    words = LexicalWriter(paths[manifest.WORDS])
    with closing(CatalogWriter(paths[manifest.CARDS])) as catalog:
        for cards, block in blocks:
            catalog.add(cards)
            columns.add(cards)
            words.add(cards)
            vectors.add(block)
        catalog.finish(columns.meanings)
    columns.finish(paths[manifest.COLUMNS])
    vectors.finish()
    words.finish()


def gone_rows(folder: Path, info: SegmentInfo) -> NDArray[np.bool_] | None:
    """One truth per row: whether it is void. None: none is."""
    if not info.gone:
        return None
    bits = np.load(info.path(folder, manifest.GONE), allow_pickle=False)
    return np.unpackbits(bits, count=info.rows).astype(np.bool_)


class Segment:
    """Reads what `write` wrote. Safe to use from threads."""

    def __init__(self, folder: Path, info: SegmentInfo) -> None:
        """Raises `CorruptIndexError` when the files are not a segment's."""
        self.info = info
        try:
            self.catalog = Catalog(info.path(folder, manifest.CARDS))
            meanings = {column: self.catalog.meanings(column) for column in CODED}
            self.columns = Columns(info.path(folder, manifest.COLUMNS), meanings)
            self.vectors = Vectors(info.path(folder, manifest.VECTORS))
            self.words = Lexical(info.path(folder, manifest.WORDS))
            self.gone = gone_rows(folder, info)
        except (RuntimeError, ValueError, OSError, sqlite3.Error) as error:
            raise CorruptIndexError(
                f"{folder / manifest.NAME}: names files that are not an index's; build the index again"
            ) from error
        self._passing = lru_cache(_FILTERS_REMEMBERED)(self._judge)

    def rows_of(self, task: str | None) -> range:
        """The rows of a task, or all."""
        return range(self.info.rows) if task is None else range(*self.info.tasks.get(task, (0, 0)))

    def cards(self, rows: Sequence[int]) -> list[ModelCard]:
        """The cards of these rows, in that order, with the figures of the last refresh."""
        cards = self.catalog.rows(rows)
        if not self.info.refreshed:
            return cards
        figures = zip(*(self.columns.fact(figure)[rows].tolist() for figure in FIGURES), strict=True)
        return [
            card.model_copy(
                update={
                    figure: None if number == UNKNOWN else number
                    for figure, number in zip(FIGURES, numbers, strict=True)
                }
            )
            for card, numbers in zip(cards, figures, strict=True)
        ]

    def tasks_of(self, rows: Rows) -> list[str]:
        """The task of each of these rows."""
        starts = [start for start, _ in self.info.tasks.values()]
        names = list(self.info.tasks)
        return [names[place - 1] for place in np.searchsorted(starts, rows, side="right").tolist()]

    def nearest(self, vector: NDArray[np.float32], k: int, where: Filters) -> tuple[Rows, Scores]:
        """See `Store.nearest`."""
        return self.vectors.nearest(vector, k, self.rows_of(where.task), self._passing(where))

    def best(self, words: Mapping[str, float], k: int, where: Filters) -> tuple[Rows, Scores]:
        """See `Store.lexical`."""
        rows, passing = len(self.rows_of(where.task)), self._passing(where)
        if not rows or (passing is not None and not passing.count):
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        return self.words.best(words, k, where.task, rows, passing)

    def blocks(self) -> Iterator[Block]:
        """All of it that is not void, to be written anew."""
        for start in range(0, self.info.rows, _BATCH):
            rows = self.living(np.arange(start, min(start + _BATCH, self.info.rows)))
            if len(rows):
                yield self.cards(rows.tolist()), self.vectors.rows(rows)

    def living(self, rows: Rows) -> Rows:
        """Those of the rows that are not void."""
        return rows if self.gone is None else rows[~self.gone[rows]]

    def _judge(self, where: Filters) -> Passing | None:
        """The rows that pass and are not void. None: all rows of the task do."""
        rows = self.rows_of(where.task)
        passing = self.columns.passing(where, slice(rows.start, rows.stop))
        if passing is None and self.gone is None:
            return None
        judged = np.zeros(self.info.rows, np.bool_)
        judged[rows.start : rows.stop] = True if passing is None else passing
        if self.gone is not None:
            judged &= ~self.gone
        return Passing(judged, self.vectors.starts)
