"""The words of a segment's cards, in a tantivy index: BM25 within a task, or over all."""

import os
import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from itertools import accumulate
from math import log
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from hugginggpt.index.passing import Passing
from hugginggpt.index.vectors import Rows, Scores
from hugginggpt.tools.card import ModelCard

if TYPE_CHECKING:
    from tantivy import Query, Schema, Searcher, TextAnalyzer

_HEAP = 256 << 20
_MOST_WORDS = 14
"""Words of a query that are looked for: the rarest. Without a limit, R@10 of a request is 0.235 in place of
0.238 over all, 0.397 in place of 0.393 within its task (`python benchmarks/lexical.py`, 100,907 models)."""
_MOST_SAID = 250_000
"""How many cards may say them, all together: of three million, others take more time than the rest
of a search. At the same share of 907 cards R@10 is 0.542, not 0.551 (`python benchmarks/retrieval.py`)."""
_REMEMBERED = 1024
_REQUEST = """
i me my we us our you your he she them his her its am do does did have has had can could would should may
might must need needs want wants wanted like please help let get give make find use used uses using some any
which what who whom how when where why so also about just more most other than from been being create build
develop design implement provide suggest show tell looking able based model models ai
"""
_ASKING = frozenset(_REQUEST.split())
"""Words of asking, which say nothing of what is asked for."""


def text_of(card: ModelCard) -> str:
    """What is looked at for words: its id, its task and its summary."""
    return f"{card.id} {card.task} {card.summary}"


class LexicalWriter:
    """Writes the folder of a segment."""

    def __init__(self, folder: Path) -> None:
        """Raises `ValueError` where the folder cannot be written."""
        import tantivy

        folder.mkdir()
        self._folder = folder
        self._writer = tantivy.Index(_schema(), path=str(folder)).writer(_HEAP, 1)
        self._rows = 0

    def add(self, cards: Sequence[ModelCard]) -> None:
        """The cards of the next rows."""
        import tantivy

        for card in cards:
            document = tantivy.Document()
            words = _analyzer().analyze(text_of(card))
            document.add_text("words", " ".join(words))
            document.add_text("task_words", " ".join([f"{card.task}:{word}" for word in words]))
            document.add_unsigned("row", self._rows)
            self._writer.add_document(document)
            self._rows += 1

    def finish(self) -> None:
        """Finish. Raises `ValueError` where there is no room."""
        self._writer.commit()
        self._writer.wait_merging_threads()
        for path in self._folder.iterdir():
            if path.suffix == ".lock":
                path.unlink()
            else:  # tantivy makes some of them its owner's alone
                path.chmod(self._folder.stat().st_mode & 0o666)


class Lexical:
    """Search by words in a folder that `LexicalWriter` made. Safe to use from threads."""

    def __init__(self, folder: Path) -> None:
        """Raises `ValueError` when it is not such a folder."""
        self._searcher = _open(folder)
        self.cards: int = self._searcher.num_docs
        self.count = lru_cache(_REMEMBERED)(self._count)
        """How many cards say a word: all, or a task's."""

    def best(
        self, words: Mapping[str, float], k: int, task: str | None, rows_of_task: int, passing: Passing | None
    ) -> tuple[Rows, Scores]:
        """The rows with the highest BM25 score for `words`, of those that pass, best first: at most `k`.

        `words` have their weights (idf). What does not pass is taken out of the ranking, which is made
        longer until there are `k` that do, or it ends.
        """
        query = self._query(words, task)
        looked_at = k if passing is None else min(rows_of_task, k * rows_of_task // max(1, passing.count) + k)
        while True:
            hits: list[tuple[Any, Any]] = self._searcher.search(query, limit=looked_at, count=False).hits
            found = self._searcher.fast_field_values("row", [address for _, address in hits])
            rows = np.array(found, np.int64)
            scores = np.array([score for score, _ in hits], np.float32)
            if passing is not None:
                kept = passing.has(rows)
                rows, scores = rows[kept], scores[kept]
            if len(rows) >= k or len(hits) < looked_at:
                return rows[:k], scores[:k]
            looked_at *= 8

    def _count(self, word: str, task: str | None) -> int:
        return self._searcher.doc_freq(*_term(word, task))

    def _query(self, words: Mapping[str, float], task: str | None) -> "Query":
        """A union of words alone: of all others tantivy scores every document that matches."""
        from tantivy import Occur, Query

        weighed = []
        for word, weight in words.items():
            term = Query.term_query(_schema(), *_term(word, task), "freq")
            own = idf(self.count(word, task), self.cards)
            weighed.append((Occur.Should, Query.boost_query(term, weight / own)))
        return Query.boolean_query(weighed)


def _term(word: str, task: str | None) -> tuple[str, str]:
    """Field and word as they are indexed: those of a task apart, so that no search within it reads others."""
    return ("words", word) if task is None else ("task_words", f"{task}:{word}")


def idf(count: int, cards: int) -> float:
    """The weight of a word that `count` of `cards` say, as BM25 has it in Lucene and tantivy."""
    return log(1 + (cards - count + 0.5) / (count + 0.5))


@lru_cache(_REMEMBERED)
def words_of(text: str) -> tuple[str, ...]:
    """The words of a query as they are looked for: lower case, no accents, stemmed; no words of asking."""
    words = (word for word in re.findall(r"\w+", text.lower()) if word not in _ASKING)
    return tuple(dict.fromkeys(_analyzer().analyze(" ".join(words))))


def said(query: str, text: str) -> list[str]:
    """The words of a text that the query looks for, as the text writes them first, each once."""
    looked_for = set(words_of(query))
    forms: dict[str, str] = {}
    for word in dict.fromkeys(re.findall(r"[^\W_]+", text)):
        for stem in looked_for.intersection(_analyzer().analyze(word)):
            forms.setdefault(stem, word)
    return list(dict.fromkeys(forms.values()))


def weights(words: Sequence[str], segments: Sequence[Lexical], task: str | None) -> dict[str, float]:
    """The words to look for in these segments, with their weights: the rarest that there are in the task."""
    cards = sum(segment.cards for segment in segments)
    counts = {word: sum(segment.count(word, task) for segment in segments) for word in words}
    rarest = sorted((count, word) for word, count in counts.items() if count)[:_MOST_WORDS]
    said = accumulate(count for count, _ in rarest)
    chosen = [word for (_, word), so_far in zip(rarest, said, strict=True) if so_far <= _MOST_SAID]
    return {
        word: idf(sum(segment.count(word, None) for segment in segments), cards)
        for word in chosen or [word for _, word in rarest[:1]]
    }


def _open(folder: Path) -> "Searcher":
    import tantivy

    if os.access(folder, os.W_OK):
        return tantivy.Index.open(str(folder)).searcher()
    # tantivy makes a lock file to open an index. Where it may not, it gets a folder of links to the files.
    with TemporaryDirectory() as links:
        for path in folder.iterdir():
            if path.suffix != ".lock":
                Path(links, path.name).symlink_to(path.resolve())
        return tantivy.Index.open(links).searcher()


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
    for field in ("words", "task_words"):
        builder.add_text_field(field, tokenizer_name="whitespace", index_option="freq")
    builder.add_unsigned_field("row", fast=True)
    return builder.build()
