"""Which candidates a task gets, and in which order. The index is real; the runtimes say what they can."""

import doubles
import pytest

from hugginggpt.graph import resources
from hugginggpt.graph.context import Home
from hugginggpt.graph.plan import Task
from hugginggpt.graph.shortlist import shortlist
from hugginggpt.index import starter_cards
from hugginggpt.index.opening import build_index
from hugginggpt.tools import runtime
from hugginggpt.tools.runtime import PermanentError
from hugginggpt.tools.seen import Seen


@pytest.fixture
def candidates(bench, models):
    """The candidates of a text-generation task among the models of these names."""

    def of(*names, top_k=5, seen=None):
        models(*names)
        home = Home.from_environment()
        index, runtimes = resources.index(home), resources.runtimes(home)
        task = Task.model_validate(doubles.generate(0, "x"))
        return shortlist(task, "far", index, runtimes, top_k, None, seen or Seen())

    return of


def ids(candidates):
    return [candidate.card.id for candidate in candidates]


def test_what_can_begin_now_comes_before_what_has_to_be_downloaded(candidates):
    found = candidates("far", "echo", "far-off")
    assert ids(found)[0] == "bench/echo"
    assert [candidate.ready for candidate in found] == [True, False, False]


def test_what_can_begin_now_is_found_behind_a_shortlist_of_better_scores(candidates):
    found = candidates("far", "far-off", "far-away", "echo", top_k=2)
    assert found[0].card.id == "bench/echo"
    assert found[0].score < found[1].score


def test_a_candidate_stands_there_once(candidates):
    found = ids(candidates("far", "echo", "flaky"))
    assert sorted(found) == ["bench/echo", "bench/far", "bench/flaky"]


def test_a_model_whose_tag_is_no_task_is_found_and_on_no_shortlist(bench, home):
    encoder = resources.encoder(Home.from_environment())
    cards = [doubles.card("echo"), doubles.card("far", "reinforcement-learning")]
    index = build_index(home / "tagged", cards, encoder)
    task = Task.model_validate(doubles.generate(0, "x"))
    assert {hit.card.id for hit in index.search("far")} == {"bench/echo", "bench/far"}
    assert ids(shortlist(task, "far", index, {"bench": bench()}, 5, None, Seen())) == ["bench/echo"]


def test_what_worked_comes_before_what_failed(candidates):
    def saw(works, fails):
        seen = Seen()
        for _ in range(10):
            seen.note(works, "bench", 1.0, None)
            seen.note(fails, "bench", 1.0, PermanentError("error", "no"))
        return ids(candidates("twin-a", "twin-b", seen=seen))

    assert saw("bench/twin-a", "bench/twin-b") == ["bench/twin-a", "bench/twin-b"]
    assert saw("bench/twin-b", "bench/twin-a") == ["bench/twin-b", "bench/twin-a"]


def test_a_candidate_carries_the_seconds_that_were_seen(candidates):
    seen = Seen()
    seen.note("bench/echo", "bench", 2.0, None)
    seen.note("bench/flaky", "other", 2.0, None)
    seconds = {found.card.id: found.seconds for found in candidates("echo", "flaky", seen=seen)}
    assert seconds == {"bench/echo": pytest.approx(2.0), "bench/flaky": None}


def test_the_search_for_what_can_begin_now_ends(candidates, bench, monkeypatch):
    monkeypatch.setattr("hugginggpt.graph.shortlist._LOOKED_AT", 50)
    asked = []
    monkeypatch.setattr(doubles.Bench, "ready", lambda _, card: asked.append(card.id) or False)
    found = candidates(*(f"far-{n}" for n in range(300)), top_k=3)
    assert len(found) == 3
    assert len({*asked}) < 150


def test_a_model_that_comes_inside_a_package_is_found_however_many_are_nearer(bench, home, monkeypatch):
    monkeypatch.setattr("hugginggpt.graph.shortlist._LOOKED_AT", 0)
    monkeypatch.setitem(runtime.RUNTIMES, "builtin", "hugginggpt.tools.builtin:Builtin")
    [espeak] = [card for card in starter_cards() if card.id == "builtin/espeak-ng"]
    many = [doubles.card(f"far-{n}", "text-to-speech") for n in range(60)]
    encoder = resources.encoder(Home.from_environment())
    index = build_index(home / "many", [*many, espeak], encoder)
    task = Task.model_validate({"id": 0, "task": "text-to-speech", "args": {"text": "far"}})
    found = shortlist(task, "far", index, resources.runtimes(Home.from_environment()), 2, None, Seen())
    assert [candidate.ready for candidate in found] == [True, False]
    assert found[0].card.id == "builtin/espeak-ng"
