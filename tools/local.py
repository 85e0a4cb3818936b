"""The local runtime: models of the Hub on this machine, with transformers and its sister libraries."""

import asyncio
import functools
import importlib.util
import threading
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from hugginggpt.tools import machine, weights
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.recipe import Recipe
from hugginggpt.tools.runtime import Availability, PermanentError, RuntimeSettings
from hugginggpt.tools.values import Inputs, Outputs

# Every task that models do here: its recipe, as module:attribute. A new task is one row.
RECIPES: dict[str, str] = {
    "summarization": "hugginggpt.tools.local_text:SUMMARIZATION",
}

_PACKAGES = {
    "transformers": "transformers",
    "sentence-transformers": "sentence_transformers",
    "diffusers": "diffusers",
}


@functools.cache
def recipe(task: str) -> Recipe | None:
    """The recipe of a task, if it has one. Nothing heavy is imported."""
    module, _, attribute = RECIPES.get(task, "").partition(":")
    found: Recipe | None = getattr(import_module(module), attribute) if module else None
    return found


@functools.cache
def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


class Local:
    """Models of the Hub on this machine, as a runtime."""

    name = "local"

    def __init__(self, settings: RuntimeSettings) -> None:
        memory = machine.default_memory() if settings.memory is None else settings.memory
        self._limits = weights.Limits(settings.max_download, memory)
        self._loaded: dict[str, Any] = {}
        self._lock = threading.Lock()

    def available(self) -> Availability:
        """Whether transformers and torch are installed."""
        if _installed("transformers") and _installed("torch"):
            return Availability(ok=True)
        return Availability(
            ok=False, reason="transformers and torch are not installed; pip install 'hugginggpt[local]'"
        )

    def cards(self, task: str) -> Sequence[ModelCard]:  # noqa: ARG002 - the protocol's
        """None: models are those of the index."""
        return ()

    def can_run(self, card: ModelCard) -> bool:
        """Whether there is a recipe for the model, as far as its card says what it is."""
        found = recipe(card.task)
        if found is None or card.builtin or card.safetensors is False:
            return False
        libraries = {name for name in found.libraries if _installed(_PACKAGES[name])}
        if card.library not in libraries | {""} or not libraries:
            return False
        return not card.architecture or card.architecture in found.architectures()

    def ready(self, card: ModelCard) -> bool:
        """Whether the model is on this machine, so that it could begin without a download."""
        found = recipe(card.task)
        return found is not None and weights.cached(card, found) is not None

    async def run(self, card: ModelCard, task: str, inputs: Inputs) -> Outputs:
        """Run the model once; it is downloaded and loaded where it is not yet."""
        found = recipe(task)
        if found is None:
            raise PermanentError("missing", f"no model is run for {task} on this machine")
        return await asyncio.to_thread(self._run, card, found, inputs)

    def _run(self, card: ModelCard, found: Recipe, inputs: Inputs) -> Outputs:
        with self._lock:
            if card.id not in self._loaded:
                here = machine.place()
                folder: Path = weights.fetch(card, found, here, self._limits, lambda *_: None)
                weights.check_fits(card, weights.memory(folder, found, here), self._limits)
                self._loaded[card.id] = found.load(folder, here)
            return found.run(self._loaded[card.id], [inputs])[0]
