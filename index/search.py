"""The index at work: open it, search it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import log10
from pathlib import Path
from threading import Lock

from hugginggpt.index import build, harvest, manifest
from hugginggpt.index.errors import CorruptIndexError, NoIndexError, OtherEncoderError
from hugginggpt.index.filters import Filters
from hugginggpt.index.manifest import IndexInfo
from hugginggpt.index.store import Store
from hugginggpt.index.vectors import Rows, Scores
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.encoder import Encoder

_POPULARITY_WEIGHT = 0.05
_MOST_DOWNLOADS = 1e8  # in 30 days: what the most loaded models of the Hub reach


@dataclass(frozen=True, slots=True)
class Hit:
    """A model that was found, and how well it fits: up to 1.05, see `Index.search`."""

    card: ModelCard
    score: float


class Index:
    """Which models there are, and which fit a request. Safe to use from threads; its methods block."""

    def __init__(self, store: Store, encoder: Encoder) -> None:
        self.store = store
        self.info = store.info
        self._vector = lru_cache(maxsize=1024)(lambda query: encoder.encode([query]))

    def prepare(self, query: str) -> None:
        """Embed a query ahead of its search, which is by far the longest part of it."""
        self._vector(query)

    def search(
        self,
        query: str,
        *,
        task: str | None = None,
        k: int = 10,
        accepts: Callable[[ModelCard], bool] | None = None,
    ) -> list[Hit]:
        """The `k` models that fit the query best, best first; fewer where fewer are accepted.

        Only models of `task` that `accepts` holds for. The score is the cosine of query and card plus
        0.05 x log10(1 + downloads) / 8: a model that everybody uses wins over one that nobody does where
        their words fit about equally well. Equal scores are ordered by id.
        """
        # Popularity moves a model up by as much as other words would: more is looked at than is asked for.
        looked_at = max(200, 10 * k)
        rows, cosines = self.store.nearest(self._vector(query)[0], looked_at, Filters(task=task), accepts)
        return self._ranked(rows, cosines)[:k]

    def cards(self, task: str) -> list[ModelCard]:
        """All models of a task, by id."""
        return self.store.cards(task)

    def card(self, model_id: str) -> ModelCard | None:
        """The model of that id, if the index has it."""
        return self.store.card(model_id)

    def _ranked(self, rows: Rows, cosines: Scores) -> list[Hit]:
        cards = self.store.rows(rows)
        hits = [
            # Rounded, so that the last bits of a sum, which depend on the processor, decide nothing.
            Hit(card, round(float(cosine) + _POPULARITY_WEIGHT * _popularity(card), 5))
            for card, cosine in zip(cards, cosines, strict=True)
        ]
        return sorted(hits, key=lambda hit: (-hit.score, hit.card.id))


def _popularity(card: ModelCard) -> float:
    """0 for a model that nobody loads or whose downloads are not known, 1 for the most loaded ones."""
    return min(1.0, log10(1 + (card.downloads or 0)) / log10(_MOST_DOWNLOADS))


def build_index(
    folder: Path, cards: Iterable[ModelCard], encoder: Encoder, progress: build.Progress | None = None
) -> Index:
    """Build an index of the cards in that folder, switch to it, and open it. Raises `IndexBuildError`."""
    with build.lock(folder):
        build.build(folder, cards, encoder, "custom", progress)
        return open_index(folder, encoder)


def build_starter(folder: Path, encoder: Encoder, progress: build.Progress | None = None) -> Index:
    """Build the index of the models that come listed with this package. Raises `IndexBuildError`."""
    with build.lock(folder):
        build.build(folder, harvest.starter_cards(), encoder, harvest.starter_source(), progress)
        return open_index(folder, encoder)


def open_index(folder: Path, encoder: Encoder) -> Index:
    """The index in use. Raises `NoIndexError`, `CorruptIndexError` or `OtherEncoderError`."""
    info = manifest.index_info(folder)
    try:
        return _open(folder, info, encoder)
    except CorruptIndexError:
        # Another process may have switched to a new index, and removed the old files, in between.
        if (now := manifest.index_info(folder)) == info:
            raise
        return _open(folder, now, encoder)


def _open(folder: Path, info: IndexInfo, encoder: Encoder) -> Index:
    manifest.verify(folder, info, encoder)
    return Index(Store(folder, info), encoder)


_lock = Lock()
_opened: dict[tuple[Path, str, str], tuple[int, Index]] = {}


def ensure_index(folder: Path, encoder: Encoder) -> Index:
    """The index in use, opened once per process; again when another process has built a new one.

    Where there is none, the starter index is built, and so it is where a starter index is damaged, out of
    date or of another encoder. Raises `ModelIndexError` where an index that somebody made is unusable.
    """
    key = (folder.resolve(), encoder.id, encoder.revision)
    with _lock:
        known = _opened.get(key)
        if known and known[0] == _stamp(folder):
            return known[1]
        index = _ensure(folder, encoder)
        _opened[key] = (_stamp(folder), index)
        return index


def _stamp(folder: Path) -> int:
    path = folder / manifest.NAME
    return path.stat().st_mtime_ns if path.exists() else 0


def _ensure(folder: Path, encoder: Encoder) -> Index:
    if index := _usable(folder, encoder):
        return index
    with build.lock(folder):
        if index := _usable(folder, encoder):  # made by another process while this one waited
            return index
        build.build(folder, harvest.starter_cards(), encoder, harvest.starter_source(), None)
        return open_index(folder, encoder)


def _usable(folder: Path, encoder: Encoder) -> Index | None:
    """The index in use; None where the starter index has to be built."""
    try:
        index = open_index(folder, encoder)
    except NoIndexError:
        return None
    except (CorruptIndexError, OtherEncoderError):
        if manifest.only_starter(folder):
            return None
        raise
    outdated = index.info.source.startswith("starter:") and index.info.source != harvest.starter_source()
    return None if outdated else index
