"""Runs a coroutine for the command line, so that Ctrl-C stops it at once."""

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_GRACE = 1.0
"""Seconds that a stopped run gets to store what is finished."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """The coroutine's result; `KeyboardInterrupt` on Ctrl-C; a second one ends the process.

    `asyncio.run` waits at its end for every thread, and so for a model that is still at work; this does not.
    """
    loop = asyncio.new_event_loop()
    task = loop.create_task(main)
    stopped = False

    def stop() -> None:
        nonlocal stopped
        if stopped:
            os._exit(130)
        stopped = True
        task.cancel()
        loop.call_later(_GRACE, loop.stop)

    loop.add_signal_handler(signal.SIGINT, stop)
    try:
        return loop.run_until_complete(task)
    except (asyncio.CancelledError, Exception):  # whatever a stopped run ends with
        if stopped:
            raise KeyboardInterrupt from None
        raise
    finally:
        if task.done():
            loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
