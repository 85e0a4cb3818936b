import json
import os
import pickle
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_server import Fails

from hugginggpt.app.cli import main
from hugginggpt.index import CardError, index_info, open_index, read_cards, refresh
from hugginggpt.index.bulk import BulkModels
from hugginggpt.index.gather import gather
from hugginggpt.index.hub import HubModels
from hugginggpt.index.sources import Files
from hugginggpt.index.write import write_index
from hugginggpt.tools.encoder import DEFAULT_ENCODER, load_encoder

FAR = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def hub(paged_hub):
    return paged_hub


@pytest.fixture
def staging(tmp_path):
    return tmp_path / "staging"


@pytest.fixture
def encoder(shared):
    return load_encoder(DEFAULT_ENCODER, shared / "encoder")


def ids(gathered):
    return [card.id for shard in range(len(gathered.shards)) for card in gathered.cards(shard)]


def card(hub, folder, id_, text, **facts):
    folder.mkdir(exist_ok=True)
    (folder / "README.md").write_text(text)
    hub.add(id_, folder, pipeline_tag="translation", **facts)


def test_all_pages_of_the_hub_are_read(hub, staging):
    assert ids(gather(HubModels(texts=False), staging)) == [f"a/{n:02}" for n in range(25)]


def test_the_most_downloaded_of_each_task_are_read(hub, staging):
    hub.add("b/mask", pipeline_tag="fill-mask", downloads=1)
    hub.add("b/mask2", pipeline_tag="fill-mask", downloads=5)
    hub.add("b/other", pipeline_tag="summarization", downloads=500)
    models = HubModels(["translation", "fill-mask"], top=12, texts=False)
    assert ids(gather(models, staging)) == [*(f"a/{n:02}" for n in range(12)), "b/mask2", "b/mask"]


def test_the_card_of_each_model_is_read_at_its_commit(hub, staging, tmp_path):
    card(hub, tmp_path / "m", "b/lyra", "---\nlicense: mit\n---\n# Lyra\n\nTranslates poems.", downloads=999)
    (first, *others) = gather(HubModels(top=3), staging).cards(0)
    assert (first.id, first.summary, first.license) == ("b/lyra", "Translates poems.", "mit")
    assert first.revision == hub.models["b/lyra"].commit
    assert hub.asked(f"/b/lyra/resolve/{first.revision}/README.md")["GET"] == 1
    assert {other.summary for other in others} == {"translation model."}


def test_the_card_of_a_model_whose_task_cannot_be_told_is_not_fetched(hub, staging):
    hub.add("b/robot", downloads=999)
    gather(HubModels(top=2), staging)
    assert not hub.asked("/b/robot/resolve")


def test_what_the_hub_states_of_a_gated_model_is_enough(hub, staging, tmp_path):
    card(hub, tmp_path / "m", "b/secret", "Secret.", downloads=999, gated="manual")
    assert gather(HubModels(top=1), staging).cards(0)[0].gated


@pytest.mark.parametrize(
    "failure",
    [
        Fails(429, {"Retry-After": "0"}),
        Fails(503),
        Fails(200, cut=500),
    ],
    ids=["busy", "down", "half a page"],
)
def test_a_page_that_fails_is_asked_for_again(hub, staging, failure):
    hub.fails["cursor=10"] = [failure]
    assert len(ids(gather(HubModels(texts=False), staging))) == 25
    assert hub.asked("cursor=10")["GET"] == 2


def test_an_interrupted_listing_goes_on_at_its_page(hub, staging):
    hub.fails["cursor=20"] = [Fails(400)]
    with pytest.raises(CardError, match=r"models cannot be listed \(HTTP 400\)"):
        gather(HubModels(texts=False), staging)
    hub.requests.clear()
    assert ids(gather(HubModels(texts=False), staging)) == [f"a/{n:02}" for n in range(25)]
    assert hub.asked("/api/models")["GET"] == hub.asked("cursor=20")["GET"] == 1


@pytest.mark.parametrize("damage", [lambda shard: shard.write_bytes(shard.read_bytes()[:-9]), Path.unlink])
def test_a_damaged_shard_is_gathered_again(hub, staging, damage):
    hub.fails["cursor=20"] = [Fails(403)]
    with pytest.raises(CardError):
        gather(HubModels(texts=False), staging)
    damage(staging / "cards-00000-00000.parquet")
    assert len(ids(gather(HubModels(texts=False), staging))) == 25
    damage(staging / "cards-00000-00000.parquet")
    assert len(ids(gather(HubModels(texts=False), staging))) == 25, "also when it was finished"


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [(Fails(404), "HTTP 404"), (Fails(401), "HTTP 401")],
)
def test_a_hub_that_does_not_list_is_told_in_one_line(hub, staging, reply, complaint):
    hub.fails["/api/models"] = [reply]
    with pytest.raises(CardError, match=complaint) as error:
        gather(HubModels(texts=False), staging)
    assert "\n" not in str(error.value)


def test_a_hub_that_is_switched_off_is_told(hub, staging, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CardError, match="HF_HUB_OFFLINE is set"):
        gather(HubModels(texts=False), staging)


def test_a_card_that_never_comes_is_a_broken_row(hub, staging, monkeypatch):
    monkeypatch.setattr("hugginggpt.index.hub._TRIES", 1)
    hub.fails["/a/01/resolve"] = [Fails(500), Fails(500)]
    gathered = gather(HubModels(top=3), staging)
    assert ids(gathered) == ["a/00", "a/02"]
    assert gathered.tally.complaints == [f"{hub.url}/a/01: its card cannot be fetched (HTTP 500)"]


def dataset(hub, folder):
    (folder / "data").mkdir(parents=True)
    for part in range(2):
        rows = [
            {
                "modelId": f"d/{part}{n}",
                "pipeline_tag": "translation",
                "card": f"Number {n} translates plays.",
            }
            for n in range(3)
        ]
        pq.write_table(pa.Table.from_pylist(rows), folder / "data" / f"train-{part}.parquet")
    hub.add("datasets/cards/all", folder)


@pytest.mark.parametrize("where", ["hf://datasets/cards/all", "hf://datasets/cards/all/data/*.parquet"])
def test_a_data_set_of_cards_on_the_hub_is_read(hub, tmp_path, where):
    dataset(hub, tmp_path / "set")
    assert [card.id for card in read_cards(where)] == ["d/00", "d/01", "d/02", "d/10", "d/11", "d/12"]


def test_parts_of_a_data_set_are_read_by_other_processes(hub, tmp_path):
    dataset(hub, tmp_path / "set")
    parts = pickle.loads(pickle.dumps(Files("hf://datasets/cards/all").parts()))
    read = [[row["modelId"] for page in part.pages("") for _, row in page.rows] for part in parts]
    assert read == [["d/00", "d/01", "d/02"], ["d/10", "d/11", "d/12"]]


def test_a_data_set_that_is_not_there_is_told_in_one_line(hub):
    with pytest.raises(CardError, match="hf://datasets/no/where: cannot be read") as error:
        list(read_cards("hf://datasets/no/where"))
    assert "\n" not in str(error.value)


def test_texts_of_cards_come_in_bulk_from_a_data_set(hub, tmp_path, encoder):
    dataset(hub, tmp_path / "set")
    hub.add("d/01", pipeline_tag="translation", license="mit", downloads=999)
    folder = tmp_path / "index"
    where = "hf://datasets/cards/all"
    assert run("build", "--top", "3", "--cards", where, "--index", str(folder)) == 0
    index = open_index(folder, encoder)
    assert [card.id for card in index.cards("translation")] == ["a/00", "a/01", "d/01"]
    assert (index.card("d/01").summary, index.card("d/01").license) == ("Number 1 translates plays.", "mit")
    assert not hub.asked("README.md")


def test_bulk_texts_that_are_interrupted_go_on(hub, tmp_path, staging):
    dataset(hub, tmp_path / "set")
    source = BulkModels(HubModels(texts=False), Files("hf://datasets/cards/all"), staging / "texts.sqlite")
    hub.fails["cursor=10"] = [Fails(400)]
    with pytest.raises(CardError, match="HTTP 400"):
        gather(source, staging)
    hub.requests.clear()
    assert len(ids(gather(source, staging))) == 25
    assert not hub.asked(".parquet")


def run(*words):
    return main(["index", *words])


def test_an_index_of_the_hub_has_the_packaged_models_too(hub, tmp_path, encoder, capsys):
    folder = tmp_path / "index"
    assert (
        run("build", "--top", "5", "--task", "translation", "--task", "image-to-text", "--index", str(folder))
        == 0
    )
    assert "models for 2 tasks" in capsys.readouterr().out
    index = open_index(folder, encoder)
    assert index.card("a/00")
    assert index.card("builtin/pp-ocr")
    assert not (folder / "staging").exists()


def test_an_update_takes_in_what_changed_and_removes_what_has_no_task_any_more(
    hub, tmp_path, encoder, capsys
):
    folder = tmp_path / "index"
    run("build", "--all", "--no-cards", "--index", str(folder))
    before = index_info(folder).models
    hub.models["a/03"].facts.update(lastModified=FAR.isoformat(), license="mit")
    hub.models["a/04"].facts.update(lastModified=FAR.isoformat(), pipeline_tag=None)
    hub.add("b/new", pipeline_tag="translation", lastModified=FAR.isoformat())
    hub.requests.clear()
    assert run("update", "--no-cards", "--index", str(folder)) == 0
    assert "2 models new or changed, 1 removed" in capsys.readouterr().out
    index = open_index(folder, encoder)
    assert index.card("a/03").license == "mit"
    assert index.card("a/04") is None
    assert index.card("b/new")
    assert index.info.models == before
    assert hub.asked("/api/models")["GET"] == 1, "the listing stops at what the index has"


def test_an_update_without_cards_leaves_summaries_as_they_are(hub, tmp_path, encoder):
    folder = tmp_path / "index"
    card(hub, tmp_path / "m", "b/lyra", "Translates poems.", downloads=999)
    run("build", "--top", "1", "--index", str(folder))
    hub.models["b/lyra"].facts.update(lastModified=FAR.isoformat(), downloads=5)
    run("update", "--no-cards", "--index", str(folder))
    lyra = open_index(folder, encoder).card("b/lyra")
    assert (lyra.summary, lyra.downloads) == ("Translates poems.", 5)


def test_the_hubs_tag_is_searched_after_a_build_and_after_an_update(hub, tmp_path, encoder):
    def stating(tag):
        return {hit.card.id for hit in open_index(tmp_path, encoder).search("a model", task=tag)}

    hub.add("b/old", pipeline_tag="text2text-generation")
    hub.add("b/kept", pipeline_tag="text2text-generation")
    run("build", "--all", "--no-cards", "--index", str(tmp_path))
    assert stating("text2text-generation") == {"b/old", "b/kept"}
    hub.models["b/old"].facts.update(lastModified=FAR.isoformat(), pipeline_tag="conversational")
    hub.add("b/new", pipeline_tag="text2text-generation", lastModified=FAR.isoformat())
    assert run("update", "--no-cards", "--index", str(tmp_path)) == 0
    assert stating("text2text-generation") == {"b/kept", "b/new"}
    assert stating("conversational") == {"b/old"}
    assert stating("text-generation") == {"b/old", "b/kept", "b/new"}


def test_an_update_of_chosen_models_adds_no_others(hub, tmp_path, encoder):
    folder = tmp_path / "index"
    run("build", "--top", "3", "--no-cards", "--index", str(folder))
    hub.add("b/new", pipeline_tag="translation", lastModified=FAR.isoformat())
    hub.models["a/01"].facts.update(lastModified=FAR.isoformat(), license="mit")
    assert run("update", "--no-cards", "--index", str(folder)) == 0
    index = open_index(folder, encoder)
    assert index.card("a/01").license == "mit"
    assert index.card("b/new") is None


def test_deleted_models_are_removed_when_they_are_looked_for(hub, tmp_path, encoder):
    folder = tmp_path / "index"
    run("build", "--all", "--no-cards", "--index", str(folder))
    del hub.models["a/07"]
    run("update", "--no-cards", "--index", str(folder))
    assert open_index(folder, encoder).card("a/07")
    run("update", "--deleted", "--no-cards", "--index", str(folder))
    index = open_index(folder, encoder)
    assert index.card("a/07") is None
    assert index.card("a/08")
    assert index.card("builtin/pp-ocr")


def test_a_model_that_is_deleted_before_its_card_is_fetched_is_removed(hub, tmp_path, encoder):
    folder = tmp_path / "index"
    run("build", "--all", "--no-cards", "--index", str(folder))
    hub.models["a/05"].facts.update(lastModified=FAR.isoformat())
    hub.fails["/a/05/resolve"] = [Fails(404, {"X-Error-Code": "RepoNotFound"})]
    assert run("update", "--index", str(folder)) == 0
    assert open_index(folder, encoder).card("a/05") is None


def test_an_index_of_a_file_is_updated_from_the_day_of_its_newest_model(hub, tmp_path, encoder):
    folder, path = tmp_path / "index", tmp_path / "cards.jsonl"
    rows = [{"id": f"a/0{n}", "pipeline_tag": "translation", "lastModified": f"2026-07-0{n}"} for n in (1, 2)]
    path.write_text("\n".join(map(json.dumps, rows)))
    run("build", "--from", str(path), "--index", str(folder))
    assert run("update", "--no-cards", "--index", str(folder)) == 0
    assert [card.downloads for card in open_index(folder, encoder).cards("translation")] == [99, 98]


@pytest.mark.parametrize(("flags", "whole"), [([], False), (["--top", "5"], False), (["--all"], True)])
def test_new_models_join_an_index_of_a_file_that_is_meant_to_have_all_of_the_hub(
    hub, tmp_path, encoder, flags, whole
):
    folder, path = tmp_path / "index", tmp_path / "cards.jsonl"
    path.write_text('{"id": "a/01", "pipeline_tag": "translation", "lastModified": "2026-07-01"}')
    run("build", "--from", str(path), "--index", str(folder), *flags)
    assert run("update", "--no-cards", "--index", str(folder)) == 0
    assert (len(open_index(folder, encoder).cards("translation")) > 1) == whole


def test_the_starter_and_files_without_days_are_not_updated_and_the_reason_is_told(hub, tmp_path, capsys):
    folder, path = str(tmp_path / "index"), tmp_path / "cards.jsonl"
    assert run("build", "--index", folder) == 0
    assert run("update", "--index", folder) == 2
    assert "is the starter index" in capsys.readouterr().err
    path.write_text('{"id": "a/b", "pipeline_tag": "translation"}')
    run("build", "--from", str(path), "--index", folder)
    assert run("update", "--index", folder) == 2
    assert "did not say when" in capsys.readouterr().err


@pytest.fixture
def started(hub, home):
    """Starts `hugginggpt index` in a process of its own that reaches the Hub on loopback."""

    def start(*words):
        return subprocess.Popen(
            [sys.executable, "-c", "from hugginggpt.app.cli import process; process()", "index", *words],
            env={**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"},
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def test_a_server_that_is_asked_again_leaves_the_terminal_to_the_progress_bar(hub, tmp_path, started):
    hub.fails["cursor=10"] = [Fails(429, {"Retry-After": "0"})]
    process = started("build", "--all", "--no-cards", "--index", str(tmp_path / "index"))
    _, told = process.communicate(timeout=120)
    assert (process.returncode, hub.asked("cursor=10")["GET"]) == (0, 2)
    assert "429" not in told


def test_a_build_that_is_stopped_says_so_and_goes_on_when_started_again(hub, tmp_path, started, encoder):
    folder = tmp_path / "index"
    hub.fails["cursor=10"] = [Fails(503, stall=30)]
    process = started("build", "--all", "--no-cards", "--index", str(folder))
    while not hub.asked("cursor=10"):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    assert (process.returncode, told) == (130, "hugginggpt: stopped; the same command goes on where it was\n")
    hub.requests.clear()
    assert run("build", "--all", "--no-cards", "--index", str(folder)) == 0
    assert len(open_index(folder, encoder).cards("translation")) == 25
    assert hub.asked("/api/models")["GET"] == hub.asked("cursor=")["GET"] == 2


def test_what_a_build_left_that_was_killed_behind_its_switch_is_not_gone_on_with(
    hub, tmp_path, encoder, monkeypatch
):
    folder = tmp_path / "index"

    def killed(*args):
        write_index(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as then:
        then.setattr(refresh, "write_index", killed)
        assert run("build", "--all", "--no-cards", "--index", str(folder)) == 130
    assert (folder / "staging").exists()
    assert open_index(folder, encoder).card("a/03").downloads == 97
    hub.models["a/03"].facts.update(downloads=5000)
    assert run("build", "--all", "--no-cards", "--index", str(folder)) == 0
    assert open_index(folder, encoder).card("a/03").downloads == 5000
    assert not (folder / "staging").exists()


def test_info_says_where_the_models_are_from(hub, tmp_path, capsys):
    folder = str(tmp_path / "index")
    run("build", "--top", "2", "--task", "translation", "--no-cards", "--index", folder)
    capsys.readouterr()
    assert run("info", "--index", folder, "--json") == 0
    info = json.loads(capsys.readouterr().out)
    assert info["origin"]["kind"] == "hub"
    assert info["origin"]["tasks"] == ["translation"]
    assert info["bytes"] > 1000
    assert run("info", "--index", folder) == 0
    assert "from the Hub, as of 20" in capsys.readouterr().out
