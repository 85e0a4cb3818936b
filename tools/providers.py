"""The runtime of Hugging Face's Inference Providers: models that others serve, behind one router.

Requests, with the files of a task, go to the router alone, with `HF_TOKEN`. Which providers serve a model is
the Hub's `inferenceProviderMapping`, asked for when a model is first run and then remembered for a while.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.faults import run_error, status
from hugginggpt.tools.inference import at_provider, at_url
from hugginggpt.tools.methods import Call, methods_for
from hugginggpt.tools.outgoing import Reach, origin
from hugginggpt.tools.remembered import Remembered
from hugginggpt.tools.runtime import Availability, PermanentError, RunError, RuntimeSettings
from hugginggpt.tools.values import Inputs, Outputs

if TYPE_CHECKING:
    from huggingface_hub.hf_api import InferenceProviderMapping

POLICIES = ("cheapest", "fastest")
_KEPT = 600.0  # seconds that the Hub's answer on who serves a model is believed
_REST = 60.0  # seconds that another provider of the same model is preferred to one that failed
_OWN = "hf-inference"
# Models of both kinds are served for both by Hugging Face itself, at a path of their own.
_EMBEDDING = frozenset({"sentence-similarity", "feature-extraction"})


class Providers:
    """Models of the Hub that Inference Providers serve, as a runtime."""

    name = "providers"

    def __init__(
        self,
        settings: RuntimeSettings,
        provider: str = "auto",
        served: "Remembered[tuple[InferenceProviderMapping, ...]] | None" = None,
        failed: dict[tuple[str, str], float] | None = None,
    ) -> None:
        """`provider`: `auto`, the name of one, `cheapest` or `fastest`; see `Context.provider`."""
        self._settings, self._provider = settings, provider
        self._served = served or Remembered(self._ask_hub, _KEPT)
        self._failed = {} if failed is None else failed

    def on(self, provider: str) -> "Providers":
        """The same for a run with this choice of provider."""
        return Providers(self._settings, provider, self._served, self._failed)

    def available(self) -> Availability:
        """Whether there is an account, and nothing forbids to use it."""
        token = self._settings.hf_token
        if not token:
            return _no("no account: set HF_TOKEN; get one at hf.co/settings/tokens")
        if not token.startswith("hf_"):  # the client would send another's to the provider itself
            return _no("HF_TOKEN is not a token of Hugging Face: it begins with hf_")
        if not self._any and self._provider not in _providers():
            return _no(f"there is no provider {self._provider!r}; there are {', '.join(_providers())}")
        if _offline():
            return _no("HF_HUB_OFFLINE is set: unset it")
        return Availability(ok=True)

    def cards(self, task: str) -> Sequence[ModelCard]:  # noqa: ARG002 - the protocol's
        """None: the index lists them."""
        return ()

    def can_run(self, card: ModelCard) -> bool:
        """Whether a provider serves the model, as far as is known; where nothing is known, it may."""
        if not card.on_hub or not methods_for(card.task):
            return False
        served = self._served.known(card.id)
        if served is not None:
            return self._choice(served, card.task) is not None
        named = _providers() if card.providers is None else card.providers
        return any(self._takes(provider) and _does(provider, card.task) for provider in named)

    def ready(self, card: ModelCard) -> bool:  # noqa: ARG002 - the protocol's
        """Always: nothing is downloaded."""
        return True

    async def run(self, card: ModelCard, task: str, inputs: Inputs) -> Outputs:
        """Ask a provider once."""
        served = await asyncio.to_thread(self._served.of, card.id)
        choice = self._choice(served, task)
        if choice is None:
            who = "no Inference Provider" if self._any else self._provider
            raise PermanentError("not-served", f"{who} serves it for {task} now")
        try:
            return await self._ask(choice, card, task, inputs)
        except RunError:
            self._failed[card.id, choice.provider] = time.monotonic()
            raise

    async def _ask(
        self, choice: "InferenceProviderMapping", card: ModelCard, task: str, inputs: Inputs
    ) -> Outputs:
        router, token = _router(), self._settings.hf_token
        reach = Reach({origin(router): token})
        call = Call(card, inputs, f"{card.id}{self._suffix}")
        bill = {"X-HF-Bill-To": self._settings.bill_to} if self._settings.bill_to else {}
        method = _method(choice, task)
        if method == "conversational":
            return await at_url(f"{router}/v1", method, call, reach, bill)
        if choice.provider == _OWN:
            path = f"/pipeline/{task}" if task in _EMBEDDING else ""
            return await at_url(f"{router}/{_OWN}/models/{card.id}{path}", method, call, reach, bill)
        return await at_provider(choice, call, token, self._settings.bill_to, reach)

    @property
    def _any(self) -> bool:
        return self._provider in {"auto", *POLICIES}

    @property
    def _suffix(self) -> str:
        """What the router is told after a chat model's name: a provider, or how to find one."""
        return "" if self._provider == "auto" else f":{self._provider}"

    def _takes(self, provider: str) -> bool:
        return self._any or provider == self._provider

    def _choice(
        self, served: "Sequence[InferenceProviderMapping]", task: str
    ) -> "InferenceProviderMapping | None":
        """The first in the account's own order; after the others one that failed, here or its last check."""

        def worse(each: "InferenceProviderMapping") -> bool:
            failed = self._failed.get((each.hf_model_id, each.provider), -_REST)
            return each.status == "error" or time.monotonic() - failed < _REST

        fitting = [each for each in served if self._takes(each.provider) and _method(each, task)]
        return min(fitting, key=worse, default=None)

    def _ask_hub(self, model: str) -> "tuple[InferenceProviderMapping, ...]":
        """Who serves a model; nobody where the Hub does not know it. Blocks."""
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HFValidationError

        try:
            info = HfApi(token=self._settings.hf_token).model_info(
                model, expand=["inferenceProviderMapping"], timeout=10
            )
        except HFValidationError:  # no id that the Hub could have
            return ()
        except Exception as error:
            if status(error) in {401, 403, 404}:  # the Hub says so of private and gated models too
                return ()
            raise run_error(error) from error
        return tuple(info.inference_provider_mapping or ())


def _no(reason: str) -> Availability:
    return Availability(ok=False, reason=reason)


def _offline() -> bool:
    from huggingface_hub import constants

    return constants.is_offline_mode()


def _router() -> str:
    """`https://router.huggingface.co`, as huggingface_hub has it."""
    from huggingface_hub import constants

    return constants.INFERENCE_PROXY_TEMPLATE.partition("/{provider}")[0]


@cache
def _providers() -> Mapping[str, frozenset[str]]:
    """huggingface_hub's own table: the names of the providers, to what each does."""
    from huggingface_hub.inference._providers import PROVIDERS

    return {name: frozenset(tasks) for name, tasks in PROVIDERS.items()}


def _does(provider: str, task: str) -> bool:
    """Whether a provider does a task. The router knows more providers of chat than huggingface_hub does."""
    tasks = _providers().get(provider, frozenset({"conversational"}))
    return any(method in tasks for method in methods_for(task))


def _method(served: "InferenceProviderMapping", task: str) -> str:
    """The method by which a model that is served can do a task of ours; empty for none."""
    if served.provider == _OWN and {served.task, task} <= _EMBEDDING:
        return task
    can = served.task == "conversational" or served.task in _providers().get(served.provider, ())
    return served.task if can and served.task in methods_for(task) else ""
