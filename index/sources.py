"""Where rows of models come from, page by page: files, here and on the Hub.

A row is as `rows.py` tells. Files are JSON lines (`.jsonl`, `.jsonl.gz`) or Parquet (`.parquet`): one file, a
folder or a pattern, on this machine or at `hf://datasets/OWNER/NAME`. No more than a page is in memory.
"""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import SEEK_END
from typing import IO, TYPE_CHECKING, Any, Protocol

from hugginggpt.index.errors import CardError
from hugginggpt.index.rows import COLUMNS, Row, RowError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem  # type: ignore[import-untyped]

PAGE = 1000
"""Rows of a page, at most."""

_KINDS = (".jsonl", ".jsonl.gz", ".parquet")


Rows = list[tuple[str, Row | RowError]]
"""Rows, each with where it stands; or what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, in their order."""

    rows: Rows
    cursor: str
    """Handed to `Source.pages`, it goes on behind this page."""
    share: float | None
    """How much of the source this page ends, 0 to 1; None where that is not known."""


class Source(Protocol):
    """Rows in an order that stays the same."""

    @property
    def key(self) -> str:
        """The same for the same rows: what was begun with it can be continued with it."""

    def pages(self, after: str) -> Iterator[Page]:
        """All pages behind that cursor, from the beginning for an empty one. Raises `CardError`."""


class Files:
    """The rows of a file, or of several by name."""

    def __init__(self, where: str, endpoint: str | None = None) -> None:
        """`endpoint` is the Hub's address for `hf://`, else huggingface_hub's. Raises `CardError`."""
        self.where = where
        try:
            self._files, self._names, self._sizes = _listed(where, endpoint)
        except (OSError, ValueError, ImportError) as error:
            raise CardError(f"{where}: cannot be read ({_reason(error)}); {_WANTED}") from error
        if not self._names:
            raise CardError(f"{where}: no {', '.join(_KINDS)} there; {_WANTED}")
        self.key = json.dumps([where, *zip(self._names, self._sizes, strict=True)])

    def pages(self, after: str) -> Iterator[Page]:
        """See `Source`. A cursor is the number of a file and of its last row that is read."""
        first, skipped = map(int, after.split(":")) if after else (0, 0)
        for number, name in enumerate(self._names[first:], start=first):
            read = _parquet if name.endswith(".parquet") else _lines
            before, size = sum(self._sizes[:number]), self._sizes[number]
            try:
                with self._files.open(name, "rb") as file:
                    for rows, row, share in read(file, name, skipped if number == first else 0):
                        come = (before + share * size) / max(1, sum(self._sizes))
                        yield Page(rows, f"{number}:{row}", come)
            except (OSError, EOFError, ValueError) as error:
                raise CardError(f"{name}: cannot be read ({_reason(error)}); {_WANTED}") from error


_WANTED = "give JSON lines or Parquet with a model a row"


def _listed(where: str, endpoint: str | None) -> "tuple[AbstractFileSystem, list[str], list[int]]":
    from fsspec.core import url_to_fs  # type: ignore[import-untyped]

    options: dict[str, Any] = {"endpoint": endpoint} if where.startswith("hf://") and endpoint else {}
    files, path = url_to_fs(where, **options)
    if any(letter in path for letter in "*?["):
        names = files.glob(path)
    elif files.isdir(path):
        names = [name for name in files.find(path) if name.endswith(_KINDS)]
    else:
        names = [path]
    return files, sorted(names), [files.size(name) for name in sorted(names)]


def _lines(file: IO[bytes], name: str, skipped: int) -> Iterator[tuple[Rows, int, float]]:
    """Rows, the number of the last one, and how much of the file is read."""
    size = file.seek(0, SEEK_END)
    file.seek(0)
    lines = gzip.GzipFile(fileobj=file) if name.endswith(".gz") else file
    rows: Rows = []
    number = 0
    for number, line in enumerate(lines, start=1):
        if number > skipped and line.strip():
            rows.append((f"{name}:{number}", _row(line)))
            if len(rows) == PAGE:
                yield rows, number, file.tell() / size
                rows = []
    yield rows, number, 1.0


def _row(line: bytes) -> Row | RowError:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return RowError(f"not JSON ({error})")
    return row if isinstance(row, dict) else RowError("not an object of JSON")


def _parquet(file: IO[bytes], name: str, skipped: int) -> Iterator[tuple[Rows, int, float]]:
    from pyarrow import ArrowException  # type: ignore[import-untyped]
    from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]

    try:
        table = ParquetFile(file)
        columns = [column for column in table.schema_arrow.names if column in COLUMNS]
        groups, number = _behind(
            [table.metadata.row_group(n).num_rows for n in range(table.num_row_groups)], skipped
        )
        for batch in table.iter_batches(PAGE, groups, columns):
            rows: Rows = [(f"{name}:{n}", row) for n, row in enumerate(batch.to_pylist(), start=number + 1)]
            seen = max(0, skipped - number)
            number += len(rows)
            yield rows[seen:], number, number / table.metadata.num_rows
    except ArrowException as error:
        raise ValueError(str(error)) from error


def _behind(sizes: list[int], skipped: int) -> tuple[list[int], int]:
    """The row groups that are not skipped as a whole, and how many rows are before them."""
    first, before = 0, 0
    while first < len(sizes) and before + sizes[first] <= skipped:
        before += sizes[first]
        first += 1
    return list(range(first, len(sizes))), before


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
