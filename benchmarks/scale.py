"""A large index: `python benchmarks/scale.py [--models N] [--requests N]`.

Builds an index of N made-up models (see generated.py; by default 100,000) and searches it with real
requests, each within the task of the real card that is nearest to it, over all tasks, and under filters. Then
3,200 models are changed while a reader searches. The first run embeds the real cards, which takes minutes.

Embedding the request is not in any of the times. Recall@10 is against exact search over the same vectors.
Memory is the resident set of a process that has the index open and has made all these searches.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hugginggpt.index import manifest
from hugginggpt.index.build import lock
from hugginggpt.index.filters import Filters
from hugginggpt.index.search import Index
from hugginggpt.index.staging import Block
from hugginggpt.index.store import Store
from hugginggpt.index.wishes import WISHES
from hugginggpt.index.write import update_index, write_index

sys.path.insert(0, str(Path(__file__).resolve().parent))
from generated import Hub, Vectors, data_is_there, embedded, real, requests

CHANGED = 3_200
RECALL, MILLISECONDS, RESIDENT, UPDATE = 0.98, 5.0, 1.5e9, 60.0
MiB = 1 << 20


class Prepared:
    """An encoder of texts whose vectors are known."""

    id, revision, dimension = "sentence-transformers/all-MiniLM-L6-v2", "benchmark", 384

    def __init__(self, texts: list[str], vectors: Vectors) -> None:
        self._known = dict(zip(texts, vectors, strict=True))

    def encode(self, texts: list[str]) -> Vectors:
        return np.stack([self._known[text] for text in texts])


class Exact:
    """The ten nearest of all vectors that pass by, for every request: over all, and of its task."""

    def __init__(self, vectors: Vectors, tasks: list[str]) -> None:
        self._vectors, self._tasks = vectors, np.array(tasks)
        self._best: dict[bool, list[list[tuple[float, str]]]] = {
            w: [[] for _ in tasks] for w in (True, False)
        }

    def watch(self, blocks: Iterable[Block]) -> Iterator[Block]:
        for cards, vectors in blocks:
            cosines = self._vectors @ vectors.T
            ids = [card.id for card in cards]
            self._keep(ids, cosines, within=False)
            of_task = np.array([card.task for card in cards])[None, :] == self._tasks[:, None]
            self._keep(ids, np.where(of_task, cosines, -2), within=True)
            yield cards, vectors

    def ids(self, request: int, *, within: bool) -> list[str]:
        return [id_ for _, id_ in self._best[within][request]]

    def _keep(self, ids: list[str], cosines: Vectors, *, within: bool) -> None:
        top = np.argpartition(-cosines, 10, axis=1)[:, :10] if len(ids) > 10 else np.argsort(-cosines, axis=1)
        for best, places, row in zip(self._best[within], top.tolist(), cosines, strict=True):
            best += [(float(row[place]), ids[place]) for place in places if row[place] > -2]
            best.sort(reverse=True)
            del best[10:]


def recall(store: Store, vectors: Vectors, tasks: list[str], exact: Exact, *, within: bool) -> float:
    shares = []
    for number, (vector, task) in enumerate(zip(vectors, tasks, strict=True)):
        rows, _ = store.nearest(vector, 10, Filters(task=task if within else None))
        wanted = exact.ids(number, within=within)
        found = {card.id for card in store.rows(rows)}
        shares.append(len(found.intersection(wanted)) / max(1, len(wanted)))
    return statistics.mean(shares)


def timed(searches: Iterable[Callable[[], object]]) -> NDArray[np.float64]:
    """Milliseconds of each."""
    taken = []
    for search in searches:
        start = time.perf_counter()
        search()
        taken.append((time.perf_counter() - start) * 1000)
    return np.array(taken)


def report(what: str, taken: NDArray[np.float64]) -> None:
    print(f"{what:34} p50 {np.median(taken):6.2f} ms   p99 {np.percentile(taken, 99):6.2f} ms", flush=True)


def resident() -> tuple[int, int]:
    """Bytes of this process in memory: all, and those that are not pages of files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = {
        name: value.split()[0] for name, _, value in (line.partition(":") for line in lines) if value.split()
    }
    return int(fields["VmRSS"]) * 1024, int(fields["RssAnon"]) * 1024


def load() -> float:
    """What else the machine is doing: processes that ran or waited in the last minute."""
    return os.getloadavg()[0]


def search(folder: Path, asked: Path) -> None:
    """In a process of its own: opening, searching, memory."""
    request = json.loads(asked.read_text())
    texts, tasks = request["texts"], request["tasks"]
    encoder = Prepared(texts, np.array(request["vectors"], np.float32))
    before = resident()
    start = time.perf_counter()
    info = manifest.index_info(folder)
    manifest.verify(folder, info, encoder)
    index = Index(Store(folder, info), encoder)
    print(f"{'open':34} {(time.perf_counter() - start) * 1000:10.1f} ms")
    for text in texts:
        index.prepare(text)
    turns = [(text, task) for _ in range(request["turns"]) for text, task in zip(texts, tasks, strict=True)]
    store, vector = index.store, dict(zip(texts, request["vectors"], strict=True))
    vector = {text: np.array(numbers, np.float32) for text, numbers in vector.items()}
    where = [Filters(task=t) for _, t in turns]
    strict = [Filters(task=t, license="permissive", language="en") for _, t in turns]
    parts: dict[str, Iterable[Callable[[], object]]] = {
        "whole search, within the task": (lambda t=t, s=s: index.search(t, task=s) for t, s in turns),
        "whole search, over all": (lambda t=t: index.search(t) for t, _ in turns),
        "vectors, within the task": (
            lambda t=t, w=w: store.nearest(vector[t], 100, w) for (t, _), w in zip(turns, where, strict=True)
        ),
        "vectors, permissive and English": (
            lambda t=t, w=w: store.nearest(vector[t], 100, w) for (t, _), w in zip(turns, strict, strict=True)
        ),
        "vectors, over all": (lambda t=t: store.nearest(vector[t], 100) for t, _ in turns),
        "words, within the task": (
            lambda t=t, w=w: store.lexical(t, 100, w) for (t, _), w in zip(turns, where, strict=True)
        ),
        "words, permissive and English": (
            lambda t=t, w=w: store.lexical(t, 100, w) for (t, _), w in zip(turns, strict, strict=True)
        ),
        "words, over all": (lambda t=t: store.lexical(t, 100) for t, _ in turns),
    }
    for what, searches in parts.items():
        report(what, timed(searches))
    whole, own = resident()
    grown = whole - before[0]
    print(
        f"{'resident':34} {whole / MiB:8.0f} MiB: {grown / MiB:.0f} the index, {own / MiB:.0f} not of files"
    )


def change(folder: Path, hub: Hub, vectors: Vectors, tasks: list[str]) -> None:
    """Update while a reader searches."""
    info = manifest.index_info(folder)
    store = Store(folder, info)
    known = store.rows(np.random.default_rng(0).choice(info.models, CHANGED - 200, replace=False))
    (cards, moved), *_ = hub.blocks(CHANGED, CHANGED, "new")
    cards = [
        *(new.model_copy(update={"id": old.id}) for new, old in zip(cards, known, strict=False)),
        *cards[-200:],
    ]
    done, taken = threading.Event(), []

    def read() -> None:
        while not done.is_set():
            pairs = zip(vectors, tasks, strict=True)
            taken.extend(timed(lambda v=v, t=t: store.nearest(v, 100, Filters(task=t)) for v, t in pairs))

    reader = threading.Thread(target=read)
    reader.start()
    start = time.perf_counter()
    with lock(folder):
        update_index(folder, [(cards, moved)])
    seconds = time.perf_counter() - start
    done.set()
    reader.join()
    print(f"{f'{CHANGED:,} changed models':34} {seconds:8.1f} s, goal {UPDATE:.0f}; a reader meanwhile:")
    report("vectors, within the task", np.array(taken))


def build(folder: Path, hub: Hub, models: int, exact: Exact, encoder: Prepared) -> None:
    watched = hub.blocks(models)
    start = time.perf_counter()
    blocks = exact.watch(watched)
    generated = 0.0

    def counted() -> Iterator[Block]:
        nonlocal generated
        while True:
            begun = time.perf_counter()
            block = next(blocks, None)
            generated += time.perf_counter() - begun
            if block is None:
                return
            yield block

    with lock(folder):
        info = write_index(folder, counted(), encoder, "custom")
    seconds = time.perf_counter() - start - generated
    sizes: dict[str, int] = {}
    for file in info.files:
        kind = file.name.partition("/")[0].rpartition(".")[2]
        sizes[kind] = sizes.get(kind, 0) + file.bytes
    print(f"{'build, embedding apart':34} {seconds:8.1f} s")
    parts = ", ".join(f"{kind} {size / MiB:.0f}" for kind, size in sizes.items())
    print(f"{'on disk':34} {sum(sizes.values()) / MiB:8.0f} MiB: {parts}", flush=True)


def run(models: int, number: int, turns: int, work: Path) -> None:
    cards, theirs = real(work)
    texts, vectors = requests(work)
    texts, vectors = texts[:number], vectors[:number]
    tasks = [cards[place].task for place in np.argmax(vectors @ theirs.T, axis=1).tolist()]
    hub, exact = Hub(cards, theirs), Exact(vectors, tasks)
    wishes = list(WISHES.values())
    encoder = Prepared(wishes, embedded(work / "wishes.npy", wishes, work))
    print(f"{models:,} models like {len(cards):,} real ones, {len(texts)} requests; load {load():.1f}")
    folder = Path(tempfile.mkdtemp(prefix="index-", dir=work))
    try:
        build(folder, hub, models, exact, encoder)
        store = Store(folder, manifest.index_info(folder))
        for within in (True, False):
            share = recall(store, vectors, tasks, exact, within=within)
            what = f"recall@10, {'within the task' if within else 'over all'}"
            print(f"{what:34} {share:10.4f}, goal {RECALL}")
        asked = folder / "asked"
        asked.write_text(
            json.dumps(
                {
                    "texts": texts,
                    "tasks": tasks,
                    "vectors": vectors.tolist(),
                    "turns": turns,
                }
            )
        )
        subprocess.run([sys.executable, __file__, "--search", str(folder)], check=True)
        change(folder, hub, vectors, tasks)
    finally:
        shutil.rmtree(folder)
    print(f"goals for 3,000,000: p50 {MILLISECONDS} ms, {RESIDENT / 1e9} GB resident; load {load():.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--turns", type=int, default=2, help="how often each request is searched for")
    work = Path(tempfile.gettempdir()) / "hugginggpt-scale"
    parser.add_argument("--work", type=Path, default=work, help="folder for embeddings and the index")
    parser.add_argument("--search", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.search:
        search(args.search, args.search / "asked")
    elif data_is_there():
        args.work.mkdir(parents=True, exist_ok=True)
        run(args.models, args.requests, args.turns, args.work)


if __name__ == "__main__":
    main()
