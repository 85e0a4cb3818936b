import json
import sys

import pytest

from hugginggpt.app.cli import main
from hugginggpt.index import open_index
from hugginggpt.tools.encoder import DEFAULT_ENCODER, load_encoder
from hugginggpt.tools.tasks import TASKS

CARD = {"id": "a/knitter", "task": "text-generation", "summary": "Knits scarves.", "parameters": 1_300_000}


@pytest.fixture
def cards(tmp_path):
    path = tmp_path / "cards.jsonl"
    path.write_text(json.dumps(CARD))
    return path


def test_search_prints_a_line_per_model_when_piped(capsys):
    assert main(["index", "search", "translate into German", "--task", "translation", "--top-k", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].split("\t")[:2] == ["Helsinki-NLP/opus-mt-en-de", "translation"]


def test_search_prints_cards_and_scores_as_json(capsys):
    assert main(["index", "search", "read aloud", "--top-k", "1", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["task"] == "text-to-speech"
    assert 0 < row["score"] < 2


def test_cards_of_a_file_are_built_into_an_index_and_found(tmp_path, cards, capsys):
    folder = str(tmp_path / "index")
    assert main(["index", "build", "--from", str(cards), "--index", folder]) == 0
    assert capsys.readouterr().out == f"1 model for 1 task in {folder}\n"
    assert main(["index", "search", "a scarf", "--index", folder]) == 0
    assert capsys.readouterr().out.startswith("a/knitter\ttext-generation\tmeaning\t-\t1.3M\t-\t")


@pytest.mark.parametrize(
    ("rows", "flags", "complaint"),
    [
        ("", [], "cards.jsonl: no model whose task is stated or clear among 0 rows"),
        ('{"id": "a/b"}\n{"id": "a/c"}', [], "no model whose task is stated or clear among 2 rows"),
        (json.dumps(CARD), ["--task", "translation"], "cards.jsonl: no model of translation among 1 rows"),
    ],
)
def test_a_file_without_a_model_that_can_be_kept_is_named(tmp_path, cards, capsys, rows, flags, complaint):
    cards.write_text(rows)
    assert main(["index", "build", "--from", str(cards), "--index", str(tmp_path / "index"), *flags]) == 2
    told = capsys.readouterr().err
    assert complaint in told
    assert told.count("\n") == 1


def test_of_a_file_the_most_downloaded_models_are_taken_of_each_task_that_is_named(
    tmp_path, cards, capsys, shared
):
    rows = [
        ("fill-mask", 3),
        ("translation", 50),
        ("fill-mask", 9),
        ("translation", None),
        ("translation", 50),
    ]
    models = [
        {"id": f"a/{n}", "pipeline_tag": task, "downloads": downloads}
        for n, (task, downloads) in enumerate(rows)
    ]
    models.append({"id": "a/0", "pipeline_tag": "fill-mask", "downloads": 70, "lastModified": "2026-11-01"})
    cards.write_text("\n".join(map(json.dumps, models)))

    def taken(*flags):
        folder = tmp_path / "index"
        assert main(["index", "build", "--from", str(cards), "--index", str(folder), *flags]) == 0
        index = open_index(folder, load_encoder(DEFAULT_ENCODER, shared / "encoder"))
        return {card.id for task in ("fill-mask", "translation") for card in index.cards(task)}

    assert taken("--top", "2") == {"a/0", "a/1"}
    told = capsys.readouterr()
    assert told.out.startswith("2 models for 2 tasks in ")
    assert told.err == "of 6 rows left out: 1 repeated, 3 less downloaded\n"
    assert taken("--top", "1", "--task", "translation", "--task", "fill-mask") == {"a/0", "a/1"}
    assert taken("--top", "2", "--task", "translation") == {"a/1", "a/4"}
    assert taken("--top", "9") == taken("--all") == {"a/0", "a/1", "a/2", "a/3", "a/4"}


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("nonsense", "Invalid address"),
        ("127.0.0.1:1", "Connection refused"),
        ("127.0.0.1:1000000", "Port out of range"),
    ],
)
def test_where_ray_s_address_is_wrong_a_line_says_so(tmp_path, cards, capsys, monkeypatch, address, why):
    monkeypatch.setenv("RAY_ADDRESS", address)
    build = ["index", "build", "--from", str(cards), "--index", str(tmp_path / "index"), "--engine", "ray"]
    assert main(build) == 2
    error = capsys.readouterr().err
    assert "RAY_ADDRESS: no Ray cluster is there (" in error
    assert why in error
    assert error.count("\n") == 1


def test_without_ray_a_line_says_so(tmp_path, cards, capsys, monkeypatch):
    build = ["index", "build", "--from", str(cards), "--index", str(tmp_path / "index"), "--engine", "ray"]
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(build) == 2
    assert "pip install 'hugginggpt[ray]'" in capsys.readouterr().err


def test_info_tells_tags_that_are_no_task_here_from_tasks(tmp_path, cards, capsys):
    folder = str(tmp_path / "index")
    with cards.open("a") as file:
        file.write('\n{"id": "a/lander", "pipeline_tag": "reinforcement-learning", "card": "Lands a craft."}')
    assert main(["index", "build", "--from", str(cards), "--index", folder]) == 0
    assert main(["index", "info", "--index", folder]) == 0
    built, info, *_, tag, task = capsys.readouterr().out.splitlines()
    assert built == info == f"2 models for 1 task and 1 other tag of the Hub in {folder}"
    assert (tag, task) == (
        "     1  reinforcement-learning  (no task here: only found by search)",
        "     1  text-generation",
    )


def test_tasks_has_no_tags_of_the_hub_that_are_no_task_here(tmp_path, cards, capsys, monkeypatch):
    with cards.open("a") as file:
        file.write('\n{"id": "a/lander", "pipeline_tag": "reinforcement-learning", "card": "Lands a craft."}')
    main(["index", "build", "--from", str(cards), "--index", str(tmp_path / "index")])
    monkeypatch.setenv("HUGGINGGPT_INDEX", str(tmp_path / "index"))
    capsys.readouterr()
    assert main(["tasks", "--json"]) == 0
    told = capsys.readouterr().out
    assert [row["task"] for row in json.loads(told)] == [*TASKS]
    assert "a/lander" not in told
    assert main(["tasks"]) == 0
    assert "reinforcement-learning" not in capsys.readouterr().out


def test_build_without_cards_builds_the_starter(tmp_path, capsys):
    assert main(["index", "build", "--index", str(tmp_path)]) == 0
    assert "for 41 tasks" in capsys.readouterr().out


def test_info_says_what_the_index_was_made_with(tmp_path, cards, capsys):
    folder = str(tmp_path / "index")
    main(["index", "build", "--from", str(cards), "--index", folder])
    capsys.readouterr()
    assert main(["index", "info", "--index", folder, "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert (info["models"], info["origin"]["where"], info["dimension"]) == (1, str(cards), 384)
    assert main(["index", "info", "--index", folder]) == 0
    assert "all-MiniLM-L6-v2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["search", "  "], "nothing to search for"),
        (["search", "a", "--task", "flying"], "--task flying: not a task"),
        (["search", "a", "--top-k", "0"], "--top-k 0: give 1 or more"),
        (["search", "a", "--top-k", "many"], "--top-k"),
        (["build", "--from", "nothing.jsonl"], "nothing.jsonl: cannot be read"),
        (["build", "--top", "0"], "--top 0: give 1 or more"),
        (["build", "--top", "5", "--all"], "not allowed with"),
        (["build", "--top", "5", "--task", "flying"], "--task flying: not a task"),
        (["build", "--task", "translation"], "give --top N, --all or --from"),
        (["build", "--from", "cards.jsonl", "--no-cards"], "give --top N or --all"),
        (["build", "--from", "cards.jsonl", "--top", "3", "--no-cards"], "not --from"),
        (["build", "--all", "--cards", "a.jsonl", "--no-cards"], "give one of them"),
        (["build", "--all", "--cards", "nothing.jsonl"], "nothing.jsonl: cannot be read"),
        (["update", "--index", "nowhere"], "nowhere: no index here"),
        (["info", "--index", "nowhere"], "nowhere: no index here"),
        ([], "build|update|search|info"),
    ],
)
def test_bad_input_is_told_in_one_line(arguments, complaint, capsys):
    assert main(["index", *arguments]) == 2
    told = capsys.readouterr()
    assert complaint in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""
