"""The local runtime: real tiny models, from a Hub on loopback, with the real code of huggingface_hub."""

import pytest
from tiny_models import MAKERS, TEXT

from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.local import Local
from hugginggpt.tools.runtime import RuntimeSettings


def card(task, id_="tiny/model", **facts):
    return ModelCard(id=id_, task=task, summary="tiny", library="transformers", **facts)


@pytest.fixture
def local():
    runtime = Local(RuntimeSettings(encoder=None))
    yield runtime
    runtime.pool.close()


async def test_a_model_of_the_hub_is_downloaded_and_run(tiny_hub, local):
    made = tiny_hub.make("tiny/model", MAKERS["summarization"])
    given = card("summarization", revision=made.commit)
    assert (local.can_run(given), local.ready(given)) == (True, False)
    assert isinstance((await local.run(given, "summarization", {"text": TEXT}))["text"], str)
    assert local.ready(given)
