"""An index is opened, searched and brought up to date with the encoder that it was built with."""

import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from tiny_models import sentence_encoder

from hugginggpt.app.cli import main
from hugginggpt.graph import resources
from hugginggpt.graph.context import Home
from hugginggpt.index import index_info
from hugginggpt.index import search as index_search
from hugginggpt.tools import encoder as encoders

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
        monkeypatch.setattr(index_search, "_opened", {})
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
    assert "are not on this machine" in run("search", "knit", "--encoder", model, status=2)
    assert f"built with the encoder {default}" in run("update", "--encoder", "other/one", status=2)
    run("search", "knit", "--encoder", default)


def test_an_encoder_that_has_moved_is_told_and_may_be_named(run, model, cards, tmp_path, forgotten):
    run("build", "--from", cards, "--encoder", model)
    model.rename(tmp_path / "moved")
    forgotten()
    told = run("search", "knit", status=2)
    assert f"{tmp_path / 'index'}: the encoder that it was built with cannot be had: {model}" in told
    run("search", "knit", "--encoder", tmp_path / "moved")


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
    assert "1 models new or changed" in run("update", "--no-cards")
    assert len(json.loads(run("search", "knit", "--json"))) == 3


def test_doctor_says_that_the_encoder_of_the_index_is_gone(run, model, cards, tmp_path, monkeypatch, capsys):
    run("build", "--from", cards, "--encoder", model)
    monkeypatch.setenv("HUGGINGGPT_INDEX", str(tmp_path / "index"))
    monkeypatch.setenv("HUGGINGGPT_ENCODER_CACHE", str(tmp_path / "cache"))
    shutil.rmtree(model)
    main(["doctor", "--json"])
    found = {finding["about"]: finding["advice"] for finding in json.loads(capsys.readouterr().out)}
    assert f"{model}: no such folder" in found["index"]
