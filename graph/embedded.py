"""A controller without a language model: it reads requests by sentence embeddings and port types."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

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

_FILE_NAME = re.compile(r"\b[\w-]+\.[A-Za-z][A-Za-z0-9]{1,4}\b")


class EmbeddedController:
    """Needs no account and no network: an encoder is all. `encoder` is called in a thread; it may block."""

    name = "embedded"

    def __init__(self, encoder: Callable[[], Encoder]) -> None:
        self._matcher = Matcher(encoder)

    async def plan(
        self,
        request: str,
        files: Sequence[Artifact],
        history: Sequence[AnyMessage],  # noqa: ARG002, what earlier turns gave is in the results
        results: Sequence[Result],
        feedback: Sequence[str],  # noqa: ARG002, its plans are valid, and the same for the same request
    ) -> AsyncIterator[Task]:
        """See `Controller.plan`."""
        draft = await asyncio.to_thread(self._draft, request, files, results)
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

    async def answer(self, request: str, results: Sequence[Result]) -> AsyncIterator[str]:
        """A plain report of the results, with the parts of the request that were not understood."""
        missed = await asyncio.to_thread(self._missed, request, results) if results else []
        for piece in report(results, missed):
            yield piece

    def _draft(self, request: str, files: Sequence[Artifact], results: Sequence[Result]) -> Draft:
        kinds = {file["name"]: modality_of(file) for file in files}
        return self._drafted(read(request, list(kinds)), kinds, results)

    def _drafted(self, reading: Reading, kinds: Mapping[str, Kind], results: Sequence[Result]) -> Draft:
        next_id = 1 + max((result["id"] for result in results), default=-1)
        desk = Desk(next_id, kinds, reading.content, _things(results))
        banned = {result["task"] for result in results if result["status"] == "failed"}
        draft = Draft(desk, self._matcher, reading.clauses, banned)
        draft.run()
        return draft

    def _missed(self, request: str, results: Sequence[Result]) -> list[str]:
        """The parts of the request that no task was found for, from what the results show was at hand."""
        kinds: dict[str, Kind] = {
            name: modality(type_of_name(name)) for name in _FILE_NAME.findall(request[:HEAD])
        }
        read_ = {main_port(TASKS[result["task"]]).kind for result in results if result["task"] in TASKS}
        kinds |= {
            f"attached {kind}": kind for kind in read_ & (MEDIA | {"table"}) if kind not in kinds.values()
        }
        return self._drafted(read(request, list(kinds)), kinds, []).missed


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
