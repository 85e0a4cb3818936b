"""The embedded controller's answer: what came of each task, in plain words."""

from collections.abc import Iterator, Sequence

from hugginggpt.tools.tasks import MEDIA, TASKS
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
    """The answer in pieces: words before files, the last first; then the failures and the models used.

    `missed` are the parts of the request that no task was found for, as they were written.
    """
    if not results:
        yield DIRECT
        return
    done = [result for result in reversed(results) if result["status"] == "done"]
    if not done:
        yield "Nothing could be done.\n"
    for place, result in enumerate(sorted(done, key=_is_file)):
        text = _text(result)
        if place and len(text) > CLIP:
            text = f"{text[:CLIP].rstrip()} …"
        yield f"{text}\n\n" if not place or _is_file(result) else f"From {result['task']}:\n{text}\n\n"
    for result in results:
        if result["status"] != "done":
            yield f"Task {result['id']}, {result['task']}, {result['status']}: {_why(result)}\n"
    for part in missed:
        yield f"Not understood, so not done: “{part}”\n"
    if done:
        yield f"Models: {', '.join(dict.fromkeys(_model(result) for result in reversed(done)))}\n"


def _is_file(result: Result) -> bool:
    """Whether the result is a picture, a sound or a video rather than words."""
    return result["task"] in TASKS and TASKS[result["task"]].outputs[0] in MEDIA


def _text(result: Result) -> str:
    """The result's text view, and the names of its files: "Spoken: answer.wav (audio, 2.4 s)"."""
    files = [artifact["name"] for artifact in artifacts_in(result["outputs"])]
    text = result["outputs"].get("text", "")
    said = ("\n".join(map(str, text)) if isinstance(text, list) else str(text)).strip()
    if _is_file(result) and files:
        label = "Spoken" if result["task"] == "text-to-speech" else "File"
        return f"{label}: {', '.join(dict.fromkeys(files))}" + (f" ({said})" if said else "")
    names = "\n".join(f"File: {name}" for name in dict.fromkeys(files))
    return "\n".join(part for part in (said, names) if part) or "(an empty result)"


def _why(result: Result) -> str:
    return result["error"]["message"] if result["error"] else "no reason was given"


def _model(result: Result) -> str:
    return (
        f"{result['model']} ({result['runtime']})" if result["model"] else f"{result['task']} without a model"
    )
