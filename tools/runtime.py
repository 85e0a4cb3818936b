"""A runtime is a way to run models. This is its protocol, and how a shortlist is worked through."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Protocol

import tenacity
from pydantic import BaseModel, ConfigDict

from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.encoder import Encoder
from hugginggpt.tools.values import Attempt, Error, Inputs, Outputs

_log = logging.getLogger(__name__)

# Every runtime, in order of preference: its name, and the class to make with RuntimeSettings.
RUNTIMES: dict[str, str] = {
    "builtin": "hugginggpt.tools.builtin:Builtin",
    "chat": "hugginggpt.tools.chat:Chat",
}


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether a runtime can be used now; `reason` says why not and what to do, in one line."""

    ok: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.ok


def _nobody_listens(type_: str, **facts: object) -> None:
    """No event is written outside of a run."""


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    """What runtimes are handed when they are made.

    `encoder` loads the process's encoder; it blocks. `tell` writes an event of the run's stream: its type,
    and facts by name.
    """

    encoder: Callable[[], Encoder]
    tell: Callable[..., None] = _nobody_listens


class Runtime(Protocol):
    """A way to run models. Adding one is one file and one row of the table in this module."""

    @property
    def name(self) -> str:
        """Short and unique: `builtin`, `providers`, `local`."""

    def available(self) -> Availability:
        """Whether it can be used on this machine, now. Cheap: no model is loaded, no request sent."""

    def cards(self, task: str) -> Sequence[ModelCard]:
        """Models of its own that no index lists, whether or not it is available. Empty for most."""

    def can_run(self, card: ModelCard) -> bool:
        """Whether it could run this model, judged by the card alone."""

    async def run(self, card: ModelCard, task: str, inputs: Inputs) -> Outputs:
        """Run one model once.

        `inputs` hold values, never names: a runtime opens no path and no URL that it finds in them.
        Raises `TransientError` when trying again may help and `PermanentError` when it will not.
        """


class Candidate(BaseModel):
    """A model, and the runtime that would run it."""

    model_config = ConfigDict(frozen=True)

    card: ModelCard
    runtime: str
    score: float = 0.0


class RunError(Exception):
    """A model did not give a result. `kind` is a short word for programs: `timeout`, `no-speech`, …"""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class TransientError(RunError):
    """The same call may work if it is made again; `retry_after` is in seconds, where the server said so."""

    def __init__(self, kind: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(kind, message)
        self.retry_after = retry_after


class PermanentError(RunError):
    """This model will not do this; another may."""


def load_runtimes(settings: RuntimeSettings) -> dict[str, Runtime]:
    """One of each row of `RUNTIMES`, by name. Nothing heavy is imported or loaded."""
    loaded: dict[str, Runtime] = {}
    for name, row in RUNTIMES.items():
        module, _, attribute = row.partition(":")
        loaded[name] = getattr(import_module(module), attribute)(settings)
    return loaded


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


async def run_shortlist(
    candidates: Sequence[Candidate],
    runtimes: Mapping[str, Runtime],
    task: str,
    inputs: Inputs,
    *,
    limits: Limits,
    accept: Callable[[Outputs], Awaitable[Outputs]],
    report: Callable[[Attempt], None],
) -> Run:
    """Try one candidate after the other until one gives outputs that `accept` takes.

    A transient fault is tried again, after what the server asked for or an exponential wait with full
    jitter (0.5 s doubling up to 30 s); a permanent one, a time-out or a rejected output goes on to the
    next candidate at once. `report` is told of every attempt. Never raises for what a model does.
    """
    run = Run()

    async def attempt(candidate: Candidate) -> Outputs:
        started = time.monotonic()

        def record(error: str | None) -> None:
            seconds = round(time.monotonic() - started, 4)
            attempt = Attempt(
                model=candidate.card.id, runtime=candidate.runtime, seconds=seconds, error=error
            )
            run.attempts.append(attempt)
            report(attempt)

        try:
            async with asyncio.timeout(limits.timeout):
                outputs = await runtimes[candidate.runtime].run(candidate.card, task, inputs)
            outputs = await accept(outputs)
        except TimeoutError as reason:
            record(f"no result within {limits.timeout:g} s")
            raise PermanentError("timeout", f"no result within {limits.timeout:g} s") from reason
        except Exception as reason:
            record(str(reason) or type(reason).__name__)
            raise
        record(None)
        return outputs

    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(TransientError),
        stop=tenacity.stop_after_attempt(limits.max_attempts),
        wait=_wait,
        reraise=True,
    )
    for candidate in candidates:
        try:
            run.outputs = await retrying.copy()(attempt, candidate)
        except RunError as reason:
            run.error = Error(kind=reason.kind, message=f"{candidate.card.id}: {reason.message}")
        except Exception as reason:  # noqa: BLE001, a model's code may raise anything
            _log.warning("%s on %s failed", candidate.card.id, candidate.runtime, exc_info=reason)
            message = f"{candidate.card.id}: {type(reason).__name__}: {reason}"
            run.error = Error(kind="error", message=message)
        else:
            run.candidate, run.error = candidate, None
            break
    return run


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, TransientError) and error.retry_after is not None:
        return error.retry_after
    return float(tenacity.wait_random_exponential(multiplier=0.5, max=30)(state))
