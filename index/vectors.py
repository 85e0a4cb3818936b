"""The vectors of a segment, in one FAISS file, row by row as the cards."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Scores = NDArray[np.float32]


class VectorsWriter:
    """Writes the file of a segment."""

    def __init__(self, dimension: int) -> None:
        import faiss

        self._index: Any = faiss.IndexFlatIP(dimension)

    def add(self, vectors: NDArray[np.float32]) -> None:
        """The L2-normalised vectors of the next rows, (n, dimension)."""
        self._index.add(vectors)

    def close(self, path: Path) -> None:
        """Write what was added. Raises `OSError` where there is no room."""
        import faiss

        # Written by Python: FAISS does not notice a disk that fills up while it closes the file.
        with path.open("wb") as file:
            file.write(faiss.serialize_index(self._index).data)


class Vectors:
    """Search by cosine in a file that `VectorsWriter` made. Safe to use from threads."""

    def __init__(self, path: Path) -> None:
        """Raises `RuntimeError` when it is not a file of vectors."""
        import faiss

        self._index: Any = faiss.read_index(str(path))

    def nearest(
        self, vector: NDArray[np.float32], k: int, rows: range, passing: NDArray[np.bool_] | None
    ) -> tuple[Rows, Scores]:
        """The nearest of these rows, of those that pass, and their cosines, best first: at most `k`.

        `passing` has one truth per row of the segment; None: all pass.
        """
        import faiss

        k = min(k, len(rows))
        if k <= 0:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        if passing is None:
            selector: Any = faiss.IDSelectorRange(rows.start, rows.stop)
        else:
            selector = faiss.IDSelectorBatch(np.flatnonzero(passing[rows.start : rows.stop]) + rows.start)
        parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        cosines, found = self._index.search(vector.reshape(1, -1), k, params=parameters)
        return found[0][found[0] >= 0], cosines[0][found[0] >= 0]

    def rows(self, rows: Rows) -> NDArray[np.float32]:
        """The vectors of these rows, (len(rows), dimension)."""
        return np.asarray(self._index.reconstruct_batch(rows), np.float32)
