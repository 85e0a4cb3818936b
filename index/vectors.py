"""The vectors of a segment, in one FAISS file, row by row as the cards, memory-mapped.

It is an inverted file whose lists are the cells of cells.py: the rows of a list follow each other, and it
belongs to one task. A search within a task looks at that task's cells alone. It is exact, but where there are
many rows: then it looks at cells, nearest first, until it has seen `_LOOKED_AT` rows that pass its filters,
reads short codes of their vectors (RaBitQ, arXiv 2409.09913), and then, from a second file, the vectors of
the best.
"""

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
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

_LOOKED_AT = 30_000
_BITS = 2
"""Up to `_LOOKED_AT` rows, codes have 16 bits a number; from there on these, and there is the second file."""
_REFINED = 200
_PIECE = 1 << 20
_RESIDUAL = True  # codes are of the difference from the centroid, which has the smaller range
_OWNED = True  # the lists are the index's own
_BY_ROW = False  # rows are found, not places in lists


@contextmanager
def _one_thread() -> Iterator[None]:
    """FAISS uses no threads meanwhile: they would wait for more work, on the cores of other searches."""
    faiss = _faiss()
    usual = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(usual)


class VectorsWriter:
    """Writes the file of a segment whose rows are split into cells; a second one where they are many."""

    def __init__(self, path: Path, cells: Cells, sample: NDArray[np.float32]) -> None:
        """`sample`: some of the vectors, by which the range of their numbers is found."""
        faiss = _faiss()
        number, dimension = cells.centroids.shape
        many = cells.starts[-1] > _LOOKED_AT
        self._path = path
        self._whole = whole_path(path) if many else None
        # Of 16 bits: to look at all centroids takes half as long as of 32, and it is half of a search.
        halves = faiss.ScalarQuantizer.QT_fp16
        self._quantizer: Any = faiss.IndexScalarQuantizer(dimension, halves, faiss.METRIC_INNER_PRODUCT)
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
        self._halves: Any = faiss.ScalarQuantizer(self._index.d, faiss.ScalarQuantizer.QT_fp16)
        self._whole = whole_path(path).open("rb") if whole_path(path).exists() else None
        if self._whole:
            weakref.finalize(self, self._whole.close)
        else:  # now, not when it is first used: threads that use it at once would find it half made
            self._index.make_direct_map()

    @_one_thread()
    def nearest(
        self, vector: NDArray[np.float32], k: int, rows: range, passing: Passing | None
    ) -> tuple[Rows, Scores]:
        """The nearest of these rows, a task's or all, of those that pass, best first: at most `k`.

        With their cosines. None for `passing`: all pass.
        """
        found, cosines = self._scanned(vector, max(k, _REFINED) if self._whole else k, rows, passing)
        if not self._whole:
            return found, cosines
        cosines = cosines_of(self.rows(found), vector)
        best = np.argsort(-cosines, kind="stable")[:k]
        return found[best], cosines[best]

    @_one_thread()
    def rows(self, rows: Rows) -> NDArray[np.float32]:
        """The vectors of these rows, (len(rows), dimension), as exact as they are kept."""
        if self._whole:
            # Not memory-mapped: a page of each would stay in this process's memory.
            size, file = 2 * self._index.d, self._whole.fileno()
            read = b"".join([os.pread(file, size, row * size) for row in rows.tolist()])
            return np.asarray(
                self._halves.decode(np.frombuffer(read, np.uint8).reshape(-1, size)), np.float32
            )
        return np.asarray(self._index.reconstruct_batch(rows), np.float32)

    def _scanned(
        self, vector: NDArray[np.float32], k: int, rows: range, passing: Passing | None
    ) -> tuple[Rows, Scores]:
        """The nearest by their codes."""
        faiss = _faiss()
        found, cosines = np.full((1, k), -1, np.int64), np.zeros((1, k), np.float32)
        cells, near = self._probed(vector, rows, passing)
        if len(cells):
            parameters = faiss.SearchParametersIVF(nprobe=len(cells), sel=passing and passing.selector)
            arrays = map(faiss.swig_ptr, (cells, near, cosines, found))
            self._index.search_preassigned_c(1, faiss.swig_ptr(vector), k, *arrays, _BY_ROW, parameters)
        there = found[0] >= 0
        return found[0][there], cosines[0][there]

    def _probed(
        self, vector: NDArray[np.float32], rows: range, passing: Passing | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The nearest cells that have `_LOOKED_AT` rows together, nearest first, and their cosines.

        All cells where they have less.
        """
        faiss = _faiss()
        first, last = (int(cell) for cell in np.searchsorted(self.starts, (rows.start, rows.stop)))
        sizes = np.diff(self.starts) if passing is None else passing.per_cell
        cells, there = last - first, int(sizes[first:last].sum())
        near, nearest = np.zeros((1, 0), np.float32), np.zeros((1, 0), np.int64)
        of_these = faiss.SearchParameters(sel=faiss.IDSelectorRange(first, last))
        # Twice as many cells as have enough rows on average; mostly these are enough. Else all.
        for most in (min(cells, 2 * _LOOKED_AT * cells // there + 1), cells) if there else ():
            near, nearest = self._index.quantizer.search(vector[None], most, params=of_these)
            if sizes[nearest].sum() >= _LOOKED_AT:
                break
        enough = int(np.searchsorted(np.cumsum(sizes[nearest[0]]), _LOOKED_AT)) + 1
        nearest, near = nearest[0, :enough], near[0, :enough]
        filled = sizes[nearest] > 0
        return nearest[filled], near[filled]


def _inverted_file(quantizer: Any, number: int, dimension: int, *, many: bool) -> Any:  # noqa: ANN401
    faiss = _faiss()
    lists, cosine = (quantizer, dimension, number), faiss.METRIC_INNER_PRODUCT
    if many:
        return faiss.IndexIVFRaBitQ(*lists, cosine, _OWNED, _BITS)
    return faiss.IndexIVFScalarQuantizer(*lists, faiss.ScalarQuantizer.QT_fp16, cosine, _RESIDUAL)


def cosines_of(vectors: NDArray[np.float32], vector: NDArray[np.float32]) -> Scores:
    """The cosine of each of some vectors, (n, dimension), with one, (dimension,); all L2-normalised."""
    # Not by `@`: BLAS would wake threads for it, and wait for them longer than the product takes.
    return np.asarray(np.einsum("ij,j->i", vectors, vector), np.float32)


def _faiss() -> ModuleType:
    """Imported when it is needed; by name, because its type stubs lack half of it."""
    return import_module("faiss")
