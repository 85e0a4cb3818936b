"""What kind of answer a question asks for, and where such answers stand in a text."""

import re

_NAME = r"(?-i:[^\W\d_a-z])(?:[^\W\d_]|['.&-])*"
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_NUMBER = r"\d[\d,.']*(?<=\d)(?: million| billion)?"
_SIGN = r"(?:[$€£¥]|(?:eur|usd|gbp|chf|jpy)\b|euros?\b|dollars?\b|pounds?\b|francs?\b|yen\b)"

# Kind of answer, the words of a question that ask for it, its patterns. The first row that fits counts.
_KINDS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("place", r"^where\b|^in (?:which|what) (?:city|country|place)", ()),
    ("name", r"^(?:who|whom|whose|(?:by|for|from|to) whom)\b",
     (rf"\b{_NAME}(?:\s+(?:(?:of|de|van|von|der|and|&)\s+)?{_NAME})*",)),
    ("email", r"e-?mail", (r"[\w.+-]+@[\w-]+\.[\w.-]*\w",)),
    ("time", r"what time|which hour", (r"\b\d{1,2}(?::\d{2})?\s?[ap]\.?m\b\.?|\d{1,2}:\d{2}\b",)),
    ("date", r"\bwhen\b|\bdates?\b|deadline|birthday|\bwhich (?:day|year)|\bwhat (?:day|year)",
     (rf"\b\d{{1,2}}(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH}(?:,?\s+\d{{4}}\b)?",
      rf"\b{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?\s+\d{{4}}\b)?",
      r"\b\d{4}-\d{2}-\d{2}|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b|\b(?:1[5-9]|20)\d{2}\b")),
    ("phone", r"phone|\bfax\b|\bmobile\b", (r"\+?\(?\d[\d ()/.-]{6,}\d",)),
    ("identifier", r"number|\bno\b|\bid\b|\bcode\b|reference|\biban\b|\baccount\b",
     (r"\b(?=[\w/-]*\d)\w[\w/-]*(?: (?=[\w/-]*\d)[\w/-]+)*",)),
    ("amount", r"total|amount|how much|price|cost|\b(?:pay|paid|sum|tax|vat|fee|rent|tip|change|balance)\b",
     (rf"{_SIGN}\s?{_NUMBER}|{_NUMBER}\s?{_SIGN}",
      r"(?<![\d.,])(?:\d{1,3}(?:[ ,.']\d{3})+|\d+)[.,]\d{2}(?![\d%]|\s?%)")),
    ("count", r"how (?:many|old|tall|far|long)|quantity|\bage\b", (r"\d[\d,.]*(?<=\d)|\d",)),
)  # fmt: skip
_PATTERNS = {kind: patterns for kind, _, patterns in _KINDS}

# Words that begin sentences with a capital and are no names.
_OPENERS = (
    "the a an it he she they we i you in on at by with from to for of this that these those but and "
    "as when after his her their our my your please dear yes no not there here"
)


def expected(question: str) -> str | None:
    """The kind of answer a question asks for, by its words; None when they do not say.

    One of `place`, `name`, `email`, `time`, `date`, `phone`, `identifier`, `amount`, `count`.
    """
    asked = question.strip().lower()
    return next((kind for kind, words, _ in _KINDS if re.search(words, asked)), None)


def find(kind: str | None, text: str) -> list[str]:
    """The parts of a text that are of that kind, in order; none for a kind that has no pattern."""
    for pattern in _PATTERNS.get(kind or "", ()):
        found = [match.group().strip(" .,;:") for match in re.finditer(pattern, text, re.IGNORECASE)]
        if kind == "name":
            found = [name for name in map(_without_opener, found) if name]
        if found:
            return found
    return []


def _without_opener(name: str) -> str:
    first, _, rest = name.partition(" ")
    return rest if first.lower() in _OPENERS.split() else name
