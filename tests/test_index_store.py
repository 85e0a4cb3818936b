import numpy as np
import pytest

from hugginggpt.index import IndexBuildError, manifest
from hugginggpt.index.filters import Filters
from hugginggpt.index.store import Store
from hugginggpt.index.write import update_index, write_index
from hugginggpt.tools.card import ModelCard


class Made:
    """What an encoder says of itself."""

    id, revision, dimension = "made/up", "1", 8


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
        return Store(tmp_path, write_index(tmp_path, [block(*pairs)], Made, "custom"))

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
    ],
)
def test_what_does_not_pass_the_filters_is_not_found(written, where, passing):
    store = written(
        (card("a/mit", license="mit", languages=("en", "de"), parameters=5_000_000), vector(1)),
        (card("a/gpl", license="gpl-3.0", languages=("fr",), parameters=5_000_001), vector(2, 1)),
        (card("a/mask", "fill-mask", languages=("multilingual",)), vector(1, 1)),
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
        write_index(tmp_path, [([card("a/a")], np.ones((1, 7), np.float32))], Made, "custom")


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
