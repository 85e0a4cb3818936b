"""Text tasks on this machine: long texts, languages, what cannot be done. The models are tiny and random."""

import pytest
import tiny_translators
from tiny_models import MAKERS, TEXT, bert

from hugginggpt.tools.languages import guess, language
from hugginggpt.tools.local import recipe
from hugginggpt.tools.pretrained import parts
from hugginggpt.tools.recipe import Place
from hugginggpt.tools.runtime import PermanentError

CPU = Place("cpu", "float32")
LONG = " ".join(f"Sentence {number} is about the harbour." for number in range(40))


@pytest.fixture(scope="module")
def load(tiny_folder):
    """A loaded model of a task, once: give its task, and another maker than the usual."""
    loaded = {}

    def get(task, maker=None):
        maker = maker or MAKERS[task]
        if (task, maker) not in loaded:
            loaded[task, maker] = recipe(task).load(tiny_folder(maker), CPU)
        return loaded[task, maker]

    return get


@pytest.fixture
def run(load):
    def run_(task, *inputs, maker=None):
        return recipe(task).run(load(task, maker), inputs)

    return run_


def words(text):
    return len(text.split())


def test_parts_are_whole_sentences_within_the_room():
    found = parts("One two three. Four five. Six seven eight nine. Ten.", words, 5)
    assert found == ["One two three. Four five.", "Six seven eight nine. Ten."]


def test_a_sentence_longer_than_the_room_is_cut_between_words():
    found = parts("a b c d e f g h i j.", words, 3)
    assert max(map(words, found)) <= 3
    assert " ".join(found) == "a b c d e f g h i j."


def test_a_text_that_fits_stays_as_it_is():
    assert parts("  One.\n\nTwo. ", words, 5) == ["  One.\n\nTwo. "]


def test_a_long_text_is_summarized_part_by_part(load, run, monkeypatch):
    writer = load("summarization")
    seen = []
    monkeypatch.setattr(
        type(writer), "_write", lambda self, texts, options: seen.extend(texts) or ["x"] * len(texts)
    )
    (output,) = run("summarization", {"text": LONG})
    assert len(seen) > 5
    assert max(map(writer.length, seen)) <= 64
    assert output == {"text": " ".join("x" * len(seen))}


def test_the_summary_of_a_short_text_need_not_be_longer_than_it(load, run, monkeypatch):
    writer, asked = load("summarization"), {}
    monkeypatch.setattr(writer.model.generation_config, "min_length", 56)
    monkeypatch.setattr(type(writer), "_write", lambda self, texts, options: asked.update(options) or ["x"])
    run("summarization", {"text": "Short."})
    assert asked["min_length"] <= 4


def test_a_text_is_written_on_from_a_chat(load, run):
    writer = load("text-generation")
    (output,) = run("text-generation", {"text": "Hi"})
    assert isinstance(output["text"], str)
    assert "user:" not in output["text"]
    with pytest.raises(PermanentError, match=r"reads 64 tokens; the text has \d+"):
        run("text-generation", {"text": LONG})
    assert writer.tokenizer.padding_side == "left"


def test_inputs_of_one_call_get_the_same_as_alone(run):
    texts = [{"text": "A ship."}, {"text": TEXT}, {"text": LONG}]
    for task in ("text-classification", "token-classification", "feature-extraction"):
        together = run(task, *texts)
        alone = [run(task, one)[0] for one in texts]
        assert [list(one) for one in together] == [list(one) for one in alone]
        for one, other in zip(together, alone, strict=True):
            assert flat(one) == pytest.approx(flat(other), abs=1e-4)


def flat(output):
    (values,) = output.values()
    return [value["score"] if isinstance(value, dict) else value for value in values]


def test_all_of_a_long_text_counts_for_its_label(run):
    (whole,) = run("text-classification", {"text": LONG})
    (begin,) = run("text-classification", {"text": LONG[:60]})
    assert sum(one["score"] for one in whole["labels"]) == pytest.approx(1)
    assert flat(whole) != pytest.approx(flat(begin), abs=1e-7)


def test_names_are_found_to_the_end_of_a_long_text(run):
    maker = bert("TokenClassification", id2label={0: "PER", 1: "LOC"}, label2id={"PER": 0, "LOC": 1})
    (output,) = run("token-classification", {"text": LONG}, maker=maker)
    assert output["entities"][-1]["end"] >= len(LONG) - 2
    assert all(LONG[one["start"] : one["end"]] == one["word"] for one in output["entities"])


def test_an_answer_is_a_passage_of_the_text_also_of_a_long_one(run):
    for output in run(
        "question-answering",
        {"question": "Which sentence?", "context": LONG},
        {"question": "Who?", "context": "Nobody came."},
    ):
        assert output["text"]
        assert output["text"] in LONG + "Nobody came."


def test_every_mask_is_filled(run):
    (output,) = run("fill-mask", {"text": "The [MASK] was <mask> in the ____."})
    assert output["text"].startswith("The ")
    assert not {"[MASK]", "<mask>", "____"} & set(output["text"].split())


@pytest.mark.parametrize(
    ("task", "inputs", "line"),
    [
        ("summarization", {"text": " "}, "the text is empty"),
        ("fill-mask", {"text": "Nothing is missing."}, r"write \[MASK\] where one is missing"),
        ("zero-shot-classification", {"text": TEXT, "candidate_labels": []}, "there are no candidate labels"),
        ("table-question-answering", {"question": "How many?", "table": []}, "the table has no rows"),
        ("sentence-similarity", {"source": TEXT, "sentences": []}, "nothing to compare"),
        ("text-ranking", {"query": TEXT, "documents": []}, "there are no documents"),
        ("question-answering", {"question": LONG, "context": TEXT}, "the question leaves no room"),
        (
            "table-question-answering",
            {"question": "How many?", "table": [{"n": str(n)} for n in range(60)]},
            r"reads 64 tokens; the table of 60 rows has \d+",
        ),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(task, inputs, line, run):
    with pytest.raises(PermanentError, match=line):
        run(task, inputs)


@pytest.mark.parametrize(
    ("aggregator", "cells", "text"),
    [
        ("SUM", ["1,200", "3.5"], "1203.5"),
        ("AVERAGE", ["1", "2"], "1.5"),
        ("COUNT", ["Kiel", "Ulm"], "2"),
        ("SUM", ["many"], "many"),
        ("NONE", ["Kiel", "Ulm"], "Kiel, Ulm"),
    ],
)
def test_what_a_table_is_asked_to_add_up_is_added_up(aggregator, cells, text):
    from hugginggpt.tools.local_reading import _worked_out

    assert _worked_out(aggregator, cells) == text


@pytest.mark.parametrize("family", tiny_translators.MAKERS)
def test_each_family_of_models_is_told_the_languages_in_its_way(family, load, run):
    maker = tiny_translators.MAKERS[family]
    inputs = {
        "text": "The ferry was late.\n\nIt was fog.",
        "target_language": "German",
        "source_language": "English",
    }
    (output,) = run("translation", inputs, maker=maker)
    assert output["text"].count("\n") == 2


@pytest.mark.parametrize("family", [name for name in tiny_translators.MAKERS if name != "nllb"])
def test_a_language_that_a_model_does_not_have_is_told(family, run):
    inputs = {"text": TEXT, "target_language": "Basque"}
    with pytest.raises(PermanentError, match="into Basque"):
        run("translation", inputs, maker=tiny_translators.MAKERS[family])


@pytest.mark.parametrize(
    ("family", "way"),
    [
        ("nllb", ("", "eng_Latn", "deu_Latn")),
        ("m2m100", ("", "en", "__de__")),
        ("mbart", ("", "en_XX", "de_DE")),
        ("marian", ("", "", "")),
        ("marian of many", (">>deu<< ", "", "")),
        ("t5", ("translate English to German: ", "", "")),
    ],
)
def test_languages_are_named_as_the_model_names_them(family, way, load):
    from hugginggpt.tools.local_translation import _way

    found = _way(
        load("translation", tiny_translators.MAKERS[family]),
        {"text": "The cat.", "target_language": "German"},
    )
    assert (found.prefix, found.source, found.first) == way


def test_texts_between_different_languages_are_translated_in_one_call(run):
    inputs = [{"text": "Fog.", "target_language": name} for name in ("German", "French", "German")]
    outputs = run("translation", *inputs)
    assert outputs[0] == outputs[2]
    assert [*outputs[1]] == ["text"]


def test_a_language_that_nobody_knows_is_told(run):
    with pytest.raises(PermanentError, match="'Klingon' is not a language that is known here"):
        run("translation", {"text": TEXT, "target_language": "Klingon"})


@pytest.mark.parametrize(
    ("name", "iso"),
    [
        ("German", "de"),
        ("de-AT", "de"),
        ("deu_Latn", "de"),
        ("Brazilian Portuguese", "pt"),
        ("zh-Hans", "zh"),
    ],
)
def test_languages_are_known_by_name_and_code(name, iso):
    assert language(name).iso == iso


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("The cat is on the mat.", "en"), ("Der Hund ist nicht hier.", "de"),
        ("Le chat est dans la maison.", "fr"),
        ("Привет, как дела?", "ru"), ("今日は天気がいいです", "ja"), ("你好世界", "zh"),
    ],
)  # fmt: skip
def test_the_language_of_a_text_is_guessed(text, iso):
    assert guess(text).iso == iso


def test_nothing_is_guessed_of_what_does_not_tell():
    assert guess("xyz 123") is None
