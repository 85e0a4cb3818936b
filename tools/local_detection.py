"""Recipes of the tasks that find things in pictures, as boxes or as masks, with transformers' pipelines."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hugginggpt.tools import drawing
from hugginggpt.tools.local_vision import auto, fitted, piped, wanted
from hugginggpt.tools.recipe import Place, Recipe
from hugginggpt.tools.values import Inputs, Outputs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

_SAME = 0.7  # overlap from which two boxes are of the same thing (Kirillov et al., arXiv 2304.02643)
# Places of a picture in a row and a column where masks are looked for; 32 take four times as long.
_POINTS = 16


def _found(pipe: Any, one: Inputs, **options: Any) -> Outputs:  # noqa: ANN401, transformers
    """Objects with boxes in the given picture's pixels, best first, and the picture with them drawn in."""
    picture, handed = fitted(one["image"])
    across, down = picture.width / handed.width, picture.height / handed.height
    objects = []
    for thing in sorted(pipe(handed, **options), key=lambda thing: -thing["score"]):
        box = thing["box"]
        left, right = sorted(min(max(box[side] * across, 0.0), picture.width) for side in ("xmin", "xmax"))
        top, bottom = sorted(min(max(box[side] * down, 0.0), picture.height) for side in ("ymin", "ymax"))
        within = {"xmin": left, "ymin": top, "xmax": right, "ymax": bottom}
        objects.append({"label": thing["label"], "score": float(thing["score"]), "box": within})
    return {"objects": objects, "image": drawing.png(drawing.with_boxes(picture, objects), "objects")}


def _detect(pipe: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, transformers
    return [_found(pipe, one) for one in inputs]


OBJECT_DETECTION = Recipe(piped("object-detection"), _detect, auto("OBJECT_DETECTION"))


def _detect_named(pipe: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, transformers
    outputs = []
    for one in inputs:
        labels = wanted(one)
        if "grounding" in pipe.model.config.model_type:  # was trained on phrases that end with a full stop
            spoken = {f"{label.lower().rstrip('.')}.": label for label in labels}
        else:
            spoken = {label: label for label in labels}
        outputs.append(_found(_Renaming(pipe, spoken), one, candidate_labels=[*spoken]))
    return outputs


class _Renaming:
    """A pipeline whose labels are given back as the user wrote them."""

    def __init__(self, pipe: Any, labels: dict[str, str]) -> None:  # noqa: ANN401, transformers
        self._pipe, self._labels = pipe, labels

    def __call__(self, picture: "Image.Image", **options: Any) -> list[dict[str, Any]]:  # noqa: ANN401
        return [{**thing, "label": self._labels[thing["label"]]} for thing in self._pipe(picture, **options)]


ZERO_SHOT_OBJECT_DETECTION = Recipe(
    piped("zero-shot-object-detection"), _detect_named, auto("ZERO_SHOT_OBJECT_DETECTION")
)


def _segment(pipe: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, transformers
    outputs: list[Outputs] = []
    for one in inputs:
        picture, handed = fitted(one["image"])
        found = [(part["label"], part["score"], _mask(part["mask"], picture)) for part in pipe(handed)]
        found = [part for part in found if part[2].getbbox()]
        masks = [
            {"label": label, "score": score, "mask": drawing.png(mask, label)} for label, score, mask in found
        ]
        drawn = drawing.with_regions(picture, [(label, mask) for label, _, mask in found])
        outputs.append({"masks": masks, "image": drawing.png(drawn, "regions")})
    return outputs


def _mask(mask: "Image.Image", picture: "Image.Image") -> "Image.Image":
    """White on black, of the picture's size."""
    from PIL import Image

    return mask if mask.size == picture.size else mask.resize(picture.size, Image.Resampling.NEAREST)


IMAGE_SEGMENTATION = Recipe(
    piped("image-segmentation"),
    _segment,
    auto("IMAGE_SEGMENTATION", "SEMANTIC_SEGMENTATION", "INSTANCE_SEGMENTATION", "UNIVERSAL_SEGMENTATION"),
)


def _load_cutter(folder: Path, place: Place) -> Any:  # noqa: ANN401, transformers
    pipe = piped("mask-generation")(folder, place)
    pipe.postprocess = _distinct  # transformers' own needs torchvision
    return pipe


def _distinct(found: Sequence[dict[str, Any]], **_: object) -> "list[tuple[float, NDArray[np.bool_]]]":
    """(score, mask) of a batch's masks, best first, without those whose box is that of a better one."""
    scores = [score for part in found for score in part["iou_scores"].tolist()]
    boxes = [box for part in found for box in part["boxes"].tolist()]
    packed = [mask for part in found for mask in part["masks"]]
    kept: list[int] = []
    for number in sorted(range(len(scores)), key=lambda number: -scores[number]):
        if all(_overlap(boxes[number], boxes[other]) < _SAME for other in kept):
            kept.append(number)
    return [(scores[number], _unpacked(packed[number])) for number in kept]


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """The area that two boxes (left, top, right, bottom) share, of the area of both, 0 to 1."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    both = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - shared
    return shared / both if both else 1.0


def _unpacked(runs: dict[str, Any]) -> "NDArray[np.bool_]":
    """A mask, shape (height, width), of its runs down the columns: outside, inside, outside, ..."""
    import numpy as np

    height, width = runs["size"]
    inside = np.arange(len(runs["counts"])) % 2 == 1
    return np.repeat(inside, runs["counts"]).reshape(width, height).T


def _cut_out(pipe: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, transformers
    from PIL import Image

    outputs: list[Outputs] = []
    for one in inputs:
        picture, handed = fitted(one["image"])
        masks = []
        for number, (score, mask) in enumerate(pipe(handed, points_per_crop=_POINTS), 1):
            white = _mask(Image.fromarray(mask).convert("L"), picture)
            masks.append({"label": "", "score": score, "mask": drawing.png(white, f"mask-{number}")})
        outputs.append({"masks": masks})
    return outputs


def _sam_architectures() -> frozenset[str]:
    """Those whose pictures are prepared with Pillow; the later ones need torchvision."""
    return frozenset({"SamModel", "SamHQModel"})


MASK_GENERATION = Recipe(_load_cutter, _cut_out, _sam_architectures)
