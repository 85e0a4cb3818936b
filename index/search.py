"""The index at work: open it, search it."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from itertools import islice
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from hugginggpt.index import build, folding, harvest, manifest, ranking, wishes, write
from hugginggpt.index.errors import CorruptIndexError, ModelIndexError, NoIndexError, OtherEncoderError
from hugginggpt.index.filters import EVERYTHING, Filters
from hugginggpt.index.manifest import IndexInfo
from hugginggpt.index.store import Store
from hugginggpt.index.vectors import Rows, Scores
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.encoder import Encoder, EncoderError, load_encoder

_LOOKED_AT = 100
"""Models that are found by meaning, and as many by words, before they are ranked."""
_MOST_LOOKED_AT = 50_000
_BATCH = 30
"""Models that are ranked before the first is shown; more where folding leaves too few of them."""
_MOST_RANKED = 1000
_REMEMBERED = 1024  # vectors of queries


@dataclass(frozen=True, slots=True)
class Hit:
    """A model that was found, and how well it fits: the formula of ranking.py."""

    card: ModelCard
    score: float


class Index:
    """Which models there are, and which fit a request. Safe to use from threads; its methods block."""

    def __init__(self, store: Store, encoder: Encoder) -> None:
        self.store = store
        self.info = store.info
        self._today = date.fromisoformat(self.info.created[:10])
        self._encoder = encoder
        self._vectors: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._wishes = store.wishes()
        self._lock, self._wishing = Lock(), Lock()

    def prepare(self, *queries: str) -> None:
        """Embed queries ahead of their searches, which is by far the longest part of them."""
        with self._lock:
            new = [query for query in dict.fromkeys(queries) if query not in self._vectors]
        for query, vector in zip(new, self._encoder.encode(new) if new else (), strict=True):
            self._remember(query, vector)

    def search(
        self,
        query: str,
        *,
        task: str | None = None,
        k: int = 10,
        accepts: Callable[[ModelCard], bool] | None = None,
        filters: Filters = EVERYTHING,
        merit: Callable[[str], float] | None = None,
    ) -> list[Hit]:
        """The `k` models that fit the query best, best first; fewer where fewer are accepted.

        Only models that pass `filters`, are of `task`, and that `accepts` holds for. They are found by
        meaning and by words and ranked by the formula of ranking.py, for which `merit` tells of a model's id
        how well it has done so far, -1 to 1. Copies are folded into one, and nobody has more than two of the
        first five while there is somebody else (folding.py). Equal scores are ordered by id.
        """
        where = replace(filters, task=task or filters.task)
        spoken = ranking.languages_of(query)
        scores: dict[str, float] = {}
        kept: list[ModelCard] = []
        for found in self._found(query, where, max(_BATCH, 3 * k), accepts or (lambda _: True)):
            scores = {
                card.id: ranking.score(relevance, card, spoken, merit(card.id) if merit else 0.0)
                for card, relevance in found
            }
            ranked = sorted((card for card, _ in found), key=lambda card: (-scores[card.id], card.id))
            kept = folding.fold(ranked)
            if len(kept) >= k or len(found) >= _MOST_RANKED:
                break
        return [Hit(card, scores[card.id]) for card in folding.spread(kept, k)]

    def cards(self, task: str) -> list[ModelCard]:
        """All models of a task, by id."""
        return self.store.cards(task)

    def card(self, model_id: str) -> ModelCard | None:
        """The model of that id, if the index has it."""
        return self.store.card(model_id)

    def _found(
        self, query: str, where: Filters, enough: int, accepts: Callable[[ModelCard], bool]
    ) -> Iterator[list[tuple[ModelCard, float]]]:
        """Accepted models of the highest relevance, with it: `enough`, then four times as many, and so on."""
        looked_at = max(_LOOKED_AT, enough)
        judged: set[int] = set()
        found: list[tuple[ModelCard, float]] = []
        while True:
            rows, relevance, exhausted = self._relevant(query, where, looked_at)
            order = np.argsort(-relevance, kind="stable").tolist()
            new = (place for place in order if int(rows[place]) not in judged)
            while places := list(islice(new, _BATCH)):
                cards = self.store.rows(rows[places])
                found += [
                    (card, float(relevance[place]))
                    for place, card in zip(places, cards, strict=True)
                    if accepts(card)
                ]
                judged.update(rows[places].tolist())
                if len(found) >= enough:
                    yield found
                    enough *= 4
            if exhausted or looked_at >= _MOST_LOOKED_AT:
                break
            looked_at *= 4
        yield found

    def _relevant(self, query: str, where: Filters, looked_at: int) -> tuple[Rows, Scores, bool]:
        """What is nearest by meaning and by words, its relevance, and whether there is nothing else."""
        vector = self._vector(query)
        near, close = self.store.nearest(vector, looked_at, where)
        worded, shares = self.store.lexical(query, looked_at, where)
        both = np.concatenate([near, worded])
        rows, first, places = np.unique(both, return_index=True, return_inverse=True)
        far = first >= len(near)  # found by words alone
        cosines, words = np.zeros((2, len(rows)), np.float32)
        cosines[places[: len(near)]] = close
        cosines[far] = self.store.cosines(vector, rows[far])
        words[places[len(near) :]] = shares
        relevance = ranking.relevance(cosines, words)
        if where.task is None:
            relevance += ranking.TASK * self._wished(query, vector, rows)
        relevance += ranking.standing(
            self.store.fact("downloads", rows),
            self.store.fact("likes", rows),
            self.store.fact("updated", rows),
            self._today,
        )
        return rows, relevance, len(near) < looked_at

    def _vector(self, query: str) -> NDArray[np.float32]:
        with self._lock:
            known = self._vectors.get(query)
        return self._remember(query, self._encoder.encode([query])[0]) if known is None else known

    def _remember(self, query: str, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        with self._lock:
            self._vectors[query] = vector
            if len(self._vectors) > _REMEMBERED:
                self._vectors.popitem(last=False)
        return vector

    def _wished(self, query: str, vector: NDArray[np.float32], rows: Rows) -> Scores:
        """How near the query is to the wishes for each row's task."""
        closeness = wishes.closeness(query, vector, self._wishes_embedded())
        usual = float(np.mean(list(closeness.values())))
        return np.array([closeness.get(task, usual) for task in self.store.tasks(rows)], np.float32)

    def _wishes_embedded(self) -> NDArray[np.float32]:
        """As the index has them. Where the program's are others by now, they are embedded and kept there."""
        with self._wishing:
            if self._wishes is None:
                self._wishes = wishes.embedded(self._encoder)
                # Who may not write there, or finds somebody at work, does without: it costs a second.
                with suppress(ModelIndexError), build.lock(self.store.folder, wait=False):
                    write.keep_wishes(self.store.folder, self.info, self._wishes)
            return self._wishes


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
    return _opened_with(folder, lambda _: encoder)


def open_with_own(folder: Path, cache: Path, named: str = "", moved: str = "") -> Index:
    """The index in use, with the encoder that it was built with: see `own_encoder`.

    Raises `NoIndexError`, `CorruptIndexError`, `OtherEncoderError` or `EncoderError`.
    """
    return _opened_with(folder, lambda info: own_encoder(folder, info, cache, named, moved))


def own_encoder(folder: Path, info: IndexInfo, cache: Path, named: str = "", moved: str = "") -> Encoder:
    """The encoder that the index in that folder was built with. Blocks.

    `cache` is `load_encoder`'s. `named` is what somebody takes for the encoder: its id, or the folder where
    it is now. `moved` is a folder where it is looked for if it is not where it was. Raises
    `OtherEncoderError` where `named` is another, `EncoderError` where it cannot be had.
    """
    if named and named != info.encoder and not Path(named).is_dir():
        raise OtherEncoderError(manifest.other_encoder(folder, info, named))
    try:
        return load_encoder(named or info.encoder, cache, info.encoder_revision)
    except EncoderError as error:
        if moved and not named and Path(moved).is_dir():
            return own_encoder(folder, info, cache, moved)
        raise EncoderError(f"{folder}: the encoder that it was built with cannot be had: {error}") from error


def _opened_with(folder: Path, encoder: Callable[[IndexInfo], Encoder]) -> Index:
    info = manifest.index_info(folder)
    try:
        return _open(folder, info, encoder(info))
    except CorruptIndexError:
        # Another process may have switched to a new index, and removed the old files, in between.
        if (now := manifest.index_info(folder)) == info:
            raise
        return _open(folder, now, encoder(now))


def _open(folder: Path, info: IndexInfo, encoder: Encoder) -> Index:
    manifest.verify(folder, info, encoder)
    return Index(Store(folder, info), encoder)


_lock = Lock()
_opened: dict[tuple[Path, str, Path], tuple[int, Index]] = {}


def ensure_index(folder: Path, encoder: str, cache: Path) -> Index:
    """The index in use, opened once per process; again when another process has built a new one.

    An index that somebody made is opened with the encoder that it was built with, also where that is a folder
    that is at `encoder` now. Where there is none, the
    starter index is built with `encoder`, a model id, and so it is where a starter index is damaged, out of
    date or of another encoder. `cache` is `load_encoder`'s. Raises `ModelIndexError` where an index that
    somebody made is unusable, `EncoderError` where an encoder cannot be had.
    """
    key = (folder.resolve(), encoder, cache.resolve())
    with _lock:
        known = _opened.get(key)
        if known and known[0] == _stamp(folder):
            return known[1]
        index = _ensure(folder, encoder, cache)
        _opened[key] = (_stamp(folder), index)
        return index


def _stamp(folder: Path) -> int:
    path = folder / manifest.NAME
    return path.stat().st_mtime_ns if path.exists() else 0


def _ensure(folder: Path, encoder: str, cache: Path) -> Index:
    if index := _usable(folder, encoder, cache):
        return index
    with build.lock(folder):
        if index := _usable(folder, encoder, cache):  # made by another process while this one waited
            return index
        loaded = load_encoder(encoder, cache)
        build.build(folder, harvest.starter_cards(), loaded, harvest.starter_source(), None)
        return open_index(folder, loaded)


def _usable(folder: Path, encoder: str, cache: Path) -> Index | None:
    """The index in use; None where the starter index has to be built."""
    try:
        info = manifest.index_info(folder)
        starter = info.source.startswith("starter:")
        if starter and (info.source, info.encoder) != (harvest.starter_source(), encoder):
            return None
        return open_with_own(folder, cache, moved=encoder)
    except NoIndexError:
        return None
    except (CorruptIndexError, EncoderError):
        if manifest.only_starter(folder):
            return None
        raise
