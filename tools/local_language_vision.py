"""Recipes of the tasks that read pictures and write text, with transformers' model classes."""

import importlib.util
import inspect
import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hugginggpt.tools.local_vision import auto, fitted, piped, processor_of
from hugginggpt.tools.readers import decode_image
from hugginggpt.tools.recipe import Place, Recipe
from hugginggpt.tools.runtime import PermanentError
from hugginggpt.tools.values import Inputs, Media, Outputs

_CAPTION = 256  # tokens that a caption, or a line of text that is read, has at most
_REPLY = 512  # tokens of an answer to an instruction
_ANSWER = 50  # tokens of an answer to a question

_reading = threading.Lock()


def question(inputs: Inputs, port: str) -> str:
    """What is asked. Raises `PermanentError` where it is empty."""
    text = str(inputs[port]).strip()
    if not text:
        raise PermanentError("empty-text", f"the {port} is empty")
    return text


def _room(model: Any, wanted: int, taken: int = 0) -> int:  # noqa: ANN401, transformers
    """How many tokens a model can still write where `taken` are there: no more than it has positions for."""
    config = model.config.get_text_config(decoder=True)
    return int(min(wanted, getattr(config, "max_position_embeddings", wanted + taken) - taken - 1))


def _load_captioner(folder: Path, place: Place) -> Any:  # noqa: ANN401, transformers
    from transformers import (
        AutoConfig,
        AutoModelForImageTextToText,
        AutoTokenizer,
        VisionEncoderDecoderModel,
    )

    pair = AutoConfig.from_pretrained(folder).model_type == "vision-encoder-decoder"
    kind: Any = VisionEncoderDecoderModel if pair else AutoModelForImageTextToText
    model = kind.from_pretrained(folder, **place.safely).to(place.device).eval()
    return model, processor_of(folder), AutoTokenizer.from_pretrained(folder)


def _caption(loaded: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, transformers
    import torch

    model, processor, tokenizer = loaded
    pictures = [fitted(one["image"])[1] for one in inputs]
    pixels = processor(pictures, return_tensors="pt").pixel_values.to(model.device, model.dtype)
    with torch.inference_mode():
        written = model.generate(pixel_values=pixels, max_new_tokens=_room(model, _CAPTION))
    return [{"text": text.strip()} for text in tokenizer.batch_decode(written, skip_special_tokens=True)]


def _caption_architectures() -> frozenset[str]:
    return frozenset({"BlipForConditionalGeneration", "GitForCausalLM", "VisionEncoderDecoderModel"})


IMAGE_TO_TEXT = Recipe(_load_captioner, _caption, _caption_architectures, batch=4)


def _follow(pipe: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, transformers
    outputs: list[Outputs] = []
    for one in inputs:
        picture, text = fitted(one["image"])[1], question(one, "text")
        options = {"max_new_tokens": _REPLY, "return_full_text": False}
        if getattr(pipe.processor, "chat_template", None):
            content = [{"type": "image", "image": picture}, {"type": "text", "text": text}]
            found = pipe(text=[{"role": "user", "content": content}], **options)
        else:
            found = pipe(images=picture, text=text, **options)
        outputs.append({"text": str(found[0]["generated_text"]).strip()})
    return outputs


def _check_processor(folder: Path) -> None:
    """Models that also read videos prepare them with torchvision, even where they are shown none."""
    if importlib.util.find_spec("torchvision"):
        return
    import transformers

    for name in ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json"):
        path = folder / name
        stated = json.loads(path.read_text("utf-8")).get("processor_class") if path.is_file() else None
        kind = getattr(transformers, stated, None) if stated else None
        if kind and "video_processor" in inspect.signature(kind.__init__).parameters:
            raise PermanentError(
                "missing", "needs torchvision, which is not installed; pip install torchvision"
            )


IMAGE_TEXT_TO_TEXT = Recipe(
    piped("image-text-to-text"), _follow, auto("IMAGE_TEXT_TO_TEXT"), check=_check_processor
)


def _load_answerer(folder: Path, place: Place) -> Any:  # noqa: ANN401, transformers
    from transformers import (
        AutoConfig,
        AutoModelForImageTextToText,
        AutoModelForVisualQuestionAnswering,
    )

    git = AutoConfig.from_pretrained(folder).model_type == "git"
    kind: Any = AutoModelForImageTextToText if git else AutoModelForVisualQuestionAnswering
    model = kind.from_pretrained(folder, **place.safely).to(place.device).eval()
    return model, processor_of(folder, "AutoProcessor")


def _answer(loaded: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, transformers
    answers: dict[str, Callable[..., str]] = {"vilt": _picked, "git": _continued}
    answer: Callable[..., str] = answers.get(loaded[0].config.model_type, _written)
    return [{"text": answer(*loaded, fitted(one["image"])[1], question(one, "question"))} for one in inputs]


def _picked(model: Any, processor: Any, picture: Any, asked: str) -> str:  # noqa: ANN401, transformers
    """The best of the answers that the model knows."""
    import torch

    read = processor(picture, asked, return_tensors="pt", truncation=True).to(model.device, model.dtype)
    with torch.inference_mode():
        best = int(model(**read).logits[0].argmax())
    return str(model.config.id2label[best])


def _written(model: Any, processor: Any, picture: Any, asked: str) -> str:  # noqa: ANN401, transformers
    import torch

    read = processor(picture, asked, return_tensors="pt").to(model.device, model.dtype)
    with torch.inference_mode():
        written = model.generate(**read, max_new_tokens=_room(model, _ANSWER))
    return str(processor.decode(written[0], skip_special_tokens=True)).strip()


def _continued(model: Any, processor: Any, picture: Any, asked: str) -> str:  # noqa: ANN401, transformers
    """GIT goes on after the question, which begins with its first token and has no last one."""
    import torch

    tokenizer = processor.tokenizer
    tokens = [tokenizer.cls_token_id, *tokenizer(asked, add_special_tokens=False)["input_ids"]]
    pixels = processor(images=picture, return_tensors="pt").pixel_values.to(model.device, model.dtype)
    with torch.inference_mode():
        room = _room(model, _ANSWER, len(tokens))
        begun = torch.tensor([tokens], device=model.device)
        written = model.generate(pixel_values=pixels, input_ids=begun, max_new_tokens=room)
    return str(tokenizer.decode(written[0][len(tokens) :], skip_special_tokens=True)).strip()


def _answer_architectures() -> frozenset[str]:
    return frozenset({"ViltForQuestionAnswering", "BlipForQuestionAnswering", "GitForCausalLM"})


VISUAL_QUESTION_ANSWERING = Recipe(_load_answerer, _answer, _answer_architectures)


def _ask_document(pipe: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, transformers
    outputs: list[Outputs] = []
    for one in inputs:
        asked = {"question": question(one, "question")}
        if pipe.model.config.model_type == "layoutlm":
            found = pipe({**asked, "word_boxes": _words(one["image"])})
        else:
            found = pipe({**asked, "image": fitted(one["image"])[1]})
        outputs.append({"text": str((found[0]["answer"] if found else None) or "").strip()})
    return outputs


def _words(media: Media) -> list[tuple[str, list[int]]]:
    """Each word of a picture with its box (left, top, right, bottom) in thousandths of its sides."""
    import numpy as np

    if not importlib.util.find_spec("rapidocr"):
        raise PermanentError("missing", "its words need RapidOCR: pip install 'hugginggpt[offline]'")
    from hugginggpt.tools import ocr

    picture = decode_image(media.data)
    with _reading:
        lines = ocr.read(np.asarray(picture))
    words = [word for line in lines for piece in line for word in _split(piece, *picture.size)]
    if not words:
        raise PermanentError("no-text", "no text was found in the picture")
    return words


def _split(piece: Any, width: int, height: int) -> list[tuple[str, list[int]]]:  # noqa: ANN401, ocr.Piece
    """OCR finds runs of words: each word gets its part of the run's box, by its letters."""
    across = (piece.right - piece.left) / max(len(piece.text), 1)
    found, place = [], 0
    for word in piece.text.split():
        start = piece.text.index(word, place)
        place = start + len(word)
        box = (piece.left + start * across, piece.top, piece.left + place * across, piece.bottom)
        sides = zip(box, (width, height, width, height), strict=True)
        found.append((word, [min(max(round(1000 * at / side), 0), 1000) for at, side in sides]))
    return found


def _document_architectures() -> frozenset[str]:
    """LayoutLM's later versions, and others of the auto mapping, want Tesseract or torchvision."""
    return frozenset({"LayoutLMForQuestionAnswering", "VisionEncoderDecoderModel"})


DOCUMENT_QUESTION_ANSWERING = Recipe(
    piped("document-question-answering"), _ask_document, _document_architectures
)
