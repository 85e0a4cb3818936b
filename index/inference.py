"""The task of a model, where the Hub states none, an old name, or one that its class contradicts.

A tag of the Hub that is no task of ours, like `reinforcement-learning`, stands: such a model is found by
searches, and is on no shortlist, since those are for tasks of ours.

What is weighed, the surest first: the task that is stated, the model's class, a task named by a tag, the
library that loads it, and words of its name and summary.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hugginggpt.index.architectures import Purpose, purpose_of
from hugginggpt.tools.tasks import TASKS


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a model before its task is."""

    stated: str = ""
    """The Hub's pipeline_tag, else the card's own."""
    tags: Sequence[str] = ()
    architecture: str = ""
    library: str = ""
    words: str = ""
    """Name and summary."""


RENAMED = {
    "conversational": "text-generation",
    "image-text-to-image": "image-to-image",
    "speech-segmentation": "voice-activity-detection",
    "structured-data-classification": "tabular-classification",
    "text-to-music": "text-to-audio",
}
"""Older names of tasks, as the Hub stated them."""

_REWRITES = "text2text-generation"
"""A stated task that may be any of three of ours: `text-generation` and these two."""
_REWRITING = {"translation", "summarization"}
FOLDED = RENAMED | {_REWRITES: "text-generation"}
"""Tags whose models have other tasks here, with the task of most. To ask for one means models that state it,
and where there are none, those of that task."""
_UNCLEAR = {"", "other", _REWRITES}
"""What is stated where the task has to be told from the rest."""
_TAG = re.compile(r"(?=.{3,40}\Z)[a-z0-9]+(?:-[a-z0-9]+)*")
"""What a tag of the Hub looks like; cards state other things too."""

_TAGS = {
    **RENAMED,
    "asr": "automatic-speech-recognition",
    "audio-source-separation": "audio-to-audio",
    "controlnet": "control-to-image",
    "cross-encoder": "text-ranking",
    "image-captioning": "image-to-text",
    "named-entity-recognition": "token-classification",
    "ner": "token-classification",
    "ocr": "image-to-text",
    "reranker": "text-ranking",
    "semantic-segmentation": "image-segmentation",
    "sentiment-analysis": "text-classification",
    "speaker-diarization": "voice-activity-detection",
    "speech-enhancement": "audio-to-audio",
    "speech-recognition": "automatic-speech-recognition",
    "speech-to-text": "automatic-speech-recognition",
    "stable-diffusion": "text-to-image",
    "super-resolution": "image-to-image",
    "tts": "text-to-speech",
}
_GENERATES = "text-generation-inference"
"""The tag of classes that the server of that name runs, language models all: the last resort."""

_LIBRARIES = {
    "asteroid": "audio-to-audio",
    "diffusers": "text-to-image",
    "fasttext": "text-classification",
    "flair": "token-classification",
    "keras-hub": "text-generation",
    "pyannote-audio": "voice-activity-detection",
    "sentence-transformers": "sentence-similarity",
    "setfit": "text-classification",
    "spacy": "token-classification",
    "span-marker": "token-classification",
    "stanza": "token-classification",
    "tensorflowtts": "text-to-speech",
    "timm": "image-classification",
    "ultralytics": "object-detection",
}
_WORDS = [
    (task, re.compile(pattern, re.IGNORECASE))
    for task, pattern in (
        ("zero-shot-classification", r"zero.?shot"),
        ("text-ranking", r"re-?rank|cross-?encoder"),
        ("translation", r"translat|opus-mt|wmt\d\d|source languages?:"),
        ("summarization", r"summar(?:y|i[sz])|headline|\bcnn\b|xsum|tl;?dr"),
        ("automatic-speech-recognition", r"speech.(?:recognition|to.text)|transcri(?:be|ption)|\basr\b"),
        ("text-to-speech", r"text.to.speech|\btts\b|speech synthesis|vocoder"),
        ("text-to-image", r"text.to.image|generates? images? from"),
        ("object-detection", r"object.detect|\byolo"),
        ("image-segmentation", r"(?:image|semantic|instance).segment"),
        ("image-classification", r"image.classif|classif\w+ (?:images|pictures)"),
        ("token-classification", r"named.entit|\bner\b|part.of.speech"),
        ("question-answering", r"question.answer|\bsquad"),
        ("sentence-similarity", r"sentence.(?:embed|transformer|similar)|semantic.search"),
        ("text-classification", r"sentiment|classif(?:y|ier|ication)|hate.speech|toxic"),
        ("text-generation", r"chatbot|dialog|instruct|text.generation|causal language|language model"),
    )
]
# What is stated for all sorts of vectors is of text here, unless the class says otherwise.
_VECTORS = {"feature-extraction", "sentence-similarity"}


def task_of(known: Evidence) -> tuple[str, bool] | None:
    """The task, or the Hub's tag for it, and whether that is our guess; None where it is not clear."""
    stated = RENAMED.get(known.stated, known.stated) if _TAG.fullmatch(known.stated) else ""
    purpose = purpose_of(known.architecture)
    if stated in TASKS:
        seen = purpose.task if purpose and stated in _VECTORS else stated
        if seen in {"", "image-feature-extraction"}:  # vectors, but of sounds or pictures
            return (seen, True) if seen else None
        return stated, False
    if stated not in _UNCLEAR:
        return stated, False
    if purpose:
        guess = _narrowed(purpose, known) if purpose.task else ""
    else:
        guess = _rewriting(known) if stated == _REWRITES else _by_words(known)
    return (guess, True) if guess else (stated, False) if stated else None


def other_tag(stated: str, task: str) -> str:
    """The tag that the Hub states, where it is another word than the task; else empty."""
    return stated if stated != task and _TAG.fullmatch(stated) else ""


def _rewriting(known: Evidence) -> str:
    """The task of a model that is only stated to make text of text: the one that its tags or words name."""
    told = [*_tagged(known.tags), *_worded(known.words)]
    return next((task for task in told if task in _REWRITING), "text-generation")


def _narrowed(purpose: Purpose, known: Evidence) -> str:
    """The task of a class, or another that the class may have, where tags, library or words say so."""
    tagged = _tagged(known.tags)
    told = [*tagged, _LIBRARIES.get(known.library, "")]
    if purpose.task not in tagged:
        told += _worded(known.words)
    return next((task for task in told if task in purpose.others), purpose.task)


def _by_words(known: Evidence) -> str:
    """The task of a model whose class is not known. Its words count where at least a library is."""
    told = [*_tagged(known.tags), _LIBRARIES.get(known.library, "")]
    if known.library:
        told += _worded(known.words)
    if _GENERATES in known.tags:
        told.append("text-generation")
    return next(filter(None, told), "")


def _tagged(tags: Sequence[str]) -> list[str]:
    named = (tag.lower().replace(" ", "-").replace("_", "-") for tag in tags)
    return [task for tag in named if (task := _TAGS.get(tag, tag)) in TASKS]


def _worded(words: str) -> list[str]:
    return [task for task, pattern in _WORDS if pattern.search(words)]
