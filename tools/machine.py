"""What this machine has for models: where they run, and how much memory is free for them."""

import functools
import re
import sys
from contextlib import suppress
from pathlib import Path

from hugginggpt.tools.recipe import Place
from hugginggpt.tools.runtime import PermanentError

_SHARE = 0.6  # of the free memory: the rest is for what models work with, and for other programs
_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS |= {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?b?)")


def parse_size(text: str) -> int:
    """Bytes of `8GB`, `512 MiB`, `0` or `2000000`. Raises `ValueError`."""
    match = _SIZE.fullmatch(text.strip().lower())
    unit = match[2] + ("b" if match and match[2] and not match[2].endswith("b") else "") if match else ""
    if not match or unit not in {*_UNITS, "b"}:
        raise ValueError(f"{text!r} is not a size; write it as 8GB or 512MB")
    return round(float(match[1]) * _UNITS.get(unit, 1))


def size_text(size: int) -> str:
    """`438 MB`, `1.3 GB`."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.{1 if size < 1e7 else 0}f} MB"


def check_fits(size: int, memory: int) -> None:
    """Raises `PermanentError` where a model of that many bytes is larger than what all models may take."""
    if size > memory:
        needs, has = size_text(size), size_text(memory)
        raise PermanentError("too-large", f"takes {needs} of memory; models may take {has} (--memory)")


@functools.cache
def place() -> Place:
    """The accelerator if there is one, with 16-bit floats; else the CPU. Blocks: torch is imported."""
    import torch

    if torch.cuda.is_available():
        return Place("cuda", "bfloat16" if torch.cuda.is_bf16_supported() else "float16")
    if torch.backends.mps.is_available():
        return Place("mps", "float16")
    return Place("cpu", "float32")


def likely_width() -> int:
    """Bytes of a loaded number, guessed where torch is not loaded yet: an accelerator has 16-bit floats."""
    if "torch" in sys.modules:
        return place().width
    return 2 if Path("/dev/nvidia0").exists() or sys.platform == "darwin" else 4


def default_memory() -> int:
    """Bytes that models may take where nobody says: 60 % of what was free when this was first asked.

    Of the graphics card's memory, once torch is loaded and has found one; of main memory else.
    """
    return _default_memory(cuda="torch" in sys.modules and place().device == "cuda")


@functools.cache
def _default_memory(*, cuda: bool) -> int:
    if not cuda:
        return int(free_memory() * _SHARE)
    import torch

    return int(torch.cuda.mem_get_info()[0] * _SHARE)


def free_memory() -> int:
    """Bytes of main memory that are free for this process: on Linux also what its container leaves."""
    import psutil  # type: ignore[import-untyped]

    free = int(psutil.virtual_memory().available)
    with suppress(OSError, ValueError):  # no container, no limit ("max"), or another system
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text())
        free = min(free, limit - int((group / "memory.current").read_text()))
    return max(free, 0)
