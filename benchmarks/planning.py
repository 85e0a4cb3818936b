"""How well the embedded controller plans: `python benchmarks/planning.py [--wrong N]`.

Plans every request of five sets in this process, from the names of its files alone, and scores the plans:
the development set; `requests.jsonl`, `blind_a.jsonl` and `blind_c.jsonl` here, whose errors were read and on
which the controller was tuned; and `heldout.jsonl`, by another author, on which nothing was ever tuned: its
row says what to expect of new requests.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hugginggpt.graph import resources
from hugginggpt.graph.context import Home
from hugginggpt.graph.embedded import EmbeddedController
from hugginggpt.graph.plan import Plan
from hugginggpt.tools.media import type_of_name
from hugginggpt.tools.values import Artifact

ROOT = Path(__file__).resolve().parent.parent
PLANSET = ROOT.parent / "shared" / "data" / "planset"
SETS = ("requests", "blind_a", "blind_c", "heldout")
GOALS = {"nodes": 0.80, "edges": 0.65, "direct": 0.85}


def artifact(name: str) -> Artifact:
    """A file that is known by name only."""
    return {"id": "sha256:", "name": name, "media_type": type_of_name(name), "bytes": 0, "meta": {}}


async def predict(controller: EmbeddedController, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A plan per request, by its id."""
    predictions = []
    for request in requests:
        files = [artifact(name) for name in request["files"]]
        plan = Plan(tasks=[task async for task in controller.plan(request["request"], files, [], [], [])])
        predictions.append({"id": request["id"], "plan": plan.model_dump(by_alias=True)})
    return predictions


def score(gold: Path, predictions: Path, wrong: int) -> dict[str, float]:
    """The scorer's overall numbers; with `wrong`, it also shows the worst plans."""
    command = [sys.executable, str(PLANSET / "score.py"), str(gold), str(predictions)]
    if wrong:
        print(
            subprocess.run(
                [*command, "--wrong", str(wrong)], check=True, capture_output=True, text=True
            ).stdout
        )
    scored = subprocess.run([*command, "--json"], check=True, capture_output=True, text=True).stdout
    overall = json.loads(scored)["report"]["overall"]
    return {
        "nodes": overall["node_micro"],
        "edges": overall["edge_micro"],
        "exact": overall["exact"],
        "direct": overall["direct"],
    }


def main() -> None:
    """Prints a row per set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--wrong", type=int, default=0, metavar="N", help="show the N worst plans of each set"
    )
    wrong = parser.parse_args().wrong
    if not PLANSET.is_dir():
        print(f"{PLANSET}: not there, so there is nothing to score with")
        return
    home = Home.from_environment()
    controller = EmbeddedController(lambda: resources.encoder(home))
    resources.encoder(home)  # the first use ever converts the encoder
    here = ROOT / "benchmarks"
    for gold in (PLANSET / "dev.jsonl", *(here / f"{name}.jsonl" for name in SETS)):
        with tempfile.TemporaryDirectory() as folder:
            predictions = Path(folder) / "predictions.jsonl"
            requests = [json.loads(line) for line in gold.read_text(encoding="utf-8").splitlines()]
            begun = time.perf_counter()
            plans = asyncio.run(predict(controller, requests))
            seconds = (time.perf_counter() - begun) / len(requests)
            predictions.write_text("\n".join(map(json.dumps, plans)), encoding="utf-8")
            scores = score(gold, predictions, wrong)
        shown = "  ".join(
            f"{name} {value:.3f}" + (f" (goal {GOALS[name]:.2f})" if name in GOALS else "")
            for name, value in scores.items()
        )
        print(f"{gold.name:15} {shown}  {seconds:.3f} s per request")


if __name__ == "__main__":
    main()
