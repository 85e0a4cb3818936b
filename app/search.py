"""`hugginggpt index search`: which models do what is said, why, and where they can run."""

import argparse
import json
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hugginggpt.app.inputs import InputError

if TYPE_CHECKING:
    from hugginggpt.graph.context import Home
    from hugginggpt.index import Filters, Hit, Index
    from hugginggpt.tools.card import ModelCard
    from hugginggpt.tools.runtime import Runtime

_HEADINGS = ("model", "task", "why", "licence", "size", "downloads", "runs on")
_NUMBERS = {"size", "downloads"}
_WHY = 20  # characters that the reason has in the table, at least
_AT_ONCE = 64  # queries of a batch that are embedded together
_SIZES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}


@dataclass(frozen=True, slots=True)
class _Query:
    """One line of a batch."""

    id: str | int
    query: str
    task: str | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is searched for, and what a model must be."""
    parser.add_argument(
        "query", metavar="WORDS", nargs="*", help='what the model should do: "find cats in a picture"'
    )
    parser.add_argument("--task", metavar="TASK", help="only models of this task, or of this tag of the Hub")
    parser.add_argument(
        "--license",
        metavar="ID",
        help="only of this licence: mit, apache-2.0; permissive: any that allows any use",
    )
    parser.add_argument("--language", metavar="CODE", help="only for this language: de, German")
    parser.add_argument("--max-params", metavar="N", help="only up to so many weights: 400M, 7B")
    parser.add_argument(
        "--runtime", metavar="NAME", help="only what this one can run: builtin, local, providers"
    )
    parser.add_argument("--top-k", metavar="K", type=int, default=10, help="how many models (default 10)")
    parser.add_argument(
        "--batch",
        metavar="FILE",
        help='many searches: lines {"id", "query", "task"?}, - for stdin; prints lines {"id", "hits": [ids]}',
    )


def run(args: argparse.Namespace, folder: Path, home: "Home") -> int:
    """Searches. Raises `InputError`."""
    from hugginggpt.graph import resources
    from hugginggpt.index import ensure_index, open_with_own

    filters = _filters(args)
    queries = _queries(args, _tasks(folder, chosen=args.index is not None))
    runtimes = resources.runtimes(home)
    accepts = _accepts(args.runtime, runtimes)
    if not folder.exists():
        print(f"making the index of well-known models in {folder}, once", file=sys.stderr)
    index = (
        open_with_own(folder, home.encoder_cache, args.encoder)
        if args.encoder
        else ensure_index(folder, home.encoder, home.encoder_cache)
    )
    if args.batch:
        lines = _searched(index, queries, args.top_k, accepts, filters)
        for said in [[*lines]] if args.json else lines:
            print(json.dumps(said, ensure_ascii=False))
        return 0
    (asked,) = queries
    hits = index.search(asked.query, task=asked.task, k=args.top_k, accepts=accepts, filters=filters)
    rows = [_row(hit, asked.query, runtimes) for hit in hits]
    if not rows:
        print(f"no model of {folder} passes {_asked_for(args)}", file=sys.stderr)
    if args.json:
        print(
            json.dumps([hit.card.model_dump(mode="json") | row for hit, row in zip(hits, rows, strict=True)])
        )
    elif sys.stdout.isatty():
        _print_table(rows)
    else:
        for row in rows:
            print("\t".join(_cells(row)))
    return 0


def _asked_for(args: argparse.Namespace) -> str:
    """The filters of this call, as they were written."""
    flags = ("task", "license", "language", "max_params", "runtime")
    given = [f"--{flag.replace('_', '-')} {getattr(args, flag)}" for flag in flags if getattr(args, flag)]
    return f"{', '.join(given)}; what a card does not state does not pass"


def _filters(args: argparse.Namespace) -> "Filters":
    from hugginggpt.index import Filters
    from hugginggpt.index.languages import language_code
    from hugginggpt.index.rows import license_id

    if args.top_k < 1:
        raise InputError(f"--top-k {args.top_k}: give 1 or more")
    language = args.language and language_code(args.language)
    if args.language and not language:
        raise InputError(f"--language {args.language}: not a language; give a code or a name: de, German")
    return Filters(
        license=license_id(args.license) if args.license else None,
        language=language or None,
        max_parameters=_number(args.max_params) if args.max_params else None,
    )


def _number(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmbt]?)", text.strip().lower())
    if not match:
        raise InputError(f"--max-params {text}: give a number of weights: 400M, 7B")
    return int(float(match[1]) * _SIZES[match[2]])


def _tasks(folder: Path, *, chosen: bool) -> set[str]:
    """What may be asked for: tasks of ours, and tags of the Hub that the index in use has.

    Raises `NoIndexError` where there is none in a folder that was chosen for this call.
    """
    from hugginggpt.index import ModelIndexError, NoIndexError, index_info
    from hugginggpt.tools.tasks import TASKS

    try:
        return {*TASKS, *index_info(folder).tasks}
    except NoIndexError:
        if chosen:  # a name that is written wrong is not to become another index
            raise
    except ModelIndexError:  # opening it will say so, or build the starter's anew
        pass
    return {*TASKS}


def _known(task: str, where: str, tasks: Collection[str]) -> str:
    """The task or tag. Raises `InputError`."""
    from hugginggpt.index.inference import FOLDED

    if task not in tasks and task not in FOLDED:
        near = get_close_matches(task, tasks, 1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise InputError(
            f"{where} {task}: not a task, nor a tag of this index{meant}; hugginggpt tasks lists the ones, "
            "hugginggpt index info the others"
        )
    return task


def _runs(runtime: "Runtime") -> "Callable[[ModelCard], bool]":
    """Whether a runtime can run a model, which it is only asked of models that are for a task of ours."""
    from hugginggpt.tools.tasks import TASKS

    return lambda card: card.task in TASKS and runtime.can_run(card)


def _accepts(name: str | None, runtimes: "Mapping[str, Runtime]") -> "Callable[[ModelCard], bool] | None":
    if name is None:
        return None
    if name not in runtimes:
        raise InputError(f"--runtime {name}: there is none of that name; there are {', '.join(runtimes)}")
    return _runs(runtimes[name])


def _queries(args: argparse.Namespace, tasks: Collection[str]) -> list[_Query]:
    """The one query, or those of the batch, all of them checked. Raises `InputError`."""
    task = _known(args.task, "--task", tasks) if args.task else None
    words = " ".join(args.query).strip()
    if args.batch is None:
        if not words:
            raise InputError(
                'nothing to search for; say what the model should do: hugginggpt index search "WORDS"'
            )
        if not _is_text(words):
            raise InputError("the words are not UTF-8 text; write them in a terminal that is set to it")
        return [_Query("", words, task)]
    if words:
        raise InputError("WORDS and --batch: give one of them")
    # Lines end where JSON lines do, and not at all that Python takes for an end of line.
    lines = _batch(args.batch).split("\n")
    return [
        _query(line, f"{args.batch}:{number}:", task, tasks)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]


def _batch(file: str) -> str:
    """What the file says, or stdin for `-`. Raises `InputError`."""
    try:
        written = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return written.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); give a file of queries") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: is not UTF-8 text; give a file of queries") from error


def _is_text(words: str) -> bool:
    """Whether it is whole characters: bytes and escapes that are none arrive as lone surrogates."""
    return not re.search("[\ud800-\udfff]", words)


def _query(line: str, where: str, task: str | None, tasks: Collection[str]) -> _Query:
    try:
        said = json.loads(line)
    except ValueError as error:
        raise InputError(f'{where} not JSON; a line is {{"id": "1", "query": "…"}}') from error
    if not isinstance(said, dict) or type(said.get("id")) not in {str, int}:
        raise InputError(f'{where} has no "id"; a line is {{"id": "1", "query": "…"}}')
    query = said.get("query")
    if not isinstance(query, str) or not query.strip() or not _is_text(query):
        raise InputError(f'{where} has no "query" that says something; a line is {{"id": "1", "query": "…"}}')
    own = said.get("task")
    return _Query(said["id"], query, _known(str(own), where, tasks) if own else task)


def _searched(
    index: "Index",
    queries: Iterable[_Query],
    k: int,
    accepts: "Callable[[ModelCard], bool] | None",
    filters: "Filters",
) -> Iterator[dict[str, Any]]:
    coming = iter(queries)
    while batch := list(islice(coming, _AT_ONCE)):
        index.prepare(*(asked.query for asked in batch))
        for asked in batch:
            hits = index.search(asked.query, task=asked.task, k=k, accepts=accepts, filters=filters)
            yield {"id": asked.id, "hits": [hit.card.id for hit in hits]}


def _row(hit: "Hit", query: str, runtimes: "Mapping[str, Runtime]") -> dict[str, Any]:
    """What the table shows beside the card's own facts."""
    return {
        "id": hit.card.id,
        "task": hit.card.task,
        "why": _why(query, hit.card),
        "license": hit.card.license,
        "parameters": hit.card.parameters,
        "downloads": hit.card.downloads,
        "runs_on": [name for name, runtime in runtimes.items() if _runs(runtime)(hit.card)],
        "score": hit.score,
    }


def _why(query: str, card: "ModelCard") -> str:
    """The words of the query that the card says, by where it says them; else that it means the same."""
    from hugginggpt.index.lexical import said

    fields = {"name": card.id, "task": card.task, "text": card.summary}
    found = {field: said(query, text)[:4] for field, text in fields.items()}
    return "; ".join(f"{field}: {', '.join(words)}" for field, words in found.items() if words) or "meaning"


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["id"],
        row["task"],
        row["why"],
        row["license"] or "-",
        _short(row["parameters"]),
        _short(row["downloads"]),
        ", ".join(row["runs_on"]) or "-",
    )


def _print_table(rows: list[dict[str, Any]]) -> None:
    """A row per model; where ids and facts do not fit beside each other, a paragraph per model."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console(markup=False, highlight=False)
    cells = [_cells(row) for row in rows]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in _HEADINGS:
        table.add_column(
            heading, justify="right" if heading in _NUMBERS else "left", no_wrap=heading != "why"
        )
    for row in cells:
        table.add_row(*map(Text, row))
    if _width(cells) <= console.width:
        console.print(table)
        return
    for id_, *facts in cells:
        told = [
            f"{heading} {fact}" for heading, fact in zip(_HEADINGS[1:], facts, strict=True) if fact != "-"
        ]
        console.print(Text(id_, "bold", overflow="fold"), Padding(Text(" | ".join(told)), (0, 0, 0, 4)))


def _width(rows: list[tuple[str, ...]]) -> int:
    """How wide the table is at least."""
    from rich.cells import cell_len

    columns = zip(_HEADINGS, *rows, strict=True)
    return sum(_WHY if column[0] == "why" else max(map(cell_len, column)) + 1 for column in columns)


def _short(number: int | None) -> str:
    """1234567 → 1.23M; an unknown number is a dash."""
    if number is None:
        return "-"
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return str(number)
