"""What models are filtered and ranked by: one row of integers per fact, memory-mapped.

Facts that are words (licence, languages, the Hub's tag, else the task) are codes; what they mean is in the
catalogue. A fact that a card does not state is `UNKNOWN`.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hugginggpt.index.filters import Filters
from hugginggpt.tools.card import ModelCard

UNKNOWN = -1
_COLUMNS = ("license", "languages", "kilo_parameters", "downloads", "likes", "updated", "author", "tag")
CODED = ("license", "languages", "tag")
FIGURES = ("downloads", "likes")
"""Those that change while the model stays as it is."""
MOST = np.iinfo(np.int32).max
_EPOCH = date(1970, 1, 1)


class ColumnsWriter:
    """Writes the file of a segment."""

    def __init__(self) -> None:
        self._blocks: list[NDArray[np.int32]] = []
        self._codes: dict[str, dict[str, int]] = {column: {} for column in CODED}

    @property
    def meanings(self) -> dict[str, Sequence[str]]:
        """What the codes 0, 1, … mean, by column."""
        return {column: list(codes) for column, codes in self._codes.items()}

    def add(self, cards: Sequence[ModelCard]) -> None:
        """The cards of the next rows."""
        self._blocks.append(np.array([self._facts(card) for card in cards], np.int32).T)

    def finish(self, path: Path) -> None:
        """Write what was added. Raises `OSError` where there is no room."""
        with path.open("wb") as file:
            np.save(file, np.ascontiguousarray(np.concatenate(self._blocks, axis=1)), allow_pickle=False)

    def _facts(self, card: ModelCard) -> tuple[int, ...]:
        return (
            self._code("license", card.license),
            self._code("languages", " ".join(card.languages)),
            UNKNOWN if card.parameters is None else min(MOST, -(-card.parameters // 1000)),
            UNKNOWN if card.downloads is None else min(MOST, card.downloads),
            UNKNOWN if card.likes is None else min(MOST, card.likes),
            UNKNOWN if card.updated is None else (card.updated - _EPOCH).days,
            author_code(card.author),
            self._code("tag", card.tag or card.task),
        )

    def _code(self, column: str, value: str) -> int:
        codes = self._codes[column]
        return codes.setdefault(value, len(codes))


def refresh(old: Path, new: Path, figures: NDArray[np.int32]) -> None:
    """Write the columns of `old` to `new` with other figures, (2, rows); those that are `UNKNOWN` stay."""
    facts = np.load(old, allow_pickle=False)
    for figure, now in zip(FIGURES, figures, strict=True):
        column = facts[_COLUMNS.index(figure)]
        column[now != UNKNOWN] = now[now != UNKNOWN]
    with new.open("wb") as file:
        np.save(file, facts, allow_pickle=False)


def author_code(author: str) -> int:
    """31 bits of a digest of an author's name."""
    return int.from_bytes(hashlib.blake2b(author.encode(), digest_size=4).digest()) >> 1


class Columns:
    """Reads a file that `ColumnsWriter` made."""

    def __init__(self, path: Path, meanings: dict[str, list[str]]) -> None:
        """Raises `ValueError` when it is not such a file."""
        self._facts: NDArray[np.int32] = np.load(path, mmap_mode="r", allow_pickle=False)
        if self._facts.dtype != np.int32 or self._facts.shape[0] != len(_COLUMNS):
            raise ValueError(f"{path}: not a file of columns")
        self.meanings = meanings
        """What codes mean, by column."""

    def fact(self, column: str) -> NDArray[np.int32]:
        """One fact of all rows."""
        facts: NDArray[np.int32] = self._facts[_COLUMNS.index(column)]
        return facts

    def passing(self, where: Filters, rows: slice) -> NDArray[np.bool_] | None:
        """Which of these rows pass, by all but the task; None for all of them."""
        masks: list[NDArray[np.bool_]] = []
        if where.license is not None:
            masks.append(self._judged("license", rows, where.licensed))
        if where.language is not None:
            masks.append(self._judged("languages", rows, lambda codes: where.speaks(codes.split())))
        if where.tag is not None:
            masks.append(self._judged("tag", rows, where.tag.__eq__))
        if where.max_parameters is not None:
            known = self.fact("kilo_parameters")[rows]
            masks.append((known != UNKNOWN) & (known <= where.max_parameters // 1000))
        return np.logical_and.reduce(masks) if masks else None

    def _judged(self, column: str, rows: slice, judge: Callable[[str], bool]) -> NDArray[np.bool_]:
        """What a judge says of these rows, by what their codes in a column mean."""
        verdicts = np.array([judge(meaning) for meaning in self.meanings[column]], np.bool_)
        return verdicts[self.fact(column)[rows]]
