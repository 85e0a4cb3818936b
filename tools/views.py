"""What a value looks like to others: as text, as items, and on the wire."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import FiniteFloat, InstanceOf, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from hugginggpt.tools.artifacts import ArtifactStore
from hugginggpt.tools.media import BadFileError, Limits, extension_of, inspect, modality
from hugginggpt.tools.readers import decode_audio, decode_image, encode_png, encode_wav
from hugginggpt.tools.runtime import PermanentError
from hugginggpt.tools.tasks import Kind, TaskSpec
from hugginggpt.tools.values import Artifact, Inputs, Media, Outputs

if TYPE_CHECKING:
    from PIL import Image

_MAX_ROWS = 50  # of a table's text view
_PLURALS = {
    "person": "people", "man": "men", "woman": "women", "child": "children", "mouse": "mice", "foot": "feet",
    "knife": "knives", "leaf": "leaves", "shelf": "shelves", "sheep": "sheep", "fish": "fish",
    "scissors": "scissors", "skis": "skis", "glasses": "glasses",
}  # fmt: skip


class _Label(TypedDict):
    label: str
    score: FiniteFloat


class _Entity(TypedDict):
    entity_group: str
    word: str
    score: FiniteFloat
    start: int
    end: int


class _Box(TypedDict):
    xmin: FiniteFloat
    ymin: FiniteFloat
    xmax: FiniteFloat
    ymax: FiniteFloat


class _Object(_Label):
    box: _Box


class _Mask(TypedDict):
    label: str
    score: FiniteFloat | None
    mask: InstanceOf[Media]


class _Segment(TypedDict):
    start: FiniteFloat
    end: FiniteFloat


class _Keypoint(_Label):
    x: FiniteFloat
    y: FiniteFloat


_TYPES: dict[Kind, Any] = {
    "text": str,
    "texts": list[str],
    "table": list[dict[str, Any]],
    "image": InstanceOf[Media],
    "audio": InstanceOf[Media],
    "video": InstanceOf[Media],
    "labels": list[_Label] | list[list[_Label]],
    "entities": list[_Entity],
    "objects": list[_Object],
    "masks": list[_Mask],
    "segments": list[_Segment],
    "keypoints": list[_Keypoint],
    "scores": list[FiniteFloat],
    "numbers": list[FiniteFloat],
    "vector": list[FiniteFloat],
}
_SOURCED: frozenset[Kind] = frozenset({"objects", "masks", "segments"})


@cache
def _adapter(kind: Kind) -> TypeAdapter[Any]:
    return TypeAdapter(_TYPES[kind])


def text_view(kind: Kind, value: Any) -> str:  # noqa: ANN401, as many types as kinds
    """A value of that kind in words; the values of an `each` task one per line."""
    if value is None:  # an item of an `each` task that failed
        return ""
    if value == []:
        return "nothing found"
    if isinstance(value, list) and (kind in {"text", "image", "audio", "video"} or _nested(value)):
        return "\n".join(text_view(kind, entry) for entry in value)
    return _VIEWS[kind](value)


def _nested(value: list[Any]) -> bool:
    return any(isinstance(entry, list) for entry in value)


def _things(value: Sequence[Mapping[str, Any]]) -> str:
    counted = Counter(entry["label"] for entry in value).most_common()
    return ", ".join(_counted(label, number) for label, number in counted)


def _counted(label: str, number: int) -> str:
    """`1 cat`, `2 cats`, `3 wine glasses`."""
    if number == 1 or not label:
        return f"{number} {label or 'parts'}" if number > 1 else f"1 {label or 'part'}"
    *before, last = label.split(" ")
    if last.lower() in _PLURALS:
        last = _PLURALS[last.lower()]
    elif last.endswith(("s", "x", "z", "ch", "sh")):
        last += "es"
    elif last.endswith("y") and last[-2:-1] not in set("aeiou"):
        last = f"{last[:-1]}ies"
    else:
        last += "s"
    return " ".join([str(number), *before, last])


def _media_view(artifact: Artifact) -> str:
    meta = artifact["meta"]
    kind = modality(artifact["media_type"])
    if "width" in meta:
        return f"{kind}, {meta['width']}×{meta['height']}"
    return f"{kind}, {meta['seconds']:.1f} s" if "seconds" in meta else kind


def _table_view(rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [
        names,
        ["---"] * len(names),
        *([row.get(name, "") for name in names] for row in rows[:_MAX_ROWS]),
    ]
    shown = ["| " + " | ".join(" ".join(str(cell).split()) for cell in line) + " |" for line in lines]
    more = [f"… and {len(rows) - _MAX_ROWS} more rows"] if len(rows) > _MAX_ROWS else []
    return "\n".join([*shown, *more])


_VIEWS: dict[Kind, Callable[[Any], str]] = {
    "text": str,
    "texts": "\n".join,
    "table": _table_view,
    "image": _media_view,
    "audio": _media_view,
    "video": _media_view,
    "labels": lambda value: str(value[0]["label"]),
    "entities": lambda value: ", ".join(entry["word"] for entry in value),
    "objects": _things,
    "masks": _things,
    "segments": lambda value: ", ".join(f"{entry['start']:.1f}–{entry['end']:.1f} s" for entry in value),
    "keypoints": lambda value: _counted("keypoint", len(value)),
    "scores": lambda value: ", ".join(f"{entry:.2f}" for entry in value),
    "numbers": lambda value: ", ".join(f"{entry:.6g}" for entry in value),
    "vector": lambda value: f"vector of {len(value)} numbers",
}


def outputs_text(spec: TaskSpec, outputs: Outputs) -> str:
    """A whole result in words: its main output."""
    return text_view(spec.outputs[0], outputs[spec.outputs[0]])


def items(kind: Kind, value: Sequence[Any], store: ArtifactStore) -> list[Any]:
    """What `each` runs over, as many as there are elements. Blocks: things are cut out of their source.

    Objects and masks give `Media` PNGs, segments `Media` WAVs, all others text. What lies outside of its
    source is moved to its edge and is at least a pixel or a sample large. Raises `ArtifactError` when
    the source is not in the store.
    """
    match kind:
        case "objects" | "masks":
            pictures = {id_: decode_image(store.get(id_)) for id_ in {e["source"] for e in value}}
            cut = _cut_object if kind == "objects" else _cut_mask
            return [
                Media(encode_png(cut(pictures[e["source"]], e, store)), "image/png", f"{e['label']}-{n}.png")
                for n, e in enumerate(value, 1)
            ]
        case "segments":
            return _clips(value, store)
        case "labels" if _nested(list(value)):
            return [text_view(kind, row) for row in value]
        case "table":
            return [", ".join(f"{name}: {cell}" for name, cell in row.items()) for row in value]
        case "texts":
            return list(value)
    return [text_view(kind, [entry]) for entry in value]


def _cut_object(picture: "Image.Image", element: Mapping[str, Any], _: ArtifactStore) -> "Image.Image":
    box = element["box"]
    left, right = _within(box["xmin"], box["xmax"], picture.width)
    top, bottom = _within(box["ymin"], box["ymax"], picture.height)
    return picture.crop((left, top, right, bottom))


def _cut_mask(picture: "Image.Image", element: Mapping[str, Any], store: ArtifactStore) -> "Image.Image":
    """What is white in the mask, on white."""
    from PIL import Image

    mask = decode_image(store.get(element["mask"]["id"])).convert("L").resize(picture.size)
    mask = mask.point([0] * 128 + [255] * 128)
    box = mask.getbbox() or (0, 0, 1, 1)
    return Image.composite(picture, Image.new("RGB", picture.size, "white"), mask).crop(box)


def _clips(segments: Sequence[Any], store: ArtifactStore) -> list[Media]:
    sounds = {id_: decode_audio(store.get(id_)) for id_ in {s["source"] for s in segments}}
    clips = []
    for number, segment in enumerate(segments, 1):
        samples, rate = sounds[segment["source"]]
        start, end = _within(segment["start"] * rate, segment["end"] * rate, len(samples))
        clips.append(Media(encode_wav(samples[start:end], rate), "audio/wav", f"segment-{number}.wav"))
    return clips


def _within(start: float, end: float, size: int) -> tuple[int, int]:
    """Both as whole numbers inside of 0…size, at least one apart."""
    first = min(max(round(start), 0), size - 1)
    return first, max(min(round(end), size), first + 1)


def artifacts_in(value: object) -> Iterator[Artifact]:
    """Every artifact in outputs on the wire, however deep."""
    if isinstance(value, Mapping):
        if str(value.get("id", "")).startswith("sha256:") and "media_type" in value:
            yield value  # type: ignore[misc]
        else:
            for entry in value.values():
                yield from artifacts_in(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from artifacts_in(entry)


def store_outputs(
    spec: TaskSpec, outputs: Outputs, inputs: Inputs, store: ArtifactStore, stem: str
) -> Outputs:
    """A model's outputs as they go on the wire: checked, media stored, sources and a text view added. Blocks.

    New artifacts are called `stem` with an extension. Raises `PermanentError` of kind `wrong-output`
    when a port is missing, unknown or holds something else than its kind.
    """
    if unknown := outputs.keys() - {*spec.outputs}:
        raise _wrong(f"{spec.id} has no output {min(unknown)!r}")
    source = next(
        (store.put(v.data, v.name, v.media_type, {})["id"] for v in inputs.values() if isinstance(v, Media)),
        "",
    )
    stored: Outputs = {}
    for kind in spec.outputs:
        if kind not in outputs:
            raise _wrong(f"output {kind!r} is missing")
        stored[kind] = _stored(kind, _checked(kind, outputs[kind]), store, stem)
        if kind in _SOURCED and source:
            stored[kind] = [{**element, "source": source} for element in stored[kind]]
    return stored if "text" in stored else {**stored, "text": outputs_text(spec, stored)}


def _checked(kind: Kind, value: Any) -> Any:  # noqa: ANN401
    try:
        return _adapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise _wrong(f"output {kind!r}{f' at {where}' if where else ''}: {first['msg']}") from error


def _stored(kind: Kind, value: Any, store: ArtifactStore, stem: str) -> Any:  # noqa: ANN401
    if isinstance(value, Media):
        return _keep(kind, value, store, stem)
    if kind != "masks":
        return value
    return [
        {**element, "mask": _keep("image", element["mask"], store, f"{stem}-mask-{number}")}
        for number, element in enumerate(value, 1)
    ]


def _keep(kind: Kind, media: Media, store: ArtifactStore, stem: str) -> Artifact:
    try:
        media_type, meta = inspect(media.data, stem, Limits())
    except BadFileError as error:
        raise _wrong(str(error)) from error
    if modality(media_type) != kind:
        raise _wrong(f"output {kind!r} is {media_type}")
    return store.put(media.data, stem + extension_of(media_type), media_type, meta)


def _wrong(message: str) -> PermanentError:
    return PermanentError("wrong-output", message)
