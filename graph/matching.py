"""Which tasks a clause may mean: its closeness to the exemplar phrases of every task."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from hugginggpt.tools.encoder import Encoder


@dataclass(frozen=True, slots=True)
class Closeness:
    """How close a clause is to every task, and to every kind of sentence that needs none; about 0 to 1."""

    tasks: dict[str, float]
    none: dict[str, float]


class Matcher:
    """Compares clauses with the exemplars."""

    def __init__(self, encoder: Callable[[], Encoder]) -> None:
        self._encoder = encoder
        self._known: dict[str, NDArray[np.float32]] = {}

    def closeness(self, *wordings: str) -> Closeness:
        """Of one clause: the mean over its wordings. Blocks."""
        new = [text for text in dict.fromkeys(wordings) if text not in self._known]
        encoder = self._encoder()
        if new:
            rows = np.matmul(encoder.encode(new), _vectors(encoder).T)
            self._known |= dict(zip(new, rows, strict=True))
        return _gathered(np.mean([self._known[text] for text in wordings], axis=0))


def _gathered(similar: NDArray[np.float32]) -> Closeness:
    """By group, from the cosine to each exemplar: the nearest, steadied by the mean of the three nearest."""
    groups: dict[tuple[str, str], list[float]] = {}
    for (table, name, _), value in zip(_exemplars(), similar, strict=True):
        groups.setdefault((table, name), []).append(float(value))
    closeness = Closeness({}, {})
    for (table, name), values in groups.items():
        best = sorted(values, reverse=True)[:3]
        target = closeness.tasks if table == "tasks" else closeness.none
        target[name] = 0.7 * best[0] + 0.3 * sum(best) / len(best)
    return closeness


_encoded: dict[tuple[str, str], NDArray[np.float32]] = {}


def _vectors(encoder: Encoder) -> NDArray[np.float32]:
    """The exemplars' vectors, a row each. Once per process: they are some hundred short phrases."""
    key = encoder.id, encoder.revision
    if key not in _encoded:
        _encoded[key] = encoder.encode([phrase for _, _, phrase in _exemplars()])
    return _encoded[key]


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
