"""Shows a run while it happens: a tree that lives on a terminal, plain lines everywhere else."""

import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

_LOOKS = {"planned": ("·", "dim"), "done": ("✓", "green"), "failed": ("✗", "red"), "skipped": ("-", "yellow")}
_LONGEST = 120
"""Characters of an error that are shown; the answer has all of it."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    """The text without control characters: what a model wrote must not steer the terminal."""
    return _CONTROL.sub("", text)


@dataclass
class Row:
    """What is known of one task."""

    id: int
    task: str
    needs: list[int]
    args: str
    status: str = "planned"
    model: str = ""
    runtime: str = ""
    seconds: float = 0.0
    error: str = ""
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> "Row":
        """From a task on the wire."""
        values = [
            v
            for argument in task.get("args", {}).values()
            for v in (argument if isinstance(argument, list) else [argument])
        ]
        sources = [v["from"] for v in values if isinstance(v, dict) and "from" in v]
        args = ", ".join(f"{port}: {_short(argument)}" for port, argument in task.get("args", {}).items())
        return cls(task["id"], task["task"], list(dict.fromkeys(sources + task.get("after", []))), args)

    def take(self, event: Mapping[str, Any]) -> None:
        """Takes over what an event of this task says; fields that an event leaves empty stay as they are."""
        if event.get("status") == "running" and self.status != "running":
            self.started = time.monotonic()
        for name in ("status", "model", "runtime", "seconds", "error"):
            if event.get(name) is not None:
                value = event[name]
                setattr(self, name, value["message"] if isinstance(value, dict) else value)

    @property
    def facts(self) -> str:
        """`builtin/rapidocr on builtin, 1.2 s: what went wrong`."""
        seconds = time.monotonic() - self.started if self.status == "running" else self.seconds
        model = f"{self.model} on {self.runtime}" if self.model and self.status != "skipped" else ""
        timed = f"{seconds:.1f} s" if self.status in {"done", "failed"} or seconds >= 0.1 else ""
        facts = ", ".join(part for part in (model, timed) if part)
        error = f"{self.error[:_LONGEST]}…" if len(self.error) > _LONGEST else self.error
        return plain(": ".join(part for part in (facts, error) if part)).replace("\n", " ")


def _short(argument: object) -> str:
    """`memo.wav`, `#0`, `#1 each`, `"Where is …"`."""
    match argument:
        case list():
            return f"[{', '.join(map(_short, argument))}]"
        case {"file": name}:
            return plain(str(name))
        case {"from": source, **rest}:
            return (
                f"#{source}"
                + (f".{rest['output']}" if rest.get("output") else "")
                + (" each" * bool(rest.get("each")))
            )
    text = " ".join(plain(str(argument)).split())
    return f'"{text[:39]}…"' if len(text) > 40 else f'"{text}"'


def plan_tree(rows: Sequence[Row]) -> RenderableType:
    """The plan as a tree: every task under the last that it needs; `#id` in its arguments names all."""
    if not rows:
        return Text("No model is needed.", style="dim")
    root = Tree("", hide_root=True)
    nodes: dict[int, Tree] = {}
    waiting = {row.id: row for row in rows}
    while waiting:
        ready = [row for row in waiting.values() if not set(row.needs) & waiting.keys()]
        for row in ready or list(waiting.values()):  # a plan with problems may have a cycle
            parents = [nodes[need] for need in row.needs if need in nodes]
            nodes[row.id] = (parents[-1] if parents else root).add(_label(row))
            del waiting[row.id]
    return root


def _label(row: Row) -> RenderableType:
    text = Text.assemble((f"#{row.id} ", "dim"), (row.task, "bold"), f"({row.args})")
    if row.facts:
        text.append(f"  {row.facts}", style="red" if row.status == "failed" else "cyan")
    if row.status == "running":
        grid = Table.grid(padding=(0, 1))
        grid.add_row(Spinner("dots"), text)
        return grid
    sign, style = _LOOKS[row.status]
    return Text.assemble((f"{sign} ", style), text)


class Progress:
    """Takes the graph's custom events and shows them on stderr."""

    def __init__(self, *, quiet: bool) -> None:
        """`quiet`: no lines where there is no terminal. Notices are always shown."""
        self.rows: dict[int, Row] = {}
        self.drafted: dict[int, Row] = {}
        """Tasks of a plan that is being written; it may still change."""
        self.notices: list[str] = []
        self.downloads: dict[str, str] = {}
        """Per model that is being downloaded, how far that is."""
        self.answer = ""
        """As much of it as has come; shown while the run goes on, and gone when it is over."""
        self._quiet = quiet
        self._console = Console(stderr=True, highlight=False, markup=False)
        self._terminal = sys.stderr.isatty() and not self._console.is_dumb_terminal

    @contextmanager
    def live(self) -> Iterator[None]:
        """While it is open, a terminal shows the tree, and its last state stays."""
        if not self._terminal:
            yield
            return
        with Live(get_renderable=self._render, console=self._console, refresh_per_second=8):
            yield
            self.answer = ""

    def plan(self, tasks: Sequence[Mapping[str, Any]]) -> None:
        """A plan; of the tasks that are shown already, those that have begun stay as they are."""
        self.drafted.clear()
        for row in map(Row.of, tasks):
            shown = self.rows.get(row.id)
            if shown is None or (shown.status == "planned" and shown.args != row.args):
                self.rows[row.id] = row
                self._line(f"plan: #{row.id} {row.task}({row.args})")
        if not tasks:
            self._line("plan: no model is needed")

    def notice(self, message: str) -> None:
        """A line for people that is not about one task."""
        self.notices.append(plain(message))
        if not self._terminal:
            print(f"hugginggpt: {plain(message)}", file=sys.stderr, flush=True)

    def download(self, model: str, done: int, total: int) -> None:
        """How many bytes of a model's weights are here."""
        from hugginggpt.tools.machine import size_text

        if model not in self.downloads:
            self._line(f"downloading {plain(model)}, {size_text(total)}")
        self.downloads[model] = f"downloading {plain(model)}: {size_text(done)} of {size_text(total)}"
        if done >= total:
            self.downloads[model] = ""

    def settle(self, results: Sequence[Mapping[str, Any]]) -> None:
        """The results at the end: what a resumed run did not do again has told nothing."""
        for result in results:
            if result["id"] in self.rows:
                self.rows[result["id"]].take(result)

    def take(self, event: Mapping[str, Any]) -> None:
        """One custom event of the graph."""
        match event:
            case {"type": "plan", "tasks": tasks}:
                self.plan(tasks)
            case {"type": "planned", "task": task}:
                self.drafted[task["id"]] = Row.of(task)
            case {"type": "notice", "message": message}:
                self.notice(message)
            case {"type": "download", "model": model, "bytes": done, "total": total}:
                self.download(model, done, total)
            case {"type": "answer", "text": text}:
                self.answer += plain(text)
            case {"type": "choice", "id": id_} if id_ in self.rows:
                self.rows[id_].take({"model": event["model"], "runtime": event["runtime"]})
            case {"type": "task", "id": id_} if id_ in self.rows:
                row = self.rows[id_]
                row.take(event)
                self._line(" ".join(filter(None, (f"#{row.id} {row.task}", row.status, row.facts))))
            case {"type": "attempt", "id": id_, "error": str(error)} if id_ in self.rows:
                self._line(
                    f"#{id_} {self.rows[id_].task} attempt with {event['model']} failed: {plain(error)}"
                )

    def _line(self, text: str) -> None:
        if not self._terminal and not self._quiet:
            print(text, file=sys.stderr, flush=True)

    def _render(self) -> RenderableType:
        notices = [Text(notice, style="yellow") for notice in self.notices]
        planning = Spinner("dots", "planning")
        rows = [*(self.drafted | self.rows).values()]
        tree = plan_tree(rows) if rows or self.answer else planning
        downloads = [Text(line, style="cyan") for line in self.downloads.values() if line]
        return Group(*notices, tree, *downloads, *self._last_lines())

    def _last_lines(self) -> list[Text]:
        """The end of the answer, as much as fits under the tree."""
        width, height = self._console.size
        lines = [line for part in self.answer.splitlines() for line in wrap(part, width) or [""]]
        return [Text(line) for line in lines[-max(3, height - len(self.rows) - len(self.notices) - 2) :]]
