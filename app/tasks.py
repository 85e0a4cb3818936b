"""`hugginggpt tasks`: the task table, and what can do each task on this machine."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from hugginggpt.app.settings import Parser

if TYPE_CHECKING:
    from hugginggpt.graph.context import Home
    from hugginggpt.tools.card import ModelCard


def add_parser(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    """Adds the command."""
    about = "The task table: what can be planned, and which models can do it here now."
    parser = subparsers.add_parser("tasks", help="list the tasks and what can do them", description=about)
    parser.add_argument("--json", action="store_true", help="print one JSON list")


def run(args: argparse.Namespace) -> int:
    """Prints the table."""
    from hugginggpt.graph.context import Home

    rows = _rows(Home.from_environment())
    if args.json:
        print(json.dumps(rows, ensure_ascii=False))
        return 0
    for row in rows:
        print(f"{row['signature']}\n    {row['description']}\n    {_who(row)}")
    now = sum(any(model["ready"] for model in row["models"]) for row in rows)
    later = sum(bool(row["models"]) for row in rows) - now
    more = f", {later} more after a download" if later else ""
    print(f"\n{now} of {len(rows)} tasks can be done here now{more}; hugginggpt doctor says how to get more.")
    return 0


def _rows(home: "Home") -> list[dict[str, Any]]:
    from hugginggpt.graph import resources
    from hugginggpt.graph.context import Context
    from hugginggpt.tools.tasks import TASKS

    runtimes = resources.runtimes(home, Context.from_environment())
    usable = [runtime for runtime in runtimes.values() if runtime.available()]
    cards = _cards(home)
    return [
        {
            "task": spec.id,
            "signature": spec.signature,
            "description": spec.description,
            "runtimes": spec.runtimes,
            "models": [
                {"model": card.id, "runtime": runtime.name, "ready": runtime.ready(card)}
                for card in [*(card for runtime in usable for card in runtime.cards(spec.id)), *cards]
                if card.task == spec.id
                for runtime in usable
                if runtime.can_run(card)
            ],
        }
        for spec in TASKS.values()
    ]


def _cards(home: "Home") -> "list[ModelCard]":
    """Of the index in use; else what the starter index, which is built when it is needed, will have."""
    from hugginggpt.index import ModelIndexError, index_info, starter_cards
    from hugginggpt.index.store import Store
    from hugginggpt.tools.tasks import TASKS

    try:
        info = index_info(home.index)
        store = Store(home.index, info)
        return [card for task in info.tasks if task in TASKS for card in store.cards(task)]
    except ModelIndexError:
        return starter_cards()


def _who(row: dict[str, Any]) -> str:
    models = row["models"]
    if not models:
        return f"no model can do it here now; it runs on {', '.join(row['runtimes'])}"
    first = sorted(models, key=lambda model: not model["ready"])[:3]
    more = f" and {len(models) - 3} more" if len(models) > 3 else ""
    named = [f"{m['model']} on {m['runtime']}{' after a download' * (not m['ready'])}" for m in first]
    return f"by {', '.join(named)}{more}"
