import pytest

from hugginggpt.index import IndexBuildError, build_index, ensure_index, open_index
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.encoder import DEFAULT_ENCODER, load_encoder


def card(name, task="translation", summary="Translates.", **facts):
    return ModelCard(id=name, task=task, summary=summary, **facts)


@pytest.fixture
def encoder(shared):
    return load_encoder(DEFAULT_ENCODER, shared / "encoder")


@pytest.fixture
def ensured(shared):
    return lambda folder: ensure_index(folder, DEFAULT_ENCODER, shared / "encoder")


@pytest.fixture
def starter(shared, ensured):
    return ensured(shared / "index")


def ids(hits):
    return [hit.card.id for hit in hits]


@pytest.mark.parametrize(
    ("words", "task"),
    [
        ("read the text printed in a scanned receipt", "image-to-text"),
        ("describe this photo in a sentence", "image-to-text"),
        ("transcribe the recording of a meeting", "automatic-speech-recognition"),
        ("compose a piece of piano music", "text-to-audio"),
        ("draw boxes around people and cars", "object-detection"),
        ("how far away is every point of the picture", "depth-estimation"),
        ("find people, places and organisations in a text", "token-classification"),
        ("answer a question about the cells of a table", "table-question-answering"),
        ("remove noise from a recording", "audio-to-audio"),
        ("make a picture from a description", "text-to-image"),
    ],
)
def test_words_find_models_of_the_task_they_describe(starter, words, task):
    assert task in [hit.card.task for hit in starter.search(words, k=5)]


def test_the_language_decides_between_translators(starter):
    hits = starter.search("translate an English letter into German", task="translation", k=3)
    assert ids(hits)[0] == "Helsinki-NLP/opus-mt-en-de"


def test_reading_print_and_describing_a_picture_are_told_apart(starter):
    reads = starter.search("read the text in the scan (OCR)", task="image-to-text", k=2)
    describes = starter.search("caption the photo", task="image-to-text", k=3)
    assert not {"builtin/pp-ocr", "microsoft/trocr-base-printed"}.isdisjoint(ids(reads))
    assert all("caption" in hit.card.id for hit in describes)


def test_only_models_of_the_task_are_found(starter):
    hits = starter.search("translate this", task="text-to-speech", k=50)
    assert {hit.card.task for hit in hits} == {"text-to-speech"}
    assert len(hits) == len(starter.cards("text-to-speech"))


def test_only_accepted_models_are_found(starter):
    hits = starter.search("anything", k=50, accepts=lambda card: card.builtin)
    assert hits
    assert all(hit.card.builtin for hit in hits)


def test_an_accepted_model_is_found_among_hundreds_that_are_not(tmp_path, encoder):
    cards = [card(f"a/{n}", summary="Translates English into French.") for n in range(500)]
    index = build_index(tmp_path, [*cards, card("a/odd", summary="Knits a scarf.")], encoder)
    found = index.search("translate into French", k=1, accepts=lambda card: card.id == "a/odd")
    assert ids(found) == ["a/odd"]


def test_no_more_than_k_models_are_found_best_first(starter):
    hits = starter.search("summarize an article", k=4)
    assert len(hits) == 4
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_a_task_without_models_finds_none(tmp_path, encoder):
    index = build_index(tmp_path, [card("a/a")], encoder)
    assert index.search("speak", task="text-to-speech") == []
    assert index.cards("text-to-speech") == []


def test_between_like_models_the_one_that_is_used_more_comes_first(tmp_path, encoder):
    index = build_index(tmp_path, [card("a/x", downloads=10), card("b/x", downloads=10**7)], encoder)
    assert ids(index.search("translate")) == ["b/x", "a/x"]


def test_popularity_does_not_outweigh_what_a_model_is_for(tmp_path, encoder):
    cards = [card("a/x"), card("b/y", summary="Knits scarves.", downloads=10**8)]
    assert ids(build_index(tmp_path, cards, encoder).search("it translates"))[0] == "a/x"


def test_equal_scores_are_ordered_by_id(tmp_path, encoder):
    cards = [card(f"{owner}/x") for owner in "cabed"]
    hits = build_index(tmp_path, cards, encoder).search("translate")
    assert ids(hits) == ["a/x", "b/x", "c/x", "d/x", "e/x"]


def test_a_card_comes_back_as_it_was_given(tmp_path, encoder):
    full = card("a/a", license="mit", languages=("en", "de"), parameters=5, downloads=7, likes=2, gated=True)
    index = build_index(tmp_path, [full], encoder)
    assert index.card("a/a") == full
    assert index.card("a/b") is None


def test_the_models_of_a_task_are_listed_by_id(tmp_path, encoder):
    index = build_index(tmp_path, [card("b/b"), card("c/c", "fill-mask"), card("a/a")], encoder)
    assert [card.id for card in index.cards("translation")] == ["a/a", "b/b"]


def test_progress_is_told_up_to_the_last_model(tmp_path, encoder):
    told = []
    build_index(tmp_path, [card(f"a/{n}") for n in range(600)], encoder, lambda *counts: told.append(counts))
    assert told == [(512, 600), (600, 600)]


def test_an_opened_index_is_not_opened_again(shared, starter, ensured):
    assert ensured(shared / "index") is starter


def test_a_new_build_is_noticed_by_who_has_the_old_one_open(tmp_path, encoder, ensured):
    build_index(tmp_path, [card("a/old")], encoder)
    old = ensured(tmp_path)
    build_index(tmp_path, [card("a/new")], encoder)
    assert ids(ensured(tmp_path).search("translate")) == ["a/new"]
    assert ids(old.search("translate")) == ["a/old"]


def test_the_same_model_twice_is_refused(tmp_path, encoder):
    with pytest.raises(IndexBuildError, match="a/a: is there twice"):
        build_index(tmp_path, [card("a/a"), card("a/a", "fill-mask")], encoder)


def test_no_cards_are_refused_and_leave_the_index_as_it_was(tmp_path, encoder):
    build_index(tmp_path, [card("a/a")], encoder)
    with pytest.raises(IndexBuildError, match="no cards"):
        build_index(tmp_path, [], encoder)
    assert open_index(tmp_path, encoder).card("a/a")
