"""What this machine has for models: where they run, and how much memory is free for them."""

import functools
import re
from contextlib import suppress
from pathlib import Path

from hugginggpt.tools.recipe import Place

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


@functools.cache
def place() -> Place:
    """The accelerator if there is one, with 16-bit floats; else the CPU. Blocks: torch is imported."""
    import torch

    if torch.cuda.is_available():
        return Place("cuda", "bfloat16" if torch.cuda.is_bf16_supported() else "float16")
    if torch.backends.mps.is_available():
        return Place("mps", "float16")
    return Place("cpu", "float32")


@functools.cache
def default_memory(device: str = "cpu") -> int:
    """Bytes that models may take where nobody says: 60 % of what was free when this was first asked."""
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0] * _SHARE)
    return int(free_memory() * _SHARE)


def free_memory() -> int:
    """Bytes of main memory that are free for this process: on Linux also what its container leaves."""
    import psutil  # type: ignore[import-untyped]

    free = int(psutil.virtual_memory().available)
    with suppress(OSError, ValueError):  # no container, no limit ("max"), or another system
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text())
        free = min(free, limit - int((group / "memory.current").read_text()))
    return max(free, 0)
