"""An index is opened, searched and brought up to date with the encoder that it was built with."""

import json
import shutil
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tiny_models import sentence_encoder

from hugginggpt.app.cli import main
from hugginggpt.graph import resources
from hugginggpt.graph.context import Home
from hugginggpt.index import index_info, opening
from hugginggpt.index.embedding import text_of
from hugginggpt.index.store import Store
from hugginggpt.index.write import write_index
from hugginggpt.tools import encoder as encoders
from hugginggpt.tools import encoder_static
from hugginggpt.tools.card import ModelCard

FAR = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def model(tiny_folder, tmp_path):
    """The folder of another encoder than the default one."""
    return shutil.copytree(tiny_folder(sentence_encoder), tmp_path / "model")


@pytest.fixture
def cards(tmp_path):
    path = tmp_path / "cards.jsonl"
    rows = [
        {"id": f"a/{n}", "pipeline_tag": "translation", "card": "Knits.", "lastModified": "2026-07-01"}
        for n in range(3)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture
def run(tmp_path, capsys):
    """Runs `hugginggpt index` on a folder; what it says. It has to end with that status."""

    def index(command, *words, status=0):
        assert main(["index", command, *map(str, words), "--index", str(tmp_path / "index")]) == status
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        return told.err.splitlines()[-1] if status else told.out

    return index


@pytest.fixture
def forgotten(monkeypatch, tmp_path):
    """As in a new process on a machine where no encoder was exported yet."""

    def forget():
        monkeypatch.setattr(encoders, "_loaded", {})
        monkeypatch.setattr(opening, "_opened", {})
        monkeypatch.setenv("HUGGINGGPT_ENCODER_CACHE", str(tmp_path / "cache"))

    return forget


def test_an_index_of_another_encoder_opens_with_its_own(run, model, cards, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("build", "--from", cards, "--encoder", "model")
    monkeypatch.chdir(tmp_path.parent)
    assert len(json.loads(run("search", "knit", "--json"))) == 3
    assert index_info(tmp_path / "index").dimension == 8
    monkeypatch.setenv("HUGGINGGPT_INDEX", str(tmp_path / "index"))
    assert resources.index(Home.from_environment()).search("knit")


def test_another_encoder_than_its_own_is_refused_in_one_line(run, model, cards, tmp_path):
    run("build", "--from", cards)
    default = encoders.DEFAULT_ENCODER
    assert f"built with the encoder {default}" in run("search", "knit", "--encoder", "other/one", status=2)
    assert f"{model}: has other weights than sha256:" in run("search", "knit", "--encoder", model, status=2)
    assert f"built with the encoder {default}" in run("update", "--encoder", "other/one", status=2)
    run("search", "knit", "--encoder", default)


def test_an_encoder_that_has_moved_is_told_and_may_be_named(
    run, model, cards, tmp_path, forgotten, monkeypatch
):
    run("build", "--from", cards, "--encoder", model)
    model.rename(tmp_path / "moved")
    forgotten()
    told = run("search", "knit", status=2)
    assert f"{tmp_path / 'index'}: the encoder that it was built with cannot be had: {model}" in told
    run("search", "knit", "--encoder", tmp_path / "moved")
    monkeypatch.setenv("HUGGINGGPT_ENCODER", str(tmp_path / "moved"))
    run("search", "knit")
    monkeypatch.setenv("HUGGINGGPT_ENCODER", str(tmp_path))
    assert "cannot be had" in run("search", "knit", status=2)


def test_an_encoder_of_the_hub_is_fetched_and_one_that_is_gone_is_told(
    run, cards, tiny_hub, forgotten, tmp_path
):
    tiny_hub.make("o/encoder", sentence_encoder)
    run("build", "--from", cards, "--encoder", "o/encoder")
    forgotten()
    run("search", "knit")
    del tiny_hub.models["o/encoder"]
    forgotten()
    shutil.rmtree(tmp_path / "hub")
    assert "cannot be had: o/encoder: the sentence encoder cannot be loaded" in run(
        "search", "knit", status=2
    )


def test_an_update_embeds_with_the_encoder_of_the_index(run, model, cards, tiny_hub, tmp_path):
    run("build", "--from", cards, "--encoder", model)
    tiny_hub.add("a/1", pipeline_tag="translation", lastModified=FAR.isoformat(), license="mit")
    assert "1 model new or changed" in run("update", "--no-cards")
    assert len(json.loads(run("search", "knit", "--json"))) == 3


def test_an_index_of_a_table_says_so_and_is_updated_by_its_table(
    run, cards, tiny_hub, shared, tmp_path, monkeypatch
):
    random = np.random.default_rng(1)
    monkeypatch.setattr(
        encoder_static, "_tokens_alone", lambda e: random.normal(size=(e.tokens, e.dimension)).astype("f4")
    )
    run("build", "--from", cards)
    assert json.loads(run("info", "--json"))["static"] is False
    assert "--static" not in run("info")
    run("build", "--from", cards, "--static")
    told = json.loads(run("info", "--json"))
    assert told["static"]
    assert f"(--static), SHA-256 {told['table']['sha256'][:12]}" in run("info")
    tiny_hub.add("a/1", pipeline_tag="translation", lastModified=FAR.isoformat(), license="mit")
    monkeypatch.setattr(encoder_static, "fit", lambda *_: pytest.fail("fitted again"))
    run("update", "--no-cards")
    assert "all as they were written" in run("info", "--verify")

    store = Store(tmp_path / "index", index_info(tmp_path / "index"))
    encoder = encoders.load_encoder(encoders.DEFAULT_ENCODER, shared / "encoder")
    table = np.load(tmp_path / "index" / told["table"]["name"], allow_pickle=False)
    changed = store.card("a/1")
    (vector,) = encoders.static_encoder(encoder, table).encode([text_of(changed)])
    assert changed.license == "mit"
    rows, cosines = store.nearest(vector, 1)
    assert store.rows(rows) == [changed]
    assert cosines[0] == pytest.approx(1, abs=1e-3)


def test_a_damaged_table_is_named(run, shared, tmp_path):
    encoder = encoders.load_encoder(encoders.DEFAULT_ENCODER, shared / "encoder")
    (tmp_path / "index").mkdir()
    block = [ModelCard(id="a/a", task="translation", summary="")], encoder.encode(["a"])
    info = write_index(tmp_path / "index", [block], encoder, "custom", np.ones((2, 384), np.float32))
    (tmp_path / "index" / info.table.name).write_bytes(b"nothing")
    assert f"{info.table.name}: missing or damaged" in run("search", "knit", status=2)


def test_doctor_says_that_the_encoder_of_the_index_is_gone(run, model, cards, tmp_path, monkeypatch, capsys):
    run("build", "--from", cards, "--encoder", model)
    monkeypatch.setenv("HUGGINGGPT_INDEX", str(tmp_path / "index"))
    monkeypatch.setenv("HUGGINGGPT_ENCODER_CACHE", str(tmp_path / "cache"))
    shutil.rmtree(model)
    main(["doctor", "--json"])
    found = {finding["about"]: finding["advice"] for finding in json.loads(capsys.readouterr().out)}
    assert f"{model}: no such folder" in found["index"]
