"""Sound as models hear it: one channel at their own sample rate, in parts of bounded length."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hugginggpt.tools.readers import audio_blocks, open_audio, resample
from hugginggpt.tools.runtime import PermanentError
from hugginggpt.tools.values import Media

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LEAST = 0.5  # seconds that a part has at least, with silence behind it: models fail on less than a frame
_SEARCHED = 5.0  # seconds at the end of a part in which its quietest place is looked for
_FRAME = 0.1  # seconds of sound that are taken together when it is
_SILENCE = 0.001  # of full scale: quieter than the noise of any microphone


def parts(media: Media, rate: int, seconds: float = 30.0) -> "Iterator[NDArray[np.float32]]":
    """A recording, however long, at `rate` Hz, samples in -1…1, in parts of at most so many seconds.

    A part ends where it is quietest near its end, so that no word is cut in two. Only a part and a block of
    the file are in memory at once. Raises `PermanentError` where there is no sound at all.
    """
    import numpy as np

    longest, some = round(seconds * rate), False
    waiting = np.zeros(0, np.float32)
    with open_audio(media.data) as sound:
        for block in audio_blocks(sound):
            fresh = resample(block.mean(axis=1, dtype=np.float32), sound.samplerate, rate)
            waiting = np.concatenate([waiting, fresh])
            while len(waiting) > longest:
                cut = _quietest(waiting[:longest], rate)
                yield waiting[:cut]
                waiting, some = waiting[cut:], True
    if not len(waiting) and not some:
        raise PermanentError("empty-sound", "the recording holds no sound")
    if len(waiting):
        yield np.pad(waiting, (0, max(0, round(_LEAST * rate) - len(waiting))))


def duration(media: Media) -> float:
    """Seconds of a recording, by its header."""
    with open_audio(media.data) as sound:
        return float(sound.frames / sound.samplerate)


def silent(samples: "NDArray[np.float32]") -> bool:
    """Whether there is nothing to hear."""
    return not len(samples) or float(abs(samples).max()) < _SILENCE


def _quietest(samples: "NDArray[np.float32]", rate: int) -> int:
    """The middle of the quietest tenth of a second in the last seconds, as a number of samples."""
    import numpy as np

    frame = max(1, round(_FRAME * rate))
    searched = min(round(_SEARCHED * rate), len(samples) // 2) // frame
    if not searched:
        return len(samples)
    tail = samples[len(samples) - searched * frame :].reshape(searched, frame)
    quietest = int(np.square(tail).mean(axis=1).argmin())
    return len(samples) - (searched - quietest) * frame + frame // 2
