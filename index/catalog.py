"""The cards of a segment, in one SQLite file: a card's row is the row of its vector."""

import json
import sqlite3
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from hugginggpt.tools.card import ModelCard

_CREATE = """
CREATE TABLE cards (row INTEGER PRIMARY KEY, id TEXT NOT NULL, card TEXT NOT NULL);
CREATE TABLE meanings (col TEXT, code INTEGER, meaning TEXT, PRIMARY KEY (col, code)) WITHOUT ROWID;
"""


class CatalogWriter:
    """Writes the file. Everything raises `sqlite3.Error` where it cannot be written."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        # Nobody reads the file before it is whole, and a build that fails removes it.
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute("BEGIN")
        for statement in _CREATE.strip().split(";\n"):
            self._connection.execute(statement)
        self._rows = 0

    def add(self, cards: Sequence[ModelCard]) -> None:
        """The cards of the next rows."""
        self._connection.executemany(
            "INSERT INTO cards VALUES (?, ?, ?)",
            (
                (row, card.id, card.model_dump_json(exclude_defaults=True))
                for row, card in enumerate(cards, self._rows)
            ),
        )
        self._rows += len(cards)

    def finish(self, meanings: dict[str, Sequence[str]]) -> None:
        """Make it whole; `meanings` are those of the codes 0, 1, … in each column that is coded."""
        self._connection.executemany(
            "INSERT INTO meanings VALUES (?, ?, ?)",
            (
                (column, code, meaning)
                for column, values in meanings.items()
                for code, meaning in enumerate(values)
            ),
        )
        self._connection.execute("CREATE UNIQUE INDEX by_id ON cards (id)")
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


class Catalog:
    """Reads a file that `CatalogWriter` made. Safe to use from threads."""

    def __init__(self, path: Path) -> None:
        """Raises `sqlite3.Error` when the file is not such a file."""
        # Immutable: nothing ever changes a file that a manifest names, so no lock is needed to read it.
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

    def rows_of(self, ids: Sequence[str]) -> dict[str, int]:
        """The rows of those of the ids that it has."""
        found = self._query(
            "SELECT id, row FROM cards WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),)
        )
        return dict(found)

    def ids(self) -> Iterator[tuple[int, str]]:
        """Rows and ids of all its cards."""
        start = 0
        while found := self._query(
            "SELECT row, id FROM cards WHERE row >= ? ORDER BY row LIMIT 10000", (start,)
        ):
            yield from found
            start = found[-1][0] + 1

    def batches(self, size: int) -> Iterator[list[ModelCard]]:
        """All cards in the order of their rows, `size` at a time."""
        start = 0
        while batch := self._query(
            "SELECT row, card FROM cards WHERE row >= ? ORDER BY row LIMIT ?", (start, size)
        ):
            yield [ModelCard.model_validate_json(card) for _, card in batch]
            start = batch[-1][0] + 1

    def meanings(self, column: str) -> list[str]:
        """What the codes 0, 1, … of a column mean."""
        found = self._query("SELECT code, meaning FROM meanings WHERE col = ? ORDER BY code", (column,))
        return [meaning for _, meaning in found]

    def _query(self, sql: str, values: tuple[object, ...]) -> list[tuple[Any, Any]]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()
