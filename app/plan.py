"""`hugginggpt plan`: what would be done, without doing it."""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hugginggpt.app import inputs
from hugginggpt.app.settings import Parser, context

if TYPE_CHECKING:
    from hugginggpt.graph.context import Context, Home
    from hugginggpt.graph.controller import Controller
    from hugginggpt.graph.plan import Plan
    from hugginggpt.tools.values import Artifact


def add_parser(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "plan", help="show the plan for a request", description="Plans a request and runs nothing."
    )
    parser.with_settings = True
    inputs.add_arguments(parser, request="?")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object: plan, problems, controller"
    )
    parser.add_argument(
        "--batch",
        metavar="JSONL",
        type=Path,
        help='plan every line {"id", "request", "files": [names]} and print {"id", "plan"} for each; '
        "the files need not exist",
    )


def run(args: argparse.Namespace) -> int:
    """Plans; the exit status: 1 where a plan has problems."""
    from hugginggpt.app import loop
    from hugginggpt.graph.context import Home

    if (args.request is None) == (args.batch is None):
        raise inputs.InputError("give either a REQUEST or --batch; see hugginggpt plan --help")
    settings, home = context(args), Home.from_environment()
    if args.batch:
        return loop.run(_plan_lines(_lines(args.batch), settings, home))
    request = inputs.read_request(args.request, settings.max_request_chars)
    files = inputs.attach(args.file, settings, home)
    return loop.run(_plan_one(request, files, settings, home, as_json=args.json))


async def _plan_one(
    request: str, files: "list[Artifact]", settings: "Context", home: "Home", *, as_json: bool
) -> int:
    from hugginggpt.graph.controller import controller_for

    controller = controller_for(home, settings)
    plan, problems = await _draft(controller, request, files, settings)
    if as_json:
        print(
            json.dumps(
                {"plan": wire(plan), "problems": problems, "controller": controller.name}, ensure_ascii=False
            )
        )
    else:
        _show(plan, problems)
    return 1 if problems else 0


async def _plan_lines(lines: Iterable[tuple[int, str]], settings: "Context", home: "Home") -> int:
    from hugginggpt.graph.controller import controller_for

    controller = controller_for(home, settings)
    status = 0
    for number, line in lines:
        try:
            id_, request, names = _parsed(line, settings.max_request_chars)
        except inputs.InputError as error:
            print(f"hugginggpt: line {number}: {error}", file=sys.stderr)
            status = 2
            continue
        plan, problems = await _draft(controller, request, [_named(name) for name in names], settings)
        print(json.dumps({"id": id_, "plan": wire(plan)}, ensure_ascii=False), flush=True)
        status = max(status, 1 if problems else 0)
    return status


async def _draft(
    controller: "Controller", request: str, files: "list[Artifact]", settings: "Context"
) -> "tuple[Plan, list[str]]":
    from hugginggpt.graph.controller import notices
    from hugginggpt.graph.nodes import Asked, draft

    told = len(notices(controller))
    drafted = await draft(controller, Asked(request, files), settings)
    for line in notices(controller)[told:]:
        print(f"hugginggpt: {line}", file=sys.stderr)
    return drafted


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise inputs.InputError(f"{path}: {reason}") from error
    return [(number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _parsed(line: str, longest: int) -> tuple[Any, str, list[str]]:
    """The id, request and file names of a line. Raises `InputError`."""
    try:
        match json.loads(line):
            case {"id": id_, "request": str(request), **rest}:
                names = rest.get("files", [])
            case _:
                raise inputs.InputError('not an object with "id" and "request"')
    except json.JSONDecodeError as error:
        raise inputs.InputError(f"not JSON: {error}") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise inputs.InputError('"files" is not a list of names')
    return id_, inputs.checked_request(request, longest), names


def _named(name: str) -> "Artifact":
    """A file that is only a name: its type is what the extension says. Raises `InputError`."""
    from hugginggpt.tools.media import type_of_name

    digest = hashlib.sha256(name.encode()).hexdigest()
    return {"id": f"sha256:{digest}", "name": name, "media_type": type_of_name(name), "bytes": 0, "meta": {}}


def _show(plan: "Plan", problems: list[str]) -> None:
    from rich.console import Console

    from hugginggpt.app.progress import Row, plan_tree

    # Elsewhere than on a terminal, a task is a line, however long.
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 10_000)
    console.print(plan_tree([Row.of(task) for task in wire(plan)["tasks"]]))
    for problem in problems:
        console.print(f"problem: {problem}", style="red")


def wire(plan: "Plan") -> dict[str, Any]:
    """The plan as JSON, fields that say nothing left out."""
    return {"tasks": [task.model_dump(by_alias=True, exclude_defaults=True) for task in plan.tasks]}
