import time

import pytest

from hugginggpt.index.cleaning import LONGEST, summarize
from hugginggpt.index.visible import plain, visible

TRAINER = """
<!-- This model card has been generated automatically according to the information the Trainer had access to. -->

# bert-finetuned-emotion

This model is a fine-tuned version of [bert-base-uncased](https://huggingface.co/bert-base-uncased) on the emotion dataset.
It achieves the following results on the evaluation set:
- Loss: 0.2147
- Accuracy: 0.925

## Model description

More information needed

### Training hyperparameters

The following hyperparameters were used during training:
- learning_rate: 2e-05

| Training Loss | Epoch | Step |
|:-------------:|:-----:|:----:|
| 0.8221        | 1.0   | 250  |
"""  # noqa: E501, a card as it comes


def test_of_a_trainers_card_only_what_it_was_trained_from_and_on_is_left():
    assert (
        summarize(TRAINER, "me/bert-finetuned-emotion")
        == "This model is a fine-tuned version of bert-base-uncased on the emotion dataset."
    )


def test_data_that_the_trainer_does_not_know_are_no_fact():
    said = summarize("This model is a fine-tuned version of t5-small on the None dataset.")
    assert said == "This model is a fine-tuned version of t5-small."


def test_the_introduction_comes_first_then_the_description_then_uses():
    card = (
        "# Lex\n\nLex finds clauses in contracts.\n\n"
        "## Intended uses\n\nFor lawyers who read many contracts.\n\n"
        "## Training\n\nIt was trained on eight cards for a week.\n\n"
        "## Model description\n\nA small English encoder."
    )
    assert summarize(card, "a/lex") == (
        "Lex finds clauses in contracts. A small English encoder. For lawyers who read many contracts."
    )


def test_a_title_that_says_more_than_the_name_is_a_sentence():
    assert summarize("# BERTje: A Dutch BERT model\n", "GroNLP/bertje") == "BERTje: A Dutch BERT model."
    assert summarize("# bert-base\n", "me/bert-base") == ""


@pytest.mark.parametrize(
    "unseen",
    [
        "<!-- stuffing translation -->",
        "<!-- stuffing translation",
        '<div style="display:none">stuffing translation</div>',
        "<p style='font-size: 0'>stuffing <b>translation</b></p>",
        '<span style="color:#FFFFFF">stuffing translation</span>',
        '<font color="white">stuffing translation</font>',
        '<span style="color: white; background: #fff">stuffing translation</span>',
        '<div style="opacity:0">stuffing <div>translation</div> stuffing</div>',
        '<div style="position:absolute; left:-9999px">stuffing translation</div>',
        "<div hidden>stuffing translation</div>",
        "<details><summary>more</summary>stuffing translation</details>",
        "<script>stuffing translation</script>",
        "```\nstuffing translation\n```",
        "![stuffing translation](a.png)",
        '[](https://example.com "stuffing translation")',
        "[comment]: # (stuffing translation)",
        '<img src="a.png" alt="stuffing translation">',
        "$\\color{white}{stuffing translation}$",
        '<p style="display:none">stuffing translation',
    ],
)
def test_what_the_page_does_not_show_is_not_read(unseen):
    said = summarize(f"This one detects fire in pictures of forests.\n\n{unseen}\n")
    assert "detects fire" in said
    assert "stuffing" not in said


def test_white_text_on_a_dark_ground_is_seen():
    card = '<div style="background: #222; color: white">It detects fire in pictures of forests.</div>'
    assert summarize(card) == "It detects fire in pictures of forests."


def test_characters_that_cannot_be_seen_are_removed_and_lookalike_forms_made_plain():
    assert (
        plain("de\u200btects\u202e \U000e0041\ufb01re \U0001d41f\U0001d422\U0001d42b\U0001d41e\x07")
        == "detects fire fire"
    )


def test_markup_and_links_leave_their_words():
    card = "A **BERT** for [legal _texts_](https://a.b/c_(d)), see `lex` and <b>more</b> &amp; https://e.f/g."
    assert summarize(card) == "A BERT for legal texts, see lex and more &."


def test_an_address_on_the_hub_leaves_the_name_of_the_model_or_the_data():
    card = (
        "It is made from https://huggingface.co/google/ddpm-bedroom-256 and tuned on "
        "<https://huggingface.co/datasets/huggan/wikiart>. "
        "It paints rooms, as https://huggingface.co/docs/x tells."
    )
    assert (
        summarize(card)
        == "It is made from google/ddpm-bedroom-256 and tuned on huggan/wikiart. It paints rooms, as tells."
    )


def test_a_summary_is_whole_sentences_within_its_limit():
    said = summarize(" ".join(f"Sentence number {n} tells something about the model." for n in range(100)))
    assert 300 < len(said) <= LONGEST
    assert said.endswith("model.")


def test_a_sentence_is_told_once():
    assert summarize("It detects fire in forests.\n\n" * 20) == "It detects fire in forests."


@pytest.mark.parametrize(
    "card",
    [
        "",
        "\n\n\n",
        "---\n",
        "|" * 20_000,
        "<" * 20_000,
        '<a "' * 5_000,
        "[" * 20_000,
        "*_" * 10_000,
        "$_" * 10_000,
    ],
)
def test_nonsense_is_read_quickly_and_says_nothing(card):
    start = time.process_time()
    assert summarize(card) == ""
    assert time.process_time() - start < 1


def test_an_element_in_an_element_of_its_name_ends_where_its_own_end_is():
    assert visible("a<table>b<table>c</table>d</table>e").split() == ["ae"]
