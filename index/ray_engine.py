"""Embeds the shards of a build with Ray Data, on as many machines as the Ray cluster has.

Shards of cards in, chunks of vectors out, through a folder that all the machines see; what is there already
is not made again. The work of a shard is that of embedding.py. Where no cluster runs, one is started on this
machine, open to nobody else, and ended with the build.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hugginggpt.index import embedding
from hugginggpt.index.errors import IndexBuildError
from hugginggpt.index.gather import Gathered
from hugginggpt.tools.encoder import Encoder


def embed(
    gathered: Gathered,
    encoder: Callable[[], Encoder],
    total: int,
    progress: embedding.Progress | None,
    keep: Path,
) -> None:
    """Embed all shards and keep the vectors in that folder, for `embedding.embedded` to find. Blocks.

    `encoder` is called once on each machine; `total` is how many cards there are. Raises `IndexBuildError`.
    """
    with _cluster() as ray:
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        shards = ray.data.from_items([{"shard": shard} for shard in range(len(gathered.shards))])
        done = shards.map(
            _Worker,
            fn_constructor_args=(gathered, encoder, total, keep),
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=len(machines)),
            # A worker takes a whole machine: its encoder uses all cores, or all graphics processors.
            num_gpus=min(int(resources.get("GPU", 0)) for resources in machines),
            scheduling_strategy="SPREAD",
        )
        models = 0
        try:
            for row in done.iter_rows():
                models += row["models"]
                if progress:
                    progress(models, total)
        except ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error
            raise IndexBuildError(
                f"Ray failed ({str(cause).strip().splitlines()[-1]}); finished shards are kept: run "
                "the same command again. An index that was there is unchanged"
            ) from error


class _Worker:
    """Embeds one shard after the other."""

    def __init__(self, gathered: Gathered, encoder: Callable[[], Encoder], total: int, keep: Path) -> None:
        self._gathered, self._keep = gathered, keep
        self._encoder = embedding.fitting(encoder(), total)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        cards = self._gathered.cards(row["shard"])
        for _ in embedding.embedded([cards], self._encoder, len(cards), keep=self._keep):
            pass
        return {"shard": row["shard"], "models": len(cards)}


@contextmanager
def _cluster() -> Iterator[Any]:
    """Ray, on the cluster that RAY_ADDRESS or this machine names, else on one of its own."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise IndexBuildError(
            "Ray is not installed; install it with `pip install 'hugginggpt[ray]'`"
        ) from error
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        ray.init(address="auto", **quiet)
    except ConnectionError:
        ray.init(address="local", include_dashboard=False, _node_ip_address="127.0.0.1", **quiet)
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield ray
    finally:
        ray.shutdown()
