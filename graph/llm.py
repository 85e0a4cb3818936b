"""A controller on a chat model: the language model plans, chooses and answers."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing

from langchain_core.messages import AnyMessage

from hugginggpt.graph import prompts
from hugginggpt.graph.calls import Ask, Limits, LLMError, StartOver, stream, whole
from hugginggpt.graph.chat_models import ChatModel
from hugginggpt.graph.context import Strategy
from hugginggpt.graph.few_shot import alike
from hugginggpt.graph.plan import Plan, Task
from hugginggpt.graph.reading import BROKEN_OFF, PlanReader, Unreadable, loads
from hugginggpt.tools.encoder import Encoder
from hugginggpt.tools.runtime import Candidate
from hugginggpt.tools.values import Artifact, Result
from hugginggpt.tools.views import artifacts_in

DECISIVE = 0.1
"""Where the first of a shortlist is this much ahead, it is taken without asking. Scores are cosines of query
and card, with 0.2 for words and less for popularity and merit (index/ranking.py). So 28 % of the requests of
benchmarks/retrieval.py are decided; the model that is meant comes first in 58 % of these, in 27 % of all."""
BEYOND = 500
"""Characters that are heard out after the end of a plan, for the count of tokens that follows."""
PLAN_CHARS, CHOICE_CHARS, ANSWER_CHARS = 60_000, 20_000, 40_000

_FILE_NAME = re.compile(
    r"\b[\w-]+\.(?:png|jpe?g|gif|webp|wav|mp3|flac|ogg|mp4|webm|csv|json|parquet|pdf|txt|md)\b"
)


class LLMController:
    """Works with any chat model. What it gets wrong is fed back, or left to the caller as `LLMError`."""

    stepwise = True

    def __init__(
        self, model: ChatModel, encoder: Callable[[], Encoder], limits: Limits, strategy: Strategy = "plan"
    ) -> None:
        """`encoder` picks the examples of the prompt; it is called in a thread and may block."""
        self.name = model.name
        self._model, self._encoder, self._limits, self._strategy = model, encoder, limits, strategy

    async def plan(
        self,
        request: str,
        files: Sequence[Artifact],
        history: Sequence[AnyMessage],
        results: Sequence[Result],
        feedback: Sequence[str],
    ) -> AsyncIterator[Task | Unreadable | StartOver]:
        """See `Controller.plan`. Raises `LLMError`."""
        examples = await asyncio.to_thread(alike, request, self._encoder)
        messages = prompts.planning(request, files, history, results, feedback, examples, self._strategy)
        ask = Ask("plan", messages, prompts.plan_schema(), PLAN_CHARS)
        reader, tasks, beyond = PlanReader(), 0, 0
        wrong: list[Unreadable] = []
        try:
            async with aclosing(stream(self._model, ask, self._limits)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, StartOver):
                        reader, tasks, beyond, wrong = PlanReader(), 0, 0, []
                        yield piece
                        continue
                    beyond += len(piece) * reader.complete
                    if beyond > BEYOND:
                        break
                    for item in reader.feed(piece):
                        if isinstance(item, Task):
                            tasks += 1
                            yield item
                        else:
                            wrong.append(item)
        except LLMError as error:
            if error.transient or not tasks:
                raise
            wrong.append(Unreadable(BROKEN_OFF))  # it went on without end: its tasks are kept
        else:
            wrong += reader.close()
        if wrong and feedback and not tasks:
            raise LLMError(f"{self.name}: gave no plan when it was asked again")
        for line in wrong:
            yield line

    async def choose(
        self, request: str, plan: Plan, shortlists: Mapping[int, Sequence[Candidate]]
    ) -> dict[int, Candidate]:
        """See `Controller.choose`. Asks once for all tasks, and not at all where the ranking decides.

        What the model names besides the numbers of a shortlist is not there. Raises `LLMError`.
        """
        chosen = {id_: candidates[0] for id_, candidates in shortlists.items() if candidates}
        open_ = {id_: candidates for id_, candidates in shortlists.items() if _undecided(candidates)}
        if not open_:
            return chosen
        schema = prompts.choice_schema(open_)
        ask = Ask("choose", prompts.choosing(request, plan, open_), schema, CHOICE_CHARS)
        numbers = _object(await whole(self._model, ask, self._limits))
        for id_, candidates in open_.items():
            number = str(numbers.get(str(id_), ""))
            if number.isdecimal() and 1 <= int(number) <= len(candidates):
                chosen[id_] = candidates[int(number) - 1]
        return chosen

    async def answer(
        self, request: str, results: Sequence[Result], history: Sequence[AnyMessage] = ()
    ) -> AsyncIterator[str]:
        """See `Controller.answer`. Files that it names and that are not there are told. Raises `LLMError`."""
        ask = Ask("answer", prompts.answering(request, results, history), most=ANSWER_CHARS)
        said = ""
        async with aclosing(stream(self._model, ask, self._limits)) as pieces:
            async for piece in pieces:
                if isinstance(piece, str):
                    said += piece
                    yield piece
        if missing := _not_there(said, request, results):
            yield f"\n\nNot there, though named above: {', '.join(missing)}."


def _undecided(candidates: Sequence[Candidate]) -> bool:
    """Whether another model than the first could be meant; of one model, the first runtime is preferred."""
    others = [candidate for candidate in candidates[1:] if candidate.card.id != candidates[0].card.id]
    return bool(others) and candidates[0].score - others[0].score < DECISIVE


def _object(reply: str) -> Mapping[str, object]:
    """The JSON object in a reply; empty where there is none."""
    found = re.search(r"\{[^{}]*\}", reply)
    value = loads(found[0]) if found else None
    return value if isinstance(value, dict) else {}


def _not_there(said: str, request: str, results: Sequence[Result]) -> list[str]:
    """File names in an answer that are neither files of the results nor in what the model was told."""
    told = " ".join([request, *(str(result["outputs"].get("text", "")) for result in results)])
    names = {artifact["name"] for result in results for artifact in artifacts_in(result["outputs"])}
    return [
        name for name in dict.fromkeys(_FILE_NAME.findall(said)) if name not in names and name not in told
    ]
