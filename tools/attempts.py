"""Works through a shortlist: one attempt after the other, until a model gives what is asked for."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import tenacity

from hugginggpt.tools.breaker import Circuits
from hugginggpt.tools.runtime import Candidate, PermanentError, RunError, Runtime, TransientError
from hugginggpt.tools.seen import Seen
from hugginggpt.tools.values import Attempt, Error, Inputs, Outputs

_log = logging.getLogger(__name__)

_UNSEEN, _DOWNLOAD = 5.0, 60.0
"""Seconds that a model is taken to need of which nothing was seen, and one that has to be downloaded."""
_BLIP = 0.5
"""Seconds that are always waited for a server that asks for them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one attempt may take and how long all of them, in seconds; how often a model is tried."""

    timeout: float = 120.0
    max_attempts: int = 3
    deadline: float = 600.0


@dataclass(slots=True)
class Run:
    """What came of working through a shortlist: outputs of one candidate, or the last error."""

    attempts: list[Attempt] = field(default_factory=list)
    candidate: Candidate | None = None
    outputs: Outputs | None = None
    error: Error | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked of the models of a shortlist.

    `accept` turns a model's outputs into what is kept, or raises `PermanentError`; what else it raises is
    no model's fault and ends the call. `report` is told of every attempt.
    """

    task: str
    inputs: Inputs
    runtimes: Mapping[str, Runtime]
    limits: Limits
    accept: Callable[[Outputs], Awaitable[Outputs]]
    report: Callable[[Attempt], None]
    circuits: Circuits
    seen: Seen


async def run_shortlist(candidates: Sequence[Candidate], call: Call) -> Run:
    """Try one candidate after the other, until the deadline. Never raises for what a model does.

    A transient fault is tried again, after what the server asked for or an exponential wait with full
    jitter (0.5 s doubling up to 30 s). A permanent one, an attempt that runs out of time or a rejected output
    goes on to the next candidate at once. So does a server that asks for a longer pause than the next
    candidate takes: as long as it took so far, 5 s where nothing was seen of it, 60 s where it has to be
    downloaded, which has until the deadline. A candidate whose circuit is open is passed over, which is an
    attempt with that error. Where nothing else is left, the one that is free first of those that were passed
    over or asked for a pause is tried after all, when its pause is over.
    """
    work = _Work(call, time.monotonic() + call.limits.deadline)
    for number, candidate in enumerate(candidates):
        if work.left <= 0:
            return work.out_of_time()
        if not call.circuits.admit(candidate):
            work.pass_over(candidate)
        elif await work.done(candidate, work.patience(candidates[number + 1 :])):
            return work.run
    last = min(work.later, key=call.circuits.left, default=None)
    if last and (pause := call.circuits.asked(last)) < work.left:
        await asyncio.sleep(pause)
        await work.done(last, work.left)
    return work.run


class _Work:
    """One shortlist being worked through. `later` are the candidates that were left for later."""

    def __init__(self, call: Call, ends: float) -> None:
        """`ends` is the deadline on `time.monotonic`."""
        self.run, self.later = Run(), list[Candidate]()
        self._call, self._ends = call, ends

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self._ends - time.monotonic()

    def patience(self, others: Sequence[Candidate]) -> float:
        """Seconds that a server may ask for before the next of the others is tried instead."""
        following = next((other for other in others if not self._call.circuits.left(other)), None)
        if following is None:
            return self.left
        seen = self._call.seen.seconds(following.card.id, following.runtime)
        expected = seen or (_UNSEEN if following.ready else _DOWNLOAD)
        return max(_BLIP, expected)

    def pass_over(self, candidate: Candidate) -> None:
        """Leave a candidate for later, because its circuit is open."""
        message = self._call.circuits.why(candidate)
        self._record(candidate, 0.0, message)
        self._fail(candidate, PermanentError("passed-over", message))
        self.later.append(candidate)

    def out_of_time(self) -> Run:
        """What there is at the deadline, when candidates are left that nobody tried."""
        last = f"; the last: {self.run.error['message']}" if self.run.error else ""
        message = f"no result within {self._call.limits.deadline:g} s of attempts{last}"
        self.run.error = Error(kind="deadline", message=message)
        return self.run

    async def done(self, candidate: Candidate, patience: float) -> bool:
        """Whether the candidate gave what is asked for; transient faults are tried again."""

        def enough(state: tenacity.RetryCallState) -> bool:
            tries, pause = state.attempt_number, state.upcoming_sleep
            impatient = _asked(state) is not None and pause > patience
            return tries >= self._call.limits.max_attempts or pause > self.left or impatient

        tried = len(self.run.attempts)
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(TransientError),
            stop=enough,
            wait=_wait,
            reraise=True,
        )
        try:
            self.run.outputs = await retrying(self._attempt, candidate)
        except RunError as error:
            self._fail(candidate, error)
            if isinstance(error, TransientError) and error.retry_after is not None:
                self._call.circuits.pause(candidate, error.retry_after)
                if len(self.run.attempts) - tried < self._call.limits.max_attempts:
                    self.later.append(candidate)
            return False
        self.run.candidate, self.run.error = candidate, None
        return True

    async def _attempt(self, candidate: Candidate) -> Outputs:
        """One try of one model, timed and reported."""
        call, started = self._call, time.monotonic()

        def note(error: RunError | None) -> None:
            seconds = round(time.monotonic() - started, 4)
            call.circuits.note(candidate, error)
            call.seen.note(candidate.card.id, candidate.runtime, seconds, error)
            self._record(candidate, seconds, error.message if error else None)

        try:
            outputs = await call.accept(await _outputs(candidate, call, self.left))
        except RunError as error:
            note(error)
            raise
        note(None)
        return outputs

    def _record(self, candidate: Candidate, seconds: float, error: str | None) -> None:
        attempt = Attempt(model=candidate.card.id, runtime=candidate.runtime, seconds=seconds, error=error)
        self.run.attempts.append(attempt)
        self._call.report(attempt)

    def _fail(self, candidate: Candidate, error: RunError) -> None:
        self.run.error = Error(kind=error.kind, message=f"{candidate.card.id}: {error.message}")


async def _outputs(candidate: Candidate, call: Call, left: float) -> Outputs:
    """What the model gives in its time, or in what is left. Raises `RunError` for whatever goes wrong."""
    most = call.limits.timeout if candidate.ready else left
    try:
        async with asyncio.timeout(min(most, left)) as limit:
            return await call.runtimes[candidate.runtime].run(candidate.card, call.task, call.inputs)
    except RunError:
        raise
    except TimeoutError as error:
        if not limit.expired():
            raise TransientError("timeout", "did not answer in time") from error
        if left <= most:
            raise PermanentError("deadline", f"no result before the task's deadline, {left:.3g} s") from error
        # the same again would take as long
        raise PermanentError("timeout", f"no result within {most:g} s") from error
    except Exception as error:
        _log.warning("%s on %s failed", candidate.card.id, candidate.runtime, exc_info=error)
        raise PermanentError("error", f"{type(error).__name__}: {error}") from error


def _asked(state: tenacity.RetryCallState) -> float | None:
    error = state.outcome.exception() if state.outcome else None
    return error.retry_after if isinstance(error, TransientError) else None


def _wait(state: tenacity.RetryCallState) -> float:
    asked = _asked(state)
    return float(tenacity.wait_random_exponential(multiplier=0.5, max=30)(state)) if asked is None else asked
