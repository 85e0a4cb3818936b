"""The content-addressed store of files: a local folder, `s3://…` or anything else that fsspec knows."""

import hashlib
import re
import unicodedata
import uuid
from collections.abc import Mapping
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

from hugginggpt.tools.media import (
    BadFileError,
    Limits,
    extension_of,
    inspect,
    modality,
    too_large,
    type_of_name,
)
from hugginggpt.tools.once import Once
from hugginggpt.tools.values import Artifact, Media

_ID = re.compile(r"sha256:[0-9a-f]{64}")
_NAME_LENGTH = 120  # characters
_NAME_BYTES = 240  # file systems take 255; export may add a number


class ArtifactError(OSError):
    """The store could not take or give a file. One line: which, and what to do."""


class ArtifactStore:
    """Files by the SHA-256 of their content. Every method blocks and may be called from threads."""

    def __init__(self, url: str) -> None:
        """`url`: a folder or an fsspec URL. Raises `ArtifactError` when its file system is not installed."""
        import fsspec  # type: ignore[import-untyped]

        try:
            self._fs, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise ArtifactError(f"{url}: cannot be used to keep files ({error})") from error
        self._url = url

    def put(self, data: bytes, name: str, media_type: str, meta: Mapping[str, Any]) -> Artifact:
        """Store content, once however often it comes, and give the reference to it."""
        id_ = digest(data)
        path = self._path(id_)
        try:
            if not self._fs.exists(path) or self._fs.size(path) != len(data):
                self._write(path, data)
        except OSError as error:
            raise ArtifactError(
                f"{self._url}: cannot keep {name} there ({error.strerror or error})"
            ) from error
        return Artifact(
            id=id_, name=clean_name(name), media_type=media_type, bytes=len(data), meta=dict(meta)
        )

    def add(self, data: bytes, name: str, limits: Limits) -> Artifact:
        """Look at the content and store it. Raises `BadFileError`."""
        name = clean_name(name)
        media_type, meta = inspect(data, name, limits)
        return self.put(data, name, media_type, meta)

    def add_path(self, path: Path, limits: Limits) -> Artifact:
        """Store a file of this machine. Raises `BadFileError`; a large file is refused before it is read."""
        try:
            if path.is_dir():
                raise BadFileError(f"{path}: is a folder; attach the files in it")
            if not path.exists():
                raise BadFileError(f"{path}: no such file; check the path")
            if not path.is_file():
                raise BadFileError(f"{path}: is not a regular file; attach a copy of its content")
            if (size := path.stat().st_size) > limits.max_bytes:
                raise BadFileError(too_large(str(path), size, limits))
            data = path.read_bytes()
        except OSError as error:
            raise BadFileError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
        return self.add(data, path.name, limits)

    def exists(self, id_: str) -> bool:
        """Whether there is content of that id."""
        return bool(_ID.fullmatch(id_) and self._fs.exists(self._path(id_)))

    def get(self, id_: str) -> bytes:
        """The content of that id, checked against it. Raises `ArtifactError` when missing or damaged."""
        if not _ID.fullmatch(id_):
            raise ArtifactError(f"{id_!r}: is not the id of an artifact; it is sha256: and 64 hex digits")
        try:
            data: bytes = self._fs.cat_file(self._path(id_))
        except FileNotFoundError as error:
            raise ArtifactError(f"{id_}: is not in the artifact store; attach the file again") from error
        except OSError as error:
            raise ArtifactError(f"{id_}: cannot be read ({error.strerror or error})") from error
        if digest(data) != id_:
            raise ArtifactError(f"{id_}: is damaged in the artifact store; attach the file again")
        return data

    def read(self, artifact: Artifact) -> Media:
        """The file that an artifact refers to."""
        return Media(self.get(artifact["id"]), artifact["media_type"], artifact["name"])

    def check(self, value: object, limits: Limits) -> Artifact:
        """An artifact that came from outside. Only id and name are taken from it, the rest from the content.

        Raises `BadFileError` when it is none, or when the store does not have it.
        """
        if not isinstance(value, Mapping):
            raise BadFileError(f"a file is {{'id', 'name'}}, not {str(value)[:80]!r}; upload it first")
        id_, name = value.get("id"), value.get("name")
        if not isinstance(id_, str) or not _ID.fullmatch(id_):
            raise BadFileError(
                f"a file's id is sha256: and 64 hex digits, not {str(id_)[:80]!r}; upload it first"
            )
        if not isinstance(name, str) or not name:
            raise BadFileError(f"{id_}: a file's name is text, not {str(name)[:80]!r}; name it")
        try:
            return self.add(self.get(id_), name, limits)
        except ArtifactError as error:
            raise BadFileError(str(error)) from error

    def export(self, artifact: Artifact, folder: Path) -> Path:
        """A copy in `folder` under the artifact's name, numbered where another file has that name.

        The extension is that of its media type. Raises `OSError` when the folder cannot be written.
        """
        data = self.get(artifact["id"])
        name = clean_name(artifact["name"])
        if type_of_name(name) != artifact["media_type"]:
            known = modality(type_of_name(name)) == modality(artifact["media_type"]) != "text"
            name = (PurePosixPath(name).stem if known else name) + extension_of(artifact["media_type"])
        folder.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix
            path = folder / (name if number == 1 else f"{stem}-{number}{suffix}")
            try:
                with path.open("xb") as file:
                    file.write(data)
            except FileExistsError:
                if not path.is_file() or path.read_bytes() != data:
                    continue
            return path
        raise AssertionError  # count() does not end

    def _path(self, id_: str) -> str:
        hexadecimal = id_.removeprefix("sha256:")
        return f"{self._root}/{hexadecimal[:2]}/{hexadecimal}"

    def _write(self, path: str, data: bytes) -> None:
        """On a disk under another name first: nobody ever sees half a file. Object stores do so anyway."""
        from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

        if not isinstance(self._fs, LocalFileSystem):
            self._fs.pipe_file(path, data)
            return
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        temporary = f"{path}.{uuid.uuid4().hex}"
        try:
            self._fs.pipe_file(temporary, data)
            Path(temporary).replace(path)
        finally:
            Path(temporary).unlink(missing_ok=True)


def digest(data: bytes) -> str:
    """The id of content."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def clean_name(name: str) -> str:
    """A name without folders, control characters and what file systems do not take; `file` for nothing."""
    base = PurePosixPath(name.replace("\\", "/")).name
    kept = "".join("_" if c in '<>:"|?*' else c for c in base if not unicodedata.category(c).startswith("C"))
    kept = kept.strip(". ")
    suffix = PurePosixPath(kept).suffix[:16]
    stem = kept.removesuffix(suffix)[: _NAME_LENGTH - len(suffix)]
    while len((stem + suffix).encode()) > _NAME_BYTES:
        stem = stem[:-1]
    return stem + suffix or "file"


@Once
def artifact_store(url: str) -> ArtifactStore:
    """The store at that URL: one per process."""
    return ArtifactStore(url)
