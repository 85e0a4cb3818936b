import pytest

from hugginggpt.tools import sentences, spans
from hugginggpt.tools.encoder import DEFAULT_ENCODER, load_encoder
from hugginggpt.tools.runtime import PermanentError

CURIE = (
    "Marie Curie was born in Warsaw on 7 November 1867. She moved to Paris in 1891 to study physics. "
    "With her husband Pierre Curie she discovered polonium. The prize money was 70,000 francs."
)


@pytest.fixture(scope="module")
def encoder(shared):
    return load_encoder(DEFAULT_ENCODER, shared / "encoder")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dr. Smith paid $3.50 to J. R. Hill. Why?", ["Dr. Smith paid $3.50 to J. R. Hill.", "Why?"]),
        ("Version 2.5 is out. Das ist z.B. gut.", ["Version 2.5 is out.", "Das ist z.B. gut."]),
        ('"Really?" she asked. Yes!', ['"Really?" she asked.', "Yes!"]),
        ("A title\n\nOne line\ngoes on.", ["A title", "One line goes on."]),
        ("これは文です。次の文！", ["これは文です。", "次の文！"]),  # noqa: RUF001
        ("   ", []),
    ],
)
def test_texts_are_split_into_sentences(text, expected):
    assert sentences.split(text) == expected


def test_an_embedding_is_a_unit_vector_of_the_encoders_dimension(encoder):
    vector = sentences.embedding("A long text. " * 500, encoder)
    assert len(vector) == encoder.dimension
    assert sum(value * value for value in vector) == pytest.approx(1, abs=1e-4)


def test_similarity_is_one_for_the_same_text_and_higher_for_the_same_meaning(encoder):
    same, near, far = sentences.similarities(
        "A cat on a mat", ["A cat on a mat", "A kitten lies on a rug", "Stock markets fell"], encoder
    )
    assert same == pytest.approx(1, abs=1e-3)
    assert -1 <= far < near < same


@pytest.mark.parametrize(
    ("text", "labels", "best"),
    [
        ("I love this phone, it is wonderful.", ["negative", "positive"], "positive"),
        ("The food was terrible and cold.", ["positive", "negative"], "negative"),
        ("The team scored twice.", ["cooking", "sports", "politics"], "sports"),
        ("My parcel never arrived.", ["billing", "technical problem", "delivery"], "delivery"),
    ],
)
def test_a_text_is_sorted_into_the_label_that_fits(encoder, text, labels, best):
    scored = sentences.classify(text, labels, encoder)
    assert scored[0]["label"] == best
    assert sum(entry["score"] for entry in scored) == pytest.approx(1)
    assert sorted(scored, key=lambda entry: -entry["score"]) == scored


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("When was Marie Curie born?", "7 November 1867"),
        ("Who was her husband?", "Pierre Curie"),
        ("When did she move to Paris?", "1891"),
        ("How much was the prize money?", "70,000 francs"),
        ("Where was she born?", "Marie Curie was born in Warsaw on 7 November 1867."),
    ],
)
def test_a_question_is_answered_with_the_value_or_the_sentence(encoder, question, answer):
    assert sentences.answer(question, CURIE, encoder) == answer


def test_a_summary_is_a_third_of_the_sentences_in_their_order(encoder):
    text = " ".join(f"The council spoke about lanes in ward {number}." for number in range(10, 22))
    found = sentences.split(sentences.summary(text, encoder))
    assert len(found) == 4
    assert found == sorted(found)


def test_a_summary_leaves_out_what_has_nothing_to_do_with_the_rest(encoder):
    text = (
        "The city will build bicycle lanes. "
        "The bicycle lanes link schools and the station. My aunt bakes bread. "
        "The city pays for the lanes with a new tax. Cyclists in the city welcome the lanes."
    )
    assert "bread" not in sentences.summary(text, encoder)


@pytest.mark.parametrize(
    ("question", "kind"),
    [("How much is it?", "amount"), ("When is it due?", "date"), ("Who wrote it?", "name"),
     ("What is the order number?", "identifier"), ("Where was she born?", "place"),
     ("What should I bring?", None)],
)  # fmt: skip
def test_the_words_of_a_question_say_what_kind_of_answer_it_wants(question, kind):
    assert spans.expected(question) == kind


def test_empty_input_is_refused(encoder):
    for call in (
        lambda: sentences.embedding(" ", encoder),
        lambda: sentences.similarities("a", [], encoder),
        lambda: sentences.classify("a", [], encoder),
        lambda: sentences.summary("", encoder),
    ):
        with pytest.raises(PermanentError):
            call()
