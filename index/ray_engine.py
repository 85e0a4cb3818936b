"""Reads and embeds the shards of a build with Ray Data, on as many machines as the Ray cluster has.

Parts of a source in, shards of cards out; then shards of cards in, chunks of vectors out: through a folder
that all the machines see, where what is there already is not made again. The work is that of gather.py and
embedding.py; here it is only handed out. Where no cluster runs, one is started on this machine, open to
nobody else, and ended with the build.
"""

import logging
import os
import socket
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hugginggpt.index import embedding
from hugginggpt.index.errors import IndexBuildError, ModelIndexError
from hugginggpt.index.gather import Gathered, Step
from hugginggpt.tools.encoder import Encoder, EncoderError

_PATIENCE = 5.0  # seconds
_AGAIN = "finished shards are kept: run the same command again. An index that was there is unchanged"


class Cluster:
    """A Ray cluster that is connected."""

    def __init__(self, ray: Any) -> None:  # noqa: ANN401 - the module, which is imported only where it is used
        self._ray = ray

    def each(self, read: Callable[[int], Iterator[Step]], parts: Sequence[int]) -> Generator[Step]:
        """An `Each` of gather.py: a part on every core. Raises `IndexBuildError`."""

        def rows_of(part: int) -> int:
            *_, (_, rows, _) = read(part)
            return rows

        for part, rows in self._mapped(lambda row: _outcome(rows_of, row), parts):
            yield part, rows, 1.0

    def embed(
        self,
        gathered: Gathered,
        encoder: Callable[[], Encoder],
        total: int,
        progress: embedding.Progress | None,
        keep: Path,
    ) -> None:
        """Embed all shards and keep the vectors in that folder, for `embedding.embedded` to find. Blocks.

        `encoder` is called once on each machine; `total` is how many cards there are. Raises
        `IndexBuildError`.
        """
        machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        done = 0
        for _, models in self._mapped(
            _Embedder,
            range(len(gathered.shards)),
            fn_constructor_args=(gathered, encoder, total, keep),
            compute=self._ray.data.ActorPoolStrategy(min_size=1, max_size=len(machines)),
            # A worker takes a whole machine: its encoder uses all cores, or all graphics processors.
            num_gpus=min(int(resources.get("GPU", 0)) for resources in machines),
        ):
            done += models
            if progress:
                progress(done, total)

    def _mapped(self, work: Any, numbers: Sequence[int], **how: Any) -> Iterator[tuple[int, int]]:  # noqa: ANN401 - as Ray Data takes them
        """The numbers with what the work on each has done, as each is finished."""
        if not numbers:
            return
        rows = [{"number": number} for number in numbers]
        try:
            for row in (
                self._ray.data.from_items(rows, override_num_blocks=len(rows)).map(work, **how).iter_rows()
            ):
                if row["wrong"]:
                    raise IndexBuildError(row["wrong"])
                yield row["number"], row["done"]
        except self._ray.exceptions.RayError as error:
            raise IndexBuildError(f"Ray failed ({str(error).strip().splitlines()[0]}); {_AGAIN}") from error


class _Embedder:
    """Embeds one shard after the other."""

    def __init__(self, gathered: Gathered, encoder: Callable[[], Encoder], total: int, keep: Path) -> None:
        self._gathered, self._make, self._total, self._keep = gathered, encoder, total, keep

    def __call__(self, row: dict[str, int]) -> dict[str, Any]:
        return _outcome(self._embed, row)

    @cached_property
    def _encoder(self) -> Encoder:
        return embedding.fitting(self._make(), self._total)

    def _embed(self, shard: int) -> int:
        cards = self._gathered.cards(shard)
        for _ in embedding.embedded([cards], self._encoder, len(cards), keep=self._keep):
            pass
        return len(cards)


def _outcome(work: Callable[[int], int], row: dict[str, int]) -> dict[str, Any]:
    """What the work on a number has done, or what is wrong, as the driver is to tell it."""
    try:
        return {**row, "done": work(row["number"]), "wrong": ""}
    except (ModelIndexError, EncoderError) as error:
        return {**row, "done": 0, "wrong": str(error)}
    except Exception as error:  # noqa: BLE001 - Ray Data's own error does not say what was raised
        return {**row, "done": 0, "wrong": f"{type(error).__name__} in a worker of Ray: {error}; {_AGAIN}"}


@contextmanager
def cluster() -> Iterator[Cluster]:
    """The cluster that RAY_ADDRESS or this machine names, else one of its own. Raises `IndexBuildError`."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise IndexBuildError(
            "Ray is not installed; install it with `pip install 'hugginggpt[ray]'`"
        ) from error
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        _knock(os.environ.get("RAY_ADDRESS", ""))
        ray.init(address="auto", **quiet)
    except (OSError, ValueError) as error:
        if "RAY_ADDRESS" in os.environ:
            raise IndexBuildError(
                f"RAY_ADDRESS: no Ray cluster is there ({error}); unset it to build on this machine alone"
            ) from error
        ray.init(address="local", include_dashboard=False, _node_ip_address="127.0.0.1", **quiet)
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    try:
        yield Cluster(ray)
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raises `OSError` or `ValueError` where nobody listens: Ray would wait for minutes."""
    named = urlsplit(address if "://" in address else f"//{address}")
    if named.hostname and named.port:
        socket.create_connection((named.hostname, named.port), timeout=_PATIENCE).close()
