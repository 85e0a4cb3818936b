"""The progress of a build, with rate and time left: a bar on a terminal, a line a minute elsewhere.

What the index has to say meanwhile, like that it waits for another build, is a line of its own.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from hugginggpt.index.refresh import Watch


_log = logging.getLogger("hugginggpt.index")

_EVERY = 60.0  # seconds between lines


class _Bar:
    """One row that shows one step after the other."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._row = progress.add_task("starting", total=None, count="")
        self._step, self._first, self._began = "", 0, 0.0
        self._told = time.monotonic()

    def show(self, step: str, done: int, share: float | None) -> None:
        """So many are done of the step, which is this share of them, 0 to 1, where that is known."""
        if step != self._step:
            self._step, self._first, self._began = step, done, time.monotonic()
            self._progress.reset(self._row, description=step, total=None if share is None else 1.0)
        now = time.monotonic()
        rate = (done - self._first) / max(0.1, now - self._began)
        count = f"{done:,}, {rate:,.0f}/s"
        self._progress.update(self._row, completed=share or 0.0, count=count)
        if self._progress.disable and now - self._told >= _EVERY:
            self._told = now
            self._progress.console.print(f"{step} {count}{self._ahead(share)}", highlight=False)

    def _ahead(self, share: float | None) -> str:
        left = self._progress.tasks[0].time_remaining
        done = "" if share is None else f", {share:.0%}"
        return done if left is None else f"{done}, {timedelta(seconds=round(left))} left"


class _Lines(logging.Handler):
    """Prints what is logged."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(
            f"hugginggpt: {record.getMessage()}", markup=False, highlight=False, soft_wrap=True
        )


@contextmanager
def watched() -> "Iterator[Watch]":
    """Shows what is gathered and embedded meanwhile."""
    from hugginggpt.index.refresh import Watch

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[count]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar, lines = _Bar(progress), _Lines(progress.console)
        _log.addHandler(lines)
        try:
            yield Watch(
                lambda done, share: bar.show("gathering", done, share),
                lambda done, total: bar.show("embedding", done, done / max(1, total)),
                lambda done, share: bar.show("downloads and likes", done, share),
            )
        finally:
            _log.removeHandler(lines)
