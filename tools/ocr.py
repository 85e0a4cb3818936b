"""Reads printed text in pictures with PaddlePaddle's PP-OCR models, as RapidOCR packs them."""

import functools
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rapidocr import RapidOCR

# RapidOCR shrinks a picture until its longer side has 2000 pixels; a long screenshot read whole would
# be unreadable after that, so it is read in bands of this height that overlap by this much.
_BAND, _OVERLAP = 2000, 200


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text that was found in one place, and its upright bounding box in pixels."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        """Its vertical centre."""
        return (self.top + self.bottom) / 2

    def overlap(self, other: "Piece") -> float:
        """How much of the flatter one's height the two share, 0 to 1."""
        shared = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(shared, 0.0) / max(min(self.height, other.height), 1.0)


Line = list[Piece]

_lock = threading.Lock()  # RapidOCR keeps state of one call on the object


@functools.cache
def _engine() -> "RapidOCR":
    import rapidocr

    # Named files are opened as they are: without the names it would check them against a list and
    # download what differs.
    models = Path(rapidocr.__file__).parent / "models"
    files = {part: str(next(models.glob(f"*_{part.lower()}_*.onnx"))) for part in ("Det", "Cls", "Rec")}
    parameters = {f"{part}.model_path": file for part, file in files.items()}
    return rapidocr.RapidOCR(params={"Global.log_level": "critical", **parameters})


def _read_band(picture: NDArray[np.uint8], offset: int) -> list[Piece]:
    from rapidocr.utils.output import RapidOCROutput

    with _lock:
        found = _engine()(np.ascontiguousarray(picture[:, :, ::-1]))  # it wants BGR
    if not isinstance(found, RapidOCROutput) or found.boxes is None or found.txts is None:
        return []
    pieces = []
    for box, text in zip(found.boxes, found.txts, strict=True):
        left, top = box.min(axis=0)
        right, bottom = box.max(axis=0)
        pieces.append(
            Piece(text.strip(), float(left), float(top) + offset, float(right), float(bottom) + offset)
        )
    return pieces


def read(picture: NDArray[np.uint8]) -> list[Line]:
    """The lines of text in a picture, in reading order. Blocks for seconds.

    `picture` is RGB, shape (height, width, 3). Pieces side by side make a line (so that the cells of a
    table's row stay together), left to right; lines go top to bottom. Nothing found is an empty list.
    """
    height, width = picture.shape[:2]
    if height <= _BAND or height <= 2 * width:
        return lines(_read_band(picture, 0))
    pieces: list[Piece] = []
    for top in range(0, height - _OVERLAP, _BAND - _OVERLAP):
        bottom = min(top + _BAND, height)
        # What lies in an overlap is seen twice, and whole at least once: each band keeps its own half.
        first = top + _OVERLAP / 2 if top else 0
        last = bottom - _OVERLAP / 2 if bottom < height else height
        pieces += [piece for piece in _read_band(picture[top:bottom], top) if first <= piece.middle < last]
    return lines(pieces)


def lines(pieces: list[Piece]) -> list[Line]:
    """Groups pieces into lines by vertical overlap, in reading order.

    A piece is held against its nearest neighbour in a line, not the whole line, so that a picture
    taken at a slant still has its lines.
    """
    found: list[Line] = []
    for piece in sorted(pieces, key=lambda piece: piece.left):
        beside = [
            line
            for line in found
            if line[-1].overlap(piece) > 0.5 and line[-1].right <= piece.left + piece.height
        ]
        if beside:
            max(beside, key=lambda line: line[-1].right).append(piece)
        else:
            found.append([piece])
    return sorted(found, key=lambda line: sum(piece.middle for piece in line) / len(line))


def as_text(found: list[Line]) -> str:
    """The lines as text: pieces apart by a space, lines by a line break."""
    return "\n".join(" ".join(piece.text for piece in line) for line in found)
