import io
import json
import struct
import zlib
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pypdf
import pytest
import soundfile
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from hugginggpt.tools.media import BadFileError, Limits, inspect, modality, type_of_name
from hugginggpt.tools.readers import (
    UnreadableError,
    decode_audio,
    decode_image,
    encode_png,
    encode_wav,
    resample,
    rows_of,
    text_of,
)

LIMITS = Limits()
TONE = (0.5 * np.sin(np.arange(8000) * 2 * np.pi * 440 / 16000)).astype(np.float32)


def picture(name="PNG", size=(40, 30), mode="RGB", color=None, **options):
    buffer = io.BytesIO()
    Image.new(mode, size, color or 0).save(buffer, name, **options)
    return buffer.getvalue()


def sound(name="WAV", samples=TONE):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 16000, format=name)
    return buffer.getvalue()


def parquet(table):
    buffer = io.BytesIO()
    pq.write_table(pa.table(table), buffer)
    return buffer.getvalue()


def pdf(*lines):
    """A PDF of one page per line of text, written by hand: pypdf cannot draw text."""
    writer = pypdf.PdfWriter()
    font = pypdf.generic.DictionaryObject(
        {
            pypdf.generic.NameObject("/Type"): pypdf.generic.NameObject("/Font"),
            pypdf.generic.NameObject("/Subtype"): pypdf.generic.NameObject("/Type1"),
            pypdf.generic.NameObject("/BaseFont"): pypdf.generic.NameObject("/Helvetica"),
        }
    )
    fonts = pypdf.generic.DictionaryObject({pypdf.generic.NameObject("/F1"): font})
    for line in lines:
        page = writer.add_blank_page(300, 300)
        page[pypdf.generic.NameObject("/Resources")] = pypdf.generic.DictionaryObject(
            {pypdf.generic.NameObject("/Font"): fonts}
        )
        stream = pypdf.generic.DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 20 200 Td ({line}) Tj ET".encode())
        page[pypdf.generic.NameObject("/Contents")] = stream
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def png_that_says(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 4000)), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def refusal(data, name, limits=LIMITS):
    with pytest.raises(BadFileError) as caught:
        inspect(data, name, limits)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_picture_is_measured_in_pixels(name):
    found = inspect(picture(name), f"x.{name.lower()}", LIMITS)
    assert found == (f"image/{name.lower()}", {"width": 40, "height": 30})


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("WAV", "audio/wav"), ("FLAC", "audio/flac"), ("MP3", "audio/mpeg"), ("OGG", "audio/ogg")],
)
def test_a_sound_is_measured_in_seconds(name, media_type):
    found, meta = inspect(sound(name), f"x.{name.lower()}", LIMITS)
    assert found == media_type
    assert meta["seconds"] == pytest.approx(0.5, abs=0.08)  # MP3 pads to whole frames
    assert (meta["sample_rate"], meta["channels"]) == (16000, 1)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("t.csv", b"a,b\n1,x\n2,y\n"),
        ("t.tsv", b"a\tb\n1\tx\n2\ty\n"),
        ("semicolons.csv", b'"a";b\n1;x\n2;y\n'),
        ("t.json", b'[{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]'),
        ("columns.json", b'{"a": [1, 2], "b": ["x", "y"]}'),
        ("t.jsonl", b'{"a": 1, "b": "x"}\n\n{"a": 2, "b": "y"}\n'),
        ("t.parquet", parquet({"a": [1, 2], "b": ["x", "y"]})),
    ],
)
def test_a_table_is_measured_and_read_in_rows(name, data):
    media_type, meta = inspect(data, name, LIMITS)
    assert meta == {"rows": 2, "columns": 2}
    rows = rows_of(data, media_type)
    assert [{k: str(v) for k, v in row.items()} for row in rows] == [
        {"a": "1", "b": "x"},
        {"a": "2", "b": "y"},
    ]


def test_ragged_and_nameless_columns_of_csv_get_names():
    assert rows_of(b"a,,a\n1,2,3,4\n5\n", "text/csv") == [
        {"a": "1", "column 2": "2", "column 3": "3", "column 4": "4"},
        {"a": "5", "column 2": "", "column 3": "", "column 4": ""},
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_text_is_read_in_the_encodings_that_people_have(encoding):
    data = "Grüße, Zoë".encode(encoding)
    assert inspect(data, "t.txt", LIMITS) == ("text/plain", {"characters": 10})
    assert text_of(data, "text/plain") == "Grüße, Zoë"


def test_a_pdf_gives_the_text_of_its_pages():
    data = pdf("Invoice 17", "Total 40")
    assert inspect(data, "i.pdf", LIMITS) == ("application/pdf", {"characters": 18, "pages": 2})
    assert text_of(data, "application/pdf") == "Invoice 17\n\nTotal 40"


def test_a_packed_table_reads_as_csv_text():
    assert text_of(parquet({"a": [1], "b": ["x"]}), "application/vnd.apache.parquet") == "a,b\n1,x\n"


def test_content_wins_over_the_name_within_a_modality():
    assert inspect(picture("JPEG"), "photo.png", LIMITS)[0] == "image/jpeg"


def test_json_without_an_extension_is_a_table():
    assert inspect(b'[{"a": 1}]', "download", LIMITS)[0] == "application/json"


@pytest.mark.parametrize(
    ("name", "data", "line"),
    [
        ("photo.png", b"", "photo.png: is empty; attach a file with content"),
        (
            "photo.png",
            b"hello",
            "photo.png: its content is text/plain, not a picture; attach a picture or correct the name",
        ),
        (
            "notes.txt",
            picture(),
            "notes.txt: its content is image/png, not a text; attach a text or correct the name",
        ),
        (
            "photo.heic",
            b"\0\0\0\x18ftypheic" + b"\0" * 20,
            "photo.heic: image/heic is not supported; convert it to PNG or JPEG",
        ),
        ("a.svg", b"<svg></svg>", "a.svg: image/svg+xml is not supported; convert it to PNG or JPEG"),
        (
            "a.m4a",
            b"\0\0\0\x18ftypM4A " + b"\0" * 20,
            "a.m4a: audio/mp4 is not supported; convert it to WAV, FLAC, MP3 or OGG",
        ),
        ("a.zip", b"PK\x03\x04rest", "a.zip: application/zip is not supported; save it as plain text or PDF"),
        (
            "junk.txt",
            bytes(range(256)),
            "junk.txt: is neither text nor a kind of file that is known here; save it as plain text or PDF",
        ),
        (
            "t.json",
            b"[1,\n}",
            "t.json: is not valid JSON (line 2: Expecting value); save it as CSV, JSON or Parquet",
        ),
    ],
)
def test_a_file_that_cannot_be_used_gets_one_line(name, data, line):
    assert refusal(data, name) == line


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
def test_a_picture_that_was_cut_off_is_refused(name):
    data = picture(name, size=(200, 200), color=(9, 80, 200))
    assert refusal(data[: len(data) // 2], "x").startswith("x: is ")


@pytest.mark.parametrize("name", ["WAV", "FLAC"])
def test_a_sound_that_was_cut_off_is_refused(name):
    data = sound(name)
    assert "is cut off" in refusal(data[: len(data) // 2], f"x.{name.lower()}")


def test_a_sound_without_samples_is_refused():
    assert refusal(sound(samples=TONE[:0]), "x.wav").startswith("x.wav: holds no sound")


def test_a_wav_from_a_writer_that_cannot_seek_is_taken():
    data = bytearray(sound())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    assert inspect(bytes(data), "x.wav", LIMITS)[1]["seconds"] == 0.5


def test_a_sound_longer_than_the_limit_is_refused_by_its_header():
    assert "is too long" in refusal(sound("FLAC"), "x.flac", replace(LIMITS, max_samples=7999))


def test_a_small_png_that_says_it_is_huge_is_refused_before_decoding(monkeypatch):
    monkeypatch.setattr("hugginggpt.tools.media.load_image", lambda image: pytest.fail("decoded"))
    data = png_that_says(60_000, 60_000)
    assert len(data) < 5_000
    line = "bomb.png: has 60,000×60,000 pixels; at most 50,000,000 are taken, make it smaller"
    assert refusal(data, "bomb.png") == line


def test_a_picture_in_the_range_that_pillow_warns_of_gets_our_line_and_no_warning():
    assert "at most 50,000,000" in refusal(png_that_says(10_000, 10_000), "large.png")


def test_a_file_over_the_byte_limit_is_refused():
    line = "t.txt: has 11 bytes; at most 10 are taken, attach a smaller file"
    assert refusal(b"x" * 11, "t.txt", replace(LIMITS, max_bytes=10)) == line


def test_a_packed_table_with_more_cells_than_bytes_allowed_is_refused_by_its_metadata():
    data = parquet({"a": [0] * 100_000})
    line = refusal(data, "t.parquet", replace(LIMITS, max_bytes=len(data)))
    assert line.startswith("t.parquet: has 100,000 cells")


def test_a_locked_pdf_is_refused():
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("secret")))
    writer.encrypt("word", algorithm="RC4-128")
    buffer = io.BytesIO()
    writer.write(buffer)
    assert refusal(buffer.getvalue(), "s.pdf") == "s.pdf: is locked with a password; save it without one"


def test_a_scanned_pdf_is_refused_with_what_to_do():
    line = "s.pdf: has no text, only pictures; attach its pages as PNG or JPEG"
    assert refusal(pdf(""), "s.pdf") == line


def test_json_nested_without_end_is_refused():
    assert refusal(b"[" * 200_000, "deep.json").startswith("deep.json: is not JSON that can be read")


SAMPLES = [
    picture(), picture("JPEG"), picture("GIF"), picture("TIFF"), picture("WEBP"), picture("BMP"),
    sound(), sound("FLAC"), sound("OGG"), sound("MP3"), pdf("Hello"), parquet({"a": [1, 2]}), b'[{"a": 1}]',
]  # fmt: skip


@given(st.sampled_from(SAMPLES), st.integers(0, 4000), st.binary(max_size=8), st.integers(1, 4000))
@example(SAMPLES[0], 0, b"", 10)
def test_broken_content_is_read_or_refused_in_one_line(data, position, junk, keep):
    position %= len(data)
    broken = (data[:position] + junk + data[position + len(junk) :])[:keep]
    try:
        line = inspect(broken, "x", LIMITS)[0]
    except BadFileError as error:
        line = str(error)
    assert "\n" not in line


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.HEIC", "image"), ("a.m4a", "audio"), ("a.aac", "audio"), ("a.opus", "audio"), ("a.mov", "video"),
        ("a.json", "table"), ("a.csv", "table"), ("a.parquet", "table"), ("a.jsonl", "table"),
        ("a.xlsx", "table"), ("a.pdf", "text"), ("a.md", "text"), ("a.docx", "text"),
        ("a", "text"), ("a.unheard", "text"),
    ],
)  # fmt: skip
def test_a_name_alone_has_a_modality(name, kind):
    assert modality(type_of_name(name)) == kind


def test_a_photo_is_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = picture("JPEG", size=(40, 30), exif=exif)
    assert inspect(data, "x.jpg", LIMITS)[1] == {"width": 30, "height": 40}
    assert decode_image(data).size == (30, 40)


def test_transparent_parts_become_white():
    assert decode_image(picture(mode="RGBA", color=(0, 0, 0, 0))).getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bit_grey_is_scaled_not_clipped():
    assert decode_image(picture(mode="I;16", color=32896)).getpixel((0, 0)) == (128, 128, 128)


def test_a_picture_survives_a_round_trip():
    image = Image.effect_noise((20, 10), 50).convert("RGB")
    assert decode_image(encode_png(image)).tobytes() == image.tobytes()


def test_a_sound_survives_a_round_trip():
    samples, rate = decode_audio(encode_wav(TONE, 16000))
    assert rate == 16000
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples, TONE, atol=1e-4)


def test_channels_are_averaged():
    samples, _ = decode_audio(encode_wav(np.stack([TONE, -TONE], axis=1), 16000))
    assert abs(samples).max() < 1e-3


def test_a_resampled_tone_keeps_its_pitch():
    halved = resample(TONE, 16000, 8000)
    assert len(halved) == 4000
    assert np.argmax(abs(np.fft.rfft(halved))) * 8000 / 4000 == pytest.approx(440, abs=2)


def test_a_json_value_that_is_no_table_becomes_one():
    assert rows_of(b"[1, 2]", "application/json") == [{"value": 1}, {"value": 2}]
    assert rows_of(json.dumps({"a": 1}).encode(), "application/json") == [{"a": 1}]
    assert rows_of(b"3", "application/json") == [{"value": 3}]


def test_something_that_is_no_sound_is_not_decoded():
    with pytest.raises(UnreadableError, match="not a sound"):
        decode_audio(b"nothing")
