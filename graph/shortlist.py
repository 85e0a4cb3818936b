"""Which models could do a task: the shortlist that a controller chooses from."""

import itertools
from collections.abc import Callable, Mapping
from functools import cache

from hugginggpt.graph.plan import Task
from hugginggpt.index import ranking, starter_cards
from hugginggpt.index.search import Index
from hugginggpt.tools.card import ModelCard
from hugginggpt.tools.runtime import Candidate, Runtime
from hugginggpt.tools.seen import Seen
from hugginggpt.tools.tasks import TASKS
from hugginggpt.tools.values import Result

_OWN = ranking.MOST + 0.05
"""Score of a runtime's own models, such as the language model, above all of the index. Somebody has set up
the language model for this, and it writes better than small models."""
_KNOWN = 100
"""Models of a task that are looked at to say why none can be run."""
_LOOKED_AT = 2_000
"""Models that have to be downloaded, and are looked at while one is searched for that has not."""


def shortlist(
    task: Task,
    request: str,
    index: Index,
    runtimes: Mapping[str, Runtime],
    top_k: int,
    tried: Result | None,
    seen: Seen,
) -> list[Candidate]:
    """The best candidates for a task that some available runtime can run, without what was tried. Blocks.

    Those that can begin now come before those that have to be downloaded, so that nobody waits for a
    download where a model is there; then by score and merit, and of one model by the order of the runtimes.
    """
    usable = [runtime for runtime in runtimes.values() if runtime.available()]
    used = {(attempt["model"], attempt["runtime"]) for attempt in tried["attempts"]} if tried else set()
    words, others = query(task, request), itertools.count()

    def able(card: ModelCard) -> list[Runtime]:
        return [r for r in usable if (card.id, r.name) not in used and r.can_run(card)]

    def on(card: ModelCard, score: float) -> list[Candidate]:
        return [Candidate(card=card, runtime=r.name, score=score, ready=r.ready(card)) for r in able(card)]

    def found(accepts: Callable[[ModelCard], bool]) -> list[Candidate]:
        hits = index.search(words, task=task.task, k=top_k, accepts=accepts, merit=seen.merit)
        return [candidate for hit in hits for candidate in on(hit.card, hit.score)]

    def begins(card: ModelCard) -> bool:
        return any(r.ready(card) for r in able(card)) or next(others) >= _LOOKED_AT

    own = [candidate for r in usable for card in r.cards(task.task) for candidate in on(card, _OWN)]
    candidates = [*own, *found(lambda card: bool(able(card)))]
    if not all(candidate.ready for candidate in candidates):  # some that are ready may score less than those
        candidates += [candidate for candidate in found(begins) if candidate.ready]
        packaged = filter(None, map(index.card, _packaged(task.task)))
        candidates += [candidate for card in packaged for candidate in on(card, 0)]
    return _ranked(candidates, seen)[:top_k]


def _ranked(candidates: list[Candidate], seen: Seen) -> list[Candidate]:
    """Each once, ready ones first, then by score, with the seconds that were seen of it."""
    unique: dict[tuple[str, str], Candidate] = {}
    for candidate in sorted(candidates, key=lambda candidate: (not candidate.ready, -candidate.score)):
        unique.setdefault((candidate.card.id, candidate.runtime), candidate)
    return [candidate.model_copy(update={"seconds": seen.seconds(*key)}) for key, candidate in unique.items()]


@cache
def _packaged(task: str) -> list[str]:
    """Ids of models for a task that come inside packages; a search in a large index may not reach them."""
    return [card.id for card in starter_cards() if card.builtin and card.task == task]


def why_none(task: Task, index: Index, runtimes: Mapping[str, Runtime], tried: Result | None) -> str:
    """One line: why no model can do a task here, and what would make one available. Blocks."""
    if tried and tried["attempts"]:
        return f"every available model for {task.task} was tried"
    cards = [hit.card for hit in index.search(TASKS[task.task].description, task=task.task, k=_KNOWN)]
    missing = [
        f"{r.name}: {state.reason}"
        for r in runtimes.values()
        if not (state := r.available()) and any(map(r.can_run, [*cards, *r.cards(task.task)]))
    ]
    if any(card.builtin and not any(r.can_run(card) for r in runtimes.values()) for card in cards):
        missing.append("a package of the builtin models is missing: pip install 'hugginggpt[offline]'")
    known = ", ".join(card.id for card in cards if not card.builtin)[:200]
    what = f"no available model can do {task.task}"
    able = " and ".join(name for name in TASKS[task.task].runtimes if name in runtimes) or "nothing"
    needs = "; ".join(missing) or f"{able} can run none of those that the index knows"
    return f"{what}: {needs}" + (f" (the index knows {known})" if known else "")


def query(task: Task, request: str) -> str:
    """What is wanted of the model: the task, its literal arguments, and the request."""
    literals = [str(value)[:200] for _, value in task.values() if isinstance(value, str)]
    return " ".join([TASKS[task.task].description, *literals, request[:500]])
