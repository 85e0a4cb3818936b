"""How close execution comes to the critical path: `python benchmarks/dataflow.py [--graphs N]`.

100 generated plans (single, chain, wide, uneven; 1 to 40 tasks) of models that take simulated seconds,
run by the dataflow, by a level-by-level graph on LangGraph's `Send`, and one by one, all in one process
and each plan by all three in turn. A figure is the makespan divided by the plan's critical path: 1.0 is
perfect. Then the overhead per task with instant models, with and without a SQLite checkpointer.
"""

import argparse
import asyncio
import operator
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from typing_extensions import TypedDict

from hugginggpt.graph.arguments import Sources
from hugginggpt.graph.dataflow import Job, run_plan
from hugginggpt.graph.plan import From, Plan, Task, order
from hugginggpt.tools.artifacts import artifact_store
from hugginggpt.tools.attempts import Limits
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.runtime import Availability, Candidate
from hugginggpt.tools.values import Inputs, Outputs, Result

GOALS = {"median": 1.03, "worst": 1.10, "ms": 3.0, "ms with SQLite": 8.0}
CARD = ModelCard(id="bench/sleep", task="text-generation", summary="takes as long as its plan says")


class Sleep:
    """A runtime whose models take the seconds that begin their text."""

    name = "bench"

    def available(self) -> Availability:
        return Availability(ok=True)

    def cards(self, task: str) -> list[ModelCard]:  # noqa: ARG002, the protocol's
        return []

    def can_run(self, card: ModelCard) -> bool:
        return card == CARD

    def ready(self, card: ModelCard) -> bool:  # noqa: ARG002, the protocol's
        return True

    async def run(self, card: ModelCard, task: str, inputs: Inputs) -> Outputs:  # noqa: ARG002
        await asyncio.sleep(float(inputs["text"].split()[0]))
        return {"text": "x"}


class State(TypedDict, total=False):
    plan: Plan
    results: Annotated[list[Result], operator.add]
    ready: list[int]


def job(plan: Plan, results: dict[int, Result] | None = None) -> Job:
    return Job(
        sources=Sources(results or {}, {}, artifact_store("memory://bench")),
        choices={task.id: [Candidate(card=CARD, runtime="bench")] for task in plan.tasks},
        reasons={},
        runtimes={"bench": Sleep()},
        limits=Limits(),
        places=asyncio.Semaphore(1000),
        max_items=1000,
    )


# --- plans ------------------------------------------------------------------------------------------------


def make_plan(kind: str, size: int, seconds: list[float], rng: random.Random) -> Plan:
    """A plan of `size` tasks, each taking the seconds of its place."""

    def sources(n: int) -> list[int]:
        if kind == "chain":
            return [n - 1] if n else []
        if kind == "wide":
            return [] if n == 0 else ([0] if n < size - 1 else list(range(1, n)))
        return sorted(rng.sample(range(n), min(n, rng.choice([0, 1, 1, 2, 3]))))  # uneven

    return Plan(
        tasks=[
            Task(
                id=n,
                task="text-generation",
                args={"text": [str(seconds[n]), *(From(source=source) for source in sources(n))]},
            )
            for n in range(size)
        ]
    )


def plans(count: int) -> list[tuple[str, Plan]]:
    rng = random.Random(7)
    made = []
    for n in range(count):
        kind = ("single", "chain", "wide", "uneven")[n % 4]
        most = {"single": 1, "chain": 12}.get(kind, 40)
        size = round(most ** rng.uniform(0.3, 1))  # log-uniform
        seconds = [round(0.1 * 6 ** rng.random(), 3) for _ in range(size)]  # 0.1 to 0.6 s, log-uniform
        made.append((kind, make_plan(kind, size, seconds, rng)))
    return made


def seconds_of(task: Task) -> float:
    return float(str(next(value for _, value in task.values())))


def critical_path(plan: Plan) -> float:
    """Seconds of the longest chain."""
    end: dict[int, float] = {}
    for task in order(plan):
        end[task.id] = seconds_of(task) + max((end[source] for source in task.sources), default=0.0)
    return max(end.values())


# --- three ways to run them -------------------------------------------------------------------------------


def dataflow(saver: AsyncSqliteSaver | None = None) -> Any:  # noqa: ANN401
    async def execute(state: State) -> State:
        return {"results": await run_plan(state["plan"], job(state["plan"]))}

    return StateGraph(State).add_node(execute).add_edge(START, "execute").compile(checkpointer=saver)


def by_levels() -> Any:  # noqa: ANN401
    """All that is ready, then a barrier, then all that is ready then."""

    def ready(state: State) -> list[Send] | str:
        done = {result["id"]: result for result in state.get("results", [])}
        tasks = [t for t in state["plan"].tasks if t.id not in done and set(t.sources) <= done.keys()]
        return [
            Send("one", {"plan": Plan(tasks=[task]), "results": list(done.values())}) for task in tasks
        ] or END

    async def one(state: State) -> State:
        done = {result["id"]: result for result in state["results"]}
        return {"results": await run_plan(state["plan"], job(state["plan"], done))}

    graph = StateGraph(State).add_node(one).add_node("barrier", lambda _: {})
    graph.add_edge(START, "barrier").add_edge("one", "barrier")
    return graph.add_conditional_edges("barrier", ready, ["one", END]).compile()


def one_by_one() -> Any:  # noqa: ANN401
    async def execute(state: State) -> State:
        done: dict[int, Result] = {}
        for task in order(state["plan"]):
            plan = Plan(tasks=[task])
            done |= {result["id"]: result for result in await run_plan(plan, job(plan, done))}
        return {"results": list(done.values())}

    return StateGraph(State).add_node(execute).add_edge(START, "execute").compile()


async def timed(graph: Any, plan: Plan, config: dict[str, Any] | None = None) -> float:  # noqa: ANN401
    started = time.perf_counter()
    state = await graph.ainvoke({"plan": plan, "results": []}, {"recursion_limit": 1000, **(config or {})})
    seconds = time.perf_counter() - started
    if {result["status"] for result in state["results"]} != {"done"}:
        raise SystemExit(f"a task did not finish: {state['results']}")
    return seconds


async def makespans(count: int) -> None:
    ways = {"dataflow": dataflow(), "level by level": by_levels(), "one by one": one_by_one()}
    ratios: dict[str, list[float]] = {name: [] for name in ways}
    for graph in ways.values():  # what the first run of a process imports is not the dataflow's
        await timed(graph, make_plan("chain", 3, [0.0] * 3, random.Random(7)))
    for number, (kind, plan) in enumerate(plans(count), 1):
        for name, graph in ways.items():
            ratios[name].append(await timed(graph, plan) / critical_path(plan))
        print(f"\r{number}/{count} {kind:8}", end="", file=sys.stderr, flush=True)
    print(f"\nmakespan / critical path, {count} plans   median    worst")
    for name, found in ratios.items():
        print(f"  {name:32} {statistics.median(found):9.3f} {max(found):8.3f}")
    print(f"  goal of the dataflow             {GOALS['median']:9.3f} {GOALS['worst']:8.3f}")


async def overhead() -> None:
    print("overhead per task, instant models, ms      wide    chain")
    rng = random.Random(7)
    shapes = {kind: make_plan(kind, 100, [0.0] * 100, rng) for kind in ("wide", "chain")}
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncSqliteSaver.from_conn_string(str(Path(folder) / "bench.sqlite")) as saver:
            for name, graph, goal in [
                ("without a checkpointer", dataflow(), GOALS["ms"]),
                ("with SQLite", dataflow(saver), GOALS["ms with SQLite"]),
            ]:
                found = []
                for kind, plan in shapes.items():
                    runs = [
                        await timed(graph, plan, {"configurable": {"thread_id": f"{kind}{n}"}})
                        for n in range(7)
                    ]
                    found.append(statistics.median(runs) / 100 * 1000)
                print(f"  {name:34} {found[0]:9.2f} {found[1]:8.2f}   goal {goal:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graphs", type=int, default=100, help="how many plans to generate")
    arguments = parser.parse_args()
    asyncio.run(makespans(arguments.graphs))
    asyncio.run(overhead())


if __name__ == "__main__":
    main()
