"""Builds an index slowly, in a process of its own: `build_script.py FOLDER CARDS NOTES [ray [TOLD]]`.

A line in NOTES for every text that was embedded and kept; in TOLD, what became of the rows.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from hugginggpt.index import refresh
from hugginggpt.index.origin import Origin
from hugginggpt.index.sources import Files


class Slow:
    """An encoder of words' hashes; a chunk takes it a while."""

    id, revision, dimension = "test/slow", "1", 16

    def __init__(self, notes=None, seconds=0.0):
        self._notes, self._seconds = notes, seconds

    def encode(self, texts):
        vectors = np.zeros((len(texts), self.dimension), np.float32)
        for row, text in enumerate(texts):
            for word in text.split():
                vectors[row] += np.random.default_rng([*word.encode()]).normal(size=self.dimension)
        time.sleep(self._seconds)
        if self._notes:
            with self._notes.open("a") as file:
                file.write("".join(f"{text}\n" for text in texts))
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def build(folder, cards, encoder, engine="local"):
    """An index of the file's cards."""
    watch = refresh.Watch(lambda *_: None, lambda *_: None)
    return refresh.build_from(
        folder, Files(str(cards)), Origin("custom", str(cards)), lambda: encoder, watch, engine=engine
    )


if __name__ == "__main__":
    folder, cards, notes = map(Path, sys.argv[1:4])
    outcome = build(folder, cards, Slow(notes, 0.1), *sys.argv[4:5])
    for told in sys.argv[5:]:
        tally = outcome.tally.model_dump(include={"read", "kept", "left_out", "broken"})
        Path(told).write_text(json.dumps({**tally, "repeated": outcome.repeated}))
