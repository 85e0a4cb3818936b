"""How well models are found: the requests and models of Gorilla APIBench-HF (Patil et al., arXiv 2305.15334).

    python benchmarks/retrieval.py [--data ../shared/data/gorilla] [--half even|odd] [--json]

A table of ways to search, from the plain ones to ours: how often the model that a request was written for is
among the first 1, 5, 10, of all cards and within its task (R@k), how often the first is of Gorilla's domain
(domain@1), or of the task that the index has for it (task@1): many models of a domain are alike. And
milliseconds per search, its vector apart. Then the same with poisoned cards among the others, one for every
fourth request, by an attacker who knows the request: poison@5 is their share of the first five within the
task of such a request. These ways search the same index, whose cards are cleaned (honesty.py).

The last row counts: rows as `hugginggpt index build --from FILE` takes them, harvested, built and searched as
the command line does. There, Gorilla's Conversational and Text2Text Generation are no tasks of their own:
what is asked for within them is the Hub's tag, as in `--task text2text-generation`.

Weights were chosen on the even requests, but ways to search were compared on all of them: neither half is
held out, and only requests that nobody has seen would show the true figures.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np

from hugginggpt.index import Filters, Index, build_index, open_index, refresh
from hugginggpt.index.inference import RENAMED
from hugginggpt.index.origin import Origin
from hugginggpt.index.sources import Files
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.encoder import DEFAULT_ENCODER, Encoder, load_encoder

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import poison  # noqa: E402, of the tests

Search = Callable[[str, str | None], list[str]]
COUNTS = "ours, command line"
GOALS = {"R@10": 0.52, "domain@1": 0.62, "task R@1": 0.29, "task R@10": 0.72}
_DEEP = 200
_TAGS = {
    "document-question-answer": "document-question-answering",
    "graph-machine-learning": "graph-ml",
    "reinforcement-learning-robotics": "robotics",
}
_AREAS = ("Natural Language Processing ", "Computer Vision ", "Multimodal ", "Audio ", "Tabular ")


class Remembering:
    """The encoder, which encodes a text once."""

    def __init__(self, encoder: Encoder) -> None:
        self.id, self.revision, self.dimension = encoder.id, encoder.revision, encoder.dimension
        self._encoder = encoder
        self._known: dict[str, np.ndarray] = {}

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known |= dict(zip(new, self._encoder.encode(new), strict=True))
        return np.array([self._known[text] for text in texts], np.float32)


def task_of(domain: str) -> str:
    """The Hub's pipeline_tag of a domain of Gorilla's."""
    area = next((area for area in _AREAS if domain.startswith(area)), "")
    name = domain if domain == "Audio Classification" else domain.removeprefix(area)
    tag = name.lower().replace(" ", "-")
    return _TAGS.get(tag, tag)


def read(data: Path) -> tuple[list[ModelCard], dict[str, str], list[dict[str, str]]]:
    """The cards, the domain of each, and the requests."""
    rows = [json.loads(line) for line in (data / "corpus.jsonl").read_text().splitlines()]
    cards, domains = {}, {}
    for row in rows:
        domains.setdefault(row["api_name"], row["domain"])
        summary = f"{row['functionality']}. {row['description']}"
        card = ModelCard(id=row["api_name"], task=task_of(row["domain"]), summary=summary, downloads=10_000)
        cards.setdefault(card.id, card)
    requests = [json.loads(line) for line in (data / "dev_queries.jsonl").read_text().splitlines()]
    return list(cards.values()), domains, requests


def harvested(folder: Path, cards: Sequence[ModelCard], encoder: Encoder) -> Index:
    """The index that `hugginggpt index build --from` makes of these cards, written as rows of the Hub."""
    rows = (
        {"id": card.id, "pipeline_tag": card.task, "card": card.summary, "downloads": card.downloads}
        for card in cards
    )
    path = folder / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    watch = refresh.Watch(lambda *_: None, lambda *_: None)
    origin = Origin("custom", str(path))
    refresh.build_from(folder / "harvested", Files(str(path)), origin, lambda: encoder, watch)
    return open_index(folder / "harvested", encoder)


def ways(index: Index, encoder: Encoder) -> dict[str, Search]:
    """Ways to search: request and task → ids, best first."""

    def ids(rows: np.ndarray) -> list[str]:
        return [card.id for card in index.store.rows(rows)]

    def by_words(request: str, task: str | None) -> list[str]:
        return ids(index.store.lexical(request, _DEEP, Filters(task=task))[0])

    def by_meaning(request: str, task: str | None) -> list[str]:
        return ids(index.store.nearest(encoder.encode([request])[0], _DEEP, Filters(task=task))[0])

    def by_ranks(request: str, task: str | None) -> list[str]:
        """Reciprocal rank fusion (Cormack et al., 2009)."""
        scores: dict[str, float] = {}
        for found in (by_words(request, task), by_meaning(request, task)):
            for rank, id_ in enumerate(found, start=1):
                scores[id_] = scores.get(id_, 0) + 1 / (60 + rank)
        return sorted(scores, key=scores.__getitem__, reverse=True)

    return {
        "words (BM25)": by_words,
        "meaning (cosine)": by_meaning,
        "both (RRF)": by_ranks,
        "ours": ours(index),
    }


def ours(index: Index) -> Search:
    """The search of `hugginggpt index search`."""
    return lambda request, task: [hit.card.id for hit in index.search(request, task=task, k=10)]


def asked(request: dict[str, str], index: Index) -> str:
    """What the index calls the task of a request: its tag, the tag's new name, or its model's task."""
    tag = task_of(request["domain"])
    known = next((name for name in (tag, RENAMED.get(tag)) if name in index.info.tasks), None)
    card = index.card(request["api_name"])
    return known or (card.task if card else tag)


def measure(
    search: Search,
    index: Index,
    requests: Sequence[dict[str, str]],
    domains: dict[str, str],
    after: Collection[str] = (),
) -> dict[str, float]:
    """A row of the table. `after` are the requests that an attacker knows."""
    ranks: dict[bool, list[int]] = {False: [], True: []}
    domain, first, poisoned, seconds = 0, 0, 0, 0.0
    for request in requests:
        task, tag = asked(request, index), task_of(request["domain"])
        for within in (False, True):
            began = time.perf_counter()
            found = search(request["query"], tag if within else None)[:10]
            seconds += time.perf_counter() - began
            ranks[within].append(found.index(request["api_name"]) if request["api_name"] in found else 99)
            if not within:
                domain += bool(found) and domains.get(found[0]) == request["domain"]
                best = index.card(found[0]) if found and found[0] in domains else None
                first += best is not None and best.task == task
            elif request["query"] in after:
                poisoned += sum(id_.startswith("mallory") for id_ in found[:5])
    result = {f"R@{k}": float(np.mean(np.array(ranks[False]) < k)) for k in (1, 5, 10)}
    result |= {"domain@1": domain / len(requests), "task@1": first / len(requests)}
    result |= {f"task R@{k}": float(np.mean(np.array(ranks[True]) < k)) for k in (1, 5, 10)}
    attacked = sum(request["query"] in after for request in requests)
    result |= {"poison@5": poisoned / (5 * attacked) if attacked else 0.0}
    return result | {"ms": 500 * seconds / len(requests)}


def poisons(cards: Sequence[ModelCard], requests: Sequence[dict[str, str]]) -> list[ModelCard]:
    """A poisoned card for each request, of each kind of attack in turn."""
    by_id, kinds = {card.id: card for card in cards}, cycle(poison.ATTACKS)
    made = [poison.poisoned(next(kinds), by_id[r["api_name"]], r["query"]) for r in requests]
    return list({card.id: card for card in made}.values())


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "gorilla")
    parser.add_argument("--half", choices=["even", "odd"], help="only these requests")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not (args.data / "corpus.jsonl").exists():
        sys.exit(f"{args.data}: not there; give the folder of Gorilla's corpus.jsonl and dev_queries.jsonl")
    cards, domains, requests = read(args.data)
    requests = requests[{"even": 0, "odd": 1}.get(args.half, 0) :: 2 if args.half else 1]
    bad, known = poisons(cards, requests[::4]), {request["query"] for request in requests[::4]}
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        encoder = Remembering(load_encoder(DEFAULT_ENCODER, Path(folder) / "encoder"))
        encoder.encode([request["query"] for request in requests])
        for label, corpus, after in (("", cards, set()), (", poisoned", [*cards, *bad], known)):
            index = build_index(Path(folder) / f"index{label}", corpus, encoder)
            index.search("once, so that what is made once is made")
            results |= {
                f"{name}{label}": measure(search, index, requests, domains, after)
                for name, search in ways(index, encoder).items()
            }
        index = harvested(Path(folder), cards, encoder)
        results[COUNTS] = measure(ours(index), index, requests, domains)
    if args.json:
        print(json.dumps(results))
        return
    columns = list(next(iter(results.values())))
    print(f"{len(cards)} cards, {len(requests)} requests, {len(bad)} poisoned cards\n")
    print(f"{'':28}" + "".join(f"{column:>11}" for column in columns))
    for name, result in results.items():
        print(f"{name:28}" + "".join(f"{result[column]:11.3f}" for column in columns))
    goals = (f"{GOALS[column]:11.2f}" if column in GOALS else f"{'':11}" for column in columns)
    print(f"{'  its goals':28}" + "".join(goals))


if __name__ == "__main__":
    main()
