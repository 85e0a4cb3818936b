"""A row of facts, as the Hub's API, a data set or a file of our own gives them, as a `ModelCard`.

Columns, of which only `id` (or `modelId`) is needed; others than these are passed over:

    id, pipeline_tag, card (README's text), tags, downloads, likes, license, library_name, lastModified, sha,
    config, safetensors, gguf, gated, inferenceProviderMapping, siblings, cardData
    or, for a card of our own: id, task, summary and the other fields of `ModelCard`

An object or a list may be JSON in a text, and NaN is what is not known, as tables without nested columns have
them. All is told as the Hub states it; what is guessed is the task of a model that has none (`inferred`).
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from pydantic import ValidationError

from hugginggpt.index import cleaning, front_matter
from hugginggpt.index.front_matter import Facts, words
from hugginggpt.index.inference import Evidence, other_tag, task_of
from hugginggpt.index.languages import LANGUAGES, language_codes, language_names
from hugginggpt.index.visible import plain
from hugginggpt.index.wishes import WISHES
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.tasks import TASKS

Row = Mapping[str, Any]

COLUMNS = frozenset(ModelCard.model_fields) | {
    *(
        "id",
        "modelId",
        "pipeline_tag",
        "card",
        "tags",
        "downloads",
        "likes",
        "license",
        "library_name",
        "sha",
    ),
    *("lastModified", "last_modified", "config", "safetensors", "gguf", "gated", "inferenceProviderMapping"),
    *("siblings", "cardData"),
}
"""The columns that are read."""

_NESTED: dict[str, type | tuple[type, ...]] = {
    "cardData": Mapping,
    "config": Mapping,
    "gguf": Mapping,
    "inferenceProviderMapping": (Mapping, list),
    "safetensors": Mapping,
    "siblings": list,
    "tags": list,
}

# Both become parts of paths where models are downloaded to.
_ID = re.compile(r"(?!\.+(?:/|$))[\w.-]+(?:/(?!\.+$)[\w.-]+)?")
_OPEN = (None, False, "", "False", "false")  # of `gated`; tables of text have words for it
_MILLISECONDS = 1e11  # since 1970; so many seconds are the year 5138
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_QUANTISED = re.compile(
    r"[-_.](?:i1-)?(?:gguf|gptq|awq|exl[23]|mlx|[48]-?bit|bnb|int[48]|fp8|w4a16|ggml|nf4)\b", re.IGNORECASE
)
_CODED = re.compile(r"\b((?:source|target) language(?:s|\(s\))?): ([a-zA-Z_, ]+)")
_TECHNICAL = re.compile(
    r".*:|.*(?:compatible|deployable)$|(?:pytorch|tf|jax|rust|onnx|safetensors|gguf|coreml|openvino|tensorboard|model-index|"
    r"generated.from\w+|.*_com?patible|bert|gpt2|unk|multilingual|text2text-generation|conversational|endpoints\w+|merge|text-generation-inference|has_space|transformers|diffusers|peft|custom_code|lora|adapter)$"
)


class RowError(ValueError):
    """A row is no model; the message says why."""


def card_of(row: Row) -> ModelCard | None:
    """The model of a row; None where its task cannot be told. Raises `RowError`."""
    row = {column: value for column, value in row.items() if value == value}  # noqa: PLR0124, drops NaN
    id_ = row.get("id") or row.get("modelId")
    if not isinstance(id_, str) or not _ID.fullmatch(id_):
        raise RowError(f"id: {str(id_ or '')[:80]!r} is not the id of a model, like owner/name")
    if "task" in row and "pipeline_tag" not in row:
        return _own(row)
    try:
        return _card(id_, {**row, **{column: _nested(row, column) for column in _NESTED}})
    except ValidationError as error:
        raise RowError(_first(error)) from error
    except RowError as error:
        raise RowError(f"{id_}: {error}") from error
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise RowError(f"{id_}: a column has not the type that it should ({error})") from error


def _nested(row: Row, column: str) -> Any:  # noqa: ANN401, what JSON can say
    """An object or a list, also where it is written as JSON, or tags as words with commas between them."""
    value = row.get(column)
    if isinstance(value, str) and value:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            if column == "tags":
                value = [word.strip(" '\"") for word in value.strip("[] ").split(",")]
    if value and not isinstance(value, _NESTED[column]):
        raise RowError(f"{column}: {str(value)[:80]!r} is not what the Hub has there, nor JSON of it")
    return value or None


def _own(row: Row) -> ModelCard:
    try:
        card = ModelCard.model_validate(row)
    except ValidationError as error:
        raise RowError(_first(error)) from error
    if card.task not in TASKS:
        card = _renamed(card)
    if card.revision and not _COMMIT.fullmatch(card.revision):
        raise RowError(f"revision: {card.revision[:80]!r} is not a commit")
    return card


def _renamed(card: ModelCard) -> ModelCard:
    """A card whose task is a tag of the Hub, an old one too. Raises `RowError` for any other word."""
    found = task_of(Evidence(stated=card.task, words=f"{card.id} {card.summary}"))
    if found is None or found[0] not in WISHES:
        raise RowError(
            f"task: {card.task[:80]} is not a task, nor a tag of the Hub; `hugginggpt tasks` lists the tasks"
        )
    told = {"task": found[0], "inferred": found[1], "tag": other_tag(card.task, found[0])}
    return card.model_copy(update=told)


def _card(id_: str, row: Row) -> ModelCard | None:
    card = row.get("card") or ""
    if not isinstance(card, str):
        raise RowError(f"card: {str(card)[:80]!r} is not the text of a README")
    stated, text = front_matter.split(card)
    stated = {**stated, **(row.get("cardData") or {})}
    tags = list(dict.fromkeys([*words(row, "tags"), *words(stated, "tags")]))
    config = row.get("config") or {}
    architecture = _architecture(config)
    library = (_text(row.get("library_name")) or _text(stated.get("library_name"))).lower()
    summary = cleaning.summarize(text, id_)
    own = {library, _text(config.get("model_type")), _text(row.get("pipeline_tag"))}
    tag = _text(row.get("pipeline_tag")) or _text(stated.get("pipeline_tag"))
    found = task_of(Evidence(tag, tags, architecture, library, f"{id_} {summary}"))
    if found is None:
        return None
    languages = language_codes(words(stated, "language") or tags)
    return ModelCard(
        id=id_,
        task=found[0],
        inferred=found[1],
        tag=other_tag(tag, found[0]),
        summary=_with_facts(summary, languages, [tag for tag in tags if tag not in own], stated)
        or f"{architecture or library or found[0]} model.",
        library=library,
        license=_license(row, tags, stated),
        languages=languages,
        parameters=_parameters(row),
        downloads=row.get("downloads"),
        likes=row.get("likes"),
        revision=_commit(row.get("sha")),
        gated=row.get("gated") not in _OPEN,
        updated=_day(row.get("lastModified") or row.get("last_modified")),
        architecture=architecture,
        base_model=_copied(id_, tags, stated),
        safetensors=_safetensors(row, tags),
        providers=_providers(row.get("inferenceProviderMapping")),
    )


def _commit(sha: object) -> str | None:
    """The commit of a row; a row without one is as good."""
    return sha if isinstance(sha, str) and _COMMIT.fullmatch(sha) else None


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, in words."""
    wrong = error.errors()[0]
    field = ".".join(map(str, wrong["loc"]))
    return f"{field + ': ' if field else ''}{wrong['msg']}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []


def _architecture(config: Mapping[str, Any]) -> str:
    architectures = config.get("architectures") or [(config.get("diffusers") or {}).get("_class_name")]
    return _text(architectures[0]) if isinstance(architectures, list) else ""


def _license(row: Row, tags: list[str], stated: Facts) -> str:
    """As the Hub writes it: the column, else the card's, else the tag."""
    tagged = next((tag[len("license:") :] for tag in tags if tag.startswith("license:")), "")
    return license_id(next(iter([*words(row, "license"), *words(stated, "license"), tagged])))


def license_id(written: str) -> str:
    """A licence as the Hub writes it: `apache-2.0` for `Apache 2.0`."""
    return re.sub(r"[^a-z0-9.+-]+", "-", written.strip().lower()).strip("-")


def _parameters(row: Row) -> int | None:
    """Counted in the files by the Hub; a name like `7B` is no count."""
    for column in ("safetensors", "gguf"):
        total = (row.get(column) or {}).get("total")
        if isinstance(total, int) and total > 0:
            return total
    return None


def _day(written: object) -> date | None:
    """Of a time, a day, a text that begins with it, or seconds or milliseconds since 1970."""
    if isinstance(written, datetime):
        return written.date()
    if isinstance(written, int | float):
        seconds = written / 1000 if written > _MILLISECONDS else written
        return datetime.fromtimestamp(seconds, UTC).date()
    if isinstance(written, str):
        return date.fromisoformat(written[:10])
    return written if isinstance(written, date) else None


def _copied(id_: str, tags: list[str], stated: Facts) -> str:
    """The model that this one is a quantised form of, by its tag, or by its name and what its card states."""
    for tag in tags:
        if tag.startswith("base_model:quantized:"):
            return tag.removeprefix("base_model:quantized:")
    bases = words(stated, "base_model")
    return bases[0] if len(bases) == 1 and _QUANTISED.search(id_) else ""


def _safetensors(row: Row, tags: list[str]) -> bool | None:
    if row.get("safetensors") or "safetensors" in tags:
        return True
    files = [_text(file.get("rfilename")) for file in _list(row.get("siblings"))]
    return any(name.endswith(".safetensors") for name in files) if files else None


def _providers(mapping: object) -> tuple[str, ...] | None:
    """Those that serve it now; the Hub gives an object by provider, or a list."""
    if isinstance(mapping, Mapping):
        mapping = [{"provider": name, **entry} for name, entry in mapping.items()]
    if not isinstance(mapping, list):
        return None
    return tuple(sorted({_text(entry["provider"]) for entry in mapping if entry.get("status") == "live"}))


def _with_facts(summary: str, card_languages: tuple[str, ...], tags: list[str], stated: Facts) -> str:
    """The summary and, where there is room, what the tags say and it does not."""
    data = words(stated, "datasets") or [tag[len("dataset:") :] for tag in tags if tag.startswith("dataset:")]
    facts = {
        "Languages": [LANGUAGES[code] for code in card_languages],
        "About": [tag for tag in tags if len(tag) > 3 and tag not in TASKS and not _TECHNICAL.match(tag)],
        "Data": data,
        "Based on": words(stated, "base_model"),
    }
    summary = _CODED.sub(lambda coded: f"{coded[1]}: {language_names(coded[2])}", summary)
    for label, values in facts.items():
        known = _spoken(summary)
        unsaid = ", ".join([value for value in values if _spoken(value) not in known][:8])
        if unsaid and len(said := f"{summary} {label}: {unsaid}.".strip()) <= cleaning.LONGEST:
            summary = said
    return plain(summary)


def _spoken(words: str) -> str:
    return words.lower().replace("-", " ").replace("_", " ")
