import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest
from papers import form, letter, paper, receipt
from PIL import Image

from hugginggpt.tools import documents, ocr
from hugginggpt.tools.encoder import DEFAULT_ENCODER, load_encoder
from hugginggpt.tools.readers import decode_image
from hugginggpt.tools.runtime import PermanentError

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
FACTS = ["Brightwater Joinery Ltd", "2026-0417", "14 March 2026", "13 April 2026", "Mrs Amelia Thornton",
         "Oak shelf, 120 cm 4 38.50 154.00", "Subtotal 298.40", "59.68", "Total EUR 358.08"]  # fmt: skip


def text_of(picture):
    return ocr.as_text(ocr.read(np.asarray(picture)))


def through_file(picture, file_format="PNG", **options):
    file = io.BytesIO()
    picture.save(file, file_format, **options)
    return decode_image(file.getvalue())


def test_the_example_invoice_is_read_with_its_facts():
    text = text_of(decode_image((EXAMPLES / "invoice.png").read_bytes()))
    assert [fact for fact in FACTS if fact not in text] == []


def test_the_example_is_small_and_its_script_draws_the_same_facts():
    assert (EXAMPLES / "invoice.png").stat().st_size < 100_000
    spec = importlib.util.spec_from_file_location("make_invoice", EXAMPLES / "make_invoice.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    text = text_of(script.draw())
    assert [fact for fact in FACTS if fact not in text] == []


def test_rows_stay_together_and_lines_go_top_to_bottom():
    assert text_of(receipt()).splitlines()[3:9] == [
        "Espresso 2.40", "Cheese roll 4.10", "Orange juice 3.50", "Total 10.00", "Cash 20.00", "Change 10.00",
    ]  # fmt: skip


def test_pieces_at_a_slant_are_one_line():
    pieces = [ocr.Piece(word, 100 * i, 8 * i, 100 * i + 80, 8 * i + 20) for i, word in enumerate("abcd")]
    below = [ocr.Piece("e", 0, 30, 80, 50)]
    assert ocr.as_text(ocr.lines([*below, *reversed(pieces)])) == "a b c d\ne"


def test_a_blank_picture_has_no_text():
    assert ocr.read(np.full((200, 300, 3), 255, np.uint8)) == []


def test_a_tiny_picture_is_read():
    assert text_of(paper((4, 2, "Exit", 14), size=(44, 22))) == "Exit"


def test_a_large_picture_is_read():
    page = paper((200, 300, "Annual report", 120), (200, 3000, "Page seven", 90), size=(2500, 3500))
    assert text_of(page) == "Annual report\nPage seven"


def test_every_line_of_a_long_screenshot_is_read_once():
    words = ["apple", "bread", "chair", "dance", "eagle", "field", "grape", "house", "island", "jacket"]
    expected = [f"{words[i % 10]} and {words[i // 10]}" for i in range(80)]
    page = paper(*((40, 20 + 60 * i, line, 24) for i, line in enumerate(expected)), size=(500, 4830))
    assert text_of(page).splitlines() == expected


@pytest.mark.parametrize("mode", ["RGBA", "L", "LA", "P", "1", "CMYK"])
def test_pictures_of_every_mode_are_read(mode):
    picture = paper((30, 30, "Library hours", 40), size=(400, 120)).convert(mode)
    assert text_of(through_file(picture, "TIFF" if mode == "CMYK" else "PNG")) == "Library hours"


def test_text_on_a_transparent_ground_is_read():
    picture = paper((30, 30, "Library hours", 40), size=(400, 120)).convert("RGBA")
    picture.putalpha(picture.convert("L").point(lambda grey: 255 - grey))
    assert text_of(through_file(picture)) == "Library hours"


def test_a_photo_that_its_camera_marked_as_turned_is_read_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    turned = paper((40, 40, "Platform nine", 44), (40, 140, "Track four", 44), size=(460, 260)).rotate(
        90, expand=True
    )
    assert text_of(through_file(turned, "JPEG", exif=exif)) == "Platform nine\nTrack four"


@pytest.fixture(scope="module")
def ask(shared):
    encoder = load_encoder(DEFAULT_ENCODER, shared / "encoder")
    pages = {"invoice": decode_image((EXAMPLES / "invoice.png").read_bytes()), "receipt": receipt(),
             "letter": letter(), "form": form()}  # fmt: skip
    read = {name: ocr.read(np.asarray(page)) for name, page in pages.items()}
    return lambda page, question: documents.answer(question, read[page], encoder)


@pytest.mark.parametrize(
    ("page", "question", "answer"),
    [
        ("invoice", "What is the total?", "EUR 358.08"),
        ("invoice", "how much do I have to pay", "EUR 358.08"),
        ("invoice", "What is the total amount?", "EUR 358.08"),
        ("invoice", "What is the subtotal?", "298.40"),
        ("invoice", "Who is the invoice from?", "Brightwater Joinery Ltd"),
        ("invoice", "Who is the customer?", "Mrs Amelia Thornton"),
        ("invoice", "What is the invoice number?", "2026-0417"),
        ("invoice", "What is the customer number?", "C-2091"),
        ("invoice", "When is it due?", "13 April 2026"),
        ("invoice", "What is the date of the invoice?", "14 March 2026"),
        ("invoice", "What is their email address?", "accounts@brightwater.example"),
        ("receipt", "What is the total?", "10.00"),
        ("receipt", "How much was the orange juice?", "3.50"),
        ("receipt", "Which shop is it from?", "Corner Cafe"),
        ("receipt", "What is the date?", "2026-05-09"),
        ("receipt", "Who served?", "Maria"),
        ("letter", "When is the appointment?", "3 June 2026"),
        ("letter", "At what time is the appointment?", "10:30"),
        ("letter", "Who is the letter from?", "Riverside Eye Clinic"),
        ("letter", "Who is it addressed to?", "Mr Okafor"),
        ("letter", "Which phone number should I call?", "0161 496 0755"),
        ("form", "What is the passport number?", "K4482917"),
        ("form", "When was she born?", "12/08/1991"),
        ("form", "What is the nationality?", "Indian"),
        ("form", "When does she arrive?", "21 July 2026"),
    ],
)
def test_a_question_on_a_document_is_answered_with_the_value(ask, page, question, answer):
    assert ask(page, question) == answer


def test_a_question_of_no_known_kind_is_answered_with_the_sentence(ask):
    assert "insurance card" in ask("letter", "What should I bring?")


def test_an_empty_question_is_refused(ask):
    with pytest.raises(PermanentError, match="question is empty"):
        ask("form", "  ")


def test_a_document_without_text_is_an_error():
    with pytest.raises(PermanentError, match="no text was found"):
        documents.answer("What is the total?", [], encoder=None)
