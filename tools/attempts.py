"""Works through a shortlist: one attempt after the other, until a model gives what is asked for."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import tenacity

from hugginggpt.tools.runtime import Candidate, PermanentError, RunError, Runtime, TransientError
from hugginggpt.tools.values import Attempt, Error, Inputs, Outputs

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one attempt may take, in seconds, and how often a model is tried on transient faults."""

    timeout: float = 120.0
    max_attempts: int = 3


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


async def run_shortlist(candidates: Sequence[Candidate], call: Call) -> Run:
    """Try one candidate after the other.

    A transient fault is tried again, after what the server asked for or an exponential wait with full
    jitter (0.5 s doubling up to 30 s); a permanent one, a time-out or a rejected output goes on to the
    next candidate at once. Never raises for what a model does.
    """
    run = Run()
    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(TransientError),
        stop=tenacity.stop_after_attempt(call.limits.max_attempts),
        wait=_wait,
        reraise=True,
    )
    for candidate in candidates:
        try:
            run.outputs = await retrying.copy()(_attempt, candidate, call, run)
        except RunError as error:
            run.error = Error(kind=error.kind, message=f"{candidate.card.id}: {error.message}")
        else:
            run.candidate, run.error = candidate, None
            break
    return run


async def _attempt(candidate: Candidate, call: Call, run: Run) -> Outputs:
    """One try of one model, timed and reported."""
    started = time.monotonic()

    def record(error: str | None) -> None:
        seconds = round(time.monotonic() - started, 4)
        model, runtime = candidate.card.id, candidate.runtime
        run.attempts.append(Attempt(model=model, runtime=runtime, seconds=seconds, error=error))
        call.report(run.attempts[-1])

    try:
        outputs = await call.accept(await _outputs(candidate, call))
    except RunError as error:
        record(error.message)
        raise
    record(None)
    return outputs


async def _outputs(candidate: Candidate, call: Call) -> Outputs:
    """What the model gives. Raises `RunError` for whatever goes wrong in it."""
    try:
        async with asyncio.timeout(call.limits.timeout):
            return await call.runtimes[candidate.runtime].run(candidate.card, call.task, call.inputs)
    except RunError:
        raise
    except TimeoutError as error:
        raise PermanentError("timeout", f"no result within {call.limits.timeout:g} s") from error
    except Exception as error:
        _log.warning("%s on %s failed", candidate.card.id, candidate.runtime, exc_info=error)
        raise PermanentError("error", f"{type(error).__name__}: {error}") from error


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, TransientError) and error.retry_after is not None:
        return error.retry_after
    return float(tenacity.wait_random_exponential(multiplier=0.5, max=30)(state))
