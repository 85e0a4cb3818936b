import re
from collections import Counter

from hugginggpt.index import starter_cards
from hugginggpt.tools import builtin
from hugginggpt.tools.tasks import TASKS

CARDS = starter_cards()


def test_every_task_has_at_least_two_models():
    models = Counter(card.task for card in CARDS)
    assert [task for task in TASKS if models[task] < 2] == []


def test_no_model_is_listed_twice():
    assert [name for name, times in Counter(card.id.lower() for card in CARDS).items() if times > 1] == []


def test_every_id_is_an_owner_and_a_name():
    assert [card.id for card in CARDS if not re.fullmatch(r"[\w.-]+/[\w.-]+", card.id)] == []


def test_every_language_is_an_iso_639_1_code():
    assert [
        card.id for card in CARDS if any(not re.fullmatch("[a-z]{2}", code) for code in card.languages)
    ] == []


def test_every_licence_is_written_as_the_hub_writes_it():
    assert [card.id for card in CARDS if not re.fullmatch(r"[a-z0-9.+-]*", card.license)] == []


def test_every_summary_is_a_sentence_or_a_few():
    assert [card.id for card in CARDS if not 20 < len(card.summary) < 250 or card.summary[-1] != "."] == []


def test_the_builtin_models_are_those_of_the_builtin_runtime():
    assert {card.id for card in CARDS if card.builtin} == set(builtin._MODELS)
