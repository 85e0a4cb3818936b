"""Loaded models: within the budget, each once, calls together. The models here are lists and load at once."""

import asyncio
import threading
import time
from concurrent.futures import wait

import pytest

from hugginggpt.tools import pool as pool_module
from hugginggpt.tools.pool import Model, Pool
from hugginggpt.tools.runtime import PermanentError


class Shelf:
    """Makes models of a size and remembers what became of them."""

    def __init__(self, budget):
        self.pool = Pool(lambda: budget)
        self.loads, self.batches = [], []
        self.most = 0
        self.go = threading.Event()
        self.go.set()

    def model(self, name, size=1, batch=1, run=None, prepare=None):
        def load():
            self.loads.append(name)
            self.most = max(self.most, self.pool.held)
            return [name]

        def runs(loaded, inputs):
            self.go.wait(10)
            self.batches.append([one["n"] for one in inputs])
            return [{"text": f"{loaded[0]} {one['n']}"} for one in inputs]

        return Model(name, prepare or (lambda tell: (size, load)), run or runs, batch)

    def ask(self, model, n=0):
        return self.pool.submit(model, {"n": n})

    def busy(self, model):
        """A call that is running until `go` is set."""
        self.go.clear()
        future = self.ask(model, "first")
        while not future.running():
            time.sleep(0.001)
        return future


@pytest.fixture
def shelf():
    return Shelf(10)


def text(future):
    return future.result(60)["text"]


def test_a_model_is_loaded_once_however_many_ask(shelf):
    model = shelf.model("a")
    assert [text(f) for f in [shelf.ask(model, n) for n in range(8)]] == [f"a {n}" for n in range(8)]
    assert shelf.loads == ["a"]


def test_twenty_models_pass_through_without_ever_exceeding_the_budget(shelf):
    futures = [shelf.ask(shelf.model(f"m{n}", size=3), n) for n in range(20)]
    assert [text(f) for f in futures] == [f"m{n} {n}" for n in range(20)]
    assert 0 < shelf.most <= 10
    assert shelf.pool.held <= 10


def test_the_model_leaves_that_was_not_used_for_longest(shelf):
    for name in ["a", "b", "a"]:
        text(shelf.ask(shelf.model(name, size=4)))
    text(shelf.ask(shelf.model("c", size=4)))
    for name in ["a", "c", "b"]:
        text(shelf.ask(shelf.model(name, size=4)))
    assert shelf.loads == ["a", "b", "c", "b"]


def test_a_heavy_model_waits_for_the_one_that_runs(shelf):
    first = shelf.busy(shelf.model("a", size=6))
    second = shelf.ask(shelf.model("b", size=6))
    assert wait([second], timeout=0.05).not_done
    assert shelf.loads == ["a"]
    shelf.go.set()
    assert [text(first), text(second)] == ["a first", "b 0"]


def test_a_model_larger_than_the_budget_is_refused(shelf):
    with pytest.raises(PermanentError, match=r"^takes 0.0 MB of memory; models may take 0.0 MB") as error:
        text(shelf.ask(shelf.model("a", size=11)))
    assert (error.value.kind, shelf.loads) == ("too-large", [])


def test_calls_that_arrive_while_the_model_runs_are_run_together(shelf):
    model = shelf.model("a", batch=4)
    first = shelf.busy(model)
    rest = [shelf.ask(model, n) for n in range(6)]
    shelf.go.set()
    wait([first, *rest])
    assert shelf.batches == [["first"], [0, 1, 2, 3], [4, 5]]


def test_an_input_that_a_model_cannot_take_fails_no_other(shelf):
    def run(loaded, inputs):
        if any(one["n"] == 2 for one in inputs):
            raise PermanentError("bad", "no")
        return [{"text": str(one["n"])} for one in inputs]

    model = shelf.model("a", batch=8, run=run)
    futures = [shelf.ask(model, n) for n in range(4)]
    assert [text(futures[n]) for n in (0, 1, 3)] == ["0", "1", "3"]
    with pytest.raises(PermanentError, match="no"):
        text(futures[2])


def test_a_model_that_gives_too_few_results_fails_and_goes_on(shelf):
    answers = iter([[], [{"text": "well"}]])
    model = shelf.model("a", run=lambda loaded, inputs: next(answers))
    with pytest.raises(ValueError, match="shorter"):
        text(shelf.ask(model))
    assert text(shelf.ask(model)) == "well"


def test_a_model_that_could_not_be_loaded_is_tried_again_by_the_next_call(shelf):
    attempts = []

    def prepare(tell):
        attempts.append(1)
        if len(attempts) == 1:
            raise PermanentError("gone", "not there")
        return 1, lambda: ["a"]

    with pytest.raises(PermanentError, match="not there"):
        text(shelf.ask(shelf.model("a", prepare=prepare)))
    assert text(shelf.ask(shelf.model("a", prepare=prepare), 1)) == "a 1"
    assert shelf.pool.held == 1


def test_a_call_that_is_given_up_before_it_runs_is_not_run(shelf):
    model = shelf.model("a", batch=4)
    shelf.busy(model)
    given_up, wanted = shelf.ask(model, 1), shelf.ask(model, 2)
    given_up.cancel()
    shelf.go.set()
    assert text(wanted) == "a 2"
    assert shelf.batches == [["first"], [2]]


def test_a_model_that_nobody_waits_for_any_longer_is_not_loaded(shelf):
    first = shelf.busy(shelf.model("a", size=6))
    unwanted = shelf.ask(shelf.model("b", size=6))
    time.sleep(0.05)  # until it waits for room
    unwanted.cancel()
    third = shelf.ask(shelf.model("c", size=6))
    shelf.go.set()
    assert [text(first), text(third)] == ["a first", "c 0"]
    assert shelf.loads == ["a", "c"]


def test_a_model_that_always_has_calls_gives_way_in_the_end(shelf, monkeypatch):
    monkeypatch.setattr(pool_module, "_PATIENCE", 0.02)
    model = shelf.model("a", size=6)
    first = shelf.busy(model)
    other = shelf.ask(shelf.model("b", size=6))
    rest = [shelf.ask(model, n) for n in range(3)]
    time.sleep(0.05)
    shelf.go.set()
    assert text(other) == "b 0"
    assert [text(f) for f in [first, *rest]] == ["a first", "a 0", "a 1", "a 2"]
    assert shelf.loads == ["a", "b", "a"]


def test_several_event_loops_use_the_same_model(shelf):
    model = shelf.model("a", batch=4)
    answers = []

    def loop(number):
        async def ask():
            return await asyncio.wrap_future(shelf.ask(model, number))

        answers.append(asyncio.run(ask())["text"])

    threads = [threading.Thread(target=loop, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["a 0", "a 1", "a 2", "a 3"]
    assert shelf.loads == ["a"]


async def test_a_waiter_that_is_cancelled_breaks_no_other(shelf):
    model = shelf.model("a", batch=4)
    shelf.busy(model)
    waiters = [asyncio.ensure_future(asyncio.wrap_future(shelf.ask(model, n))) for n in range(3)]
    await asyncio.sleep(0.01)
    waiters[1].cancel()
    shelf.go.set()
    outputs = await asyncio.gather(*waiters, return_exceptions=True)
    assert isinstance(outputs[1], asyncio.CancelledError)
    assert [outputs[0]["text"], outputs[2]["text"]] == ["a 0", "a 2"]


def test_how_far_a_download_is_can_be_asked_while_it_lasts(shelf):
    go = threading.Event()

    def prepare(tell):
        tell(5, 20)
        go.wait(10)
        return 1, lambda: ["a"]

    future = shelf.ask(shelf.model("a", prepare=prepare))
    while shelf.pool.download("a") is None:
        time.sleep(0.001)
    assert shelf.pool.download("a") == (5, 20)
    go.set()
    text(future)
    assert shelf.pool.download("a") is None
