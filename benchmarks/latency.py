"""From the request to the answer with a language model: `python benchmarks/latency.py [--graphs N]`.

A server on loopback of 0.3 s to the first token and 80 tokens/s, models of 0.05 to 3 s, plans of 1 to 8
tasks. The floor of each is one plan call and one answer call, measured with a bare HTTP client in the same
run, and the plan's critical path between them: perfect dataflow and no selection at all. Where the model
chooses, two models of each task are alike, so that it is asked; then the floor has one call more.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx
from langchain_core.messages import HumanMessage

from hugginggpt.graph import resources
from hugginggpt.graph.app import graph
from hugginggpt.graph.context import Home
from hugginggpt.graph.plan import Plan
from hugginggpt.index import build_index
from hugginggpt.tools import runtime
from hugginggpt.tools.card import ModelCard

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests"), str(HERE)]
from dataflow import Sleep, critical_path, make_plan  # noqa: E402
from llm_server import LLMServer, Says  # noqa: E402

GOAL = 1.05
ANSWER = "All of it is done, and this is what came of it, in a few plain words. " * 3


class Bench(Sleep):
    """The sleeping runtime, as the table of runtimes makes it."""

    def __init__(self, settings: runtime.RuntimeSettings) -> None:
        del settings

    def can_run(self, card: ModelCard) -> bool:
        return card.id.startswith("bench/")


def paced(text: str) -> Says:
    """A reply at 80 tokens/s, four characters each."""
    return Says(text, size=4, pause=1 / 80, first=0.3)


def wire(plan: Plan) -> str:
    return json.dumps({"tasks": [t.model_dump(by_alias=True, exclude_defaults=True) for t in plan.tasks]})


async def call(server: LLMServer, stage: str) -> float:
    """Seconds of one streamed call, with nothing but an HTTP client."""
    said = {"plan": "Plan a request", "choose": "Choose the best", "answer": "Answer the request"}[stage]
    body = {"model": "m", "stream": True, "messages": [{"role": "system", "content": said}]}
    started = time.perf_counter()
    async with httpx.AsyncClient(timeout=60) as client:
        key = {"Authorization": "none"}
        async with client.stream("POST", f"{server.url}/chat/completions", json=body, headers=key) as reply:
            async for _ in reply.aiter_bytes():
                pass
    return time.perf_counter() - started


async def ratio(server: LLMServer, plan: Plan, *, chooses: bool) -> float:
    """Seconds of the graph divided by the floor."""
    choice = json.dumps({str(task.id): 1 for task in plan.tasks})
    server.says(plan=paced(wire(plan)), choose=paced(choice), answer=paced(ANSWER))
    floor = critical_path(plan) + await call(server, "plan") + await call(server, "answer")
    floor += await call(server, "choose") if chooses else 0.0
    asked = len(server.asked("choose"))
    started = time.perf_counter()
    state = await graph.ainvoke({"messages": [HumanMessage("Write what I need, step by step.")]})
    seconds = time.perf_counter() - started
    if {result["status"] for result in state["results"]} != {"done"}:
        raise SystemExit(f"a task did not finish: {state['results']}")
    if (len(server.asked("choose")) > asked) != chooses:
        raise SystemExit("the choice was not made as it is meant to be measured")
    return seconds / floor


def plans(count: int) -> list[Plan]:
    rng = random.Random(11)
    made = []
    for n in range(count):
        size = 1 + n % 8
        seconds = [round(0.05 * 60 ** rng.random(), 3) for _ in range(size)]  # 0.05 to 3 s, log-uniform
        made.append(make_plan("uneven", size, seconds, rng))
    return made


def use_models(folder: Path, count: int) -> None:
    """An index of that many models, alike but for their names, in place of the index."""
    summary = "Writes text as it is told to."
    cards = [ModelCard(id=f"bench/{n}", task="text-generation", summary=summary) for n in "ab"[:count]]
    build_index(folder / str(count), cards, resources.encoder(Home.from_environment()))
    os.environ["HUGGINGGPT_INDEX"] = str(folder / str(count))


async def measure(count: int) -> None:
    print(f"whole run / floor, {count} plans of 1 to 8 tasks   median    worst")
    for name, models in (("the ranking decides", 1), ("the model chooses", 2)):
        with LLMServer() as server, tempfile.TemporaryDirectory() as folder:
            os.environ |= {"OPENAI_BASE_URL": server.url, "OPENAI_MODEL": "m", "HUGGINGGPT_LLM": "openai:m"}
            use_models(Path(folder), models)
            chooses = models > 1
            await ratio(server, plans(1)[0], chooses=chooses)  # what a first run loads is not the graph's
            found = [await ratio(server, plan, chooses=chooses) for plan in plans(count)]
        print(f"  {name:40} {statistics.median(found):9.3f} {max(found):8.3f}   goal {GOAL} (median)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graphs", type=int, default=16, help="how many plans to generate")
    arguments = parser.parse_args()
    runtime.RUNTIMES.clear()
    runtime.RUNTIMES["bench"] = f"{__name__}:Bench"
    asyncio.run(measure(arguments.graphs))


if __name__ == "__main__":
    main()
