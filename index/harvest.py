"""Where cards come from: JSONL files, a model a line."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from hugginggpt.index.errors import CardError
from hugginggpt.index.rows import RowError, card_of
from hugginggpt.tools.card import ModelCard

_STARTER = files("hugginggpt.index") / "starter.jsonl"


def read_cards(path: Path) -> Iterator[ModelCard]:
    """The cards of a JSONL file, also a compressed one (`.gz`): rows as `rows.py` tells.

    Models for no task of ours are left out. Raises `CardError` that names the file and the line.
    """
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8") as lines
        ):
            for number, line in enumerate(lines, start=1):
                if line.strip() and (card := _card(line, f"{path}:{number}")):
                    yield card
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CardError(f"{path}: cannot be read ({reason}); give a JSONL file of models") from error
    except UnicodeDecodeError as error:
        raise CardError(f"{path}: is not UTF-8 text; give a JSONL file of models") from error


def starter_cards() -> list[ModelCard]:
    """Well-known models for every task, and those that come inside packages."""
    lines = _STARTER.read_text(encoding="utf-8").splitlines()
    return [ModelCard.model_validate_json(line) for line in lines]


def starter_source() -> str:
    """`starter:` and a digest of the starter file, so that an index of an older one is recognised."""
    return f"starter:{hashlib.sha256(_STARTER.read_bytes()).hexdigest()[:12]}"


def _card(line: str, where: str) -> ModelCard | None:
    try:
        row = json.loads(line)
        if not isinstance(row, dict):
            raise RowError("not an object of JSON")
        return card_of(row)
    except ValueError as error:
        raise CardError(f"{where}: not a model card: {error}") from error
