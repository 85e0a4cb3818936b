"""A build that is killed, again and again, ends as one that was not; so does one with Ray, killed or not."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import build_script
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from build_script import Slow

from hugginggpt.index import build_index, embedding, open_index
from hugginggpt.index.wishes import WISHES
from hugginggpt.tools.card import ModelCard

SCRIPT = Path(build_script.__file__)
KINDS = ["translation", "summarization", "fill-mask", "text-generation"]
QUERIES = ["model of the red kind", "n7", "summarization of n1234", "kind blue"]


@pytest.fixture(scope="module")
def cards(tmp_path_factory):
    path = tmp_path_factory.mktemp("cards") / "cards.jsonl"
    rows = [
        {
            "id": f"a/n{n}",
            "pipeline_tag": KINDS[n % 4],
            "card": f"A model of the {['red', 'blue'][n % 2]} kind, n{n}.",
        }
        for n in range(3000)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def whole(cards, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    build_script.build(folder, cards, Slow())
    return folder


def found(folder):
    index = open_index(folder, Slow())
    return index.info.tasks, [
        [(hit.card, hit.score) for hit in index.search(query, task=task, k=20)]
        for query in QUERIES
        for task in (None, *KINDS)
    ]


def started(folder, cards, notes, *engine):
    return subprocess.Popen([sys.executable, SCRIPT, folder, cards, notes, *engine])


def length(notes):
    return notes.stat().st_size if notes.exists() else 0


def test_a_build_that_is_killed_at_any_moment_goes_on_and_ends_the_same(tmp_path, cards, whole):
    old = ModelCard(id="old/one", task="translation", summary="The old one.")
    build_index(tmp_path / "index", [old], Slow())
    notes = tmp_path / "notes"
    moments = random.Random(7)
    for _ in range(4):
        before = length(notes)
        process = started(tmp_path / "index", cards, notes)
        while length(notes) == before and process.poll() is None:
            time.sleep(0.02)
        time.sleep(moments.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            break
        assert open_index(tmp_path / "index", Slow()).card("old/one")
    assert started(tmp_path / "index", cards, notes).wait() == 0
    assert found(tmp_path / "index") == found(whole)
    # A kill costs the chunk that was being made, no more.
    twice = sum(times - 1 for times in Counter(notes.read_text().splitlines()).values())
    assert twice <= 4 * embedding.CHUNK
    assert not (tmp_path / "index" / "staging").exists()


def test_with_ray_a_build_that_is_killed_goes_on_and_ends_the_same(tmp_path, cards):
    """In parts: two files, whose repeated, broken and left out rows are counted over both."""
    first, second = tmp_path / "cards" / "a.parquet", tmp_path / "cards" / "b.jsonl"
    first.parent.mkdir()
    rows = [json.loads(line) for line in cards.read_text().splitlines()]
    old = [{**row, "card": "An old card."} for row in rows[:10]]
    pq.write_table(pa.Table.from_pylist([*rows[:1500], *old]), first)
    odd = ["no JSON", json.dumps({"id": "a/unclear"}), *map(json.dumps, rows[:10])]
    second.write_text("\n".join([*map(json.dumps, rows[1500:]), *odd]))
    build_script.build(tmp_path / "local", first.parent, Slow())
    notes, told = tmp_path / "notes", tmp_path / "told"

    process = started(tmp_path / "index", first.parent, notes, "ray")
    while not notes.exists() and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    for path in (first, second):  # nothing of it is read again: it could not be
        as_it_was = path.stat()
        path.write_bytes(bytes(as_it_was.st_size))
        os.utime(path, ns=(as_it_was.st_atime_ns, as_it_was.st_mtime_ns))
    assert started(tmp_path / "index", first.parent, notes, "ray", told).wait() == 0
    assert found(tmp_path / "index") == found(tmp_path / "local")
    assert json.loads(told.read_text()) == {
        "read": 3022,
        "kept": 3020,
        "left_out": 1,
        "broken": 1,
        "repeated": 20,
    }
    assert len(notes.read_text().splitlines()) <= 3000 + len(WISHES) + embedding.CHUNK
    assert not (tmp_path / "index" / "staging").exists()


def test_with_ray_what_is_wrong_is_told_as_it_is_without(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": "a/b", "pipeline_tag": "translation"}\n')
    (tmp_path / "b.parquet").write_text("PAR1 nothing")
    process = subprocess.run(
        [sys.executable, SCRIPT, tmp_path / "index", tmp_path, tmp_path / "notes", "ray"],
        check=False,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr.splitlines()[-1].startswith(
        f"hugginggpt.index.errors.IndexBuildError: {tmp_path}/b.parquet: cannot be read"
    )
