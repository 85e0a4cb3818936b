"""`hugginggpt index`: build the index of models, search it, and say what is in it."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hugginggpt.app.inputs import InputError
from hugginggpt.app.settings import Parser

if TYPE_CHECKING:
    from hugginggpt.graph.context import Home
    from hugginggpt.index import Hit
    from hugginggpt.tools.encoder import Encoder


def add_parser(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    """Adds the command and its three subcommands."""
    about = "The index: which models there are. Built by itself when first needed."
    parser = subparsers.add_parser("index", help="build, search or describe the index", description=about)
    commands = parser.add_subparsers(dest="subcommand", metavar="build|search|info", required=True)
    build = commands.add_parser("build", help="build it anew and switch to it")
    build.add_argument(
        "--from",
        dest="source",
        metavar="FILE",
        type=Path,
        help="cards, a JSON object a line, not the starter's",
    )
    search = commands.add_parser("search", help="find models by what they do")
    search.add_argument("query", metavar="WORDS", help="what the model should do")
    search.add_argument("--task", metavar="TASK", help="only models of this task")
    search.add_argument("--top-k", metavar="K", type=int, default=10, help="how many models (default 10)")
    info = commands.add_parser("info", help="what it holds, and what it was made with")
    for command in (build, search, info):
        command.add_argument(
            "--index", metavar="DIR", type=Path, help="its folder (default HUGGINGGPT_INDEX)"
        )
    for command in (search, info):
        command.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Runs the subcommand. Raises `InputError`."""
    from hugginggpt.graph.context import Home
    from hugginggpt.index import ModelIndexError
    from hugginggpt.tools.encoder import EncoderError

    home = Home.from_environment()
    folder = args.index or home.index
    try:
        return {"build": _build, "search": _search, "info": _info}[args.subcommand](args, folder, home)
    except (ModelIndexError, EncoderError) as error:
        raise InputError(str(error)) from error


def _encoder(home: "Home") -> "Encoder":
    from hugginggpt.tools.encoder import load_encoder

    return load_encoder(home.encoder, home.encoder_cache)


def _build(args: argparse.Namespace, folder: Path, home: "Home") -> int:
    from rich.console import Console
    from rich.progress import Progress

    from hugginggpt.index import build_index, build_starter, read_cards

    cards = list(read_cards(args.source)) if args.source else None
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        row = bar.add_task("loading the encoder", total=None)
        encoder = _encoder(home)

        def progress(done: int, total: int) -> None:
            bar.update(row, description="embedding models", completed=done, total=total)

        if cards is None:
            index = build_starter(folder, encoder, progress)
        else:
            index = build_index(folder, cards, encoder, progress)
    print(f"{index.info.models} models for {len(index.info.tasks)} tasks in {folder}")
    return 0


def _search(args: argparse.Namespace, folder: Path, home: "Home") -> int:
    from hugginggpt.index import ensure_index
    from hugginggpt.tools.tasks import TASKS

    if not args.query.strip():
        raise InputError(
            'nothing to search for; say what the model should do: hugginggpt index search "WORDS"'
        )
    if args.top_k < 1:
        raise InputError(f"--top-k {args.top_k}: give 1 or more")
    if args.task and args.task not in TASKS:
        raise InputError(f"--task {args.task}: not a task; hugginggpt tasks lists them")
    hits = ensure_index(folder, _encoder(home)).search(args.query, task=args.task, k=args.top_k)
    if args.json:
        rows = [hit.card.model_dump(mode="json") | {"score": hit.score} for hit in hits]
        print(json.dumps(rows, ensure_ascii=False))
    elif sys.stdout.isatty():
        _print_table(hits)
    else:
        for hit in hits:
            print("\t".join(_cells(hit)))
    return 0


def _cells(hit: "Hit") -> tuple[str, ...]:
    card = hit.card
    return (
        card.id,
        card.task,
        card.license or "-",
        _short(card.parameters),
        _short(card.downloads),
        f"{hit.score:.3f}",
        card.summary,
    )


def _print_table(hits: "list[Hit]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "task", "license", box=None, header_style="bold")
    for column in ("weights", "downloads", "score"):
        table.add_column(column, justify="right")
    table.add_column("what it does", ratio=1)
    for hit in hits:
        table.add_row(*_cells(hit))
    Console(markup=False).print(table)


def _short(number: int | None) -> str:
    """1234567 → 1.2M; an unknown number is a dash."""
    if number is None:
        return "-"
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return str(number)


def _info(args: argparse.Namespace, folder: Path, _home: "Home") -> int:
    from hugginggpt.index import index_info

    info = index_info(folder)
    if args.json:
        print(json.dumps({"folder": str(folder), **info.model_dump(mode="json")}))
        return 0
    print(f"{info.models} models for {len(info.tasks)} tasks in {folder}")
    print(f"built {info.created} from {info.source}, {sum(f.bytes for f in info.files):,} bytes")
    print(f"encoder {info.encoder} ({info.encoder_revision}), {info.dimension} numbers a vector")
    for task, models in info.tasks.items():
        print(f"{models:6}  {task}")
    return 0
