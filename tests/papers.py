"""Documents drawn for tests: a receipt, a letter and a form."""

from PIL import Image, ImageDraw, ImageFont


def paper(*texts, size=(900, 1100), background="white"):
    """A page with texts on it, each (x, y, text, font size)."""
    page = Image.new("RGB", size, background)
    pen = ImageDraw.Draw(page)
    for x, y, text, height in texts:
        pen.text((x, y), text, "black", ImageFont.load_default(height))
    return page


def receipt():
    rows = [("Espresso", "2.40"), ("Cheese roll", "4.10"), ("Orange juice", "3.50"), ("Total", "10.00"),
            ("Cash", "20.00"), ("Change", "10.00")]  # fmt: skip
    head = [
        (120, 40, "Corner Cafe", 44),
        (120, 110, "Tel. 020 7946 0321", 24),
        (120, 150, "2026-05-09  14:32", 24),
    ]
    lines = [text for i, (name, price) in enumerate(rows)
             for text in ((60, 240 + 50 * i, name, 26), (420, 240 + 50 * i, price, 26))]  # fmt: skip
    return paper(*head, *lines, (60, 600, "You were served by Maria", 24), size=(560, 700))


def letter():
    lines = [
        "Dear Mr Okafor,",
        "Thank you for your visit. Your next appointment is on 3 June 2026 at 10:30 in room 214.",
        "Please bring your insurance card and a list of the medicines that you take.",
        "If you cannot come, call us on 0161 496 0755 two days before.",
        "Kind regards,",
        "Dr Helen Marsh",
    ]
    body = [(70, 300 + 60 * i, line, 22) for i, line in enumerate(lines)]
    return paper(
        (70, 60, "Riverside Eye Clinic", 40), (70, 120, "18 Bank Street, Leeds", 22), *body, size=(1100, 800)
    )


def form():
    fields = [("Full name", "Priya Raman"), ("Date of birth", "12/08/1991"),
              ("Email", "priya@mail.example"),
              ("Nationality", "Indian"),
              ("Passport number", "K4482917"), ("Arrival", "21 July 2026")]  # fmt: skip
    texts = [text for i, (label, value) in enumerate(fields)
             for text in ((60, 160 + 110 * i, label, 20), (60, 190 + 110 * i, value, 28))]  # fmt: skip
    return paper((60, 50, "Visitor registration", 38), *texts, size=(700, 860))
