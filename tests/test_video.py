"""Videos: written, measured and read again, with files made on the spot by FFmpeg itself."""

import io

import av
import numpy as np
import pytest
from PIL import Image

from hugginggpt.tools import video
from hugginggpt.tools.media import BadFileError, Limits, inspect
from hugginggpt.tools.readers import UnreadableError


def clip(frames=30, size=(64, 48), rate=10):
    """Each frame is a step brighter than the one before."""
    steps = np.linspace(0, 255, frames).round().astype(int)
    return video.encode_mp4([Image.new("RGB", size, (int(s),) * 3) for s in steps], rate)


def written(container, codec, frames=20):
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        stream = file.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(frames):
            picture = np.full((48, 64, 3), number, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode(None))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("container", "codec", "media_type"),
    [
        ("mp4", "libx264", "video/mp4"),
        ("mov", "libx264", "video/quicktime"),
        ("webm", "libvpx", "video/webm"),
        ("matroska", "libx264", "video/x-matroska"),
        ("avi", "mpeg4", "video/x-msvideo"),
    ],
)
def test_a_video_is_known_by_its_content_and_measured(container, codec, media_type):
    found, meta = inspect(written(container, codec), "clip", Limits())
    assert found == media_type
    assert (meta["width"], meta["height"], meta["frames"]) == (64, 48, 20)
    assert meta["seconds"] == pytest.approx(2.0, abs=0.11)


@pytest.mark.parametrize("size", [(1, 1), (65, 48), (64, 47), (33, 17)])
def test_odd_sizes_grow_by_a_pixel_since_h264_wants_even_ones(size):
    meta = inspect(clip(3, size), "clip.mp4", Limits())[1]
    assert (meta["width"], meta["height"]) == (size[0] + size[0] % 2, size[1] + size[1] % 2)
    assert len(video.frames(clip(3, size), "video/mp4", 3)) == 3


def brightness(frames):
    return [int(np.asarray(frame).mean()) for frame in frames]


def test_frames_are_spread_evenly_over_the_video():
    found = brightness(video.frames(clip(), "video/mp4", 5))
    assert found == pytest.approx([25, 76, 128, 179, 230], abs=9)


def test_a_video_with_few_frames_gives_some_of_them_twice():
    assert brightness(video.frames(clip(2), "video/mp4", 4)) == pytest.approx([0, 0, 255, 255], abs=4)


def test_of_a_long_video_frames_are_taken_all_over_it():
    found = brightness(video.frames(clip(400, (16, 16), 5), "video/mp4", 4))
    assert len(found) == 4
    assert found == sorted(found)
    assert found[-1] > 120


def test_large_frames_are_made_smaller():
    (frame,) = video.frames(clip(1, (1600, 400)), "video/mp4", 1)
    assert frame.size == (1024, 256)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (clip()[:300], "is not a valid video/mp4 file"),
        (b"\0\0\0\x18ftypisom" + b"\0" * 40, "is not a valid video/mp4 file"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm" + b"\0" * 40, "is not a valid video/webm file"),
    ],
)
def test_a_broken_video_is_refused_in_one_line(data, line):
    with pytest.raises(BadFileError, match=line) as refused:
        inspect(data, "clip", Limits())
    assert "\n" not in str(refused.value)


def test_a_sound_in_a_video_container_is_refused():
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as file:
        stream = file.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    with pytest.raises(BadFileError, match="has no pictures in it"):
        inspect(buffer.getvalue(), "clip.mp4", Limits())


@pytest.mark.parametrize(
    ("limits", "line"),
    [
        (Limits(max_pixels=3000), "has 64×48 pixels; at most 3,000"),
        (Limits(max_frames=29), "has more than 29 frames"),
    ],
)
def test_a_video_that_is_too_large_is_refused(limits, line):
    with pytest.raises(BadFileError, match=line):
        inspect(clip(), "clip.mp4", limits)


def test_a_list_that_names_files_is_not_followed(tmp_path):
    (tmp_path / "secret.mp4").write_bytes(clip())
    listed = f"#EXTM3U\n#EXTINF:1,\n{tmp_path}/secret.mp4\n".encode()
    with pytest.raises(UnreadableError):
        video.frames(listed, "video/mp4", 1)
