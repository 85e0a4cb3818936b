"""Working through a shortlist: what is tried again, what is passed over, and when it is over."""

import asyncio
import threading
import time

import doubles
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hugginggpt.tools import breaker
from hugginggpt.tools.attempts import Call, Limits, run_shortlist
from hugginggpt.tools.breaker import COOL_DOWN, FAULTS, LONGEST, Circuits
from hugginggpt.tools.runtime import Candidate, PermanentError, TransientError
from hugginggpt.tools.seen import Seen

DOWN = TransientError("connection", "nobody listens")
COMPLAINT = PermanentError("too-long", "the text is too long")


class Replies:
    """A runtime whose models do the next thing of their list: raise it, sleep that long, or give a text."""

    def __init__(self, **models):
        self.models, self.calls = models, []

    async def run(self, card, task, inputs):
        name = card.id.partition("/")[2]
        self.calls.append(name)
        replies = self.models[name]
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, float):
            await asyncio.sleep(reply)
        return {"text": name}


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def candidate(name, **facts):
    return Candidate(card=doubles.card(name), runtime="r", **facts)


def busy(seconds):
    return TransientError("busy", "too many requests", retry_after=seconds)


async def work(runtime, *, limits=Limits(), circuits=None, seen=None, models=None):  # noqa: B008, frozen
    async def accept(outputs):
        return outputs

    candidates = [
        model if isinstance(model, Candidate) else candidate(model) for model in models or runtime.models
    ]
    call = Call(
        "text-generation",
        {},
        {"r": runtime},
        limits,
        accept,
        lambda _: None,
        circuits or Circuits(),
        seen or Seen(),
    )
    return await run_shortlist(candidates, call)


def tried(run):
    return [attempt["model"].partition("/")[2] for attempt in run.attempts]


async def test_a_pause_that_is_longer_than_the_next_candidate_takes_is_not_waited_for():
    started = time.monotonic()
    run = await work(Replies(first=[busy(20)], second=["x"]))
    assert (tried(run), run.outputs) == (["first", "second"], {"text": "second"})
    assert time.monotonic() - started < 1


async def test_a_pause_that_is_shorter_than_the_next_candidate_takes_is_waited_for():
    run = await work(Replies(first=[busy(0.1), "x"], second=["x"]))
    assert (tried(run), run.outputs) == (["first", "first"], {"text": "first"})


@pytest.mark.parametrize(("seconds", "used"), [(0.1, "second"), (5.0, "first")])
async def test_how_long_the_next_candidate_takes_is_what_was_seen_of_it(seconds, used):
    seen = Seen()
    seen.note("bench/second", "r", seconds, None)
    run = await work(Replies(first=[busy(0.6), "x"], second=["x"]), seen=seen)
    assert run.outputs == {"text": used}


async def test_a_candidate_that_has_to_be_downloaded_is_worth_a_longer_pause(monkeypatch):
    monkeypatch.setattr("hugginggpt.tools.attempts._UNSEEN", 0.1)
    far = candidate("far", ready=False)
    run = await work(Replies(first=[busy(0.6), "x"], far=["x"]), models=["first", far])
    assert run.outputs == {"text": "first"}


async def test_the_only_candidate_is_waited_for():
    run = await work(Replies(first=[busy(0.6), "x"]))
    assert tried(run) == ["first", "first"]


async def test_what_asked_for_a_pause_is_tried_after_it_when_nothing_else_worked():
    started = time.monotonic()
    run = await work(Replies(first=[busy(6.0), "x"], second=[COMPLAINT]), limits=Limits(deadline=5.0))
    assert tried(run) == ["first", "second"], "the pause is longer than the deadline"
    assert time.monotonic() - started < 1
    run = await work(Replies(first=[busy(0.6), "x"], second=[COMPLAINT]), seen=quick("second"))
    assert (tried(run), run.outputs) == (["first", "second", "first"], {"text": "first"})
    assert run.error is None


def quick(name):
    seen = Seen()
    seen.note(f"bench/{name}", "r", 0.01, None)
    return seen


async def test_the_deadline_ends_all_attempts():
    limits = Limits(timeout=0.3, deadline=0.5)
    run = await work(Replies(a=[9.0], b=[9.0], c=[9.0]), limits=limits)
    assert tried(run) == ["a", "b"]
    assert run.error["kind"] == "deadline"
    assert run.error["message"].startswith("no result within 0.5 s of attempts; the last: bench/b:")


async def test_a_candidate_that_has_to_be_downloaded_has_until_the_deadline():
    far = candidate("far", ready=False)
    run = await work(Replies(far=[0.3]), limits=Limits(timeout=0.1), models=[far])
    assert run.outputs == {"text": "far"}


async def test_no_backoff_goes_beyond_the_deadline(monkeypatch):
    started = time.monotonic()
    run = await work(Replies(a=[DOWN]), limits=Limits(max_attempts=10, deadline=0.3))
    assert time.monotonic() - started < 2
    assert run.error == {"kind": "connection", "message": "bench/a: nobody listens"}


async def test_a_servers_time_out_is_tried_again_and_an_attempt_that_used_up_its_time_is_not():
    run = await work(Replies(a=[TimeoutError("read"), "x"]))
    assert [attempt["error"] for attempt in run.attempts] == ["did not answer in time", None]
    run = await work(Replies(a=[9.0], b=["x"]), limits=Limits(timeout=0.1))
    assert tried(run) == ["a", "b"]


async def test_a_model_that_is_down_is_passed_over_and_the_attempts_say_so():
    circuits, runtime = Circuits(), Replies(a=[DOWN], b=["x"])
    for _ in range(FAULTS):
        await work(runtime, limits=Limits(max_attempts=1), circuits=circuits)
    runtime.calls.clear()
    run = await work(runtime, circuits=circuits)
    assert runtime.calls == ["b"]
    assert tried(run) == ["a", "b"]
    assert (
        run.attempts[0]["error"]
        == "passed over for another 30 s: 5 faults in a row, the last: nobody listens"
    )


async def test_what_is_wrong_with_the_input_passes_nothing_over():
    circuits, runtime = Circuits(), Replies(a=[COMPLAINT], b=["x"])
    for _ in range(2 * FAULTS):
        run = await work(runtime, circuits=circuits)
    assert runtime.calls.count("a") == 2 * FAULTS
    assert run.attempts[0]["error"] == COMPLAINT.message


async def test_where_all_are_down_the_one_that_is_free_first_is_tried_all_the_same():
    clock = Clock()
    circuits = Circuits(clock)
    for name in ("b", "a", "c"):
        open_circuit(circuits, name)
        clock.now += 1
    runtime = Replies(a=["x"], b=["x"], c=["x"])
    run = await work(runtime, circuits=circuits)
    assert (runtime.calls, run.outputs, run.error) == (["b"], {"text": "b"}, None)
    assert tried(run) == ["a", "b", "c", "b"]
    assert circuits.admit(candidate("b")), "it worked, so it is closed"


def open_circuit(circuits, name):
    for _ in range(FAULTS):
        circuits.note(candidate(name), DOWN)


def test_an_open_circuit_lets_one_attempt_through_after_each_cool_down_and_these_get_longer():
    clock = Clock()
    circuits, a = Circuits(clock), candidate("a")
    open_circuit(circuits, "a")
    waits = []
    for _ in range(8):
        opened = clock.now
        assert not circuits.admit(a)
        clock.now += circuits.left(a)
        waits.append(clock.now - opened)
        assert circuits.admit(a)
        circuits.note(a, DOWN)
    assert waits == [30.0, 60.0, 120.0, 240.0, 480.0, LONGEST, LONGEST, LONGEST]


@pytest.mark.parametrize("answer", [None, COMPLAINT])
def test_any_answer_of_the_model_itself_closes_the_circuit(answer):
    clock = Clock()
    circuits, a = Circuits(clock), candidate("a")
    open_circuit(circuits, "a")
    clock.now += COOL_DOWN
    assert circuits.admit(a)
    circuits.note(a, answer)
    assert all(circuits.admit(a) for _ in range(3))
    assert circuits.left(a) == 0


def test_a_circuit_is_per_model_and_runtime():
    circuits = Circuits()
    open_circuit(circuits, "a")
    assert circuits.admit(candidate("b"))
    assert circuits.admit(candidate("a").model_copy(update={"runtime": "other"}))


def test_of_many_threads_one_is_the_trial():
    clock = Clock()
    circuits, admitted = Circuits(clock), []
    open_circuit(circuits, "a")
    clock.now += COOL_DOWN
    gate = threading.Barrier(16)

    def ask():
        gate.wait()
        admitted.append(circuits.admit(candidate("a")))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(admitted) == [False] * 15 + [True]


@given(st.lists(st.sampled_from(["fault", "success", "complaint", "pause", "ask", "later"]), max_size=60))
def test_a_circuit_never_stays_open_longer_than_the_longest_cool_down(events):
    clock = Clock()
    circuits, a = Circuits(clock), candidate("a")
    faults = 0
    for event in events:
        if event == "later":
            clock.now += 20
        elif event == "ask":
            assert circuits.admit(a) or circuits.left(a) > 0
        elif event == "pause":
            circuits.pause(a, 10)
        else:
            faults = faults + 1 if event == "fault" else 0
            circuits.note(a, {"fault": DOWN, "success": None, "complaint": COMPLAINT}[event])
        assert circuits.left(a) <= breaker.LONGEST
        if faults >= FAULTS:
            assert circuits.left(a) > 0 or event in {"later", "ask"}
    clock.now += breaker.LONGEST
    assert circuits.admit(a)
