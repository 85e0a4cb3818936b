"""Recipes of the tasks that make pictures, videos and sounds with diffusers; upscalers are transformers'.

Every call makes something new: nothing is seeded.
"""

import inspect
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hugginggpt.tools import drawing, local_vision, video, weights
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.quiet import without_bars
from hugginggpt.tools.readers import decode_image
from hugginggpt.tools.recipe import TRANSFORMERS_FILES, Place, Recipe, names
from hugginggpt.tools.runtime import PermanentError
from hugginggpt.tools.values import Inputs, Media, Outputs

if TYPE_CHECKING:
    from PIL import Image

FILES = (
    "model_index.json",
    "*/*.json",
    "*/*.txt",
    "*/*.model",
    "*/*.jinja",
    "*/model.safetensors",
    "*/model-?????-of-?????.safetensors",
    "*/diffusion_pytorch_model.safetensors",
    "*/diffusion_pytorch_model-?????-of-?????.safetensors",
)
"""What a pipeline of diffusers consists of. Variants in other precisions are not downloaded as well."""

_AUTO = "diffusers.pipelines.auto_pipeline"
_DIFFUSERS = frozenset({"diffusers"})
_FEW_STEPS = 4  # of a model that was distilled to need few (Sauer et al., arXiv 2311.17042)
_STRENGTH = 0.7  # how much of a picture is made anew where it is only to be changed, 0 to 1
_MULTIPLE = 16  # sides are whole multiples of so many pixels, as latents of all models want
_RATES = {"Wan": 16, "LTX": 24, "Hunyuan": 24, "Mochi": 30, "StableVideo": 7}  # frames per second, by class
_BASES = {
    768: ("stable-diffusion-v1-5/stable-diffusion-v1-5", "StableDiffusionControlNetPipeline"),
    2048: ("stabilityai/stable-diffusion-xl-base-1.0", "StableDiffusionXLControlNetPipeline"),
}
"""What ControlNets work beside: the width of its words, to the model and the class of both together."""
_RATE = 8  # of the others: CogVideoX, ModelScope, I2VGen-XL


def _diffused(*mappings: str, also: Sequence[str] = ()) -> Callable[[], frozenset[str]]:
    """Pipelines of diffusers' auto mappings, without those that want a control map as well."""

    def architectures() -> frozenset[str]:
        found = names(_AUTO, *(f"AUTO_{mapping}_PIPELINES_MAPPING" for mapping in mappings))
        return frozenset(name for name in found if "Control" not in name and name != "OrderedDict") | {*also}

    return architectures


def _loader(kind: str) -> Callable[[Path, Place], Any]:
    """How a pipeline is loaded from a folder; `kind` is diffusers' class for it."""
    return lambda folder, place: load_pipeline(kind, folder, place)


def load_pipeline(kind: str, folder: Path, place: Place, **parts: Any) -> Any:  # noqa: ANN401, diffusers
    """A pipeline on its device, without progress bars."""
    import diffusers

    with without_bars("diffusers"):
        pipe = getattr(diffusers, kind).from_pretrained(folder, **parts, **place.safely)
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(place.device)


def _made(pipe: Any, **wished: Any) -> Any:  # noqa: ANN401, diffusers
    """What a pipeline makes with those of the arguments that it takes."""
    import torch

    taken = inspect.signature(pipe.__call__).parameters
    if _distilled(pipe):
        wished |= {"num_inference_steps": _FEW_STEPS, "guidance_scale": 0.0}
        if "strength" in taken:
            wished["num_inference_steps"] = math.ceil(_FEW_STEPS / _STRENGTH)
    with torch.inference_mode():
        made = pipe(**{name: value for name, value in wished.items() if name in taken})
    if any(getattr(made, "nsfw_content_detected", None) or ()):
        raise PermanentError("withheld", "its own safety checker withheld the picture; word it otherwise")
    return made


def _distilled(pipe: Any) -> bool:  # noqa: ANN401, diffusers
    """Whether the model takes few steps and no guidance: SD-Turbo, SDXL-Turbo, FLUX.1-schnell."""
    if type(pipe).__name__.startswith("Flux"):
        return not getattr(pipe.transformer.config, "guidance_embeds", True)
    schedule = pipe.scheduler.config
    # Turbo's schedules end at the last step; so do those of models with zero terminal SNR, which say that
    trailing = schedule.get("timestep_spacing") == "trailing"
    return (
        trailing and not schedule.get("rescale_betas_zero_snr") and "Euler" in type(pipe.scheduler).__name__
    )


def _prompt(inputs: Inputs) -> str:
    text = str(inputs.get("prompt") or "").strip()
    if not text:
        raise PermanentError("empty-text", "the prompt is empty")
    return text


def _paint(pipe: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, diffusers
    return [{"image": drawing.png(_made(pipe, prompt=_prompt(one)).images[0], "picture")} for one in inputs]


TEXT_TO_IMAGE = Recipe(
    _loader("AutoPipelineForText2Image"), _paint, _diffused("TEXT2IMAGE"), files=FILES, libraries=_DIFFUSERS
)


def _load_changer(folder: Path, place: Place) -> Any:  # noqa: ANN401, diffusers or transformers
    if not (folder / "model_index.json").exists():
        return local_vision.load_upscaler(folder, place)
    try:
        return load_pipeline("AutoPipelineForImage2Image", folder, place)
    except ValueError:  # there is no other class of that kind: it changes pictures itself
        return load_pipeline("DiffusionPipeline", folder, place)


def _change(loaded: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, diffusers or transformers
    if isinstance(loaded, tuple):
        return [
            {"image": drawing.png(local_vision.upscale(loaded, one["image"]), "upscaled")} for one in inputs
        ]
    return [{"image": drawing.png(_changed(loaded, one), "picture")} for one in inputs]


def _changed(pipe: Any, one: Inputs) -> "Image.Image":  # noqa: ANN401, diffusers
    picture = decode_image(one["image"].data)
    handed = picture.resize(fitting(picture.size, native_area(pipe)))
    size = {"width": handed.width, "height": handed.height}
    made: Image.Image = _made(pipe, prompt=_prompt(one), image=handed, strength=_STRENGTH, **size).images[0]
    # what only grew or shrank to a whole multiple goes back; a larger one would be no sharper
    return made.resize(picture.size) if _near(made.size, picture.size) else made


def _near(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return all(abs(a - b) < _MULTIPLE for a, b in zip(one, other, strict=True))


def native_area(pipe: Any) -> int:  # noqa: ANN401, diffusers
    """Pixels of the pictures that a model was trained on: for most a square."""
    denoiser = getattr(pipe, "unet", None) or getattr(pipe, "transformer", None)
    side = getattr(getattr(denoiser, "config", None), "sample_size", None)
    scale = getattr(pipe, "vae_scale_factor", 8)
    if isinstance(side, int):
        return int(side * scale) ** 2
    height, width = (side[0], side[1]) if side else (128, 128)
    return int(height * width * scale**2)


def fitting(size: tuple[int, int], area: int) -> tuple[int, int]:
    """(width, height) of about the same shape, in whole multiples, with no more than that area in pixels."""
    scale = min(1.0, math.sqrt(area / (size[0] * size[1])))
    longest = max(_MULTIPLE, area // _MULTIPLE // _MULTIPLE * _MULTIPLE)
    sides = [max(_MULTIPLE, round(side * scale / _MULTIPLE) * _MULTIPLE) for side in size]
    return min(sides[0], longest), min(sides[1], longest)


IMAGE_TO_IMAGE = Recipe(
    _load_changer,
    _change,
    _diffused(
        "IMAGE2IMAGE", "TEXT2IMAGE",
        also=["StableDiffusionInstructPix2PixPipeline", "Swin2SRForImageSuperResolution"],
    ),
    files=tuple(dict.fromkeys((*FILES, *TRANSFORMERS_FILES))),
    libraries=frozenset({"diffusers", "transformers"}),
)  # fmt: skip


def _film(pipe: Any, **wished: Any) -> Outputs:  # noqa: ANN401, diffusers
    frames = _made(pipe, output_type="pil", **wished).frames[0]
    name = type(pipe).__name__
    rate = next((rate for start, rate in _RATES.items() if name.startswith(start)), _RATE)
    return {"video": Media(video.encode_mp4(frames, rate), "video/mp4", "video.mp4")}


def _shoot(pipe: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, diffusers
    return [_film(pipe, prompt=_prompt(one)) for one in inputs]


TEXT_TO_VIDEO = Recipe(
    _loader("DiffusionPipeline"),
    _shoot,
    _diffused(
        "TEXT2VIDEO",
        also=["TextToVideoSDPipeline", "CogVideoXPipeline", "HunyuanVideoPipeline", "MochiPipeline"],
    ),
    files=FILES,
    libraries=_DIFFUSERS,
)


def _animate(pipe: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, diffusers
    outputs = []
    for one in inputs:
        still = _still(pipe, decode_image(one["image"].data))
        size = {"width": still.width, "height": still.height}
        prompt = str(one.get("prompt") or "").strip()
        outputs.append(_film(pipe, image=still, prompt=prompt, **size))
    return outputs


def _still(pipe: Any, picture: "Image.Image") -> "Image.Image":  # noqa: ANN401, diffusers
    """The picture in a size that the model makes videos of."""
    from PIL import Image, ImageOps

    taken = inspect.signature(pipe.__call__).parameters
    height, width = (taken[side].default if side in taken else None for side in ("height", "width"))
    if type(pipe).__name__.startswith("CogVideoX"):  # makes one size only
        area, size = 0, (width or 720, height or 480)
        return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
    area = height * width if height and width else native_area(pipe)
    return picture.resize(fitting(picture.size, area), Image.Resampling.LANCZOS)


IMAGE_TO_VIDEO = Recipe(
    _loader("DiffusionPipeline"),
    _animate,
    _diffused(
        "IMAGE2VIDEO",
        also=["StableVideoDiffusionPipeline", "CogVideoXImageToVideoPipeline", "I2VGenXLPipeline"],
    ),
    files=FILES,
    libraries=_DIFFUSERS,
)


def _guide(pipe: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, diffusers
    return [{"image": drawing.png(_guided(pipe, one), "picture")} for one in inputs]


def _guided(pipe: Any, one: Inputs) -> "Image.Image":  # noqa: ANN401, diffusers
    from PIL import Image

    control = decode_image(one["image"].data)
    # thin white lines of a map must not fade away, nor its colours mix
    handed = control.resize(fitting(control.size, native_area(pipe)), Image.Resampling.NEAREST)
    size = {"width": handed.width, "height": handed.height}
    made: Image.Image = _made(pipe, prompt=_prompt(one), image=handed, control_image=handed, **size).images[0]
    return made.resize(control.size) if _near(made.size, control.size) else made


def _base(folder: Path) -> tuple[ModelCard, Recipe] | None:
    """The Stable Diffusion that a ControlNet was trained beside, by the width of the words that it reads."""
    config = folder / "config.json"  # a whole pipeline has none
    width = json.loads(config.read_text("utf-8")).get("cross_attention_dim") if config.is_file() else None
    if width not in _BASES:
        return None
    return ModelCard(id=_BASES[width][0], task="text-to-image", summary=""), TEXT_TO_IMAGE


def _load_guided(folder: Path, place: Place) -> Any:  # noqa: ANN401, diffusers
    if (folder / "model_index.json").exists():
        return load_pipeline("DiffusionPipeline", folder, place)
    base = _base(folder)
    if base is None:
        raise PermanentError("base", "is a ControlNet for a model that is not known here")
    import diffusers

    network: Any = diffusers.ControlNetModel
    control = network.from_pretrained(folder, **place.safely)
    kind = _BASES[control.config.cross_attention_dim][1]
    where = weights.cached(*base)
    if where is None:
        raise PermanentError("base", f"works beside {base[0].id}, which is not on this machine")
    return load_pipeline(kind, where, place, controlnet=control)


_PIPELINES = frozenset({"StableDiffusionControlNetPipeline", "StableDiffusionXLControlNetPipeline"})

CONTROL_TO_IMAGE = Recipe(
    _load_guided,
    _guide,
    lambda: _PIPELINES | {"ControlNetModel"},
    files=(*FILES, "config.json", "diffusion_pytorch_model.safetensors"),
    beside=_base,
    libraries=_DIFFUSERS,
)
