"""An index's models, on disk and opened: found by vector, by words and by id, under hard filters."""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hugginggpt.index import lexical, manifest, wishes
from hugginggpt.index.filters import EVERYTHING, Filters
from hugginggpt.index.manifest import IndexInfo
from hugginggpt.index.segment import Segment
from hugginggpt.index.vectors import Rows, Scores, cosines_of
from hugginggpt.tools.card import ModelCard

Accepts = Callable[[ModelCard], bool]
_MOST_JUDGED = 4096
"""Cards that are shown to `accepts` in one search."""


class Store:
    """Reads an index. Safe to use from threads; its methods block.

    A row is the number of a model: it is good for this store, and not for one that is opened later.
    """

    def __init__(self, folder: Path, info: IndexInfo) -> None:
        """Raises `CorruptIndexError`. The files are to be verified before (`manifest.verify`)."""
        self.folder, self.info = folder, info
        self._segments = [Segment(folder, segment) for segment in info.segments]
        *self._starts, self.total = [0, *accumulate(segment.rows for segment in info.segments)]

    def wishes(self) -> NDArray[np.float32] | None:
        """The vectors of the program's wishes, see wishes.py; None where it has none, or of other wishes."""
        kept = self.info.wishes
        if kept is None or kept.texts != wishes.DIGEST:
            return None
        return manifest.read_array(self.folder, kept)

    def nearest(
        self,
        vector: NDArray[np.float32],
        k: int,
        where: Filters = EVERYTHING,
        accepts: Accepts | None = None,
    ) -> tuple[Rows, Scores]:
        """The rows of the `k` models whose vectors are nearest, and their cosines, best first.

        `vector` is L2-normalised, (dimension,). Fewer than `k` where fewer pass `where` and `accepts`, which
        is asked about 4096 models at most: it reads cards, so that `where` is by far the faster filter.
        """
        vector = np.ascontiguousarray(vector, np.float32).reshape(-1)
        return self._accepted(lambda n: self._merged(n, lambda s: s.nearest(vector, n, where)), k, accepts)

    def lexical(
        self, query: str, k: int, where: Filters = EVERYTHING, accepts: Accepts | None = None
    ) -> tuple[Rows, Scores]:
        """The rows of the `k` models that say the query's words best, and how well, 0 to 1, best first.

        Models that have none of the words are not among them. See `nearest` for the filters.
        """
        words = lexical.weights(
            lexical.words_of(query), [segment.words for segment in self._segments], where.task
        )
        if not words:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        return self._accepted(lambda n: self._merged(n, lambda s: s.best(words, n, where)), k, accepts)

    def cosines(self, vector: NDArray[np.float32], rows: Rows) -> Scores:
        """The cosine of the vector, (dimension,), with each of these rows'."""
        cosines = np.empty(len(rows), np.float32)
        for segment, places, own in self._by_segment(rows):
            cosines[places] = cosines_of(segment.vectors.rows(own), vector)
        return cosines

    def tasks(self, rows: Rows) -> list[str]:
        """The task of each of these rows."""
        tasks = np.empty(len(rows), np.object_)
        for segment, places, own in self._by_segment(rows):
            tasks[places] = segment.tasks_of(own)
        return list(tasks)

    def rows(self, rows: Rows | Sequence[int]) -> list[ModelCard]:
        """The cards of these rows, in that order."""
        cards: dict[int, ModelCard] = {}
        for segment, places, own in self._by_segment(np.asarray(rows, np.int64)):
            cards.update(zip(places.tolist(), segment.cards(own.tolist()), strict=True))
        return [cards[place] for place in range(len(rows))]

    def card(self, model_id: str) -> ModelCard | None:
        """The model of that id, if the index has it."""
        row = self.rows_of([model_id]).get(model_id)
        return None if row is None else self.rows([row])[0]

    def ids(self) -> Iterator[tuple[int, str]]:
        """The rows and ids of all models."""
        for start, segment in zip(self._starts, self._segments, strict=True):
            gone = segment.gone
            yield from (
                (start + row, id_) for row, id_ in segment.catalog.ids() if gone is None or not gone[row]
            )

    def rows_of(self, ids: Sequence[str]) -> dict[str, int]:
        """The rows of those of the ids that it has."""
        found: dict[str, int] = {}
        for start, segment in zip(self._starts, self._segments, strict=True):
            rows = segment.catalog.rows_of(ids)
            gone = segment.gone
            found.update((id_, start + row) for id_, row in rows.items() if gone is None or not gone[row])
        return found

    def by_segment(self, facts: NDArray[np.int32]) -> dict[str, NDArray[np.int32]]:
        """What is known by row, (facts, `total`), for each segment by its name, (facts, its rows)."""
        parts = np.split(facts, self._starts[1:], axis=1)
        return {segment.info.name: part for segment, part in zip(self._segments, parts, strict=True)}

    def cards(self, task: str, most: int = 1000) -> list[ModelCard]:
        """Models of a task, by id: the first `most` of each segment."""
        found = [
            card
            for segment in self._segments
            for card in segment.cards(
                segment.living(np.array(segment.rows_of(task), np.int64))[:most].tolist()
            )
        ]
        return sorted(found, key=lambda card: card.id)

    def states(self, tag: str) -> bool:
        """Whether the Hub states that tag for any model."""
        return any(tag in segment.columns.meanings["tag"] for segment in self._segments)

    def fact(self, column: str, rows: Rows) -> NDArray[np.int32]:
        """One fact of these rows, without reading cards: a column of columns.py; -1 where it is not known."""
        facts = np.empty(len(rows), np.int32)
        for segment, places, own in self._by_segment(rows):
            facts[places] = segment.columns.fact(column)[own]
        return facts

    def _merged(self, k: int, search: Callable[[Segment], tuple[Rows, Scores]]) -> tuple[Rows, Scores]:
        parts = [search(segment) for segment in self._segments]
        rows = np.concatenate([part[0] + start for part, start in zip(parts, self._starts, strict=True)])
        scores = np.concatenate([part[1] for part in parts])
        best = np.lexsort((rows, -scores))[:k]
        return rows[best], scores[best]

    def _accepted(
        self, search: Callable[[int], tuple[Rows, Scores]], k: int, accepts: Accepts | None
    ) -> tuple[Rows, Scores]:
        """The first `k` of a search that are accepted: it is asked for more until there are enough."""
        if accepts is None:
            return search(k)
        kept: list[int] = []
        judged, asked = 0, 4 * k
        while True:
            rows, scores = search(min(asked, _MOST_JUDGED))
            cards = self.rows(rows[judged:])
            kept += [place for place, card in enumerate(cards, judged) if accepts(card)]
            judged = len(rows)
            if len(kept) >= k or judged < asked:
                return rows[kept[:k]], scores[kept[:k]]
            asked *= 4

    def _by_segment(self, rows: Rows) -> Iterator[tuple[Segment, NDArray[np.int64], Rows]]:
        """Each segment that has some of the rows, their places among them, and what it numbers them."""
        owners = np.searchsorted(self._starts, rows, side="right") - 1
        for owner in set(owners.tolist()):
            places = np.flatnonzero(owners == owner)
            yield self._segments[owner], places, rows[places] - self._starts[owner]
