"""`hugginggpt ask`: a request, answered."""

import argparse
import hashlib
import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hugginggpt.app import inputs, threads
from hugginggpt.app.plan import wire
from hugginggpt.app.settings import Parser, context

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from hugginggpt.app.progress import Progress
    from hugginggpt.graph.compiled import Builder, CompiledGraph
    from hugginggpt.graph.context import Context, Home
    from hugginggpt.graph.state import State
    from hugginggpt.tools.values import Artifact


_OUT = Path("out")


@dataclass(frozen=True)
class Ask:
    """One call of the command, checked."""

    request: str
    files: "list[Artifact]"
    thread: str
    out: Path
    context: "Context"
    home: "Home"

    @property
    def mark(self) -> str:
        """The same for the same request with the same files: by it an unfinished turn is known again."""
        return hashlib.sha256(
            "\0".join([self.request, *(file["id"] for file in self.files)]).encode()
        ).hexdigest()

    @property
    def config(self) -> "RunnableConfig":
        """The thread, and the mark that its checkpoints carry."""
        return {"configurable": {"thread_id": self.thread}, "metadata": {"ask": self.mark}}


def add_parser(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    """Adds the command."""
    parser = subparsers.add_parser("ask", help="answer a request", description="Answers a request.")
    parser.with_settings = True
    inputs.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=_OUT, help="where files that are made go (default ./out)"
    )
    parser.add_argument(
        "--thread", metavar="NAME", help="the conversation to go on with, or to begin; without it a new one"
    )


def run(args: argparse.Namespace) -> int:
    """Answers; the exit status."""
    thread = threads.thread_name(args.thread)
    try:
        return _run(args, thread)
    except KeyboardInterrupt:
        print(f"hugginggpt: stopped; to go on: {_again(args, thread)}", file=sys.stderr)
        return 130


def _run(args: argparse.Namespace, thread: str) -> int:
    from hugginggpt.graph.context import Home

    settings, home = context(args), Home.from_environment()
    request = inputs.read_request(args.request, settings.max_request_chars)
    inputs.check_writable(args.out)
    with threads.held(home, thread):
        ask = Ask(request, inputs.attach(args.file, settings, home), thread, args.out, settings, home)
        state = _answered(ask, quiet=args.json)
        if state["problems"]:  # the turn could not begin, and the answer says why
            raise inputs.InputError(state["messages"][-1].text)
        artifacts = _exported(ask, state)
    (_print_json if args.json else _print)(state, artifacts)
    if args.thread is None and sys.stderr.isatty():
        print(f"Goes on with: hugginggpt ask --thread {thread} …", file=sys.stderr)
    return _status(state)


def _status(state: "State") -> int:
    from hugginggpt.graph.state import shortfalls

    return 1 if shortfalls(state) else 0


def _answered(ask: Ask, *, quiet: bool) -> "State":
    from hugginggpt.app import loop
    from hugginggpt.app.progress import Progress

    progress = Progress(quiet=quiet)
    with progress.live():
        # Imported here and not while the loop runs, because Ctrl-C has to wait for what blocks the loop.
        from hugginggpt.graph.app import builder

        return loop.run(_turn(ask, builder, progress))


async def _turn(ask: Ask, builder: "Builder", progress: "Progress") -> "State":
    async with threads.saver(ask.home.threads) as saver:
        graph = builder.compile(checkpointer=saver, name="hugginggpt")
        turn = await _input(graph, ask, progress)
        async for event in graph.astream(turn, ask.config, context=ask.context, stream_mode="custom"):
            progress.take(event)
        state = cast("State", (await graph.aget_state(ask.config)).values)
        progress.settle(state.get("results", []))
        return state


async def _input(graph: "CompiledGraph", ask: Ask, progress: "Progress") -> Any:  # noqa: ANN401
    """A new turn; or None, which makes LangGraph go on, where this very turn is unfinished."""
    from langchain_core.messages import HumanMessage

    before = await graph.aget_state(ask.config)
    if before.next and (before.metadata or {}).get("ask") == ask.mark:
        progress.notice(f"thread {ask.thread}: going on where it was stopped")
        if {"select", "execute", "synthesize"} & set(before.next):
            progress.plan(wire(before.values["plan"])["tasks"])
        return None
    if before.next:
        progress.notice(f"thread {ask.thread}: its last request was not finished and is abandoned")
    return {"messages": [HumanMessage(ask.request)], "files": ask.files}


def _exported(ask: Ask, state: "State") -> list[dict[str, Any]]:
    """This turn's artifacts, each with the `path` of its file."""
    from hugginggpt.tools.artifacts import artifact_store

    store = artifact_store(ask.home.artifacts)
    return [
        {**artifact, "path": str(store.export(artifact, ask.out))} for artifact in state.get("artifacts", [])
    ]


def _print(state: "State", artifacts: list[dict[str, Any]]) -> None:
    from hugginggpt.app.progress import plain

    print(plain(state["messages"][-1].text).strip())
    for artifact in artifacts:
        print(artifact["path"])


def _print_json(state: "State", artifacts: list[dict[str, Any]]) -> None:
    from hugginggpt.graph.state import turn_results

    whole = {
        "answer": state["messages"][-1].text,
        "plan": wire(state["plan"]),
        "results": turn_results(state),
        "artifacts": artifacts,
    }
    if state.get("usage"):
        whole["usage"] = state["usage"]
    print(json.dumps(whole, ensure_ascii=False))


def _again(args: argparse.Namespace, thread: str) -> str:
    files = [part for path in args.file for part in ("--file", str(path))]
    out = ["--out", str(args.out)] if args.out != _OUT else []
    command = shlex.join(["hugginggpt", "ask", "--thread", thread, *files, *out])
    short = len(args.request) <= 200 and "\n" not in args.request and args.request != "-"
    return " ".join([command, shlex.quote(args.request) if short else '"the same request"'])
