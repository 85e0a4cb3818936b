"""What a person sees of a card's page: no hidden text, no markup of HTML, no code, no invisible characters.

A card is written by strangers, and a model is found by its words: words that nobody can see do not count.
"""

import html
import re
import unicodedata

# Controls, zero-width, direction marks, fillers, variation selectors, private use, surrogates, tags.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u2800\u3164\ue000-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff"
    "\ud800-\udfff\U000e0000-\U0010ffff]"
)
_PICTOGRAPHS = re.compile(
    "[\u2190-\u21ff\u2300-\u27bf\u2900-\u2bff\U00013000-\U0001342f\U0001f000-\U0001faff]+"
)
# Comments and fenced code, whichever begins first; one that is not closed goes on to the end.
_COMMENT_OR_CODE = re.compile(
    r"<!--.*?(?:-->|\Z)|^[ \t]*(```+|~~~+)[^\n]*\n.*?(?:^[ \t]*\1[^\n]*$|\Z)", re.DOTALL | re.MULTILINE
)
_FORMULA = re.compile(
    r"\$\$.{0,2000}?\$\$|\$[^$\n]{0,300}?[\\^_{][^$\n]{0,300}\$|\\\(.{0,300}?\\\)", re.DOTALL
)
_TAG = re.compile(
    r"<(/?)(?!https?:)([a-zA-Z][\w-]*)((?:\"[^\"]{0,1000}+\"|'[^']{0,1000}+'|[^'\">]){0,1000}+)>"
)
_BREAKS = {"p", "div", "br", "hr", "li", "ul", "ol", "section", "center", "blockquote"}
_VOID = {"br", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_NOT_PROSE = {"script", "style", "svg", "template", "noscript", "title", "pre", "table", "details", "video"}

_WHITE = (
    r"(?:white|transparent|#fff(?:f|fff|fffff)?\b|"
    r"rgba?\(\s*255\s*,\s*255\s*,\s*255|rgba?\([^)]*,\s*0?\.?0+\s*\))"
)
_HIDING = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|(?<![\w-])opacity\s*:\s*0?\.?0+(?![\d.])|"
    r"font-size\s*:\s*(?:0(?![\d.])|[0-3](?:\.\d+)?(?:px|pt)|0?\.[0-3]\d*r?em)|"
    r"(?:left|top|right|text-indent)\s*:\s*-\d{3}|(?<![\w-])clip(?:-path)?\s*:|scale\(\s*0|"
    r"(?<![\w-])(?:max-)?(?:height|width)\s*:\s*[01](?:px)?\s*(?:[;\"']|$)|(?:^|\s)hidden(?:\s|=|$)",
    re.IGNORECASE,
)
_WHITE_TEXT = re.compile(rf"(?<![\w-])color\s*[:=]\s*[\"']?\s*{_WHITE}", re.IGNORECASE)
_DARK_GROUND = re.compile(rf"background(?:-color)?\s*:\s*(?!\s|{_WHITE})[^;\"']+", re.IGNORECASE)


def visible(card: str) -> str:
    """The Markdown of a card without what its page does not show as prose; HTML's blocks become lines."""
    text = _COMMENT_OR_CODE.sub("\n", card.replace("\r\n", "\n"))
    if "$" in text or "\\(" in text:
        text = _FORMULA.sub(" ", text)
    if "<" in text:
        text = _without_tags(text)
    if "&" in text:
        text = html.unescape(text)
    return plain(text)


def plain(text: str) -> str:
    """Unicode's compatible form (NFKC), without characters that cannot be seen and without pictographs."""
    if text.isascii():
        return _INVISIBLE.sub("", text)
    return _PICTOGRAPHS.sub(" ", _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)))


def _without_tags(text: str) -> str:
    """The text between tags, but for elements that are hidden or no prose; one left open goes to the end."""
    seen: list[str] = []
    position, skipped, depth = 0, "", 0
    for tag in _TAG.finditer(text):
        closing, name, attributes = tag[1], tag[2].lower(), tag[3]
        if skipped:
            if name == skipped:
                depth += -1 if closing else 1
                if depth == 0:
                    skipped, position = "", tag.end()
            continue
        seen.append(text[position : tag.start()])
        position = tag.end()
        if name in _BREAKS:
            seen.append("\n")
        if not closing and name not in _VOID and (name in _NOT_PROSE or _hides(attributes)):
            skipped, depth = name, 1
    return "".join(seen) if skipped else "".join(seen) + text[position:]


def _hides(attributes: str) -> bool:
    if not attributes:
        return False
    white = _WHITE_TEXT.search(attributes) and not _DARK_GROUND.search(attributes)
    return bool(white or _HIDING.search(attributes))
