"""A runtime is a way to run models: its protocol, and the table of all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.encoder import Encoder
from hugginggpt.tools.values import Inputs, Outputs

# Every runtime, in order of preference: its name, and the class to make with RuntimeSettings.
RUNTIMES: dict[str, str] = {
    "builtin": "hugginggpt.tools.builtin:Builtin",
    "chat": "hugginggpt.tools.chat:Chat",
    "endpoints": "hugginggpt.tools.endpoints:Endpoints",
    "providers": "hugginggpt.tools.providers:Providers",
    "local": "hugginggpt.tools.local:Local",
    "spaces": "hugginggpt.tools.spaces:Spaces",
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
class Endpoint:
    """A server that runs a model, as this process is told of it."""

    url: str
    model: str = ""
    """The model's id; empty where the server is for any model of the task."""
    task: str = ""
    """The task that it does; empty where the card of the model says it."""
    token: str = field(default="", repr=False)
    """What the server wants to see as `Authorization: Bearer`; empty for nothing."""
    speaks: Literal["", "openai", "tgi", "tei", "inference"] = ""
    """Its protocol; empty to find out."""


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    """What runtimes are handed when they are made.

    `encoder` loads the process's encoder; it blocks. `tell` writes an event of the run's stream: its type,
    and facts by name. `memory` is what models on this machine may take, in bytes; None: a part of what is
    free. `max_download` is the largest model that is downloaded, in bytes; 0: none is. `bill_to` is the
    organisation on the Hub that pays for Inference Providers; empty for the account of the token.
    `spaces` names Gradio Spaces, as JSON; see `spaces.read_settings`.
    """

    encoder: Callable[[], Encoder]
    tell: Callable[..., None] = _nobody_listens
    memory: int | None = None
    max_download: int = 2 * 10**9
    hf_token: str = field(default="", repr=False)
    bill_to: str = ""
    endpoints: tuple[Endpoint, ...] = ()
    spaces: str = ""


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
        """Whether it could run this model, judged by the card alone: cheap, no request sent."""

    def ready(self, card: ModelCard) -> bool:
        """Whether it could begin now, without a download. Asked of cards that it can run; cheap."""

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
    ready: bool = True
    """Whether it can begin without downloading anything first; see `Runtime.ready`."""
    seconds: float | None = None
    """How long a call took so far, where one was seen that worked; see `Seen.seconds`."""


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
    """One of each row of `RUNTIMES`, by name, and then those of other packages. Ours load nothing heavy."""
    from hugginggpt.tools.plugins import plugins

    loaded: dict[str, Runtime] = {}
    for name, row in RUNTIMES.items():
        module, _, attribute = row.partition(":")
        loaded[name] = getattr(import_module(module), attribute)(settings)
    return {**loaded, **plugins(settings, loaded)}
