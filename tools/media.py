"""What a file is, how large it may be, and guarded fetching of URLs."""

import importlib.util
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from hugginggpt.tools import video
from hugginggpt.tools.readers import (
    TABLES,
    UnreadableError,
    audio_blocks,
    decode_text,
    load_image,
    open_audio,
    open_image,
    parquet_shape,
    pdf_pages,
    rows_of,
)
from hugginggpt.tools.tasks import Kind
from hugginggpt.tools.values import Artifact

_UNKNOWN = "application/octet-stream"

# Media type and the file name extensions that mean it; the first is given to files of that type.
_EXTENSIONS = """
image/png png; image/jpeg jpg jpeg jpe jfif; image/webp webp; image/gif gif; image/bmp bmp
image/tiff tif tiff; image/heic heic heif; image/avif avif; image/svg+xml svg
image/x-icon ico; image/vnd.adobe.photoshop psd
audio/wav wav wave; audio/flac flac; audio/mpeg mp3; audio/ogg ogg oga opus; audio/mp4 m4a m4b; audio/aac aac
audio/aiff aif aiff; audio/x-ms-wma wma; audio/amr amr; audio/midi mid midi
video/mp4 mp4 m4v; video/webm webm; video/quicktime mov qt; video/x-msvideo avi; video/x-matroska mkv
video/mpeg mpg mpeg; video/3gpp 3gp; video/x-flv flv; video/x-ms-wmv wmv; video/ogg ogv
text/csv csv; text/tab-separated-values tsv; application/json json; application/jsonl jsonl ndjson
application/vnd.apache.parquet parquet pq; application/vnd.ms-excel xls
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet xlsx
text/plain txt text log; text/markdown md markdown; text/html html htm; application/pdf pdf
application/vnd.openxmlformats-officedocument.wordprocessingml.document docx; application/zip zip
"""
_ROWS = [entry.split() for entry in re.split(r"[;\n]\s*", _EXTENSIONS.strip())]
_TYPES = {extension: media_type for media_type, *extensions in _ROWS for extension in extensions}
_FIRST = {media_type: extensions[0] for media_type, *extensions in _ROWS}

# How the content begins, and what it then is. Formats that are not read are here as well, so that the
# line about them can name them.
_MAGIC = [
    (re.compile(pattern, re.DOTALL), media_type)
    for pattern, media_type in (
        (rb"\x89PNG\r\n\x1a\n", "image/png"),
        (rb"\xff\xd8\xff", "image/jpeg"),
        (rb"GIF8[79]a", "image/gif"),
        (rb"RIFF.{4}WEBP", "image/webp"),
        (rb"BM.{4}\0{4}", "image/bmp"),
        (rb"II\*\0|MM\0\*", "image/tiff"),
        (rb".{4}ftyp(hei[cxms]|hev[cx]|mif1|msf1)", "image/heic"),
        (rb".{4}ftypavi[fs]", "image/avif"),
        (rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!DOCTYPE svg[^>]*>\s*)?<svg\b", "image/svg+xml"),
        (rb"RIFF.{4}WAVE", "audio/wav"),
        (rb"fLaC", "audio/flac"),
        (rb"ID3|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]", "audio/mpeg"),
        (rb"OggS.{24}(.|..)\x80theora", "video/ogg"),
        (rb"OggS", "audio/ogg"),
        (rb"FORM.{4}AIF[FC]", "audio/aiff"),
        (rb".{4}ftypM4[AB]", "audio/mp4"),
        (rb"\xff[\xf0\xf1\xf8\xf9]", "audio/aac"),
        (rb".{4}ftyp3g", "video/3gpp"),
        (rb".{4}(ftypqt|moov|mdat|wide|free)", "video/quicktime"),
        (rb".{4}ftyp", "video/mp4"),
        (rb"\x1aE\xdf\xa3.{0,60}webm", "video/webm"),
        (rb"\x1aE\xdf\xa3", "video/x-matroska"),
        (rb"RIFF.{4}AVI ", "video/x-msvideo"),
        (rb"PAR1", "application/vnd.apache.parquet"),
        (rb"\s*%PDF-", "application/pdf"),
        (rb"PK\x03\x04", "application/zip"),
    )
]
_READ = {
    "image": {"image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp", "image/tiff"},
    "audio": {"audio/wav", "audio/flac", "audio/mpeg", "audio/ogg", "audio/aiff"},
    "video": {"video/mp4", "video/webm", "video/quicktime", "video/x-msvideo", "video/x-matroska"},
    "table": set(TABLES),
}
_ADVICE = {
    "image": "convert it to PNG or JPEG",
    "audio": "convert it to WAV, FLAC, MP3 or OGG",
    "video": "convert it to MP4",
    "table": "save it as CSV, JSON or Parquet",
    "text": "save it as plain text or PDF",
}
_A = {"image": "a picture", "audio": "a sound", "video": "a video", "table": "a table", "text": "a text"}


class BadFileError(ValueError):
    """A file that cannot be used. One line: which, what is wrong with it, what to do."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a file may be. Pictures and sounds are measured by their headers, before decoding."""

    max_bytes: int = 100_000_000
    max_pixels: int = 50_000_000
    max_samples: int = 700_000_000
    """Samples of a recording, all channels together: about two hours of 48 kHz stereo."""
    max_frames: int = video.MAX_FRAMES
    """Frames of a video; its pixels are those of one frame."""


def type_of_name(name: str) -> str:
    """The media type that a file name's extension means; `application/octet-stream` for an unknown one."""
    return _TYPES.get(PurePosixPath(name).suffix.lower().removeprefix("."), _UNKNOWN)


def extension_of(media_type: str) -> str:
    """The extension for files of that type, with its dot; empty for an unknown one."""
    return f".{_FIRST[media_type]}" if media_type in _FIRST else ""


def modality(media_type: str) -> Kind:
    """What kind of value such a file is for tasks. Whatever is nothing else counts as text."""
    family = media_type.partition("/")[0]
    if media_type in TABLES or "spreadsheet" in media_type or "excel" in media_type:
        return "table"
    return family if family in {"image", "audio", "video"} else "text"  # type: ignore[return-value]


def modality_of(artifact: Artifact) -> Kind:
    """What kind of value an artifact is for tasks."""
    return modality(artifact["media_type"])


def inspect(data: bytes, name: str, limits: Limits) -> tuple[str, dict[str, Any]]:
    """What a file is, by its content, and its measures. Blocks: pictures and sounds are decoded to the end.

    The measures are width and height in pixels; seconds, sample_rate in Hz and channels; frames; rows and
    columns; characters, and pages of a PDF. Raises `BadFileError` on a file that is empty, too large,
    broken, not supported, or of another modality than its name says.
    """
    if not data:
        raise BadFileError(f"{name}: is empty; attach a file with content")
    if len(data) > limits.max_bytes:
        raise BadFileError(too_large(name, len(data), limits))
    try:
        media_type = _sniff(data, name)
        kind = modality(media_type)
        _check_supported(name, media_type, kind)
        return media_type, _measure(data, media_type, kind, limits)
    except UnreadableError as error:
        line = " ".join(str(error).split())
        advice = "" if "; " in line else f"; {_ADVICE[modality(type_of_name(name))]}"
        raise BadFileError(f"{name}: {line}{advice}") from error


def too_large(name: str, size: int, limits: Limits) -> str:
    """The line about a file with too many bytes."""
    return f"{name}: has {size:,} bytes; at most {limits.max_bytes:,} are taken, attach a smaller file"


def _sniff(data: bytes, name: str) -> str:
    for pattern, media_type in _MAGIC:
        if pattern.match(data):
            return media_type
    text = decode_text(data)
    named = type_of_name(name)
    if named in {"text/csv", "text/tab-separated-values", "application/json", "application/jsonl"}:
        return named
    if named != _UNKNOWN:
        return named if named.startswith("text/") else "text/plain"
    return "application/json" if _is_json(text) else "text/plain"


def _is_json(text: str) -> bool:
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        rows_of(text.encode(), "application/json")
    except UnreadableError:
        return False
    return True


def _check_supported(name: str, media_type: str, kind: Kind) -> None:
    named = type_of_name(name)
    if media_type not in _READ.get(kind, {media_type}) or media_type == "application/zip":
        shown = named if media_type == "application/zip" and named != _UNKNOWN else media_type
        raise BadFileError(f"{name}: {shown} is not supported; {_ADVICE[modality(shown)]}")
    if named != _UNKNOWN and modality(named) != kind:
        wanted = _A[modality(named)]
        raise BadFileError(
            f"{name}: its content is {media_type}, not {wanted}; attach {wanted} or correct the name"
        )


def _measure(data: bytes, media_type: str, kind: Kind, limits: Limits) -> dict[str, Any]:
    match kind:
        case "image":
            return _measure_image(data, media_type, limits)
        case "audio":
            return _measure_audio(data, media_type, limits)
        case "video" if importlib.util.find_spec("av"):  # else it is taken as it is
            return video.measure(data, media_type, limits.max_pixels, limits.max_frames)
        case "table":
            return _measure_table(data, media_type, limits)
        case "text" if media_type == "application/pdf":
            pages = pdf_pages(data)
            return {"characters": sum(map(len, pages)), "pages": len(pages)}
    return {"characters": len(decode_text(data))} if kind == "text" else {}


def _measure_image(data: bytes, media_type: str, limits: Limits) -> dict[str, Any]:
    image = open_image(data, media_type)
    width, height = image.size
    if width * height > limits.max_pixels:
        size = f"{width:,}×{height:,} pixels"
        raise UnreadableError(f"has {size}; at most {limits.max_pixels:,} are taken, make it smaller")
    load_image(image)
    if image.getexif().get(0x0112) in {5, 6, 7, 8}:  # orientation: turned by a quarter
        width, height = height, width
    return {"width": width, "height": height}


def _measure_audio(data: bytes, media_type: str, limits: Limits) -> dict[str, Any]:
    if media_type == "audio/wav":
        _check_wav_length(data)
    with open_audio(data) as sound:
        if sound.frames * sound.channels > limits.max_samples:
            minutes = sound.frames / sound.samplerate / 60
            raise UnreadableError(f"is too long: {minutes:,.0f} minutes; attach a part of it")
        frames = sum(map(len, audio_blocks(sound)))
        if not frames:
            raise UnreadableError("holds no sound; attach a recording with content")
        seconds = round(frames / sound.samplerate, 3)
        return {"seconds": seconds, "sample_rate": sound.samplerate, "channels": sound.channels}


def _check_wav_length(data: bytes) -> None:
    """libsndfile plays what is left of a WAV that was cut off; its header says how long it was.

    A writer that cannot seek leaves 0 or the largest number as the length: these are taken as they are.
    """
    length = int.from_bytes(data[4:8], "little")
    if len(data) - 8 < length < 0x7FFFFF00:
        raise UnreadableError(
            f"is cut off: it has {len(data):,} of {length + 8:,} bytes; attach a whole copy"
        )


def _measure_table(data: bytes, media_type: str, limits: Limits) -> dict[str, Any]:
    if media_type == "application/vnd.apache.parquet":
        rows, columns = parquet_shape(data)
        if rows * columns > limits.max_bytes:  # packed tables can be far larger than their file
            raise UnreadableError(f"has {rows * columns:,} cells; at most {limits.max_bytes:,} are taken")
        rows_of(data, media_type)
        return {"rows": rows, "columns": columns}
    table = rows_of(data, media_type)
    return {"rows": len(table), "columns": len({name for row in table for name in row})}
