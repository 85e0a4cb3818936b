"""The words of a text, to compare texts with each other."""

import string

_PUNCTUATION = string.punctuation.encode()
_APART = bytes.maketrans(_PUNCTUATION, b" " * len(_PUNCTUATION))


def words_in(text: str) -> frozenset[bytes]:
    """The words in lower case, each once, without ASCII punctuation. As UTF-8, which is thrice as fast."""
    return frozenset(text.lower().encode(errors="replace").translate(_APART).split())
