"""The vectors of an index, in one FAISS file, row by row as the cards."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def write(path: Path, vectors: Iterable[NDArray[np.float32]], dimension: int) -> None:
    """Write blocks of L2-normalised rows, each (n, dimension). Raises `OSError` where there is no room."""
    import faiss

    index = faiss.IndexFlatIP(dimension)
    for block in vectors:
        index.add(block)
    # Written by Python: FAISS does not notice a disk that fills up while it closes the file.
    with path.open("wb") as file:
        file.write(faiss.serialize_index(index).data)


class Vectors:
    """Exact search by cosine in a file that `write` made. Safe to use from threads."""

    def __init__(self, path: Path) -> None:
        """Raises `RuntimeError` when it is not a file of vectors."""
        import faiss

        self._index: Any = faiss.read_index(str(path))

    @property
    def shape(self) -> tuple[int, int]:
        """How many vectors, and how long."""
        return self._index.ntotal, self._index.d

    def nearest(
        self, vector: NDArray[np.float32], k: int, rows: tuple[int, int]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The nearest of rows [start, stop) and their cosines, best first: at most `k` of them."""
        import faiss

        k = min(k, rows[1] - rows[0])
        if k <= 0:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        parameters = faiss.SearchParameters(sel=faiss.IDSelectorRange(*rows))  # type: ignore[call-arg]
        cosines, found = self._index.search(vector.reshape(1, -1), k, params=parameters)
        return found[0], cosines[0]
