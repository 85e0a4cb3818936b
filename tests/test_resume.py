"""A process that dies in the middle of a plan: another takes over from SQLite what was finished."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
EXPECTED = {
    0: "<zero>",
    1: "<one>",
    2: "<two\n\n<one>>",
    3: "<three\n\n<zero>\n\n<two\n\n<one>>>",
    5: ["<a>", "<b>", "<c>"],
    6: "<six\n\n<a>\n<b>\n<c>>",
}


@pytest.fixture
def run(tmp_path, bench):
    """Runs the script as a process of its own; gives its output, or None when it was killed."""

    def start(level, *, kill=None):
        environment = {**os.environ, "BENCH_LOG": str(tmp_path / "log"), "PYTHONPATH": str(HERE)}
        if kill:
            environment["BENCH_KILL"] = kill
        command = [sys.executable, str(HERE / "resume_script.py"), str(tmp_path / "threads.sqlite"), level]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == (9 if kill else 0), done.stderr
        return json.loads(done.stdout) if done.stdout else None

    return start


def ended(folder):
    """The texts of the models that ended, in the order of the log."""
    lines = (folder / "log").read_text().splitlines()
    return [line.removeprefix("end ") for line in lines if line.startswith("end ")]


@pytest.mark.parametrize(
    ("level", "kill"),
    [("top", kill) for kill in ("zero", "one", "two", "three", "a", "b", "c", "six")]
    + [("nested", kill) for kill in ("zero", "b", "six")],
)
def test_a_killed_run_is_resumed_without_mixing_or_repeating_results(run, tmp_path, kill, level):
    assert run(level, kill=kill) is None
    before = ended(tmp_path)
    output = run(level)
    texts = dict(part.split("=", 1) for part in output["answer"].rstrip(";").split(";"))
    assert {int(id_): text for id_, text in texts.items() if id_ != "4"} == {
        k: str(v) for k, v in EXPECTED.items()
    }
    if output["results"]:  # a parent graph has no such channel
        assert {r["id"]: r["outputs"]["text"] for r in output["results"] if r["id"] != 4} == EXPECTED
        assert {r["status"] for r in output["results"]} == {"done"}
    repeated = [text for text in ended(tmp_path)[len(before) :] if text in before]
    # The very last thing that ended may not have been stored yet when the process died.
    assert [text for text in repeated if text not in before[-1:]] == []
