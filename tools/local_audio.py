"""Recipes of the tasks that hear or make sound, with transformers."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hugginggpt.tools import sentences, sound
from hugginggpt.tools.local_vision import TOP, as_labels, auto, piped, processor_of, wanted
from hugginggpt.tools.readers import encode_wav
from hugginggpt.tools.recipe import Place, Recipe
from hugginggpt.tools.runtime import PermanentError
from hugginggpt.tools.values import Inputs, Media, Outputs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_HEARD = 20  # parts of a long recording that are classified, spread over it
_HEARD_AT_ONCE = 10.0  # seconds that AST hears at most, and CLAP, which of more takes a part by chance
_PAUSE = 0.25  # seconds between two spoken sentences
_MUSIC = 512  # tokens of music: 10 s with MusicGen's 50 a second
_FRAME = 0.02  # seconds that each frame of wav2vec2 and its kin stands for (arXiv 2006.11477)
_GAP, _SHORTEST = 0.3, 0.1  # seconds: a shorter pause does not end a segment, a shorter segment is a click


def _transcribe(pipe: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, transformers
    outputs: list[Outputs] = []
    for one in inputs:
        said = [text for part in _audible(pipe, one["audio"]) if (text := _written(pipe, part))]
        if not said:
            raise PermanentError("no-speech", "no speech was found in the recording")
        outputs.append({"text": " ".join(said)})
    return outputs


def _audible(pipe: Any, media: Media) -> "Iterator[NDArray[np.float32]]":  # noqa: ANN401, transformers
    """The parts of a recording in which there is something to hear: of silence, Whisper makes up words."""
    parts = sound.parts(media, pipe.feature_extractor.sampling_rate)
    return (part for part in parts if not sound.silent(part))


def _written(pipe: Any, part: "NDArray[np.float32]") -> str:  # noqa: ANN401, transformers
    options: dict[str, Any] = {}
    if pipe.type == "seq2seq_whisper":
        # Whisper writes 448 tokens at most, with those that say what it is to do
        options["max_new_tokens"] = pipe.model.config.max_target_positions - 8
    if pipe.type.startswith("seq2seq"):
        options["num_beams"] = 1
    heard = {"raw": part, "sampling_rate": pipe.feature_extractor.sampling_rate}
    return str(pipe(heard, generate_kwargs=options)["text"] if options else pipe(heard)["text"]).strip()


AUTOMATIC_SPEECH_RECOGNITION = Recipe(
    piped("automatic-speech-recognition"), _transcribe, auto("SPEECH_SEQ_2_SEQ", "CTC")
)


def _spread(media: Media, rate: int) -> "list[NDArray[np.float32]]":
    """Parts of a recording, at most `_HEARD`, spread over it."""
    step = max(1, round(sound.duration(media) / _HEARD_AT_ONCE / _HEARD))
    return [*islice(sound.parts(media, rate, _HEARD_AT_ONCE), 0, _HEARD * step, step)]


def _mean(found: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The labels of all parts, each with the mean of its scores, best first."""
    total: Counter[str] = Counter()
    for labels in found:
        for label in labels:
            total[label["label"]] += label["score"]
    return as_labels([{"label": label, "score": score / len(found)} for label, score in total.items()])


def _classify(pipe: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, transformers
    outputs: list[Outputs] = []
    rate = pipe.feature_extractor.sampling_rate
    for one in inputs:
        parts = _spread(one["audio"], rate)
        found = [pipe({"raw": part, "sampling_rate": rate}, top_k=None) for part in parts]
        outputs.append({"labels": _mean(found)[:TOP]})
    return outputs


AUDIO_CLASSIFICATION = Recipe(piped("audio-classification"), _classify, auto("AUDIO_CLASSIFICATION"))


def _sort(pipe: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, transformers
    outputs: list[Outputs] = []
    for one in inputs:
        labels = wanted(one)
        parts = _spread(one["audio"], pipe.feature_extractor.sampling_rate)
        outputs.append({"labels": _mean([pipe(part, candidate_labels=labels) for part in parts])})
    return outputs


ZERO_SHOT_AUDIO_CLASSIFICATION = Recipe(
    piped("zero-shot-audio-classification"), _sort, lambda: frozenset({"ClapModel"})
)


def _load_listener(folder: Path, place: Place) -> Any:  # noqa: ANN401, transformers
    from transformers import AutoModelForAudioFrameClassification

    model = AutoModelForAudioFrameClassification.from_pretrained(folder, **place.safely)
    return model.to(place.device).eval(), processor_of(folder, "AutoFeatureExtractor")


def _find_speech(loaded: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, transformers
    """Models of this kind tell for every frame which of some speakers speak; here: whether any does."""
    import torch

    model, extractor = loaded
    rate = extractor.sampling_rate
    outputs: list[Outputs] = []
    for one in inputs:
        speech: list[tuple[float, float]] = []
        begin = 0.0
        for part in sound.parts(one["audio"], rate):
            heard = extractor(part, sampling_rate=rate, return_tensors="pt").to(model.device, model.dtype)
            with torch.inference_mode():
                # a logit above 0 is more likely than not
                active = (model(**heard).logits[0] > 0).any(dim=-1).tolist()
            times = (begin + number * _FRAME for number, is_speech in enumerate(active) if is_speech)
            speech += [(time, time + _FRAME) for time in times]
            begin += len(part) / rate
        outputs.append({"segments": _joined(speech, sound.duration(one["audio"]))})
    return outputs


def _joined(frames: Sequence[tuple[float, float]], end: float) -> list[dict[str, float]]:
    segments: list[list[float]] = []
    for start, stop in frames:
        if segments and start - segments[-1][1] <= _GAP:
            segments[-1][1] = stop
        else:
            segments.append([start, stop])
    return [
        {"start": round(start, 2), "end": round(min(stop, end), 2)}
        for start, stop in segments
        if min(stop, end) - start >= _SHORTEST
    ]


VOICE_ACTIVITY_DETECTION = Recipe(_load_listener, _find_speech, auto("AUDIO_FRAME_CLASSIFICATION"))


def _speak(pipe: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, transformers
    """Sentence by sentence, with a pause between two: models are at their best, and bounded, with one."""
    import numpy as np

    outputs: list[Outputs] = []
    for one in inputs:
        spoken: list[NDArray[np.float32]] = []
        for sentence in sentences.split(one["text"]):
            if len(pipe.tokenizer(sentence)["input_ids"]) > 1:  # else it knows none of the characters
                spoken += [
                    _channels(pipe(sentence)),
                    np.zeros((round(_PAUSE * pipe.sampling_rate), 1), np.float32),
                ]
        if not spoken:
            raise PermanentError("empty-text", "there is nothing in the text that the model can say")
        wav = encode_wav(np.concatenate(spoken[:-1]), pipe.sampling_rate)
        outputs.append({"audio": Media(wav, "audio/wav", "speech.wav")})
    return outputs


def _channels(made: dict[str, Any]) -> "NDArray[np.float32]":
    """What a pipeline made, shape (samples, channels)."""
    import numpy as np

    audio = np.atleast_2d(np.asarray(made["audio"], np.float32))
    return audio.T if audio.shape[0] < audio.shape[1] else audio


def _voices() -> frozenset[str]:
    """Those that speak with what is in their folder: SpeechT5 and FastSpeech2 take a vocoder, a voice or a
    phonemizer from elsewhere."""
    return frozenset({"VitsModel", "BarkModel", "SeamlessM4TForTextToSpeech", "SeamlessM4Tv2ForTextToSpeech"})


def _load_voice(folder: Path, place: Place) -> Any:  # noqa: ANN401, transformers
    """In full precision: voices are small, and the flows of VITS overflow in half of it."""
    return piped("text-to-audio")(folder, replace(place, dtype="float32"))


TEXT_TO_SPEECH = Recipe(_load_voice, _speak, _voices)


def _compose(pipe: Any, inputs: Sequence[Inputs]) -> list[Outputs]:  # noqa: ANN401, transformers
    outputs: list[Outputs] = []
    for one in inputs:
        options: dict[str, Any] = {}
        if (config := pipe.model.config).model_type == "musicgen":
            longest = min(_MUSIC, config.decoder.max_position_embeddings - config.decoder.num_codebooks)
            options = {"max_new_tokens": longest, "do_sample": True}
        made = pipe(one["prompt"], generate_kwargs=options)
        wav = encode_wav(_channels(made), made["sampling_rate"])
        outputs.append({"audio": Media(wav, "audio/wav", "audio.wav")})
    return outputs


TEXT_TO_AUDIO = Recipe(
    piped("text-to-audio"), _compose, lambda: frozenset({"MusicgenForConditionalGeneration", "BarkModel"})
)
