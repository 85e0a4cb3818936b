"""Neighbourhoods of vectors: a task's rows are split into cells, so that a search need not look at all."""

from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE = 256
"""Rows of a cell, on average, at most; a task of no more has one cell, others the root of their rows.

Cells of 256 rows in small tasks too would be few and wide: of 300,000 models twice as many rows would
have to be looked at to find as many of the nearest.
"""

_TURNS = 8
_SAMPLE = 48  # vectors per cell that the cells are found by
_MOST_SAMPLED = 200_000
_BLOCK = 65_536


@dataclass(frozen=True, slots=True)
class Cells:
    """How rows are split: cell i has the rows [starts[i], starts[i + 1]), around centroids[i]."""

    starts: NDArray[np.int64]
    centroids: NDArray[np.float32]


def split(
    vectors: NDArray[np.float32], tasks: dict[str, tuple[int, int]], order: NDArray[np.int64]
) -> tuple[Cells, NDArray[np.int64]]:
    """Cells of every task, and the order of rows in which each cell's rows follow each other.

    `vectors` (n, dimension) may lie on disk; `order` has the place in them of each row, grouped by `tasks`.
    By k-means on a sample (spherical, as the vectors are compared by cosine).
    """
    centroids, sizes, ordered = [], [], []
    for start, stop in tasks.values():
        places = order[start:stop]
        found = _centroids(vectors, places)
        cells = _nearest(vectors, places, found)
        ordered.append(places[np.argsort(cells, kind="stable")])
        sizes.append(np.bincount(cells, minlength=len(found)))
        centroids.append(found)
    starts = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
    return Cells(starts, np.concatenate(centroids)), np.concatenate(ordered)


def _centroids(vectors: NDArray[np.float32], places: NDArray[np.int64]) -> NDArray[np.float32]:
    import faiss

    number = max(isqrt(len(places)), len(places) // SIZE) if len(places) > SIZE else 1
    sampled = min(len(places), number * _SAMPLE, _MOST_SAMPLED)
    chosen = np.random.default_rng(0).choice(len(places), sampled, replace=False)
    sample = vectors[np.sort(places[chosen])]
    if number == 1:
        middle = sample.mean(axis=0, keepdims=True)
        return np.asarray(middle / max(float(np.linalg.norm(middle)), 1e-6), np.float32)
    kmeans: Any = faiss.Kmeans(
        vectors.shape[1], number, niter=_TURNS, spherical=True, min_points_per_centroid=1, seed=0
    )
    kmeans.train(sample)
    return np.asarray(kmeans.centroids, np.float32)


def _nearest(
    vectors: NDArray[np.float32], places: NDArray[np.int64], centroids: NDArray[np.float32]
) -> NDArray[np.int64]:
    if len(centroids) == 1:
        return np.zeros(len(places), np.int64)
    import faiss

    quantizer: Any = faiss.IndexFlatIP(vectors.shape[1])
    quantizer.add(centroids)
    blocks = (places[start : start + _BLOCK] for start in range(0, len(places), _BLOCK))
    return np.concatenate([quantizer.search(vectors[block], 1)[1][:, 0] for block in blocks])
