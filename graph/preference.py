"""Which runtimes a run may use, and in which order of preference."""

from collections.abc import Mapping, Sequence

from hugginggpt.graph.context import Context, SettingsError
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.runtime import Availability, PermanentError, Runtime
from hugginggpt.tools.values import Inputs, Outputs


class UnknownRuntimeError(SettingsError):
    """A runtime is named that is not there."""


class LeftOut:
    """A runtime that a setting leaves out: all is known of it, and it is not available."""

    def __init__(self, runtime: Runtime, names: Sequence[str]) -> None:
        """`names` are the runtimes that may be used."""
        self.name = runtime.name
        self._runtime, self._names = runtime, names

    def available(self) -> Availability:
        """Never; the reason names the setting."""
        return Availability(ok=False, reason=f"left out by the setting runtimes={','.join(self._names)}")

    def cards(self, task: str) -> Sequence[ModelCard]:
        """Its own models, as they are."""
        return self._runtime.cards(task)

    def can_run(self, card: ModelCard) -> bool:
        """What it could run if it were not left out."""
        return self._runtime.can_run(card)

    def ready(self, card: ModelCard) -> bool:
        """What it could begin with."""
        return self._runtime.ready(card)

    async def run(self, card: ModelCard, task: str, inputs: Inputs) -> Outputs:  # noqa: ARG002 - the protocol's
        """Runs nothing, as where a run goes on whose model was chosen under another setting."""
        raise PermanentError("left-out", self.available().reason)


def preferred(runtimes: Mapping[str, Runtime], context: Context) -> dict[str, Runtime]:
    """The runtimes in the Context's order of preference, and then those that it leaves out.

    Raises `UnknownRuntimeError` for a name that is not there, `SettingsError` for one that is not allowed.
    """
    names = context.runtime_names()
    if not names:
        return {**runtimes}
    if unknown := [name for name in names if name not in runtimes]:
        line = f"runtimes={','.join(names)}: there is no {unknown[0]}; there are {', '.join(runtimes)}"
        raise UnknownRuntimeError(line)
    out = {name: LeftOut(runtime, names) for name, runtime in runtimes.items() if name not in names}
    return {**{name: runtimes[name] for name in names}, **out}
