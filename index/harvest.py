"""Where cards come from: the starter's list, or rows of a source, each counted with what became of it."""

import hashlib
from collections.abc import Collection, Iterator
from datetime import date
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel

from hugginggpt.index.errors import CardError
from hugginggpt.index.rows import Row, RowError, card_of
from hugginggpt.index.sources import Files
from hugginggpt.tools.card import ModelCard

_STARTER = files("hugginggpt.index") / "starter.jsonl"
_TOLD = 5


class Tally(BaseModel):
    """What became of the rows."""

    read: int = 0
    kept: int = 0
    left_out: int = 0
    """Models whose task was not asked for, or cannot be told."""
    broken: int = 0
    complaints: list[str] = []
    """The first few broken rows: where, and why."""
    newest: date | None = None
    """The last day that a card was changed."""

    def row(
        self, where: str, row: Row | RowError, tasks: Collection[str] = ()
    ) -> tuple[str, ModelCard | None] | None:
        """The id and the card of a row, counted; no card where its task is not wanted; None if broken."""
        self.read += 1
        try:
            if isinstance(row, RowError):
                raise row
            card = card_of(row)
        except RowError as error:
            self.broken += 1
            if len(self.complaints) < _TOLD:
                self.complaints.append(f"{where}: {error}")
            return None
        if card is None or (tasks and card.task not in tasks):
            self.left_out += 1
            return row.get("id") or row["modelId"], None
        self.kept += 1
        self.newest = max(filter(None, (self.newest, card.updated)), default=None)
        return card.id, card

    def add(self, other: "Tally") -> None:
        """Count what became of other rows too, which come behind these."""
        for count in ("read", "kept", "left_out", "broken"):
            setattr(self, count, getattr(self, count) + getattr(other, count))
        self.complaints = [*self.complaints, *other.complaints][:_TOLD]
        self.newest = max(filter(None, (self.newest, other.newest)), default=None)


def starter_cards() -> list[ModelCard]:
    """Well-known models for every task, and those that come inside packages."""
    return [ModelCard.model_validate_json(line) for line in _STARTER.read_text(encoding="utf-8").splitlines()]


def starter_source() -> str:
    """`starter:` and a digest of the starter file, so that an index of an older one is recognised."""
    return f"starter:{hashlib.sha256(_STARTER.read_bytes()).hexdigest()[:12]}"


def read_cards(where: str | Path, tally: Tally | None = None) -> Iterator[ModelCard]:
    """The cards of a file or a folder, see `sources.py`, as they come: repeated ones too.

    Models whose task cannot be told and broken rows are left out, and counted in `tally`. Raises `CardError`
    where nothing can be read, or every row is broken.
    """
    tally = tally or Tally()
    for page in Files(str(where)).pages(""):
        for place, row in page.rows:
            if (found := tally.row(place, row)) and found[1]:
                yield found[1]
    complain_if_all_broken(tally)


def complain_if_all_broken(tally: Tally) -> None:
    """Raises `CardError` where rows were read and not one was sound."""
    if tally.broken and tally.broken == tally.read:
        raise CardError(f"{tally.complaints[0]}; no row of {tally.read} is a model")
