"""Draws what models found into pictures: boxes, regions, points. Results are pictures of the same size."""

import colorsys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hugginggpt.tools.readers import encode_png
from hugginggpt.tools.values import Media

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image, ImageDraw

_GOLDEN = 0.618034  # steps of this part of the colour circle keep any number of hues apart


def png(image: "Image.Image", name: str) -> Media:
    """The picture as it goes out of a runtime."""
    return Media(encode_png(image), "image/png", f"{name}.png")


def with_boxes(picture: "Image.Image", objects: Sequence[Mapping[str, Any]]) -> "Image.Image":
    """The RGB picture with a box around each object and its label above it, a colour per label."""
    from PIL import ImageDraw

    drawn = picture.copy()
    pen = ImageDraw.Draw(drawn)
    colours = _colours(thing["label"] for thing in objects)
    width = max(2, round(min(picture.size) / 200))
    for thing in objects:
        box, colour = thing["box"], colours[thing["label"]]
        left, top = box["xmin"], box["ymin"]
        # Pillow wants the second corner not before the first; a box may be less than a pixel wide
        pen.rectangle((left, top, max(left, box["xmax"] - 1), max(top, box["ymax"] - 1)), None, colour, width)
        _write(pen, (left, top), f"{thing['label']} {thing['score']:.0%}", colour, picture.size)
    return drawn


def with_regions(picture: "Image.Image", regions: Sequence[tuple[str, "Image.Image"]]) -> "Image.Image":
    """The RGB picture with each (label, mask) tinted, a colour per label; masks are mode L, white inside."""
    from PIL import Image, ImageDraw

    drawn = picture.copy()
    colours = _colours(label for label, _ in regions)
    for label, mask in regions:
        drawn.paste(Image.new("RGB", drawn.size, colours[label]), mask=mask.point(lambda value: value * 0.55))
    pen = ImageDraw.Draw(drawn)
    for label, mask in regions:
        if (box := mask.getbbox()) and label:
            _write(pen, (box[0], box[1]), label, colours[label], drawn.size)
    return drawn


def with_points(picture: "Image.Image", points: Sequence[Mapping[str, Any]]) -> "Image.Image":
    """The RGB picture with a dot on every keypoint."""
    from PIL import ImageDraw

    drawn = picture.copy()
    pen = ImageDraw.Draw(drawn)
    colours = _colours(str(number) for number in range(len(points)))
    radius = max(2, round(min(picture.size) / 120))
    for number, point in enumerate(points):
        pen.circle((point["x"], point["y"]), radius, colours[str(number)], "black")
    return drawn


def greys(values: "NDArray[np.floating[Any]]") -> "Image.Image":
    """Numbers, shape (height, width), as a grey picture: the least is black, the largest white."""
    import numpy as np
    from PIL import Image

    sound = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
    low, high = float(sound.min()), float(sound.max())
    scaled = (sound - low) / (high - low) if high > low else np.zeros_like(sound)
    return Image.fromarray((scaled * 255).round().astype(np.uint8))


def _colours(labels: Iterable[str]) -> dict[str, tuple[int, int, int]]:
    found: dict[str, tuple[int, int, int]] = {}
    for label in labels:
        hue = len(found) * _GOLDEN % 1.0
        red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 0.95)
        found.setdefault(label, (round(red * 255), round(green * 255), round(blue * 255)))
    return found


def _write(
    pen: "ImageDraw.ImageDraw",
    corner: tuple[float, float],
    text: str,
    colour: tuple[int, int, int],
    size: tuple[int, int],
) -> None:
    """Text on a plate of that colour, above the corner where there is room, and inside of the picture."""
    from PIL import ImageFont

    font = ImageFont.load_default(size=max(10, round(min(size) / 32)))
    left, top, right, bottom = pen.textbbox((0, 0), text, font)
    width, height = right - left + 6, bottom - top + 6
    x = min(max(corner[0], 0), max(size[0] - width, 0))
    y = min(corner[1] - height if corner[1] >= height else corner[1], max(size[1] - height, 0))
    pen.rectangle((x, y, x + width, y + height), colour)
    pen.text((x + 3 - left, y + 3 - top), text, _ink(colour), font)


def _ink(colour: tuple[int, int, int]) -> str:
    """What can be read on a colour, by its luma (ITU-R BT.601)."""
    red, green, blue = colour
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "white"
