"""Downloads and likes are refreshed, and deleted models found, without a vector or a card written anew."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hub_server import Fails

from hugginggpt.app.cli import main
from hugginggpt.index import figures, index_info, manifest, open_index
from hugginggpt.index.store import Store
from hugginggpt.tools.encoder import DEFAULT_ENCODER, load_encoder

FAR = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def hub(paged_hub):
    return paged_hub


@pytest.fixture
def run(hub, tmp_path, capsys):
    def index(command, *words):
        hub.requests.clear()
        assert main(["index", command, *words, "--no-cards", "--index", str(tmp_path)]) == 0
        return capsys.readouterr().out

    return index


@pytest.fixture
def held(tmp_path):
    """The card of a model, as a reader who comes now sees it; its figures as they are ranked by."""

    def card(id_):
        store = Store(tmp_path, index_info(tmp_path))
        found = store.card(id_)
        if found:
            rows = np.array([*store.rows_of([id_]).values()])
            assert (-1 if found.downloads is None else found.downloads) == store.fact("downloads", rows)
            assert [found] == store.rows(rows)
        return found

    return card


@pytest.fixture
def top(run):
    """An index of the ten most downloaded translators."""
    run("build", "--top", "10", "--task", "translation")


def test_figures_of_chosen_models_are_refreshed_and_nothing_else_is_written(
    top, hub, run, held, tmp_path, shared
):
    (before,) = index_info(tmp_path).segments
    hub.models["a/03"].facts.update(downloads=5000, likes=7)
    reader = open_index(tmp_path, load_encoder(DEFAULT_ENCODER, shared / "encoder"))
    assert ", 0 removed, 1 with other downloads or likes; " in run("update")
    (after,) = index_info(tmp_path).segments
    assert {f.name for f in after.files} ^ {f.name for f in before.files} == {
        f"{before.name}.columns",
        f"{before.name}.1.columns",
    }
    assert (held("a/03").downloads, held("a/03").likes) == (5000, 7)
    assert held("a/02").downloads == 98
    assert reader.card("a/03").downloads == 97, "an open index stays as it was"
    assert not (tmp_path / f"{before.name}.columns").exists()
    manifest.check(tmp_path, index_info(tmp_path))
    assert hub.asked("/api/models")["GET"] == 2, "what changed, and one page of the most downloaded"
    assert hub.asked("a/")["GET"] == 0


def test_refreshed_models_are_ranked_by_their_new_figures(top, hub, run, tmp_path, shared):
    encoder = load_encoder(DEFAULT_ENCODER, shared / "encoder")

    def found():
        hits = open_index(tmp_path, encoder).search("translate a letter", task="translation")
        return [hit.card.id for hit in hits]

    last = found()[-1]
    hub.models[last].facts.update(downloads=90_000_000)
    run("update")
    assert found()[-1] != last


def test_figures_outlast_later_updates(top, hub, run, held, tmp_path):
    for downloads in (5000, 6000):
        hub.models["a/03"].facts.update(downloads=downloads)
        run("update")
    hub.models["a/04"].facts.update(lastModified=FAR.isoformat(), license="mit", downloads=50)
    assert "1 model new or changed, 0 removed; " in run("update")
    assert len(index_info(tmp_path).segments) == 2
    assert (held("a/03").downloads, held("a/04").downloads) == (6000, 50)
    for number in range(10):
        hub.models[f"a/{number:02}"].facts.update(lastModified=FAR.isoformat(), downloads=number)
    hub.models["a/09"].facts.update(lastModified="2026-01-01T00:00:00Z")
    run("update")
    assert (held("a/08").downloads, held("a/09").downloads) == (8, 9)


def test_models_that_fell_behind_are_asked_for_one_by_one(top, hub, run, held):
    hub.models["a/00"].facts.update(downloads=0)
    for number in range(10, 40):
        hub.add(f"b/{number}", pipeline_tag="translation", downloads=50)
    assert "1 with other" in run("update")
    assert held("a/00").downloads == 0
    assert hub.asked("/api/models/a/")["GET"] == 1
    assert hub.asked("sort=downloads")["GET"] == 2, "a page that brings none is the last"


def test_figures_of_all_of_the_hub_are_refreshed_when_they_are_asked_for(hub, run, held):
    run("build", "--all")
    hub.models["a/03"].facts.update(downloads=5000)
    assert "with other" not in run("update")
    assert held("a/03").downloads == 97
    run("update", "--deleted", "--no-figures")
    assert held("a/03").downloads == 97
    assert "1 with other" in run("update", "--figures")
    assert held("a/03").downloads == 5000
    hub.models["a/03"].facts.update(downloads=1)
    assert "1 with other" in run("update", "--deleted")
    assert held("a/03").downloads == 1
    assert hub.asked("sort=createdAt")["GET"] == 3
    assert held("builtin/pp-ocr")


def test_a_deleted_model_is_removed_where_that_is_asked_for_and_the_hub_says_so(
    top, hub, run, held, monkeypatch
):
    monkeypatch.setattr("hugginggpt.index.hub._TRIES", 1)
    del hub.models["a/07"]
    hub.models["a/08"].facts.update(pipeline_tag=None)
    run("update")
    assert held("a/07")
    hub.fails["/api/models/a/07"] = [Fails(500)] * 10
    hub.fails["/api/models/a/08"] = [Fails(403)]
    assert ", 0 removed" in run("update", "--deleted")
    hub.fails.clear()
    assert ", 1 removed" in run("update", "--deleted")
    assert held("a/07") is None
    assert held("a/08"), "it has no tag any more, but is there"


def test_very_many_deleted_models_are_those_that_are_not_listed(hub, run, held, monkeypatch):
    run("build", "--all")
    monkeypatch.setattr(figures, "_FEW", 2)
    for number in range(3):
        del hub.models[f"a/{number:02}"]
    assert ", 3 removed" in run("update", "--deleted")
    assert hub.asked("/api/models/a")["GET"] == 0
    assert held("a/00") is None
    assert held("a/03")
