"""The recipe of translation: each family of models names languages in its own way."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hugginggpt.tools.languages import Language, guess, language
from hugginggpt.tools.local_text import Writer, load_writer, seq2seq
from hugginggpt.tools.pretrained import need, parts
from hugginggpt.tools.recipe import Place, Recipe
from hugginggpt.tools.runtime import PermanentError
from hugginggpt.tools.values import Inputs, Outputs

_ROOM = 256  # tokens that are translated at once: models leave out sentences of longer ones


@dataclass(frozen=True)
class _Translator:
    writer: Writer

    @cached_property
    def tokens(self) -> frozenset[str]:
        """All tokens, among them those that mean a language."""
        tokenizer = self.writer.tokenizer
        return frozenset(tokenizer.get_vocab()) | frozenset(getattr(tokenizer, "lang_token_to_id", ()))

    def named(self, one: Language) -> str | None:
        """The model's token for a language, if it has one: NLLB, M2M100, mBART, MADLAD, Marian."""
        forms = (one.flores, f"__{one.iso}__", f"<2{one.iso}>", f">>{one.iso}<<", f">>{one.flores[:3]}<<")
        found = next((form for form in forms if form in self.tokens), None)
        codes = getattr(self.writer.tokenizer, "lang_code_to_id", {})
        return found or next((code for code in codes if code.startswith(f"{one.iso}_")), None)


@dataclass(frozen=True, slots=True)
class _Way:
    """How a model is told the two languages."""

    prefix: str = ""
    """Before the text."""
    source: str = ""
    """What the tokenizer is told of the text."""
    first: str = ""
    """Token that the translation begins with."""


def _load(folder: Path, place: Place) -> _Translator:
    return _Translator(load_writer(folder, place))


def _run(translator: _Translator, inputs: Sequence[Inputs]) -> list[Outputs]:
    """Translate texts line by line, those between the same languages together."""
    ways = [_way(translator, one) for one in inputs]
    outputs: list[Outputs] = [{} for _ in inputs]
    for way in dict.fromkeys(ways):
        numbers = [number for number, other in enumerate(ways) if other == way]
        texts = [inputs[number]["text"] for number in numbers]
        for number, text in zip(numbers, _translated(translator.writer, texts, way), strict=True):
            outputs[number] = {"text": text}
    return outputs


def _translated(writer: Writer, texts: Sequence[str], way: _Way) -> list[str]:
    options: dict[str, Any] = {}
    if way.source:
        writer.tokenizer.src_lang = way.source
    if way.first:
        options["forced_bos_token_id"] = writer.tokenizer.convert_tokens_to_ids(way.first)
    room = min(writer.window, _ROOM) - writer.length(way.prefix)
    lines = [[parts(line, writer.length, room) for line in text.splitlines()] for text in texts]
    every = [way.prefix + part for text in lines for line in text for part in line]
    most = min(2 * max(map(writer.length, every), default=0) + 32, writer.room)
    written = iter(writer.write(every, max_new_tokens=most, **options))
    return ["\n".join(" ".join(next(written) for _ in line) for line in text) for text in lines]


def _way(translator: _Translator, inputs: Inputs) -> _Way:
    """Raises `PermanentError` where the model does not have the language."""
    text = need(inputs["text"], "text")
    target = _known(inputs["target_language"])
    stated = inputs.get("source_language")
    source = _known(stated) if stated else guess(text) or _known("English")
    token = translator.named(target)
    if token is None:
        return _pair(translator, source if stated else None, source, target)
    if token.startswith((">>", "<2")):
        return _Way(prefix=f"{token} ")
    if (spoken := translator.named(source)) is None:
        raise PermanentError("language", f"does not translate from {source.name}")
    # M2M100's tokenizer wants `de` of `__de__`
    return _Way(source=spoken.strip("_"), first=token)


def _pair(translator: _Translator, stated: Language | None, source: Language, target: Language) -> _Way:
    """Of a model without tokens of languages: one of a single pair, or one that is told in words."""
    config, tokenizer = translator.writer.model.config, translator.writer.tokenizer
    into, out_of = (getattr(tokenizer, f"{side}_lang", None) for side in ("target", "source"))
    if into:
        if language(into) != target:
            raise PermanentError("language", f"translates into {_called(into)}, not into {target.name}")
        if stated and out_of and language(out_of) not in {stated, None}:
            raise PermanentError("language", f"translates from {_called(out_of)}, not from {stated.name}")
        return _Way()
    if config.model_type not in {"t5", "mt5", "umt5"}:
        raise PermanentError("language", f"does not say that it translates into {target.name}")
    told = [
        key for key in getattr(config, "task_specific_params", None) or {} if key.startswith("translation_")
    ]
    if told and f"translation_{source.iso}_to_{target.iso}" not in told:
        pairs = ", ".join(key.removeprefix("translation_").replace("_", " ") for key in told)
        raise PermanentError(
            "language", f"does not translate from {source.name} into {target.name}; it does {pairs}"
        )
    return _Way(prefix=f"translate {source.name} to {target.name}: ")


def _known(name: str) -> Language:
    found = language(name)
    if found is None:
        raise PermanentError("language", f"{name!r} is not a language that is known here; say it in English")
    return found


def _called(code: str) -> str:
    found = language(code)
    return found.name if found else repr(code)


TRANSLATION = Recipe(_load, _run, seq2seq, batch=8)
