"""Good replies, spoilt in 300 seeded ways: every request is done, or answered clearly."""

import json
import random
import re

import pytest
from doubles import generate
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGenerationChunk

from hugginggpt.graph.app import graph

PLAN = json.dumps(
    {
        "tasks": [
            generate(0, "Write about Ann and Bo."),
            {"id": 1, "task": "token-classification", "args": {"text": {"from": 0}}},
            generate(2, {"from": 1, "each": True}),
            generate(3, ["Sum up:", {"from": 2}, {"from": 0}], after=[1]),
        ]
    }
)
ANSWER = "Ann and Bo are in it; bench/echo wrote it."
BROKEN = [
    "",
    "\\",
    '"',
    "'",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "//",
    "/*",
    "`",
    "\ud800",
    "\x00",
    "\n",
    "NaN",
    "é",
    "<data>",
]


def cut(draw, text):
    return text[: draw.randrange(len(text))]


def garbled(draw, text):
    for _ in range(draw.randint(1, 5)):
        at = draw.randrange(len(text))
        text = text[:at] + draw.choice(BROKEN) + text[at + draw.randint(0, 2) :]
    return text


def renamed(draw, text):
    word = draw.choice(re.findall(r'"([a-z-]+)"', text))
    return text.replace(
        f'"{word}"', json.dumps(draw.choice(["name", "model", "id", "Task", "übersetzen", "x" * 500]))
    )


def reordered(draw, text):
    tasks = json.loads(text)["tasks"]
    draw.shuffle(tasks)
    for task in tasks:
        task["id"] = draw.choice([task["id"], str(task["id"]), task["id"] + 1, -1, 10**30])
    return json.dumps(tasks if draw.random() < 0.5 else {"plan": {"tasks": tasks}})


def retyped(draw, text):
    value = draw.choice(
        [None, 7, -1.5, True, [], {}, [[["deep"]]], {"from": 99}, {"file": "../x"}, "", "Ω" * 3000]
    )
    tasks = json.loads(text)["tasks"]
    task = draw.choice(tasks)
    task[draw.choice([*task])] = value
    return json.dumps({"tasks": tasks})


def wrapped(draw, text):
    around = draw.choice(
        [
            "```json\n{}\n```",
            "Sure! Here's it: {}\nBye {{",
            "<think>{{</think>{}",
            "[{}]",
            '{{"r": {}}}',
            "{}{}",
        ]
    )
    return (
        around.replace("{{", "\0")
        .replace("}}", "\1")
        .replace("{}", text)
        .replace("\0", "{")
        .replace("\1", "}")
    )


class Spoilt(BaseChatModel):
    """Streams a reply per stage, a few characters at a time."""

    replies: dict[str, str]
    size: int

    @property
    def _llm_type(self):
        return "spoilt"

    def _generate(self, *args, **kwargs):
        raise NotImplementedError

    async def _astream(self, messages, *args, **kwargs):
        reply = self.replies[messages[0].text.split()[0]]
        for at in range(0, len(reply), self.size):
            yield ChatGenerationChunk(message=AIMessageChunk(content=reply[at : at + self.size]))


@pytest.mark.usefixtures("bench")
@pytest.mark.parametrize("mutation", [cut, garbled, renamed, reordered, retyped, wrapped])
async def test_spoilt_replies_end_in_an_answer(mutation):
    for seed in range(50):
        draw = random.Random(f"{mutation.__name__} {seed}")
        answer = draw.choice([ANSWER, cut(draw, ANSWER), garbled(draw, ANSWER)])
        replies = {"Plan": mutation(draw, PLAN), "Choose": cut(draw, '{"0": 1}'), "Answer": answer}
        model = Spoilt(replies=replies, size=draw.choice([3, 40]))
        output = await graph.ainvoke(
            {"messages": [HumanMessage("Write about Ann and Bo.")]},
            context={"llm": model, "max_repairs": 1, "max_replans": 0, "max_retries": 0, "max_attempts": 1},
        )
        said = output["messages"][-1].text
        undone = [result for result in output["results"] if result["status"] != "done"]
        assert said.strip(), (seed, replies)
        assert said.encode(), "no lone surrogates"
        assert all(result["error"]["message"] for result in undone), (seed, replies)
        assert output["results"] or "Note:" in said or not replies["Plan"].count('"task"'), (seed, replies)
