"""The command line: its parser, and the one line that a person gets when something is wrong."""

import argparse
import logging
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Never, Protocol

from hugginggpt.app import ask, doctor, index, plan, tasks
from hugginggpt.app.settings import Parser

_log = logging.getLogger(__name__)


class _Command(Protocol):
    """What a command's module has."""

    def add_parser(self, subparsers: "argparse._SubParsersAction[Parser]") -> None: ...
    def run(self, args: argparse.Namespace) -> int: ...


_COMMANDS: dict[str, _Command] = {"ask": ask, "plan": plan, "tasks": tasks, "index": index, "doctor": doctor}


def process() -> Never:
    """The `hugginggpt` program. Does not wait for threads that still work on what was stopped."""
    # Read when langgraph is imported: threads are read back as the graph's own types and as no others.
    os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")
    # Its own handler writes to the terminal, between the rows of a progress bar.
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    try:
        if sys.argv[1:] and sys.argv[1] in _COMMANDS:
            _log_to_file()
        status = main()
    except KeyboardInterrupt:
        status = _told("stopped", 130)
    os._exit(status)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; its exit status: 0 well, 1 not all was done, 2 bad input, 130 stopped by Ctrl-C.

    Before there is anything to go on with, Ctrl-C is left to the caller as `KeyboardInterrupt`.
    """
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        status = _run(_parser().parse_args(argv))
        sys.stdout.flush()
    except SystemExit as end:  # argparse: --help, or a wrong argument that it has told
        status = end.code if isinstance(end.code, int) else 2
    except BrokenPipeError:  # whoever read our output has left, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except Exception as error:  # noqa: BLE001, the last place: a person gets a line
        status = _failed(error)
    sys.stderr.flush()
    return status


def _run(args: argparse.Namespace) -> int:
    if args.version:
        from importlib.metadata import version

        print(f"hugginggpt {version('hugginggpt')}")
        return 0
    if args.command is None:
        return _told(f"say what to do: hugginggpt {'|'.join(_COMMANDS)}; see hugginggpt --help", 2)
    return _COMMANDS[args.command].run(args)


def _parser() -> Parser:
    parser = Parser(
        prog="hugginggpt",
        description="Plans a request as a graph of tasks, picks models for them, runs them, and answers.",
        epilog="Exit status: 0 answered, 1 a task failed, was skipped or has no model, 2 bad input.",
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    subparsers = parser.add_subparsers(dest="command")
    for command in _COMMANDS.values():
        command.add_parser(subparsers)
    return parser


def _failed(error: Exception) -> int:
    if type(error).__module__.startswith("hugginggpt."):  # our own are one line for people
        return _told(str(error), 2)
    if isinstance(error, OSError) and error.filename:
        return _told(f"{error.filename}: {error.strerror}", 2)
    _log.error("unexpected error", exc_info=error)
    return _told(f"unexpected {type(error).__name__}: {error} (log.txt in the home folder has all of it)", 1)


def _told(message: str, status: int) -> int:
    print(f"hugginggpt: {' '.join(message.split())}", file=sys.stderr)
    return status


def _log_to_file() -> None:
    """Keeps what is logged, warnings too, off the terminal: in `log.txt` of the home folder, 2 MB in all."""
    from logging.handlers import RotatingFileHandler

    from hugginggpt.graph.context import Home

    folder = Home.from_environment().folder
    with suppress(OSError):  # the command itself says that it cannot write there
        folder.mkdir(parents=True, exist_ok=True)
    file = RotatingFileHandler(
        folder / "log.txt", maxBytes=1_000_000, backupCount=1, encoding="utf-8", delay=True
    )
    logging.basicConfig(handlers=[file], format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.captureWarnings(capture=True)
    logging.raiseExceptions = False
    threading.excepthook = lambda fault: _log.error("in a thread", exc_info=fault.exc_value)
