"""The vectors of a segment, in one FAISS file, row by row as the cards, memory-mapped.

It is an inverted file whose lists are the cells of cells.py: the rows of a list follow each other, and it
belongs to one task. A search within a task looks at that task's cells alone, nearest first, until it has seen
`_LOOKED_AT` rows that pass its filters; so it is exact where no more than these pass. Where there are many
rows, it reads short codes of their vectors (RaBitQ, arXiv 2409.09913), and then, from a second file, the
vectors of the best.
"""

import os
import weakref
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

_LOOKED_AT = 20_000
_EXACT = 100_000
_BITS = 2
"""Up to `_EXACT` rows, codes have 16 bits a number; from there on these, and there is the second file."""
_REFINED = 200
_SORTED = 512
"""Cells that are sorted at first: mostly they have enough rows. To sort all takes as long as the search."""
_PIECE = 1 << 20
_RESIDUAL = True  # codes are of the difference from the centroid, which has the smaller range
_OWNED = True  # the lists are the index's own
_BY_ROW = False  # rows are found, not places in lists


class VectorsWriter:
    """Writes the file of a segment whose rows are split into cells; a second one where they are many."""

    def __init__(self, path: Path, cells: Cells, sample: NDArray[np.float32]) -> None:
        """`sample`: some of the vectors, by which the range of their numbers is found."""
        faiss = _faiss()
        number, dimension = cells.centroids.shape
        many = cells.starts[-1] > _EXACT
        self._path = path
        self._whole = whole_path(path) if many else None
        self._quantizer: Any = faiss.IndexFlatIP(dimension)
        self._quantizer.add(cells.centroids)
        self._index = _inverted_file(self._quantizer, number, dimension, many=many)
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
        if self._whole:
            with self._whole.open("ab") as file:
                file.write(vectors.astype(np.float16).data)

    def finish(self) -> None:
        """Write what was added. Raises `OSError` where there is no room."""
        faiss = _faiss()
        # Written by Python: FAISS does not notice a disk that fills up while it closes the file.
        with self._path.open("wb") as file:
            faiss.write_index(self._index, faiss.PyCallbackIOWriter(file.write, _PIECE))


def whole_path(path: Path) -> Path:
    """The second file of a segment of many rows."""
    return path.with_name(f"{path.name}.whole")


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
        self._halves: Any = faiss.ScalarQuantizer(self._index.d, faiss.ScalarQuantizer.QT_fp16)
        self._whole = whole_path(path).open("rb") if whole_path(path).exists() else None
        if self._whole:
            weakref.finalize(self, self._whole.close)

    def nearest(
        self, vector: NDArray[np.float32], k: int, rows: range, passing: Passing | None
    ) -> tuple[Rows, Scores]:
        """The nearest of these rows, a task's or all, of those that pass, best first: at most `k`.

        With their cosines. None for `passing`: all pass.
        """
        cells, near = self._probed(vector, rows, passing)
        looked_for = max(k, _REFINED) if self._whole else k
        found = np.full((1, looked_for), -1, np.int64)
        cosines = np.zeros((1, looked_for), np.float32)
        if len(cells):
            faiss = _faiss()
            parameters = faiss.SearchParametersIVF(nprobe=len(cells), sel=passing and passing.selector)
            arrays = map(faiss.swig_ptr, (cells, near, cosines, found))
            self._index.search_preassigned_c(
                1, faiss.swig_ptr(vector), looked_for, *arrays, _BY_ROW, parameters
            )
        there = found[0] >= 0
        found, cosines = found[0][there], cosines[0][there]
        if not self._whole:
            return found, cosines
        cosines = self.rows(found) @ vector
        best = np.argsort(-cosines, kind="stable")[:k]
        return found[best], cosines[best]

    def rows(self, rows: Rows) -> NDArray[np.float32]:
        """The vectors of these rows, (len(rows), dimension), as exact as they are kept."""
        if self._whole:
            # Not memory-mapped: a page of each would stay in this process's memory.
            size = 2 * self._index.d
            read = b"".join(os.pread(self._whole.fileno(), size, row * size) for row in rows.tolist())
            return np.asarray(
                self._halves.decode(np.frombuffer(read, np.uint8).reshape(-1, size)), np.float32
            )
        if self._index.direct_map.type == _faiss().DirectMap.NoMap:
            self._index.make_direct_map()
        return np.asarray(self._index.reconstruct_batch(rows), np.float32)

    def _probed(
        self, vector: NDArray[np.float32], rows: range, passing: Passing | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The cells to look at, nearest first, and the cosines of their centroids."""
        first, last = np.searchsorted(self.starts, (rows.start, rows.stop))
        sizes = np.diff(self.starts[first : last + 1]) if passing is None else passing.per_cell[first:last]
        # Not by `@`: BLAS would wake threads for it, and wait for them longer than the product takes.
        near = np.einsum("ij,j->i", self._centroids[first:last], vector)
        cells = _nearest(near, sizes)
        cells = cells[sizes[cells] > 0]
        return np.asarray(cells + first, np.int64), np.asarray(near[cells], np.float32)


def _inverted_file(quantizer: Any, number: int, dimension: int, *, many: bool) -> Any:  # noqa: ANN401
    faiss = _faiss()
    lists, cosine = (quantizer, dimension, number), faiss.METRIC_INNER_PRODUCT
    if many:
        return faiss.IndexIVFRaBitQ(*lists, cosine, _OWNED, _BITS)
    return faiss.IndexIVFScalarQuantizer(*lists, faiss.ScalarQuantizer.QT_fp16, cosine, _RESIDUAL)


def _nearest(near: Scores, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The nearest cells that have `_LOOKED_AT` rows together, nearest first; all where they have less."""
    most = min(len(near), _SORTED)
    while True:
        nearest = np.argpartition(-near, most - 1)[:most] if most < len(near) else np.arange(most)
        nearest = nearest[np.argsort(-near[nearest])]
        enough = int(np.searchsorted(np.cumsum(sizes[nearest]), _LOOKED_AT)) + 1
        if enough <= most or most == len(near):
            return nearest[:enough]
        most = min(len(near), most * 8)


def _faiss() -> ModuleType:
    """Imported when it is needed; by name, because its type stubs lack half of it."""
    return import_module("faiss")
