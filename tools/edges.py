"""Control maps of pictures: the edges that Canny's detector finds (IEEE PAMI 8(6), 1986), with OpenCV."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hugginggpt.tools.runtime import PermanentError

if TYPE_CHECKING:
    from PIL import Image

# Part of the grey value's median by which the thresholds lie below and above it: the common "auto
# Canny" rule (A. Rosebrock, "Zero-parameter, automatic Canny edge detection", pyimagesearch.com, 2015).
_SIGMA = 0.33


def canny(image: "Image.Image", control: str) -> NDArray[np.uint8]:
    """The edges of an RGB picture, white on black, shape (height, width). Blocks.

    Raises `PermanentError` when `control` is another map than canny.
    """
    import cv2

    if control.strip().lower() != "canny":
        raise PermanentError("control", f"control {control!r}: this model makes canny maps only")
    grey = cv2.GaussianBlur(np.asarray(image.convert("L")), (3, 3), 0)
    median = float(np.median(grey))
    # On a white page the median is white, and no edge would reach a threshold above it: the upper one
    # stays within what a step between mid-grey and white gives.
    upper = min((1 + _SIGMA) * median, 200.0)
    lower = min((1 - _SIGMA) * median, upper / 2)
    return np.asarray(cv2.Canny(grey, max(lower, 20.0), max(upper, 60.0)), dtype=np.uint8)
