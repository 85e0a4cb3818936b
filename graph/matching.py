"""Which tasks a clause may mean: its closeness to the exemplar phrases of every task."""

import hashlib
import logging
import tempfile
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hugginggpt.tools.encoder import Encoder

_log = logging.getLogger(__name__)

LEARNED = 0.25  # weight of the regression beside the cosine
MEAN = 0.2  # about what the regression gives the right group, so that closeness stays on the cosine's scale


@dataclass(frozen=True, slots=True)
class Closeness:
    """How close a clause is to every task, and to every kind of sentence that needs none; about 0 to 1."""

    tasks: dict[str, float]
    none: dict[str, float]


class Matcher:
    """Compares clauses with the exemplars."""

    def __init__(self, encoder: Callable[[], Encoder], cache_folder: Path | None) -> None:
        self._encoder, self._cache_folder = encoder, cache_folder
        self._known: dict[str, NDArray[np.float32]] = {}

    def closeness(self, *wordings: str) -> Closeness:
        """Of one clause: of the mean of its wordings. Blocks."""
        new = [text for text in dict.fromkeys(wordings) if text not in self._known]
        encoder = self._encoder()
        if new:
            self._known |= dict(zip(new, encoder.encode(new), strict=True))
        vector = np.mean([self._known[text] for text in wordings], axis=0)
        exemplars, separation = _fitted(encoder, self._cache_folder)
        near = _by_group(exemplars @ vector)
        learned = dict(zip(near, vector @ separation, strict=True))
        found = {group: near[group] + LEARNED * (float(learned[group]) - MEAN) for group in near}
        return Closeness(
            {name: value for (table, name), value in found.items() if table == "tasks"},
            {name: value for (table, name), value in found.items() if table != "tasks"},
        )


def _by_group(similar: NDArray[np.float32]) -> dict[tuple[str, str], float]:
    """From the cosine to each exemplar: a group's nearest, steadied by the mean of its three nearest."""
    groups: dict[tuple[str, str], list[float]] = {}
    for (table, name, _), value in zip(_exemplars(), similar, strict=True):
        groups.setdefault((table, name), []).append(float(value))
    best = {group: sorted(values, reverse=True)[:3] for group, values in groups.items()}
    return {group: 0.7 * values[0] + 0.3 * sum(values) / len(values) for group, values in best.items()}


_fits: dict[tuple[str, str], tuple[NDArray[np.float32], NDArray[np.float32]]] = {}


def _fitted(encoder: Encoder, cache_folder: Path | None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The exemplars' vectors, a row each, and a ridge regression from a vector to 1 for its group, else 0.

    Once per process. The regression knows which directions tell the groups apart, where the cosine
    counts all of them alike.
    """
    key = encoder.id, encoder.revision
    if key not in _fits:
        vectors = _vectors(encoder, cache_folder)
        groups = list(dict.fromkeys((table, name) for table, name, _ in _exemplars()))
        wanted = np.array([[group == row[:2] for group in groups] for row in _exemplars()], dtype=np.float32)
        penalty = np.eye(vectors.shape[1], dtype=np.float32)
        weights = np.linalg.solve(vectors.T @ vectors + penalty, vectors.T @ wanted)
        _fits[key] = vectors, weights
    return _fits[key]


def _vectors(encoder: Encoder, cache_folder: Path | None) -> NDArray[np.float32]:
    """From the cache folder where these exemplars were encoded by this encoder before."""
    phrases = [phrase for _, _, phrase in _exemplars()]
    if cache_folder is None:
        return encoder.encode(phrases)
    made_of = "\n".join([encoder.id, encoder.revision, *phrases])
    file = cache_folder / f"exemplars-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.npy"
    try:
        vectors: NDArray[np.float32] = np.load(file, allow_pickle=False)
        if vectors.shape == (len(phrases), encoder.dimension):
            return vectors
    except (OSError, ValueError, EOFError):
        _log.debug("%s: not there or not readable; encoding the exemplars", file)
    vectors = encoder.encode(phrases)
    try:
        cache_folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=cache_folder, suffix=".tmp", delete=False) as part:
            np.save(part, vectors)
        Path(part.name).replace(file)
    except OSError as error:
        _log.info("%s: %s; the exemplars are encoded again next time", file, error.strerror)
    return vectors


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
