import gzip
import json
import os
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hugginggpt.index import CardError, IndexBuildError, read_cards, sources
from hugginggpt.index.gather import gather
from hugginggpt.index.harvest import Tally
from hugginggpt.index.sources import Files
from hugginggpt.tools.card import ModelCard

OWN = {"id": "a/own", "task": "translation", "summary": "Ü."}


def row(name, tag="translation", **columns):
    return {"id": f"a/{name}", "pipeline_tag": tag, **columns}


def lines(path, rows):
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def parquet(path, rows, **how):
    pq.write_table(pa.Table.from_pylist(rows), path, **how)
    return path


def ids(gathered):
    return [card.id for shard in range(len(gathered.shards)) for card in gathered.cards(shard)]


@pytest.mark.parametrize("name", ["cards.jsonl", "cards.jsonl.gz"])
def test_models_are_read_from_json_lines_and_empty_lines_are_skipped(tmp_path, name):
    path = lines(tmp_path / name, [OWN, "", row("hub")])
    own, hub = read_cards(path)
    assert own == ModelCard(**OWN)
    assert (hub.id, hub.task) == ("a/hub", "translation")


def test_models_are_read_from_parquet_and_unknown_columns_are_passed_over(tmp_path):
    path = parquet(tmp_path / "cards.parquet", [row("x", tags=["fr"], strange=[{"a": 1}], downloads=7)])
    (card,) = read_cards(path)
    assert (card.languages, card.downloads) == (("fr",), 7)


def test_all_files_of_a_folder_are_read_by_name(tmp_path):
    (tmp_path / "data").mkdir()
    parquet(tmp_path / "data" / "b.parquet", [row("b")])
    lines(tmp_path / "data" / "a.jsonl", [row("a")])
    (tmp_path / "data" / "README.md").write_text("not cards")
    assert [card.id for card in read_cards(tmp_path)] == ["a/a", "a/b"]
    assert [card.id for card in read_cards(tmp_path / "data" / "*.parquet")] == ["a/b"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("not json", "not JSON"),
        ("[1]", "not an object"),
        ({"pipeline_tag": "translation"}, "not the id of a model"),
        ({"id": "a/../b c", "pipeline_tag": "translation"}, "not the id of a model"),
        (row("x", downloads=-1), "downloads: "),
        (row("x", lastModified="yesterday"), "a/x: "),
        (row("x", tags=[["a"]], config=7), "a/x: "),
        ({"id": "a/a", "task": "translation"}, "summary: Field required"),
        ({"id": "a/a", "task": "flying", "summary": "s"}, "flying is not a task"),
    ],
)
def test_a_broken_row_is_counted_and_told_with_its_place_and_the_others_are_read(tmp_path, line, complaint):
    path = lines(tmp_path / "cards.jsonl", [row("good"), line, row("fine")])
    tally = Tally()
    assert [card.id for card in read_cards(path, tally)] == ["a/good", "a/fine"]
    assert (tally.read, tally.kept, tally.broken) == (3, 2, 1)
    assert tally.complaints[0].startswith(f"{path}:2: ")
    assert complaint in tally.complaints[0]
    assert "\n" not in tally.complaints[0]


def test_where_every_row_is_broken_the_first_is_the_error(tmp_path):
    path = lines(tmp_path / "cards.jsonl", ["nonsense"] * 20)
    with pytest.raises(CardError, match=r"cards\.jsonl:1: not JSON.*no row of 20 is a model"):
        gather(Files(str(path)), tmp_path / "staging")
    with pytest.raises(CardError, match="no row of 20"):
        list(read_cards(path))


def test_only_the_first_broken_rows_are_told(tmp_path):
    tally = Tally()
    list(read_cards(lines(tmp_path / "cards.jsonl", [row("x"), *["nonsense"] * 20]), tally))
    assert (tally.broken, len(tally.complaints)) == (20, 5)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("none.jsonl", None),
        ("cut.jsonl.gz", gzip.compress(json.dumps(OWN).encode(), mtime=0)[:-20]),
        ("no.parquet", b"PAR1 nothing"),
        ("plain.jsonl.gz", b'{"id": "a/b"}'),
    ],
)
def test_a_file_that_cannot_be_read_is_named_in_one_line(tmp_path, name, data):
    if data:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(CardError, match=f"{name}: cannot be read") as error:
        list(read_cards(tmp_path / name))
    assert "\n" not in str(error.value)


def test_a_folder_without_cards_is_named(tmp_path):
    with pytest.raises(CardError, match=r"no \.jsonl"):
        list(read_cards(tmp_path))


def test_a_model_whose_tag_is_no_task_of_ours_is_kept_and_one_without_any_is_left_out(tmp_path):
    path = lines(tmp_path / "c.jsonl", [row("y", "reinforcement-learning"), {"id": "a/unclear"}])
    tally = Tally()
    assert [(card.id, card.task) for card in read_cards(path, tally)] == [("a/y", "reinforcement-learning")]
    assert (tally.kept, tally.left_out) == (1, 1)


def test_models_for_no_task_or_no_task_that_is_wanted_are_left_out_and_counted(tmp_path):
    rows = [row("x"), row("y", "reinforcement-learning"), row("z", "fill-mask"), {"id": "a/unclear"}]
    gathered = gather(Files(str(lines(tmp_path / "c.jsonl", rows))), tmp_path / "staging", ["translation"])
    assert ids(gathered) == ["a/x"]
    assert gathered.tally.left_out == 3
    assert list(gathered.left_out()) == ["a/y", "a/z", "a/unclear"]


def test_of_a_model_that_comes_more_than_once_the_newest_card_counts(tmp_path):
    rows = [
        row("x", lastModified="2024-03-01T00:00:00Z", license="mit"),
        row("y"),
        row("x", lastModified="2025-01-01T00:00:00Z", license="gpl"),
        row("x", lastModified="2023-01-01T00:00:00Z", license="bsd"),
    ]
    gathered = gather(Files(str(lines(tmp_path / "c.jsonl", rows))), tmp_path / "staging")
    assert gathered.repeated == 2
    assert {card.id: card.license for card in gathered.cards(0)} == {"a/y": "", "a/x": "gpl"}
    assert gathered.tally.newest == date(2025, 1, 1)


class StoppedError(Exception):
    """Somebody pressed Ctrl-C."""


def stop_at(rows):
    def progress(done, _share):
        if done >= rows:
            raise StoppedError

    return progress


def test_a_file_that_was_written_anew_in_between_is_read_anew_though_its_size_is_the_same(tmp_path):
    path = lines(tmp_path / "cards.jsonl", [row("x")])
    gather(Files(str(path)), tmp_path / "staging")
    os.utime(lines(path, [row("y")]), (1, 1))
    assert ids(gather(Files(str(path)), tmp_path / "staging")) == ["a/y"]


def test_how_many_are_taken_is_chosen_of_what_was_gathered_before(tmp_path):
    rows = [{"id": f"a/{n}", "pipeline_tag": "translation", "downloads": n} for n in range(3)]
    path = lines(tmp_path / "c.jsonl", rows)
    source = Files(str(path))
    assert ids(gather(source, tmp_path / "staging", top=1)) == ["a/2"]
    path.unlink()
    assert ids(gather(source, tmp_path / "staging", top=2)) == ["a/1", "a/2"]


def test_what_is_no_file_of_models_is_passed_over_though_a_pattern_names_it_too(tmp_path):
    (tmp_path / "folder.parquet").mkdir()
    (tmp_path / "README.md").write_text("cards of ours\n")
    lines(tmp_path / "cards.jsonl", [row("x")])
    assert ids(gather(Files(f"{tmp_path}/*"), tmp_path.with_name("staging"))) == ["a/x"]


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "parquet"])
def test_an_interrupted_gathering_goes_on_where_it_was(tmp_path, kind):
    rows = [row(str(n)) for n in range(3500)]
    first = tmp_path / f"a.{kind}"
    if kind == "parquet":
        parquet(first, rows, row_group_size=900)
    else:
        lines(first, rows)
    lines(tmp_path / "b.jsonl", [row("last")])
    staging = tmp_path / "staging"
    with pytest.raises(StoppedError):
        gather(Files(f"{tmp_path}/?.*"), staging, progress=stop_at(2500))
    told = []
    gathered = gather(Files(f"{tmp_path}/?.*"), staging, progress=lambda *how_far: told.append(how_far))
    assert ids(gathered) == [*(f"a/{n}" for n in range(3500)), "a/last"]
    assert (gathered.tally.read, gathered.tally.kept) == (3501, 3501)
    assert told[0][0] > 2000
    assert told[-1] == (3501, 1.0)


def test_what_is_gathered_is_not_gathered_again_but_from_a_changed_file(tmp_path):
    path = lines(tmp_path / "cards.jsonl", [row("x")])
    staging = tmp_path / "staging"
    gather(Files(str(path)), staging)
    assert ids(gather(Files(str(path)), staging, progress=stop_at(0))) == ["a/x"]
    lines(path, [row("x"), row("y")])
    assert ids(gather(Files(str(path)), staging)) == ["a/x", "a/y"]


def test_a_large_parquet_file_is_read_in_parts_by_its_row_groups(tmp_path, monkeypatch):
    rows = [row(str(n)) for n in range(2000)]
    path = parquet(tmp_path / "cards.parquet", rows, row_group_size=300)
    whole = [*Files(str(path)).pages("")]
    monkeypatch.setattr(sources, "_PART", path.stat().st_size // 3)
    source = Files(str(path))
    parts = [[*part.pages("")] for part in source.parts()]
    assert [sum(len(page.rows) for page in pages) for pages in parts] == [600, 600, 800]
    read = [found for pages in parts for page in pages for found in page.rows]
    assert read == [found for page in whole for found in page.rows]
    assert [pages[-1].share for pages in parts] == [1.0] * 3
    # All of it at once goes through the parts, and on behind any page.
    pages = [*source.pages("")]
    assert [found for page in pages for found in page.rows] == read
    assert [page for before in pages for page in [*source.pages(before.cursor)][:1]] == pages[1:]


def test_a_file_with_fewer_row_groups_than_parts_is_read_once(tmp_path, monkeypatch):
    path = parquet(tmp_path / "cards.parquet", [row(str(n)) for n in range(50)])
    monkeypatch.setattr(sources, "_PART", path.stat().st_size // 4)
    source = Files(str(path))
    assert len(source.parts()) == 4
    gathered = gather(source, tmp_path / "staging")
    assert ids(gathered) == [f"a/{n}" for n in range(50)]


def test_parts_are_read_in_any_order_and_only_those_that_are_missing(tmp_path):
    for name in "abcd":
        lines(tmp_path / f"{name}.jsonl", [row(name), "broken", row("same", license=name)])
    told = []

    def some(read, parts):
        told.append([*parts])
        for part in [*parts][::-2]:
            yield from read(part)
        if len(parts) > 2:
            raise StoppedError

    source = Files(str(tmp_path))
    with pytest.raises(StoppedError):
        gather(source, tmp_path / "staging", each=some)
    gathered = gather(source, tmp_path / "staging", each=some)
    gathered = gather(source, tmp_path / "staging")
    assert told == [[0, 1, 2, 3], [0, 2]]
    assert ids(gathered) == ["a/a", "a/b", "a/c", "a/d", "a/same"]
    assert {card.license for card in gathered.cards(3)} == {"", "d"}
    assert (gathered.tally.read, gathered.tally.kept, gathered.tally.broken) == (12, 8, 4)
    assert [complaint.partition(": ")[0] for complaint in gathered.tally.complaints] == [
        f"{tmp_path}/{name}.jsonl:2" for name in "abcd"
    ]


def test_one_part_alone_is_read_here(tmp_path):
    told = []
    path = lines(tmp_path / "a.jsonl", [row(str(n)) for n in range(1500)])
    gathered = gather(
        Files(str(path)),
        tmp_path / "staging",
        progress=lambda *how_far: told.append(how_far),
        each=lambda *_: pytest.fail("handed out"),
    )
    assert gathered.tally.read == 1500
    assert [read for read, _ in told] == [1000, 1500, 1500]


def test_a_shard_that_was_being_written_does_not_count(tmp_path):
    path = lines(tmp_path / "cards.jsonl", [row("x")])
    staging = tmp_path / "staging"
    staging.mkdir()
    (staging / "cards-00000.part").write_bytes(b"PAR1 half")
    (staging / "gathered.json").write_text('{"key": "half')
    assert ids(gather(Files(str(path)), staging)) == ["a/x"]


def test_a_folder_that_cannot_be_written_is_named_in_one_line(tmp_path):
    path = lines(tmp_path / "cards.jsonl", [row("x")])
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(IndexBuildError, match=r"file/staging: cannot be written .* make room") as error:
        gather(Files(str(path)), tmp_path / "file" / "staging")
    assert "\n" not in str(error.value)
