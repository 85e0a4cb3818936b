"""The embedded controller's answer: a plain report of what was done."""

from collections.abc import Iterator, Sequence

from hugginggpt.tools.values import Result


def report(request: str, results: Sequence[Result], missed: Sequence[str]) -> Iterator[str]:
    """The answer in pieces."""
    for result in results:
        yield f"{result['task']}: {result['outputs'].get('text', '')}\n"
