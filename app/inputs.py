"""What a person hands in, checked before anything runs."""

import argparse
import sys
import tempfile
from collections.abc import Collection, Sequence
from itertools import chain, count
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hugginggpt.graph.context import Context, Home
    from hugginggpt.tools.values import Artifact


class InputError(ValueError):
    """What was handed in cannot be used; the message is one line for people."""


def add_arguments(parser: argparse.ArgumentParser, *, request: str | None = None) -> None:
    """REQUEST (not demanded where `request` is "?") and `--file`."""
    parser.add_argument(
        "request", metavar="REQUEST", nargs=request, help="what you want; - reads it from stdin"
    )
    parser.add_argument(
        "--file", metavar="PATH", type=Path, action="append", default=[], help="a file to attach; repeatable"
    )


def read_request(text: str, longest: int) -> str:
    """The request, from stdin where `text` is `-`. Raises `InputError` as `checked_request` does."""
    if text != "-":
        return checked_request(text, longest)
    data = sys.stdin.buffer.read(4 * longest + 4)  # a character has at most four bytes
    return checked_request(data.decode(errors="surrogateescape"), longest)


def checked_request(text: str, longest: int) -> str:
    """The request without space around it. Raises `InputError` if it is empty, too long or no text."""
    text = text.strip()
    if not text:
        raise InputError(
            'the request is empty; say what you want: hugginggpt ask "Read this" --file scan.png'
        )
    if len(text) > longest:
        raise InputError(
            f"the request is longer than {longest:,} characters; attach long text as a file, with --file"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:  # bytes that are no UTF-8 arrive as lone surrogates
        raise InputError("the request is not UTF-8 text; attach it as a file instead") from error
    return text


def attach(paths: Sequence[Path], settings: "Context", home: "Home") -> "list[Artifact]":
    """The files, stored, each under a name of its own. Raises `BadFileError` or `ArtifactError`."""
    from hugginggpt.tools.artifacts import artifact_store
    from hugginggpt.tools.media import Limits

    store = artifact_store(home.artifacts)
    limits = Limits(max_bytes=settings.max_file_bytes, max_pixels=settings.max_pixels)
    files: dict[str, Artifact] = {}
    for path in paths:
        file = store.add_path(path, limits)
        name = _unused(file["name"], files)
        files[name] = {**file, "name": name}
    return [*files.values()]


def _unused(name: str, used: Collection[str]) -> str:
    path = PurePath(name)
    numbered = (f"{path.stem}-{number}{path.suffix}" for number in count(2))
    return next(n for n in chain([name], numbered) if n not in used)


def check_writable(folder: Path) -> None:
    """Raises `InputError` if no file could be put there. Makes nothing: the folder may not be needed."""
    try:
        there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise InputError(
            f"{folder}: cannot write files there ({error.strerror}); name another with --out"
        ) from error
