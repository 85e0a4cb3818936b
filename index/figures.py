"""What the Hub says now of an index's models: their downloads and likes, and whether they are still there.

Models are listed a thousand to a request, most downloaded first, so that an index of the most downloaded ones
is seen in a few. A page that brings none of the index's models ends a listing where few are left: these are
asked for one by one. No id is kept in memory: what is known is an array by row.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hugginggpt.index.columns import FIGURES, MOST, UNKNOWN
from hugginggpt.index.gather import Progress
from hugginggpt.index.hub import HubModels
from hugginggpt.index.origin import Origin
from hugginggpt.index.rows import Row
from hugginggpt.index.store import Store

_FEW = 1000
"""Models that are asked for one by one, at most: a request each, as many as a million are listed with."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What the Hub said. Rows are the store's."""

    figures: NDArray[np.int32]
    """(2, rows): downloads and likes; -1 where it said nothing."""
    gone: list[str]
    """Ids of models that it does not have any more."""

    def changed(self, store: Store, without: Sequence[int]) -> tuple[dict[str, NDArray[np.int32]], int]:
        """By segment the figures that are others by now, (2, rows of the segment), and of how many models.

        Rows in `without` keep theirs.
        """
        now = np.stack([store.fact(figure, np.arange(store.total)) for figure in FIGURES])
        new = np.where(self.figures == now, UNKNOWN, self.figures)
        new[:, without] = UNKNOWN
        return store.by_segment(new), int((new != UNKNOWN).any(axis=0).sum())


def ask(store: Store, models: HubModels, origin: Origin, progress: Progress | None = None) -> Figures:
    """Ask the Hub about all models of an index. Blocks. Raises `CardError`."""
    asked = _Asked(store, progress)
    tasks = origin.tasks if origin.kind == "hub" else ()
    for task in tasks:
        asked.take(models.figures(task), few=store.total)
    listed = False
    if asked.left > _FEW or not tasks:
        # By day of birth, models keep their places: none is missed in the hour that listing all takes.
        listed = asked.take(models.figures(by="createdAt" if origin.whole else "downloads"), few=_FEW)
    missing = asked.missing()
    if listed and asked.left > _FEW:
        return Figures(asked.figures, [id_ for _, id_ in missing])
    return Figures(asked.figures, asked.take_each(dict(missing), models))


class _Asked:
    """What has been said so far."""

    def __init__(self, store: Store, progress: Progress | None) -> None:
        self.figures = np.full((len(FIGURES), store.total), UNKNOWN, np.int32)
        self._open = np.zeros(store.total, np.bool_)
        """The models that the Hub may have and that nothing was said of."""
        of_the_hub = (row for row, id_ in store.ids() if not id_.startswith("builtin/"))
        self._open[np.fromiter(of_the_hub, np.int64)] = True
        self.left = self._all = int(self._open.sum())
        self._store, self._progress = store, progress

    def take(self, pages: Iterator[list[Row]], few: int) -> bool:
        """Note what is listed. Whether it was read to its end: not where nothing more is to be expected."""
        for page in pages:
            rows = self._store.rows_of([str(model["id"]) for model in page])
            for model in page:
                if (row := rows.get(str(model["id"]))) is not None:
                    self._note(row, model)
            self._tell()
            if not self.left or (not rows and self.left <= few):
                return False
        return True

    def take_each(self, missing: dict[int, str], models: HubModels) -> list[str]:
        """Note what is said of these models, by row; the ids of those that are not there."""
        gone = []
        for (row, id_), model in zip(missing.items(), models.figures_of([*missing.values()]), strict=True):
            if model is None:
                gone.append(id_)
            else:
                self._note(row, model)
            self._tell()
        return gone

    def missing(self) -> Iterator[tuple[int, str]]:
        """Rows and ids of those that nothing was said of."""
        return ((row, id_) for row, id_ in self._store.ids() if self._open[row])

    def _note(self, row: int, model: Row) -> None:
        for place, figure in enumerate(FIGURES):
            if isinstance(model.get(figure), int):
                self.figures[place, row] = min(MOST, model[figure])
        self.left -= int(self._open[row])
        self._open[row] = False

    def _tell(self) -> None:
        if self._progress:
            done = self._all - self.left
            self._progress(done, done / max(1, self._all))
