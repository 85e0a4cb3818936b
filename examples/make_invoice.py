"""Draw invoice.png, the picture that the demo reads. People, firms and numbers are made up."""

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT, MARGIN = 1000, 1180, 70
RIGHT = WIDTH - MARGIN
INK, GREY, LINE = (24, 28, 36), (98, 104, 116), (198, 202, 210)

HEAD = [
    ("Invoice number", "2026-0417"),
    ("Invoice date", "14 March 2026"),
    ("Due date", "13 April 2026"),
    ("Customer number", "C-2091"),
]
ITEMS = [
    ("Oak shelf, 120 cm", 4, 38.50),
    ("Wall bracket, black", 8, 6.20),
    ("Linseed oil, 1 l", 2, 14.90),
    ("Delivery and fitting", 1, 65.00),
]
VAT_PERCENT = 20


def amounts() -> tuple[float, float, float]:
    """Subtotal, VAT and total of the items, in euros, rounded to cents."""
    subtotal = sum(quantity * price for _, quantity, price in ITEMS)
    vat = round(subtotal * VAT_PERCENT / 100, 2)
    return subtotal, vat, subtotal + vat


def draw() -> Image.Image:
    """The invoice as a picture, with the scalable font that comes with Pillow."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen = ImageDraw.Draw(picture)

    def write(
        x: int, y: int, text: str, size: int = 24, fill: tuple[int, int, int] = INK, anchor: str = "la"
    ) -> None:
        pen.text((x, y), text, fill, ImageFont.load_default(size), anchor)

    def rule(y: int) -> None:
        pen.line([(MARGIN, y), (RIGHT, y)], LINE, 2)

    write(MARGIN, 70, "Brightwater Joinery Ltd", 38)
    write(MARGIN, 122, "7 Mill Lane, Lower Harbour", 22, GREY)
    write(MARGIN, 152, "accounts@brightwater.example", 22, GREY)
    write(RIGHT, 74, "INVOICE", 34, GREY, "ra")
    rule(205)
    write(MARGIN, 235, "Bill to", 22, GREY)
    for line, text in enumerate(["Mrs Amelia Thornton", "22 Orchard Street", "Easton"]):
        write(MARGIN, 268 + 34 * line, text)
    for line, (label, value) in enumerate(HEAD):
        write(540, 235 + 36 * line, label, 22, GREY)
        write(RIGHT, 234 + 36 * line, value, anchor="ra")

    for x, label in [(600, "Qty"), (760, "Price"), (RIGHT, "Amount")]:
        write(x, 450, label, 22, GREY, "ra")
    write(MARGIN, 450, "Description", 22, GREY)
    rule(488)
    y = 510
    for text, quantity, price in ITEMS:
        write(MARGIN, y, text)
        for x, value in [(600, f"{quantity}"), (760, f"{price:.2f}"), (RIGHT, f"{quantity * price:.2f}")]:
            write(x, y, value, anchor="ra")
        y += 46
    rule(y + 8)
    subtotal, vat, total = amounts()
    for text, amount in [("Subtotal", subtotal), (f"VAT {VAT_PERCENT} %", vat)]:
        y += 38
        write(600, y, text, anchor="la")
        write(RIGHT, y, f"{amount:.2f}", anchor="ra")
    write(600, y + 50, "Total", 30)
    write(RIGHT, y + 50, f"EUR {total:.2f}", 30, anchor="ra")

    write(MARGIN, 1000, "Please pay within 30 days to IBAN XX12 3456 7890 1234 5678.", 22, GREY)
    write(
        MARGIN,
        1034,
        "Goods stay our property until they are paid in full. Thank you for your order.",
        22,
        GREY,
    )
    return picture


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("invoice.png")
    draw().quantize(64).save(target, optimize=True)
    sys.stdout.write(f"{target}\n")
