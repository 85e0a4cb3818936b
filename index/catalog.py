"""The cards of an index, in one SQLite file: a card's row is the row of its vector."""

import json
import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from threading import Lock

from hugginggpt.index.errors import IndexBuildError
from hugginggpt.tools.card import ModelCard

# Cards are collected first and numbered then, so that the rows of a task follow each other and the
# cards of a build never have to be in memory all at once.
_COLLECT = "CREATE TEMP TABLE collected (id TEXT PRIMARY KEY, task TEXT, card TEXT) WITHOUT ROWID"
_CREATE = """
CREATE TABLE cards (row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, task TEXT NOT NULL, card TEXT NOT NULL)
"""
_NUMBER = """
INSERT INTO cards SELECT row_number() OVER (ORDER BY task, id) - 1, id, task, card FROM collected
"""
_RANGES = "SELECT task, min(row), max(row) + 1 FROM cards GROUP BY task ORDER BY task"


def write(path: Path, cards: Iterable[ModelCard]) -> dict[str, tuple[int, int]]:
    """Write the file and give each task's rows, [start, stop). Raises `IndexBuildError` for a repeated id.

    Raises `sqlite3.Error` where the file cannot be written.
    """
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(_COLLECT)
        for card in cards:
            values = (card.id, card.task, card.model_dump_json(exclude_defaults=True))
            try:
                connection.execute("INSERT INTO collected VALUES (?, ?, ?)", values)
            except sqlite3.IntegrityError as error:
                raise IndexBuildError(f"{card.id}: is there twice; an index holds a model once") from error
        connection.execute(_CREATE)
        connection.execute(_NUMBER)
        return {task: (start, stop) for task, start, stop in connection.execute(_RANGES)}


class Catalog:
    """Reads a file that `write` made. Safe to use from threads."""

    def __init__(self, path: Path) -> None:
        """Raises `sqlite3.Error` when the file is not such a file."""
        # Immutable: a build never changes a file that a manifest names, so no lock is needed to read it.
        uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
        self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        self._lock = Lock()
        weakref.finalize(self, self._connection.close)
        self._query("SELECT row FROM cards LIMIT 1", ())

    def rows(self, rows: Sequence[int]) -> list[ModelCard]:
        """The cards of these rows, in that order."""
        found = self._query(
            "SELECT row, card FROM cards WHERE row IN (SELECT value FROM json_each(?))",
            (json.dumps(list(rows)),),
        )
        by_row = {row: ModelCard.model_validate_json(card) for row, card in found}
        return [by_row[row] for row in rows]

    def card(self, model_id: str) -> ModelCard | None:
        """The card of that id, if there is one."""
        found = self._query("SELECT row, card FROM cards WHERE id = ?", (model_id,))
        return ModelCard.model_validate_json(found[0][1]) if found else None

    def batches(self, size: int) -> Iterator[list[ModelCard]]:
        """All cards in the order of their rows, `size` at a time."""
        start = 0
        while batch := self._query(
            "SELECT row, card FROM cards WHERE row >= ? ORDER BY row LIMIT ?", (start, size)
        ):
            yield [ModelCard.model_validate_json(card) for _, card in batch]
            start = batch[-1][0] + 1

    def _query(self, sql: str, values: tuple[object, ...]) -> list[tuple[int, str]]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()
