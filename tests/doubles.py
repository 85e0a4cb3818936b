"""A runtime whose models do what their names say, and a controller that follows a script.

They stand at the protocols' edge: all between them is the real graph.
"""

import asyncio
import os
from pathlib import Path

from hugginggpt.graph.plan import Task
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.runtime import Availability, PermanentError, TransientError


def card(name, task="text-generation"):
    return ModelCard(id=f"bench/{name}", task=task, summary=f"{name} {task}", downloads=None)


class Bench:
    """`bench/echo` gives its text back, `bench/broken` never works, `bench/flaky` works the third time,
    `bench/down` is never reached, `bench/far…` has to be downloaded first.

    A text may begin with `@0.2 `, the seconds that the model takes. Where the environment names a
    BENCH_LOG, a line is written for every start and end of a model; the text of BENCH_KILL ends the
    process when a model is given it.
    """

    name = "bench"
    tries = 0

    def __init__(self, settings):
        self.running = self.most = 0
        self.calls = []

    def available(self):
        return Availability(ok=True)

    def cards(self, task):
        return []

    def can_run(self, card):
        return card.id.startswith("bench/")

    def ready(self, card):
        return not card.id.startswith("bench/far")

    async def run(self, card, task, inputs):
        text = inputs.get("text", "")
        self.calls.append((card.id, text))
        self.running += 1
        self.most = max(self.most, self.running)
        _log("start", text)
        try:
            if text.startswith("@"):
                seconds, _, text = text[1:].partition(" ")
                await asyncio.sleep(float(seconds))
            if os.environ.get("BENCH_KILL") and text.startswith(os.environ["BENCH_KILL"]):
                os._exit(9)
            return self.outputs(card.id.partition("/")[2], text)
        finally:
            self.running -= 1
            _log("end", text)

    def outputs(self, model, text):
        if model.startswith("broken"):
            raise PermanentError("gone", "this model is gone")
        if model.startswith("down"):
            raise TransientError("connection", "nobody listens", retry_after=0)
        if model == "crash":
            raise ZeroDivisionError("a model's own fault")
        if model == "wrong":
            return {"text": 3}
        if model == "names":
            return {
                "entities": [
                    {
                        "entity_group": "PER",
                        "word": word.replace("~", " "),
                        "score": 1.0,
                        "start": 0,
                        "end": 1,
                    }
                    for word in text.split()
                ]
            }
        self.tries += 1
        if model == "flaky" and self.tries < 3:
            raise TransientError("busy", "try again", retry_after=0.01)
        return {"text": f"<{text}>"}


def _log(what, text):
    if path := os.environ.get("BENCH_LOG"):
        with Path(path).open("a") as file:
            file.write(f"{what} {text}\n")


class Scripted:
    """Gives one plan after the other, and remembers what it was told."""

    name = "scripted"
    stepwise = True

    def __init__(self, *plans, choice=0):
        self.plans = list(plans)
        self.choice = choice
        self.feedback = []
        self.results = []

    async def plan(self, request, files, history, results, feedback):
        self.feedback.append(list(feedback))
        self.results.append(list(results))
        for task in self.plans.pop(0) if self.plans else []:
            yield Task.model_validate(task)

    async def choose(self, request, plan, shortlists):
        return {id_: candidates[self.choice] for id_, candidates in shortlists.items()}

    async def answer(self, request, results, history=()):
        for result in results:
            said = result["error"]["message"] if result["error"] else result["outputs"]["text"]
            yield f"{result['id']}={said};"


def generate(id_, text, **more):
    return {"id": id_, "task": "text-generation", "args": {"text": text}, **more}
