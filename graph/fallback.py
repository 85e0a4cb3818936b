"""A controller that falls back: where one does not answer, another does, and people are told."""

from collections.abc import AsyncIterator, Mapping, Sequence

from langchain_core.messages import AnyMessage

from hugginggpt.graph.calls import LLMError, StartOver
from hugginggpt.graph.controller import Controller
from hugginggpt.graph.events import tell
from hugginggpt.graph.plan import Plan, Task
from hugginggpt.graph.reading import Unreadable
from hugginggpt.tools.runtime import Candidate
from hugginggpt.tools.values import Artifact, Result


class FallbackController:
    """Asks `first`; where that raises `LLMError`, it asks `second` for this stage."""

    def __init__(self, first: Controller, second: Controller) -> None:
        self.notices: list[str] = []
        """What went wrong and what was done instead, a line each, for people."""
        self._first, self._second = first, second
        self.name, self.stepwise = first.name, first.stepwise

    async def plan(
        self,
        request: str,
        files: Sequence[Artifact],
        history: Sequence[AnyMessage],
        results: Sequence[Result],
        feedback: Sequence[str],
    ) -> AsyncIterator[Task | Unreadable | StartOver]:
        """See `Controller.plan`. What the first gave before it failed is void."""
        try:
            async for item in self._first.plan(request, files, history, results, feedback):
                yield item
        except LLMError as error:
            self.name, self.stepwise = self._second.name, self._second.stepwise
            self._fell_back(error, f"planned by the {self.name} controller")
        else:
            return
        yield StartOver()
        async for item in self._second.plan(request, files, history, results, feedback):
            yield item

    async def choose(
        self, request: str, plan: Plan, shortlists: Mapping[int, Sequence[Candidate]]
    ) -> dict[int, Candidate]:
        """See `Controller.choose`."""
        try:
            return await self._first.choose(request, plan, shortlists)
        except LLMError as error:
            self._fell_back(error, f"models chosen by the {self._second.name} controller")
        return await self._second.choose(request, plan, shortlists)

    async def answer(
        self, request: str, results: Sequence[Result], history: Sequence[AnyMessage] = ()
    ) -> AsyncIterator[str]:
        """See `Controller.answer`. What the first has said stays; all results follow it."""
        said = False
        try:
            async for piece in self._first.answer(request, results, history):
                said = True
                yield piece
        except LLMError as error:
            self._fell_back(error, f"answered by the {self._second.name} controller")
        else:
            return
        if said:
            yield "\n\n[The answer breaks off here; these are the results.]\n\n"
        async for piece in self._second.answer(request, results, history):
            yield piece

    def _fell_back(self, error: LLMError, instead: str) -> None:
        line = f"The language model failed ({error}); {instead}."
        self.notices.append(line)
        tell("notice", message=line)
