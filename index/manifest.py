"""An index on disk: files that never change, and a manifest that names them and is switched at once.

    index/manifest.json            the index in use: its files with sizes and SHA-256, its encoder
    index/starter-4f1c….cards      SQLite, see catalog.py
    index/starter-4f1c….vectors    FAISS, see vectors.py

A build writes new files and then renames a new manifest over the old one. Whatever happens before that
moment, the old index stays whole.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from hugginggpt.index.errors import CorruptIndexError, NoIndexError, OtherEncoderError
from hugginggpt.tools.digest import sha256_of, write_atomically
from hugginggpt.tools.encoder import Encoder

NAME = "manifest.json"
CARDS, VECTORS = "cards", "vectors"
_DIGESTS = "digests.json"


class StoredFile(BaseModel):
    """One file of an index."""

    model_config = ConfigDict(frozen=True)
    name: str
    bytes: int
    sha256: str


class IndexInfo(BaseModel):
    """What an index is made of and with."""

    model_config = ConfigDict(frozen=True)
    format: Literal[1] = 1
    source: str
    """`starter` and the digest of the starter file, else `custom`."""
    created: str
    encoder: str
    encoder_revision: str
    dimension: int
    models: int
    tasks: dict[str, tuple[int, int]]
    """Task to its rows, [start, stop)."""
    files: dict[str, StoredFile]


def index_info(folder: Path) -> IndexInfo:
    """The manifest of the index in use. Raises `NoIndexError` or `CorruptIndexError`."""
    path = folder / NAME
    try:
        return IndexInfo.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise NoIndexError(f"{folder}: no index here; make one with `hugginggpt index build`") from error
    except (ValidationError, OSError) as error:
        raise CorruptIndexError(_corrupt(path)) from error


def verify(folder: Path, manifest: IndexInfo, encoder: Encoder) -> None:
    """Raise `OtherEncoderError` or `CorruptIndexError` unless files and encoder are the manifest's."""
    built_with = (manifest.encoder, manifest.encoder_revision, manifest.dimension)
    if built_with != (encoder.id, encoder.revision, encoder.dimension):
        raise OtherEncoderError(
            f"{folder}: the index was built with the encoder {manifest.encoder} "
            f"({manifest.encoder_revision}), not with {encoder.id} ({encoder.revision}); "
            "set HUGGINGGPT_ENCODER to the former, or build the index again with `hugginggpt index build`"
        )
    for file in manifest.files.values():
        path = folder / file.name
        try:
            sound = sha256_of(path, folder / _DIGESTS) == file.sha256
        except OSError as error:
            raise CorruptIndexError(_corrupt(path)) from error
        if not sound:
            raise CorruptIndexError(_corrupt(path))


def store(folder: Path, name: str) -> StoredFile:
    """A file that has just been written, made durable, as the manifest names it."""
    path = folder / name
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return StoredFile(name=name, bytes=path.stat().st_size, sha256=sha256_of(path, folder / _DIGESTS))


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
            used = {file.name for file in index_info(folder).files.values()}
        except NoIndexError:
            used = set()
        except CorruptIndexError:
            used = {path.name for path in _files(folder)}
        for path in _files(folder):
            if path.name not in used:
                path.unlink(missing_ok=True)


def only_starter(folder: Path) -> bool:
    """Whether nothing but a starter index is lost when the folder's index is built anew."""
    return all(path.name.startswith("starter-") for path in _files(folder))


def _files(folder: Path) -> list[Path]:
    return [path for kind in (CARDS, VECTORS) for path in folder.glob(f"*.{kind}*")]


def _corrupt(path: Path) -> str:
    return f"{path}: missing or damaged; build the index again with `hugginggpt index build`"
