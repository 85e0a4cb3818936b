"""Gathers the cards of a source in shards, which an interrupted build keeps.

    staging/gathered.json        of which source, how far, and what was left out
    staging/cards-00000.parquet  some thousand rows: id, updated (day), card (JSON of a ModelCard; null for a
                                 model that has no task that is wanted)

A shard is whole or not there, and the state is written behind it: gathering goes on after the last one, even
after a kill.
"""

import shutil
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from hugginggpt.index.errors import IndexBuildError
from hugginggpt.index.harvest import Tally, complain_if_all_broken
from hugginggpt.index.sources import Source
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.digest import write_atomically

Progress = Callable[[int, float | None], None]
"""Called with how many rows are read, and how much of the source that is, 0 to 1, where that is known."""

_STATE = "gathered.json"
_SHARD = 5000  # rows
_PATIENCE = 20.0  # seconds of work that an interruption may cost

_Row = tuple[str, ModelCard | None]
_Place = tuple[int, int]
"""Shard and row."""


class _State(BaseModel):
    """How far gathering has come."""

    key: str
    begun: datetime = Field(default_factory=lambda: datetime.now(UTC))
    cursor: str = ""
    shards: int = 0
    done: bool = False
    tally: Tally = Tally()


class Gathered:
    """Shards of cards in a folder; of a model that came more than once, only the newest counts."""

    def __init__(self, folder: Path, state: _State) -> None:
        self.tally = state.tally
        self.begun = state.begun
        """When gathering began, UTC."""
        self.shards = [_shard(folder, number) for number in range(state.shards)]
        self._newest, self.repeated = _newest(self.shards)

    def cards(self, shard: int) -> list[ModelCard]:
        """The cards of a shard, in their order."""
        return [ModelCard.model_validate_json(card) for _, card in self._rows(shard) if card is not None]

    def left_out(self) -> Iterator[str]:
        """The ids of models that have no task that is wanted, or are deleted."""
        for shard in range(len(self.shards)):
            yield from (id_ for id_, card in self._rows(shard) if card is None)

    def _rows(self, shard: int) -> list[tuple[str, str | None]]:
        import pyarrow.parquet as pq  # type: ignore[import-untyped]

        table = pq.read_table(self.shards[shard], columns=["id", "card"])
        rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
        return [pair for row, pair in enumerate(rows) if self._newest.get(pair[0]) in {None, (shard, row)}]


def gather(
    source: Source, folder: Path, tasks: Collection[str] = (), progress: Progress | None = None
) -> Gathered:
    """Read all of a source into shards in that folder, or go on where an earlier call was interrupted.

    Cards of these tasks, or of all. What another source left in the folder is removed first. Blocks. Raises
    `IndexBuildError`; what is gathered until then stays.
    """
    try:
        state = _resumed(folder, f"{source.key} {' '.join(sorted(tasks))}")
        if not state.done:
            _read(source, folder, state, tasks, progress)
            complain_if_all_broken(state.tally)
            state.done = True
            _save(folder, state)
        return Gathered(folder, state)
    except OSError as error:
        reason = error.strerror or str(error)
        raise IndexBuildError(f"{folder}: cannot be written ({reason}); make room and start again") from error


def _read(
    source: Source, folder: Path, state: _State, tasks: Collection[str], progress: Progress | None
) -> None:
    """Whatever ends it, the pages that were read are kept."""
    rows: list[_Row] = []
    since = time.monotonic()
    try:
        for page in source.pages(state.cursor):
            tally = state.tally.model_copy(deep=True)
            rows += [row for where, given in page.rows if (row := tally.row(where, given, tasks))]
            state.tally, state.cursor = tally, page.cursor
            if len(rows) >= _SHARD or time.monotonic() - since > _PATIENCE:
                _keep(folder, state, rows)
                rows, since = [], time.monotonic()
            if progress:
                progress(state.tally.read, page.share)
    finally:
        _keep(folder, state, rows)


def _keep(folder: Path, state: _State, rows: list[_Row]) -> None:
    """Write a shard, then the state that names it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if rows:
        table = pa.table(
            {
                "id": pa.array([id_ for id_, _ in rows], pa.string()),
                "updated": pa.array([card and card.updated for _, card in rows], pa.date32()),
                "card": pa.array(
                    [card and card.model_dump_json(exclude_defaults=True) for _, card in rows], pa.string()
                ),
            }
        )
        path = _shard(folder, state.shards)
        pq.write_table(table, path.with_suffix(".part"), compression="zstd")
        path.with_suffix(".part").replace(path)
        state.shards += 1
    _save(folder, state)


def _save(folder: Path, state: _State) -> None:
    write_atomically(folder / _STATE, state.model_dump_json())


def _resumed(folder: Path, key: str) -> _State:
    try:
        state = _State.model_validate_json((folder / _STATE).read_bytes())
        if state.key == key:
            return state
    except (OSError, ValidationError):
        pass  # nothing there, or nothing that can be gone on with
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return _State(key=key)


def _shard(folder: Path, number: int) -> Path:
    return folder / f"cards-{number:05}.parquet"


def _newest(shards: Sequence[Path]) -> tuple[dict[str, _Place], int]:
    """Where the newest card of every id is that came more than once, and how many others there are of them.

    Of cards of the same day it is the last; a model without a card counts as old.
    """
    import pyarrow as pa
    import pyarrow.compute as pc  # type: ignore[import-untyped]
    import pyarrow.parquet as pq

    tables = [pq.read_table(shard, columns=["id", "updated"]) for shard in shards]
    if not tables:
        return {}, 0
    counted = pa.concat_tables(tables).group_by("id").aggregate([("id", "count")])
    several = counted.filter(pc.greater(counted["id_count"], 1))
    repeated = set(several["id"].to_pylist())
    newest: dict[str, tuple[str, _Place]] = {}
    for number, table in enumerate(tables) if repeated else ():
        for row, (id_, day) in enumerate(zip(*(column.to_pylist() for column in table.columns), strict=True)):
            if id_ in repeated:
                newest[id_] = max(newest.get(id_, ("", (0, 0))), (str(day or ""), (number, row)))
    places = {id_: place for id_, (_, place) in newest.items()}
    return places, sum(several["id_count"].to_pylist()) - len(places)
