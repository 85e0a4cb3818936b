"""An index on disk: files that never change, and a manifest that names them and is switched at once.

    index/manifest.json                the index in use: its segments, files with sizes and SHA-256, encoder
    index/starter-4f1c….cards          a segment: its cards (SQLite, see catalog.py),
    index/starter-4f1c….columns        what they are filtered and ranked by (NumPy, see columns.py),
    index/starter-4f1c….vectors        their vectors (FAISS, see vectors.py)
    index/starter-4f1c….vectors.whole  the same with more digits, where there are many,
    index/starter-4f1c….words/         and their words (tantivy, see lexical.py)
    index/starter-4f1c….1.columns      the same since downloads and likes were refreshed: here once
    index/starter-4f1c….2.gone         which of its rows are void since an update: here two
    index/starter-4f1c….wishes         vectors of what people say when they want a task (NumPy, see wishes.py)
    index/starter-4f1c….table          the table of tokens that its cards were embedded by, if by one (NumPy)

A build or an update writes new files and then renames a new manifest over the old one. Whatever happens
before that moment, the old index stays whole. A reader that has it open keeps its files, removed or not.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, computed_field

from hugginggpt.index.errors import (
    CorruptIndexError,
    ForeignFolderError,
    ModelIndexError,
    NoIndexError,
    OtherEncoderError,
    OtherFormatError,
)
from hugginggpt.tools.digest import sha256_of_all, write_atomically
from hugginggpt.tools.encoder import Encoder

NAME = "manifest.json"
FORMAT: Final = 4
"""Of manifests and of what they name; indexes of another are built again."""
CARDS, COLUMNS, VECTORS, WORDS, GONE = KINDS = ("cards", "columns", "vectors", "words", "gone")
WISHES, TABLE = OWN_KINDS = ("wishes", "table")
"""Files of the whole index."""
_DIGESTS = "digests.json"


class StoredFile(BaseModel):
    """One file of an index; its name is relative to the folder."""

    model_config = ConfigDict(frozen=True)
    name: str
    bytes: int
    sha256: str


class SegmentInfo(BaseModel):
    """Models that were written together."""

    model_config = ConfigDict(frozen=True)
    name: str
    tasks: dict[str, tuple[int, int]]
    """Task to its rows, [start, stop)."""
    gone: int = 0
    """How many rows are void: removed, or written anew in a later segment."""
    refreshed: int = 0
    """How often downloads and likes were read anew; where they were, the columns' go before the cards'."""
    files: tuple[StoredFile, ...]

    @property
    def rows(self) -> int:
        """How many rows it has, void ones too."""
        return max((stop for _, stop in self.tasks.values()), default=0)

    def path(self, folder: Path, kind: str) -> Path:
        """Its file or folder of that kind."""
        version = {GONE: self.gone, COLUMNS: self.refreshed}.get(kind)
        return folder / (f"{self.name}.{version}.{kind}" if version else f"{self.name}.{kind}")


class Wishes(StoredFile):
    """Vectors of the wishes for tasks, by the index's encoder."""

    texts: str
    """Digest of the wishes."""


class IndexInfo(BaseModel):
    """What an index is made of and with."""

    model_config = ConfigDict(frozen=True)
    format: Literal[4] = FORMAT
    source: str
    """Where its models are from, see origin.py."""
    gathered: str = ""
    """The id of what was gathered for it, see gather.py: all of that is in it."""
    created: str
    encoder: str
    encoder_revision: str
    dimension: int
    tasks: dict[str, int]
    """Task to how many models it has."""
    segments: tuple[SegmentInfo, ...]
    wishes: Wishes | None = None
    table: StoredFile | None = None
    """The table that stood for the encoder when cards were embedded, see tools/encoder_static.py."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def models(self) -> int:
        """How many models it has."""
        return sum(self.tasks.values())

    @property
    def files(self) -> list[StoredFile]:
        """All of its files."""
        own = [file for file in (self.wishes, self.table) if file]
        return [*own, *(file for segment in self.segments for file in segment.files)]


def index_info(folder: Path) -> IndexInfo:
    """The manifest of the index in use. Raises `NoIndexError`, `CorruptIndexError`, `ForeignFolderError`."""
    path = folder / NAME
    try:
        written = path.read_bytes()
    except FileNotFoundError as error:
        raise NoIndexError(f"{folder}: no index here; make one with `hugginggpt index build`") from error
    except NotADirectoryError as error:
        raise NoIndexError(f"{folder}: is a file, and an index is a folder; give its folder") from error
    except OSError as error:
        raise CorruptIndexError(_corrupt(path)) from error
    try:
        return IndexInfo.model_validate_json(written)
    except ValidationError as error:
        raise _not_of_this_format(path, written) from error


def _not_of_this_format(path: Path, written: bytes) -> ModelIndexError:
    """What is wrong with a manifest: of another version of the program, of another program, or damaged."""
    try:
        stated = json.loads(written)
    except (ValueError, RecursionError):
        return CorruptIndexError(_corrupt(path))
    if not isinstance(stated, dict) or "encoder" not in stated:
        return ForeignFolderError(
            f"{path}: is not of an index but of another program; choose another folder for the index"
        )
    format_ = stated.get("format")
    if not isinstance(format_, int) or format_ == FORMAT:
        return CorruptIndexError(_corrupt(path))
    whose, do = ("an older", "") if format_ < FORMAT else ("a newer", "upgrade hugginggpt, or ")
    return OtherFormatError(
        f"{path.parent}: an index of format {format_}, by {whose} hugginggpt; this one reads {FORMAT}: "
        f"{do}build it again as it was built, with `hugginggpt index build`"
    )


def verify(folder: Path, manifest: IndexInfo, encoder: Encoder) -> None:
    """Raise `OtherEncoderError` or `CorruptIndexError` unless files and encoder are the manifest's."""
    # A revision is of one model's weights only; the id of a folder is another where its files have moved.
    if (manifest.encoder_revision, manifest.dimension) != (encoder.revision, encoder.dimension):
        raise OtherEncoderError(other_encoder(folder, manifest, f"{encoder.id} ({encoder.revision})"))
    paths = {folder / file.name: file for file in manifest.files}
    for path, file in paths.items():
        if not path.is_file() or path.stat().st_size != file.bytes:
            raise CorruptIndexError(_corrupt(path))
    try:
        digests = sha256_of_all(paths, folder / _DIGESTS)
    except OSError as error:
        raise CorruptIndexError(_corrupt(Path(error.filename or folder))) from error
    for path, digest in digests.items():
        if digest != paths[path].sha256:
            raise CorruptIndexError(_corrupt(path))


def other_encoder(folder: Path, manifest: IndexInfo, named: str) -> str:
    """The line that says which encoder an index needs."""
    return (
        f"{folder}: the index was built with the encoder {manifest.encoder} ({manifest.encoder_revision}), "
        f"not with {named}; leave the latter out and it is opened with the former, or build it again with "
        "`hugginggpt index build`"
    )


def check(folder: Path, manifest: IndexInfo) -> None:
    """Read every file and raise `CorruptIndexError` for the first that is not as it was written.

    `verify` trusts a file whose size and time of change have stayed; this finds a disk's faults too.
    """
    for file in manifest.files:
        path = folder / file.name
        try:
            with path.open("rb") as read:
                sound = hashlib.file_digest(read, "sha256").hexdigest() == file.sha256
        except OSError as error:
            raise CorruptIndexError(_corrupt(path)) from error
        if not sound:
            raise CorruptIndexError(_corrupt(path))


def store(folder: Path, written: Iterable[Path]) -> tuple[StoredFile, ...]:
    """Files, or all of a folder, that have just been written, made durable, as the manifest names them."""
    paths = [part for path in written for part in (sorted(path.iterdir()) if path.is_dir() else [path])]
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
    return tuple(
        StoredFile(name=path.relative_to(folder).as_posix(), bytes=path.stat().st_size, sha256=digest)
        for path, digest in sha256_of_all(paths, folder / _DIGESTS).items()
    )


def store_array(folder: Path, name: str, array: NDArray[np.float32]) -> StoredFile:
    """Write an array to a file of that name, as the manifest names it."""
    path = folder / name
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
    (stored,) = store(folder, [path])
    return stored


def read_array(folder: Path, file: StoredFile) -> NDArray[np.float32]:
    """What `store_array` wrote; verified before. Raises `CorruptIndexError`."""
    try:
        return np.asarray(np.load(folder / file.name, allow_pickle=False), np.float32)
    except (OSError, ValueError) as error:
        raise CorruptIndexError(_corrupt(folder / file.name)) from error


def switch(folder: Path, manifest: IndexInfo) -> None:
    """Make this the index in use: one rename."""
    write_atomically(folder / NAME, manifest.model_dump_json(indent=1))


@contextmanager
def tidy(folder: Path) -> Iterator[None]:
    """Around a build, which holds the lock: removes what it, or a build that was killed, left unused."""
    try:
        yield
    finally:
        try:
            used = {file.name.partition("/")[0] for file in index_info(folder).files}
        except NoIndexError:
            used = set()
        except CorruptIndexError:
            used = {path.name for path in _files(folder)}
        for path in _files(folder):
            if path.name in used:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def only_starter(folder: Path) -> bool:
    """Whether nothing but a starter index is lost when the folder's index is built anew."""
    return all(path.name.startswith("starter-") for path in _files(folder))


def _files(folder: Path) -> list[Path]:
    return [path for kind in (*KINDS, *OWN_KINDS) for path in folder.glob(f"*.{kind}*")]


def _corrupt(path: Path) -> str:
    return f"{path}: missing or damaged; build the index again with `hugginggpt index build`"
