"""Cards and vectors on their way into a segment: they come in any order and leave grouped by task."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hugginggpt.index.errors import IndexBuildError
from hugginggpt.tools.card import ModelCard

Block = tuple[Sequence[ModelCard], NDArray[np.float32]]
"""Cards and their L2-normalised vectors, (len(cards), dimension)."""

_CREATE = "CREATE TABLE staged (place INTEGER PRIMARY KEY, id TEXT, task TEXT, card TEXT)"
_TASKS = "SELECT task, count(*) FROM staged GROUP BY task ORDER BY task"
_REPEATED = "SELECT id FROM staged GROUP BY id HAVING count(*) > 1 LIMIT 1"


class Staging:
    """A file of cards and one of vectors. Raises `sqlite3.Error` or `OSError` where there is no room."""

    def __init__(self, folder: Path, name: str, dimension: int) -> None:
        self._cards_path, self._path = (folder / f"{name}.{kind}.staged" for kind in ("cards", "vectors"))
        self._connection = sqlite3.connect(self._cards_path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute(_CREATE)
        self._dimension, self._places = dimension, 0
        self._file = self._path.open("wb")

    def add(self, block: Block) -> None:
        """Take in a block. Raises `IndexBuildError` where the vectors are not such vectors."""
        cards, vectors = block
        if vectors.shape != (len(cards), self._dimension):
            raise IndexBuildError(
                f"vectors of shape {vectors.shape} for {len(cards)} cards; "
                f"the encoder makes {self._dimension} numbers a card"
            )
        self._connection.execute("BEGIN")
        self._connection.executemany(
            "INSERT INTO staged VALUES (?, ?, ?, ?)",
            (
                (place, card.id, card.task, card.model_dump_json(exclude_defaults=True))
                for place, card in enumerate(cards, self._places)
            ),
        )
        self._connection.execute("COMMIT")
        self._file.write(np.ascontiguousarray(vectors, np.float32).data)
        self._places += len(cards)

    def order(self) -> tuple[dict[str, tuple[int, int]], NDArray[np.int64]]:
        """Each task's rows, and the place of what is to come into each row: by task, then by id.

        Raises `IndexBuildError` where there is no card, or the same twice.
        """
        if not self._places:
            raise IndexBuildError("there are no cards to build an index of")
        if repeated := self._connection.execute(_REPEATED).fetchone():
            raise IndexBuildError(f"{repeated[0]}: is there twice; an index holds a model once")
        self._file.flush()
        places = self._connection.execute("SELECT place FROM staged ORDER BY task, id")
        order = np.fromiter((place for (place,) in places), np.int64, self._places)
        tasks: dict[str, tuple[int, int]] = {}
        stop = 0
        for task, count in self._connection.execute(_TASKS):
            tasks[task] = (stop, stop + count)
            stop += count
        return tasks, order

    def vectors(self) -> NDArray[np.float32]:
        """The vectors by place, on disk."""
        return np.memmap(self._path, np.float32, "r").reshape(-1, self._dimension)

    def sample(self, most: int) -> NDArray[np.float32]:
        """Some of the vectors."""
        return np.asarray(self.vectors()[:: -(-self._places // most)])

    def blocks(self, order: NDArray[np.int64], size: int) -> Iterator[Block]:
        """What was taken in, in that order, `size` at a time."""
        vectors = self.vectors()
        for start in range(0, len(order), size):
            places = order[start : start + size]
            yield self._cards(places.tolist()), vectors[places]

    def close(self) -> None:
        """Remove the files."""
        self._connection.close()
        self._file.close()
        self._cards_path.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)

    def _cards(self, places: list[int]) -> list[ModelCard]:
        found = dict(
            self._connection.execute(
                "SELECT place, card FROM staged WHERE place IN (SELECT value FROM json_each(?))",
                (json.dumps(places),),
            )
        )
        return [ModelCard.model_validate_json(found[place]) for place in places]
