"""The Hub's models with the texts of their cards from a data set, in place of a request per model."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Self

from hugginggpt.index import cleaning, front_matter
from hugginggpt.index.errors import IndexBuildError
from hugginggpt.index.hub import HubModels
from hugginggpt.index.rows import Row, RowError
from hugginggpt.index.sources import Files, Page

_LISTING = "listing "
"""Begins the cursors of the second part."""


class BulkModels:
    """A `Source`: first the data set's cards are summarised into a file, then the Hub's models are listed."""

    def __init__(self, models: HubModels, cards: Files, path: Path) -> None:
        """`models` is to be made without `texts`; `path` is the file, which is made where it is not there."""
        self._models, self._cards, self._path = models, cards, path
        self.key = f"{models.key} cards={cards.key}"

    def pages(self, after: str) -> Iterator[Page]:
        """See `Source`."""
        try:
            with closing(sqlite3.connect(self._path)) as texts:
                texts.execute(
                    "CREATE TABLE IF NOT EXISTS texts (id TEXT PRIMARY KEY, text TEXT) WITHOUT ROWID"
                )
                if not after.startswith(_LISTING):
                    for page in self._cards.pages(after):
                        with texts:
                            texts.executemany("INSERT OR REPLACE INTO texts VALUES (?, ?)", _summaries(page))
                        yield Page([], page.cursor, page.share and page.share / 2)
                    after = _LISTING
                for page in self._models.pages(after.removeprefix(_LISTING)):
                    rows = [(where, _with_text(row, texts)) for where, row in page.rows]
                    yield Page(rows, f"{_LISTING}{page.cursor}", page.share and (1 + page.share) / 2)
        except sqlite3.Error as error:
            raise IndexBuildError(
                f"{self._path}: cannot be used ({error}); make room, or remove it, and start again"
            ) from error

    def parts(self) -> list[Self]:
        """See `Source`: the listing comes page by page, so there is but one part."""
        return [self]


def _summaries(page: Page) -> Iterator[tuple[str, str]]:
    """Ids and summaries of rows that have both; of others, the listing's word is all there is."""
    for _, row in page.rows:
        if isinstance(row, RowError):
            continue
        id_, card = row.get("id") or row.get("modelId"), row.get("card")
        if isinstance(id_, str) and isinstance(card, str):
            yield id_, cleaning.summarize(front_matter.split(card)[1], id_)


def _with_text(row: Row | RowError, texts: sqlite3.Connection) -> Row | RowError:
    if isinstance(row, RowError):
        return row
    found = texts.execute("SELECT text FROM texts WHERE id = ?", (row.get("id"),)).fetchone()
    return {**row, "card": found[0]} if found else row
