"""What was seen of each model on each runtime: how often it worked, how long it took, why it failed last.

Kept in one SQLite file that several processes write. It is a help and not a record: what cannot be read or
written is logged and done without.
"""

import logging
import math
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from threading import Lock

from hugginggpt.tools.runtime import RunError

_log = logging.getLogger(__name__)

NOT_THE_MODELS = frozenset(
    {"bad-input", "control", "cut-off", "deadline", "empty-list", "empty-text", "no-labels", "no-speech"}
    | {"no-text", "refused", "too-long", "unreadable"}
)
"""Kinds of faults that say nothing of the model: the input was to blame, or time was up before it began."""

_FADING = 0.95  # of what was seen, with every further call: the last 20 calls or so count
_HALF_LIFE = 7 * 86_400.0  # seconds
_NEWEST = 0.2  # the least weight of the newest time in the mean of times
_WORKED, _FAILED = 4.0, 1.0  # calls that are taken as seen of every model
_BUSY = 1.0  # seconds to wait for another process that writes
_MOST_UNSAVED = 1000  # calls

_CREATE = """
CREATE TABLE IF NOT EXISTS seen (model TEXT, runtime TEXT, calls INTEGER, worked REAL, failed REAL,
log_seconds REAL, at REAL, error TEXT, failed_at REAL, PRIMARY KEY (model, runtime)) WITHOUT ROWID
"""
_READ = "SELECT * FROM seen"
_WRITE = "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of one model on one runtime.

    `calls` counts all of them. `worked` and `failed` fade: by 5 % with every further call, and by half in
    a week. `log_seconds` is the mean of the natural logarithms of the seconds that calls took that worked,
    in which the newest has a weight of 1/5, or of 1/n while there are fewer than 5. Times are Unix times.
    """

    model: str
    runtime: str
    calls: int = 0
    worked: float = 0.0
    failed: float = 0.0
    log_seconds: float = 0.0
    at: float = 0.0
    error: str = ""
    failed_at: float = 0.0

    @property
    def seconds(self) -> float | None:
        """How long a call takes that works: a geometric mean, which one slow call does not spoil."""
        return math.exp(self.log_seconds) if self.worked else None

    def faded(self, now: float) -> "Sight":
        """The same at a later time."""
        left = 0.5 ** (max(0.0, now - self.at) / _HALF_LIFE)
        return replace(self, worked=self.worked * left, failed=self.failed * left, at=max(now, self.at))

    def after(self, call: "Call") -> "Sight":
        """What is seen with one more call."""
        before = self.faded(call.at)
        worked, failed = before.worked * _FADING, before.failed * _FADING
        known = replace(before, calls=self.calls + 1, worked=worked, failed=failed)
        if call.error is not None:
            return replace(known, failed=failed + 1, error=call.error, failed_at=call.at)
        weight = max(_NEWEST, 1 / (before.worked + 1))
        seconds = math.log(max(call.seconds, 1e-3))
        mean = self.log_seconds + weight * (seconds - self.log_seconds)
        return replace(known, worked=worked + 1, log_seconds=mean)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one model; `error` says why it gave nothing."""

    model: str
    runtime: str
    seconds: float
    at: float
    error: str | None


Sights = dict[str, dict[str, Sight]]
"""By model, and then by runtime."""


class Seen:
    """All that was seen. Cheap to ask and to tell; only `save`, and making it, touch the disk.

    Safe for threads and event loops.
    """

    def __init__(self, path: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        """`path` is the file; without one, what is seen ends with the process. Blocks."""
        self._path, self._clock = path, clock
        self._lock = Lock()
        self._unsaved: deque[Call] = deque(maxlen=_MOST_UNSAVED)
        self._sights: Sights = {}
        self.save()

    def note(self, model: str, runtime: str, seconds: float, error: RunError | None) -> None:
        """One call, and what was wrong with it. Faults that are not the model's are not noted."""
        if error is not None and error.kind in NOT_THE_MODELS:
            return
        call = Call(model, runtime, seconds, self._clock(), error.message if error else None)
        with self._lock:
            self._unsaved.append(call)
            _add(self._sights, call)

    def seconds(self, model: str, runtime: str) -> float | None:
        """How long a call takes that works; None where none was seen. See `Sight.seconds`."""
        with self._lock:
            sight = self._sights.get(model, {}).get(runtime)
        return sight.seconds if sight else None

    def merit(self, model: str) -> float:
        """How well a model has done here, on all runtimes: in (-1, 1), and 0 where nothing is known.

        0.8 r + 0.2 t. With p = (worked + 4) / (worked + failed + 5), the mean of a beta distribution whose
        prior is four calls that worked and one that failed, r is (p - 0.8) / 0.2 above 0.8 and
        (p - 0.8) / 0.8 below. With s the seconds of a call, t is (1 - 2 log10 s), from 1 at 1 s to -1 at
        10 s and no further, times worked / (worked + 5). The two times are Nielsen's limits of an
        uninterrupted thought and of attention (Usability Engineering, 1993, chapter 5).
        """
        now = self._clock()
        with self._lock:
            sights = [sight.faded(now) for sight in self._sights.get(model, {}).values()]
        worked, failed = sum(s.worked for s in sights), sum(s.failed for s in sights)
        p, prior = (worked + _WORKED) / (worked + failed + _WORKED + _FAILED), _WORKED / (_WORKED + _FAILED)
        reliable = (p - prior) / (1 - prior if p > prior else prior)
        if not worked:
            return 0.8 * reliable
        log_seconds = sum(s.worked * s.log_seconds for s in sights) / worked
        quick = min(1.0, max(-1.0, 1 - 2 * log_seconds / math.log(10)))
        return 0.8 * reliable + 0.2 * quick * worked / (worked + 5)

    def failing(self) -> list[Sight]:
        """What has failed more often than not of late, the last first."""
        now = self._clock()
        with self._lock:
            sights = [sight.faded(now) for on in self._sights.values() for sight in on.values()]
        failing = [sight for sight in sights if sight.failed > max(sight.worked, 0.5)]
        return sorted(failing, key=lambda sight: -sight.failed_at)

    def save(self) -> None:
        """Write what is new, and read what other processes saw. Blocks; never raises for the file."""
        if self._path is None:
            return
        with self._lock:
            calls, self._unsaved = [*self._unsaved], deque(maxlen=_MOST_UNSAVED)
        try:
            sights = _merged(self._path, calls)
        except (OSError, sqlite3.Error) as error:
            _log.warning("%s: %s; what was seen of models is not kept for now", self._path, error)
            with self._lock:
                self._unsaved = deque([*calls, *self._unsaved], maxlen=_MOST_UNSAVED)
            return
        with self._lock:
            for call in self._unsaved:  # seen while the file was written
                _add(sights, call)
            self._sights = sights


def _add(sights: Sights, call: Call) -> Sight:
    on = sights.setdefault(call.model, {})
    on[call.runtime] = on.get(call.runtime, Sight(call.model, call.runtime)).after(call)
    return on[call.runtime]


def _merged(path: Path, calls: Sequence[Call]) -> Sights:
    """All that the file has after these calls are written to it. A file that is damaged is made anew."""
    try:
        return _transact(path, calls)
    except sqlite3.OperationalError:  # locked, read-only, full
        raise
    except sqlite3.DatabaseError:
        _log.warning("%s: is damaged and made anew", path)
        path.unlink()
        return _transact(path, calls)


def _transact(path: Path, calls: Sequence[Call]) -> Sights:
    sights: Sights = {}
    if not calls and not path.exists():
        return sights
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=_BUSY, isolation_level=None)) as file:
        if calls:
            file.execute("PRAGMA synchronous = OFF")  # a file that a power cut damages is made anew
            file.execute("BEGIN IMMEDIATE")
            file.execute(_CREATE)
        for row in file.execute(_READ):
            sights.setdefault(row[0], {})[row[1]] = Sight(*row)
        changed = {(call.model, call.runtime): _add(sights, call) for call in calls}
        file.executemany(_WRITE, map(astuple, changed.values()))
        if calls:
            file.execute("COMMIT")
    return sights
