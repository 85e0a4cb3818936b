from datetime import UTC, datetime, timedelta

import pytest

from hugginggpt.index import (
    Filters,
    build,
    build_index,
    folding,
    index_info,
    manifest,
    open_index,
    ranking,
    wishes,
)
from hugginggpt.index.wishes import WISHES, closeness, embedded
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.encoder import DEFAULT_ENCODER, load_encoder
from hugginggpt.tools.tasks import TASKS

TODAY = datetime.now(UTC).date()
LONG = "Answers questions about contracts in plain words, with the page and line of each, for lawyers."


def card(name, task="translation", summary="Translates.", **facts):
    return ModelCard(id=name, task=task, summary=summary, **facts)


@pytest.fixture(scope="module")
def encoder(shared):
    return load_encoder(DEFAULT_ENCODER, shared / "encoder")


@pytest.fixture
def search(tmp_path, encoder):
    def found(cards, query, **how):
        return [hit.card.id for hit in build_index(tmp_path, cards, encoder).search(query, **how)]

    return found


def test_a_rare_word_finds_the_model_that_says_it(search):
    cards = [card(f"a{n}/m", summary="Finds names in reports of doctors.") for n in range(30)]
    odd = card("b/odd", summary="Finds names in reports. Trained on Zyxgard.")
    assert search([*cards, odd], "names in the Zyxgard reports", k=1) == ["b/odd"]


def test_a_model_is_found_by_meaning_where_it_says_none_of_the_words(search):
    cards = [card("a/a", summary="Detects felines in photographs."), card("b/b", summary="Forecasts rain.")]
    assert search(cards, "where are cats")[0] == "a/a"


def test_what_a_person_says_points_at_a_task_that_no_card_names_so(search):
    cards = [
        card("a/m", "text-to-audio", "An encoder and a decoder."),
        card("b/m", "automatic-speech-recognition", "An encoder and a decoder."),
    ]
    assert search(cards, "type up what was said at the meeting")[0] == "b/m"


def test_filters_hold_whatever_fits_best(search):
    cards = [
        card("a/big", license="mit", parameters=9_000_000_000, languages=("de",)),
        card("b/closed", license="cc-by-nc-4.0", parameters=1000, languages=("de",)),
        card("c/fits", "fill-mask", "Fills gaps.", license="mit", parameters=1000, languages=("de",)),
    ]
    filters = Filters(license="permissive", max_parameters=10_000, language="de")
    assert search(cards, "it translates", filters=filters) == ["c/fits"]


def test_merit_decides_between_models_that_fit_equally_well(search):
    cards = [card("a/x"), card("b/x"), card("c/x")]
    merit = {"a/x": -1.0, "b/x": 0.0, "c/x": 1.0}.__getitem__
    assert search(cards, "translate", merit=merit) == ["c/x", "b/x", "a/x"]


def test_the_newer_of_two_like_models_comes_first(search):
    old = TODAY - timedelta(days=2000)
    assert search([card("b/x", updated=old), card("c/x", updated=TODAY)], "translate") == ["c/x", "b/x"]


def test_a_model_for_another_language_comes_after_one_for_the_language_that_is_named(search):
    cards = [
        card("a/x", summary="Sums up news.", languages=("ja",)),
        card("b/x", summary="Sums up news.", languages=("sv",)),
        card("c/x", summary="Sums up Japanese news."),
    ]
    assert search(cards, "sum up the Swedish news")[0] == "b/x"


def test_a_query_in_another_language_makes_no_model_foreign():
    assert ranking.languages_of("übersetze den Brief") is None
    assert ranking.languages_of("translate the letter into German") == {"en", "de"}


def test_a_query_that_is_no_whole_text_names_languages_too():
    assert ranking.languages_of("read \ud800 this in German") == {"en", "de"}


def test_no_score_of_a_task_exceeds_the_most(tmp_path, encoder):
    perfect = card("a/a", downloads=10**10, likes=10**7, updated=TODAY)
    index = build_index(tmp_path, [perfect], encoder)
    (hit,) = index.search("translation: a. Translates.", task="translation", merit=lambda _: 9.0)
    assert ranking.MOST - 0.1 < hit.score <= ranking.MOST


def test_figures_in_a_card_do_not_count_as_downloads(search):
    told = card("a/told", summary="Translates. 900 million downloads.")
    assert search([told, card("b/loaded", downloads=900_000)], "translate")[0] == "b/loaded"


def test_every_task_has_wishes():
    assert set(WISHES) >= set(TASKS)


def nearest_task(encoder, query):
    near = closeness(query, encoder.encode([query])[0], embedded(encoder))
    return max(near, key=near.__getitem__)


def test_a_wish_in_other_words_is_near_its_task(encoder):
    assert nearest_task(encoder, "type up the interview that I recorded") == "automatic-speech-recognition"


def test_the_words_of_a_wish_count_beside_its_meaning(encoder, monkeypatch):
    query = "sharpen my scanned letters from the war"
    assert nearest_task(encoder, query) == "image-to-image"
    monkeypatch.setattr(ranking, "WORDS", 0)
    assert nearest_task(encoder, query) == "document-question-answering"


def test_a_tag_of_the_hub_that_is_no_task_is_wished_for_too(encoder):
    assert nearest_task(encoder, "train a bot that plays a game by rewards") == "reinforcement-learning"


class Counted:
    """An encoder that notes what it encodes."""

    def __init__(self, encoder):
        self.id, self.revision, self.dimension = encoder.id, encoder.revision, encoder.dimension
        self.texts, self._encoder = [], encoder

    def encode(self, texts):
        self.texts += texts
        return self._encoder.encode(texts)


@pytest.fixture
def embedded_in(tmp_path, encoder):
    """What a search of a new process embeds."""
    build_index(tmp_path, [card("a/a")], encoder)

    def texts(query):
        counted = Counted(encoder)
        assert open_index(tmp_path, counted).search(query)
        return counted.texts

    return texts


def test_a_search_embeds_its_query_and_nothing_else(embedded_in):
    assert embedded_in("translate") == ["translate"]


def test_wishes_that_are_others_by_now_are_embedded_once(tmp_path, embedded_in, monkeypatch):
    monkeypatch.setattr(wishes, "DIGEST", "others")
    assert embedded_in("translate") == ["translate", *WISHES.values()]
    assert embedded_in("translate") == ["translate"]
    manifest.check(tmp_path, index_info(tmp_path))


def test_where_wishes_cannot_be_kept_a_search_goes_on_without(tmp_path, embedded_in, monkeypatch):
    monkeypatch.setattr(wishes, "DIGEST", "others")
    before = index_info(tmp_path)
    with build.lock(tmp_path):
        assert len(embedded_in("translate")) == 1 + len(WISHES)
    assert index_info(tmp_path) == before


@pytest.mark.parametrize(
    "name",
    [
        "b/Llama-3.1-8B-Instruct-GGUF",
        "b/Llama-3.1-8B-Instruct-Q4_K_M-GGUF",
        "b/llama-3.1-8b-instruct-gptq-int4",
        "b/Llama-3.1-8B-Instruct-AWQ",
        "b/Llama-3.1-8B-Instruct-4bit-mlx",
        "b/Llama-3.1-8B-Instruct-bnb-4bit",
        "b/Llama-3.1-8B-Instruct-i1-GGUF",
    ],
)
def test_the_name_of_a_quantised_model_has_the_stem_of_the_model(name):
    assert folding.stem(name) == folding.stem("meta-llama/Llama-3.1-8B-Instruct") == "llama-3.1-8b-instruct"


def test_sizes_are_no_forms():
    assert folding.stem("a/Qwen2.5-7B") != folding.stem("a/Qwen2.5-14B")


def kept(*cards):
    return [card.id for card in folding.fold(cards)]


def test_of_copies_the_best_supported_one_is_kept():
    assert kept(card("b/big-model-7b-GGUF"), card("a/big-model-7b", downloads=9)) == ["a/big-model-7b"]


def test_a_model_that_says_whose_copy_it_is_is_folded_into_it():
    copy = card("b/tiny-one", base_model="a/model-7b", downloads=3)
    assert kept(copy, card("a/model-7b", downloads=9)) == ["a/model-7b"]


def test_the_same_summary_by_another_is_a_copy_and_by_the_same_author_is_not():
    said = LONG + " It was made by four people in two years."
    assert kept(card("a/one-7b", summary=said, likes=4), card("b/two-7b", summary=said)) == ["a/one-7b"]
    assert kept(card("a/one-7b", summary=said), card("a/two-7b", summary=said)) == ["a/one-7b", "a/two-7b"]


def test_what_says_all_that_a_famous_card_says_and_more_is_a_copy():
    famous = card("a/one-7b", summary=LONG, downloads=10**6)
    copy = card("b/two-7b", summary=f"The best of all. {LONG} Free for everyone.", downloads=10)
    assert kept(copy, famous) == ["a/one-7b"]
    assert kept(copy, card("a/one-7b", summary=LONG, downloads=11)) == ["b/two-7b", "a/one-7b"]


def test_models_of_different_tasks_are_no_copies():
    assert len(kept(card("a/model-7b"), card("b/model-7b", "fill-mask"))) == 2


def test_names_that_many_models_have_say_nothing():
    assert len(kept(card("a/translator"), card("b/translator"), card("a/test"), card("b/test"))) == 4


def test_where_copies_fill_the_first_places_there_are_still_as_many_models_as_asked_for(search):
    copies = [card(f"a{n}/opus-1.5b-Q4_K_M-GGUF", summary="Translates letters.") for n in range(200)]
    others = [card(f"b/model-{n}", summary=f"Knits {n} socks.") for n in range(12)]
    assert len(search([*copies, *others], "translates letters", k=10)) == 10


def test_nobody_has_more_than_two_of_five_while_there_is_somebody_else(search):
    many = [card(f"acme/t{n}", summary="Translates letters.") for n in range(6)]
    others = [card(f"o{n}/x", summary="Translates, more or less.") for n in range(3)]
    found = search([*many, *others], "translates letters", k=5)
    assert sorted(id_.partition("/")[0] for id_ in found) == ["acme", "acme", "o0", "o1", "o2"]


def test_an_author_has_more_than_two_where_there_is_nobody_else(search):
    assert len(search([card(f"acme/t{n}") for n in range(6)], "translate", k=5)) == 5


def test_many_queries_are_prepared_at_once(tmp_path, encoder):
    class Counting:
        id, revision, dimension = encoder.id, encoder.revision, encoder.dimension
        calls = 0

        def encode(self, texts):
            self.calls += 1
            return encoder.encode(texts)

    counting = Counting()
    index = build_index(tmp_path, [card("a/a")], counting)
    before = counting.calls
    index.prepare("translate", "speak", "sing")
    index.search("speak", task="translation")
    assert counting.calls == before + 1
