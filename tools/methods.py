"""The methods of huggingface_hub's inference client: how each is asked, and how its answer becomes Outputs.

A row of `METHODS` is one method, by the name that huggingface_hub gives the task. The client is handed values
and bytes, never a string that it would open as a path or a URL.
"""

import base64
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage

from hugginggpt.tools import drawing, readers
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.chat import reply_text, to_look_at
from hugginggpt.tools.languages import guess, language
from hugginggpt.tools.media import Limits
from hugginggpt.tools.runtime import PermanentError
from hugginggpt.tools.values import Inputs, Media, Outputs, Rows

if TYPE_CHECKING:
    from huggingface_hub.inference._common import MimeBytes
    from PIL import Image

_SENT = frozenset({"image/png", "image/jpeg", "image/webp"})
_MASKS = re.compile(r"\[MASK\]|<mask>|_{3,}", re.IGNORECASE)
_ANGLED = re.compile(r"roberta|bart|camembert|xlm|longformer|deberta-v1", re.IGNORECASE)  # say `<mask>`
_PAIR = re.compile(r"-([a-z]{2,3})-([a-z]{2,3})$")


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked of a model; `name` is what a chat server is told as its name."""

    card: ModelCard
    inputs: Inputs
    name: str = ""

    def __getitem__(self, port: str) -> Any:  # noqa: ANN401, as many types as kinds
        return self.inputs[port]


@dataclass(frozen=True, slots=True)
class Method:
    """`ask` calls a method of the client; `give` makes Outputs of what it returns, and blocks."""

    ask: Callable[[Any, Call], Any]
    give: Callable[[Any, Call], Outputs]


def _data(media: Media) -> "MimeBytes":
    """A file as it is sent. Pictures that not every server reads go as PNG, in the same size."""
    from huggingface_hub.inference._common import MimeBytes

    if media.media_type.startswith("image/") and media.media_type not in _SENT:
        return MimeBytes(readers.encode_png(readers.decode_image(media.data)), "image/png")
    return MimeBytes(media.data, media.media_type)


def _converse(client: Any, call: Call) -> Any:  # noqa: ANN401
    text = call.inputs.get("text") or call["question"]
    content: Any = text
    if picture := call.inputs.get("image"):
        sent = to_look_at(picture)
        url = f"data:{sent.media_type};base64,{base64.b64encode(sent.data).decode()}"
        content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": text}]
    return client.chat_completion([{"role": "user", "content": content}], model=call.name or None)


def _said(answer: Any, _: Call) -> Outputs:  # noqa: ANN401
    choice = answer.choices[0]
    message = AIMessage(
        choice.message.content or "",
        additional_kwargs={"refusal": choice.message.get("refusal")},
        response_metadata={"finish_reason": choice.finish_reason},
    )
    return {"text": reply_text(message)}


def _columns(rows: Rows) -> dict[str, list[str]]:
    """A table by its columns, cells as strings: what table models of transformers read."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [str(row.get(name, "")) for row in rows] for name in names}


def _masked(call: Call) -> str:
    """The text with the mask that the model knows."""
    mask = "<mask>" if _ANGLED.search(f"{call.card.id} {call.card.architecture}") else "[MASK]"
    return _MASKS.sub(mask, call["text"])


def _translate(client: Any, call: Call) -> Any:  # noqa: ANN401
    """Each family of models is told languages in its own way; which it is, its name says."""
    text, name = call["text"], call.card.id.lower()
    target = language(call["target_language"])
    source = language(call.inputs.get("source_language") or "") or guess(text) or language("English")
    if target is None or source is None:
        raise PermanentError("language", f"{call['target_language']!r} is not a language that is known here")
    if "nllb" in name:
        return client.translation(text, src_lang=source.flores, tgt_lang=target.flores)
    if "m2m" in name or not call.card.on_hub:
        return client.translation(text, src_lang=source.iso, tgt_lang=target.iso)
    if "madlad" in name:
        return client.translation(f"<2{target.iso}> {text}")
    if re.search(r"\bt5\b", name):
        return client.translation(f"translate {source.name} to {target.name}: {text}")
    pair = _PAIR.search(name)
    languages = {language(pair[2])} if pair else {*map(language, call.card.languages)}
    if target not in languages:
        raise PermanentError("language", f"does not say that it translates into {target.name}")
    return client.translation(text)


def _labels(answer: Any, _: Call) -> Outputs:  # noqa: ANN401
    found = [{"label": each.label, "score": each.score} for each in answer]
    return {"labels": sorted(found, key=lambda each: -each["score"])}


def _entities(answer: Any, _: Call) -> Outputs:  # noqa: ANN401
    names = ("word", "score", "start", "end")
    return {
        "entities": [
            {"entity_group": each.entity_group or each.get("entity"), **{name: each[name] for name in names}}
            for each in answer
        ]
    }


def _vector(answer: Any, _: Call) -> Outputs:  # noqa: ANN401
    """Of an embedding per token, shape (1, tokens, size), the mean."""
    vector = answer.reshape(-1, answer.shape[-1]).mean(axis=0).tolist()
    if not all(map(math.isfinite, vector)):
        raise PermanentError("wrong-output", "answered a vector with numbers that are none")
    return {"vector": vector}


def _objects(answer: Any, call: Call) -> Outputs:  # noqa: ANN401
    sides = ("xmin", "ymin", "xmax", "ymax")
    objects = [
        {"label": each.label, "score": each.score, "box": {side: each.box[side] for side in sides}}
        for each in answer
    ]
    picture = readers.decode_image(call["image"].data)
    return {"objects": objects, "image": drawing.png(drawing.with_boxes(picture, objects), "objects")}


def _regions(answer: Any, call: Call) -> Outputs:  # noqa: ANN401
    picture = readers.decode_image(call["image"].data)
    masks = [(each.label, _loaded(each.mask).convert("L").resize(picture.size)) for each in answer]
    elements = [
        {"label": each.label, "score": each.score, "mask": drawing.png(mask, "mask")}
        for each, (_, mask) in zip(answer, masks, strict=True)
    ]
    return {"masks": elements, "image": drawing.png(drawing.with_regions(picture, masks), "regions")}


def _loaded(image: "Image.Image") -> "Image.Image":
    """A picture that a server sent, decoded to its end."""
    if image.width * image.height > Limits().max_pixels:
        raise PermanentError("too-large", f"answered a picture of {image.width:,}×{image.height:,} pixels")
    readers.load_image(image)
    return image


def _image(answer: "Image.Image", _: Call) -> Outputs:
    image = _loaded(answer)
    shown = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return {"image": drawing.png(shown, "image")}


def _file(kind: str, media_type: str) -> Callable[[Any, Call], Outputs]:
    """A sound or a video: what it really is, `store_outputs` finds out."""

    def give(answer: Any, _: Call) -> Outputs:  # noqa: ANN401
        if not isinstance(answer, bytes):
            raise PermanentError("wrong-output", f"answered no {kind} but {type(answer).__name__}")
        return {kind: Media(answer, media_type, kind)}

    return give


def _text(field: str) -> Callable[[Any, Call], Outputs]:
    """A field of the answer, or of the best of several."""

    def give(answer: Any, _: Call) -> Outputs:  # noqa: ANN401
        best = answer[0] if isinstance(answer, list) else answer
        return {"text": getattr(best, field)}

    return give


METHODS: dict[str, Method] = {
    "conversational": Method(_converse, _said),
    "text-generation": Method(
        lambda client, call: client.text_generation(call["text"], return_full_text=False),
        lambda answer, _: {"text": answer},
    ),
    "summarization": Method(lambda client, call: client.summarization(call["text"]), _text("summary_text")),
    "translation": Method(_translate, _text("translation_text")),
    "question-answering": Method(
        lambda client, call: client.question_answering(call["question"], call["context"]), _text("answer")
    ),
    "table-question-answering": Method(
        lambda client, call: client.table_question_answering(_columns(call["table"]), call["question"]),
        _text("answer"),
    ),
    "text-classification": Method(lambda client, call: client.text_classification(call["text"]), _labels),
    "zero-shot-classification": Method(
        lambda client, call: client.zero_shot_classification(call["text"], call["candidate_labels"]), _labels
    ),
    "token-classification": Method(
        lambda client, call: client.token_classification(call["text"], aggregation_strategy="simple"),
        _entities,
    ),
    "fill-mask": Method(lambda client, call: client.fill_mask(_masked(call)), _text("sequence")),
    "sentence-similarity": Method(
        lambda client, call: client.sentence_similarity(call["source"], call["sentences"]),
        lambda answer, _: {"scores": answer},
    ),
    "feature-extraction": Method(lambda client, call: client.feature_extraction(call["text"]), _vector),
    "image-classification": Method(
        lambda client, call: client.image_classification(_data(call["image"])), _labels
    ),
    "zero-shot-image-classification": Method(
        lambda client, call: client.zero_shot_image_classification(
            _data(call["image"]), call["candidate_labels"]
        ),
        _labels,
    ),
    "object-detection": Method(lambda client, call: client.object_detection(_data(call["image"])), _objects),
    "image-segmentation": Method(
        lambda client, call: client.image_segmentation(_data(call["image"])), _regions
    ),
    "image-to-text": Method(
        lambda client, call: client.image_to_text(_data(call["image"])), _text("generated_text")
    ),
    "visual-question-answering": Method(
        lambda client, call: client.visual_question_answering(_data(call["image"]), call["question"]),
        _text("answer"),
    ),
    "document-question-answering": Method(
        lambda client, call: client.document_question_answering(_data(call["image"]), call["question"]),
        _text("answer"),
    ),
    "image-to-image": Method(
        lambda client, call: client.image_to_image(_data(call["image"]), call["prompt"]), _image
    ),
    "text-to-image": Method(lambda client, call: client.text_to_image(call["prompt"]), _image),
    "text-to-video": Method(
        lambda client, call: client.text_to_video(call["prompt"]), _file("video", "video/mp4")
    ),
    "image-to-video": Method(
        lambda client, call: client.image_to_video(_data(call["image"]), prompt=call.inputs.get("prompt")),
        _file("video", "video/mp4"),
    ),
    "text-to-speech": Method(
        lambda client, call: client.text_to_speech(call["text"]), _file("audio", "audio/flac")
    ),
    "automatic-speech-recognition": Method(
        lambda client, call: client.automatic_speech_recognition(_data(call["audio"])), _text("text")
    ),
    "audio-classification": Method(
        lambda client, call: client.audio_classification(_data(call["audio"])), _labels
    ),
    "audio-to-audio": Method(
        lambda client, call: client.audio_to_audio(_data(call["audio"])),
        lambda answer, call: _file("audio", "audio/flac")(answer[0].blob, call),
    ),
}
"""By the name of the task in huggingface_hub's tables."""

_ALSO = {
    "text-generation": ("conversational",),
    "image-text-to-text": ("conversational",),
    "visual-question-answering": ("conversational",),
    "document-question-answering": ("conversational",),
}


def methods_for(task: str) -> tuple[str, ...]:
    """The methods that do a task of ours, the best first; empty where there is none."""
    own = (task,) if task in METHODS else ()
    return (*_ALSO.get(task, ()), *own)
