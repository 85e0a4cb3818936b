"""What the local runtime costs and gains: `python benchmarks/runtimes.py [--calls N] [--models N]`.

Overhead: the seconds of a call through the runtime beside those of the pipeline of transformers itself, on a
model as large as DistilBERT (66 million random weights), one call at a time, in turn. Gain: eight calls at
once, beside the same eight one after the other. Memory: models of 20 MB pass through a budget of 100 MB.
"""

import argparse
import asyncio
import copy
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.local import Local
from hugginggpt.tools.runtime import RuntimeSettings

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from tiny_models import tokenizer

GOALS = {"overhead": 0.05, "gain": 2.0}
TASK = "text-classification"
LONG = "The ferry was late because of fog, and the passengers waited for two hours on the pier. " * 3
SHORT = "Good soup"


def made(folder: Path, seed: int, **sizes: int) -> ModelCard:
    """A DistilBERT of random weights with two labels, written to a folder."""
    import torch
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    torch.manual_seed(seed)
    DistilBertForSequenceClassification(DistilBertConfig(pad_token_id=0, **sizes)).save_pretrained(folder)
    words = copy.copy(tokenizer())
    words.model_max_length = 512
    words.save_pretrained(folder)
    return ModelCard(id=str(folder), task=TASK, summary="random", library="transformers")


async def seconds(local: Local, card: ModelCard, texts: list[str]) -> float:
    """Of calls that are made at once."""
    started = time.perf_counter()
    await asyncio.gather(*(local.run(card, TASK, {"text": text}) for text in texts))
    return time.perf_counter() - started


async def overhead(local: Local, card: ModelCard, calls: int) -> tuple[list[float], list[float]]:
    """Median seconds of a call, and of the processor: of the pipeline in a thread, and of the runtime."""
    from transformers import pipeline

    direct: Any = pipeline(TASK, card.id)

    async def alone() -> None:
        await asyncio.to_thread(direct, LONG, top_k=None, truncation=True)

    async def through() -> None:
        await local.run(card, TASK, {"text": LONG})

    times: dict[Any, list[tuple[float, float]]] = {alone: [], through: []}
    for number in range(calls + 3):
        for call, taken in times.items():
            started, busy = time.perf_counter(), time.process_time()
            await call()
            if number >= 3:  # the first ones load it
                taken.append((time.perf_counter() - started, time.process_time() - busy))
    medians = [[statistics.median(column) for column in zip(*taken, strict=True)] for taken in times.values()]
    return medians[0], medians[1]


async def gain(local: Local, card: ModelCard, calls: int) -> tuple[float, float]:
    """Median seconds of eight calls: one after the other, and at once."""
    one_by_one, at_once = [], []
    for _ in range(max(calls // 4, 3)):
        one_by_one.append(sum([await seconds(local, card, [SHORT]) for _ in range(8)]))
        at_once.append(await seconds(local, card, [SHORT] * 8))
    return statistics.median(one_by_one), statistics.median(at_once)


async def passing(folder: Path, models: int) -> tuple[int, int, int]:
    """Bytes: most that were held by the pool, most that the process grew by, and the models' own sum."""
    cards = [made(folder / str(n), n, dim=256, hidden_dim=1024, n_layers=4, n_heads=4) for n in range(models)]
    local = Local(RuntimeSettings(encoder=lambda: None, memory=100_000_000))  # type: ignore[arg-type, return-value]
    process, held, grown, total = psutil.Process(), 0, 0, 0
    before = process.memory_info().rss
    for card in cards:
        await local.run(card, TASK, {"text": SHORT})
        held, grown = max(held, local.pool.held), max(grown, process.memory_info().rss - before)
        total += (Path(card.id) / "model.safetensors").stat().st_size
    local.pool.close()
    return held, grown, total


async def measure(calls: int, models: int) -> bool:
    """Prints the figures; whether the goals are met."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        local = Local(RuntimeSettings(encoder=lambda: None, memory=10**9))  # type: ignore[arg-type, return-value]
        card = made(folder / "distilbert", 0)
        direct, through = await overhead(local, card, calls)
        cost = through[0] / direct[0] - 1
        print(
            f"a call: pipeline {direct[0] * 1e3:.1f} ms, runtime {through[0] * 1e3:.1f} ms: {cost:+.1%} "
            f"(goal 5 %); of the processor {direct[1] * 1e3:.1f} ms and {through[1] * 1e3:.1f} ms: "
            f"{through[1] / direct[1] - 1:+.1%}"
        )
        single, together = await gain(local, card, calls)
        times = single / together
        print(
            f"8 calls: one by one {single * 1e3:.0f} ms, at once {together * 1e3:.0f} ms: "
            f"{times:.1f} × (goal 2)"
        )
        local.pool.close()
        held, grown, total = await passing(folder, models)
        print(
            f"{models} models of {total / 1e6:.0f} MB in all under a budget of 100 MB: the pool held "
            f"{held / 1e6:.0f} MB at most, the process grew by {grown / 1e6:.0f} MB at most "
            f"(peak of all: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB)"
        )
    return cost <= GOALS["overhead"] and times >= GOALS["gain"] and held <= 100_000_000


def main() -> int:
    """The exit status is 1 where a goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=20, help="calls that are timed (default 20)")
    parser.add_argument("--models", type=int, default=20, help="models that pass through (default 20)")
    args = parser.parse_args()
    return 0 if asyncio.run(measure(args.calls, args.models)) else 1


if __name__ == "__main__":
    sys.exit(main())
