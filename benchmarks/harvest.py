"""How fast rows become cards, and how well tasks are inferred: `python benchmarks/harvest.py [--rows N]`.

Reads the 29,432 models of 2022 in ../shared/data. Speed is of one core, from parsed JSON to `ModelCard`.
Inference is judged on models whose task the Hub states: once with the stated task hidden, and once with every
tag hidden too that says it. Its rules were made while reading these same models, so that new ones will do a
little worse. `--show N` prints cards to judge with one's own eyes.
"""

import argparse
import gzip
import itertools
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hugginggpt.index.inference import RENAMED
from hugginggpt.index.rows import Row, card_of
from hugginggpt.tools.tasks import TASKS

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "hub_models_2022.jsonl.gz"


def speed(rows: list[Row]) -> None:
    """Prints rows per second of processor time, and what became of the rows."""
    start = time.process_time()
    cards = [card_of(row) for row in rows]
    seconds = time.process_time() - start
    kept = [card for card in cards if card]
    inferred = sum(card.inferred for card in kept)
    length = sum(len(card.summary) for card in kept) / max(1, len(kept))
    print(f"{len(rows) / seconds:,.0f} rows a second on one core; {length:.0f} characters a summary")
    print(
        f"{len(kept):,} cards, {inferred:,} with an inferred task; {len(rows) - len(kept):,} rows without any"
    )


def hidden(row: Row, *, tags: bool) -> Row:
    """The row without its stated task; with `tags`, also without the tags that say it."""
    stated = str(row["pipeline_tag"])
    known: dict[str, Any] = {**row, "pipeline_tag": None}
    known["card"] = row["card"].replace(f"pipeline_tag: {stated}", "")
    if tags:
        said = {stated, RENAMED.get(stated, stated), "text2text-generation"}
        known["tags"] = [tag for tag in row["tags"] if tag not in said]
        known["card"] = "\n".join(
            line for line in known["card"].split("\n") if line.strip("- \"'") not in said
        )
    return known


def inference(rows: Iterable[Row], *, tags: bool) -> None:
    """Prints per task how many were told right, wrong and not at all."""
    right: Counter[str] = Counter()
    untold: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    for row in rows:
        task = RENAMED.get(str(row["pipeline_tag"]), str(row["pipeline_tag"]))
        if task in TASKS:
            card = card_of(hidden(row, tags=tags))
            asked[task] += 1
            untold[task] += card is None
            right[task] += card is not None and card.task == task
    total, told = asked.total(), asked.total() - untold.total()
    print(f"\n{'task and the tags that say it' if tags else 'task'} hidden, {total:,} models: ", end="")
    print(f"{right.total() / total:.1%} right, {untold.total() / total:.1%} not told; ", end="")
    print(f"of those told {right.total() / max(1, told):.1%} right")
    for task, count in asked.most_common():
        print(
            f"  {task:30} {count:6,}  right {right[task] / count:6.1%}  not told {untold[task] / count:6.1%}"
        )


def main() -> None:
    """Measures all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=None, help="only the first N rows")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print N cards at random")
    args = parser.parse_args()
    if not DATA.exists():
        sys.exit(f"{DATA}: is not there; this benchmark reads the Hub's models of 2022 from it")
    with gzip.open(DATA, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in itertools.islice(lines, args.rows)]
    speed(rows)
    inference(rows, tags=False)
    inference(rows, tags=True)
    for row in random.sample(rows, args.show):
        card = card_of(row)
        print(f"\n{row['modelId']}: {card.task + '. ' + card.summary if card else 'no task'}")


if __name__ == "__main__":
    main()
