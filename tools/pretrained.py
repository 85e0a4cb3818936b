"""Models of transformers: loaded safely and whole, and texts cut to what they read at once."""

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hugginggpt.tools import sentences
from hugginggpt.tools.recipe import Place
from hugginggpt.tools.runtime import PermanentError

AUTO = "transformers.models.auto.modeling_auto"
"""Where transformers lists its classes by task, for `recipe.names`."""

_WINDOW = 512  # tokens that a model reads at once, where nothing says it


def load_model(auto: str, folder: Path, place: Place) -> Any:  # noqa: ANN401, of a hundred classes
    """The model in a folder, by the name of an auto class. Raises `PermanentError` where weights are missing.

    transformers would put random numbers in place of missing weights, and the model would talk nonsense.
    """
    import transformers

    model, found = getattr(transformers, auto).from_pretrained(
        folder, output_loading_info=True, **place.safely
    )
    if missing := sorted(found["missing_keys"]):
        raise PermanentError("incomplete", f"lacks {len(missing)} of its weights, e.g. {missing[0]}")
    return model.to(place.device).eval()


def load_tokenizer(folder: Path, model: Any, **options: Any) -> Any:  # noqa: ANN401
    """The tokenizer in a folder; it says how many tokens the model reads at once, as `model_max_length`."""
    from transformers import AutoTokenizer

    warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")  # for punctuation only
    tokenizer = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False, **options
    )
    tokenizer.model_max_length = int(min(_positions(model), tokenizer.model_max_length))
    return tokenizer


def _positions(model: Any) -> float:  # noqa: ANN401
    """Tokens that a model has positions for; infinity where they are relative and nobody says."""
    config = model.config.get_text_config()
    stated = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    if not stated:
        return math.inf if getattr(config, "model_type", "") in {"t5", "mt5", "umt5"} else _WINDOW
    # RoBERTa and its like begin to count behind the position of padding.
    tables = (m for name, m in model.named_modules() if name.endswith("position_embeddings"))
    behind = max(
        (table.padding_idx + 1 for table in tables if getattr(table, "padding_idx", None)), default=0
    )
    return int(stated) - behind


def parts(text: str, length: Callable[[str], int], room: int) -> list[str]:
    """The text in as few parts of whole sentences as its model can read, each of `room` tokens at most.

    A sentence that is longer by itself is cut between words, a word between letters.
    """
    # No tokenizer makes more tokens than bytes, and a few for the ends.
    if len(text.encode()) + 4 <= room or length(text) <= room:
        return [text] if text.strip() else []
    found: list[str] = []
    size = room + 1
    for sentence in _sentences(text, length, room):
        more = length(sentence)
        if size + more > room:
            found.append(sentence)
            size = more
        else:
            found[-1] += f" {sentence}"
            size += more
    return found


def _sentences(text: str, length: Callable[[str], int], room: int) -> list[str]:
    found: list[str] = []
    for sentence in sentences.split(text):
        todo = [sentence]
        while todo:
            piece = todo.pop()
            if length(piece) <= room or len(piece) < 2:
                found.append(piece)
                continue
            middle = piece.rfind(" ", 1, len(piece) // 2 + 1)
            middle = middle if middle > 0 else len(piece) // 2
            todo += [piece[middle:].strip(), piece[:middle].strip()]
    return [piece for piece in found if piece]


def need(text: str, what: str) -> str:
    """The text. Raises `PermanentError` where it is empty."""
    if not text.strip():
        raise PermanentError("empty-text", f"the {what} is empty")
    return text
