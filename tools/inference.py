"""Asks the servers that run models through huggingface_hub's client: one at a URL, or a provider.

What goes wrong with a connection or a server is told apart from an answer that is no answer.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from hugginggpt.tools.faults import run_error
from hugginggpt.tools.methods import METHODS, Call
from hugginggpt.tools.outgoing import Reach, in_thread, opened, within
from hugginggpt.tools.runtime import PermanentError, RunError
from hugginggpt.tools.values import Outputs


async def at_url(
    url: str, task: str, call: Call, reach: Reach, headers: Mapping[str, str] | None = None
) -> Outputs:
    """Ask the server at a URL, which speaks the Inference API (of `conversational`: OpenAI's protocol)."""
    method = METHODS[task]
    new_client = await asyncio.to_thread(_client_class)
    async with opened(reach) as http:
        # Without a token the client would look for one; which is sent is for `Reach` to say.
        client = new_client(model=url, token="-", headers=dict(headers or {}))  # noqa: S106, none
        client._async_client = http  # noqa: SLF001, else it opens one that keeps to no rules
        with server_faults():
            answer = await (await asyncio.to_thread(method.ask, client, call))  # pictures may be converted
    with server_faults():
        return await asyncio.to_thread(method.give, answer, call)


def _client_class() -> Callable[..., Any]:
    from huggingface_hub import AsyncInferenceClient

    return AsyncInferenceClient


async def at_provider(mapping: Any, call: Call, token: str, bill_to: str, reach: Reach) -> Outputs:  # noqa: ANN401
    """Ask a third party through the router; `mapping` is huggingface_hub's `InferenceProviderMapping`.

    With the answers of third parties huggingface_hub polls jobs and fetches results, by blocking calls in its
    asynchronous client too. So this is its other client, in a thread.
    """
    method = METHODS[mapping.task]

    def work() -> Outputs:
        from huggingface_hub import InferenceClient
        from huggingface_hub.inference._providers._common import HARDCODED_MODEL_INFERENCE_MAPPING

        # What it finds here it does not ask the Hub for, and remember for ever.
        HARDCODED_MODEL_INFERENCE_MAPPING.setdefault(mapping.provider, {})[call.card.id] = mapping
        model: dict[str, Any] = {"model": call.card.id, "provider": mapping.provider}
        with (
            within(reach),
            server_faults(),
            InferenceClient(**model, token=token, bill_to=bill_to or None) as client,
        ):
            return method.give(method.ask(client, call), call)

    return await in_thread(work, reach)


@contextmanager
def server_faults() -> Iterator[None]:
    """What goes wrong with the connection or the server is told apart from answers that are no answers."""
    try:
        yield
    except RunError:
        raise
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ConnectionError) as error:
        raise run_error(error) from error
    except Exception as error:
        line = " ".join(str(error).split())[:200] or type(error).__name__
        raise PermanentError("wrong-output", f"answered what cannot be read ({line})") from error
