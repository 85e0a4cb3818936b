"""Recipes of tasks that read a text or a table: to label it, to find names, words or an answer in it."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hugginggpt.tools.pretrained import AUTO, load_model, load_tokenizer, need, parts
from hugginggpt.tools.recipe import Place, Recipe, names
from hugginggpt.tools.runtime import PermanentError
from hugginggpt.tools.values import Inputs, Outputs

_AT_ONCE = 8  # texts in one call of a model
_LONGEST_ANSWER = 30  # tokens
_GAP = re.compile(r"\[MASK\]|<mask>|_{2,}", re.IGNORECASE)

Labels = list[dict[str, str | float]]


def _load(task: str, auto: str, folder: Path, place: Place, **options: Any) -> Any:  # noqa: ANN401, a pipeline
    import transformers

    model = load_model(auto, folder, place)
    tokenizer = load_tokenizer(folder, model)
    make: Any = transformers.pipeline  # it has a signature for every name of a task
    return make(task, model=model, tokenizer=tokenizer, device=place.device, **options)


def _architectures(mapping: str) -> Callable[[], frozenset[str]]:
    return partial(names, AUTO, f"MODEL_FOR_{mapping}_MAPPING_NAMES")


def _parts(reader: Any, text: str, what: str = "text", spare: int = 0) -> list[str]:  # noqa: ANN401
    """A text in parts that the model reads at once, `spare` tokens left for something else."""
    tokenizer = reader.tokenizer

    def length(part: str) -> int:
        return len(tokenizer(part, verbose=False)["input_ids"])

    return parts(need(text, what), length, max(tokenizer.model_max_length - spare, 16))


def _classify(reader: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401
    """Label texts; the scores of a long one are the average of its parts', by their length."""
    texts = [_parts(reader, one["text"]) for one in inputs]
    every = [part for text in texts for part in text]
    if len(every) == 1:  # a list would go through a loader of data
        found = iter([reader(every[0], top_k=None, truncation=True)])
    else:
        found = iter(reader(every, top_k=None, truncation=True, batch_size=_AT_ONCE))
    return [{"labels": _average((next(found), len(part)) for part in text)} for text in texts]


def _average(scored: Iterable[tuple[Labels, int]]) -> Labels:
    """Labels with their mean scores, best first, of labels with the weight of each."""
    totals: dict[str, float] = defaultdict(float)
    weights = 0
    for labels, weight in scored:
        weights += weight
        for one in labels:
            totals[str(one["label"])] += float(one["score"]) * weight
    best = sorted(totals.items(), key=lambda item: -item[1])
    return [{"label": label, "score": total / weights} for label, total in best]


def _sort(reader: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401
    """Sort texts into labels of the user, by whether the text entails that it is about them."""
    outputs: list[Outputs] = []
    for one in inputs:
        labels = list(dict.fromkeys(one["candidate_labels"]))
        if not labels:
            raise PermanentError("no-labels", "there are no candidate labels to sort the text into")
        spare = 16 + max(len(reader.tokenizer(label)["input_ids"]) for label in labels)
        scored = []
        for part in _parts(reader, one["text"], spare=spare):
            found = reader(part, candidate_labels=labels, batch_size=_AT_ONCE)
            pairs = zip(found["labels"], found["scores"], strict=True)
            scored.append(([{"label": label, "score": score} for label, score in pairs], len(part)))
        outputs.append({"labels": _average(scored)})
    return outputs


def _load_tagger(folder: Path, place: Place) -> Any:  # noqa: ANN401
    auto, task = "AutoModelForTokenClassification", "token-classification"
    tagger = _load(task, auto, folder, place, aggregation_strategy="simple")
    if not tagger.tokenizer.is_fast:
        raise PermanentError("not-loaded", "has a tokenizer that does not say where in a text its tokens are")
    return tagger


def _tag(tagger: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401
    """Find names; a long text is read in windows that overlap by a quarter."""
    outputs: list[Outputs] = []
    for one in inputs:
        text = need(one["text"], "text")
        found = tagger(text, stride=tagger.tokenizer.model_max_length // 4)
        outputs.append(
            {
                "entities": [
                    {
                        "entity_group": entity["entity_group"],
                        "word": text[entity["start"] : entity["end"]],
                        "score": float(entity["score"]),
                        "start": int(entity["start"]),
                        "end": int(entity["end"]),
                    }
                    for entity in found
                ]
            }
        )
    return outputs


def _fill(filler: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401
    """Fill in masked words, `[MASK]`, `<mask>` or `__`, one after the other from the left."""
    mask = filler.tokenizer.mask_token
    outputs: list[Outputs] = []
    for one in inputs:
        text = _GAP.sub(mask, need(one["text"], "text"))
        if mask not in text:
            raise PermanentError(
                "no-mask", "no word of the text is masked; write [MASK] where one is missing"
            )
        while mask in text:
            part = next(part for part in _parts(filler, text) if mask in part)
            best = filler(part.replace(mask, "\0", 1).replace(mask, "").replace("\0", mask), top_k=1)[0]
            text = text.replace(mask, best["token_str"].strip().removeprefix("##"), 1)
        outputs.append({"text": text})
    return outputs


@dataclass(frozen=True, slots=True)
class _Reader:
    model: Any
    tokenizer: Any


def _load_reader(folder: Path, place: Place) -> _Reader:
    model = load_model("AutoModelForQuestionAnswering", folder, place)
    tokenizer = load_tokenizer(folder, model)
    if not tokenizer.is_fast:
        raise PermanentError("not-loaded", "has a tokenizer that does not say where in a text its tokens are")
    return _Reader(model, tokenizer)


def _answer(reader: _Reader, inputs: Sequence[Inputs]) -> list[Outputs]:
    """The passage that answers; a long text is read in windows that overlap by a quarter."""
    questions = [need(one["question"], "question") for one in inputs]
    contexts = [need(one["context"], "context") for one in inputs]
    window = reader.tokenizer.model_max_length
    if max(len(reader.tokenizer(question)["input_ids"]) for question in questions) > window // 2:
        raise PermanentError("too-long", f"reads {window:,} tokens at once; the question leaves no room")
    read = reader.tokenizer(
        questions,
        contexts,
        truncation="only_second",
        stride=window // 4,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        padding=True,
        return_tensors="pt",
    )
    of = read.pop("overflow_to_sample_mapping").tolist()
    offsets = read.pop("offset_mapping").tolist()
    best: dict[int, tuple[float, str]] = {}
    for number, (score, first, last) in enumerate(_spans(reader, read)):
        context = contexts[of[number]]
        passage = context[offsets[number][first][0] : offsets[number][last][1]].strip()
        best[of[number]] = max(best.get(of[number], (score, passage)), (score, passage))
    return [{"text": best[number][1]} for number in range(len(inputs))]


def _spans(reader: _Reader, read: Any) -> Iterable[tuple[float, int, int]]:  # noqa: ANN401, a BatchEncoding
    """For each window the best passage: how sure the model is, its first and its last token."""
    import torch

    for begin in range(0, len(read["input_ids"]), _AT_ONCE):
        some = {
            name: values[begin : begin + _AT_ONCE].to(reader.model.device) for name, values in read.items()
        }
        with torch.inference_mode():
            found = reader.model(**some)
        starts, ends = found.start_logits.float().cpu(), found.end_logits.float().cpu()
        for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
            inside = torch.tensor([part == 1 for part in read.sequence_ids(begin + number)])
            scores = start[:, None] + end[None, :]
            allowed = torch.ones_like(scores, dtype=torch.bool).triu().tril(_LONGEST_ANSWER - 1)
            scores[~(allowed & inside[:, None] & inside[None, :])] = -torch.inf
            place = int(scores.argmax())
            yield float(scores.flatten()[place]), place // len(start), place % len(start)


def _ask_table(reader: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401
    import pandas as pd  # type: ignore[import-untyped]

    outputs: list[Outputs] = []
    for one in inputs:
        question, rows = need(one["question"], "question"), one["table"]
        if not rows:
            raise PermanentError("empty-table", "the table has no rows")
        table = pd.DataFrame(rows).fillna("").astype(str)
        length = len(reader.tokenizer(table=table, queries=question, truncation=False)["input_ids"])
        if length > reader.tokenizer.model_max_length:  # else rows at the end would not be read
            most = reader.tokenizer.model_max_length
            raise PermanentError(
                "too-long", f"reads {most:,} tokens; the table of {len(rows):,} rows has {length:,}"
            )
        found = reader({"table": table, "query": question})
        outputs.append({"text": _worked_out(found.get("aggregator", "NONE"), found["cells"])})
    return outputs


def _worked_out(aggregator: str, cells: Sequence[str]) -> str:
    """The answer in cells: all of them, or their sum, average or number where that is what was asked."""
    if aggregator == "COUNT":
        return str(len(cells))
    try:
        numbers = [float(cell.replace(",", "")) for cell in cells]
    except ValueError:
        numbers = []
    if aggregator not in {"SUM", "AVERAGE"} or not numbers:
        return ", ".join(cells)
    return f"{sum(numbers) / (len(numbers) if aggregator == 'AVERAGE' else 1):.10g}"


_SEQUENCE = "AutoModelForSequenceClassification"
_SEQUENCES = _architectures("SEQUENCE_CLASSIFICATION")

TEXT_CLASSIFICATION = Recipe(
    partial(_load, "text-classification", _SEQUENCE), _classify, _SEQUENCES, batch=_AT_ONCE
)
ZERO_SHOT_CLASSIFICATION = Recipe(partial(_load, "zero-shot-classification", _SEQUENCE), _sort, _SEQUENCES)
TOKEN_CLASSIFICATION = Recipe(_load_tagger, _tag, _architectures("TOKEN_CLASSIFICATION"))
FILL_MASK = Recipe(partial(_load, "fill-mask", "AutoModelForMaskedLM"), _fill, _architectures("MASKED_LM"))
QUESTION_ANSWERING = Recipe(_load_reader, _answer, _architectures("QUESTION_ANSWERING"), batch=_AT_ONCE)
TABLE_QUESTION_ANSWERING = Recipe(
    partial(_load, "table-question-answering", "AutoModelForTableQuestionAnswering"),
    _ask_table,
    _architectures("TABLE_QUESTION_ANSWERING"),
)
