"""`hugginggpt index`: build the index of models, search it, and say what is in it."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from hugginggpt.app import search as app_search
from hugginggpt.app.inputs import InputError
from hugginggpt.app.settings import Parser

if TYPE_CHECKING:
    from hugginggpt.graph.context import Home
    from hugginggpt.index.manifest import IndexInfo
    from hugginggpt.index.origin import Origin
    from hugginggpt.index.refresh import Outcome
    from hugginggpt.index.sources import Source
    from hugginggpt.tools.encoder import Encoder


def add_parser(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    """Adds the command and its subcommands."""
    about = "The index: which models there are. Built by itself, of well-known models, when first needed."
    parser = subparsers.add_parser("index", help="build, search or describe the index", description=about)
    commands = parser.add_subparsers(dest="subcommand", metavar="build|update|search|info", required=True)
    build, update = _add_build(commands), _add_update(commands)
    for command in (build, update):
        command.add_argument(
            "--no-cards", action="store_true", help="do not fetch the text of each model's card"
        )
    search = commands.add_parser(
        "search",
        help="find models by what they do",
        description="Print the models that fit best, with why each was found and where it could run: a "
        "table on a terminal, else a line per model with tabs between.",
    )
    app_search.add_arguments(search)
    info = commands.add_parser("info", help="what it holds, and what it was made with")
    info.add_argument("--verify", action="store_true", help="read all its files and say which is damaged")
    for command in (build, update, search, info):
        command.add_argument(
            "--index", metavar="DIR", type=Path, help="its folder (default HUGGINGGPT_INDEX, else the user's)"
        )
    build.add_argument(
        "--encoder", metavar="MODEL", help="a model of the Hub or a folder (default HUGGINGGPT_ENCODER)"
    )
    for command in (update, search):
        command.add_argument(
            "--encoder", metavar="MODEL", help="where the encoder that it was built with is now, if it moved"
        )
    for command in (search, info):
        command.add_argument("--json", action="store_true", help="print JSON")


def _add_build(commands: "argparse._SubParsersAction[Parser]") -> Parser:
    build = commands.add_parser(
        "build",
        help="build it anew and switch to it",
        description="Build it anew and switch to it; until then the old one is in use. Say where its models "
        "come from: --top or --all, of the Hub, or --from. Without one: well-known models, a list that comes "
        "with the package. Stopped, or killed, the same command goes on where it was.",
    )
    how_many = build.add_mutually_exclusive_group()
    how_many.add_argument(
        "--top", metavar="N", type=int, help="the N most downloaded, of each --task; with --from, of its rows"
    )
    how_many.add_argument(
        "--all",
        action="store_true",
        help="all models of the Hub; with --from, what an update finds new on the Hub joins them",
    )
    build.add_argument(
        "--from",
        dest="source",
        metavar="FILE",
        help="a model a row, of JSON lines (.jsonl, .jsonl.gz) or Parquet: a file, a folder, "
        "hf://datasets/OWNER/NAME. Columns: id, and any of pipeline_tag, card (README's text), tags, "
        "downloads, likes, license, library_name, lastModified, sha",
    )
    build.add_argument(
        "--task", metavar="TASK", action="append", default=[], help="only models of this task; repeatable"
    )
    build.add_argument(
        "--cards",
        metavar="FILE",
        help="texts of the Hub's cards, a file as for --from; else a request per model",
    )
    build.add_argument(
        "--static",
        action="store_true",
        help="embed by a table of tokens, fitted to the encoder: much faster, a little worse",
    )
    build.add_argument(
        "--engine", choices=["local", "ray"], default="local", help="read and embed on a Ray cluster, or here"
    )
    return build


def _add_update(commands: "argparse._SubParsersAction[Parser]") -> Parser:
    update = commands.add_parser(
        "update",
        help="take in what changed on the Hub since it was built",
        description="Take in what changed on the Hub since it was built or updated: new commits of its "
        "models, and new models where it is of all of the Hub. Stopped, the same command goes on where it "
        "was.",
    )
    update.add_argument(
        "--deleted", action="store_true", help="also remove what the Hub does not have any more"
    )
    update.add_argument(
        "--figures",
        action=argparse.BooleanOptionalAction,
        help="also downloads and likes of models that did not change "
        "(default: for an index of --top, and with --deleted)",
    )
    return update


def run(args: argparse.Namespace) -> int:
    """Runs the subcommand. Raises `InputError`."""
    from hugginggpt.graph.context import Home
    from hugginggpt.index import ModelIndexError
    from hugginggpt.tools.encoder import EncoderError

    home = Home.from_environment()
    folder = args.index or home.index
    try:
        return _COMMANDS[args.subcommand](args, folder, home)
    except (ModelIndexError, EncoderError) as error:
        raise InputError(str(error)) from error
    except KeyboardInterrupt:
        if args.subcommand not in {"build", "update"}:
            raise
        print("hugginggpt: stopped; the same command goes on where it was", file=sys.stderr)
        return 130


def _encoder(args: argparse.Namespace, home: "Home") -> "Encoder":
    from hugginggpt.tools.encoder import load_encoder

    return load_encoder(args.encoder or home.encoder, home.encoder_cache)


def _build(args: argparse.Namespace, folder: Path, home: "Home") -> int:
    from hugginggpt.app.bars import watched
    from hugginggpt.index import build_starter, refresh

    chosen = _chosen(args, folder)
    with watched() as watch:
        if chosen is None:
            index = build_starter(folder, _encoder(args, home), watch.embedded)
            print(f"{_held(index.info)} in {folder}")
            return 0
        outcome = refresh.build_from(
            folder,
            *chosen,
            lambda: _encoder(args, home),
            watch,
            top=args.top if args.source else None,  # the Hub lists no more than it is asked for
            table=args.static,
            engine=args.engine,
        )
    print(f"{_held(outcome.info)} in {folder}")
    _tell_left_out(outcome)
    return 0


def _chosen(args: argparse.Namespace, folder: Path) -> "tuple[Source, Origin] | None":
    """Where the models are to come from; None for the starter. Raises `InputError` or `ModelIndexError`."""
    from hugginggpt.index.bulk import BulkModels
    from hugginggpt.index.gather import STAGING
    from hugginggpt.index.hub import HubModels
    from hugginggpt.index.origin import Origin
    from hugginggpt.index.sources import Files

    _check_build(args)
    tasks = tuple(dict.fromkeys(args.task))
    if args.source:
        whole = args.all or (args.source.startswith("hf://") and args.top is None)
        return Files(args.source), Origin("custom", args.source, tasks, whole)
    if args.top is not None or args.all:
        models = HubModels(tasks, top=args.top, texts=not (args.no_cards or args.cards))
        source = (
            BulkModels(models, Files(args.cards), folder / STAGING / "texts.sqlite") if args.cards else models
        )
        return source, Origin("hub", tasks=tasks, whole=args.all)
    return None


def _check_build(args: argparse.Namespace) -> None:
    from hugginggpt.tools.tasks import TASKS

    for task in args.task:
        if task not in TASKS:
            raise InputError(f"--task {task}: not a task; hugginggpt tasks lists them")
    if args.top is not None and args.top < 1:
        raise InputError(f"--top {args.top}: give 1 or more")
    if args.cards and args.no_cards:
        raise InputError("--cards and --no-cards: give one of them")
    if (args.cards or args.no_cards) and (args.source or not (args.all or args.top)):
        raise InputError(
            "--cards and --no-cards are for models of the Hub; give --top N or --all with them, not --from"
        )
    if args.task and not (args.all or args.top or args.source):
        raise InputError("--task chooses from more models than the starter's; give --top N, --all or --from")


def _update(args: argparse.Namespace, folder: Path, home: "Home") -> int:
    from hugginggpt.app.bars import watched
    from hugginggpt.index import own_encoder, refresh

    def encoder(info: "IndexInfo") -> "Encoder":
        return own_encoder(folder, info, home.encoder_cache, args.encoder or "", home.encoder)

    with watched() as watch:
        outcome = refresh.update(
            folder,
            encoder,
            watch,
            deleted=args.deleted,
            texts=not args.no_cards,
            figures=args.figures,
        )
    figures = f", {outcome.refreshed} with other downloads or likes" if outcome.refreshed else ""
    print(
        f"{_count(outcome.changed, 'model')} new or changed, {outcome.removed} removed{figures}; "
        f"{_held(outcome.info)} in {folder}"
    )
    _tell_left_out(outcome)
    return 0


def _held(info: "IndexInfo") -> str:
    """905 models for 37 tasks and 4 other tags of the Hub."""
    from hugginggpt.tools.tasks import TASKS

    others = sum(task not in TASKS for task in info.tasks)
    told = f"{_count(info.models, 'model')} for {_count(len(info.tasks) - others, 'task')}"
    return f"{told} and {_count(others, 'other tag')} of the Hub" if others else told


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s'[: number != 1]}"


def _tell_left_out(outcome: "Outcome") -> None:
    tally = outcome.tally
    parts = {
        "of no task that is wanted or clear": tally.left_out,
        "repeated": outcome.repeated,
        "less downloaded": outcome.beyond,
        "broken": tally.broken,
    }
    if told := ", ".join(f"{count} {what}" for what, count in parts.items() if count):
        print(f"of {tally.read} rows left out: {told}", file=sys.stderr)
    for complaint in tally.complaints:
        print(f"  {complaint}", file=sys.stderr)


def _info(args: argparse.Namespace, folder: Path, _home: "Home") -> int:
    from hugginggpt.index import index_info, manifest
    from hugginggpt.index.origin import Origin
    from hugginggpt.tools.tasks import TASKS

    info = index_info(folder)
    if args.verify:
        manifest.check(folder, info)
    size = sum(file.bytes for file in info.files)
    if args.json:
        origin = asdict(Origin.parse(info.source))
        told = {"folder": str(folder), **info.model_dump(mode="json"), "bytes": size, "origin": origin}
        told["static"] = info.table is not None
        print(json.dumps(told, default=str))
        return 0
    print(f"{_held(info)} in {folder}")
    if args.verify:
        print(f"{len(info.files)} files, all as they were written")
    print(f"written {info.created} from {_described(Origin.parse(info.source))}, {size:,} bytes")
    table = f"; cards by a table for it (--static), SHA-256 {info.table.sha256[:12]}" if info.table else ""
    print(f"encoder {info.encoder} ({info.encoder_revision}), {info.dimension} numbers a vector{table}")
    for task, count in info.tasks.items():
        print(f"{count:6}  {task}{'' if task in TASKS else '  (no task here: only found by search)'}")
    return 0


def _described(origin: "Origin") -> str:
    kinds = {"starter": "the starter's list", "hub": "the Hub"}
    until = f", as of {origin.until:%Y-%m-%d %H:%M} UTC" if origin.until else ""
    return kinds.get(origin.kind, origin.where or "cards of this process") + until


_COMMANDS = {"build": _build, "update": _update, "search": app_search.run, "info": _info}
