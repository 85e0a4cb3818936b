"""The embedded controller's answer: what came of each task, in plain words."""

from collections.abc import Iterator, Sequence

from hugginggpt.tools.values import Result
from hugginggpt.tools.views import artifacts_in

CLIP = 600  # characters of a result that another one followed

DIRECT = """\
No model that runs a single task can answer this: it needs a language model, and none is set.
To set one, put `OPENAI_API_KEY` (and `OPENAI_BASE_URL` for any server that speaks OpenAI's protocol) or \
`HF_TOKEN` in the environment, and choose it with `--llm`.

Without one I can do work on texts and files: read, describe, classify, change or make pictures; transcribe, \
clean and label recordings; read texts aloud; translate, summarize and compare texts and find names in them; \
answer questions on a text, a table, a picture or a scanned document; make music, sounds and video clips. \
Say what to do, and attach the file or put the text in quotes."""


def report(results: Sequence[Result], missed: Sequence[str]) -> Iterator[str]:
    """The answer in pieces: the last result first, then the others, the failures, and the models used.

    `missed` are the parts of the request that no task was found for, as they were written.
    """
    if not results:
        yield DIRECT
        return
    done = [result for result in results if result["status"] == "done"]
    if not done:
        yield "Nothing could be done.\n"
    for place, result in enumerate(reversed(done)):
        text = _text(result)
        if place and len(text) > CLIP:
            text = f"{text[:CLIP].rstrip()} …"
        yield f"{text}\n" if len(done) == 1 else f"**{result['task']}** (task {result['id']}):\n{text}\n"
        yield "\n"
    for result in results:
        if result["status"] != "done":
            yield f"Task {result['id']}, {result['task']}, {result['status']}: {_why(result)}\n"
    for part in missed:
        yield f"Not understood, so not done: “{part}”\n"
    if done:
        yield f"Models: {', '.join(dict.fromkeys(_model(result) for result in done))}\n"


def _text(result: Result) -> str:
    """The result's text view, and the names of its files."""
    files = [artifact["name"] for artifact in artifacts_in(result["outputs"])]
    text = result["outputs"].get("text", "")
    said = "\n".join(map(str, text)) if isinstance(text, list) else str(text)
    names = "\n".join(f"File: {name}" for name in dict.fromkeys(files))
    return "\n".join(part for part in (said.strip(), names) if part) or "(an empty result)"


def _why(result: Result) -> str:
    return result["error"]["message"] if result["error"] else "no reason was given"


def _model(result: Result) -> str:
    return (
        f"{result['model']} ({result['runtime']})" if result["model"] else f"{result['task']} without a model"
    )
