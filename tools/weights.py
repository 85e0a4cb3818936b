"""The files of a model on this machine: what may be downloaded and loaded, and the memory that it takes.

Only safetensors are loaded, code that comes with a model never runs, a download stays at one commit, and all
is checked before weights are downloaded. Files are where huggingface_hub keeps them, so that other programs
share them. Everything here blocks.
"""

import json
import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.faults import run_error
from hugginggpt.tools.recipe import Place, Recipe
from hugginggpt.tools.runtime import PermanentError

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

_T = TypeVar("_T")

_TIMEOUT = 10.0  # seconds for the Hub's word on a model
_PAUSE = 30.0  # seconds for which a Hub that could not be reached is not asked again
_SPARE = 1 << 30  # bytes of the disk that a download leaves free
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHARDED = re.compile(r"(.*)-\d{5}-of-\d{5}(\.safetensors)")
_BITS = re.compile(r"[A-Z]+(\d+)")  # of a safetensors dtype: F32, BF16, F8_E4M3, I64
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.msgpack", "*.h5")
_WIDTH = {"float32": 4, "bfloat16": 2, "float16": 2}

Progress = Callable[[int, int], None]
"""Is told how many bytes of the weights are here, and how many there are."""

_unreachable: dict[str, float] = {}
"""Address of a Hub that could not be reached, and when it may be asked again."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`max_download` is the largest download in bytes, 0 for none; `memory` what all models may take."""

    max_download: int
    memory: int


def cached(card: ModelCard, recipe: Recipe) -> Path | None:
    """The folder of the model, where all of it is on this machine at the card's commit. Reads names alone."""
    folder = Path(card.id)
    if folder.is_absolute():
        return folder if folder.is_dir() else None
    from huggingface_hub import constants

    repository = Path(constants.HF_HUB_CACHE, f"models--{card.id.replace('/', '--')}")
    commit = card.revision or "main"
    if not _COMMIT.fullmatch(commit):
        reference = repository / "refs" / commit
        commit = reference.read_text() if reference.is_file() else ""
    folder = repository / "snapshots" / commit
    return folder if commit and _is_whole(folder, recipe) else None


def fetch(card: ModelCard, recipe: Recipe, place: Place, limits: Limits, progress: Progress) -> Path:
    """The folder of the model's files, downloaded where they are not here, and checked.

    Raises `PermanentError` where the model must not be loaded here, `TransientError` where the network broke.
    """
    folder = cached(card, recipe) or _download(card, recipe, place, limits, progress)
    if not weights(folder, recipe):
        raise _no_safetensors(card, (path.name for path in folder.iterdir()))
    check_architecture(card, recipe, folder)
    return folder


def weights(folder: Path, recipe: Recipe) -> list[Path]:
    """The safetensors files of a model that its recipe loads."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.safetensors")]
    return [folder / name for name in _chosen(names, recipe)]


def memory(folder: Path, recipe: Recipe, place: Place) -> int:
    """Bytes that the weights take when they are loaded: by the headers of their files, none is loaded."""
    from huggingface_hub import get_local_safetensors_metadata

    counts = [get_local_safetensors_metadata(path).parameter_count for path in weights(folder, recipe)]
    return sum(_bytes(count, place) for count in counts)


def _bytes(numbers: Mapping[Any, int], place: Place) -> int:
    """Of so many numbers per safetensors dtype. Floats take the precision of the place."""
    total = 0
    for dtype, count in numbers.items():
        bits = _BITS.match(dtype)
        floats = dtype in {"F64", "F32", "F16", "BF16"}
        total += count * (_WIDTH[place.dtype] if floats else max(int(bits[1]) if bits else 8, 8) // 8)
    return total


def check_fits(card: ModelCard, size: int, limits: Limits) -> None:
    """Raises `PermanentError` where a model takes more memory than all models may."""
    if size > limits.memory:
        needs, has = _size(size), _size(limits.memory)
        raise PermanentError(
            "too-large", f"{card.id} takes {needs} of memory; models may take {has} (--memory)"
        )


def check_architecture(card: ModelCard, recipe: Recipe, folder: Path) -> None:
    """Raises `PermanentError` unless transformers or diffusers itself has the model's class for the task."""
    allowed = recipe.architectures()
    for name in ("model_index.json", "config.json"):
        if (folder / name).is_file():
            break
    else:
        raise PermanentError("unknown-model", f"{card.id} has no config.json that says what it is")
    config = _json(card, folder / name)
    stated = [config["_class_name"]] if "_class_name" in config else config.get("architectures") or []
    if not allowed & {*map(str, stated)}:
        what = ", ".join(map(str, stated)) or "a model of no stated class"
        raise PermanentError("architecture", f"{card.id} is {what}, which is not loaded for {card.task} here")
    for part in config.values() if name == "model_index.json" else ():
        library = part[0] if isinstance(part, list) and part else "diffusers"
        if library not in {"diffusers", "transformers", None}:
            raise PermanentError(
                "unsafe-code", f"{card.id} needs code of its own ({library}), which is not run"
            )


def _json(card: ModelCard, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise PermanentError("unknown-model", f"{card.id}: its {path.name} is not JSON") from error
    return value if isinstance(value, dict) else {}


def _download(card: ModelCard, recipe: Recipe, place: Place, limits: Limits, progress: Progress) -> Path:
    from huggingface_hub import HfApi

    _check_allowed(card, limits)
    asking = partial(
        HfApi().model_info, card.id, revision=card.revision, files_metadata=True, timeout=_TIMEOUT
    )
    info = _asked(card, asking)
    if info.gated:
        _check_gate(card)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    names = _chosen(sizes, recipe)
    large = {name: sizes[name] for name in names if name.endswith(".safetensors")}
    small = {name: sizes[name] for name in names if name not in large}
    if not large:
        raise _no_safetensors(card, sizes)
    _check_room(card, sum(sizes[name] for name in names), limits)
    commit = info.sha or card.revision or "main"
    folder = _files(card, commit, small, _Count(sum(small.values()), lambda *_: None))
    check_architecture(card, recipe, folder)
    check_fits(card, _expected(info, sum(large.values()), place), limits)
    return _files(card, commit, large, _Count(sum(large.values()), progress))


def _check_allowed(card: ModelCard, limits: Limits) -> None:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise PermanentError("not-here", f"{card.id} is not on this machine, and HF_HUB_OFFLINE is set")
    if not limits.max_download:
        raise PermanentError("not-here", f"{card.id} is not on this machine, and --max-download is 0")
    if card.safetensors is False:
        raise _no_safetensors(card, ["*.bin"])
    if card.gated:
        _check_gate(card)


def _check_gate(card: ModelCard) -> None:
    from huggingface_hub import get_token

    if not get_token():
        raise _gated(card)


def _gated(card: ModelCard) -> PermanentError:
    todo = f"accept its licence at hf.co/{card.id} and set HF_TOKEN"
    return PermanentError("gated", f"{card.id} is only for accounts that accepted its licence: {todo}")


def _check_room(card: ModelCard, size: int, limits: Limits) -> None:
    from huggingface_hub import constants

    if size > limits.max_download:
        most = _size(limits.max_download)
        raise PermanentError(
            "too-large", f"{card.id} is a download of {_size(size)}; at most {most} (--max-download)"
        )
    cache = Path(constants.HF_HUB_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free
    if size + _SPARE > free:
        raise PermanentError(
            "disk-full", f"{card.id} is a download of {_size(size)}, and {cache} has {_size(free)} left"
        )


def _expected(info: "ModelInfo", size: int, place: Place) -> int:
    """Bytes in memory, by what the Hub says of the weights; as many as their files have where it does not."""
    stated = info.safetensors.parameters if info.safetensors else None
    return min(_bytes(stated, place), size * 2) if stated else size


class _Count:
    """The bytes that are here, of all that there will be."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._done, self._total, self._progress = 0, total, progress

    @property
    def done(self) -> int:
        return self._done

    @done.setter
    def done(self, done: int) -> None:
        self._done = done
        self._progress(done, self._total)


def _files(card: ModelCard, commit: str, sizes: dict[str, int], count: _Count) -> Path:
    """Downloads these files one by one; one that is here already is left out.

    Where a connection breaks, huggingface_hub itself goes on at that byte, a few times.
    """
    from huggingface_hub import constants, hf_hub_download

    bar = _bar(count)
    for name, size in sizes.items():
        before = count.done
        _asked(
            card,
            partial(hf_hub_download, card.id, name, revision=commit, tqdm_class=bar, etag_timeout=_TIMEOUT),
        )
        count.done = before + size
    return Path(constants.HF_HUB_CACHE, f"models--{card.id.replace('/', '--')}", "snapshots", commit)


def _bar(count: _Count) -> type[Any]:
    """A progress bar, as huggingface_hub uses one, that draws nothing and counts."""

    class Bar:
        def __init__(self, **_: object) -> None: ...

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *_: object) -> None: ...

        def close(self) -> None: ...

        def update(self, more: int) -> None:
            count.done += more

        def update_transfer(self, more: int) -> None:
            """Bytes on the wire; those that were written down are counted."""

        def set_postfix_str(self, *_: object, **__: object) -> None: ...

        def set_transfer_postfix_str(self, *_: object, **__: object) -> None: ...

    return Bar


def _asked(card: ModelCard, ask: Callable[[], _T]) -> _T:
    """What the Hub answers. Raises `RunError`: at once where it was not to be reached a moment ago."""
    import httpx
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    if time.monotonic() < _unreachable.get(constants.ENDPOINT, 0.0):
        raise _no_hub(card)
    try:
        return ask()
    except GatedRepoError as error:
        raise _gated(card) from error
    except RepositoryNotFoundError as error:
        raise PermanentError("gone", f"{card.id} is not on the Hub, or not for this account") from error
    except (httpx.ConnectError, httpx.TimeoutException, LocalEntryNotFoundError) as error:
        _unreachable[constants.ENDPOINT] = time.monotonic() + _PAUSE
        raise _no_hub(card) from error
    except (httpx.HTTPError, OSError, ValueError) as error:
        raise run_error(error) from error


def _no_hub(card: ModelCard) -> PermanentError:
    from huggingface_hub import constants

    return PermanentError(
        "connection", f"{card.id} is not on this machine, and {constants.ENDPOINT} is not reached"
    )


def _no_safetensors(card: ModelCard, names: Iterable[str]) -> PermanentError:
    pickles = any(fnmatchcase(name, pattern) for name in names for pattern in _PICKLES)
    what = "its weights are pickles, which can run any code" if pickles else "it has no weights to load"
    return PermanentError("unsafe-weights", f"{card.id}: {what}; only safetensors are loaded")


def _is_whole(folder: Path, recipe: Recipe) -> bool:
    """Whether no file is missing that its own indexes name. A folder that is not there is not."""
    parts = [folder]
    index = folder / "model_index.json"
    if index.is_file():
        listed = json.loads(index.read_text("utf-8"))
        parts = [folder / name for name, part in listed.items() if isinstance(part, list) and part[0]]
        if not all(part.is_dir() for part in parts):
            return False
    elif not (folder / "config.json").is_file():
        return False
    # schedulers, tokenizers and processors have a configuration of another name, and no weights
    return all(_has_weights(part) for part in parts if (part / "config.json").is_file()) and bool(
        weights(folder, recipe)
    )


def _has_weights(part: Path) -> bool:
    indexes = [*part.glob("*.safetensors.index.json")]
    named = [file for path in indexes for file in json.loads(path.read_text("utf-8"))["weight_map"].values()]
    single = any(not _SHARDED.fullmatch(path.name) for path in part.glob("*.safetensors"))
    return single or bool(named and all((part / file).is_file() for file in named))


def _chosen(names: Iterable[str], recipe: Recipe) -> list[str]:
    """The files that a recipe loads: those of its patterns, without shards of what is there in one file."""
    fitting = [name for name in names if any(_fits(name, pattern) for pattern in recipe.files)]
    return sorted(
        n for n in fitting if _SHARDED.sub(r"\1\2", n) == n or _SHARDED.sub(r"\1\2", n) not in fitting
    )


def _fits(name: str, pattern: str) -> bool:
    parts, patterns = PurePosixPath(name).parts, PurePosixPath(pattern).parts
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


def _size(size: int) -> str:
    """`438 MB`, `1.3 GB`."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.{1 if size < 1e7 else 0}f} MB"
