from datetime import UTC, date, datetime

import pytest

from hugginggpt.index.rows import RowError, card_of

API = {
    "id": "acme/parrot-7B",
    "sha": "0" * 40,
    "pipeline_tag": "text-generation",
    "tags": ["transformers", "safetensors", "llama", "license:apache-2.0", "de", "en", "dataset:acme/talk"],
    "downloads": 12,
    "likes": 3,
    "library_name": "transformers",
    "lastModified": "2026-08-01T10:11:12.000Z",
    "gated": "auto",
    "config": {"architectures": ["LlamaForCausalLM"], "model_type": "llama"},
    "safetensors": {"total": 7_241_732_096, "parameters": {"BF16": 7_241_732_096}},
    "inferenceProviderMapping": {
        "together": {"status": "live", "providerId": "x", "task": "conversational"},
        "sambanova": {"status": "error", "providerId": "y", "task": "conversational"},
    },
    "card": "---\nlicense: mit\nlanguage: [de, en]\n---\n# Parrot\n\nParrot repeats what it is told.\n",
}


def made(**changes):
    return card_of({**API, **changes})


def test_the_facts_of_the_hub_are_those_of_the_card():
    card = made()
    assert (card.task, card.inferred, card.library) == ("text-generation", False, "transformers")
    assert (card.license, card.languages) == ("mit", ("de", "en"))
    assert (card.parameters, card.downloads, card.likes) == (7_241_732_096, 12, 3)
    assert (card.revision, card.gated, card.updated) == ("0" * 40, True, date(2026, 8, 1))
    assert (card.architecture, card.safetensors, card.providers) == ("LlamaForCausalLM", True, ("together",))
    assert card.summary == "Parrot repeats what it is told. Languages: German, English. Data: acme/talk."


def test_a_number_in_a_name_is_no_count_of_weights():
    assert made(safetensors=None).parameters is None
    assert made(safetensors=None, gguf={"total": 5}).parameters == 5


def test_a_card_may_stand_in_a_data_set_with_other_columns():
    card = card_of(
        {
            "modelId": "acme/parrot",
            "last_modified": datetime(2025, 2, 3, tzinfo=UTC),
            "tags": ["license:other", "pt-BR"],
            "card": "---\npipeline_tag: translation\nlanguage: no\n---\nTranslates poems into Norwegian.",
        }
    )
    assert (card.id, card.task, card.inferred) == ("acme/parrot", "translation", False)
    assert (card.license, card.languages, card.updated) == ("other", ("no",), date(2025, 2, 3))


@pytest.mark.parametrize(
    ("changes", "base"),
    [
        ({"tags": ["base_model:acme/parrot", "base_model:quantized:acme/parrot"]}, "acme/parrot"),
        ({"id": "joe/parrot-GGUF", "card": "---\nbase_model: acme/parrot\n---\n"}, "acme/parrot"),
        ({"id": "joe/parrot-4bit-mlx", "cardData": {"base_model": ["acme/parrot"]}}, "acme/parrot"),
        ({"id": "joe/my-parrot", "card": "---\nbase_model: acme/parrot\n---\n"}, ""),
        ({"tags": ["base_model:finetune:acme/parrot"]}, ""),
        ({"id": "joe/parrot-GGUF", "card": ""}, ""),
    ],
)
def test_only_a_quantised_form_has_a_base_model(changes, base):
    assert made(**changes).base_model == base


def test_a_model_without_a_card_is_described_by_its_tags():
    card = made(card="", tags=["medical", "de", "dataset:acme/talk", "license:mit", "transformers"])
    assert card.summary == "Languages: German. About: medical. Data: acme/talk."
    assert made(card=None, tags=[]).summary == "LlamaForCausalLM model."


def test_codes_of_languages_are_told_by_name():
    card = made(pipeline_tag="translation", card="* source languages: fi\n* target languages: deu_Latn, sv")
    assert card.summary.startswith("source languages: Finnish. target languages: German, Swedish.")


def test_front_matter_that_is_no_yaml_is_passed_over_entry_by_entry():
    card = made(card="---\nlicense: [mit\nlanguage:\n- fr\nwidget: {\n---\nSings.", tags=[])
    assert card.languages == ("fr",)
    assert card.license == ""


def test_weights_are_safetensors_where_tags_or_files_say_so():
    assert made(tags=[], safetensors=None).safetensors is None
    assert made(tags=[], safetensors=None, siblings=[{"rfilename": "a.bin"}]).safetensors is False
    assert made(tags=[], safetensors=None, siblings=[{"rfilename": "a.safetensors"}]).safetensors is True


@pytest.mark.parametrize("id_", ["/etc/models", "../../models", "..", "acme/..", "acme/x/y", "acme/a b", ""])
def test_an_id_that_could_be_a_path_is_no_model(id_):
    with pytest.raises(RowError, match="is not the id of a model"):
        made(id=id_)
    with pytest.raises(RowError, match="is not the id of a model"):
        card_of({"id": id_, "task": "translation", "summary": "Translates."})


@pytest.mark.parametrize(
    ("changes", "field", "read"),
    [
        ({"tags": '["license:mit", "fr"]', "card": ""}, "languages", ("fr",)),
        ({"tags": "['license:mit', 'fr']", "card": ""}, "license", "mit"),
        ({"tags": "license:mit, fr", "card": ""}, "languages", ("fr",)),
        ({"config": '{"architectures": ["BertForMaskedLM"]}'}, "architecture", "BertForMaskedLM"),
        ({"cardData": '{"license": "isc"}'}, "license", "isc"),
        ({"safetensors": '{"total": 5}'}, "parameters", 5),
        ({"license": ["cc-by-4.0", "mit"]}, "license", "cc-by-4.0"),
        ({"downloads": "1234.0"}, "downloads", 1234),
        ({"downloads": float("nan"), "tags": float("nan"), "card": float("nan")}, "downloads", None),
        ({"gated": "False"}, "gated", False),
        ({"gated": "manual"}, "gated", True),
        ({"lastModified": date(2026, 8, 1)}, "updated", date(2026, 8, 1)),
        ({"lastModified": 1_785_542_400}, "updated", date(2026, 8, 1)),
        ({"lastModified": 1_785_542_400_000}, "updated", date(2026, 8, 1)),
        ({"lastModified": None}, "updated", None),
    ],
)
def test_a_column_is_read_as_other_tools_write_it(changes, field, read):
    assert getattr(made(**changes), field) == read


def test_what_a_card_states_as_nothing_or_as_no_word_is_passed_over():
    stated = dict.fromkeys(("tags", "license", "base_model", "datasets"))
    card = made(card="", tags=["de"], cardData={**stated, "language": ["fr", None, 3]})
    assert (card.languages, card.license, card.base_model) == (("fr",), "", "")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"config": "a text"}, "config: 'a text' is not what the Hub has there"),
        ({"safetensors": 123}, "safetensors: '123' is not"),
        ({"card": {"text": "Sings."}}, "card: .* is not the text of a README"),
        ({"downloads": "many"}, "downloads: "),
        ({"lastModified": "yesterday"}, "yesterday"),
        ({"lastModified": 1e300}, "acme/parrot-7B: a column has not the type"),
    ],
)
def test_a_column_that_cannot_be_read_is_named(changes, complaint):
    with pytest.raises(RowError, match=complaint):
        made(**changes)


def test_only_a_commit_is_a_revision():
    assert made(sha="../../other").revision is None
    with pytest.raises(RowError, match="is not a commit"):
        card_of({"id": "a/b", "task": "translation", "summary": "Translates.", "revision": "../main"})


@pytest.mark.parametrize(
    ("stated", "task"),
    [
        ("translation", "translation"),
        ("conversational", "text-generation"),
        ("text2text-generation", "summarization"),
        ("reinforcement-learning", "reinforcement-learning"),
    ],
)
def test_a_card_of_our_own_may_have_any_tag_of_the_hub(stated, task):
    card = card_of({"id": "a/b", "task": stated, "summary": "Summarizes news."})
    assert (card.task, card.tag) == (task, "" if stated == task else stated)


@pytest.mark.parametrize(
    ("stated", "architecture", "task", "tag"),
    [
        ("conversational", "LlamaForCausalLM", "text-generation", "conversational"),
        ("text2text-generation", "MarianMTModel", "translation", "text2text-generation"),
        ("text2text-generation", "EsmForProteinFolding", "text2text-generation", ""),
        ("text-generation", "LlamaForCausalLM", "text-generation", ""),
        (None, "LlamaForCausalLM", "text-generation", ""),
        ("Text Generation!", "LlamaForCausalLM", "text-generation", ""),
    ],
)
def test_the_hubs_tag_is_kept_where_it_is_another_word_than_the_task(stated, architecture, task, tag):
    card = made(pipeline_tag=stated, config={"architectures": [architecture]})
    assert (card.task, card.tag) == (task, tag)


def test_a_tag_of_nobodys_is_no_task_of_a_card_of_our_own():
    with pytest.raises(RowError, match="task: transltion is not a task"):
        card_of({"id": "a/b", "task": "transltion", "summary": "Translates."})
