"""Builds an index from a source, and brings one up to date from the Hub: gather, embed, write.

What is gathered and embedded waits in a folder beside the index until it is written: the same call goes on
behind it.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from itertools import chain
from pathlib import Path
from typing import Literal

from hugginggpt.index import build, embedding, harvest, manifest, ray_engine
from hugginggpt.index.errors import IndexBuildError
from hugginggpt.index.figures import ask
from hugginggpt.index.gather import STAGING, Gathered, Progress, gather, here
from hugginggpt.index.harvest import Tally
from hugginggpt.index.hub import HubModels
from hugginggpt.index.manifest import IndexInfo
from hugginggpt.index.origin import Origin
from hugginggpt.index.sources import Source
from hugginggpt.index.store import Store
from hugginggpt.index.write import update_index, write_index
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.encoder import Encoder, static_encoder, table_of

Engine = Literal["local", "ray"]

_CHANGES, _VECTORS = "staging-update", "vectors"
_OVERLAP = timedelta(hours=1)  # clocks may differ; what is gathered twice does no harm


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told how far a build has come."""

    gathered: Progress
    embedded: embedding.Progress
    figures: Progress = lambda *_: None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a build or an update did."""

    info: IndexInfo
    tally: Tally
    repeated: int
    """Rows of models that came more than once, but for the newest of each."""
    beyond: int
    """Models that were downloaded too seldom to be wanted."""
    changed: int
    """Models that were written."""
    refreshed: int
    """Models of which nothing but downloads and likes was written."""
    removed: int
    """Models that were taken out."""


def build_from(
    folder: Path,
    source: Source,
    origin: Origin,
    encoder: Callable[[], Encoder],
    watch: Watch,
    *,
    top: int | None = None,
    table: bool = False,
    engine: Engine = "local",
) -> Outcome:
    """Build an index of a source's models and switch to it. Blocks.

    Models that come inside packages join those of the Hub. With `top`, only so many of the source's are
    taken, the most downloaded of each task of the origin, or of all. `encoder` is called when all are
    gathered; with `table`, cards are embedded by one of tokens in its place, see tools/encoder_static.py.
    With the engine `ray`, they are read and embedded on all machines of a Ray cluster, which see the folder.
    Raises `ModelIndexError` or `EncoderError`; the index that was in use then still is, and what is gathered
    and embedded stays.
    """
    folder = folder.absolute()  # workers of Ray are elsewhere
    with build.lock(folder), ray_engine.cluster() if engine == "ray" else nullcontext() as cluster:
        each = cluster.each if cluster else here
        gathered = gather(source, folder / STAGING, origin.tasks, watch.gathered, each, top=top)
        if not gathered.tally.kept:
            raise IndexBuildError(_none_kept(gathered.tally, origin))
        packaged = [*_packaged(origin)]
        parts, total = chain(_parts(gathered), [packaged]), gathered.models + len(packaged)
        loaded, keep = encoder(), folder / STAGING / _VECTORS
        maker = _table(gathered, encoder, keep) if table else encoder
        fast = maker()
        if cluster:
            cluster.embed(gathered, maker, total, watch.embedded, keep)
        blocks = embedding.embedded(parts, fast, total, watch.embedded, keep)
        source_now = str(replace(origin, until=_until(origin, gathered)))
        info = write_index(folder, blocks, loaded, source_now, table_of(fast), gathered.id)
        shutil.rmtree(folder / STAGING)
    return Outcome(info, gathered.tally, gathered.repeated, gathered.beyond, info.models, 0, 0)


def update(
    folder: Path,
    encoder: Callable[[IndexInfo], Encoder],
    watch: Watch,
    *,
    deleted: bool = False,
    texts: bool = True,
    figures: bool | None = None,
) -> Outcome:
    """Take in what changed on the Hub since the index was made. Blocks; readers are not disturbed.

    Models that have no task of the index any more are removed, and those that are gone before their card is
    fetched; with `deleted`, all that the Hub does not have any more. With `figures`, downloads and likes of
    models that did not change are read too, see figures.py; where it is None, they are for `deleted`, and
    where the index is of the Hub's most downloaded models. New models join only an index that is meant to be
    whole. Without `texts`, no cards are fetched, and summaries stay as they are. `encoder` gives the one that
    the index was built with. Raises `ModelIndexError` or `EncoderError`; the index in use then still is.
    """
    manifest.index_info(folder)  # where there is none, the lock would make its folder
    with build.lock(folder):
        info = manifest.index_info(folder)
        origin = _updatable(folder, info)
        loaded = encoder(info)
        manifest.verify(folder, info, loaded)
        store = Store(folder, info)
        models = HubModels(since=origin.until, texts=texts)
        gathered = gather(models, folder / _CHANGES, origin.tasks, watch.gathered)
        removed = [id_ for id_ in gathered.left_out() if store.card(id_)]
        changed = [*_changed(gathered, store, origin, texts=texts)]
        if figures is None:
            figures = deleted or (origin.kind == "hub" and not origin.whole)
        said = ask(store, models, origin, watch.figures) if figures or deleted else None
        removed += said.gone if said and deleted else []
        written = store.rows_of([card.id for card in changed])
        news, refreshed = said.changed(store, [*written.values()]) if said and figures else ({}, 0)
        keep = folder / _CHANGES / _VECTORS
        # Vectors of one index come of one encoder.
        fast = static_encoder(loaded, manifest.read_array(folder, info.table)) if info.table else loaded
        blocks = embedding.embedded([changed], fast, len(changed), watch.embedded, keep)
        updated = replace(origin, until=gathered.begun - _OVERLAP)
        info = update_index(folder, blocks, removed, str(updated), news)
        shutil.rmtree(folder / _CHANGES)
    return Outcome(info, gathered.tally, gathered.repeated, 0, len(changed), refreshed, len(removed))


def _none_kept(tally: Tally, origin: Origin) -> str:
    wanted = f" of {', '.join(origin.tasks)}" if origin.tasks else " whose task is stated or clear"
    return f"{origin.where or 'the Hub'}: no model{wanted} among {tally.read} rows; there is nothing to build"


def _table(gathered: Gathered, encoder: Callable[[], Encoder], keep: Path) -> Callable[[], Encoder]:
    sample = embedding.sample_of(_parts(gathered), gathered.models)
    return lambda: embedding.table_for(sample, encoder(), keep)


def _parts(gathered: Gathered) -> Iterator[list[ModelCard]]:
    yield from (gathered.cards(shard) for shard in range(len(gathered.shards)))


def _changed(gathered: Gathered, store: Store, origin: Origin, *, texts: bool) -> Iterator[ModelCard]:
    for card in chain.from_iterable(_parts(gathered)):
        known = store.card(card.id)
        if known and not texts:
            yield card.model_copy(update={"summary": known.summary})
        elif known or origin.whole:
            yield card


def _packaged(origin: Origin) -> Iterator[ModelCard]:
    for card in harvest.starter_cards() if origin.kind == "hub" else ():
        if card.builtin and (not origin.tasks or card.task in origin.tasks):
            yield card


def _until(origin: Origin, gathered: Gathered) -> datetime | None:
    """Until when changes are in it; for files, the last day that a model of theirs was changed."""
    if origin.kind == "hub":
        return gathered.begun - _OVERLAP
    newest = gathered.tally.newest
    return datetime.combine(newest, time(), UTC) if newest else None


def _updatable(folder: Path, info: IndexInfo) -> Origin:
    origin = Origin.parse(info.source)
    if origin.kind == "starter":
        raise IndexBuildError(
            f"{folder}: is the starter index, which is not of the Hub; "
            "make one that is with `hugginggpt index build --top 10000`"
        )
    if origin.until is None:
        raise IndexBuildError(
            f"{folder}: {origin.where or 'its source'} did not say when its models were changed "
            "(lastModified); build the index again"
        )
    return origin
