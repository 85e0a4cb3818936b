import os
import threading
from concurrent.futures import ThreadPoolExecutor

import faiss
import numpy as np
import psutil
import pytest

from hugginggpt.index import IndexBuildError, manifest, vectors
from hugginggpt.index.filters import Filters
from hugginggpt.index.store import Store
from hugginggpt.index.write import update_index, write_index
from hugginggpt.tools.card import ModelCard


class Made:
    """An encoder, of which nothing but its vectors' length counts."""

    id, revision, dimension = "made/up", "1", 8

    def encode(self, texts):
        return np.zeros((len(texts), 8), np.float32)


def card(name, task="translation", **facts):
    return ModelCard(id=name, task=task, **{"summary": "Translates."} | facts)


def vector(*numbers):
    whole = np.zeros(8, np.float32)
    whole[: len(numbers)] = numbers
    return whole / np.linalg.norm(whole)


def block(*pairs):
    return [card for card, _ in pairs], np.array([vector for _, vector in pairs], np.float32)


@pytest.fixture
def written(tmp_path):
    def write(*pairs):
        return Store(tmp_path, write_index(tmp_path, [block(*pairs)], Made(), "custom"))

    return write


@pytest.fixture
def updated(tmp_path):
    def update(*pairs, removed=()):
        return Store(tmp_path, update_index(tmp_path, [block(*pairs)] if pairs else [], removed))

    return update


def ids(store, found):
    return [card.id for card in store.rows(found[0])]


def test_the_nearest_come_with_their_cosines_best_first(written):
    store = written(
        (card("a/far"), vector(0, 1)), (card("a/near"), vector(1, 1)), (card("a/same"), vector(1))
    )
    found = store.nearest(vector(1), 2)
    assert ids(store, found) == ["a/same", "a/near"]
    assert found[1] == pytest.approx([1, 0.5**0.5], abs=1e-3)


@pytest.mark.parametrize(
    ("where", "passing"),
    [
        (Filters(task="translation"), ["a/mit", "a/gpl"]),
        (Filters(task="summarization"), []),
        (Filters(license="gpl-3.0"), ["a/gpl"]),
        (Filters(license="permissive"), ["a/mit"]),
        (Filters(language="de"), ["a/mit", "a/mask"]),
        (Filters(language="fr"), ["a/gpl", "a/mask"]),
        (Filters(max_parameters=5_000_000), ["a/mit"]),
        (Filters(task="fill-mask", language="de"), ["a/mask"]),
        (Filters(tag="text2text-generation"), ["a/mit", "a/mask"]),
        (Filters(tag="text2text-generation", task="translation"), ["a/mit"]),
        (Filters(tag="text2text-generation", license="gpl-3.0"), []),
        (Filters(tag="conversational"), []),
    ],
)
def test_what_does_not_pass_the_filters_is_not_found(written, where, passing):
    store = written(
        (
            card(
                "a/mit",
                license="mit",
                languages=("en", "de"),
                parameters=5_000_000,
                tag="text2text-generation",
            ),
            vector(1),
        ),
        (card("a/gpl", license="gpl-3.0", languages=("fr",), parameters=5_000_001), vector(2, 1)),
        (
            card("a/mask", "fill-mask", languages=("multilingual",), tag="text2text-generation"),
            vector(1, 1),
        ),
    )
    assert ids(store, store.nearest(vector(1), 10, where)) == passing
    assert sorted(ids(store, store.lexical("translates", 10, where))) == sorted(passing)


def test_a_card_that_says_the_words_is_found_in_any_form_of_them(written):
    store = written(
        (card("a/x", summary="Translating letters."), vector(1)), (card("a/y", summary="Paints."), vector(1))
    )
    assert ids(store, store.lexical("painted", 5)) == ["a/y"]
    assert ids(store, store.lexical("the letter", 5)) == ["a/x"]
    assert ids(store, store.lexical("the", 5)) == []


def test_what_python_accepts_is_found_behind_hundreds_that_it_does_not(written):
    pairs = [(card(f"a/{n}"), vector(1000, n)) for n in range(500)]
    store = written(*pairs)
    accepts = lambda card: card.id in {"a/498", "a/499"}  # noqa: E731
    assert ids(store, store.nearest(vector(1), 2, accepts=accepts)) == ["a/498", "a/499"]
    assert sorted(ids(store, store.lexical("translates", 2, accepts=accepts))) == ["a/498", "a/499"]


def test_a_fact_is_read_without_the_card(written):
    store = written((card("a/a", downloads=7), vector(1)), (card("b/b"), vector(0, 1)))
    rows, _ = store.nearest(vector(1), 2)
    assert store.fact("downloads", rows).tolist() == [7, -1]


def test_an_update_replaces_adds_and_removes(written, updated):
    old = written((card("a/a"), vector(1)), (card("a/b"), vector(0, 1)), (card("a/c"), vector(0, 0, 1)))
    new = updated(
        (card("a/a", "fill-mask", summary="New."), vector(1)), (card("a/d"), vector(1)), removed=["a/b"]
    )
    assert new.info.tasks == {"fill-mask": 1, "translation": 2}
    assert new.card("a/a").summary == "New."
    assert new.card("a/b") is None
    assert sorted(ids(new, new.nearest(vector(1), 10))) == ["a/a", "a/c", "a/d"]
    assert sorted(ids(new, new.lexical("translates", 10))) == ["a/c", "a/d"]
    assert [card.id for card in new.cards("translation")] == ["a/c", "a/d"]
    assert ids(old, old.nearest(vector(0, 1), 1)) == ["a/b"]
    assert old.card("a/a").task == "translation"


def test_the_tag_of_the_hub_is_kept_by_updates_and_searched_in_all_segments(written, updated):
    stated, where = {"tag": "text2text-generation"}, Filters(tag="text2text-generation")
    written(*((card(f"a/{n}", **stated), vector(1, n)) for n in range(9)))
    apart = updated((card("b/b"), vector(1)), (card("b/t", "fill-mask", **stated), vector(1)))
    merged = updated((card("a/0"), vector(1)), (card("c/c"), vector(1)), (card("c/d"), vector(1)))
    assert [len(store.info.segments) for store in (apart, merged)] == [2, 1]
    for store, found in ((apart, {f"a/{n}" for n in range(9)}), (merged, {f"a/{n}" for n in range(1, 9)})):
        for way in (store.nearest(vector(1), 20, where), store.lexical("translates", 20, where)):
            assert {*ids(store, way)} == {*found, "b/t"}


def test_updates_of_updates_leave_one_of_each_model(written, updated):
    written((card("a/a"), vector(1)), (card("a/b"), vector(0, 1)))
    for turn in range(5):
        store = updated((card("a/a", summary=f"Turn {turn}."), vector(1)))
    assert store.info.models == 2
    assert store.card("a/a").summary == "Turn 4."
    assert sorted(ids(store, store.nearest(vector(1), 10))) == ["a/a", "a/b"]


def test_an_update_that_fails_leaves_the_index_as_it_was(tmp_path, written, updated):
    written((card("a/a"), vector(1)))
    before = manifest.index_info(tmp_path)
    with pytest.raises(IndexBuildError, match="a/b: is there twice"):
        updated((card("a/b"), vector(1)), (card("a/b"), vector(1)))
    with pytest.raises(IndexBuildError, match="removes every model"):
        updated(removed=["a/a"])
    assert manifest.index_info(tmp_path) == before
    assert Store(tmp_path, before).card("a/a")


def test_vectors_of_another_length_are_refused(tmp_path):
    with pytest.raises(IndexBuildError, match="shape"):
        write_index(tmp_path, [([card("a/a")], np.ones((1, 7), np.float32))], Made(), "custom")


def test_many_updates_make_few_segments_and_lose_no_model(written, updated):
    written(*((card(f"a/{n}"), vector(1, n)) for n in range(100)))
    for turn in range(12):
        store = updated(
            (card(f"b/{turn}"), vector(1, -turn)), (card(f"a/{turn}", summary="New."), vector(1, turn))
        )
    assert len(store.info.segments) <= 4
    assert store.info.models == 112
    assert len(set(ids(store, store.nearest(vector(1), 500)))) == 112
    assert [store.card(f"a/{n}").summary for n in (0, 11, 12)] == ["New.", "New.", "Translates."]


def test_a_word_weighs_the_same_in_an_update_as_in_what_was_there(written, updated):
    written(*((card(f"a/{n}", summary=f"Knits {n}."), vector(1)) for n in range(300)))
    store = updated((card("b/7", summary="Knits 7."), vector(1)))
    assert len(store.info.segments) == 2
    found = store.lexical("knits 7", 2)
    assert sorted(ids(store, found)) == ["a/7", "b/7"]
    assert found[1][0] == pytest.approx(found[1][1], rel=0.05)


def test_a_reader_goes_on_with_what_it_has_open_when_the_files_are_gone(tmp_path, written):
    store = written(*((card(f"a/{n}", license="mit"), vector(1, n)) for n in range(50)))
    for path in [*tmp_path.glob("*.words/*"), *(path for path in tmp_path.iterdir() if path.is_file())]:
        path.unlink()
    assert ids(store, store.nearest(vector(1), 1, Filters(license="mit"))) == ["a/0"]
    assert len(ids(store, store.lexical("translates", 100))) == 50
    assert store.card("a/7").id == "a/7"


@pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become somebody else"
)
def test_somebody_who_may_only_read_the_folder_can_search(tmp_path, written):
    store = written((card("a/a"), vector(1)))
    for path in (tmp_path, *tmp_path.parents):
        path.chmod(path.stat().st_mode | 0o555)
    child = os.fork()
    if not child:
        status = 1
        try:
            os.setuid(65534)
            mine = Store(tmp_path, store.info)
            status = 0 if ids(mine, mine.lexical("translates", 1)) == ["a/a"] else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def test_readers_are_answered_while_an_update_is_written(tmp_path, written):
    written(*((card(f"a/{n}"), vector(1, n)) for n in range(2000)))
    answered = []

    def changes():
        for start in range(0, 500, 100):
            answered.append(
                ids(now := Store(tmp_path, manifest.index_info(tmp_path)), now.nearest(vector(1), 1))
            )
            yield block(
                *((card(f"a/{n}", summary="New."), vector(0, 1, n)) for n in range(start, start + 100))
            )

    info = update_index(tmp_path, changes())
    assert answered == [["a/0"]] * 5
    assert info.models == 2000
    after = Store(tmp_path, info)
    assert ids(after, after.nearest(vector(1), 1)) == ["a/500"]


def test_in_a_large_task_nearly_all_of_the_nearest_are_found_and_none_that_does_not_pass(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(vectors, "_LOOKED_AT", 2_000)
    random = np.random.default_rng(0)
    middles = random.standard_normal((40, 8))
    points = (middles[random.integers(40, size=20_000)] + 0.3 * random.standard_normal((20_000, 8))).astype(
        "f4"
    )
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    cards = [card(f"a/{n}", license="mit" if n % 50 == 0 else "gpl-3.0") for n in range(20_000)]
    store = Store(tmp_path, write_index(tmp_path, [(cards, points)], Made(), "custom"))

    def recall(where, numbers):
        """Share of what is found that is as near as the ten nearest, to the second digit."""
        shares = []
        for query in points[:30]:
            tenth = np.sort(points[numbers] @ query)[-10]
            found = [int(name.partition("/")[2]) for name in ids(store, store.nearest(query, 10, where))]
            assert set(found) <= set(numbers.tolist())
            shares.append(np.mean(points[found] @ query > tenth - 1e-2))
        return np.mean(shares)

    assert recall(Filters(task="translation"), np.arange(20_000)) > 0.98
    assert recall(Filters(license="mit"), np.arange(0, 20_000, 50)) > 0.98


def test_a_search_goes_on_to_far_cells_where_only_these_have_what_passes(tmp_path, monkeypatch):
    monkeypatch.setattr(vectors, "_LOOKED_AT", 500)
    points = np.random.default_rng(0).standard_normal((10_000, 8)).astype("f4")
    points[:, 0] = np.where(np.arange(10_000) < 7_000, 5, -5)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    cards = [card(f"a/{n}", license="gpl-3.0" if n < 7_000 else "mit") for n in range(10_000)]
    store = Store(tmp_path, write_index(tmp_path, [(cards, points)], Made(), "custom"))
    assert len(store.nearest(vector(1), 10, Filters(license="mit"))[0]) == 10


def test_a_search_starts_no_threads_that_would_take_the_cores_of_others(written):
    store = written(*((card(f"a/{n}"), vector(1, n)) for n in range(100)))
    process, started = psutil.Process(), []

    def search():
        faiss.omp_set_num_threads(2)  # of this thread; the tests have 1
        before = process.num_threads()
        for _ in range(3):
            store.nearest(vector(1), 10)
            store.cosines(vector(1), np.arange(100))
        started.append(process.num_threads() - before)

    thread = threading.Thread(target=search)
    thread.start()
    thread.join()
    assert started == [0]


def test_an_index_that_is_not_large_is_searched_exactly(tmp_path):
    points = np.random.default_rng(0).standard_normal((5_000, 8)).astype("f4")
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    tasks = ("translation", "summarization", "fill-mask")
    cards = [card(f"a/{n}", tasks[n % 3]) for n in range(5_000)]
    store = Store(tmp_path, write_index(tmp_path, [(cards, points)], Made(), "custom"))
    for query in points[:10]:
        cosines = points @ query
        rows, found = store.nearest(query, 10)
        assert cosines[[int(id_[2:]) for id_ in ids(store, (rows,))]] == pytest.approx(found, abs=1e-3)
        assert found == pytest.approx(np.sort(cosines)[:-11:-1], abs=1e-3)


def test_threads_that_search_an_index_as_soon_as_it_is_open_all_find_the_same(tmp_path, written):
    rows = written(*((card(f"a/{n}", summary=f"Number {n}."), vector(1, n)) for n in range(20_000))).total
    far = np.arange(0, rows, 500)

    def search(_):
        start.wait()
        found = (
            (far, store.cosines(vector(1), far)),
            store.nearest(vector(1), 5),
            store.lexical("number 77", 5),
        )
        return [(ids(store, hits), hits[1].tolist()) for hits in found]

    with ThreadPoolExecutor(8) as threads:
        for _ in range(20):
            store, start = Store(tmp_path, manifest.index_info(tmp_path)), threading.Barrier(8)
            first, *others = threads.map(search, range(8))
            assert others == [first] * 7
