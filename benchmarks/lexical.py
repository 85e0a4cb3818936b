"""Ranking by words: `python benchmarks/lexical.py [--models N]`.

tantivy, as index/lexical.py uses it, beside SQLite's FTS5 and, where it is installed (`pip install bm25s`),
bm25s with NumPy. N made-up cards (see generated.py; by default 100,000) and the 907 of Gorilla APIBench-HF,
whose requests are asked: the 200 best, over all and within the request's task. All three get the same words
of a card, those that our analyzer makes, and the same ones of a request, the rarest that ours looks for; BM25
with k1 = 1.2 and b = 0.75. Within a task FTS5 gets a range of rows, bm25s a weight for every row. The last
line is ours without a limit of words.

Build time is the processor's, all threads, and has the analysis in it. Memory is what a process has grown by
that opened the index and made all these searches, the pages of files that it read included. "top 10" is how
much of another's ten best is among ours, R@10 how often the model that a request was written for is among the
ten best.
"""

import argparse
import importlib.util
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hugginggpt.index import lexical, read_cards
from hugginggpt.index.lexical import Lexical, LexicalWriter, _analyzer, text_of
from hugginggpt.tools.card import ModelCard

sys.path.insert(0, str(Path(__file__).resolve().parent))
from generated import DATA, HUB, SAYS_SOMETHING, Cards, data_is_there
from retrieval import read, task_of
from scale import MiB, load, resident

DEEP = 200
Words = dict[str, float]
"""Words with their weights."""
Search = Callable[[Words, str | None, int, int], Sequence[int]]
"""The best rows for words; within a task, which has the rows from one to another."""


def write_tantivy(folder: Path, cards: list[ModelCard]) -> None:
    writer = LexicalWriter(folder)
    writer.add(cards)
    writer.finish()


def open_tantivy(folder: Path) -> Search:
    index = Lexical(folder)
    return lambda words, task, start, stop: index.best(words, DEEP, task, stop - start, None)[0].tolist()


def write_fts5(folder: Path, cards: list[ModelCard]) -> None:
    folder.mkdir()
    with sqlite3.connect(folder / "words") as file:
        file.execute("CREATE VIRTUAL TABLE cards USING fts5(words, content='', tokenize='ascii')")
        rows = ((row, " ".join(_analyzer().analyze(text_of(card)))) for row, card in enumerate(cards))
        file.executemany("INSERT INTO cards (rowid, words) VALUES (?, ?)", rows)
        file.execute("INSERT INTO cards (cards) VALUES ('optimize')")
    file.close()


def open_fts5(folder: Path) -> Search:
    file = sqlite3.connect(folder / "words")
    best = "SELECT rowid FROM cards WHERE cards MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rank LIMIT ?"

    def search(words: Words, _task: str | None, start: int, stop: int) -> Sequence[int]:
        union = " OR ".join(f'"{word}"' for word in words)
        return [row for (row,) in file.execute(best, (union, start, stop - 1, DEEP))]

    return search


def write_bm25s(folder: Path, cards: list[ModelCard]) -> None:
    import bm25s

    index = bm25s.BM25(k1=1.2, b=0.75)
    index.index([_analyzer().analyze(text_of(card)) for card in cards], show_progress=False)
    index.save(folder, show_progress=False)


def open_bm25s(folder: Path) -> Search:
    import bm25s

    index = bm25s.BM25.load(folder, mmap=True)
    masks: dict[str | None, Any] = {None: None}

    def search(words: Words, task: str | None, start: int, stop: int) -> Sequence[int]:
        if task not in masks:
            masks[task] = np.zeros(index.scores["num_docs"], np.float32)
            masks[task][start:stop] = 1
        found, scores = index.retrieve([[*words]], k=DEEP, show_progress=False, weight_mask=masks[task])
        return [int(row) for row in found[0][scores[0] > 0]]

    return search


ENGINES = {
    "tantivy": (write_tantivy, open_tantivy),
    "FTS5": (write_fts5, open_fts5),
    "bm25s": (write_bm25s, open_bm25s),
}


def build(engine: str, work: Path) -> None:
    """In a process of its own: the seconds it takes of a processor."""
    cards = [ModelCard.model_validate_json(line) for line in (work / "cards").open()]
    start = time.process_time()
    ENGINES[engine][0](work / engine, cards)
    print(time.process_time() - start)


def search(engine: str, which: str, work: Path) -> None:
    """In a process of its own: milliseconds and ten best rows of each request, over all and within a task."""
    requests = json.loads((work / "requests").read_text())
    before, _ = resident()
    found = ENGINES[engine][1](work / engine)
    told: dict[str, Any] = {}
    for within in (False, True):
        taken, best = [], []
        for request in [*requests[:20], *requests]:  # some first, to be warm
            where = (request["task"], *request["rows"]) if within else (None, 0, request["of"])
            start = time.perf_counter()
            rows = found(request[which], *where)
            taken.append((time.perf_counter() - start) * 1000)
            best.append(rows[:10])
        told["within" if within else "all"] = {"ms": taken[20:], "best": best[20:]}
    print(json.dumps({**told, "bytes": resident()[0] - before}))


def prepare(models: int, work: Path) -> None:
    """The cards by task, as rows of a segment are."""
    maker = Cards([card for card in read_cards(HUB) if len(card.summary) >= SAYS_SOMETHING])
    cards = [*read(DATA / "gorilla")[0], *maker.made(maker.lenders(models), 0)]
    cards.sort(key=lambda card: (card.task, card.id))
    with (work / "cards").open("w") as file:
        file.writelines(f"{card.model_dump_json(exclude_defaults=True)}\n" for card in cards)


def ask(work: Path) -> list[dict[str, Any]]:
    """The requests, with the words of each: all that there are, and those that ours looks for."""
    places = [(card["task"], card["id"]) for card in map(json.loads, (work / "cards").open())]
    index, rows = Lexical(work / "tantivy"), {id_: row for row, (_, id_) in enumerate(places)}
    asked = []
    for request in read(DATA / "gorilla")[2]:
        words, task = lexical.words_of(request["query"]), task_of(request["domain"])
        every = {
            word: lexical.idf(count, index.cards) for word in words if (count := index.count(word, None))
        }
        bounds = bisect_left(places, (task, "")), bisect_right(places, (task, "\uffff"))
        told = {"rarest": lexical.weights(words, [index], None), "every": every, "task": task, "rows": bounds}
        asked.append({**told, "of": len(places), "model": rows[request["api_name"]]})
    (work / "requests").write_text(json.dumps(asked))
    return asked


def child(*arguments: object) -> Any:  # noqa: ANN401 - JSON
    command = [sys.executable, __file__, *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def shared(best: list[list[int]], others: list[list[int]]) -> float:
    """How much of the others is among the best."""
    parts = [len({*b} & {*o}) / len(o) for b, o in zip(best, others, strict=True) if o]
    return sum(parts) / len(parts)


def run(models: int, work: Path) -> None:
    prepare(models, work)
    engines = [name for name in ENGINES if name != "bm25s" or importlib.util.find_spec(name)]
    seconds = {engine: child("--build", engine, "--work", work) for engine in engines}
    requests = ask(work)
    dropped = sum(len(request["every"]) > len(request["rarest"]) for request in requests)
    print(
        f"{requests[0]['of']:,} cards, {len(requests)} requests, {dropped} with more words; load {load():.1f}"
    )
    columns = f"{'p50':>10}{'p99 ms':>8}{'top 10':>8}{'R@10':>7}"
    print(f"{'':44}{'over all':>16}{'within the task':>36}")
    print(f"{'':20}{'build s':>9}{'MiB':>7}{'memory':>8}{columns}{columns}")
    first: dict[str, Any] = {}
    for engine, which in [*((engine, "rarest") for engine in engines), ("tantivy", "every")]:
        told = child("--search", engine, which, "--work", work)
        first = first or told
        size = sum(file.stat().st_size for file in (work / engine).rglob("*") if file.is_file())
        name = engine if which == "rarest" else f"{engine}, all words"
        print(f"{name:20}{seconds[engine]:9.1f}{size / MiB:7.0f}{told['bytes'] / MiB:8.0f}", end="")
        for where in ("all", "within"):
            taken, best = told[where]["ms"], told[where]["best"]
            recall = np.mean([r["model"] in rows for r, rows in zip(requests, best, strict=True)])
            print(f"{np.median(taken):10.2f}{np.percentile(taken, 99):8.2f}", end="")
            print(f"{shared(best, first[where]['best']):8.3f}{recall:7.3f}", end="")
        print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=int, default=100_000)
    parser.add_argument("--build", help=argparse.SUPPRESS)
    parser.add_argument("--search", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.build:
        build(args.build, args.work)
    elif args.search:
        search(*args.search, args.work)
    elif data_is_there():
        with tempfile.TemporaryDirectory() as work:
            run(args.models, Path(work))


if __name__ == "__main__":
    main()
