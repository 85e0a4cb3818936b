"""The runtime of servers of one's own: Inference Endpoints, TGI, TEI, vLLM, Ray Serve.

Only addresses that this process's own settings name are called. What a server speaks is found out with its
first call, unless it is said; see `serving.py`.
"""

import asyncio
from collections.abc import Sequence

from hugginggpt.tools import serving
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.remembered import Remembered
from hugginggpt.tools.runtime import Availability, Endpoint, PermanentError, RuntimeSettings
from hugginggpt.tools.tasks import TASKS
from hugginggpt.tools.values import Inputs, Outputs


class Endpoints:
    """Models behind addresses of one's own, as a runtime."""

    name = "endpoints"

    def __init__(self, settings: RuntimeSettings) -> None:
        self._by_model = {each.model or _id(each): each for each in settings.endpoints}
        by_url = {each.url: each for each in settings.endpoints}
        self._protocols = Remembered(lambda url: serving.protocol_of(by_url[url]))

    def available(self) -> Availability:
        """Whether an address is set. Whether its server answers, its first call shows."""
        if self._by_model:
            return Availability(ok=True)
        reason = 'no address is set: set HUGGINGGPT_ENDPOINTS, e.g. {"text-generation": "http://host:8000"}'
        return Availability(ok=False, reason=reason)

    def cards(self, task: str) -> Sequence[ModelCard]:
        """Those of which it is said that they do the task."""
        return [
            ModelCard(id=id_, task=task, summary=f"Your own server for this: {TASKS[task].description}")
            for id_, each in self._by_model.items()
            if each.task == task
        ]

    def can_run(self, card: ModelCard) -> bool:
        """Whether an address is set for the model, and nothing else is said of its task."""
        each = self._by_model.get(card.id)
        return each is not None and each.task in {"", card.task} and serving.can_do(card.task)

    def ready(self, card: ModelCard) -> bool:  # noqa: ARG002 - the protocol's
        """Always: nothing is downloaded."""
        return True

    async def run(self, card: ModelCard, task: str, inputs: Inputs) -> Outputs:
        """Ask the server once."""
        if not self.can_run(card):
            raise PermanentError("missing", f"no address is set for {card.id}; see HUGGINGGPT_ENDPOINTS")
        each = self._by_model[card.id]
        protocol = await asyncio.to_thread(self._protocols.of, each.url)
        return await serving.ask(each, protocol, card, task, inputs)


def _id(endpoint: Endpoint) -> str:
    """Of a server that no model was named for."""
    return f"endpoint/{endpoint.task}"
