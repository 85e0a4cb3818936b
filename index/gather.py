"""Gathers the cards of a source in shards, which an interrupted build keeps.

    staging/gathered.json              of which source
    staging/part-00000.json            how far a part of it is read, and what was left out
    staging/cards-00000-00000.parquet  some thousand rows of that part: id, updated (day), card (JSON of a
                                       ModelCard; null for a model that has no task that is wanted)

A shard is whole or not there, and the state of its part, with its digest, is written behind it: gathering
goes on after the last one, even after a kill. A part of which a shard is not as it was written is read anew.
Parts know nothing of each other, so that several machines can read them.
"""

import hashlib
import logging
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from heapq import heappush, heappushpop
from itertools import chain
from pathlib import Path
from secrets import token_hex

from pydantic import BaseModel, Field, ValidationError

from hugginggpt.index.errors import IndexBuildError
from hugginggpt.index.harvest import Tally, complain_if_all_broken
from hugginggpt.index.manifest import FORMAT
from hugginggpt.index.sources import Part, Source
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.digest import write_atomically

Progress = Callable[[int, float | None], None]
"""Called with how many rows are read, and how much of the source that is, 0 to 1, where that is known."""

Step = tuple[int, int, float | None]
"""Of a part of the source: its number, how many rows of it are read, and how much of it that is, 0 to 1."""

Each = Callable[[Callable[[int], Iterator[Step]], Sequence[int]], Generator[Step]]
"""Reads the parts with these numbers, here or elsewhere, and gives what becomes of each."""

STAGING = "staging"
"""Folder, in that of an index, of what a build has gathered."""

_STATE = "gathered.json"
_SHARD = 5000  # rows
_PATIENCE = 20.0  # seconds of work that an interruption may cost

_log = logging.getLogger(__name__)

_Row = tuple[str, ModelCard | None]
_Place = tuple[int, int]
"""Shard and row."""


class _State(BaseModel):
    """What is gathered in a folder."""

    key: str
    id: str = Field(default_factory=lambda: token_hex(8))
    begun: datetime = Field(default_factory=lambda: datetime.now(UTC))


class _PartState(BaseModel):
    """How far a part is read."""

    cursor: str = ""
    shards: list[str] = []
    """The SHA-256 of each."""
    done: bool = False
    tally: Tally = Tally()


class Gathered:
    """Shards of cards in a folder; of a model that came more than once, only the newest counts.

    With `top`, only so many models count, the most downloaded: of each task, where some are named.
    """

    def __init__(
        self, folder: Path, parts: int, state: _State, tasks: Collection[str] = (), top: int | None = None
    ) -> None:
        self.id, self.tally = state.id, Tally()
        self.begun = state.begun
        """When gathering began, UTC."""
        self.shards: list[Path] = []
        for part in range(parts):
            read = _part_state(folder, part)
            self.tally.add(read.tally)
            self.shards += [_shard(folder, part, number) for number in range(len(read.shards))]
        self._newest, self.repeated = _newest(self.shards)
        self._chosen: set[str] | None = None
        self.models, self.beyond = self.tally.kept, 0
        """How many models count, at most; and how many do not, since others were downloaded more often."""
        if top is not None:
            self._chosen, self.beyond = self._most_downloaded(tasks, top)
            self.models = len(self._chosen)

    def cards(self, shard: int) -> list[ModelCard]:
        """The cards of a shard, in their order."""
        return [
            ModelCard.model_validate_json(card)
            for id_, card in self._rows(shard)
            if card is not None and (self._chosen is None or id_ in self._chosen)
        ]

    def left_out(self) -> Iterator[str]:
        """The ids of models that have no task that is wanted, or are deleted."""
        for shard in range(len(self.shards)):
            yield from (id_ for id_, card in self._rows(shard) if card is None)

    def _most_downloaded(self, tasks: Collection[str], top: int) -> tuple[set[str], int]:
        """The ids of those models, the first of equal ones, and how many others there are."""
        best: defaultdict[str, list[tuple[int, int, str]]] = defaultdict(list)
        count = 0
        for card in chain.from_iterable(self.cards(shard) for shard in range(len(self.shards))):
            heap, count = best[card.task if tasks else ""], count + 1
            (heappush if len(heap) < top else heappushpop)(heap, (card.downloads or 0, -count, card.id))
        chosen = {id_ for heap in best.values() for *_, id_ in heap}
        return chosen, count - len(chosen)

    def _rows(self, shard: int) -> list[tuple[str, str | None]]:
        import pyarrow.parquet as pq  # type: ignore[import-untyped]

        table = pq.read_table(self.shards[shard], columns=["id", "card"])
        rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
        return [pair for row, pair in enumerate(rows) if self._newest.get(pair[0]) in {None, (shard, row)}]


def here(read: Callable[[int], Iterator[Step]], parts: Sequence[int]) -> Generator[Step]:
    """An `Each`: one part after the other, in this process."""
    for part in parts:
        yield from read(part)


def gather(
    source: Source,
    folder: Path,
    tasks: Collection[str] = (),
    progress: Progress | None = None,
    each: Each = here,
    *,
    top: int | None = None,
) -> Gathered:
    """Read all of a source into shards in that folder, or go on where an earlier call was interrupted.

    Cards of these tasks, or of all; with `top`, so many of the most downloaded of each. What another
    source left in the folder is removed first. Blocks. Raises `IndexBuildError`; what is gathered until then
    stays.
    """
    parts = source.parts()
    with _writable(folder):
        state = _resumed(folder, f"{FORMAT} {source.key} {' '.join(sorted(tasks))}")
        states = [_sound_part(folder, part) for part in range(len(parts))]
        missing = [part for part, read in enumerate(states) if not read.done]
        rows = [read.tally.read for read in states]
        shares: list[float | None] = [float(read.done) for read in states]
        each = each if len(missing) > 1 else here  # one part alone tells more of how far it has come
        with closing(each(partial(_read, parts, folder, tasks), missing)) as steps:
            for part, count, share in steps:
                rows[part], shares[part] = count, share
                if progress:
                    known = None not in shares
                    progress(sum(rows), sum(share or 0 for share in shares) / len(parts) if known else None)
        gathered = Gathered(folder, len(parts), state, tasks, top)
    complain_if_all_broken(gathered.tally)
    return gathered


def _read(parts: Sequence[Part], folder: Path, tasks: Collection[str], number: int) -> Iterator[Step]:
    """Read a part into shards; the pages that were read are kept, whatever ends it.

    Raises `IndexBuildError`.
    """
    state = _part_state(folder, number)
    rows: list[_Row] = []
    since = time.monotonic()
    with _writable(folder):
        try:
            for page in parts[number].pages(state.cursor):
                tally = state.tally.model_copy(deep=True)
                rows += [row for where, given in page.rows if (row := tally.row(where, given, tasks))]
                state.tally, state.cursor = tally, page.cursor
                if len(rows) >= _SHARD or time.monotonic() - since > _PATIENCE:
                    _keep(folder, number, state, rows)
                    rows, since = [], time.monotonic()
                yield number, state.tally.read, page.share
            state.done = True
        finally:
            _keep(folder, number, state, rows)
    yield number, state.tally.read, 1.0


def _keep(folder: Path, part: int, state: _PartState, rows: list[_Row]) -> None:
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
        written = pa.BufferOutputStream()
        pq.write_table(table, written, compression="zstd")
        data = written.getvalue()
        path = _shard(folder, part, len(state.shards))
        with path.with_suffix(".part").open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        path.with_suffix(".part").replace(path)
        state.shards.append(hashlib.sha256(data).hexdigest())
    write_atomically(_part_file(folder, part), state.model_dump_json())


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise IndexBuildError(f"{folder}: cannot be written ({reason}); make room and start again") from error


def gathering(folder: Path) -> str:
    """The id of what is gathered in that folder, finished or not; empty where there is nothing."""
    state = _state(folder)
    return state.id if state else ""


def _resumed(folder: Path, key: str) -> _State:
    state = _state(folder)
    if state is None or state.key != key:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        state = _State(key=key)
        write_atomically(folder / _STATE, state.model_dump_json())
    return state


def _state(folder: Path) -> _State | None:
    try:
        return _State.model_validate_json((folder / _STATE).read_bytes())
    except (OSError, ValidationError):
        return None  # nothing there, or nothing that can be gone on with


def _sound_part(folder: Path, part: int) -> _PartState:
    """How far a part is read; it is to be read anew where a shard is not as it was written."""
    state = _part_state(folder, part)
    shards = (_shard(folder, part, number) for number in range(len(state.shards)))
    if all(_sound(shard, digest) for shard, digest in zip(shards, state.shards, strict=True)):
        return state
    _log.warning("%s: a shard of part %s is missing or damaged; the part is read anew", folder, part)
    _part_file(folder, part).unlink()
    return _PartState()


def _sound(path: Path, digest: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == digest
    except OSError:
        return False


def _part_state(folder: Path, part: int) -> _PartState:
    try:
        return _PartState.model_validate_json(_part_file(folder, part).read_bytes())
    except (OSError, ValidationError):
        return _PartState()  # not there, or damaged: read again


def _part_file(folder: Path, part: int) -> Path:
    return folder / f"part-{part:05}.json"


def _shard(folder: Path, part: int, number: int) -> Path:
    return folder / f"cards-{part:05}-{number:05}.parquet"


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
