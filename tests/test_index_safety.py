import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hugginggpt.app.bars import watched
from hugginggpt.index import (
    CorruptIndexError,
    IndexBuildError,
    NoIndexError,
    OtherEncoderError,
    build,
    build_index,
    build_starter,
    ensure_index,
    harvest,
    manifest,
    open_index,
    starter_cards,
    wishes,
)
from hugginggpt.index.errors import ForeignFolderError, OtherFormatError
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.encoder import DEFAULT_ENCODER, load_encoder

SCRIPT = Path(__file__).with_name("index_script.py")
OLD = ModelCard(id="a/old", task="translation", summary="Translates.")


@pytest.fixture
def encoder(shared):
    return load_encoder(DEFAULT_ENCODER, shared / "encoder")


@pytest.fixture
def ensured(shared):
    return lambda folder: ensure_index(folder, DEFAULT_ENCODER, shared / "encoder")


class Other:
    """Another encoder, as far as an index can tell before it encodes anything."""

    dimension = 384

    def __init__(self, revision="1"):
        self.id, self.revision = "other/encoder", revision


@pytest.fixture
def start(shared, encoder):
    """Starts the script that builds in a process of its own."""

    def run(folder, how, *more):
        return subprocess.Popen(
            [sys.executable, SCRIPT, folder, shared / "encoder", how, *map(str, more)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return run


def stored(folder):
    """Names of the files of segments that are there, finished or not."""
    return sorted(
        path.name
        for path in folder.iterdir()
        if any(f".{kind}" in path.name for kind in (*manifest.KINDS, *manifest.OWN_KINDS))
    )


def restated(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def used(folder):
    return sorted({file.name.partition("/")[0] for file in manifest.index_info(folder).files})


@pytest.mark.parametrize("how", ["killed while it embeds", "killed before the switch"])
def test_a_killed_build_leaves_the_index_in_use_whole(tmp_path, encoder, start, how):
    build_index(tmp_path, [OLD], encoder)
    process = start(tmp_path, how)
    process.communicate()
    assert process.returncode == 9
    index = open_index(tmp_path, encoder)
    assert [hit.card for hit in index.search("translate")] == [OLD]


def test_what_a_killed_build_left_is_cleared_by_the_next(tmp_path, encoder, start):
    start(tmp_path, "killed while it embeds").communicate()
    assert stored(tmp_path)
    build_index(tmp_path, [OLD], encoder)
    assert stored(tmp_path) == used(tmp_path)


@pytest.mark.parametrize("limit", [0, 4096, 100_000])
def test_without_space_the_index_in_use_stays_and_one_line_says_so(tmp_path, encoder, start, limit):
    build_index(tmp_path, [OLD], encoder)
    process = start(tmp_path, "no space", limit)
    _, told = process.communicate()
    assert process.returncode == 1
    assert told.startswith("IndexBuildError: ")
    assert "make room" in told
    assert told.count("\n") == 1
    assert open_index(tmp_path, encoder).card("a/old") == OLD
    assert stored(tmp_path) == used(tmp_path)


def test_two_processes_that_need_the_starter_at_once_both_get_it(tmp_path, encoder, start):
    processes = [start(tmp_path / "index", "starter") for _ in range(2)]
    told = [process.communicate() for process in processes]
    assert [out for out, _ in told] == [f"{len(starter_cards())}\n"] * 2
    waited = f"{tmp_path / 'index'}: another process builds in it; waiting for its end\n"
    assert {error for _, error in told} <= {"", waited}
    assert stored(tmp_path / "index") == used(tmp_path / "index")


def test_a_build_says_that_it_waits_for_another(tmp_path, caplog, capsys):
    def wait():
        with watched(), build.lock(tmp_path):
            pass

    with build.lock(tmp_path):
        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(timeout=1)
        assert waiting.is_alive()
    waiting.join(timeout=10)
    assert not waiting.is_alive()
    waits = f"{tmp_path}: another process builds in it; waiting for its end"
    assert [record.getMessage() for record in caplog.records] == [waits]
    assert capsys.readouterr().err == f"hugginggpt: {waits}\n"


def test_a_folder_that_cannot_be_made_is_named(tmp_path, encoder):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(IndexBuildError, match="choose another folder"):
        build_index(tmp_path / "file" / "index", [OLD], encoder)


def test_no_index_is_said_with_the_command_that_makes_one(tmp_path, encoder):
    with pytest.raises(NoIndexError, match="hugginggpt index build"):
        open_index(tmp_path, encoder)


def test_another_encoder_is_refused_with_both_names(tmp_path, encoder):
    build_index(tmp_path, [OLD], encoder)
    with pytest.raises(OtherEncoderError, match=r"all-MiniLM-L6-v2 .* not with other/encoder") as error:
        open_index(tmp_path, Other())
    assert "\n" not in str(error.value)


def test_another_revision_of_the_encoder_is_refused(tmp_path, encoder):
    build_index(tmp_path, [OLD], encoder)
    other = Other("2")
    other.id = encoder.id
    with pytest.raises(OtherEncoderError):
        open_index(tmp_path, other)


def damage(path, how):
    data = path.read_bytes()
    path.unlink()
    if how != "removed":
        path.write_bytes(data[: len(data) // 2] if how == "truncated" else data[:-1] + b"?")


def file_of(folder, kind):
    names = [manifest.NAME, *(file.name for file in manifest.index_info(folder).files)]
    return folder / next(name for name in names if kind in name)


@pytest.mark.parametrize("how", ["truncated", "changed", "removed"])
@pytest.mark.parametrize("kind", ["cards", "columns", "vectors", "words"])
def test_a_damaged_file_is_named(tmp_path, encoder, kind, how, ensured):
    build_index(tmp_path, [OLD], encoder)
    path = file_of(tmp_path, kind)
    damage(path, how)
    with pytest.raises(CorruptIndexError) as error:
        ensured(tmp_path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["columns", "vectors"])
def test_a_fault_that_leaves_size_and_time_as_they_were_is_found_by_reading_all(tmp_path, encoder, kind):
    build_index(tmp_path, [OLD], encoder)
    info = manifest.index_info(tmp_path)
    manifest.check(tmp_path, info)
    path = file_of(tmp_path, kind)
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    damage(path, "changed")
    os.utime(path, ns=times)
    manifest.verify(tmp_path, info, encoder)
    with pytest.raises(CorruptIndexError, match=f"{kind}: missing or damaged"):
        manifest.check(tmp_path, info)


@pytest.mark.parametrize("how", ["truncated", "changed"])
def test_a_damaged_manifest_is_named(tmp_path, encoder, how, ensured):
    build_index(tmp_path, [OLD], encoder)
    damage(tmp_path / manifest.NAME, how)
    with pytest.raises(CorruptIndexError, match=r"manifest\.json"):
        ensured(tmp_path)
    assert stored(tmp_path)


@pytest.mark.parametrize(
    ("format_", "told"),
    [
        (3, "format 3, by an older hugginggpt; this one reads 4: build it again"),
        (
            5,
            "format 5, by a newer hugginggpt; this one reads 4: upgrade hugginggpt, or build it again",
        ),
    ],
)
def test_an_index_of_another_format_is_told_from_a_damaged_one(tmp_path, encoder, format_, told, ensured):
    build_index(tmp_path, [OLD], encoder)
    restated(tmp_path / manifest.NAME, format=format_)
    with pytest.raises(OtherFormatError, match=told):
        ensured(tmp_path)
    assert build_index(tmp_path, [OLD], encoder).card("a/old")
    assert stored(tmp_path) == used(tmp_path)


def test_a_starter_index_of_another_format_is_built_again(tmp_path, encoder, ensured):
    build_starter(tmp_path, encoder)
    restated(tmp_path / manifest.NAME, format=3)
    assert ensured(tmp_path).info.models == len(starter_cards())


def test_the_manifest_of_another_program_is_not_written_over(tmp_path, encoder, ensured):
    path = tmp_path / manifest.NAME
    path.write_text('{"name": "A browser extension", "manifest_version": 3}')
    for use in (ensured, manifest.index_info, lambda folder: build_index(folder, [OLD], encoder)):
        with pytest.raises(ForeignFolderError, match=r"manifest\.json: is not of an index"):
            use(tmp_path)
    assert [*tmp_path.iterdir()] == [path]


def test_a_file_is_no_index(tmp_path):
    (tmp_path / "cards.jsonl").touch()
    with pytest.raises(NoIndexError, match="is a file, and an index is a folder"):
        manifest.index_info(tmp_path / "cards.jsonl")


@pytest.mark.parametrize("kind", ["manifest", "cards", "vectors", "wishes"])
def test_a_damaged_starter_index_is_built_again(tmp_path, encoder, kind, ensured, monkeypatch):
    build_starter(tmp_path, encoder)
    monkeypatch.setattr(wishes, "DIGEST", "others")
    open_index(tmp_path, encoder).search("translate")  # which keeps the new ones there
    damage(file_of(tmp_path, kind), "truncated")
    assert ensured(tmp_path).info.models == len(starter_cards())
    assert stored(tmp_path) == used(tmp_path)


def test_a_damaged_index_can_be_built_again(tmp_path, encoder):
    build_index(tmp_path, [OLD], encoder)
    damage(tmp_path / manifest.NAME, "truncated")
    assert build_index(tmp_path, [OLD], encoder).card("a/old")
    assert stored(tmp_path) == used(tmp_path)


def test_the_index_of_an_older_starter_is_built_again(tmp_path, encoder, monkeypatch, ensured):
    with monkeypatch.context() as older:
        older.setattr(harvest, "starter_cards", lambda: [OLD])
        older.setattr(harvest, "starter_source", lambda: "starter:older")
        assert ensured(tmp_path).info.models == 1
    assert open_index(tmp_path, encoder).info.models == 1
    build_index(tmp_path / "other", [OLD], encoder)
    assert ensured(tmp_path / "other").info.models == 1
