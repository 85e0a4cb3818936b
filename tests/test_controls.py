"""Control maps that are drawn from what models found."""

import numpy as np
import pytest

from hugginggpt.tools import controls


def slope(across, down):
    y, x = np.mgrid[0:64, 0:64].astype(np.float32)
    return across * x + down * y


@pytest.mark.parametrize(
    ("nearness", "colour"),
    [
        (slope(1, 0), "red"),  # the right side is nearer: the surface faces left
        (slope(-1, 0), "cyan"),
        (slope(0, 1), "green"),  # the lower side is nearer: it faces up, as a floor does
        (slope(0, 0), "blue"),
    ],
)
def test_a_normal_map_is_red_to_the_left_green_upwards_and_blue_to_the_viewer(nearness, colour):
    red, green, blue = np.asarray(controls.normals(nearness))[32, 32].tolist()
    assert {
        "red": red > 150 and green in (127, 128),
        "cyan": red < 100 and green in (127, 128),
        "green": green > 150 and red in (127, 128),
        "blue": blue == 255 and red in (127, 128) and green in (127, 128),
    }[colour]


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_normals_of_a_picture_of_one_pixel_face_the_viewer(shape):
    assert controls.normals(np.ones(shape, np.float32)).size == shape[::-1]


STANDING = [(100, 20), (105, 15), (95, 15), (112, 18), (88, 18), (130, 60), (70, 60), (140, 100), (60, 100),
            (150, 140), (50, 140), (120, 150), (80, 150), (120, 200), (80, 200), (120, 240), (80, 240),
]  # fmt: skip


def test_a_skeleton_has_openpose_s_colours_right_and_left_apart():
    drawn = np.asarray(controls.skeleton((200, 256), [STANDING]))
    assert drawn[100, 60].tolist() == [255, 255, 0]  # the right elbow, on the left of the picture
    assert drawn[100, 140].tolist() == [0, 255, 0]  # the left elbow
    assert drawn[60, 100].tolist() == [255, 85, 0]  # the neck, between the shoulders
    assert drawn[5, 5].tolist() == [0, 0, 0]


def test_joints_that_were_not_found_are_not_drawn():
    person = [None if number in (5, 7, 9) else joint for number, joint in enumerate(STANDING)]
    drawn = np.asarray(controls.skeleton((200, 256), [person]))
    assert not drawn[60:145, 125:155].any()
    assert drawn[100, 60].any()


def test_regions_have_the_colours_that_ade20k_gives_its_classes():
    drawn = np.asarray(controls.regions(np.array([[0, 2, 149, 400]])))
    assert drawn[0].tolist() == [[120, 120, 120], [6, 230, 230], [92, 0, 255], [92, 0, 255]]
