"""Which candidates a task gets, and in which order. The index is real; the runtimes say what they can."""

import doubles
import pytest

from hugginggpt.graph import resources
from hugginggpt.graph.context import Home
from hugginggpt.graph.plan import Task
from hugginggpt.graph.shortlist import shortlist


@pytest.fixture
def candidates(bench, models):
    """The candidates of a text-generation task among the models of these names."""

    def of(*names, top_k=5, **runtimes):
        models(*names)
        home = Home.from_environment()
        task = Task.model_validate(doubles.generate(0, "x"))
        return shortlist(
            task, "far", resources.index(home), runtimes or resources.runtimes(home), top_k, None
        )

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
