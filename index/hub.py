"""The Hub's API as a source: its models, page by page, each with the text of its card.

Each page names the address of the next, which is the cursor. A busy or failing server is asked again, five
times, after the pause that it asks for (`Retry-After`) or a growing one.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import takewhile
from typing import Any, Self
from urllib.parse import quote, urlencode

import httpx

from hugginggpt.index.columns import FIGURES
from hugginggpt.index.errors import CardError
from hugginggpt.index.rows import Row, RowError, card_of
from hugginggpt.index.sources import PAGE, Page

_FIELDS = (
    *("cardData", "config", "downloads", "gated", "gguf", "inferenceProviderMapping", "lastModified"),
    *("library_name", "likes", "pipeline_tag", "safetensors", "sha", "tags"),
)
_AT_ONCE = 16  # cards that are fetched at the same time
_TRIES = 5
_SECONDS = 60  # for a reply
_LONGEST = 100_000  # characters of a card that are kept
_LATER = "what is gathered stays, so go on later with the same command"
# Tasks of ours that are none of the Hub's are found by a tag.
_TAGGED = {"control-to-image": "controlnet", "image-to-control": "controlnet-annotator"}


class HubModels:
    """The Hub's models: the most downloaded first or, with `since`, the last changed first, back to then."""

    def __init__(
        self,
        tasks: Sequence[str] = (),
        *,
        top: int | None = None,
        since: datetime | None = None,
        texts: bool = True,
        endpoint: str | None = None,
    ) -> None:
        """Models of these tasks, or all; at most `top` of each task. Without `texts`, no cards are fetched.

        `endpoint` is the Hub's address, else huggingface_hub's.
        """
        from huggingface_hub import constants

        self._endpoint = endpoint or constants.ENDPOINT
        self._tasks = tuple(tasks) or ("",)
        self._top, self._since, self._texts = top, since, texts
        self._order = "lastModified" if since else "downloads"
        self.key = f"{self._endpoint} {','.join(self._tasks)} top={top} since={since} texts={texts}"

    def pages(self, after: str) -> Iterator[Page]:
        """See `Source`. A cursor is the number of a task, how many models of it came, and an address."""
        number, seen, url = _place(after)
        while number < len(self._tasks):
            first = self._first_page(self._tasks[number], self._order, _FIELDS, min(PAGE, self._top or PAGE))
            models, following = self._listed(url or first)
            wanted = list(takewhile(self._recent, models))[: None if self._top is None else self._top - seen]
            seen += len(wanted)
            if following and len(wanted) == len(models) and seen != self._top:
                url = following
            else:
                number, seen, url = number + 1, 0, ""
            places = (f"{self._endpoint}/{_id(model)}" for model in wanted)
            share = None if self._top is None else (number + seen / self._top) / len(self._tasks)
            yield Page(list(zip(places, self._read(wanted), strict=True)), f"{number} {seen} {url}", share)

    def parts(self) -> list[Self]:
        """See `Source`: pages name the next one, so there is but one part."""
        return [self]

    def figures(self, task: str = "", by: str = "downloads") -> Iterator[list[Row]]:
        """`id`, `downloads` and `likes` of all models of a task, or of all: pages, the highest `by` first.

        Raises `CardError`.
        """
        url = self._first_page(task, by, FIGURES, PAGE)
        while url:
            models, url = self._listed(url)
            yield [{**model, "id": _id(model)} for model in models]

    def figures_of(self, ids: Sequence[str]) -> Iterator[Row | None]:
        """The same of these models, a request each; None for one that the Hub does not have.

        Raises `CardError`.
        """
        with ThreadPoolExecutor(_AT_ONCE, "figures") as pool:
            yield from pool.map(self._figures_of, ids)

    def _figures_of(self, id_: str) -> Row | None:
        query = urlencode({"expand": FIGURES}, doseq=True)
        reply = self._asked(f"{self._endpoint}/api/models/{quote(id_)}?{query}")
        if reply.headers.get("X-Error-Code") == "RepoNotFound":
            return None
        try:
            model = reply.raise_for_status().json()
        except (httpx.HTTPStatusError, ValueError):
            return {}  # it is there, and does not say
        return model if isinstance(model, dict) else {}

    def _first_page(self, task: str, by: str, fields: Sequence[str], size: int) -> str:
        chosen = {"filter": _TAGGED[task]} if task in _TAGGED else {"pipeline_tag": task} if task else {}
        query = {"sort": by, "limit": size, "expand": fields, **chosen}
        return f"{self._endpoint}/api/models?{urlencode(query, doseq=True)}"

    def _recent(self, model: dict[str, Any]) -> bool:
        changed = model.get("lastModified")
        return (
            self._since is None
            or not isinstance(changed, str)
            or datetime.fromisoformat(changed) >= self._since
        )

    def _listed(self, url: str) -> tuple[list[dict[str, Any]], str]:
        """A page of models, and the address of the next."""
        reply = self._asked(url)
        following = reply.links.get("next", {}).get("url", "")
        if following and not following.startswith(f"{self._endpoint}/"):
            raise CardError(f"{self._endpoint}: names a next page at another address, {following}")
        try:
            models = reply.raise_for_status().json()
        except (httpx.HTTPStatusError, ValueError) as error:
            raise CardError(f"{self._endpoint}: models cannot be listed ({_reason(error)})") from error
        if not isinstance(models, list) or not all(isinstance(model, dict) for model in models):
            raise CardError(f"{self._endpoint}: the reply to {url} is no list of models")
        return models, following

    def _read(self, models: list[dict[str, Any]]) -> list[Row | RowError]:
        """The models with the texts of their cards."""
        if not self._texts:
            return list(models)
        with ThreadPoolExecutor(_AT_ONCE, "card") as pool:
            return list(pool.map(self._with_text, models))

    def _with_text(self, model: dict[str, Any]) -> Row | RowError:
        """The model with its card. Of one that is deleted by now only the id is left: it has no task."""
        try:
            if card_of(model) is None:  # the text would not change that
                return model
        except RowError as error:
            return error
        address = (
            f"{self._endpoint}/{quote(_id(model))}/resolve/{quote(model.get('sha') or 'main')}/README.md"
        )
        reply = self._asked(address)
        if reply.headers.get("X-Error-Code") == "RepoNotFound":
            return {"id": _id(model)}
        if reply.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            return RowError(f"its card cannot be fetched (HTTP {reply.status_code})")
        # No card, or a gated one: what the listing tells is all there is.
        return {**model, "card": reply.text[:_LONGEST] if reply.is_success else ""}

    def _asked(self, url: str) -> httpx.Response:
        """The reply, whatever its status, once it is not one that may pass. Raises `CardError`."""
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
        from huggingface_hub.utils import build_hf_headers, http_backoff  # type: ignore[attr-defined]

        try:
            return http_backoff(
                "GET",
                url,
                headers=build_hf_headers(),
                timeout=_SECONDS,
                max_retries=_TRIES,
                follow_redirects=True,
            )
        except OfflineModeIsEnabled as error:
            raise CardError(f"{self._endpoint}: not asked, because HF_HUB_OFFLINE is set") from error
        except HfHubHTTPError as error:
            if error.response.status_code == httpx.codes.TOO_MANY_REQUESTS:
                raise CardError(f"{self._endpoint}: too many requests (HTTP 429); {_LATER}") from error
            return error.response
        except httpx.HTTPError as error:
            raise CardError(f"{self._endpoint}: cannot be reached ({_reason(error)}); {_LATER}") from error


def _place(cursor: str) -> tuple[int, int, str]:
    number, seen, url = cursor.split(" ", 2) if cursor else ("0", "0", "")
    return int(number), int(seen), url


def _id(model: Row) -> str:
    return str(model.get("id") or model.get("modelId") or "")


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"HTTP {error.response.status_code}"
    return (str(error).splitlines() or [type(error).__name__])[0]
