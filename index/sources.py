"""Where rows of models come from, page by page: files, here and on the Hub.

A row is as `rows.py` tells. Files are JSON lines (`.jsonl`, `.jsonl.gz`) or Parquet (`.parquet`): one file, a
folder or a pattern, on this machine or at `hf://datasets/OWNER/NAME`. No more than a page is in memory.
Files can be read in parts, on several machines: each file is one, a large Parquet file several.
"""

import gzip
import json
from collections.abc import Iterator, Sequence
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
_PART = 16 << 20
"""Bytes of a part of a Parquet file, about: some ten thousand cards, read in some seconds."""


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


class Part(Protocol):
    """Rows in an order that stays the same."""

    def pages(self, after: str) -> Iterator[Page]:
        """All pages behind that cursor, from the beginning for an empty one. Raises `CardError`."""


class Source(Part, Protocol):
    """All rows, also in parts that are read apart from each other."""

    @property
    def key(self) -> str:
        """The same for the same rows: what was begun with it can be continued with it."""

    def parts(self) -> Sequence[Part]:
        """The same rows in the same order."""


@dataclass(frozen=True, slots=True)
class FilePart:
    """One of several parts of a file, of about equal size."""

    files: "AbstractFileSystem"
    name: str
    number: int
    of: int

    def pages(self, after: str) -> Iterator[Page]:
        """See `Part`. A cursor is the number in the file of the last row that is read."""
        read = _parquet if self.name.endswith(".parquet") else _lines
        try:
            with self.files.open(self.name, "rb") as file:
                for rows, row, share in read(file, self, int(after or 0)):
                    yield Page(rows, str(row), share)
        except (OSError, EOFError, ValueError) as error:
            raise CardError(f"{self.name}: cannot be read ({_reason(error)}); {_WANTED}") from error


class Files:
    """The rows of a file, or of several by name."""

    def __init__(self, where: str, endpoint: str | None = None) -> None:
        """`endpoint` is the Hub's address for `hf://`, else huggingface_hub's. Raises `CardError`."""
        self.where = where
        try:
            files, found = _listed(where, endpoint)
        except (OSError, ValueError, ImportError) as error:
            raise CardError(f"{where}: cannot be read ({_reason(error)}); {_WANTED}") from error
        if not found:
            raise CardError(f"{where}: no {', '.join(_KINDS)} there; {_WANTED}")
        # Of files that do not say when they were written, another size tells that they are others.
        self.key = json.dumps([where, *((name, size, str(written)) for name, size, written in found)])
        self._parts: list[FilePart] = []
        self._sizes: list[float] = []
        for name, size, _ in found:
            of = max(1, round(size / _PART)) if name.endswith(".parquet") else 1
            self._parts += [FilePart(files, name, number, of) for number in range(of)]
            self._sizes += [size / of] * of

    def pages(self, after: str) -> Iterator[Page]:
        """See `Part`. A cursor is the number of a part, and one in it."""
        first, _, behind = after.partition(":")
        for number, part in enumerate(self._parts):
            if number < int(first or 0):
                continue
            for page in part.pages(behind if str(number) == first else ""):
                come = sum(self._sizes[:number]) + (page.share or 0) * self._sizes[number]
                yield Page(page.rows, f"{number}:{page.cursor}", come / max(1, sum(self._sizes)))

    def parts(self) -> list[FilePart]:
        """See `Source`."""
        return self._parts


_WANTED = "give JSON lines or Parquet with a model a row"


def _listed(where: str, endpoint: str | None) -> "tuple[AbstractFileSystem, list[tuple[str, int, object]]]":
    """The files, each with its size in bytes and when it was written, where that is known."""
    from fsspec.core import url_to_fs  # type: ignore[import-untyped]

    options: dict[str, Any] = {"endpoint": endpoint} if where.startswith("hf://") and endpoint else {}
    files, path = url_to_fs(where, **options)
    names = [path]
    if (pattern := any(letter in path for letter in "*?[")) or files.isdir(path):
        several = files.glob(path) if pattern else files.find(path)
        names = [name for name in several if name.endswith(_KINDS)]
    told = [(name, files.info(name)) for name in sorted(names)]
    return files, [
        (name, info["size"], info.get("mtime")) for name, info in told if info["type"] != "directory"
    ]


def _lines(file: IO[bytes], part: FilePart, skipped: int) -> Iterator[tuple[Rows, int, float]]:
    """Rows, the number of the last one, and how much of the file is read."""
    size = file.seek(0, SEEK_END)
    file.seek(0)
    lines = gzip.GzipFile(fileobj=file) if part.name.endswith(".gz") else file
    rows: Rows = []
    number = 0
    for number, line in enumerate(lines, start=1):
        if number > skipped and line.strip():
            rows.append((f"{part.name}:{number}", _row(line)))
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


def _parquet(file: IO[bytes], part: FilePart, skipped: int) -> Iterator[tuple[Rows, int, float]]:
    """The same of the row groups of a part, whose row numbers are those of the file."""
    from pyarrow import ArrowException  # type: ignore[import-untyped]
    from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]

    try:
        table = ParquetFile(file)
        columns = [column for column in table.schema_arrow.names if column in COLUMNS]
        sizes = [table.metadata.row_group(n).num_rows for n in range(table.num_row_groups)]
        first, stop = (len(sizes) * n // part.of for n in (part.number, part.number + 1))
        before, end = sum(sizes[:first]), sum(sizes[:stop])
        groups, number = _behind(sizes[:stop], max(skipped, before))
        for batch in table.iter_batches(PAGE, groups, columns):
            given = enumerate(batch.to_pylist(), start=number + 1)
            rows: Rows = [(f"{part.name}:{n}", row) for n, row in given]
            seen = max(0, skipped - number)
            number += len(rows)
            yield rows[seen:], number, (number - before) / (end - before)
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
