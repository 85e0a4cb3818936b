"""Which tasks a clause may mean: its closeness to the exemplar phrases of every task."""

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

from hugginggpt.tools.encoder import Encoder


@dataclass(frozen=True, slots=True)
class Closeness:
    """How close a clause is to every task and to every kind of sentence that needs none, about 0 to 1."""

    tasks: dict[str, float]
    none: dict[str, float]


class Matcher:
    """Compares clauses with the exemplars. They are encoded once, on the first clause."""

    def __init__(self, encoder: Callable[[], Encoder]) -> None:
        self._encoder = encoder
        self._vectors: np.ndarray | None = None

    def closeness(self, texts: Sequence[str]) -> list[Closeness]:
        """One for each text, all encoded in one batch. Blocks."""
        if not texts:
            return []
        encoder, rows = self._encoder(), _exemplars()
        if self._vectors is None:
            self._vectors = encoder.encode([phrase for _, _, phrase in rows])
        similar = encoder.encode(texts) @ self._vectors.T
        return [_gathered(row) for row in similar]


def mean(several: Sequence[Closeness]) -> Closeness:
    """The mean of some wordings of one clause."""
    first = several[0]
    return Closeness(
        {name: sum(one.tasks[name] for one in several) / len(several) for name in first.tasks},
        {name: sum(one.none[name] for one in several) / len(several) for name in first.none},
    )


def _gathered(similar: np.ndarray) -> Closeness:
    """The mean of a group's nearest exemplar and its three nearest: steadier than the nearest alone."""
    groups: dict[tuple[str, str], list[float]] = {}
    for (table, name, _), value in zip(_exemplars(), similar, strict=True):
        groups.setdefault((table, name), []).append(float(value))
    closeness = Closeness({}, {})
    for (table, name), values in groups.items():
        best = sorted(values, reverse=True)[:3]
        target = closeness.tasks if table == "tasks" else closeness.none
        target[name] = 0.7 * best[0] + 0.3 * sum(best) / len(best)
    return closeness


@cache
def _exemplars() -> list[tuple[str, str, str]]:
    """(table, name, phrase) of every exemplar."""
    text = resources.files("hugginggpt.graph").joinpath("exemplars.toml").read_text(encoding="utf-8")
    return [
        (table, name, phrase)
        for table, groups in tomllib.loads(text).items()
        for name, phrases in groups.items()
        for phrase in phrases
    ]
