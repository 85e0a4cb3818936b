"""A Hub of any size with the statistics of the real one: cards and vectors, made up as they are asked for.

Fit on the cards with a text in ../shared/data/hub_models_2022.jsonl.gz and on their embeddings:

- vectors are a mixture of Gaussians, one for three real cards: the means of k-means clusters, with the tasks
  of their cards, and around them the covariance that all clusters share, at each cluster's own width;
- summaries have the real lengths, and words as often as the cards of their task say them;
- tasks, licences, languages, sizes and downloads are drawn from real cards.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hugginggpt.index import read_cards
from hugginggpt.index.embedding import text_of
from hugginggpt.index.staging import Block
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.encoder import DEFAULT_ENCODER, Encoder, load_encoder

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
HUB, REQUESTS = DATA / "hub_models_2022.jsonl.gz", DATA / "gorilla" / "dev_queries.jsonl"
CARDS_OF_A_CLUSTER = 3  # so near are made-up ones to each other as real ones; with 20 they are further apart
SAYS_SOMETHING = 80  # characters of a summary
Vectors = NDArray[np.float32]


def data_is_there() -> bool:
    """Whether there is something to fit on; says so where there is not."""
    missing = [str(path) for path in (HUB, REQUESTS) if not path.exists()]
    if missing:
        sys.stdout.write(f"needs {', '.join(missing)}, which is not here: nothing was measured\n")
    return not missing


def real(work: Path) -> tuple[list[ModelCard], Vectors]:
    """The real cards with a text, and their embeddings, which are kept in `work`."""
    cards = [card for card in read_cards(HUB) if len(card.summary) >= SAYS_SOMETHING]
    return cards, embedded(work / "cards.npy", [text_of(card) for card in cards], work)


def requests(work: Path) -> tuple[list[str], Vectors]:
    """Real requests, and their embeddings."""
    texts = [json.loads(line)["query"] for line in REQUESTS.read_text().splitlines()]
    return texts, embedded(work / "requests.npy", texts, work)


def embedded(path: Path, texts: Sequence[str], work: Path) -> Vectors:
    """Embeddings of the texts, kept in a file."""
    if path.exists() and len(known := np.load(path, allow_pickle=False)) == len(texts):
        return np.asarray(known, np.float32)
    encoder: Encoder = load_encoder(DEFAULT_ENCODER, work / "encoder")
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    vectors = np.empty((len(texts), encoder.dimension), np.float32)
    for start in range(0, len(order), 64):
        places = order[start : start + 64]
        vectors[places] = encoder.encode([texts[place] for place in places])
    np.save(path, vectors, allow_pickle=False)
    return vectors


class Cards:
    """Makes cards up. The same seed gives the same ones."""

    def __init__(self, cards: Sequence[ModelCard], seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self._cards = cards
        self._words = [card.summary.split() for card in cards]
        self._said = self._said_by_task()

    def lenders(self, number: int) -> NDArray[np.int64]:
        """Real cards that lend made-up ones their task and facts: their shares come out as they are."""
        return self.random.integers(len(self._cards), size=number)

    def made(self, lenders: NDArray[np.int64], first: int, prefix: str = "hub") -> list[ModelCard]:
        """A card of each lender; `first` is the number of the first one, for their names."""
        return [
            self._cards[lender].model_copy(
                update={
                    "id": f"{prefix}{self.random.integers(300_000)}/"
                    f"{self._cards[lender].id.rpartition('/')[2]}-{first + place:x}",
                    "summary": self._summary(int(lender)),
                }
            )
            for place, lender in enumerate(lenders.tolist())
        ]

    def _summary(self, lender: int) -> str:
        words, cumulated = self._said[self._cards[lender].task]
        drawn = np.searchsorted(cumulated, self.random.random(len(self._words[lender])))
        return " ".join(words[place] for place in drawn.tolist())

    def _said_by_task(self) -> dict[str, tuple[list[str], NDArray[np.float64]]]:
        counts: dict[str, Counter[str]] = {}
        for card, words in zip(self._cards, self._words, strict=True):
            counts.setdefault(card.task, Counter()).update(words)
        return {
            task: (list(count), np.cumsum(np.array(list(count.values()), np.float64) / count.total())[:-1])
            for task, count in counts.items()
        }


class Hub:
    """Makes cards and vectors up. The same seed gives the same ones."""

    def __init__(self, cards: Sequence[ModelCard], vectors: Vectors, seed: int = 0) -> None:
        import faiss

        self._cards = Cards(cards, seed)
        number = len(cards) // CARDS_OF_A_CLUSTER
        kmeans = faiss.Kmeans(vectors.shape[1], number, niter=15, seed=1, min_points_per_centroid=1)
        kmeans.train(vectors)
        self._of = kmeans.index.search(vectors, 1)[1][:, 0]
        used = [np.flatnonzero(self._of == cluster) for cluster in range(number)]
        self._means = np.stack(
            [vectors[u].mean(axis=0) if len(u) else c for u, c in zip(used, kmeans.centroids, strict=True)]
        )
        apart = vectors - self._means[self._of]
        spread = (apart**2).sum(axis=1)
        widths = np.array([np.sqrt(spread[u].mean()) if len(u) > 1 else np.nan for u in used], np.float32)
        self._widths = np.where(widths > 0, widths, np.nanmean(widths)).astype(np.float32)
        values, axes = np.linalg.eigh(np.cov((apart / self._widths[self._of, None]).T))
        self._shape = (axes * np.sqrt(np.maximum(values, 0))).T.astype(np.float32)

    def blocks(self, models: int, size: int = 16_384, prefix: str = "hub") -> Iterator[Block]:
        """So many cards and their vectors."""
        for start in range(0, models, size):
            yield self._block(start, min(size, models - start), prefix)

    def _block(self, first: int, number: int, prefix: str) -> Block:
        lenders = self._cards.lenders(number)
        clusters = self._of[lenders]
        noise = (
            self._cards.random.standard_normal((number, self._means.shape[1]), dtype=np.float32) @ self._shape
        )
        vectors = self._means[clusters] + self._widths[clusters, None] * noise
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return self._cards.made(lenders, first, prefix), vectors.astype(np.float32)
