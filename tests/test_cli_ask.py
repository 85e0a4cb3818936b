"""`hugginggpt ask` with real models: answers, files, exit status."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hugginggpt.app.cli import main

PROGRAM = str(Path(sys.executable).with_name("hugginggpt"))
INVOICE = str(Path(__file__).parents[1] / "examples" / "invoice.png")
READ = "Read the text in this picture"
ALOUD = 'Read aloud: "The parcel has arrived."'
PAINT = "Paint a picture of a lighthouse at night"


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    """An empty current folder, where `out` is made."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_answer_is_on_stdout_and_the_progress_on_stderr(capsys):
    assert main(["ask", READ, "--file", INVOICE]) == 0
    out, err = capsys.readouterr()
    assert "358.08" in out
    assert "plan: #0 image-to-text(image: invoice.png)" in err
    assert re.search(r"#0 image-to-text done builtin/\S+ on builtin, \d+\.\d s", err)


def test_files_that_are_made_are_in_the_out_folder_and_named_after_the_answer(capsys, place):
    assert main(["ask", ALOUD]) == 0
    (made,) = (place / "out").iterdir()
    assert made.read_bytes()[:4] == b"RIFF"
    assert capsys.readouterr().out.splitlines()[-1] == f"out/{made.name}"


def test_out_names_the_folder(place, capsys):
    assert main(["ask", ALOUD, "--out", "deep/er"]) == 0
    assert [file.suffix for file in (place / "deep/er").iterdir()] == [".wav"]
    assert not (place / "out").exists()


def test_no_folder_is_made_when_no_file_is(place):
    assert main(["ask", READ, "--file", INVOICE]) == 0
    assert not (place / "out").exists()


def test_json_is_one_object_and_nothing_else(capsys, place):
    assert main(["ask", ALOUD, "--json"]) == 0
    out, err = capsys.readouterr()
    assert "text-to-speech" not in err
    answer = json.loads(out)
    assert [*answer] == ["answer", "plan", "results", "artifacts"]
    (result,) = answer["results"]
    assert [*answer["plan"]["tasks"][0]] == ["id", "task", "args"]
    fields = {"id", "task", "status", "model", "runtime", "seconds", "attempts", "outputs", "error"}
    assert {*result} == fields
    (artifact,) = answer["artifacts"]
    assert artifact["media_type"] == "audio/wav"
    assert (place / artifact["path"]).stat().st_size == artifact["bytes"]


def test_a_task_without_a_model_fails_the_call_and_the_answer_says_which(capsys):
    assert main(["ask", PAINT]) == 1
    assert "text-to-image" in capsys.readouterr().out


def test_a_direct_question_is_answered_by_what_it_needs(capsys):
    assert main(["ask", "Why is the sky blue?"]) == 0
    out, err = capsys.readouterr()
    assert "language model" in out
    assert "plan: no model is needed" in err


def test_the_request_can_come_from_stdin_and_piped_output_has_no_control_codes():
    run = [PROGRAM, "ask", "-", "--file", INVOICE]
    done = subprocess.run(run, input=READ.encode(), capture_output=True, check=True)
    assert b"358.08" in done.stdout
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", done.stdout + done.stderr)


def test_two_files_of_one_name_are_kept_apart(capsys, place):
    (place / "other").mkdir()
    (place / "memo.txt").write_text("The meeting is on Tuesday.")
    (place / "other/memo.txt").write_text("The meeting is on Friday.")
    assert main(["ask", "Read this aloud", "--file", "memo.txt", "--file", "other/memo.txt"]) in {0, 1}
    assert "memo-2.txt" in capsys.readouterr().err


def test_a_terminal_shows_the_plan_as_a_tree_and_how_to_go_on():
    shell = f"stty cols 150; {PROGRAM} ask '{READ}' --file {INVOICE}"
    done = subprocess.run(["script", "-qec", shell, "/dev/null"], capture_output=True, check=True)
    assert "✓ ".encode() in done.stdout
    assert b"\x1b[" in done.stdout
    assert re.search(rb"Goes on with: hugginggpt ask --thread \w+-\w+", done.stdout)


def test_the_first_run_says_that_it_prepares(capsys, monkeypatch, place):
    monkeypatch.setenv("HUGGINGGPT_INDEX", str(place / "index"))
    assert main(["ask", ALOUD]) == 0
    assert "preparing the encoder and the index of models" in capsys.readouterr().err
