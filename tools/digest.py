"""SHA-256 of large files, remembered, so that a file is read once and not at every start."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path


def sha256_of(path: Path, memory: Path) -> str:
    """The file's SHA-256, 64 hex digits. Raises `OSError` where it cannot be read.

    `memory` is a JSON file of digests. What it holds is trusted while the file's size and time of
    change stay as they were.
    """
    return sha256_of_all([path], memory)[path]


def sha256_of_all(paths: Iterable[Path], memory: Path) -> dict[Path, str]:
    """The same of several files, for one reading and one writing of the memory."""
    remembered = _read(memory)
    digests, learned = {}, {}
    for path in paths:
        name = str(path.resolve())
        status = path.stat()
        stamp = [status.st_size, status.st_mtime_ns]
        known = remembered.get(name)
        if known and known[:2] == stamp:
            digests[path] = str(known[2])
            continue
        with path.open("rb") as file:
            digests[path] = hashlib.file_digest(file, "sha256").hexdigest()
        learned[name] = [*stamp, digests[path]]
    # A memory that cannot be written (a read-only home) costs the hashing again, nothing else.
    if learned:
        with contextlib.suppress(OSError):
            still_there = {name: entry for name, entry in remembered.items() if Path(name).exists()}
            write_atomically(memory, json.dumps(still_there | learned))
    return digests


def _read(memory: Path) -> dict[str, list[int | str]]:
    try:
        remembered = json.loads(memory.read_text())
    except (OSError, ValueError):
        return {}
    return remembered if isinstance(remembered, dict) else {}


def write_atomically(path: Path, text: str) -> None:
    """Write a small file so that a reader, or a crash, sees the old or the new one and nothing between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
