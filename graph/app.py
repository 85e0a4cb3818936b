"""The graph: `builder` to embed with a checkpointer of your own, `graph` as Studio and a server load it."""

from langgraph.graph import START

from hugginggpt.graph import nodes, routes
from hugginggpt.graph.compiled import Builder
from hugginggpt.graph.context import Context
from hugginggpt.graph.state import Input, Output, State

builder = Builder(State, context_schema=Context, input_schema=Input, output_schema=Output)
builder.add_node("plan", nodes.plan)
builder.add_node("select", nodes.select)
builder.add_node("execute", nodes.execute)
builder.add_node("synthesize", nodes.synthesize)
builder.add_edge(START, "plan")
builder.add_conditional_edges("plan", routes.after_plan)
builder.add_edge("select", "execute")
builder.add_conditional_edges("execute", routes.after_execute)
builder.set_finish_point("synthesize")

graph = builder.compile(name="hugginggpt")
