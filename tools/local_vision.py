"""Recipes of the tasks that look at pictures and videos, with transformers.

Pictures are handed on as RGB, upright, neither tiny nor huge; what comes back is in the pixels of the picture
that was given.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hugginggpt.tools import drawing, video
from hugginggpt.tools.readers import decode_image
from hugginggpt.tools.recipe import Place, Recipe, names
from hugginggpt.tools.runtime import PermanentError
from hugginggpt.tools.values import Inputs, Media, Outputs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

AUTO = "transformers.models.auto.modeling_auto"
TOP = 5  # labels that are given back

# A side of a picture, as models are handed it. Image processors take one that is 1 or 3 pixels high for
# channels; and regions are worked out in the picture's own pixels, for all classes at once.
_LEAST, _MOST = 32, 1536
_METRIC = frozenset({"glpn", "zoedepth", "depth_pro", "prompt_depth_anything"})  # depth in metres
_TILE, _MARGIN = 256, 16  # pixels, of what is upscaled at once
_MOST_UPSCALED = 50_000_000  # pixels of a result, as many as a picture may have


def auto(*mappings: str) -> Callable[[], frozenset[str]]:
    """Architectures of transformers' auto mappings, by the middle of their name: `IMAGE_CLASSIFICATION`."""
    return lambda: names(AUTO, *(f"MODEL_FOR_{mapping}_MAPPING_NAMES" for mapping in mappings))


def piped(task: str, **options: Any) -> Callable[[Path, Place], Any]:  # noqa: ANN401, of transformers' pipeline
    """How a pipeline of transformers is loaded from a folder."""

    def load(folder: Path, place: Place) -> Any:  # noqa: ANN401, transformers
        import transformers

        pipeline: Any = transformers.pipeline
        return pipeline(
            task, str(folder), device=place.device, dtype=place.torch_dtype, trust_remote_code=False,
            model_kwargs={"use_safetensors": True}, **options,
        )  # fmt: skip

    return load


def processor_of(folder: Path, kind: str = "AutoImageProcessor") -> Any:  # noqa: ANN401, transformers
    """What prepares inputs for the model in a folder; `kind` is transformers' class for it."""
    import transformers

    return getattr(transformers, kind).from_pretrained(folder)


def fitted(media: Media) -> "tuple[Image.Image, Image.Image]":
    """The picture as it is, and as a model is handed it."""
    from PIL import Image

    picture = decode_image(media.data)
    scale = min(1.0, _MOST / max(picture.size))
    size = (max(_LEAST, round(picture.width * scale)), max(_LEAST, round(picture.height * scale)))
    return picture, picture if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS)


def as_labels(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Labels of a pipeline, best first."""
    ranked = sorted(found, key=lambda one: -one["score"])
    return [{"label": str(one["label"]), "score": float(one["score"])} for one in ranked]


def _classify(pipe: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, transformers
    pictures = [fitted(one["image"])[1] for one in inputs]
    found = pipe(pictures, batch_size=len(pictures), top_k=TOP)
    return [{"labels": as_labels(labels)} for labels in found]


IMAGE_CLASSIFICATION = Recipe(piped("image-classification"), _classify, auto("IMAGE_CLASSIFICATION"), batch=8)


def _sort(pipe: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, transformers
    return [
        {"labels": as_labels(pipe(fitted(one["image"])[1], candidate_labels=wanted(one)))} for one in inputs
    ]


def wanted(inputs: Inputs) -> list[str]:
    """The candidate labels. Raises `PermanentError` where there are none."""
    labels = [label.strip() for label in inputs["candidate_labels"] if label.strip()]
    if not labels:
        raise PermanentError("empty-text", "candidate_labels names no label")
    return labels


ZERO_SHOT_IMAGE_CLASSIFICATION = Recipe(
    piped("zero-shot-image-classification"), _sort, auto("ZERO_SHOT_IMAGE_CLASSIFICATION")
)


def _load_embedder(folder: Path, place: Place) -> Any:  # noqa: ANN401, transformers
    from transformers import AutoModel

    model, how = AutoModel.from_pretrained(folder, output_loading_info=True, **place.safely)
    # Some files have no weights for the pooler that their class has; it would be random then.
    pooled = not any("pooler" in key for key in how["missing_keys"])
    return model.to(place.device).eval(), processor_of(folder), pooled


def _embed(loaded: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, transformers
    import torch

    model, processor, pooled = loaded
    pixels = processor([fitted(one["image"])[1] for one in inputs], return_tensors="pt").to(
        model.device, model.dtype
    )
    with torch.inference_mode():
        if hasattr(model, "get_image_features"):
            found = model.get_image_features(**pixels)
        else:
            found = model(**pixels)
    vectors = found if isinstance(found, torch.Tensor) else _pooled(found, pooled=pooled)
    return [{"vector": vector.flatten().tolist()} for vector in vectors.float().cpu()]


def _pooled(found: Any, *, pooled: bool) -> Any:  # noqa: ANN401, transformers and torch
    """One vector a picture: pooled where the model does that, else of its first token, or a map's mean."""
    if pooled and getattr(found, "pooler_output", None) is not None:
        return found.pooler_output
    hidden = found.last_hidden_state
    return hidden[:, 0] if hidden.ndim == 3 else hidden.mean(dim=(2, 3))


IMAGE_FEATURE_EXTRACTION = Recipe(
    _load_embedder, _embed, auto("IMAGE", "ZERO_SHOT_IMAGE_CLASSIFICATION"), batch=8
)


def load_depth(folder: Path, place: Place) -> Any:  # noqa: ANN401, transformers
    """A pipeline that gives depths as numbers, in full precision: transformers' own fails in bfloat16."""
    pipe = piped("depth-estimation")(folder, place)
    pipe.postprocess = partial(_depths, pipe.image_processor)
    return pipe


def _depths(processor: Any, found: Any, **_: object) -> Any:  # noqa: ANN401, transformers
    found["predicted_depth"] = found["predicted_depth"].float()
    (depth,) = processor.post_process_depth_estimation(found, [found["target_size"]])
    return depth["predicted_depth"]


def nearness(pipe: Any, media: Media) -> "NDArray[np.float32]":  # noqa: ANN401, transformers
    """How near each point of a picture is, shape (height, width): larger is nearer, in a unit of the model's.

    Most models estimate just that (Ranftl et al., arXiv 1907.01341); those that give metres are turned round.
    """
    import numpy as np
    from PIL import Image

    picture, handed = fitted(media)
    found = np.asarray(pipe(handed).cpu(), dtype=np.float32).squeeze()
    config = pipe.model.config
    if config.model_type in _METRIC or getattr(config, "depth_estimation_type", "") == "metric":
        found = -found
    return np.asarray(Image.fromarray(found).resize(picture.size, Image.Resampling.BILINEAR))


def _estimate_depth(pipe: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, transformers
    return [{"image": drawing.png(drawing.greys(nearness(pipe, one["image"])), "depth")} for one in inputs]


DEPTH_ESTIMATION = Recipe(load_depth, _estimate_depth, auto("DEPTH_ESTIMATION"))


def load_pose(folder: Path, place: Place) -> Any:  # noqa: ANN401, transformers
    """A model that finds keypoints, and its processor."""
    from transformers import (
        AutoConfig,
        SuperPointForKeypointDetection,
        VitPoseForPoseEstimation,
    )

    superpoint = AutoConfig.from_pretrained(folder).model_type == "superpoint"
    kind: Any = SuperPointForKeypointDetection if superpoint else VitPoseForPoseEstimation
    model = kind.from_pretrained(folder, **place.safely)
    return model.to(place.device).eval(), processor_of(folder)


def keypoints(loaded: Any, media: Media) -> list[dict[str, Any]]:  # noqa: ANN401, transformers
    """The keypoints of a picture. Poses are of one person, who is taken to fill the picture."""
    import torch

    model, processor = loaded
    picture, handed = fitted(media)
    pose = model.config.model_type == "vitpose"
    boxes = [[[0.0, 0.0, float(handed.width), float(handed.height)]]]
    pixels = processor(handed, return_tensors="pt", **({"boxes": boxes} if pose else {}))
    pixels = pixels.to(model.device, model.dtype)
    if pose and getattr(model.config.backbone_config, "num_experts", 1) > 1:
        pixels["dataset_index"] = torch.zeros(1, dtype=torch.long, device=model.device)  # 0: COCO
    with torch.inference_mode():
        found = model(**pixels)
    if pose:
        found.heatmaps = found.heatmaps.float()
        (poses,) = processor.post_process_pose_estimation(found, boxes=boxes)
        read = poses[0]
        labels = [model.config.id2label[int(label)] for label in read["labels"]]
    else:
        (read,) = processor.post_process_keypoint_detection(found, [(handed.height, handed.width)])
        labels = ["keypoint"] * len(read["keypoints"])
    across, down = picture.width / handed.width, picture.height / handed.height

    def within(at: float, scale: float, side: int) -> float:
        return min(max(at * scale, 0.0), float(side))  # a joint may be guessed to lie outside

    return [
        {
            "label": label,
            "score": float(score),
            "x": within(float(x), across, picture.width),
            "y": within(float(y), down, picture.height),
        }
        for label, score, (x, y) in zip(labels, read["scores"], read["keypoints"], strict=True)
    ]


def _find_keypoints(loaded: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, transformers
    outputs: list[Outputs] = []
    for one in inputs:
        found = keypoints(loaded, one["image"])
        drawn = drawing.with_points(decode_image(one["image"].data), found)
        outputs.append({"keypoints": found, "image": drawing.png(drawn, "keypoints")})
    return outputs


def _keypoint_architectures() -> frozenset[str]:
    return frozenset({"VitPoseForPoseEstimation", "SuperPointForKeypointDetection"})


KEYPOINT_DETECTION = Recipe(load_pose, _find_keypoints, _keypoint_architectures)


def load_upscaler(folder: Path, place: Place) -> Any:  # noqa: ANN401, transformers
    """A model that makes pictures larger, and its processor."""
    from transformers import Swin2SRForImageSuperResolution

    model: Any = Swin2SRForImageSuperResolution.from_pretrained(folder, **place.safely)
    return model.to(place.device).eval(), processor_of(folder)


def upscale(loaded: Any, media: Media) -> "Image.Image":  # noqa: ANN401, transformers
    """The picture as many times as large as the model makes it, tile by tile, so that memory is bounded."""
    from PIL import Image

    model, _ = loaded
    factor = int(model.config.upscale)
    picture = decode_image(media.data)
    if picture.width * picture.height * factor**2 > _MOST_UPSCALED:
        size = f"{picture.width:,}×{picture.height:,}"
        raise PermanentError("too-large", f"{size} pixels are too many to make {factor} times larger")
    result = Image.new("RGB", (picture.width * factor, picture.height * factor))
    for top in range(0, picture.height, _TILE):
        for left in range(0, picture.width, _TILE):
            right, bottom = min(left + _TILE, picture.width), min(top + _TILE, picture.height)
            x, y = max(left - _MARGIN, 0), max(top - _MARGIN, 0)
            around = picture.crop(
                (x, y, min(right + _MARGIN, picture.width), min(bottom + _MARGIN, picture.height))
            )
            inner = ((left - x) * factor, (top - y) * factor, (right - x) * factor, (bottom - y) * factor)
            result.paste(_upscaled(loaded, around, factor).crop(inner), (left * factor, top * factor))
    return result


def _upscaled(loaded: Any, tile: "Image.Image", factor: int) -> "Image.Image":  # noqa: ANN401, transformers
    import numpy as np
    import torch
    from PIL import Image

    model, processor = loaded
    # the processor pads below and to the right by mirroring, which wants more than a few pixels to mirror
    padded = Image.new("RGB", (max(tile.width, _LEAST), max(tile.height, _LEAST)))
    padded.paste(tile.resize(padded.size))
    padded.paste(tile)
    pixels = processor(padded, return_tensors="pt").to(model.device, model.dtype)
    with torch.inference_mode():
        found = model(**pixels).reconstruction[0].float().clamp(0, 1).cpu().numpy()
    bytes_ = (found.transpose(1, 2, 0) * 255).round().astype(np.uint8)
    return Image.fromarray(bytes_).crop((0, 0, tile.width * factor, tile.height * factor))


def _load_watcher(folder: Path, place: Place) -> Any:  # noqa: ANN401, transformers
    from transformers import AutoModelForVideoClassification

    model = AutoModelForVideoClassification.from_pretrained(folder, **place.safely)
    return model.to(place.device).eval(), processor_of(folder)


def _watch(loaded: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, transformers
    import torch

    model, processor = loaded
    outputs: list[Outputs] = []
    for one in inputs:
        clip = one["video"]
        frames = video.frames(clip.data, clip.media_type, int(model.config.num_frames))
        pixels = processor(frames, return_tensors="pt").to(model.device, model.dtype)
        with torch.inference_mode():
            scores = model(**pixels).logits[0].float().softmax(-1)
        best = scores.topk(min(TOP, len(scores)))
        found = zip(best.values.tolist(), best.indices.tolist(), strict=True)
        outputs.append({"labels": [{"label": model.config.id2label[n], "score": s} for s, n in found]})
    return outputs


def _video_architectures() -> frozenset[str]:
    """Those whose frames an image processor prepares; video processors need torchvision."""
    return auto("VIDEO_CLASSIFICATION")() - {
        "VJEPA2ForVideoClassification",
        "VideoPrismForVideoClassification",
    }


VIDEO_CLASSIFICATION = Recipe(_load_watcher, _watch, _video_architectures)
