"""Reads and writes videos with PyAV: a few frames out of one, and H.264 in MP4. All of it blocks."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hugginggpt.tools.readers import UnreadableError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from PIL import Image

# Media type to FFmpeg's name of the container. It is always named: left to guess, FFmpeg also takes play
# lists, which make it open the files and addresses that they name.
_CONTAINERS = {
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/webm": "matroska",
    "video/x-matroska": "matroska",
    "video/x-msvideo": "avi",
}
MAX_FRAMES = 432_000
"""Two hours at 60 frames per second."""

_SHORT = 60.0  # seconds: of a longer video only the frames are decoded that stand by themselves
_SIDE = 1024  # pixels that the longer side of a frame has at most: models look at 224 to 512


def measure(data: bytes, media_type: str, max_pixels: int, max_frames: int) -> dict[str, Any]:
    """Width and height in pixels, seconds and frames, by the container; its first frame is decoded as well.

    Raises `UnreadableError` on a video that is broken, cut off or without pictures, and on one with more
    pixels in a frame, or more frames, than are taken.
    """
    with _opened(data, media_type) as (container, stream):
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > max_pixels:
            raise UnreadableError(
                f"has {width:,}×{height:,} pixels; at most {max_pixels:,} are taken, make it smaller"
            )
        seconds, count = _extent(container, stream, max_frames)
        container.seek(0)
        picture = next(container.decode(stream), None)
        if picture is None or not count:
            raise UnreadableError("has no picture that can be decoded; attach a whole copy")
        if picture.rotation % 180:
            width, height = height, width
        return {"width": width, "height": height, "seconds": round(seconds, 3), "frames": count}


def _extent(container: "InputContainer", stream: "VideoStream", max_frames: int) -> tuple[float, int]:
    """Seconds and frames. Counted, since a file may not tell them, or tell what is not there."""
    begin, end, count = float("inf"), 0.0, 0
    for packet in container.demux(stream):
        if packet.pts is None:
            continue
        time = float(packet.pts * packet.time_base)
        begin, end = min(begin, time), max(end, time + float((packet.duration or 0) * packet.time_base))
        count += 1
        if count > max_frames:
            raise UnreadableError(f"has more than {max_frames:,} frames; attach a part of it")
    if count < stream.frames:
        raise UnreadableError(
            f"is cut off: it has {count:,} of {stream.frames:,} frames; attach a whole copy"
        )
    return max(end - begin, 0.0), count


def frames(data: bytes, media_type: str, number: int) -> "list[Image.Image]":
    """So many pictures spread evenly over a video, upright, mode RGB, no side over 1024 pixels.

    One with fewer frames repeats some. Of a video over a minute they are key frames, a few seconds apart.
    """
    found: list[Image.Image] = []
    with _opened(data, media_type) as (container, stream):
        seconds, _ = _extent(container, stream, MAX_FRAMES)
        container.seek(0)
        wanted = [seconds * (place + 0.5) / number for place in range(number)]
        if seconds > _SHORT:
            stream.codec_context.skip_frame = "NONKEY"
        begin: float | None = None
        picture: VideoFrame | None = None
        for picture in container.decode(stream):
            time = picture.time or 0.0
            begin = time if begin is None else begin
            shown = time - begin + _length(stream)
            while len(found) < number and shown >= wanted[len(found)]:
                found.append(_upright(picture))
            if len(found) == number:
                break
        if picture is None:
            raise UnreadableError("has no picture that can be decoded; attach a whole copy")
        found += [_upright(picture)] * (number - len(found))
    return found


def encode_mp4(pictures: "Sequence[Image.Image]", rate: float) -> bytes:
    """H.264 in MP4 of RGB pictures of one size; `rate` is in frames per second.

    H.264 with halved colour wants even sizes: an odd one grows by one pixel, a copy of its last.
    """
    from fractions import Fraction

    import av
    import numpy as np

    buffer = io.BytesIO()
    width, height = pictures[0].size
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001))
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            even = np.pad(
                np.asarray(picture.convert("RGB")), ((0, height % 2), (0, width % 2), (0, 0)), "edge"
            )
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode(None))
    return buffer.getvalue()


@contextmanager
def _opened(data: bytes, media_type: str) -> "Iterator[tuple[InputContainer, VideoStream]]":
    import av

    try:
        with av.open(io.BytesIO(data), "r", format=_CONTAINERS[media_type]) as container:
            if not container.streams.video:
                raise UnreadableError("has no pictures in it; attach a video, or name it as a sound")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            yield container, stream
    except (av.error.FFmpegError, ValueError) as error:
        if isinstance(error, UnreadableError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableError(f"is not a valid {media_type} file ({reason}); attach a whole copy") from error


def _length(stream: "VideoStream") -> float:
    """Seconds that a frame is shown."""
    return float(1 / stream.average_rate) if stream.average_rate else 0.0


def _upright(frame: "VideoFrame") -> "Image.Image":
    scale = min(1.0, _SIDE / max(frame.width, frame.height))
    size = {"width": max(1, round(frame.width * scale)), "height": max(1, round(frame.height * scale))}
    picture: Image.Image = frame.to_image(**size)  # type: ignore[no-untyped-call]
    return picture.rotate(frame.rotation, expand=True) if frame.rotation else picture
