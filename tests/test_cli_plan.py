"""`hugginggpt plan`, `tasks` and `doctor`."""

import json
from pathlib import Path

from hugginggpt.app.cli import main
from hugginggpt.tools.tasks import TASKS

INVOICE = str(Path(__file__).parents[1] / "examples" / "invoice.png")
READ = "Read the text in this picture"


def planned(capsys, *argv):
    """The JSON object of a plan, and the exit status."""
    status = main(["plan", "--json", *argv])
    return json.loads(capsys.readouterr().out), status


def test_plan_shows_a_tree_and_runs_nothing(capsys, home, monkeypatch):
    monkeypatch.setenv("HUGGINGGPT_INDEX", str(home / "index"))
    assert main(["plan", READ, "--file", INVOICE]) == 0
    assert "#0 image-to-text(image: invoice.png)" in capsys.readouterr().out
    assert not (home / "threads.sqlite").exists()
    assert not (home / "index").exists()


def test_plan_as_json(capsys):
    answer, status = planned(capsys, READ, "--file", INVOICE)
    assert status == 0
    assert answer == {
        "plan": {"tasks": [{"id": 0, "task": "image-to-text", "args": {"image": {"file": "invoice.png"}}}]},
        "problems": [],
        "controller": "embedded",
    }


def test_an_empty_plan_is_no_problem(capsys):
    assert planned(capsys, "Hello, how are you?") == (
        {"plan": {"tasks": []}, "problems": [], "controller": "embedded"},
        0,
    )


def test_a_plan_with_problems_says_them_and_fails(capsys):
    answer, status = planned(capsys, f"{READ}, then read it aloud", "--file", INVOICE, "--max-tasks", "1")
    assert status == 1
    assert answer["problems"] == ["the plan has 2 tasks; at most 1 are allowed"]


def test_batch_plans_each_line_for_files_that_need_not_exist(capsys, tmp_path):
    lines = [
        {"id": "a", "request": READ, "files": ["scan.png"]},
        {"id": 7, "request": "Write down what is said", "files": ["memo.wav"]},
    ]
    (tmp_path / "requests.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    assert main(["plan", "--batch", str(tmp_path / "requests.jsonl")]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["id"], first["plan"]["tasks"][0]["args"]) == ("a", {"image": {"file": "scan.png"}})
    assert (second["id"], second["plan"]["tasks"][0]["task"]) == (7, "automatic-speech-recognition")


def test_bad_lines_of_a_batch_are_told_and_the_others_planned(capsys, tmp_path):
    bad = ["{", "[1]", '{"id": 1}', '{"id": 1, "request": ""}', '{"id": 1, "request": "x", "files": "y"}']
    good = json.dumps({"id": 2, "request": READ, "files": ["scan.png"]})
    (tmp_path / "requests.jsonl").write_text("\n".join([*bad, good]))
    assert main(["plan", "--batch", str(tmp_path / "requests.jsonl")]) == 2
    out, err = capsys.readouterr()
    assert [json.loads(line)["id"] for line in out.splitlines()] == [2]
    assert [line.split(":")[1].strip() for line in err.splitlines()] == [f"line {n}" for n in range(1, 6)]


def test_batch_that_is_not_there(capsys, tmp_path):
    assert main(["plan", "--batch", str(tmp_path / "none.jsonl")]) == 2
    assert "none.jsonl: No such file or directory" in capsys.readouterr().err


def test_plan_wants_a_request_or_a_batch(capsys):
    assert main(["plan"]) == 2
    assert "give either a REQUEST or --batch" in capsys.readouterr().err


def test_tasks_lists_the_whole_table_and_who_can_do_each(capsys):
    assert main(["tasks", "--json"]) == 0
    rows = {row["task"]: row for row in json.loads(capsys.readouterr().out)}
    assert [*rows] == [*TASKS]
    assert {model["runtime"] for model in rows["image-to-text"]["models"]} == {"builtin"}
    assert rows["text-to-video"]["models"] == []


def test_tasks_for_people(capsys):
    assert main(["tasks"]) == 0
    out = capsys.readouterr().out
    assert "translation(text, target_language, source_language?) → text" in out
    assert f"of {len(TASKS)} tasks can be done here now" in out


def test_doctor_finds_what_is_installed(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert all(
        word in out for word in ("python", "langgraph ", "encoder", "index", "builtin: available", "embedded")
    )


def test_doctor_says_what_to_do_about_what_is_missing(capsys, monkeypatch):
    monkeypatch.setenv("HUGGINGGPT_HOME", "/proc/home")
    monkeypatch.setenv("HUGGINGGPT_INDEX", "/proc/index")
    assert main(["doctor", "--json"]) == 0
    findings = {finding["about"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert "HUGGINGGPT_HOME" in findings["home"]["advice"]
    assert "hugginggpt index build" in findings["index"]["advice"]


def test_doctor_tells_an_index_of_another_version_from_none(tmp_path, capsys, monkeypatch):
    (tmp_path / "manifest.json").write_text('{"format": 3, "encoder": "acme/encoder"}')
    monkeypatch.setenv("HUGGINGGPT_INDEX", str(tmp_path))
    assert main(["doctor", "--json"]) == 0
    (index,) = (finding for finding in json.loads(capsys.readouterr().out) if finding["about"] == "index")
    assert "cannot be used" in index.values()
    assert "an older hugginggpt" in index["advice"]


def test_a_language_model_that_does_not_answer_is_told_and_planned_without(capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_MODEL", "none")
    assert main(["plan", READ, "--file", INVOICE, "--json", "--max-attempts", "1"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["plan"]["tasks"][0]["task"] == "image-to-text"
    assert err.startswith("hugginggpt: ")
    assert err.count("\n") == 1
