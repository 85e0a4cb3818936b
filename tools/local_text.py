"""Recipes of tasks that write: a summary, or what a text asks for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hugginggpt.tools.pretrained import AUTO, load_model, load_tokenizer, need, parts
from hugginggpt.tools.recipe import Place, Recipe, names
from hugginggpt.tools.runtime import PermanentError
from hugginggpt.tools.values import Inputs, Outputs

_AT_ONCE = 8  # texts in one call of a model
_LONGEST = 512  # tokens of a written text
_SUMMARY = 142  # tokens of a summary where the model does not say; what BART's says
_THOUGHT = re.compile(r"\s*<think>.*?(</think>|\Z)", re.DOTALL)


def seq2seq() -> frozenset[str]:
    """Models that read a text and write another one."""
    return names(AUTO, "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES")


def generators() -> frozenset[str]:
    """Models that write on, or that follow an instruction."""
    return seq2seq() | names(AUTO, "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES")


@dataclass(frozen=True, slots=True)
class Writer:
    """A model that writes text, and its tokenizer."""

    model: Any
    tokenizer: Any

    @property
    def window(self) -> int:
        """Tokens that it reads at once."""
        return int(min(self.tokenizer.model_max_length, 1 << 20))

    @property
    def room(self) -> int:
        """Tokens that it writes at most, beside the one that it begins with and one for the language."""
        return self.window - 2

    def length(self, text: str) -> int:
        """Tokens of a text."""
        return len(self.tokenizer(text, verbose=False)["input_ids"])

    def write(self, texts: Sequence[str], **options: Any) -> list[str]:  # noqa: ANN401, of transformers' generate
        """What it writes for each text; `options` are of transformers' `generate`."""
        return [
            text
            for n in range(0, len(texts), _AT_ONCE)
            for text in self._write(texts[n : n + _AT_ONCE], options)
        ]

    def _write(self, texts: Sequence[str], options: dict[str, Any]) -> list[str]:
        import torch

        read = self.tokenizer([*texts], return_tensors="pt", padding=True, truncation=True).to(
            self.model.device
        )
        with torch.inference_mode():
            written = self.model.generate(**read, **options)
        if not self.model.config.is_encoder_decoder:
            written = written[:, read["input_ids"].shape[1] :]
        return [text.strip() for text in self.tokenizer.batch_decode(written, skip_special_tokens=True)]


def load_writer(folder: Path, place: Place) -> Writer:
    """A seq2seq model."""
    model = load_model("AutoModelForSeq2SeqLM", folder, place)
    return Writer(model, load_tokenizer(folder, model))


def _summarize(writer: Writer, inputs: Sequence[Inputs]) -> list[Outputs]:
    """Shorten texts; one that is longer than the model's window part by part."""
    stated = (getattr(writer.model.config, "task_specific_params", None) or {}).get("summarization", {})
    prefix = stated.get("prefix", "")
    room = writer.window - writer.length(prefix)
    texts = [parts(need(one["text"], "text"), writer.length, room) for one in inputs]
    every = [prefix + part for text in texts for part in text]
    own = writer.model.generation_config
    longest = min(max(stated.get("max_length") or own.max_length or 0, _SUMMARY), writer.room)
    # Many models write 56 tokens at least, also of a sentence, which they then make up.
    least = min(stated.get("min_length") or own.min_length or 0, min(map(writer.length, every)) // 2)
    written = iter(writer.write(every, max_length=longest, min_length=least))
    return [{"text": " ".join(next(written) for _ in text)} for text in texts]


def _load_generator(folder: Path, place: Place) -> Writer:
    import json

    stated = json.loads((folder / "config.json").read_text("utf-8"))["architectures"]
    if seq2seq().intersection(stated):
        return load_writer(folder, place)
    model = load_model("AutoModelForCausalLM", folder, place)
    tokenizer = load_tokenizer(folder, model, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return Writer(model, tokenizer)


def _generate(writer: Writer, inputs: Sequence[Inputs]) -> list[Outputs]:
    """Follow instructions, as a chat where the model is made for one; else the text is written on."""
    prompts = [_prompt(writer, need(one["text"], "text")) for one in inputs]
    longest = max(map(writer.length, prompts))
    if longest >= writer.window:
        raise PermanentError("too-long", f"reads {writer.window:,} tokens; the text has {longest:,}")
    read = 2 if writer.model.config.is_encoder_decoder else longest
    most = min(_LONGEST, writer.window - read)
    pad = writer.tokenizer.pad_token_id
    written = writer.write(prompts, max_new_tokens=most, pad_token_id=pad)
    return [{"text": _THOUGHT.sub("", text).strip()} for text in written]


def _prompt(writer: Writer, text: str) -> str:
    if not getattr(writer.tokenizer, "chat_template", None):
        return text
    asked = [{"role": "user", "content": text}]
    prompt: str = writer.tokenizer.apply_chat_template(
        asked, tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    begin = writer.tokenizer.bos_token  # the tokenizer adds it again
    return prompt.removeprefix(begin) if begin else prompt


SUMMARIZATION = Recipe(load_writer, _summarize, seq2seq, batch=_AT_ONCE)
TEXT_GENERATION = Recipe(_load_generator, _generate, generators, batch=_AT_ONCE)
