"""What a language model writes, on a terminal, while it comes: the plan, and the answer."""

from rich.console import Console

from hugginggpt.app.progress import Progress


def shown(progress):
    console = Console(width=40, height=12, force_terminal=False)
    with console.capture() as capture:
        console.print(progress._render())
    return capture.get()


def test_the_answer_is_shown_as_it_comes():
    progress = Progress(quiet=False)
    progress.take({"type": "plan", "tasks": [{"id": 0, "task": "summarization", "args": {}}]})
    assert "It is" not in shown(progress)
    progress.take({"type": "answer", "text": "It is "})
    progress.take({"type": "answer", "text": "so\x1b[2J."})
    assert shown(progress).rstrip().endswith("It is so[2J.")


def test_a_download_is_shown_until_it_is_whole(capsys):
    progress = Progress(quiet=False)
    progress.take({"type": "download", "model": "a/b", "bytes": 2_000_000, "total": 40_000_000})
    assert "downloading a/b: 2.0 MB of 40 MB" in shown(progress)
    progress.take({"type": "download", "model": "a/b", "bytes": 40_000_000, "total": 40_000_000})
    assert "downloading" not in shown(progress)
    assert capsys.readouterr().err == "downloading a/b, 40 MB\n"


def test_tasks_are_shown_as_they_are_written_and_the_plan_takes_their_place():
    progress = Progress(quiet=False)
    assert "planning" in shown(progress)
    for id_, task in enumerate(["summarization", "translation"]):
        progress.take({"type": "planned", "task": {"id": id_, "task": task, "args": {}}})
    assert "summarization" in shown(progress)
    progress.take({"type": "plan", "tasks": [{"id": 1, "task": "translation", "args": {}}]})
    assert "summarization" not in shown(progress)
    assert "translation" in shown(progress)


def test_of_a_long_answer_the_end_is_shown_under_the_tree():
    progress = Progress(quiet=False)
    progress.take({"type": "plan", "tasks": [{"id": 0, "task": "summarization", "args": {}}]})
    progress.take({"type": "answer", "text": "\n".join(f"line {n}" for n in range(500))})
    assert "summarization" in shown(progress)
    assert "line 499" in shown(progress)
    assert "line 100\n" not in shown(progress)
