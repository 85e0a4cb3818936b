"""Recipes of sound on this machine: tiny models with the real classes, and recordings that are odd."""

import io
import tracemalloc

import numpy as np
import pytest
import soundfile
import tiny_audio
import tiny_media

from hugginggpt.tools import sound
from hugginggpt.tools.local import recipe
from hugginggpt.tools.readers import encode_wav
from hugginggpt.tools.recipe import Place
from hugginggpt.tools.runtime import PermanentError
from hugginggpt.tools.values import Media


@pytest.fixture
def run(tiny_folder):
    def run(task, *inputs, maker=None):
        done = recipe(task)
        return done.run(
            done.load(tiny_folder(maker or tiny_media.MAKERS[task]), Place("cpu", "float32")), inputs
        )

    return run


def wav(samples, rate=16_000):
    return Media(encode_wav(np.asarray(samples, np.float32), rate), "audio/wav", "sound.wav")


def noise(seconds, rate=16_000):
    return np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * rate)).astype(np.float32)


HEARING = [
    ("automatic-speech-recognition", None, {}),
    ("automatic-speech-recognition", tiny_audio.wav2vec2, {}),
    ("audio-classification", None, {}),
    ("zero-shot-audio-classification", None, {"candidate_labels": ["rain", "dog"]}),
    ("voice-activity-detection", None, {}),
]


@pytest.mark.parametrize(("task", "maker", "more"), HEARING)
def test_any_recording_can_be_heard(run, task, maker, more):
    stereo, short = tiny_media.tone(1.0, 8000, 2), wav(noise(0.002), 44_100)
    for recording in (stereo, short):
        (outputs,) = run(task, {"audio": recording, **more}, maker=maker)
        if "labels" in outputs:
            assert sum(label["score"] for label in outputs["labels"]) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("task", "maker", "more"), HEARING)
def test_a_recording_without_a_sample_is_refused(run, task, maker, more):
    with pytest.raises(PermanentError, match="holds no sound"):
        run(task, {"audio": wav([]), **more}, maker=maker)


def test_no_words_are_made_up_for_silence(run):
    with pytest.raises(PermanentError, match="no speech was found"):
        run("automatic-speech-recognition", {"audio": wav(np.zeros(32_000))})


def test_what_is_said_in_a_long_recording_is_written_part_by_part(run):
    (short,) = run("automatic-speech-recognition", {"audio": wav(noise(5))})
    (long,) = run("automatic-speech-recognition", {"audio": wav(noise(65))})
    assert len(long["text"]) > len(short["text"])


def test_parts_end_where_it_is_quiet_and_lose_nothing():
    samples = noise(70)
    for second in (27.5, 54.2):
        samples[round(second * 16_000) : round((second + 0.4) * 16_000)] = 0
    parts = [*sound.parts(wav(samples), 16_000)]
    ends = np.cumsum([len(part) for part in parts]) / 16_000
    assert ends == pytest.approx([27.7, 54.4, 70.0], abs=0.25)
    assert max(len(part) for part in parts) <= 30 * 16_000
    np.testing.assert_allclose(np.concatenate(parts), samples, atol=1e-4)


def test_a_sound_without_a_pause_is_still_cut():
    parts = [*sound.parts(wav(np.full(65 * 16_000, 0.5)), 16_000)]
    assert sum(map(len, parts)) == 65 * 16_000
    assert max(map(len, parts)) <= 30 * 16_000


def test_an_hour_of_sound_takes_no_more_memory_than_a_few_parts():
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", 8000, 2, format="FLAC") as file:
        for _ in range(60):
            file.write(np.tile(noise(60, 8000)[:, None] / 4, (1, 2)))
    tracemalloc.start()
    try:
        seconds = (
            sum(len(part) for part in sound.parts(Media(buffer.getvalue(), "audio/flac"), 16_000)) / 16_000
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seconds == pytest.approx(3600, abs=0.5)
    assert peak < 100_000_000  # the whole hour would be 230 MB, at 16 kHz and in one channel


def test_speech_segments_lie_within_the_recording(run):
    (outputs,) = run("voice-activity-detection", {"audio": wav(noise(3.3))})
    assert outputs["segments"] == [{"start": 0.0, "end": pytest.approx(3.3, abs=0.05)}]


def test_sentences_are_spoken_one_by_one_with_a_pause(run):
    (one,) = run("text-to-speech", {"text": "good morning"})
    (two,) = run("text-to-speech", {"text": "Good morning to you all. How did you sleep last night?"})
    assert soundfile.info(io.BytesIO(two["audio"].data)).duration > 0.25
    assert soundfile.info(io.BytesIO(one["audio"].data)).duration > 0


def test_a_text_that_a_voice_cannot_say_is_refused(run):
    with pytest.raises(PermanentError, match="nothing in the text that the model can say"):
        run("text-to-speech", {"text": "!?"})


def test_labels_of_a_long_recording_are_those_of_parts_from_all_over_it(run):
    quiet, loud = np.zeros(16_000 * 10, np.float32), noise(10)
    (early,) = run("audio-classification", {"audio": wav(quiet)})
    (late,) = run("audio-classification", {"audio": wav(np.concatenate([quiet, loud]))})
    assert [one["score"] for one in early["labels"]] != [one["score"] for one in late["labels"]]
