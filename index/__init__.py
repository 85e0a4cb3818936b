"""Which models there are, and which fit a task."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hugginggpt.index.errors import (
        CardError,
        CorruptIndexError,
        IndexBuildError,
        ModelIndexError,
        NoIndexError,
        OtherEncoderError,
    )
    from hugginggpt.index.filters import Filters
    from hugginggpt.index.harvest import read_cards, starter_cards
    from hugginggpt.index.manifest import IndexInfo, index_info
    from hugginggpt.index.opening import (
        build_index,
        build_starter,
        ensure_index,
        open_index,
        open_with_own,
        own_encoder,
    )
    from hugginggpt.index.search import Hit, Index

__all__ = [
    "CardError",
    "CorruptIndexError",
    "Filters",
    "Hit",
    "Index",
    "IndexBuildError",
    "IndexInfo",
    "ModelIndexError",
    "NoIndexError",
    "OtherEncoderError",
    "build_index",
    "build_starter",
    "ensure_index",
    "index_info",
    "open_index",
    "open_with_own",
    "own_encoder",
    "read_cards",
    "starter_cards",
]

_MODULES = ("errors", "filters", "harvest", "manifest", "opening", "search")


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in __all__:
        for module in map(import_module, (f"{__name__}.{part}" for part in _MODULES)):
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
