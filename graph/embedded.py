"""A controller without a language model: it reads requests by sentence embeddings and port types."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

from langchain_core.messages import AnyMessage

from hugginggpt.graph.draft import Draft
from hugginggpt.graph.matching import Matcher
from hugginggpt.graph.plan import From, Plan, Task
from hugginggpt.graph.report import report
from hugginggpt.graph.wiring import Desk, Thing, main_port
from hugginggpt.graph.wording import HEAD, Reading, read
from hugginggpt.tools.encoder import Encoder
from hugginggpt.tools.media import modality, modality_of, type_of_name
from hugginggpt.tools.runtime import Candidate
from hugginggpt.tools.tasks import MEDIA, TASKS, Kind
from hugginggpt.tools.values import Artifact, Result

TURN = 50  # results, the last ones, among which those of this turn are looked for
_FILE_NAME = re.compile(r"\b[\w-]+\.[A-Za-z][A-Za-z0-9]{1,4}\b")


class EmbeddedController:
    """Needs no account and no network: an encoder is all.

    `encoder` is called in a thread; it may block. In `cache_folder` the exemplars' vectors are kept, so
    that the next process starts a second sooner.
    """

    name = "embedded"
    stepwise = False

    def __init__(self, encoder: Callable[[], Encoder], cache_folder: Path | None = None) -> None:
        self._matcher = Matcher(encoder, cache_folder)

    async def plan(
        self,
        request: str,
        files: Sequence[Artifact],
        history: Sequence[AnyMessage],  # noqa: ARG002, what earlier turns gave is in the results
        results: Sequence[Result],
        feedback: Sequence[str],  # noqa: ARG002, its plans are valid, and the same for the same request
    ) -> AsyncIterator[Task]:
        """See `Controller.plan`."""
        draft = await asyncio.to_thread(self.draft, request, files, results)
        for task in draft.desk.tasks:
            yield task

    async def choose(
        self,
        request: str,  # noqa: ARG002
        plan: Plan,  # noqa: ARG002
        shortlists: Mapping[int, Sequence[Candidate]],
    ) -> dict[int, Candidate]:
        """The first of every shortlist: the index has ranked them."""
        return {id_: candidates[0] for id_, candidates in shortlists.items() if candidates}

    async def answer(
        self,
        request: str,
        results: Sequence[Result],
        history: Sequence[AnyMessage] = (),  # noqa: ARG002, a report is of this turn
    ) -> AsyncIterator[str]:
        """A plain report of the results, with the parts of the request that were not understood."""
        missed = await asyncio.to_thread(self._missed, request, results) if results else []
        for piece in report(results, missed):
            yield piece

    def draft(self, request: str, files: Sequence[Artifact], results: Sequence[Result]) -> Draft:
        """The draft of a plan. Blocks.

        Where the last results are those of this very request and some failed, it is another way to what
        they did not give: a task that failed is not tried again, and what is done is not done again.
        """
        kinds = {file["name"]: modality_of(file) for file in files}
        reading = read(request, list(kinds))
        tried = [result for result in results[-TURN:] if result["status"] == "failed"]
        for start in range(max(len(results) - TURN, 0), len(results)) if tried else ():
            before, turn = results[:start], results[start:]
            draft = self._drafted(reading, _desk(turn[0]["id"], kinds, reading, before), set())
            same = [task.task for task in draft.desk.tasks] == [
                r["task"] for r in turn[: len(draft.desk.tasks)]
            ]
            if same and draft.desk.tasks and any(result["status"] == "failed" for result in turn):
                desk = _desk(results[-1]["id"] + 1, kinds, reading, before)
                done = {result["id"] for result in turn if result["status"] == "done"}
                desk.finished = [task for task in draft.desk.tasks if task.id in done]
                return self._drafted(reading, desk, {result["task"] for result in tried})
        next_id = 1 + max((result["id"] for result in results), default=-1)
        return self._drafted(reading, _desk(next_id, kinds, reading, results), set())

    def _drafted(self, reading: Reading, desk: Desk, banned: set[str]) -> Draft:
        draft = Draft(desk, self._matcher, reading.clauses, banned)
        draft.run()
        return draft

    def _missed(self, request: str, results: Sequence[Result]) -> list[str]:
        """The parts of the request that no task was found for, from what the results show was at hand."""
        kinds: dict[str, Kind] = {
            name: modality(type_of_name(name)) for name in _FILE_NAME.findall(request[:HEAD])
        }
        read_ = {main_port(TASKS[result["task"]]).kind for result in results if result["task"] in TASKS}
        begun = main_port(TASKS[results[0]["task"]]).kind if results[0]["task"] in TASKS else None
        pasted = read(request, list(kinds)).content
        texts: set[Kind] = {"text"} if begun == "text" and not pasted else set()
        found = read_ & (MEDIA | {"table"}) | texts
        kinds |= {f"attached {kind}": kind for kind in found if kind not in kinds.values()}
        reading = read(request, list(kinds))
        draft = self._drafted(reading, _desk(0, kinds, reading, []), set())
        planned = sorted(task.task for task in draft.desk.tasks)
        # A plan that was made otherwise says nothing of what it left out.
        return draft.missed if planned == sorted(result["task"] for result in results) else []


def _desk(next_id: int, kinds: Mapping[str, Kind], reading: Reading, results: Sequence[Result]) -> Desk:
    return Desk(next_id, kinds, reading.content, _things(results))


def _things(results: Sequence[Result]) -> list[Thing]:
    """Finished results as things to read."""
    return [
        Thing(
            (From(**{"from": result["id"]}),),
            TASKS[result["task"]].outputs[0],
            result["task"],
            listed=isinstance(result["outputs"].get("text"), list),
        )
        for result in results
        if result["status"] == "done" and result["task"] in TASKS
    ]
