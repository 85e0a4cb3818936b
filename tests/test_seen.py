"""What was seen of models: kept across processes, and turned into merit and seconds."""

import json
import math
import multiprocessing
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hugginggpt.app.cli import main
from hugginggpt.tools.runtime import PermanentError, TransientError
from hugginggpt.tools.seen import NOT_THE_MODELS, Seen

DOWN = TransientError("connection", "nobody listens")
WEEK = 7 * 86_400.0


class Clock:
    now = 1_800_000_000.0

    def __call__(self):
        return self.now


def calls(seen, model, *seconds, runtime="r"):
    """Notes calls: the seconds of those that worked, None for one that failed."""
    for value in seconds:
        seen.note(model, runtime, value or 0.1, None if value else DOWN)


def test_nothing_is_known_of_a_model_that_was_not_seen():
    seen = Seen()
    assert (seen.merit("m"), seen.seconds("m", "r"), seen.failing()) == (0.0, None, [])


def test_success_lifts_merit_and_failure_lowers_it():
    seen = Seen()
    calls(seen, "good", 3.0)
    calls(seen, "better", 3.0, 3.0, 3.0)
    calls(seen, "bad", None)
    calls(seen, "worse", None, None, None)
    order = [seen.merit(model) for model in ("worse", "bad", "unseen", "good", "better")]
    assert order == sorted(order)
    assert order[2] == 0


def test_merit_is_the_formula_that_is_documented():
    seen = Seen(clock=Clock())
    calls(seen, "m", 1.0)
    calls(seen, "n", None)
    assert seen.merit("m") == pytest.approx(0.8 * (5 / 6 - 0.8) / 0.2 + 0.2 * 1 / 6)
    assert seen.merit("n") == pytest.approx(0.8 * (4 / 6 - 0.8) / 0.8)


def test_of_two_that_work_the_quicker_one_has_more_merit_but_working_counts_more():
    seen = Seen()
    calls(seen, "quick", *[0.3] * 10)
    calls(seen, "slow", *[30.0] * 10)
    calls(seen, "quick-but-broken", *[0.3, None] * 10)
    assert seen.merit("quick") > seen.merit("slow") > seen.merit("quick-but-broken")
    assert seen.merit("slow") > 0


@given(
    st.lists(st.one_of(st.none(), st.floats(1e-4, 1e5)), max_size=60),
    st.lists(st.floats(0, 3 * WEEK), min_size=60, max_size=60),
)
def test_merit_is_always_in_its_range(seconds, pauses):
    clock = Clock()
    seen = Seen(clock=clock)
    for value, pause in zip(seconds, pauses, strict=False):
        calls(seen, "m", value)
        clock.now += pause
        assert -1 < seen.merit("m") < 1


def test_a_bad_day_is_forgotten_in_time():
    clock = Clock()
    seen = Seen(clock=clock)
    calls(seen, "m", *[None] * 10)
    before = seen.merit("m")
    clock.now += 12 * WEEK
    assert before < -0.3
    assert -0.01 < seen.merit("m") < 0


def test_seconds_are_hardly_moved_by_one_slow_call_and_follow_a_lasting_change():
    seen = Seen()
    calls(seen, "m", *[2.0] * 10)
    assert seen.seconds("m", "r") == pytest.approx(2)
    calls(seen, "m", 60.0)
    assert seen.seconds("m", "r") < 4
    calls(seen, "m", *[60.0] * 10)
    assert seen.seconds("m", "r") > 40


def test_seconds_are_per_runtime_and_of_calls_that_worked():
    seen = Seen()
    calls(seen, "m", 2.0, None, runtime="here")
    calls(seen, "m", None, runtime="there")
    assert seen.seconds("m", "here") == pytest.approx(2)
    assert seen.seconds("m", "there") is None


@pytest.mark.parametrize("kind", sorted(NOT_THE_MODELS))
def test_what_is_wrong_with_the_input_is_held_against_no_model(kind):
    seen = Seen()
    seen.note("m", "r", 1.0, PermanentError(kind, "no"))
    assert seen.merit("m") == 0


def test_the_next_process_knows_what_this_one_saw(tmp_path):
    seen = Seen(tmp_path / "home" / "seen.sqlite")
    calls(seen, "m", 2.0, None)
    seen.save()
    later = Seen(tmp_path / "home" / "seen.sqlite")
    assert later.merit("m") == pytest.approx(seen.merit("m"), abs=1e-6)
    assert later.seconds("m", "r") == pytest.approx(2)
    assert [sight.error for sight in later.failing()] == ["nobody listens"]


def test_what_another_process_saw_is_known_after_the_next_save(tmp_path):
    mine, theirs = Seen(tmp_path / "seen.sqlite"), Seen(tmp_path / "seen.sqlite")
    calls(theirs, "m", None)
    theirs.save()
    assert mine.merit("m") == 0
    mine.save()
    assert mine.merit("m") < 0


def _saw(path, model):
    seen = Seen(path)
    for _ in range(20):
        calls(seen, model, 1.0)
        calls(seen, "shared", 1.0)
        seen.save()


def test_processes_that_write_at_once_lose_nothing(tmp_path):
    path = tmp_path / "seen.sqlite"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_saw, args=(path, f"m{n}")) for n in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    with sqlite3.connect(path) as file:
        counts = dict(file.execute("SELECT model, calls FROM seen"))
    assert counts == {"m0": 20, "m1": 20, "shared": 40}


def test_a_file_that_is_damaged_is_made_anew(tmp_path):
    path = tmp_path / "seen.sqlite"
    path.write_bytes(b"no database" * 1000)
    seen = Seen(path)
    calls(seen, "m", 2.0)
    seen.save()
    assert Seen(path).seconds("m", "r") == pytest.approx(2)


def test_a_file_that_cannot_be_written_costs_no_run_and_is_written_when_it_can_be(tmp_path, caplog):
    (tmp_path / "file").write_text("no folder")
    seen = Seen(tmp_path / "file" / "seen.sqlite")
    calls(seen, "m", 2.0)
    seen.save()
    assert seen.seconds("m", "r") == pytest.approx(2)
    assert "what was seen of models is not kept for now" in caplog.text
    (tmp_path / "file").unlink()
    seen.save()
    assert Seen(tmp_path / "file" / "seen.sqlite").seconds("m", "r") == pytest.approx(2)


def test_a_file_that_another_process_holds_is_left_for_the_next_time(tmp_path, monkeypatch):
    monkeypatch.setattr("hugginggpt.tools.seen._BUSY", 0.05)
    path = tmp_path / "seen.sqlite"
    seen = Seen(path)
    calls(seen, "m", 2.0)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    seen.save()
    other.execute("ROLLBACK")
    other.close()
    assert math.isclose(seen.seconds("m", "r"), 2)
    seen.save()
    assert Seen(path).seconds("m", "r") == pytest.approx(2)


def test_the_doctor_names_models_that_fail_and_why(home, capsys):
    seen = Seen(home / "seen.sqlite")
    calls(seen, "a/good", 2.0)
    calls(seen, "a/bad", None, None)
    seen.save()
    assert main(["doctor", "--json"]) == 0
    found = [line for line in json.loads(capsys.readouterr().out) if line["about"] == "model"]
    assert found == [
        {"about": "model", "found": "a/bad on r", "advice": "has only failed here: nobody listens"}
    ]
