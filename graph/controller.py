"""Who decides: the protocol of a controller, and which one a Context means."""

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Protocol

from langchain_core.messages import AnyMessage

from hugginggpt.graph import resources
from hugginggpt.graph.calls import Limits, StartOver
from hugginggpt.graph.chat_models import Choice, choice
from hugginggpt.graph.context import Accounts, Context, Home, SettingsError
from hugginggpt.graph.embedded import EmbeddedController
from hugginggpt.graph.plan import Plan, Task
from hugginggpt.graph.reading import Unreadable
from hugginggpt.tools.runtime import Candidate
from hugginggpt.tools.values import Artifact, Result


class Controller(Protocol):
    """Understands a request, chooses models, and says what came of it."""

    @property
    def name(self) -> str:
        """What is shown to people: `embedded`, `openai:gpt-…`."""

    @property
    def stepwise(self) -> bool:
        """Whether, asked again with what its tasks gave, it plans just what remains to be done."""

    def plan(
        self,
        request: str,
        files: Sequence[Artifact],
        history: Sequence[AnyMessage],
        results: Sequence[Result],
        feedback: Sequence[str],
    ) -> AsyncIterator[Task | Unreadable | StartOver]:
        """Tasks for the request, as they are decided; none when no model is needed.

        `Unreadable` is a part of the plan that is no task; `StartOver` makes all that came before it void.

        `files` are all files of the thread, those of this request last; `history` the earlier messages;
        `results` all that earlier turns and earlier plans of this turn gave, failed ones included.
        New ids start one above the highest id in `results`. `feedback` holds what was wrong with the
        last plan, a line each, when it is a repair.
        """

    async def choose(
        self, request: str, plan: Plan, shortlists: Mapping[int, Sequence[Candidate]]
    ) -> dict[int, Candidate]:
        """For each task id the candidate to try first: one of its shortlist."""

    def answer(
        self, request: str, results: Sequence[Result], history: Sequence[AnyMessage] = ()
    ) -> AsyncIterator[str]:
        """The answer, in pieces as they come, from this turn's results (none for a direct question).

        `history` are the earlier messages.
        """


def controller_for(home: Home, context: Context) -> Controller:
    """The controller of a run: a language model that falls back to the embedded one, or that one alone.

    Cheap: nothing is loaded before it is asked something. Raises `SettingsError`.
    """
    if context.max_cost and not context.prompt_price + context.completion_price:
        raise SettingsError("max_cost needs prices: set prompt_price and completion_price")
    embedded = EmbeddedController(partial(resources.encoder, home), home.encoder_cache)
    model = language_model(context).model
    if model is None:
        return embedded
    from hugginggpt.graph.fallback import FallbackController
    from hugginggpt.graph.llm import LLMController

    limits = Limits(context.llm_timeout, context.max_attempts)
    return FallbackController(
        LLMController(model, partial(resources.encoder, home), limits, context.strategy), embedded
    )


def language_model(context: Context) -> Choice:
    """The language model that a Context means here, and why. Raises `SettingsError`."""
    return choice(context.llm, Accounts.from_environment())


def notices(controller: Controller) -> list[str]:
    """What a controller had to do otherwise than asked, a line each, for people."""
    from hugginggpt.graph.fallback import FallbackController

    return controller.notices if isinstance(controller, FallbackController) else []
