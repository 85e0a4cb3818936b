"""Models are loaded without the progress bars that their libraries draw."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module


@contextmanager
def without_bars(library: str = "transformers") -> Iterator[None]:
    """No progress bars of transformers or diffusers meanwhile."""
    bars = import_module(f"{library}.utils.logging")
    drawn = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if drawn:
            bars.enable_progress_bar()
