"""A circuit breaker per model and runtime: what is down is left alone for a while."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from hugginggpt.tools.runtime import Candidate, RunError, TransientError

FAULTS = 5
"""Faults in a row, each of which says "it is down", that open a circuit."""
COOL_DOWN, LONGEST = 30.0, 600.0
"""Seconds that an open circuit stays open: at first, and at most, as it doubles with every trial."""
DOWN = frozenset({"timeout", "connection", "busy", "account", "gated", "gone", "missing", "memory"})
"""Kinds of permanent faults that would come with any input. Transient ones all say "it is down"."""


@dataclass(slots=True)
class _Circuit:
    """`until` is when it lets something through again, on the clock; 0 while it is closed."""

    faults: int = 0
    message: str = ""
    cool_down: float = COOL_DOWN
    until: float = 0.0


class Circuits:
    """Which models are left alone, and for how long. One per process; safe for threads and event loops.

    `FAULTS` faults in a row open a circuit. After its cool-down it is half-open: one attempt is let through,
    and the others wait for another cool-down, twice as long, unless that attempt closes it. Whatever the
    model itself answers closes it, a result as well as a complaint about the input.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._circuits: dict[tuple[str, str], _Circuit] = {}
        self._lock = Lock()

    def admit(self, candidate: Candidate) -> bool:
        """Whether to try it now. Where its circuit is half-open, True makes the caller its one trial."""
        with self._lock:
            circuit, now = self._circuits.get(_key(candidate)), self._clock()
            if circuit is None or circuit.until == 0.0:
                return True
            if circuit.until > now:
                return False
            circuit.until = 0.0
            if circuit.faults >= FAULTS:
                circuit.cool_down = min(2 * circuit.cool_down, LONGEST)
                circuit.until = now + circuit.cool_down
            return True

    def note(self, candidate: Candidate, error: RunError | None) -> None:
        """What came of an attempt."""
        with self._lock:
            if error is None or not (isinstance(error, TransientError) or error.kind in DOWN):
                self._circuits.pop(_key(candidate), None)
                return
            circuit = self._circuits.setdefault(_key(candidate), _Circuit())
            circuit.faults += 1
            circuit.message = error.message
            if circuit.faults >= FAULTS:
                circuit.until = max(circuit.until, self._clock() + circuit.cool_down)

    def pause(self, candidate: Candidate, seconds: float) -> None:
        """Leave it alone for as long as its server asked for."""
        with self._lock:
            circuit = self._circuits.setdefault(_key(candidate), _Circuit())
            circuit.until = max(circuit.until, self._clock() + seconds)

    def left(self, candidate: Candidate) -> float:
        """Seconds until it is tried again; 0 where nothing keeps it."""
        with self._lock:
            circuit = self._circuits.get(_key(candidate))
            return max(0.0, circuit.until - self._clock()) if circuit else 0.0

    def asked(self, candidate: Candidate) -> float:
        """Seconds that are left of a pause that its server asked for; 0 where it was not asked for."""
        with self._lock:
            circuit = self._circuits.get(_key(candidate))
            open_ = circuit is None or circuit.faults >= FAULTS
        return 0.0 if open_ else self.left(candidate)

    def why(self, candidate: Candidate) -> str:
        """One line: why it is left alone."""
        with self._lock:
            circuit = self._circuits.get(_key(candidate), _Circuit())
            seconds = max(0.0, circuit.until - self._clock())
            if circuit.faults < FAULTS:
                return f"passed over: it asked for a pause, {seconds:.0f} s of which are left"
            last = f"{circuit.faults} faults in a row, the last: {circuit.message}"
            return f"passed over for another {seconds:.0f} s: {last}"


def _key(candidate: Candidate) -> tuple[str, str]:
    return candidate.card.id, candidate.runtime
