"""What a card states about itself in the YAML above its text."""

import re
from collections.abc import Mapping

Facts = dict[str, str | list[str]]

_BLOCK = re.compile(r"\A\ufeff?\s*---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_KEYS = ("base_model", "datasets", "language", "library_name", "license", "pipeline_tag", "tags")
# A key and all that belongs to it: what is indented, and the items of a list, which need not be.
_ENTRY = re.compile(rf"^(?:{'|'.join(_KEYS)})[ \t]*:.*\n(?:(?:[ \t]+|- |-$|#).*\n|[ \t]*\n)*", re.MULTILINE)
_MOST = 100


def split(card: str) -> tuple[Facts, str]:
    """The facts that matter here, as words and lists of words, and the text below them.

    Facts that are not YAML are passed over, each by itself: much of the Hub's is not. Only the keys that are
    used are parsed, because widgets and results, which are not, are most of it.
    """
    block = _BLOCK.match(card)
    if not block:
        return {}, card
    facts: Facts = {}
    for entry in _ENTRY.finditer(block[1]):
        key, value = _parsed(entry[0])
        if value:
            facts[key] = value
    return facts, card[block.end() :]


def words(facts: Mapping[str, object], key: str) -> list[str]:
    """A fact as a list, however it is written; what is no word in it is passed over."""
    value = facts.get(key)
    return [
        word for word in (value if isinstance(value, list) else [value]) if word and isinstance(word, str)
    ]


def _parsed(entry: str) -> tuple[str, str | list[str]]:
    """One entry. Plain words stay words: `no` is Norwegian here."""
    import yaml  # type: ignore[import-untyped]

    key, _, rest = entry.partition(":")
    key, rest = key.strip(), rest.strip()
    if re.fullmatch(r"[\w./+-]*", rest):
        return key, rest
    try:
        value = yaml.load(entry, yaml.CBaseLoader)[key]  # noqa: S506, it makes nothing but text, lists and dicts
    except (yaml.YAMLError, KeyError, TypeError, RecursionError):
        return key, []
    if isinstance(value, list):
        return key, [word for word in value[:_MOST] if isinstance(word, str) and word]
    return key, value if isinstance(value, str) else []
