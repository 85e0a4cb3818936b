"""Where cards come from: JSONL files, one ModelCard a line."""

import hashlib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from hugginggpt.index.errors import CardError
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.tasks import TASKS

_STARTER = files("hugginggpt.index") / "starter.jsonl"


def read_cards(path: Path) -> Iterator[ModelCard]:
    """The cards of a JSONL file, line by line. Raises `CardError` that names the file and the line."""
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _card(line, f"{path}:{number}")
    except OSError as error:
        raise CardError(
            f"{path}: cannot be read ({error.strerror}); give a JSONL file of model cards"
        ) from error
    except UnicodeDecodeError as error:
        raise CardError(f"{path}: is not UTF-8 text; give a JSONL file of model cards") from error


def starter_cards() -> list[ModelCard]:
    """Well-known models for every task, and those that come inside packages."""
    lines = _STARTER.read_text(encoding="utf-8").splitlines()
    return [_card(line, f"starter.jsonl:{number}") for number, line in enumerate(lines, start=1)]


def starter_source() -> str:
    """`starter:` and a digest of the starter file, so that an index of an older one is recognised."""
    return f"starter:{hashlib.sha256(_STARTER.read_bytes()).hexdigest()[:12]}"


def _card(line: str, where: str) -> ModelCard:
    try:
        card = ModelCard.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise CardError(
            f"{where}: not a model card: {field + ': ' if field else ''}{first['msg']}"
        ) from error
    if card.task not in TASKS:
        raise CardError(f"{where}: {card.task} is not a task; `hugginggpt tasks` lists them")
    return card
