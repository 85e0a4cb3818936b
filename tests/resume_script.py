"""Runs an uneven plan in a process of its own on a thread in SQLite; a second run resumes it.

usage: resume_script.py DATABASE NESTED, with BENCH_LOG and BENCH_KILL as in doubles.py
"""

import asyncio
import json
import sys

from doubles import Scripted, generate
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, MessagesState, StateGraph

from hugginggpt.graph import nodes
from hugginggpt.graph.app import builder
from hugginggpt.tools import runtime

# Ready at different times: 1 is quick though called after the slow 0, 3 fans in, 4 runs over items.
PLAN = [
    generate(0, "@0.6 zero"),
    generate(1, "@0.02 one"),
    generate(2, ["@0.3 two", {"from": 1}]),
    generate(3, ["@0.02 three", {"from": 0}, {"from": 2}]),
    {"id": 4, "task": "token-classification", "args": {"text": "@0.05 @0.2~a @0.02~b @0.1~c"}},
    generate(5, {"from": 4, "each": True}),
    generate(6, ["@0.01 six", {"from": 5}], after=[1]),
]


async def main(database, nested):
    runtime.RUNTIMES.clear()
    runtime.RUNTIMES["bench"] = "doubles:Bench"
    nodes.controller_for = lambda *_: Scripted(PLAN)
    config = {"configurable": {"thread_id": "t"}, "max_concurrency": 4 if nested else None}
    async with AsyncSqliteSaver.from_conn_string(database) as saver:
        if nested:
            inner = builder.compile(name="hugginggpt")
            parent = StateGraph(MessagesState)
            parent.add_node("inner", inner)
            parent.add_edge(START, "inner")
            graph = parent.compile(checkpointer=saver)
        else:
            graph = builder.compile(checkpointer=saver)
        begun = await saver.aget_tuple(config)
        state = await graph.ainvoke(None if begun else {"messages": [HumanMessage("go")]}, config)
    json.dump({"answer": state["messages"][-1].text, "results": state.get("results")}, sys.stdout)


asyncio.run(main(sys.argv[1], sys.argv[2] == "nested"))
