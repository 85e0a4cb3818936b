"""Builds an index in a process of its own: `index_script.py FOLDER CACHE HOW`."""

import os
import resource
import signal
import sys
from pathlib import Path

from hugginggpt.index import ModelIndexError, build_index, ensure_index, manifest
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.encoder import DEFAULT_ENCODER, load_encoder


class Dying:
    """An encoder whose process is killed when it has worked a while."""

    def __init__(self, encoder):
        self.id, self.revision, self.dimension = encoder.id, encoder.revision, encoder.dimension
        self._encoder, self._calls = encoder, 0

    def encode(self, texts):
        self._calls += 1
        if self._calls == 2:
            os._exit(9)
        return self._encoder.encode(texts)


def cards(number):
    return [ModelCard(id=f"new/{n}", task="translation", summary=f"Model {n}.") for n in range(number)]


folder, cache, how = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
encoder = load_encoder(DEFAULT_ENCODER, cache)
try:
    if how == "starter":
        sys.stdout.write(str(ensure_index(folder, DEFAULT_ENCODER, cache).info.models) + "\n")
    elif how == "killed while it embeds":
        build_index(folder, cards(600), Dying(encoder))
    elif how == "killed before the switch":
        manifest.switch = lambda *_: os._exit(9)
        build_index(folder, cards(3), encoder)
    elif how == "no space":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), resource.RLIM_INFINITY))
        build_index(folder, cards(300), encoder)
except ModelIndexError as error:
    sys.exit(f"{type(error).__name__}: {error}")
