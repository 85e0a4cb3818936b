import pytest

from hugginggpt.index.architectures import purpose_of
from hugginggpt.index.inference import Evidence, task_of


@pytest.mark.parametrize(
    ("known", "task"),
    [
        (Evidence(architecture="BertForTokenClassification"), "token-classification"),
        (Evidence(architecture="Wav2Vec2ForSequenceClassification"), "audio-classification"),
        (Evidence(architecture="Qwen2_5_VLForConditionalGeneration"), "image-text-to-text"),
        (Evidence(architecture="WhisperForConditionalGeneration"), "automatic-speech-recognition"),
        (Evidence(architecture="StableDiffusionXLPipeline"), "text-to-image"),
        (Evidence(architecture="ControlNetModel"), "control-to-image"),
        (Evidence(architecture="MarianMTModel", stated="text2text-generation"), "translation"),
        (Evidence(architecture="T5ForConditionalGeneration", tags=["summarization"]), "summarization"),
        (Evidence(architecture="T5ForConditionalGeneration", words="headlines"), "summarization"),
        (Evidence("text2text-generation", architecture="T5ForConditionalGeneration"), "text-generation"),
        (Evidence(architecture="BertModel", library="sentence-transformers"), "sentence-similarity"),
        (Evidence(architecture="BertModel"), "feature-extraction"),
        (Evidence(architecture="BertForTextClassification", words="zero-shot"), "zero-shot-classification"),
        (Evidence(tags=["pytorch", "TTS"]), "text-to-speech"),
        (Evidence(library="spacy"), "token-classification"),
        (Evidence(tags=["text-generation-inference", "unsloth"]), "text-generation"),
        (Evidence(tags=["text-generation-inference", "translation"]), "translation"),
        (Evidence(stated="text2text-generation", words="sums up news: a headline for each"), "summarization"),
        (Evidence(stated="text2text-generation", words="corrects the grammar"), "text-generation"),
        (Evidence("text2text-generation", library="transformers", words="zero-shot"), "text-generation"),
        (Evidence("text2text-generation", tags=["translation"], words="headlines"), "translation"),
        (Evidence(stated="text generation!", architecture="BertForMaskedLM"), "fill-mask"),
        (Evidence(library="keras", words="it classifies images of flowers"), "image-classification"),
        (Evidence(stated="feature-extraction", architecture="ViTModel"), "image-feature-extraction"),
    ],
)  # fmt: skip
def test_a_task_that_is_not_stated_is_inferred_and_marked(known, task):
    assert task_of(known) == (task, True)


@pytest.mark.parametrize(
    ("stated", "task"),
    [
        ("translation", "translation"),
        ("conversational", "text-generation"),
        ("structured-data-classification", "tabular-classification"),
    ],
)
def test_a_stated_task_counts_also_under_its_old_name(stated, task):
    assert task_of(Evidence(stated=stated, architecture="BertForMaskedLM")) == (task, False)


@pytest.mark.parametrize(
    "known",
    [
        Evidence(),
        Evidence(architecture="BertForMultipleChoice", tags=["text-classification"]),
        Evidence(stated="feature-extraction", architecture="Wav2Vec2Model"),
        Evidence(words="a chatbot, without anything that could load it"),
    ],
)
def test_a_model_whose_task_cannot_be_told_has_none(known):
    assert task_of(known) is None


@pytest.mark.parametrize(
    "known",
    [
        Evidence(stated="reinforcement-learning", tags=["text-generation"]),
        Evidence(stated="any-to-any", architecture="Qwen2_5OmniForConditionalGeneration"),
        Evidence(stated="text2text-generation", architecture="EsmForProteinFolding"),
    ],
)
def test_a_tag_of_the_hub_that_is_no_task_of_ours_stands(known):
    assert task_of(known) == (known.stated, False)


def test_most_classes_of_the_installed_transformers_are_known():
    """811 of 880 in transformers 5.23, counting only the task that the mapping is for."""
    from transformers.models.auto import modeling_auto

    mappings = {
        "SEQUENCE_CLASSIFICATION": "text-classification",
        "CAUSAL_LM": "text-generation",
        "MASKED_LM": "fill-mask",
        "QUESTION_ANSWERING": "question-answering",
        "TOKEN_CLASSIFICATION": "token-classification",
        "CTC": "automatic-speech-recognition",
        "IMAGE_CLASSIFICATION": "image-classification",
        "OBJECT_DETECTION": "object-detection",
        "SEMANTIC_SEGMENTATION": "image-segmentation",
        "DEPTH_ESTIMATION": "depth-estimation",
        "VIDEO_CLASSIFICATION": "video-classification",
        "AUDIO_CLASSIFICATION": "audio-classification",
        "ZERO_SHOT_OBJECT_DETECTION": "zero-shot-object-detection",
        "TEXT_TO_SPECTROGRAM": "text-to-speech",
    }
    for mapping, task in mappings.items():
        classes = set()
        for names in getattr(modeling_auto, f"MODEL_FOR_{mapping}_MAPPING_NAMES").values():
            classes.update([names] if isinstance(names, str) else names)
        known = sum(getattr(purpose_of(name), "task", None) == task for name in classes)
        assert known >= 0.85 * len(classes), mapping
