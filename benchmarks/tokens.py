"""What a language model costs: `python benchmarks/tokens.py [--verbose]`.

The requests of the development set, planned, chosen and answered through the real client by a server on
loopback that knows the right plans. Every model of the index counts as one that can be run, and every result
is a text of 400 characters. Tokens are a fourth of the characters of the messages: no tokenizer of a language
model comes with an installation. The JSON schema, which servers that hold replies to it may count too, is
shown by itself.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

from hugginggpt.graph import resources
from hugginggpt.graph.context import Context, Home
from hugginggpt.graph.controller import controller_for
from hugginggpt.graph.nodes import Asked, draft
from hugginggpt.graph.plan import Plan
from hugginggpt.graph.prompts import tokens
from hugginggpt.graph.shortlist import shortlist
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.media import type_of_name
from hugginggpt.tools.runtime import Availability
from hugginggpt.tools.seen import Seen
from hugginggpt.tools.values import Artifact, Result

ROOT = Path(__file__).resolve().parent.parent
PLANSET = ROOT.parent / "shared" / "data" / "planset"
STAGES = ("plan", "choose", "answer")
GOALS = {"planning prompt": 1200, "calls": 3, "prompt tokens": 2400}


class Anything:
    """A runtime that could run every model."""

    name = "any"

    def available(self) -> Availability:
        return Availability(ok=True)

    def cards(self, task: str) -> list[ModelCard]:  # noqa: ARG002
        return []

    def can_run(self, card: ModelCard) -> bool:  # noqa: ARG002
        return True

    def ready(self, card: ModelCard) -> bool:  # noqa: ARG002
        return True


def artifact(name: str) -> Artifact:
    """A file that is known by name only."""
    return {"id": "sha256:", "name": name, "media_type": type_of_name(name), "bytes": 0, "meta": {}}


def result(id_: int, task: str) -> Result:
    """A result of the usual length."""
    return Result(
        id=id_,
        task=task,
        status="done",
        model="owner/some-model-name",
        runtime="any",
        seconds=1.0,
        attempts=[],
        outputs={"text": "word " * 80},
        error=None,
    )


async def run(row: dict[str, Any], server: Any, home: Home) -> dict[str, int]:  # noqa: ANN401
    """Prompt tokens of one request by stage, calls, tokens written, and tokens of the plan's schema."""
    server.requests.clear()
    server.says(plan=json.dumps(row["plan"]), choose="{}", answer="word " * 60)
    context, request = Context(), row["request"]
    controller = controller_for(home, context)
    files = [artifact(name) for name in row["files"]]
    plan, _ = await draft(controller, Asked(request, files), context)
    if plan != Plan.model_validate(row["plan"]):
        raise ValueError(f"{row['id']}: the plan was not read as it was written")
    seen, index = Seen(), resources.index(home)
    for card in (card for task in plan.tasks for card in index.cards(task.task)):
        seen.note(card.id, "any", 2.3, None)  # which is said of each model
    find = partial(shortlist, index=index, runtimes={"any": Anything()}, top_k=context.top_k, seen=seen)
    lists = {task.id: find(task, request, tried=None) for task in plan.tasks}
    if plan.tasks:
        await controller.choose(request, plan, lists)
    results = [result(task.id, task.task) for task in plan.tasks]
    written = [len(json.dumps(row["plan"]))]
    written += [sum([len(piece) async for piece in controller.answer(request, results)])]
    spent: dict[str, int] = defaultdict(int, calls=len(server.requests), written=sum(written) // 4)
    for body in server.requests:
        spent[body["stage"]] += tokens("".join(message["content"] for message in body["messages"]))
        if body["stage"] == "plan":
            spent["schema"] = tokens(json.dumps(body.get("response_format", "")))
    spent["prompt"] = sum(spent[stage] for stage in STAGES)
    return spent


async def measure(rows: list[dict[str, Any]], server: Any, *, verbose: bool) -> list[dict[str, int]]:  # noqa: ANN401
    """What each request costs."""
    home = Home.from_environment()
    costs = []
    for row in rows:
        costs.append(await run(row, server, home))
        if verbose:
            print(row["id"], len(row["plan"]["tasks"]), dict(costs[-1]))
    return costs


def main() -> None:
    """Prints medians and the most, over all requests and over those of three tasks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--verbose", action="store_true", help="show every request")
    verbose = parser.parse_args().verbose
    if not PLANSET.is_dir():
        print(f"{PLANSET}: not there, so there are no requests to measure")
        return
    sys.path.insert(0, str(ROOT / "tests"))
    from llm_server import LLMServer

    rows = [json.loads(line) for line in (PLANSET / "dev.jsonl").read_text(encoding="utf-8").splitlines()]
    with LLMServer() as server:
        os.environ |= {"OPENAI_BASE_URL": server.url, "OPENAI_MODEL": "scripted", "HUGGINGGPT_LLM": "auto"}
        costs = asyncio.run(measure(rows, server, verbose=verbose))
    three = [cost for row, cost in zip(rows, costs, strict=True) if len(row["plan"]["tasks"]) == 3]
    print(f"goals: {GOALS} for three tasks")
    for name, some in (("all requests", costs), ("of three tasks", three)):
        print(f"{name} ({len(some)}), median (most):")
        for key in ("calls", "prompt", *STAGES, "written", "schema"):
            values = [cost.get(key, 0) for cost in some]
            print(f"  {key:8} {statistics.median(values):7.0f} ({max(values)})")


if __name__ == "__main__":
    main()
