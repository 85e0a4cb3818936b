"""Reads the content of files into values, and writes pictures and sounds. All of it blocks."""

import csv
import io
import json
import logging
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

from hugginggpt.tools.values import Rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image
    from soundfile import SoundFile  # type: ignore[import-untyped]

TABLES = {
    "text/csv": "CSV",
    "text/tab-separated-values": "TSV",
    "application/json": "JSON",
    "application/jsonl": "JSON Lines",
    "application/vnd.apache.parquet": "Parquet",
}
"""Media types of tables, and what people call them."""

_IMAGES = {
    f"image/{name.lower()}": name for name in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
}  # to the name of Pillow's plug-in
_BLOCK = 1 << 20  # samples per channel that are decoded at once
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
# What Pillow's and pypdf's parsers raise on broken content, by trying (see the fuzz tests).
_BROKEN = (
    ArithmeticError, AttributeError, LookupError, MemoryError, OSError, RuntimeError, SyntaxError,
    TypeError, ValueError, AssertionError, struct.error, zlib.error,
)  # fmt: skip


class UnreadableError(ValueError):
    """Content that cannot be read as what it claims to be; the message says why, without the file's name."""


def open_image(data: bytes, media_type: str) -> "Image.Image":
    """The picture with only its header read, so that its size can be looked at before it is decoded."""
    from PIL import Image

    warnings.filterwarnings("ignore", module=r"PIL\.")  # of every oddity in a file; what is broken raises
    Image.init()
    factory, accept = Image.OPEN[_IMAGES[media_type]]
    if accept and not accept(data[:16]):
        raise UnreadableError(f"is not a valid {media_type} file")
    try:
        # Not Image.open: it refuses many pixels by a process-wide limit, where our own is to decide.
        return factory(io.BytesIO(data), "")
    except (*_BROKEN, Image.DecompressionBombError) as error:
        raise UnreadableError(f"is not a valid {media_type} file ({error})") from error


def load_image(image: "Image.Image") -> None:
    """Decode an opened picture. Raises `UnreadableError` when it is cut off or broken."""
    from PIL.Image import DecompressionBombError

    try:
        image.load()
    except (*_BROKEN, DecompressionBombError) as error:
        raise UnreadableError(f"is cut off or broken ({_reason(error)}); attach a whole copy") from error


def decode_image(data: bytes) -> "Image.Image":
    """The picture upright, in mode RGB; transparent parts white, 16-bit grey scaled to 8; first frame."""
    import numpy as np
    from PIL import Image, ImageOps

    image = open_image(data, next((t for t, name in _IMAGES.items() if _is(name, data)), "image/png"))
    load_image(image)
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _is(plugin: str, data: bytes) -> bool:
    from PIL import Image

    Image.init()
    accept = Image.OPEN[plugin][1]
    return bool(accept and accept(data[:16]))


def encode_png(image: "Image.Image") -> bytes:
    """The picture as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _reason(error: Exception) -> str:
    """What libsndfile and Pillow say, without the address of the buffer that they read."""
    return str(getattr(error, "error_string", error)).rstrip(".")


def open_audio(data: bytes) -> "SoundFile":
    """The recording with only its header read. Raises `UnreadableError`."""
    import soundfile

    try:
        return soundfile.SoundFile(io.BytesIO(data))
    except (soundfile.SoundFileError, ValueError) as error:
        raise UnreadableError(f"is not a sound that can be read ({_reason(error)})") from error


def audio_blocks(sound: "SoundFile") -> "Iterator[NDArray[np.float32]]":
    """All of it, a few seconds at a time, each (samples, channels) in -1…1. Raises when it is cut off."""
    import soundfile

    frames = 0
    try:
        while len(block := sound.read(_BLOCK, dtype="float32", always_2d=True)):
            frames += len(block)
            yield block
    except (soundfile.SoundFileError, ValueError) as error:
        raise UnreadableError(f"is cut off or broken ({_reason(error)}); attach a whole copy") from error
    if frames < sound.frames:
        raise UnreadableError(
            f"is cut off: it has {frames:,} of {sound.frames:,} samples; attach a whole copy"
        )


def decode_audio(data: bytes) -> "tuple[NDArray[np.float32], int]":
    """Samples in -1…1, shape (samples,), channels averaged, and the sample rate in Hz."""
    import numpy as np

    with open_audio(data) as sound:
        blocks = [block.mean(axis=1, dtype=np.float32) for block in audio_blocks(sound)]
        return np.concatenate(blocks or [np.zeros(0, np.float32)]), sound.samplerate


def resample(samples: "NDArray[np.float32]", rate: int, target: int) -> "NDArray[np.float32]":
    """The same sound at another sample rate, both in Hz (polyphase filter: no aliasing)."""
    import numpy as np
    from scipy.signal import resample_poly  # type: ignore[import-untyped]

    if rate == target:
        return samples
    divisor = int(np.gcd(rate, target))
    resampled: NDArray[np.float32] = resample_poly(samples, target // divisor, rate // divisor)
    return resampled.astype(np.float32)


def encode_wav(samples: "NDArray[np.float32]", rate: int) -> bytes:
    """A 16-bit WAV file of samples in -1…1, shape (samples,) or (samples, channels); louder is clipped."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def decode_text(data: bytes) -> str:
    """Text in UTF-8, UTF-16 with its mark, or else Windows-1252. Raises on what is no text at all."""
    encodings = ("utf-16",) if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else ("utf-8-sig", "cp1252")
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not _UNPRINTABLE.search(text):
            return text
    raise UnreadableError("is neither text nor a kind of file that is known here")


def pdf_pages(data: bytes) -> list[str]:
    """The text of every page. Raises when the PDF is broken, locked or holds only pictures."""
    import pypdf
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.ERROR)  # it warns of every oddity of a readable file
    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise UnreadableError("is locked with a password; save it without one")
        pages = [page.extract_text() for page in reader.pages]
    except UnreadableError:
        raise
    except (PyPdfError, *_BROKEN) as error:
        raise UnreadableError(f"is not a valid PDF ({str(error) or type(error).__name__})") from error
    if not any(page.strip() for page in pages):
        raise UnreadableError("has no text, only pictures; attach its pages as PNG or JPEG")
    return pages


def text_of(data: bytes, media_type: str) -> str:
    """The text of a file: of a PDF its pages, of a Parquet table its rows as CSV, else what it holds."""
    if media_type == "application/pdf":
        return "\n\n".join(pdf_pages(data))
    if media_type == "application/vnd.apache.parquet":
        return _csv(rows_of(data, media_type))
    return decode_text(data)


def rows_of(data: bytes, media_type: str) -> Rows:
    """The rows of a table. Values of CSV are strings, as they stand. Other text is read as CSV."""
    if media_type == "application/vnd.apache.parquet":
        rows: Rows = _parquet(data, lambda file: file.read().to_pylist())
        return rows
    text = decode_text(data)
    if media_type == "application/json":
        return _as_rows(_json(text))
    if media_type == "application/jsonl":
        return _as_rows(
            [_json(line, number) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        )
    return _csv_rows(text, "\t" if media_type == "text/tab-separated-values" else None)


def parquet_shape(data: bytes) -> tuple[int, int]:
    """Rows and columns by the file's metadata alone."""
    shape: tuple[int, int] = _parquet(data, lambda file: (file.metadata.num_rows, len(file.schema_arrow)))
    return shape


def _parquet(data: bytes, read: Callable[[Any], Any]) -> Any:  # noqa: ANN401, pyarrow has no types
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    try:
        return read(pq.ParquetFile(pa.BufferReader(data)))
    except (pa.ArrowException, *_BROKEN) as error:
        raise UnreadableError(f"is not a valid Parquet file ({error})") from error


def _json(text: str, line: int = 1) -> Any:  # noqa: ANN401
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UnreadableError(f"is not valid JSON (line {line + error.lineno - 1}: {error.msg})") from error
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"is not JSON that can be read ({error})") from error


def _as_rows(value: Any) -> Rows:  # noqa: ANN401
    """A list of rows, one row, or columns of equal length; anything else is a column called `value`."""
    if isinstance(value, list):
        return [row if isinstance(row, dict) else {"value": row} for row in value]
    if not isinstance(value, dict):
        return [{"value": value}]
    lengths = {len(column) if isinstance(column, list) else None for column in value.values()}
    if len(lengths) == 1 and None not in lengths:
        return [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]
    return [value]


def _csv_rows(text: str, delimiter: str | None) -> Rows:
    header = re.sub(r'"[^"]*"', "", text.lstrip().partition("\n")[0])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter or max(",;\t|", key=header.count))
    try:
        rows = [row for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise UnreadableError(f"is not valid CSV (line {reader.line_num}: {error})") from error
    if not rows:
        return []
    names = _column_names(rows[0], max(map(len, rows)))
    return [dict(zip(names, row + [""] * (len(names) - len(row)), strict=True)) for row in rows[1:]]


def _column_names(header: list[str], width: int) -> list[str]:
    """One name per column, each once: those without a name of their own are called `column 3`."""
    names: dict[str, None] = {}
    for number, cell in enumerate(header + [""] * (width - len(header)), 1):
        fresh = (f"column {n}" for n in count(number))
        name = cell.strip()
        names[name if name and name not in names else next(n for n in fresh if n not in names)] = None
    return list(names)


def _csv(rows: Rows) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(
        buffer, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
