"""The words of a segment's cards, in a tantivy index: BM25 within a task, or over all."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hugginggpt.index.vectors import Rows, Scores
from hugginggpt.tools.card import ModelCard

if TYPE_CHECKING:
    from tantivy import Query, Schema, TextAnalyzer

_HEAP = 128 << 20
_MOST_WORDS = 32
"""Words of a query that are looked for; the rest is cut off."""


def text_of(card: ModelCard) -> str:
    """What is looked at for words: its id, its task and its summary."""
    return f"{card.id} {card.task} {card.summary}"


class LexicalWriter:
    """Writes the folder of a segment."""

    def __init__(self, folder: Path) -> None:
        """Raises `ValueError` where the folder cannot be written."""
        import tantivy

        folder.mkdir()
        self._writer = tantivy.Index(_schema(), path=str(folder)).writer(_HEAP, 1)
        self._rows = 0

    def add(self, cards: Sequence[ModelCard]) -> None:
        """The cards of the next rows."""
        import tantivy

        for card in cards:
            document = tantivy.Document()
            document.add_text("task", card.task)
            document.add_text("words", " ".join(_analyzer().analyze(text_of(card))))
            document.add_unsigned("row", self._rows)
            self._writer.add_document(document)
            self._rows += 1

    def close(self) -> None:
        """Finish. Raises `ValueError` where there is no room."""
        self._writer.commit()
        self._writer.wait_merging_threads()


class Lexical:
    """Search by words in a folder that `LexicalWriter` made. Safe to use from threads."""

    def __init__(self, folder: Path) -> None:
        """Raises `ValueError` when it is not such a folder."""
        import tantivy

        self._index = tantivy.Index.open(str(folder))
        self._searcher = self._index.searcher()

    def best(
        self, words: Sequence[str], k: int, task: str | None, passing: NDArray[np.bool_] | None
    ) -> tuple[Rows, Scores]:
        """The rows with the highest BM25 score for `words`, of those that pass, best first: at most `k`."""
        query = self._query(words, task)
        looked_at = k
        while True:
            hits: list[tuple[Any, Any]] = self._searcher.search(query, limit=looked_at, count=False).hits
            scores = np.array([score for score, _ in hits], np.float32)
            found = self._searcher.fast_field_values("row", [address for _, address in hits])
            rows = np.array(found, np.int64)
            if passing is not None and len(rows):
                kept = passing[rows]
                rows, scores = rows[kept], scores[kept]
            if len(rows) >= k or len(hits) < looked_at:
                return rows[:k], scores[:k]
            looked_at *= 8

    def _query(self, words: Sequence[str], task: str | None) -> "Query":
        from tantivy import Occur, Query

        schema = _schema()
        union = Query.boolean_query(
            [(Occur.Should, Query.term_query(schema, "words", word, "freq")) for word in words]
        )
        if task is None:
            return union
        of_task = Query.const_score_query(Query.term_query(schema, "task", task, "basic"), 0.0)
        return Query.boolean_query([(Occur.Must, of_task), (Occur.Must, union)])


def words_of(text: str) -> list[str]:
    """The words of a text as they are looked for: lower case, without accents, stemmed; no stop words."""
    return list(dict.fromkeys(_analyzer().analyze(text)))[:_MOST_WORDS]


@cache
def _analyzer() -> "TextAnalyzer":
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    builder = TextAnalyzerBuilder(Tokenizer.simple())
    for step in (
        Filter.remove_long(40),
        Filter.lowercase(),
        Filter.ascii_fold(),
        Filter.stopword("english"),
        Filter.stemmer("english"),
    ):
        builder = builder.filter(step)
    return builder.build()


@cache
def _schema() -> "Schema":
    from tantivy import SchemaBuilder

    builder = SchemaBuilder()
    builder.add_text_field("task", tokenizer_name="raw", index_option="basic")
    builder.add_text_field("words", tokenizer_name="whitespace", index_option="freq")
    builder.add_unsigned_field("row", fast=True)
    return builder.build()
