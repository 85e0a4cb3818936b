import io
import json
import sys

import pytest

from hugginggpt.app.cli import main
from hugginggpt.index import build_index
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.encoder import DEFAULT_ENCODER, load_encoder


@pytest.fixture(scope="module")
def folder(shared, tmp_path_factory):
    cards = [
        ModelCard(id="a/en-de", task="translation", summary="Turns English into German.", license="mit",
                  languages=("en", "de"), parameters=70_000_000, downloads=1_234_567),
        ModelCard(id="b/opus", task="translation", summary="Languages of the world.", license="cc-by-nc-4.0",
                  parameters=8_000_000_000),
        ModelCard(id="builtin/pocketsphinx-en-us", task="automatic-speech-recognition", summary="Speech.",
                  license="bsd-2-clause"),
        ModelCard(id="d/rewriter", task="text-generation", tag="text2text-generation", summary="Rewords."),
        ModelCard(id="d/chat", task="text-generation", tag="conversational", summary="Talks to you."),
        ModelCard(id="d/writer", task="text-generation", summary="Writes a text, and rewords it."),
        ModelCard(id="d/shorter", task="summarization", tag="text2text-generation", summary="Shortens it."),
        ModelCard(id="d/composer", task="text-to-audio", summary="Composes."),
        ModelCard(id="c/lander", task="reinforcement-learning", summary="Lands a craft on the moon."),
    ]  # fmt: skip
    folder = tmp_path_factory.mktemp("index")
    build_index(folder, cards, load_encoder(DEFAULT_ENCODER, shared / "encoder"))
    return str(folder)


def lines(capsys):
    return [line.split("\t") for line in capsys.readouterr().out.splitlines()]


def test_a_line_says_what_a_model_is_why_it_was_found_and_where_it_runs(folder, capsys):
    assert main(["index", "search", "German translation", "--index", folder, "--top-k", "1"]) == 0
    (line,) = lines(capsys)
    assert line[:2] == ["a/en-de", "translation"]
    assert line[2] == "task: translation; text: German"
    assert line[3:6] == ["mit", "70M", "1.23M"]


def test_a_packaged_model_runs_on_builtin(folder, capsys):
    assert main(["index", "search", "speech", "--runtime", "builtin", "--index", folder]) == 0
    assert [(line[0], line[-1]) for line in lines(capsys)] == [("builtin/pocketsphinx-en-us", "builtin")]


def test_a_model_without_the_words_was_found_by_meaning(folder, capsys):
    assert main(["index", "search", "Übertragung", "--task", "translation", "--index", folder]) == 0
    assert {line[2] for line in lines(capsys)} == {"meaning"}


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        (["--license", "permissive"], {"a/en-de", "builtin/pocketsphinx-en-us"}),
        (["--license", "CC-BY-NC-4.0"], {"b/opus"}),
        (["--license", "CC BY NC 4.0"], {"b/opus"}),
        (["--language", "German"], {"a/en-de"}),
        (["--language", "de"], {"a/en-de"}),
        (["--max-params", "1.5B"], {"a/en-de"}),
        (["--max-params", "8b"], {"a/en-de", "b/opus"}),
        (["--task", "translation"], {"a/en-de", "b/opus"}),
    ],
)
def test_a_filter_is_kept_to(folder, capsys, flags, found):
    assert main(["index", "search", "translate", "--index", folder, *flags]) == 0
    assert {line[0] for line in lines(capsys)} == found


def test_a_tag_of_the_hub_that_is_no_task_here_is_searched_by_and_runs_nowhere(folder, tmp_path, capsys):
    batch = tmp_path / "queries.jsonl"
    batch.write_text('{"id": 1, "query": "land", "task": "reinforcement-learning"}\n')
    assert main(["index", "search", "land on the moon", "--index", folder, "--top-k", "1"]) == 0
    assert main(["index", "search", "land", "--task", "reinforcement-learning", "--index", folder]) == 0
    assert [(line[0], line[-1]) for line in lines(capsys)] == [("c/lander", "-")] * 2
    assert main(["index", "search", "--batch", str(batch), "--index", folder]) == 0
    assert json.loads(capsys.readouterr().out) == {"id": 1, "hits": ["c/lander"]}


@pytest.mark.parametrize(
    ("task", "found"),
    [
        ("text2text-generation", {"d/rewriter", "d/shorter"}),
        ("conversational", {"d/chat"}),
        ("text-generation", {"d/rewriter", "d/chat", "d/writer"}),
        ("summarization", {"d/shorter"}),
        ("speech-segmentation", set()),
        ("text-to-music", {"d/composer"}),
    ],
)
def test_a_tag_whose_models_have_other_tasks_here_finds_those_that_state_it(
    folder, tmp_path, capsys, task, found
):
    batch = tmp_path / "queries.jsonl"
    batch.write_text(json.dumps({"id": 1, "query": "reword a text", "task": task}))
    assert main(["index", "search", "reword a text", "--task", task, "--index", folder]) == 0
    assert {line[0] for line in lines(capsys)} == found
    assert main(["index", "search", "--batch", str(batch), "--index", folder]) == 0
    assert {*json.loads(capsys.readouterr().out)["hits"]} == found


def test_json_has_the_tag_of_the_hub(folder, capsys):
    assert main(["index", "search", "a", "--task", "conversational", "--json", "--index", folder]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["task"], row["tag"]) == ("text-generation", "conversational")


@pytest.fixture
def on_a_terminal(monkeypatch):
    def sized(width):
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    return sized


def test_on_a_wide_terminal_there_is_a_row_per_model(folder, capsys, on_a_terminal):
    on_a_terminal(120)
    assert main(["index", "search", "German translation", "--index", folder, "--top-k", "1"]) == 0
    heading, row = capsys.readouterr().out.splitlines()
    assert [word for word in ("model", "task", "why", "licence", "size", "runs on") if word in heading]
    assert row.split()[:2] == ["a/en-de", "translation"]


@pytest.mark.parametrize("width", [30, 60])
def test_on_a_narrow_terminal_an_id_is_still_whole_and_facts_are_below_it(
    folder, capsys, on_a_terminal, width
):
    on_a_terminal(width)
    assert main(["index", "search", "speech", "--index", folder, "--top-k", "1"]) == 0
    printed = capsys.readouterr().out
    assert "…" not in printed
    assert "builtin/pocketsphinx-en-us" in printed.replace("\n", "")
    assert "licence bsd-2-clause" in " ".join(printed.replace("|", " ").split())


def test_words_need_no_quotation_marks(folder, capsys):
    assert main(["index", "search", "German", "translation", "--index", folder, "--top-k", "1"]) == 0
    assert lines(capsys)[0][2] == "task: translation; text: German"


def test_where_nothing_passes_a_line_says_what_was_asked_for(folder, capsys):
    flags = ["--license", "mitt", "--max-params", "1k", "--runtime", "builtin"]
    assert main(["index", "search", "a", "--index", folder, *flags]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "passes --license mitt, --max-params 1k, --runtime builtin; what a card does not" in told.err


def test_a_folder_without_an_index_is_not_made_one_by_a_search(tmp_path, capsys):
    assert main(["index", "search", "cats", "--index", str(tmp_path / "typo")]) == 2
    assert "typo: no index here" in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == []


def test_a_misspelt_task_is_told_the_nearest(folder, capsys):
    assert main(["index", "search", "a", "--task", "translaton", "--index", folder]) == 2
    assert "did you mean translation?" in capsys.readouterr().err


def test_json_has_the_card_and_what_the_table_says(folder, capsys):
    assert main(["index", "search", "German", "--json", "--top-k", "1", "--index", folder]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["id"], row["why"], row["summary"]) == (
        "a/en-de",
        "text: German",
        "Turns English into German.",
    )
    assert isinstance(row["runs_on"], list)


def test_a_word_is_told_once_though_the_card_has_it_in_many_forms(tmp_path, capsys):
    card = {
        "id": "a/boats",
        "pipeline_tag": "object-detection",
        "card": "Detects boats in photographs of a harbour. BOATS, or a boat, it detected.",
    }
    (tmp_path / "cards.jsonl").write_text(json.dumps(card))
    assert (
        main(["index", "build", "--from", str(tmp_path / "cards.jsonl"), "--index", str(tmp_path / "index")])
        == 0
    )
    assert main(["index", "search", "detecting a boat", "--index", str(tmp_path / "index")]) == 0
    assert lines(capsys)[-1][2] == "name: boats; task: detection; text: Detects, boats"


def test_a_batch_as_json_is_one_list(folder, tmp_path, capsys):
    path = tmp_path / "queries.jsonl"
    path.write_text('{"id": 1, "query": "cats"}\n{"id": 2, "query": "a letter"}')
    assert main(["index", "search", "--batch", str(path), "--json", "--index", str(folder)]) == 0
    assert [row["id"] for row in json.loads(capsys.readouterr().out)] == [1, 2]


def test_a_batch_may_come_from_stdin_with_any_character_in_its_queries(folder, capsys, monkeypatch):
    queries = '\ufeff{"id": 1, "query": "into\u2028German"}\r\n{"id": 2, "query": "a letter"}\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(queries.encode())))
    assert main(["index", "search", "--batch", "-", "--index", folder]) == 0
    assert [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()] == [1, 2]


def test_a_batch_gives_a_line_of_ids_per_query(folder, tmp_path, capsys):
    batch = tmp_path / "queries.jsonl"
    batch.write_text(
        '{"id": "q1", "query": "into German"}\n\n'
        '{"id": 2, "query": "write down speech", "task": "automatic-speech-recognition", "other": 1}\n'
    )
    assert main(["index", "search", "--batch", str(batch), "--top-k", "2", "--index", folder]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["id"] == "q1"
    assert first["hits"][0] == "a/en-de"
    assert second == {"id": 2, "hits": ["builtin/pocketsphinx-en-us"]}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("nonsense", "queries.jsonl:2: not JSON"),
        ('{"query": "a"}', 'queries.jsonl:2: has no "id"'),
        ("[1]", 'queries.jsonl:2: has no "id"'),
        ('{"id": true, "query": "a"}', 'queries.jsonl:2: has no "id"'),
        ('{"id": 1}', 'queries.jsonl:2: has no "query"'),
        (r'{"id": 1, "query": "\ud800"}', 'queries.jsonl:2: has no "query"'),
        ('{"id": 1, "query": " "}', 'queries.jsonl:2: has no "query"'),
        ('{"id": 1, "query": "a", "task": "flying"}', "queries.jsonl:2: flying: not a task"),
    ],
)
def test_a_bad_line_of_a_batch_is_named_before_anything_is_printed(folder, tmp_path, capsys, line, complaint):
    batch = tmp_path / "queries.jsonl"
    batch.write_text('{"id": 1, "query": "fine"}\n' + line + "\n")
    assert main(["index", "search", "--batch", str(batch), "--index", folder]) == 2
    told = capsys.readouterr()
    assert complaint in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "nothing to search for"),
        (["a\udcff"], "the words are not UTF-8 text"),
        (["a", "--batch", "x.jsonl"], "WORDS and --batch"),
        (["--batch", "nowhere.jsonl"], "nowhere.jsonl: cannot be read"),
        (["a", "--language", "klingonese"], "--language klingonese: not a language"),
        (["a", "--max-params", "many"], "--max-params many: give a number"),
        (["a", "--runtime", "abacus"], "--runtime abacus: there is none"),
    ],
)
def test_bad_input_is_told_in_one_line(arguments, complaint, capsys):
    assert main(["index", "search", *arguments]) == 2
    told = capsys.readouterr()
    assert complaint in told.err
    assert told.err.count("\n") == 1
