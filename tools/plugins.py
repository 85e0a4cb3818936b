"""Runtimes of other packages: what they register under the entry points `hugginggpt.runtimes`."""

import logging
from collections.abc import Callable, Container, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.runtime import Availability, PermanentError, Runtime, RuntimeSettings
from hugginggpt.tools.values import Inputs, Outputs

GROUP = "hugginggpt.runtimes"
_METHODS = ("available", "cards", "can_run", "ready", "run")

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


def plugins(settings: RuntimeSettings, taken: Container[str]) -> dict[str, Runtime]:
    """One runtime per entry point, by its name, in alphabetical order. Loads their modules; never raises.

    A name that is `taken`, by us or by another package, is left to whoever has it.
    """
    found: dict[str, Runtime] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        if point.name in taken or point.name in found:
            settings.tell("notice", message=f"{_who(point)} is not used: its name is taken")
            continue
        found[point.name] = Plugin(point, settings)
    return found


class Plugin:
    """A runtime of another package, held so that whatever is wrong with it breaks no run.

    The first fault is told in a notice and a log line; from then on it is not available, for that reason.
    """

    def __init__(self, point: EntryPoint, settings: RuntimeSettings) -> None:
        """Loads it: its module is imported, and what the entry point names is called with the settings."""
        self.name = point.name
        self._who, self._tell, self._fault = _who(point), settings.tell, ""
        self._runtime = self._kept(lambda: _made(point, settings), None)

    def available(self) -> Availability:
        """What it says of itself, or what is wrong with it."""
        state = self._kept(self._state, None)
        return Availability(ok=False, reason=self._fault) if state is None else state

    def cards(self, task: str) -> Sequence[ModelCard]:
        """Its own models for a task."""
        return self._kept(lambda: [ModelCard.model_validate(card) for card in self._its.cards(task)], [])

    def can_run(self, card: ModelCard) -> bool:
        """Whether it says so."""
        return self._kept(lambda: bool(self._its.can_run(card)), default=False)

    def ready(self, card: ModelCard) -> bool:
        """Whether it says so."""
        return self._kept(lambda: bool(self._its.ready(card)), default=False)

    async def run(self, card: ModelCard, task: str, inputs: Inputs) -> Outputs:
        """As it does it. What it raises is an attempt that failed, like any other."""
        return await self._its.run(card, task, inputs)

    def _state(self) -> Availability | None:
        state = self._its.available()
        if not isinstance(state, Availability):
            raise TypeError(f"available() gave {state}")
        return state

    @property
    def _its(self) -> Runtime:
        if self._runtime is None:
            raise PermanentError("missing", self._fault)
        return self._runtime

    def _kept(self, ask: Callable[[], _T], default: _T) -> _T:
        """What it answers; the default once something was wrong with it."""
        if self._fault:
            return default
        try:
            return ask()
        except (Exception, SystemExit) as error:  # noqa: BLE001, another package's code
            self._fault = f"{self._who} is broken: {type(error).__name__}: {' '.join(str(error).split())}"
            _log.warning("%s", self._fault, exc_info=error)
            self._tell("notice", message=f"{self._fault}; fix or uninstall it")
            return default


def _made(point: EntryPoint, settings: RuntimeSettings) -> Runtime:
    runtime = point.load()(settings)
    if missing := [method for method in _METHODS if not callable(getattr(runtime, method, None))]:
        raise TypeError(f"{point.value} has no {', '.join(missing)}")
    made: Runtime = runtime
    return made


def _who(point: EntryPoint) -> str:
    package = f"package {point.dist.name}" if point.dist else point.value
    return f"the runtime {point.name} of the {package}"
