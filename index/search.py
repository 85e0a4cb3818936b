"""The index at work: models are found, ranked and folded."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from itertools import islice
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from hugginggpt.index import build, folding, ranking, wishes, write
from hugginggpt.index.errors import ModelIndexError
from hugginggpt.index.filters import EVERYTHING, Filters
from hugginggpt.index.inference import FOLDED
from hugginggpt.index.store import Store
from hugginggpt.index.vectors import Rows, Scores
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.encoder import Encoder

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
        self._beside = ThreadPoolExecutor(thread_name_prefix="index")

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

        Only models that pass `filters`, are of `task`, and that `accepts` holds for; where `task` is a tag of
        the Hub that is folded into tasks (`inference.FOLDED`), only those that state it, if any does. Models
        are found by meaning and by words and ranked by the formula of ranking.py, for which `merit` tells of
        a model's id how well it has done so far, -1 to 1. Copies are folded into one, and nobody has more
        than two of the first five while there is somebody else (folding.py). Equal scores are ordered by id.
        """
        where = replace(filters, task=FOLDED.get(task or "", task) or filters.task)
        if task in FOLDED and self.store.states(task):
            where = replace(filters, tag=task)
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
        by_words = self._beside.submit(self.store.lexical, query, looked_at, where)
        near, close = self.store.nearest(vector, looked_at, where)
        worded, shares = by_words.result()
        both = np.concatenate([near, worded])
        rows, first, places = np.unique(both, return_index=True, return_inverse=True)
        far = first >= len(near)  # found by words alone
        cosines, words = np.zeros((2, len(rows)), np.float32)
        cosines[places[: len(near)]] = close
        cosines[far] = self.store.cosines(vector, rows[far])
        words[places[len(near) :]] = shares
        relevance = ranking.relevance(cosines, words)
        if where.task is None and where.tag is None:
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
