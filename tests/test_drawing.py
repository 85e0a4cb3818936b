"""What was found, drawn into the picture that it was found in."""

import numpy as np
import pytest
from PIL import Image

from hugginggpt.tools import drawing


def thing(label, *box):
    return {
        "label": label,
        "score": 0.9,
        "box": dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)),
    }


def test_boxes_stand_where_things_are_with_one_colour_for_a_label():
    grey = Image.new("RGB", (200, 120), (128, 128, 128))
    drawn = drawing.with_boxes(grey, [thing("cat", 20, 40, 60, 80), thing("dog", 80, 40, 120, 80),
                                      thing("cat", 140, 40, 180, 80)])  # fmt: skip
    first, other, second = (drawn.getpixel((x, 70)) for x in (20, 80, 140))
    assert first == second != other
    assert drawn.getpixel((40, 60)) == (128, 128, 128)
    assert grey.getpixel((20, 70)) == (128, 128, 128)  # the picture itself stays as it was


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (640, 480)])
@pytest.mark.parametrize("box", [(0, 0, 1, 1), (-50, -50, 9000, 9000), (5, 5, 5, 5)])
def test_any_box_can_be_drawn_into_any_picture(size, box):
    drawn = drawing.with_boxes(Image.new("RGB", size), [thing("a very long label of a thing – 猫", *box)])
    assert drawn.size == size


def test_regions_are_tinted_and_the_rest_is_left_alone():
    mask = Image.new("L", (100, 100))
    mask.paste(255, (50, 50, 100, 100))
    drawn = drawing.with_regions(Image.new("RGB", (100, 100), "white"), [("wall", mask)])
    assert drawn.getpixel((10, 10)) == (255, 255, 255)
    assert drawn.getpixel((90, 90)) != (255, 255, 255)


@pytest.mark.parametrize(
    ("values", "greys"),
    [([[-3.0, 1.0, 5.0]], [0, 128, 255]), ([[7.0, 7.0]], [0, 0]), ([[0.0, float("nan"), 2.0]], [0, 0, 255])],
)
def test_numbers_become_greys_from_the_least_to_the_largest(values, greys):
    assert np.asarray(drawing.greys(np.array(values))).ravel().tolist() == greys
