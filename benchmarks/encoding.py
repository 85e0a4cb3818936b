"""How fast cards are embedded, and what it costs: `python benchmarks/encoding.py [--cards N] [--fit N]`.

Four ways, in one process and in turns, medians: sentence-transformers' own loop with its defaults, which is
1.0; the exported encoder; the same for very many texts; a table of tokens. Speed is on real cards of the Hub,
quality on Gorilla's, to which the table was not fitted: R@10, the share of requests whose model is among the
first ten of 936. Needs ../shared/data.
"""

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
from numpy.typing import NDArray

from hugginggpt.graph.context import Home
from hugginggpt.index import read_cards
from hugginggpt.index.embedding import text_of
from hugginggpt.tools import encoder as encoders
from hugginggpt.tools.card import ModelCard

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
HUB, GORILLA = DATA / "hub_models_2022.jsonl.gz", DATA / "gorilla"
SAYS_SOMETHING = 80  # characters of a summary
Vectors = NDArray[np.float32]
Encode = Callable[[list[str]], Vectors]


def main() -> None:
    """Prints a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cards", type=int, default=256, help="cards of a round (default 256)")
    parser.add_argument("--rounds", type=int, default=3, help="default 3")
    parser.add_argument(
        "--fit", type=int, default=6000, help="cards that the table is fitted to (default 6000)"
    )
    args = parser.parse_args()
    if not HUB.exists() or not GORILLA.exists():
        sys.exit(f"needs {DATA}, which is not here: nothing was measured")
    texts = [text_of(card) for card in read_cards(HUB) if len(card.summary) >= SAYS_SOMETHING]
    random.Random(0).shuffle(texts)
    home = Home.from_environment()
    encoder = encoders.load_encoder(home.encoder, home.encoder_cache)
    ways = ways_to_encode(encoder, home, texts[: args.fit])
    recall = {way: recall_at_10(encode, encoder.encode) for way, encode in ways.items()}
    rates = speeds(ways, texts[args.fit :], args.cards, args.rounds)
    print(f"{'':22} {'cards/s':>9} {'× plain':>9} {'R@10':>7} {'of plain':>9}")
    for way, rate in rates.items():
        speed, quality = rate / rates["plain loop"], recall[way] / recall["plain loop"]
        print(f"{way:22} {rate:9.1f} {speed:9.2f} {recall[way]:7.3f} {quality:9.3f}")


def ways_to_encode(encoder: encoders.Encoder, home: Home, sample: list[str]) -> dict[str, Encode]:
    """The ways by name; the table is fitted to the sample."""
    plain = encoders.sentence_transformer(encoders.files_of(home.encoder, home.encoder_cache).folder)
    bulk = encoders.bulk_encoder(encoder)
    start = time.perf_counter()
    table = encoders.fit_table(encoder, sample, bulk.encode(sample))
    print(f"a table was fitted to {len(sample)} cards in {time.perf_counter() - start:.0f} s")
    return {
        "plain loop": lambda texts: np.asarray(plain.encode(texts, normalize_embeddings=True)),
        "exported": encoder.encode,
        "for very many": bulk.encode,
        "table": encoders.static_encoder(encoder, table).encode,
    }


def speeds(ways: dict[str, Encode], texts: list[str], cards: int, rounds: int) -> dict[str, float]:
    """Cards per second of each way: the median of rounds, in each of which all have the same cards."""
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds):
        part = texts[number * cards : (number + 1) * cards]
        for way, encode in ways.items():
            start = time.perf_counter()
            encode(part)
            taken[way].append((time.perf_counter() - start) / len(part))
    return {way: 1 / statistics.median(seconds) for way, seconds in taken.items()}


def recall_at_10(encode: Encode, read: Encode) -> float:
    """Of Gorilla's requests, read by `read`, the share whose model is among the ten nearest cards."""
    cards = [json.loads(line) for line in (GORILLA / "corpus.jsonl").read_text().splitlines()]
    requests = [json.loads(line) for line in (GORILLA / "dev_queries.jsonl").read_text().splitlines()]
    texts = [
        text_of(
            ModelCard(id=card["api_name"], task=str(card["functionality"]), summary=card["description"] or "")
        )
        for card in cards
    ]
    cosines = read([request["query"] for request in requests]) @ encode(texts).T
    nearest = np.argsort(-cosines, axis=1)[:, :10]
    ids = np.array([card["api_name"] for card in cards])
    wanted = np.array([request["api_name"] for request in requests])
    return float(np.mean((ids[nearest] == wanted[:, None]).any(axis=1)))


if __name__ == "__main__":
    main()
