"""The vectors of a segment, in one FAISS file, row by row as the cards, memory-mapped.

It is an inverted file whose lists are the cells of cells.py: the rows of a list follow each other, and it
belongs to one task. A search within a task looks at that task's cells alone, nearest first, until it has seen
`_LOOKED_AT` rows that pass its filters; so it is exact where no more than these pass.
"""

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hugginggpt.index.cells import Cells
from hugginggpt.index.passing import Passing

Rows = NDArray[np.int64]
Scores = NDArray[np.float32]

_LOOKED_AT = 40_000
_EXACT = 100_000
"""Up to so many rows numbers are kept with 16 bits, from there on with 8."""
_PIECE = 1 << 20
_PLAIN = False  # codes are of the vectors, not of their difference from the centroid
_BY_ROW = False  # rows are found, not places in lists


class VectorsWriter:
    """Writes the file of a segment whose rows are split into cells."""

    def __init__(self, cells: Cells, sample: NDArray[np.float32]) -> None:
        """`sample`: some of the vectors, by which the range of their numbers is found."""
        faiss = _faiss()
        number, dimension = cells.centroids.shape
        coder = faiss.ScalarQuantizer
        kind = coder.QT_fp16 if cells.starts[-1] <= _EXACT else coder.QT_8bit
        self._quantizer: Any = faiss.IndexFlatIP(dimension)
        self._quantizer.add(cells.centroids)
        self._index: Any = faiss.IndexIVFScalarQuantizer(
            self._quantizer, dimension, number, kind, faiss.METRIC_INNER_PRODUCT, _PLAIN
        )
        self._index.train(sample)
        self._starts = cells.starts
        self._rows = 0

    def add(self, vectors: NDArray[np.float32]) -> None:
        """The L2-normalised vectors of the next rows, (n, dimension)."""
        faiss = _faiss()
        vectors = np.ascontiguousarray(vectors, np.float32)
        rows = np.arange(self._rows, self._rows + len(vectors))
        cells = np.searchsorted(self._starts, rows, side="right") - 1
        self._index.add_core(len(rows), *map(faiss.swig_ptr, (vectors, rows, cells)))
        self._rows += len(rows)

    def close(self, path: Path) -> None:
        """Write what was added. Raises `OSError` where there is no room."""
        faiss = _faiss()
        # Written by Python: FAISS does not notice a disk that fills up while it closes the file.
        with path.open("wb") as file:
            faiss.write_index(self._index, faiss.PyCallbackIOWriter(file.write, _PIECE))


class Vectors:
    """Search by cosine in a file that `VectorsWriter` made. Safe to use from threads."""

    def __init__(self, path: Path) -> None:
        """Raises `RuntimeError` when it is not a file of vectors."""
        faiss = _faiss()
        self._index: Any = faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
        lists = self._index.invlists
        sizes = [lists.list_size(cell) for cell in range(self._index.nlist)]
        self.starts: NDArray[np.int64] = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self._centroids: NDArray[np.float32] = self._index.quantizer.reconstruct_n(0, self._index.nlist)

    def nearest(
        self, vector: NDArray[np.float32], k: int, rows: range, passing: Passing | None
    ) -> tuple[Rows, Scores]:
        """The nearest of these rows, a task's or all, of those that pass, best first: at most `k`.

        With their cosines. None for `passing`: all pass.
        """
        faiss = _faiss()
        cells = self._probed(vector, rows, passing)
        if not len(cells):
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        found = np.full((1, k), -1, np.int64)
        cosines = np.zeros((1, k), np.float32)
        near = np.zeros(len(cells), np.float32)
        parameters = faiss.SearchParametersIVF(nprobe=len(cells), sel=passing and passing.selector)
        arrays = map(faiss.swig_ptr, (cells, near, cosines, found))
        self._index.search_preassigned_c(1, faiss.swig_ptr(vector), k, *arrays, _BY_ROW, parameters)
        there = found[0] >= 0
        return found[0][there], cosines[0][there]

    def rows(self, rows: Rows) -> NDArray[np.float32]:
        """The vectors of these rows, (len(rows), dimension), as exact as they are kept."""
        if self._index.direct_map.type == _faiss().DirectMap.NoMap:
            self._index.make_direct_map()
        return np.asarray(self._index.reconstruct_batch(rows), np.float32)

    def _probed(self, vector: NDArray[np.float32], rows: range, passing: Passing | None) -> NDArray[np.int64]:
        """The cells to look at, nearest first."""
        first, last = np.searchsorted(self.starts, (rows.start, rows.stop))
        sizes = np.diff(self.starts[first : last + 1]) if passing is None else passing.per_cell[first:last]
        if sizes.sum() <= _LOOKED_AT:
            return np.asarray(np.flatnonzero(sizes) + first, np.int64)
        nearest = np.argsort(-(self._centroids[first:last] @ vector))
        enough = int(np.searchsorted(np.cumsum(sizes[nearest]), _LOOKED_AT)) + 1
        cells = nearest[:enough]
        return np.asarray(cells[sizes[cells] > 0] + first, np.int64)


def _faiss() -> ModuleType:
    """Imported when it is needed; by name, because its type stubs lack half of it."""
    return import_module("faiss")
