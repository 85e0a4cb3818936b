"""The files of a model on this machine: which may be downloaded and loaded, and the memory that they take.

Only safetensors are loaded, code that comes with a model never runs, a download stays at one commit, and all
is checked before weights are downloaded. Everything here blocks.
"""

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.downloads import Progress, download, gated, model_info, note_commit, snapshot
from hugginggpt.tools.machine import check_fits, size_text
from hugginggpt.tools.recipe import Place, Recipe
from hugginggpt.tools.runtime import PermanentError

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

_SPARE = 10**9  # bytes of the disk that a download leaves free
_SHARDED = re.compile(r"(.*)-\d{5}-of-\d{5}(\.safetensors)")
_BITS = re.compile(r"[A-Z]+(\d+)")  # of a safetensors dtype: F32, BF16, F8_E4M3, I64
_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})  # what is loaded in the precision of the place
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.msgpack", "*.h5")


@dataclass(frozen=True, slots=True)
class Limits:
    """`max_download` is the largest download in bytes, 0 for none; `memory` what all models may take."""

    max_download: int
    memory: int


def cached(card: ModelCard, recipe: Recipe) -> Path | None:
    """The folder of the model, where all of it is on this machine at the card's commit. Reads no weights."""
    if Path(card.id).is_absolute():
        return Path(card.id) if Path(card.id).is_dir() else None
    folder = snapshot(card.id, card.revision or "main")
    return folder if _is_whole(folder, recipe) else None


def fetch(card: ModelCard, recipe: Recipe, place: Place, limits: Limits, progress: Progress) -> Path:
    """The folder of the model's files, downloaded where they are not here, and checked.

    Raises `PermanentError` where the model must not be loaded here, `TransientError` where the network broke.
    """
    folder = cached(card, recipe) or _download(card, recipe, place, limits, progress)
    if not weights(folder, recipe):
        raise _no_safetensors(path.name for path in folder.iterdir())
    check_architecture(card, recipe, folder)
    return folder


def weights(folder: Path, recipe: Recipe) -> list[Path]:
    """The safetensors files of a model that its recipe loads."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.safetensors")]
    return [folder / name for name in _chosen(names, recipe)]


def memory(folder: Path, recipe: Recipe, place: Place) -> int:
    """Bytes that the weights take when they are loaded: by the headers of their files. None is loaded.

    Raises `PermanentError` where a file is broken.
    """
    from huggingface_hub import get_local_safetensors_metadata
    from huggingface_hub.errors import SafetensorsParsingError

    try:
        counts = [get_local_safetensors_metadata(path).parameter_count for path in weights(folder, recipe)]
    except (SafetensorsParsingError, ValueError) as error:
        raise PermanentError("broken-weights", f"has weights that cannot be read: {error}") from error
    return sum(_bytes(count, place) for count in counts)


def _bytes(numbers: Mapping[Any, int], place: Place) -> int:
    """Of so many numbers per safetensors dtype."""
    total = 0
    for dtype, count in numbers.items():
        bits = _BITS.match(dtype)
        kept = max(int(bits[1]), 8) // 8 if bits else 1
        total += count * (place.width if dtype in _FLOATS else kept)
    return total


def check_architecture(card: ModelCard, recipe: Recipe, folder: Path) -> None:
    """Raises `PermanentError` unless the library itself has the model's class, and has it for the task."""
    config = _config(folder)
    stated = [str(config["_class_name"])] if "_class_name" in config else config.get("architectures") or []
    if recipe.architectures().isdisjoint(stated):
        what = ", ".join(stated) or "of no stated class"
        raise PermanentError("architecture", f"is {what}, which is not run for {card.task} here")
    if how := config.get("quantization_config"):
        raise PermanentError(
            "quantised", f"is quantised ({how.get('quant_method')}), which is not loaded here"
        )
    for part in config.values() if (folder / "model_index.json").is_file() else ():
        if isinstance(part, list) and part and part[0] not in {"diffusers", "transformers", None}:
            raise PermanentError("unsafe-code", f"needs code of its own ({part[0]}), which is never run")
    recipe.check(folder)


def _config(folder: Path) -> dict[str, Any]:
    """What says which class a model is of: of a pipeline of diffusers, or of a model of transformers."""
    paths = (folder / "model_index.json", folder / "config.json")
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise PermanentError("unknown-model", "has no config.json that says what it is")
    try:
        config: dict[str, Any] = dict(json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError) as error:
        raise PermanentError("unknown-model", f"has a {path.name} that cannot be read") from error
    return config


def _download(card: ModelCard, recipe: Recipe, place: Place, limits: Limits, progress: Progress) -> Path:
    _check_allowed(card, limits)
    info = model_info(card.id, card.revision)
    if info.gated:
        _check_gate(card)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    names = _chosen(sizes, recipe)
    large = {name: sizes[name] for name in names if name.endswith(".safetensors")}
    small = {name: sizes[name] for name in names if name not in large}
    if not large:
        raise _no_safetensors(sizes)
    _check_room(sum(sizes[name] for name in names), limits)
    commit = info.sha or card.revision or "main"
    folder = download(card.id, commit, small, lambda *_: None)
    check_architecture(card, recipe, folder)
    check_fits(_expected(info, sum(large.values()), place), limits.memory)
    folder = download(card.id, commit, large, progress)
    if card.revision != commit:
        note_commit(card.id, card.revision or "main", commit)
    return folder


def _check_allowed(card: ModelCard, limits: Limits) -> None:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise PermanentError("not-here", "is not on this machine, and HF_HUB_OFFLINE is set")
    if not limits.max_download:
        raise PermanentError("not-here", "is not on this machine, and nothing is downloaded (--max-download)")
    if card.safetensors is False:
        raise PermanentError("unsafe-weights", "has no safetensors weights; no others are loaded")
    if card.gated:
        _check_gate(card)


def _check_gate(card: ModelCard) -> None:
    from huggingface_hub import get_token

    if not get_token():
        raise gated(card.id)


def _check_room(size: int, limits: Limits) -> None:
    from huggingface_hub import constants

    if size > limits.max_download:
        most = size_text(limits.max_download)
        raise PermanentError(
            "too-large", f"is a download of {size_text(size)}; at most {most} are (--max-download)"
        )
    cache = Path(constants.HF_HUB_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free
    if size + _SPARE > free:
        left = f"{cache} has {size_text(free)} left, of which {size_text(_SPARE)} stay free"
        raise PermanentError("disk-full", f"is a download of {size_text(size)}, and {left}")


def _expected(info: "ModelInfo", size: int, place: Place) -> int:
    """Bytes in memory, by what the Hub says of the weights, else as many as their files have."""
    return _bytes(info.safetensors.parameters, place) if info.safetensors else size


def _no_safetensors(names: Iterable[str]) -> PermanentError:
    pickled = any(fnmatchcase(name, pattern) for name in names for pattern in _PICKLES)
    what = (
        "has weights that are pickles, which can run any code" if pickled else "has no weights that are known"
    )
    return PermanentError("unsafe-weights", f"{what}; only safetensors are loaded")


def _is_whole(folder: Path, recipe: Recipe) -> bool:
    """Whether no file is missing that its own indexes name. A folder that is not there is not."""
    parts = [folder]
    index = folder / "model_index.json"
    if index.is_file():
        listed = json.loads(index.read_text("utf-8"))
        parts = [folder / name for name, part in listed.items() if isinstance(part, list) and part[0]]
    elif not (folder / "config.json").is_file():
        return False
    # Schedulers, tokenizers and processors have a configuration of another name, and no weights.
    models = [part for part in parts if (part / "config.json").is_file()]
    return (
        all(part.is_dir() for part in parts)
        and all(map(_has_weights, models))
        and bool(weights(folder, recipe))
    )


def _has_weights(part: Path) -> bool:
    indexes = [*part.glob("*.safetensors.index.json")]
    named = [file for path in indexes for file in json.loads(path.read_text("utf-8"))["weight_map"].values()]
    single = any(not _SHARDED.fullmatch(path.name) for path in part.glob("*.safetensors"))
    return single or bool(named and all((part / file).is_file() for file in named))


def _chosen(names: Iterable[str], recipe: Recipe) -> list[str]:
    """The files that a recipe loads: those of its patterns, without shards of what is there in one file."""
    fitting = {name for name in names if any(_fits(name, pattern) for pattern in recipe.files)}
    return sorted(n for n in fitting if (whole := _SHARDED.sub(r"\1\2", n)) == n or whole not in fitting)


def _fits(name: str, pattern: str) -> bool:
    parts, patterns = PurePosixPath(name).parts, PurePosixPath(pattern).parts
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))
