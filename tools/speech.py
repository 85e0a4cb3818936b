"""Reads text aloud with espeak-ng: a formant synthesizer, robotic but clear, with voices in 100 languages."""

import ctypes
import functools
import re
import tempfile
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hugginggpt.tools.runtime import PermanentError

# Of espeak-ng's speak_lib.h.
_SYNCHRONOUS, _DONT_EXIT, _CHARACTER, _UTF8 = 2, 0x8000, 1, 1
_PATH_LIMIT = 150  # it cuts the path of its data off at 160 bytes and then looks elsewhere

# The script tells the language, or the most frequent of those written in it.
_SCRIPTS = {
    "ja": "぀-ヿ", "ko": "가-힣", "cmn": "一-鿿", "uk": "іїєґІЇЄҐ", "ru": "Ѐ-ӿ", "el": "Ͱ-Ͽ",
    "he": "֐-׿", "ar": "؀-ۿ", "hi": "ऀ-ॿ", "bn": "ঀ-৿", "ta": "஀-௿", "th": "฀-๿",
}  # fmt: skip
_STOP_WORDS = {
    "en": "the and of to is are was for with this that you it not from at have",
    "de": "der die das und ist nicht ein eine mit für auf ich sie zu den von dem im",
    "fr": "le la les des est et une un pour dans vous je ne pas que sur avec du",
    "es": "el la los las y es una un para con que por no en del se su está",
    "it": "il lo la gli di che è una un per con non sono del della e si nel",
    "pt": "o a os as e é uma um para com que não do da em se no na",
    "nl": "de het een en is van niet met voor dat op ik zijn aan ook er",
    "pl": "i w nie na się jest z do to że jak ale co po od dla",
    "sv": "och det att är en ett som på för med inte jag av den till har",
    "tr": "ve bir bu için ile de da çok ne gibi daha ama var mu",
}

_VOICES = {"en": "en-us"}  # where the voice has another name than the language


def language(text: str) -> str:
    """The language of a text, by its script and its most frequent small words; `en` when unsure."""
    letters = sum(letter.isalpha() for letter in text)
    for voice, span in _SCRIPTS.items():
        share = len(re.findall(f"[{span}]", text)) / max(letters, 1)
        if share > (0.02 if voice in {"uk", "ja"} else 0.4):
            return voice
    words = re.findall(r"[^\W\d_]+", text.lower())
    counts = {voice: sum(word in stop.split() for word in words) for voice, stop in _STOP_WORDS.items()}
    best = max(counts, key=lambda voice: counts[voice])
    return best if counts[best] >= 2 and counts[best] > counts["en"] else "en"


class _Espeak:
    """The library, which keeps its state in globals: one per process, used by one thread at a time."""

    def __init__(self) -> None:
        import espeakng_loader  # type: ignore[import-untyped]

        data = espeakng_loader.get_data_path()
        if len(data.encode()) > _PATH_LIMIT:
            # Lives as long as this object, that is, as the process.
            self._link = tempfile.TemporaryDirectory(prefix="espeak")
            link = Path(self._link.name, "espeak-ng-data")
            link.symlink_to(data)
            data = str(link)
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self.rate: int = self._library.espeak_Initialize(_SYNCHRONOUS, 0, data.encode(), _DONT_EXIT)
        if self.rate <= 0:
            raise PermanentError("espeak", f"espeak-ng does not start with its data in {data}")
        self._chunks: list[bytes] = []
        signature = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
        self._callback = signature(self._collect)  # kept, or it is freed while C holds it
        self._library.espeak_SetSynthCallback(self._callback)

    def _collect(self, samples: int | None, count: int, _events: int | None) -> int:
        if samples and count > 0:
            self._chunks.append(ctypes.string_at(samples, 2 * count))
        return 0  # go on

    def say(self, text: str, voice: str) -> NDArray[np.int16]:
        self._check(
            self._library.espeak_SetVoiceByName(_VOICES.get(voice, voice).encode()), f"has no voice {voice!r}"
        )
        data = text.encode() + b"\0"
        self._chunks.clear()
        code = self._library.espeak_Synth(
            data, ctypes.c_size_t(len(data)), 0, _CHARACTER, 0, _UTF8, None, None
        )
        self._check(code, "does not read this text")
        return np.frombuffer(b"".join(self._chunks), np.int16)

    @staticmethod
    def _check(code: int, problem: str) -> None:
        if code != 0:
            raise PermanentError("espeak", f"espeak-ng {problem} (error {code})")


_lock = threading.Lock()


@functools.cache
def _espeak() -> _Espeak:
    return _Espeak()


def say(text: str) -> tuple[NDArray[np.int16], int]:
    """A text read aloud: mono samples, shape (n,), and their rate in Hz. Blocks.

    Raises `PermanentError` where there is nothing to say or espeak-ng refuses.
    """
    if not re.search(r"\w", text):
        raise PermanentError("empty-text", "there is nothing to read aloud: the text has no words")
    text = text.replace("\0", " ")
    with _lock:
        return _espeak().say(text, language(text)), _espeak().rate
