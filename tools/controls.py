"""Control maps of pictures, as ControlNets were trained on: edges, lines, normals, poses, regions.

Edges and lines are found by OpenCV, here; the others are drawn from what a model found. Pictures come and go
as Pillow's, and keep their size.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hugginggpt.tools.runtime import PermanentError

if TYPE_CHECKING:
    from PIL import Image

# Part of the grey value's median by which the thresholds lie below and above it: the common "auto
# Canny" rule (A. Rosebrock, "Zero-parameter, automatic Canny edge detection", pyimagesearch.com, 2015).
_SIGMA = 0.33

_NAMES = {
    "edges": "canny", "lines": "mlsd", "line": "mlsd", "pose": "openpose", "segmentation": "seg",
    "normals": "normal", "normalbae": "normal", "softedge": "hed", "soft edge": "hed",
}  # fmt: skip
_PICKLED = {
    "hed": "canny", "scribble": "canny", "lineart": "canny", "pidinet": "canny", "dw_openpose": "openpose",
}  # fmt: skip
"""Controls whose models are only published as pickles, which are never loaded, and what comes nearest."""


def name_of(control: str) -> str:
    """The control that a word means, as ControlNets are called by it: `lines` is `mlsd`."""
    word = control.strip().lower()
    return _NAMES.get(word, word)


def refusal(control: str, made: Sequence[str]) -> PermanentError:
    """The error of a model that makes other controls than the one that is wanted."""
    name = name_of(control)
    if name in _PICKLED:
        why = "its models are only published as pickles, which are never loaded"
        return PermanentError("control", f"control {control!r}: {why}; take {_PICKLED[name]}")
    return PermanentError("control", f"control {control!r}: this model makes {' and '.join(made)} maps only")


def canny(image: "Image.Image") -> "Image.Image":
    """The edges that Canny's detector finds (IEEE PAMI 8(6), 1986), white on black, mode L. Blocks."""
    import cv2
    from PIL import Image

    grey = cv2.GaussianBlur(np.asarray(image.convert("L")), (3, 3), 0)
    median = float(np.median(grey))
    # On a white page the median is white, and no edge would reach a threshold above it: the upper one
    # stays within what a step between mid-grey and white gives.
    upper = min((1 + _SIGMA) * median, 200.0)
    lower = min((1 - _SIGMA) * median, upper / 2)
    return Image.fromarray(np.asarray(cv2.Canny(grey, max(lower, 20.0), max(upper, 60.0)), dtype=np.uint8))


def lines(image: "Image.Image") -> "Image.Image":
    """Straight line segments, white on black, mode L, as `mlsd` maps are. Blocks.

    They are found by LSD (von Gioi et al., IEEE PAMI 32(4), 2010); those shorter than a fiftieth of the
    picture's diagonal are texture and left out.
    """
    import cv2
    from PIL import Image

    grey = np.asarray(image.convert("L"))
    found = np.zeros_like(grey)
    if min(grey.shape) >= 3:  # OpenCV's detector fails on less
        segments = cv2.createLineSegmentDetector().detect(grey)[0]
        shortest = float(np.hypot(*grey.shape)) / 50
        for left, top, right, bottom in [] if segments is None else segments.reshape(-1, 4).tolist():
            if np.hypot(right - left, bottom - top) >= shortest:
                ends = (round(left), round(top)), (round(right), round(bottom))
                cv2.line(found, *ends, 255, max(1, round(min(grey.shape) / 512)))
    return Image.fromarray(found)


def normals(nearness: NDArray[np.float32]) -> "Image.Image":
    """Surface normals as colours, of nearness, shape (height, width): larger is nearer, in any unit.

    Blue faces the viewer, red left, green up, as the ControlNets of normal maps were trained (Bae et al.,
    ICCV 2021). The scene is taken to be half as deep as the picture's shorter side is long.
    """
    import cv2
    from PIL import Image

    spread = float(np.ptp(nearness)) or 1.0
    height = cv2.GaussianBlur(nearness / spread, (5, 5), 0) * min(nearness.shape) / 2
    right = np.gradient(height, axis=1) if height.shape[1] > 1 else np.zeros_like(height)
    down = np.gradient(height, axis=0) if height.shape[0] > 1 else np.zeros_like(height)
    faces = np.stack([right, down, np.ones_like(height)], axis=-1)
    faces /= np.linalg.norm(faces, axis=-1, keepdims=True)
    return Image.fromarray(((faces + 1) * 127.5).round().astype(np.uint8))


# RGB of the 150 classes of ADE20K's scene parsing, in their order (Zhou et al., CVPR 2017; its own
# colour code): ControlNets of segmentation maps were trained on these colours.
_ADE20K = bytes.fromhex(
    "787878b4787806e6e650323204c8037878508c8c8ccc05ffe6e6e604fa07e005ffebff0796053d78784608ff33ff0652"
    "8fff8cccff04ff3307cc46030066c83de6faff06330b66ffff0747ff09e00907e6dcdcdcff095c7009ff08ffd607ffe0"
    "ffb8060aff47ff290a07ffffe0ff086608ffff3d06ffc207ff7a0800ff14ff0829ff05990633ffeb0cffa0961400a3ff"
    "8c8c8cfa0a0f14ff001fff00ff1f00ffe00099ff000000ffff470000ebff00adff1f00ff0bc8c8ff520000fff5003dff"
    "00ff7000ff85ff0000ffa300ff6600c2ff00008fff33ff000052ff00ff2900ffad0a00ffadff0000ff99ff5c00ff00ff"
    "ff00f5ff0066ffad00ff0014ffb8b8001fff00ff3d0047ffff00cc00ffc200ff52000aff0070ff3300ff00c2ff007aff"
    "00ffa3ff990000ff0aff70008fff005200ffa3ff00ffeb0008b8aa8500ff00ff5cb800ffff001f00b8ff00d6ffff0070"
    "5cff0000e0ff70e0ff46b8a0a300ff9900ff47ff00ff00a3ffcc00ff008f00ffeb85ff00ff00ebf500ffff007afff500"
    "0abed4d6ff0000ccff1400ffffff000099ff0029ff00ffcc2900ff29ff00ad00ff00f5ff4700ff7a00ff00ffb8005cff"
    "b8ff000085ffffd60019c2c266ff005c00ff"
)


def regions(classes: NDArray[np.integer[Any]]) -> "Image.Image":
    """A map of classes of ADE20K, shape (height, width), 0 to 149, in the benchmark's colours, mode RGB."""
    from PIL import Image

    colours = np.frombuffer(_ADE20K, np.uint8).reshape(-1, 3)
    return Image.fromarray(colours[np.clip(classes, 0, len(colours) - 1)])


# Joints of OpenPose, by their number in COCO's order of 17 (nose, eyes, ears, shoulders, elbows, wrists,
# hips, knees, ankles; left before right). The neck is not among COCO's: it is the shoulders' middle.
_NECK = 1
_FROM_COCO = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
# Limbs start at the neck and run outwards; the order gives their hue, 20 degrees apart
# (Cao et al., IEEE PAMI 43(1), 2021).
_CHAINS = ((1, 2), (1, 5), (2, 3, 4), (5, 6, 7), (1, 8, 9, 10), (1, 11, 12, 13), (1, 0, 14, 16), (0, 15, 17))
_LIMBS = [limb for chain in _CHAINS for limb in pairwise(chain)]

Joint = tuple[float, float] | None


def skeleton(size: tuple[int, int], people: Sequence[Sequence[Joint]]) -> "Image.Image":
    """People as OpenPose draws them, on black, mode RGB; `size` is (width, height) in pixels.

    Each person has 17 joints (x, y) in COCO's order, None where it was not found.
    """
    import cv2
    from PIL import Image

    width, height = size
    scale = max(min(width, height) / 512, 0.25)
    limbs, joints = (np.zeros((height, width, 3), np.uint8) for _ in range(2))
    for person in people:
        body = _openpose(person)
        for number, (start, end) in enumerate(_LIMBS):
            if (a := body[start]) and (b := body[end]):
                _draw_limb(limbs, a, b, scale, _hue(number))
        for number, joint in enumerate(body):
            if joint:
                cv2.circle(joints, _whole(joint), max(1, round(4 * scale)), _hue(number), -1)
    faded = (limbs * 0.6).astype(np.uint8)  # limbs at 60 %, joints on top at full strength
    return Image.fromarray(np.where(joints.any(axis=-1, keepdims=True), joints, faded))


def _openpose(coco: Sequence[Joint]) -> list[Joint]:
    body = [None if number is None else coco[number] for number in _FROM_COCO]
    if (right := coco[6]) and (left := coco[5]):
        body[_NECK] = (right[0] + left[0]) / 2, (right[1] + left[1]) / 2
    return body


def _draw_limb(
    canvas: NDArray[np.uint8],
    start: tuple[float, float],
    end: tuple[float, float],
    scale: float,
    colour: tuple[int, int, int],
) -> None:
    import cv2

    middle = _whole(((start[0] + end[0]) / 2, (start[1] + end[1]) / 2))
    length = np.hypot(end[0] - start[0], end[1] - start[1])
    angle = float(np.degrees(np.arctan2(end[1] - start[1], end[0] - start[0])))
    axes = (max(1, int(length / 2)), max(1, round(4 * scale)))
    cv2.ellipse(canvas, middle, axes, angle, 0, 360, colour, -1)


def _whole(point: tuple[float, float]) -> tuple[int, int]:
    return round(point[0]), round(point[1])


def _hue(number: int) -> tuple[int, int, int]:
    """RGB of the pure colour `20 × number` degrees round the colour circle."""
    import colorsys

    red, green, blue = colorsys.hsv_to_rgb(number / 18, 1, 1)
    return round(red * 255), round(green * 255), round(blue * 255)
