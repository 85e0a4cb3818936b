"""Who decides: the protocol of a controller, and which one a Context means."""

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Protocol

from langchain_core.messages import AnyMessage

from hugginggpt.graph import resources
from hugginggpt.graph.context import Home
from hugginggpt.graph.embedded import EmbeddedController
from hugginggpt.graph.plan import Plan, Task
from hugginggpt.tools.runtime import Candidate
from hugginggpt.tools.values import Artifact, Result


class Controller(Protocol):
    """Understands a request, chooses models, and says what came of it."""

    @property
    def name(self) -> str:
        """What is shown to people: `embedded`, `openai:gpt-…`."""

    def plan(
        self,
        request: str,
        files: Sequence[Artifact],
        history: Sequence[AnyMessage],
        results: Sequence[Result],
        feedback: Sequence[str],
    ) -> AsyncIterator[Task]:
        """Tasks for the request, as they are decided; none when no model is needed.

        `files` are all files of the thread, those of this request last; `history` the earlier messages;
        `results` all that earlier turns and earlier plans of this turn gave, failed ones included.
        New ids start one above the highest id in `results`. `feedback` holds what was wrong with the
        last plan, a line each, when it is a repair.
        """

    async def choose(
        self, request: str, plan: Plan, shortlists: Mapping[int, Sequence[Candidate]]
    ) -> dict[int, Candidate]:
        """For each task id the candidate to try first: one of its shortlist."""

    def answer(self, request: str, results: Sequence[Result]) -> AsyncIterator[str]:
        """The answer, in pieces as they come, from this turn's results (none for a direct question)."""


def controller_for(home: Home) -> Controller:
    """The controller of a run. Cheap: nothing is loaded before it is asked something."""
    return EmbeddedController(partial(resources.encoder, home))
