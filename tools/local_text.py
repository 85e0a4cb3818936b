"""Recipes of tasks that read and write text: seq2seq models of transformers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hugginggpt.tools import sentences
from hugginggpt.tools.recipe import Place, Recipe, names
from hugginggpt.tools.runtime import PermanentError
from hugginggpt.tools.values import Inputs, Outputs

_AUTO = "transformers.models.auto.modeling_auto"
_WINDOW = 1024  # tokens that a model reads at once, where it does not say


def seq2seq_architectures() -> frozenset[str]:
    """Models that read a text and write another one."""
    return names(_AUTO, "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES")


@dataclass(frozen=True, slots=True)
class Writer:
    """A model that reads a text and writes another one, and its tokenizer."""

    model: Any
    tokenizer: Any

    @property
    def window(self) -> int:
        """Tokens that it reads at once."""
        config = self.model.config
        stated = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
        return int(min(stated or _WINDOW, self.tokenizer.model_max_length))

    def length(self, text: str) -> int:
        """Tokens of a text."""
        return len(self.tokenizer(text, verbose=False)["input_ids"])

    def write(self, texts: Sequence[str], **options: Any) -> list[str]:  # noqa: ANN401, of transformers' generate
        """What it writes for each text; `options` are of transformers' `generate`."""
        import torch

        read = self.tokenizer(
            list(texts), return_tensors="pt", padding=True, truncation=True, max_length=self.window
        ).to(self.model.device)
        with torch.inference_mode():
            written = self.model.generate(**read, **options)
        return [text.strip() for text in self.tokenizer.batch_decode(written, skip_special_tokens=True)]

    def parts(self, text: str, room: int) -> list[str]:
        """The text in parts of whole sentences, each of at most `room` tokens; a longer one stays whole."""
        parts: list[str] = []
        size = room + 1
        for sentence in sentences.split(text):
            length = self.length(sentence)
            if size + length > room:
                parts.append(sentence)
                size = length
            else:
                parts[-1] += f" {sentence}"
                size += length
        return parts


def load_writer(folder: Path, place: Place) -> Writer:
    """A seq2seq model of transformers."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, **place.safely)
    return Writer(model.to(place.device).eval(), tokenizer)


def _summarize(writer: Writer, inputs: Sequence[Inputs]) -> list[Outputs]:
    """A text longer than the model's window is shortened part by part."""
    said = getattr(writer.model.config, "task_specific_params", None) or {}
    prefix = said.get("summarization", {}).get("prefix", "")
    room = writer.window - writer.length(prefix)
    parts = [writer.parts(need(one["text"], "text"), room) for one in inputs]
    every = [prefix + part for text in parts for part in text]
    shortest = (
        min(map(writer.length, every)) // 2
    )  # many models write 56 tokens at least, also of a short text
    least = min(writer.model.generation_config.min_length or 0, shortest)
    written = iter(writer.write(every, min_length=least))
    return [{"text": " ".join(next(written) for _ in text)} for text in parts]


def need(text: str, what: str) -> str:
    """The text. Raises `PermanentError` where it is empty."""
    if not text.strip():
        raise PermanentError("empty-text", f"the {what} is empty")
    return text


SUMMARIZATION = Recipe(load_writer, _summarize, seq2seq_architectures, batch=8)
