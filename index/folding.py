"""Copies of a model count as one, and nobody fills a shortlist alone."""

import re
from collections.abc import Sequence

from hugginggpt.index.words import words_in
from hugginggpt.tools.card import ModelCard

MOST_OF_AUTHOR, SHORTLIST = 2, 5

_FORMS = re.compile(
    r"[-_.](?:i1|gguf|ggml|gptq|awq|exl[23]|mlx|bnb|nf4|onnx|openvino|imatrix|quanti[sz]ed|dynamic|sharded|hf|"
    r"(?:[2-8](?:\.\d+)?)-?bit|int[48]|fp?(?:8|16)|bf16|w\d+a\d+|i?q\d(?:[-_.][0-9a-z]{1,2})*|\d+bpw)(?=$|[-_.])",
    re.IGNORECASE,
)
_FEWEST_LETTERS = 8
"""Of a name, to tell something: many models are called `model` or `test`."""

_FEWEST_WORDS, _ENOUGH_WORDS = 8, 20
_TIMES = 10
"""A model whose card says what another's says is a copy where that one has this many times the support."""


def stem(name: str) -> str:
    """The name without its owner and without what says in which form the weights are.

    `someone/Llama-3.1-8B-Instruct-Q4_K_M-GGUF` is `llama-3.1-8b-instruct`.
    """
    bare = name.rpartition("/")[2]
    return _FORMS.sub("", bare).lower().replace("_", "-") or bare.lower()


def fold(cards: Sequence[ModelCard]) -> list[ModelCard]:
    """One card of each family, the best supported one, at its own place; the others are left out.

    Of a family are, within a task: a model and what says it is a copy of it (`base_model`); models with the
    same name, whoever owns them and however they are quantised; models of different authors whose summaries
    have the very same words, or all the words of one that has ten times the support, and more.
    """
    seen: set[tuple[str, str]] = set()
    told: dict[tuple[str, frozenset[bytes]], str] = {}
    famous: list[tuple[ModelCard, frozenset[bytes]]] = []
    kept: set[str] = set()
    for card in sorted(cards, key=_support, reverse=True):  # stable: of equals, the one that fits better
        said, owner = words_in(card.summary), _owner(card)
        names = {(card.task, name) for name in _names(card)}
        by = told.setdefault((card.task, said), owner) if len(said) >= _ENOUGH_WORDS else owner
        copied = (other for other, words in famous if words <= said)
        if seen & names or by != owner or any(_more_famous(other, card) for other in copied):
            continue
        seen |= names
        kept.add(card.id)
        if _support(card)[0] > _TIMES and len(said) >= _FEWEST_WORDS:
            famous.append((card, said))
    return [card for card in cards if card.id in kept]


def spread(cards: Sequence[ModelCard], k: int) -> list[ModelCard]:
    """The first `k`, of which the first five, a shortlist, have two of one author at most.

    More only where there is nobody else. What has to give way comes right behind the five.
    """
    counts: dict[str, int] = {}
    first: list[ModelCard] = []
    later: list[ModelCard] = []
    for card in cards:
        counts[card.author] = counts.get(card.author, 0) + 1
        alone = counts[card.author] <= MOST_OF_AUTHOR or card.builtin
        (first if alone and len(first) < min(k, SHORTLIST) else later).append(card)
    return [*first, *later][:k]


def _names(card: ModelCard) -> set[str]:
    """The names by which it is found that another is of its family."""
    names = {stem(name) for name in (card.id, card.base_model) if name}
    return {name for name in names if len(name) >= _FEWEST_LETTERS and not name.isalpha()}


def _more_famous(other: ModelCard, card: ModelCard) -> bool:
    """Whether a card, of another author and for the same task, is so much better supported than this one."""
    return (
        other.task == card.task
        and _owner(other) != _owner(card)
        and _support(other)[0] > _TIMES * _support(card)[0]
    )


def _owner(card: ModelCard) -> str:
    return card.id.rpartition("/")[0]


def _support(card: ModelCard) -> tuple[int, bool]:
    """How much speaks for a card to be the one that others are copies of: a like counts as 100 downloads."""
    return ((card.downloads or 0) + 100 * (card.likes or 0), not card.base_model)
