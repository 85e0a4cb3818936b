"""Opens the index in use, with its own encoder; builds the starter index where there is none."""

from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Lock

from hugginggpt.index import build, harvest, manifest
from hugginggpt.index.errors import CorruptIndexError, NoIndexError, OtherEncoderError
from hugginggpt.index.manifest import IndexInfo
from hugginggpt.index.search import Index
from hugginggpt.index.store import Store
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.encoder import Encoder, EncoderError, load_encoder


def build_index(
    folder: Path, cards: Iterable[ModelCard], encoder: Encoder, progress: build.Progress | None = None
) -> Index:
    """Build an index of the cards in that folder, switch to it, and open it. Raises `IndexBuildError`."""
    with build.lock(folder):
        build.build(folder, cards, encoder, "custom", progress)
        return open_index(folder, encoder)


def build_starter(folder: Path, encoder: Encoder, progress: build.Progress | None = None) -> Index:
    """Build the index of the models that come listed with this package. Raises `IndexBuildError`."""
    with build.lock(folder):
        build.build(folder, harvest.starter_cards(), encoder, harvest.starter_source(), progress)
        return open_index(folder, encoder)


def open_index(folder: Path, encoder: Encoder) -> Index:
    """The index in use. Raises `NoIndexError`, `CorruptIndexError` or `OtherEncoderError`."""
    return _opened_with(folder, lambda _: encoder)


def open_with_own(folder: Path, cache: Path, named: str = "", moved: str = "") -> Index:
    """The index in use, with the encoder that it was built with: see `own_encoder`.

    Raises `NoIndexError`, `CorruptIndexError`, `OtherEncoderError` or `EncoderError`.
    """
    return _opened_with(folder, lambda info: own_encoder(folder, info, cache, named, moved))


def own_encoder(folder: Path, info: IndexInfo, cache: Path, named: str = "", moved: str = "") -> Encoder:
    """The encoder that the index in that folder was built with. Blocks.

    `cache` is `load_encoder`'s. `named` is what somebody takes for the encoder: its id, or the folder where
    it is now. `moved` is a folder where it is looked for if it is not where it was. Raises
    `OtherEncoderError` where `named` is another, `EncoderError` where it cannot be had.
    """
    if named and named != info.encoder and not Path(named).is_dir():
        raise OtherEncoderError(manifest.other_encoder(folder, info, named))
    try:
        return load_encoder(named or info.encoder, cache, info.encoder_revision)
    except EncoderError as error:
        if moved and not named and Path(moved).is_dir():
            return own_encoder(folder, info, cache, moved)
        raise EncoderError(f"{folder}: the encoder that it was built with cannot be had: {error}") from error


def _opened_with(folder: Path, encoder: Callable[[IndexInfo], Encoder]) -> Index:
    info = manifest.index_info(folder)
    try:
        return _open(folder, info, encoder(info))
    except CorruptIndexError:
        # Another process may have switched to a new index, and removed the old files, in between.
        if (now := manifest.index_info(folder)) == info:
            raise
        return _open(folder, now, encoder(now))


def _open(folder: Path, info: IndexInfo, encoder: Encoder) -> Index:
    manifest.verify(folder, info, encoder)
    return Index(Store(folder, info), encoder)


_lock = Lock()
_opened: dict[tuple[Path, str, Path], tuple[int, Index]] = {}


def ensure_index(folder: Path, encoder: str, cache: Path) -> Index:
    """The index in use, opened once per process; again when another process has built a new one.

    An index that somebody made is opened with the encoder that it was built with, also where that is a folder
    that is at `encoder` now. Where there is none, the starter index is built with `encoder`, a model id, and
    so it is where a starter index is damaged, out of date or of another encoder. `cache` is `load_encoder`'s.
    Raises `ModelIndexError` where an index that somebody made is unusable, `EncoderError` where an encoder
    cannot be had.
    """
    key = (folder.resolve(), encoder, cache.resolve())
    with _lock:
        known = _opened.get(key)
        if known and known[0] == _stamp(folder):
            return known[1]
        index = _ensure(folder, encoder, cache)
        _opened[key] = (_stamp(folder), index)
        return index


def _stamp(folder: Path) -> int:
    path = folder / manifest.NAME
    return path.stat().st_mtime_ns if path.exists() else 0


def _ensure(folder: Path, encoder: str, cache: Path) -> Index:
    if index := _usable(folder, encoder, cache):
        return index
    with build.lock(folder):
        if index := _usable(folder, encoder, cache):  # made by another process while this one waited
            return index
        loaded = load_encoder(encoder, cache)
        build.build(folder, harvest.starter_cards(), loaded, harvest.starter_source(), None)
        return open_index(folder, loaded)


def _usable(folder: Path, encoder: str, cache: Path) -> Index | None:
    """The index in use; None where the starter index has to be built."""
    try:
        info = manifest.index_info(folder)
        starter = info.source.startswith("starter:")
        if starter and (info.source, info.encoder) != (harvest.starter_source(), encoder):
            return None
        return open_with_own(folder, cache, moved=encoder)
    except NoIndexError:
        return None
    except (CorruptIndexError, EncoderError):
        if manifest.only_starter(folder):
            return None
        raise
