"""The models that are loaded: as many as fit, each once. Calls that arrive together run together.

A loaded model has a thread of its own, its seat, in which all that blocks is done: downloading, loading and
running. Callers only hold futures, so they may be of any thread and any event loop, and one that gives up
takes nothing from the others.
"""

import atexit
import gc
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import WeakSet

from hugginggpt.tools.machine import check_fits
from hugginggpt.tools.runtime import PermanentError
from hugginggpt.tools.values import Inputs, Outputs

_QUIET = 0.0005  # seconds without another call after which those that came are run
_FAREWELL = 5.0  # seconds for models that run when the process ends
_PATIENCE = 10.0  # seconds that a model waits for room before one that always has calls gives way


@dataclass(frozen=True, slots=True)
class Model:
    """How a model comes to be loaded and is run. `prepare` and `run` block."""

    key: str
    """The same for the same model loaded the same way."""
    prepare: Callable[[Callable[[int, int], None]], tuple[int, Callable[[], Any]]]
    """Has the files ready, tells how far a download is; the bytes that the model takes, and what loads it."""
    run: Callable[[Any, Sequence[Inputs]], list[Outputs]]
    batch: int = 1
    """Most inputs of one `run`."""


_pools: "WeakSet[Pool]" = WeakSet()


@atexit.register
def _close() -> None:
    """Python would end under the feet of threads that are inside of a library, which can crash it."""
    for pool in [*_pools]:
        pool.close()


class _Call(NamedTuple):
    inputs: Inputs
    outputs: "Future[Outputs]"


class Pool:
    """Loaded models within a budget of memory. Safe to use from any thread and event loop."""

    def __init__(self, budget: Callable[[], int]) -> None:
        """`budget` gives the bytes that all models may take; it may block."""
        self.budget = budget
        self.lock = threading.Lock()
        self._room = threading.Condition(self.lock)
        self._seats: dict[str, _Seat] = {}
        self._held: dict[_Seat, int] = {}  # bytes, also of those that are leaving
        self._waiting: deque[tuple[_Seat, float]] = deque()  # for room, and since when
        _pools.add(self)

    def submit(self, model: Model, inputs: Inputs) -> "Future[Outputs]":
        """Have the model run on these inputs. The future raises what `prepare` and `run` raise."""
        call = _Call(inputs, Future())
        call.outputs.add_done_callback(self._given_up)
        with self.lock:
            seat = self._seats.get(model.key) or self._seated(model)
            seat.calls.append(call)
            seat.arrived.notify()
        return call.outputs

    def download(self, key: str) -> tuple[int, int] | None:
        """Bytes of the model's weights that are here, and all of them, while it is downloaded."""
        seat = self._seats.get(key)
        return seat.download if seat else None

    @property
    def held(self) -> int:
        """Bytes that the models take which are loaded now, or are being loaded."""
        with self.lock:
            return sum(self._held.values())

    def close(self) -> None:
        """Has all models leave, and waits a moment for those that run. No call may follow."""
        with self.lock:
            seats = [*self._held]
            for seat in seats:
                seat.leaving = True
                seat.arrived.notify()
        until = time.monotonic() + _FAREWELL
        for seat in seats:
            seat.join(max(until - time.monotonic(), 0.0))

    def _seated(self, model: Model) -> "_Seat":
        self._seats[model.key] = seat = _Seat(model, self)
        seat.start()
        return seat

    def _given_up(self, call: "Future[Outputs]") -> None:
        if call.cancelled():
            with self.lock:
                self._room.notify_all()

    def take_room(self, seat: "_Seat", size: int) -> None:
        """Waits until so many bytes are free, asking idle models to leave, and takes them.

        Raises `PermanentError` where they can never be, and when nobody wants the model any longer.
        """
        budget = self.budget()
        check_fits(size, budget)
        with self.lock:
            self._waiting.append((seat, time.monotonic()))
            while self._waiting[0][0] is not seat or sum(self._held.values()) + size > budget:
                if self._waiting[0][0] is seat:
                    self._ask_to_leave(size - (budget - sum(self._held.values())))
                self._room.wait()
                if all(call.outputs.cancelled() for call in seat.calls):
                    del self._seats[seat.model.key]
                    raise PermanentError("unwanted", "nobody waits for it any longer")
            self._waiting.popleft()
            self._held[seat] = size
            self._room.notify_all()

    def _ask_to_leave(self, size: int) -> None:
        """Has the idle models leave that were not used for longest, where so many bytes come of it."""
        size -= sum(held for seat, held in self._held.items() if seat.leaving)
        idle = sorted(
            (seat for seat in self._held if seat.idle and not seat.calls), key=lambda seat: seat.used
        )
        if sum(self._held[seat] for seat in idle) < size:
            return
        for seat in idle:
            if size <= 0:
                break
            size -= self._held[seat]
            self.dismiss(seat)

    def dismiss(self, seat: "_Seat") -> None:
        """Has the seat leave; the lock is held. Calls that it still has wait for the model to come again."""
        seat.leaving = True
        seat.arrived.notify()
        del self._seats[seat.model.key]
        if seat.calls:
            self._seated(seat.model).calls = seat.calls
            seat.calls = deque()

    def is_needed_elsewhere(self) -> bool:
        """Whether a model has waited so long for room that others give way; the lock is held."""
        return bool(self._waiting) and time.monotonic() - self._waiting[0][1] > _PATIENCE

    def left(self, seat: "_Seat") -> None:
        """The seat has dropped its model."""
        with self.lock:
            self._held.pop(seat, None)
            self._room.notify_all()

    def became_idle(self) -> None:
        """A seat has nothing to do; the lock is held."""
        self._room.notify_all()

    def failed(self, seat: "_Seat", error: Exception) -> None:
        """The seat's model could not be loaded: its calls fail, and the next call tries again."""
        with self.lock:
            self._waiting = deque(waits for waits in self._waiting if waits[0] is not seat)
            if self._seats.get(seat.model.key) is seat:
                del self._seats[seat.model.key]
            calls = [*seat.calls]
        self.left(seat)
        for call in calls:
            if call.outputs.set_running_or_notify_cancel():
                call.outputs.set_exception(error)


class _Seat(threading.Thread):
    """The thread of one loaded model."""

    def __init__(self, model: Model, pool: Pool) -> None:
        super().__init__(name=f"local {model.key}", daemon=True)
        self.model = model
        self.calls: deque[_Call] = deque()
        self.arrived = threading.Condition(pool.lock)
        self.idle = self.leaving = False
        self.used = 0.0  # when it was last
        self.download: tuple[int, int] | None = None
        self._pool = pool

    def run(self) -> None:
        """Loads the model, runs its calls, and goes when it is asked to leave."""
        try:
            size, load = self.model.prepare(self._tell)
            self.download = None
            self._pool.take_room(self, size)
            loaded = load()
        except Exception as error:  # noqa: BLE001, whoever called is told
            self._pool.failed(self, error)
            return
        while calls := self._next():
            self._run(loaded, calls)
        del loaded
        gc.collect()
        if torch := sys.modules.get("torch"):
            torch.cuda.empty_cache()
        self._pool.left(self)

    def _tell(self, done: int, total: int) -> None:
        self.download = (done, total)

    def _next(self) -> list[_Call]:
        """The calls to run together, waited for; none when it is to leave."""
        with self._pool.lock:
            if self.calls and self._pool.is_needed_elsewhere():
                self._pool.dismiss(self)
            while not self.calls and not self.leaving:
                self.idle, self.used = True, time.monotonic()
                self._pool.became_idle()
                self.arrived.wait()
            self.idle = False
            while 0 < len(self.calls) < self.model.batch and self.arrived.wait(_QUIET):
                pass
            return [self.calls.popleft() for _ in range(min(self.model.batch, len(self.calls)))]

    def _run(self, loaded: Any, calls: Sequence[_Call]) -> None:  # noqa: ANN401, of any library
        wanted = [call for call in calls if call.outputs.set_running_or_notify_cancel()]
        if not wanted:
            return
        try:
            given = self.model.run(loaded, [call.inputs for call in wanted])
            outputs = [*zip(wanted, given, strict=True)]
        except Exception as error:  # noqa: BLE001, whoever called is told
            self._run_alone(loaded, wanted, error)
            return
        for call, output in outputs:
            call.outputs.set_result(output)

    def _run_alone(self, loaded: Any, calls: Sequence[_Call], error: Exception) -> None:  # noqa: ANN401
        """After calls have failed together: one of them is no fault of the others."""
        if len(calls) == 1:
            calls[0].outputs.set_exception(error)
            return
        for call in calls:
            try:
                call.outputs.set_result(self.model.run(loaded, [call.inputs])[0])
            except Exception as alone:  # noqa: BLE001, whoever called is told
                call.outputs.set_exception(alone)
