"""The column of runtimes in the task table says what the runtimes themselves say."""

import pytest
from huggingface_hub import constants

from hugginggpt.index.harvest import starter_cards
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.runtime import Endpoint, RuntimeSettings, load_runtimes
from hugginggpt.tools.tasks import TASKS


@pytest.fixture(scope="module")
def runtimes():
    servers = [Endpoint(url="http://127.0.0.1:1", model=f"own/{task}", task=task) for task in TASKS]
    settings = RuntimeSettings(encoder=None, hf_token="hf_x", endpoints=tuple(servers))
    return load_runtimes(settings)


@pytest.fixture(autouse=True)
def online(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # what could be downloaded counts


def cards(task):
    """Models of the task that an index may have."""
    packaged = [card for card in starter_cards() if card.task == task and card.builtin]
    return [*packaged, ModelCard(id=f"hub/{task}", task=task, summary="")]


@pytest.mark.parametrize("spec", TASKS.values(), ids=TASKS)
def test_a_row_names_the_runtimes_that_can_run_its_task(spec, runtimes):
    able = [
        name
        for name, runtime in runtimes.items()
        if any(map(runtime.can_run, [*runtime.cards(spec.id), *cards(spec.id)]))
    ]
    assert able == [*spec.runtimes]
