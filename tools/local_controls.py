"""The recipe of control maps that models make: depth and normals, regions, poses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hugginggpt.tools import controls, drawing
from hugginggpt.tools.local_vision import auto, fitted, keypoints, load_depth, load_pose, nearness, piped
from hugginggpt.tools.readers import decode_image
from hugginggpt.tools.recipe import Place, Recipe
from hugginggpt.tools.runtime import PermanentError
from hugginggpt.tools.values import Inputs, Media, Outputs

if TYPE_CHECKING:
    from PIL import Image

_LEAST_SCORE = 0.3  # of a joint that is drawn
_CLASSES = 150  # of ADE20K, in whose colours regions are drawn

_DEPTH = auto("DEPTH_ESTIMATION")
_SEGMENTATION = auto("SEMANTIC_SEGMENTATION", "UNIVERSAL_SEGMENTATION")


@dataclass(frozen=True, slots=True)
class _Maker:
    """A loaded model, and how each of its controls is made with it."""

    loaded: Any
    makes: "dict[str, Callable[[Any, Media], Image.Image]]"


def _depth(pipe: Any, media: Media) -> "Image.Image":  # noqa: ANN401, transformers
    return drawing.greys(nearness(pipe, media))


def _normal(pipe: Any, media: Media) -> "Image.Image":  # noqa: ANN401, transformers
    return controls.normals(nearness(pipe, media))


def _seg(pipe: Any, media: Media) -> "Image.Image":  # noqa: ANN401, transformers
    import numpy as np
    from PIL import Image

    picture, handed = fitted(media)
    numbers = {label: number for number, label in pipe.model.config.id2label.items()}
    classes = np.zeros((handed.height, handed.width), np.int64)
    for part in pipe(handed, subtask="semantic"):
        classes[np.asarray(part["mask"]) > 0] = numbers[part["label"]]
    return controls.regions(classes).resize(picture.size, Image.Resampling.NEAREST)


def _openpose(loaded: Any, media: Media) -> "Image.Image":  # noqa: ANN401, transformers
    joints = keypoints(loaded, media)
    person = [(joint["x"], joint["y"]) if joint["score"] >= _LEAST_SCORE else None for joint in joints]
    return controls.skeleton(decode_image(media.data).size, [person])


def _load(folder: Path, place: Place) -> _Maker:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder)
    kinds = {*(config.architectures or [])}
    if kinds & _DEPTH():
        return _Maker(load_depth(folder, place), {"depth": _depth, "normal": _normal})
    if kinds & _SEGMENTATION():
        if config.num_labels != _CLASSES:
            raise PermanentError(
                "control", f"it knows {config.num_labels} classes; seg maps have ADE20K's 150"
            )
        return _Maker(piped("image-segmentation")(folder, place), {"seg": _seg})
    if config.num_labels != 17:
        raise PermanentError("control", f"it knows {config.num_labels} joints; openpose maps want COCO's 17")
    return _Maker(load_pose(folder, place), {"openpose": _openpose})


def _make(maker: _Maker, inputs: Sequence[Inputs]) -> list[Outputs]:
    outputs: list[Outputs] = []
    for one in inputs:
        name = controls.name_of(one["control"])
        if name not in maker.makes:
            raise controls.refusal(one["control"], [*maker.makes])
        outputs.append({"image": drawing.png(maker.makes[name](maker.loaded, one["image"]), name)})
    return outputs


def _architectures() -> frozenset[str]:
    return _DEPTH() | _SEGMENTATION() | {"VitPoseForPoseEstimation"}


IMAGE_TO_CONTROL = Recipe(_load, _make, _architectures)
