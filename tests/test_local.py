"""The local runtime: real tiny models, from a Hub on loopback, with the real code of huggingface_hub."""

import asyncio
import json
import re
import shutil
import threading
from collections import namedtuple

import pytest
from hub_server import Fails
from tiny_models import MAKERS, TEXT, bert

from hugginggpt.tools import downloads, machine, weights
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.local import Local, recipe
from hugginggpt.tools.recipe import Place, names
from hugginggpt.tools.runtime import PermanentError, RuntimeSettings, TransientError

CLASSIFIER = MAKERS["text-classification"]
CPU = Place("cpu", "float32")


def card(id_="tiny/model", task="text-classification", **facts):
    return ModelCard(id=id_, task=task, summary="tiny", **{"library": "transformers", **facts})


@pytest.fixture
def make_local():
    made = []

    def make(**settings):
        made.append(Local(RuntimeSettings(encoder=None, **settings)))
        return made[-1]

    yield make
    for local in made:
        local.pool.close()


@pytest.fixture(autouse=True)
def reachable():
    """What one test found unreachable is no matter of the next."""
    yield
    downloads._unreachable.clear()


@pytest.fixture
def changed(tiny_folder, tmp_path, tiny_hub):
    """Serves a copy of the tiny classifier whose files a function has changed."""

    def serve(change, **facts):
        folder = tmp_path / "changed"
        shutil.copytree(tiny_folder(CLASSIFIER), folder)
        change(folder)
        return tiny_hub.add("tiny/model", folder, **facts)

    return serve


def configured(**facts):
    def change(folder):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | facts))

    return change


def nothing(folder):
    pass


async def refused(local, given=None):
    with pytest.raises((PermanentError, TransientError)) as error:
        await local.run(given or card(), "text-classification", {"text": TEXT})
    assert "\n" not in str(error.value)
    return error.value


def weights_asked(hub):
    return sum(hub.asked("model.safetensors").values())


async def test_a_model_of_the_hub_is_downloaded_once_and_run(tiny_hub, make_local):
    made, local = tiny_hub.make("tiny/model", CLASSIFIER), make_local()
    given = card(revision=made.commit)
    assert (local.can_run(given), local.ready(given)) == (True, False)
    for _ in range(2):
        outputs = await local.run(given, "text-classification", {"text": TEXT})
        assert {one["label"] for one in outputs["labels"]} == {"LABEL_0", "LABEL_1"}
    assert local.ready(given)
    assert tiny_hub.asked("model.safetensors")["GET"] == 1


async def test_a_download_is_of_the_commit_of_the_card(tiny_hub, make_local):
    made = tiny_hub.make("tiny/model", CLASSIFIER)
    await make_local().run(card(revision=made.commit), "text-classification", {"text": TEXT})
    resolved = [path for _, path, _ in tiny_hub.requests if "/resolve/" in path]
    assert resolved
    assert all(f"/resolve/{made.commit}/" in path for path in resolved)


@pytest.mark.parametrize("stated", [True, False], ids=["of a commit", "of no stated commit"])
async def test_what_is_here_runs_without_the_hub(stated, tiny_hub, make_local, monkeypatch):
    from huggingface_hub import constants

    made = tiny_hub.make("tiny/model", CLASSIFIER)
    given = card(revision=made.commit if stated else None)
    await make_local().run(given, "text-classification", {"text": TEXT})
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    tiny_hub.requests.clear()
    local = make_local(max_download=0)
    assert local.can_run(given)
    assert (await local.run(given, "text-classification", {"text": TEXT}))["labels"]
    assert tiny_hub.requests == []


async def test_a_folder_is_a_model_too(tiny_folder, make_local):
    given = card(str(tiny_folder(CLASSIFIER)))
    local = make_local(max_download=0)
    assert local.ready(given)
    assert (await local.run(given, "text-classification", {"text": TEXT}))["labels"]


async def test_a_part_of_a_model_is_not_ready(tiny_hub, make_local):
    local, given = make_local(), card(revision=tiny_hub.make("tiny/model", CLASSIFIER).commit)
    await local.run(given, "text-classification", {"text": TEXT})
    found = recipe("text-classification")
    (weights.cached(given, found) / "model.safetensors").unlink()
    assert not local.ready(given)


async def test_pickles_are_refused(changed, tiny_hub, make_local):
    changed(lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"))
    error = await refused(make_local())
    assert error.kind == "unsafe-weights"
    assert str(error) == ("has weights that are pickles, which can run any code; only safetensors are loaded")
    assert not tiny_hub.asked("pytorch_model.bin")


async def test_code_that_comes_with_a_model_is_not_run(changed, make_local, tmp_path):
    def change(folder):
        own = {"AutoConfig": "own.Own", "AutoModelForSequenceClassification": "own.Own"}
        configured(auto_map=own)(folder)
        (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")

    changed(change)
    await make_local().run(card(), "text-classification", {"text": TEXT})
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("change", "kind", "line"),
    [
        (
            configured(architectures=["OwnForEverything"]),
            "architecture",
            "is OwnForEverything, which is not run",
        ),
        (
            configured(architectures=["BertForMaskedLM"]),
            "architecture",
            "not run for text-classification here",
        ),
        (configured(architectures=None), "architecture", "is of no stated class"),
        (configured(quantization_config={"quant_method": "awq"}), "quantised", r"is quantised \(awq\)"),
        (
            lambda folder: (folder / "config.json").write_text("{"),
            "unknown-model",
            "config.json that cannot be",
        ),
        (lambda folder: (folder / "config.json").unlink(), "unknown-model", "has no config.json"),
    ],
)
async def test_what_a_model_is_is_looked_at_before_its_weights_are_downloaded(
    change, kind, line, changed, tiny_hub, make_local
):
    changed(change)
    error = await refused(make_local())
    assert error.kind == kind
    assert re.search(line, str(error))
    assert weights_asked(tiny_hub) == 0


async def test_a_pipeline_with_code_of_its_own_is_refused(tmp_path):
    index = {"_class_name": "StableDiffusionPipeline", "unet": ["my_pipeline", "Net"]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    found = recipe("summarization")
    with pytest.raises(PermanentError, match=r"needs code of its own \(my_pipeline\)"):
        weights.check_architecture(card(), _allowing(found, "StableDiffusionPipeline"), tmp_path)


def _allowing(found, *classes):
    from dataclasses import replace

    return replace(found, architectures=lambda: frozenset(classes))


@pytest.mark.parametrize("where", ["card", "hub"])
async def test_a_gated_model_is_told_before_anything_of_it_is_downloaded(
    where, changed, tiny_hub, make_local
):
    changed(nothing, gated="manual" if where == "hub" else False)
    error = await refused(make_local(), card(gated=where == "card"))
    assert error.kind == "gated"
    assert "accept its licence at hf.co/tiny/model and set HF_TOKEN" in str(error)
    assert not tiny_hub.asked("/resolve/")


async def test_a_model_larger_than_the_largest_download_is_refused(tiny_hub, make_local):
    tiny_hub.make("tiny/model", CLASSIFIER)
    error = await refused(make_local(max_download=20_000))
    assert error.kind == "too-large"
    assert str(error).startswith("is a download of 0.")
    assert not tiny_hub.asked("/resolve/")


async def test_without_downloads_only_what_is_here_is_run(tiny_hub, make_local):
    tiny_hub.make("tiny/model", CLASSIFIER)
    local = make_local(max_download=0)
    assert not local.can_run(card())
    assert (await refused(local)).kind == "not-here"
    assert tiny_hub.requests == []


async def test_offline_nothing_is_asked_for(tiny_hub, make_local, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    tiny_hub.make("tiny/model", CLASSIFIER)
    assert not make_local().can_run(card())
    assert str(await refused(make_local())) == "is not on this machine, and HF_HUB_OFFLINE is set"
    assert tiny_hub.requests == []


async def test_a_model_larger_than_the_memory_is_refused_before_it_is_downloaded(tiny_hub, make_local):
    tiny_hub.make("tiny/model", CLASSIFIER)
    error = await refused(make_local(memory=10_000))
    assert (error.kind, "models may take 0.0 MB (--memory)" in str(error)) == ("too-large", True)
    assert weights_asked(tiny_hub) == 0


async def test_a_disk_that_would_be_full_is_told(tiny_hub, make_local, monkeypatch):
    tiny_hub.make("tiny/model", CLASSIFIER)
    usage = namedtuple("usage", "total used free")(2 * 10**9, 10**9, 10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    error = await refused(make_local())
    assert (error.kind, "has 1.0 GB left" in str(error)) == ("disk-full", True)
    assert not tiny_hub.asked("/resolve/")


async def test_weights_that_are_missing_are_not_made_up(changed, make_local, tiny_folder):
    changed(lambda folder: shutil.copy(tiny_folder(bert("MaskedLM")) / "model.safetensors", folder))
    error = await refused(make_local())
    assert (error.kind, "lacks" in str(error)) == ("incomplete", True)


async def test_broken_weights_are_told(changed, make_local):
    changed(lambda folder: (folder / "model.safetensors").write_bytes(b"\x00" * 100))
    assert (await refused(make_local())).kind == "broken-weights"


async def test_a_model_that_is_gone_is_told(tiny_hub, make_local):
    assert (await refused(make_local())).kind == "gone"


async def test_a_hub_that_cannot_be_reached_is_told_at_once_and_not_asked_again(tiny_hub, make_local):
    tiny_hub.shutdown()
    tiny_hub.server_close()
    local = make_local()
    error = await refused(local)
    assert (type(error), error.kind) == (PermanentError, "connection")
    assert "cannot be reached" in str(error)
    assert downloads._unreachable
    assert (await refused(local, card("tiny/other"))).kind == "connection"


async def test_a_hub_that_fails_may_be_tried_again(tiny_hub, make_local):
    tiny_hub.make("tiny/model", CLASSIFIER)
    tiny_hub.fails["/api/models/tiny/model"] = [Fails(503)]
    local = make_local()
    assert isinstance(await refused(local), TransientError)
    assert (await local.run(card(), "text-classification", {"text": TEXT}))["labels"]


@pytest.fixture
def small_chunks(monkeypatch):
    """huggingface_hub writes down 10 MB at a time, and goes on behind what it has written."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 500)


async def test_a_download_that_breaks_goes_on_where_it_broke(tiny_hub, make_local, small_chunks):
    tiny_hub.make("tiny/model", CLASSIFIER)
    tiny_hub.fails["model.safetensors"] = [Fails(cut=1000), Fails(cut=1000)]  # one is for its size
    await make_local().run(card(), "text-classification", {"text": TEXT})
    ranges = [head.get("Range") for method, path, head in tiny_hub.requests if "model.safetensors" in path]
    assert "bytes=1000-" in ranges


async def test_a_download_is_told_in_events(tiny_hub, make_local, small_chunks):
    tiny_hub.make("tiny/model", CLASSIFIER)
    tiny_hub.fails["model.safetensors"] = [Fails(cut=1000), Fails(cut=1000)]  # goes on after a second
    events = []
    local = make_local(tell=lambda type_, **facts: events.append((type_, facts)))
    await local.run(card(), "text-classification", {"text": TEXT})
    total = (tiny_hub.models["tiny/model"].folder / "model.safetensors").stat().st_size
    assert events[0] == ("download", {"model": "tiny/model", "bytes": 1000, "total": total})
    assert events[-1] == ("download", {"model": "tiny/model", "bytes": total, "total": total})


def test_the_bytes_of_a_model_are_known_before_it_is_loaded(tiny_folder):
    found, folder = recipe("text-classification"), tiny_folder(CLASSIFIER)
    loaded = found.load(folder, CPU)
    assert weights.memory(folder, found, CPU) == sum(p.nbytes for p in loaded.model.parameters())
    half = Place("cuda", "bfloat16")
    assert weights.memory(folder, found, half) * 2 == weights.memory(folder, found, CPU)


def test_a_shard_that_is_there_whole_too_is_left_out():
    found = recipe("text-classification")
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert weights._chosen([*shards, "config.json", "onnx/model.onnx", "model.fp16.safetensors"], found) == [
        "config.json",
        *shards,
    ]
    assert weights._chosen([*shards, "model.safetensors"], found) == ["model.safetensors"]


@pytest.mark.parametrize(
    "facts",
    [
        {"task": "tabular-regression"},
        {"library": "timm"},
        {"safetensors": False},
        {"architecture": "OwnForEverything"},
        {"parameters": 10**12},
        {"parameters": 1_100_000_000},  # 2.2 GB at least
        {"gated": True},
        {"id_": "builtin/minilm-qa"},
    ],
)
def test_a_card_that_cannot_be_run_is_told_without_the_network(facts, make_local, tiny_hub):
    local = make_local(memory=8 * 10**9)
    assert local.can_run(card())
    assert not local.can_run(card(**facts))
    assert tiny_hub.requests == []


def test_the_names_of_classes_are_those_that_transformers_itself_has():
    from transformers.models.auto import modeling_auto as auto

    stated = names("transformers.models.auto.modeling_auto", "MODEL_FOR_MASKED_LM_MAPPING_NAMES")
    assert stated == {*auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES.values()}
    with pytest.raises(LookupError, match="has no NOTHING"):
        names("transformers.models.auto.modeling_auto", "NOTHING")


@pytest.mark.parametrize(
    ("text", "size"),
    [("8GB", 8 * 10**9), ("512 MiB", 512 << 20), ("1.5g", 1_500_000_000), ("0", 0), ("42", 42)],
)
def test_sizes_are_read_as_people_write_them(text, size):
    assert machine.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "8 parsecs", "-1GB"])
def test_what_is_no_size_is_told(text):
    with pytest.raises(ValueError, match="is not a size; write it as 8GB"):
        machine.parse_size(text)


async def test_event_loops_of_several_threads_share_a_loaded_model(tiny_folder, make_local):
    local, given = make_local(), card(str(tiny_folder(CLASSIFIER)))
    outputs = []

    def ask():
        outputs.append(asyncio.run(local.run(given, "text-classification", {"text": TEXT})))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert [len(one["labels"]) for one in outputs] == [2, 2, 2]
    assert local.pool.held == weights.memory(tiny_folder(CLASSIFIER), recipe("text-classification"), CPU)


async def test_a_run_that_is_given_up_breaks_no_other(tiny_folder, make_local):
    local, given = make_local(), card(str(tiny_folder(CLASSIFIER)))
    runs = [asyncio.ensure_future(local.run(given, "text-classification", {"text": TEXT})) for _ in range(4)]
    await asyncio.sleep(0)
    runs[2].cancel()
    done = await asyncio.gather(*runs, return_exceptions=True)
    assert isinstance(done[2], asyncio.CancelledError)
    assert all(done[n]["labels"] for n in (0, 1, 3))
