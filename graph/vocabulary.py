"""The words that requests are made of: `vocabulary.toml`, read once."""

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources


@cache
def _tables() -> dict[str, dict[str, str]]:
    text = resources.files("hugginggpt.graph").joinpath("vocabulary.toml").read_text(encoding="utf-8")
    tables: dict[str, dict[str, str]] = tomllib.loads(text)
    return tables


@cache
def words(name: str) -> frozenset[str]:
    """A named set of English words, e.g. `verbs`."""
    return frozenset(_tables()["words"][name].split())


@cache
def names_of(task: str) -> frozenset[str]:
    """Words that all but name the task."""
    return frozenset(_tables()["names"].get(task, "").split())


@cache
def nouns_of(task: str) -> frozenset[str]:
    """What the task's result is called."""
    return frozenset(_tables()["nouns"].get(task, "").split())


@cache
def forms(language: str) -> Mapping[str, str]:
    """A language's words to their English; `languages`: what languages are called to their English name."""
    table = _tables().get(language, {})
    return {form: english for english, listed in table.items() for form in listed.split()}


def language_of(request_words: Sequence[str]) -> str:
    """The language that most of the words' general words are of; English in doubt.

    Counted are words that are written alike in no English request: "die" and "in" say nothing.
    """
    common = words("objects") | words("asking") | words("verbs") | words("subjects") | words("finite") | {
        "the", "of", "and", "in", "for", "on", "with", "as"}  # fmt: skip
    counts = {
        language: sum(word in forms(language) and word not in common for word in request_words)
        for language in _tables()
        if language not in {"words", "names", "nouns", "languages"}
    }
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] > sum(word in common for word in request_words) else "English"
