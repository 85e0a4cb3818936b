"""A table in place of an encoder: a vector for every token, whose sum over a text is near the text's vector.

The table is fitted to texts that the encoder has read. It starts from what the encoder says of each token
alone, weighted by how rare the token is (Zipf's law on the order of the vocabulary, SIF of Arora et al.,
2017: how model2vec distils a model), and is moved by ridge regression so that sums agree with the texts'
vectors. What it makes is searched by the encoder's own vectors: requests, few and short, are still read by
the encoder. Requests read by a table too would find half as much: benchmarks/encoding.py.
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array  # type: ignore[import-untyped]

    from hugginggpt.tools.encoder_onnx import OnnxEncoder

_RARITY = 1e-4  # the constant of SIF
_RIDGE = 0.3
# How large the start is, times what fits the texts best: tokens that are not in them keep it. The cosine to
# the vectors of other texts is 0.81 at 1 and 0.83 at 3.
_START = 3.0


class StaticEncoder:
    """Encodes by a table, thousands of texts a second, for the encoder that the table was fitted to."""

    def __init__(self, encoder: "OnnxEncoder", table: NDArray[np.float32]) -> None:
        """`table` is of `fit`: (tokens + 1, dimension)."""
        self.id = f"{encoder.id}+static"
        self.revision = f"{encoder.revision}+{hashlib.sha256(table.tobytes()).hexdigest()[:12]}"
        self.dimension = encoder.dimension
        self.table = table
        self._encoder = encoder

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One L2-normalised row per text, shape (len(texts), dimension). Safe to call from threads."""
        sums = _counts(self._encoder, texts) @ self.table[:-1] + self.table[-1]
        return np.asarray(sums / np.linalg.norm(sums, axis=1, keepdims=True), np.float32)


def fit(encoder: "OnnxEncoder", texts: Sequence[str], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """A table for texts like these, whose vectors are the encoder's: a row for every token, the last for all.

    Takes 8 × len(texts)² bytes. The same texts and vectors give the same table.
    """
    from scipy.linalg import solve  # type: ignore[import-untyped]

    counts = _counts(encoder, texts)
    middle = vectors.mean(axis=0)
    table = _tokens_alone(encoder)
    sums = counts @ table
    table *= _START * np.sum(sums * (vectors - middle)) / np.sum(sums * sums)
    missing = vectors - middle - counts @ table
    alike = (counts @ counts.T).toarray().astype(np.float64)
    alike[np.diag_indices_from(alike)] += _RIDGE
    table += counts.T @ solve(alike, missing, assume_a="pos").astype(np.float32)
    return np.vstack([table, middle]).astype(np.float32)


def _tokens_alone(encoder: "OnnxEncoder") -> NDArray[np.float32]:
    """The vector of every token by itself, without what all have in common, the frequent ones made small."""
    vectors = encoder.encode_tokens([[token] for token in range(encoder.tokens)])
    share = 1 / np.arange(2, encoder.tokens + 2)
    weights = _RARITY / (_RARITY + share / share.sum())
    return np.asarray((vectors - vectors.mean(axis=0)) * weights[:, None], np.float32)


def _counts(encoder: "OnnxEncoder", texts: Sequence[str]) -> "csr_array":
    """How often each token is in each text, over the root of the text's length: (len(texts), tokens)."""
    from scipy.sparse import csr_array

    tokens = encoder.tokenize(texts)
    lengths = np.array([len(own) for own in tokens], np.int64)
    values = np.repeat(1 / np.sqrt(np.maximum(lengths, 1)), lengths).astype(np.float32)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    columns = np.fromiter((token for own in tokens for token in own), np.int64, int(starts[-1]))
    return csr_array((values, columns, starts), shape=(len(texts), encoder.tokens))
