import subprocess
import sys

import numpy as np
import pytest

from hugginggpt.tools import listening, speech
from hugginggpt.tools.runtime import PermanentError


def loudness(samples):
    return float(np.sqrt(np.mean(samples.astype(float) ** 2)))


def spoken(text):
    samples, rate = speech.say(text)
    return samples / np.float32(32768), rate


def test_a_sentence_is_seconds_of_audible_sound():
    samples, rate = speech.say("The quick brown fox jumps over the lazy dog.")
    assert 2 < len(samples) / rate < 5
    assert loudness(samples) > 500


def test_a_text_of_ten_thousand_characters_is_read_to_its_end():
    text = "The bridge is closed until Monday. " * 290
    samples, rate = speech.say(text)
    assert 500 < len(samples) / rate < 1200
    assert loudness(samples[-rate:]) > 200


@pytest.mark.parametrize("text", ["", "  \n", "... !"])
def test_a_text_without_words_is_refused(text):
    with pytest.raises(PermanentError, match="nothing to read aloud"):
        speech.say(text)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Where is the next train to the coast?", "en"),
        ("Der Zug ist heute nicht mit dem Bus verbunden.", "de"),
        ("Le train est dans la gare et ne part pas.", "fr"),
        ("El tren no se para en la ciudad.", "es"),
        ("Поезд отправляется утром.", "ru"),
        ("火车早上出发。", "cmn"),
        ("電車は朝に出発します。", "ja"),
        ("Zug", "en"),
    ],
)
def test_the_voice_follows_the_language_of_the_text(text, language):
    assert speech.language(text) == language


def test_it_speaks_where_the_path_of_its_data_is_too_long_for_it(tmp_path):
    script = """
import pathlib, sys, espeakng_loader
link = pathlib.Path(sys.argv[1], "deep" * 40)
link.mkdir()
(link / "espeak-ng-data").symlink_to(espeakng_loader.get_data_path())
espeakng_loader.get_data_path = lambda: str(link / "espeak-ng-data")
from hugginggpt.tools import speech
print(len(speech.say("Good morning")[0]))
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) > 5000
    assert done.stderr == ""


def test_segments_are_where_the_speech_is():
    pause, (first, rate), (second, _) = (
        np.zeros(44100, np.float32),
        spoken("good morning"),
        spoken("how are you"),
    )
    found = listening.segments(np.concatenate([pause, first, pause, second, pause]), rate)
    starts = [2.0, 4.0 + len(first) / rate]
    assert [segment["start"] for segment in found] == pytest.approx(starts, abs=0.4)
    assert all(segment["end"] > segment["start"] for segment in found)


def test_most_words_of_simple_sentences_come_back():
    said = ["one two three four five six seven", "please call the doctor tomorrow morning",
            "this is a small house with a green garden"]  # fmt: skip
    heard = [set(listening.transcript(*spoken(text)).split()) for text in said]
    words = [(word, part) for text, part in zip(said, heard, strict=True) for word in text.split()]
    assert sum(word in part for word, part in words) > 0.6 * len(words)


@pytest.mark.parametrize("seconds", [0, 2])
def test_a_recording_without_speech_is_an_error_and_has_no_segments(seconds):
    silence = np.zeros(16000 * seconds, np.float32)
    assert listening.segments(silence, 16000) == []
    with pytest.raises(PermanentError) as raised:
        listening.transcript(silence, 16000)
    assert raised.value.kind == "no-speech"
