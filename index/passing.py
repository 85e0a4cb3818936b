"""Which rows of a segment pass a filter: a bit for each."""

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from faiss import IDSelectorBitmap


class Passing:
    """A set of rows, in an eighth of a byte a row."""

    def __init__(self, mask: NDArray[np.bool_], starts: NDArray[np.int64]) -> None:
        """`mask`: one truth per row of the segment; `starts`: of its cells, and the end."""
        self._bits = np.packbits(mask, bitorder="little")
        counted = np.concatenate([[0], np.cumsum(mask, dtype=np.int64)])
        self.per_cell = np.diff(counted[starts])
        """How many rows pass, by cell."""
        self.count = int(counted[-1])

    def has(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each of these rows is among them."""
        return np.asarray(self._bits[rows >> 3] >> (rows & 7) & 1, np.bool_)

    @cached_property
    def selector(self) -> "IDSelectorBitmap":
        """The same, for FAISS. It is good while this object is."""
        import faiss

        return faiss.IDSelectorBitmap(len(self._bits), faiss.swig_ptr(self._bits))
