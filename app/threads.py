"""The command line's threads: conversations with their results, in one SQLite file of the user's."""

import re
import secrets
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hugginggpt.app.inputs import InputError

if TYPE_CHECKING:
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    from hugginggpt.graph.context import Home

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_WORDS = [
    "acorn",
    "amber",
    "birch",
    "brook",
    "cedar",
    "cloud",
    "clover",
    "coral",
    "crane",
    "dune",
    "ember",
    "fern",
    "finch",
    "flint",
    "grove",
    "heron",
    "iris",
    "ivory",
    "lark",
    "linen",
    "maple",
    "meadow",
    "moss",
    "otter",
    "pearl",
    "pine",
    "plum",
    "quill",
    "reed",
    "robin",
    "sage",
    "slate",
    "tulip",
    "willow",
]


def thread_name(given: str | None) -> str:
    """A name that can be a thread: the given one, else a new one. Raises `InputError` on other characters."""
    if given is None:
        return f"{secrets.choice(_WORDS)}-{secrets.token_hex(3)}"
    if not _NAME.fullmatch(given):
        raise InputError(
            f"--thread {given!r}: use 1 to 64 letters, digits, dots, dashes and underscores, no sign first"
        )
    return given


@contextmanager
def held(home: "Home", name: str) -> Iterator[None]:
    """Holds the thread for this process. Raises `InputError` if another has it, or where none can be held."""
    from filelock import FileLock, Timeout

    folder = home.folder / "threads"
    lock = FileLock(folder / f"{name}.lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"thread {name} is busy in another process; wait for it or name another with --thread"
        ) from error
    except OSError as error:
        raise InputError(
            f"{home.folder}: cannot be used ({error.strerror}); set HUGGINGGPT_HOME to a folder you can write"
        ) from error
    try:
        yield
    finally:
        lock.release()


@asynccontextmanager
async def saver(path: Path) -> "AsyncIterator[AsyncSqliteSaver]":
    """Where LangGraph keeps the threads' checkpoints. Raises `InputError` if the file cannot be used."""
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    try:
        async with AsyncSqliteSaver.from_conn_string(str(path)) as sqlite:
            await sqlite.setup()
            yield sqlite
    except sqlite3.OperationalError as error:
        raise InputError(f"{path}: {error}; close what else uses it, or free space") from error
    except sqlite3.DatabaseError as error:
        raise InputError(f"{path}: {error}; move it away to start with no threads") from error
