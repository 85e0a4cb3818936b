"""Calls to the servers that run models: what they may reach, what they are told, how much they may answer.

A model's server can answer with a URL to the result, or with a redirect. That is followed to public addresses
only, with GET, and without any token. The same rules hold for huggingface_hub's own session, by which it
polls the jobs of some providers and fetches their results: see `within`.
"""

import asyncio
import contextvars
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from hugginggpt.tools.fetch import is_public
from hugginggpt.tools.media import Limits
from hugginggpt.tools.runtime import PermanentError, TransientError

if TYPE_CHECKING:
    import ssl

T = TypeVar("T")

LARGEST = Limits().max_bytes * 4 // 3 + 1_000_000
"""Bytes of an answer: the largest file, as base64 in JSON."""
STALL = 20.0
"""Seconds without a byte, in the middle of an answer, after which it is given up."""
_CONNECT = 10.0  # seconds
_OURS = ("authorization", "x-hf-bill-to", "cookie")


@dataclass(frozen=True)
class Reach:
    """What calls may reach besides the public internet: origins of servers, to the token that each gets.

    An origin is `https://host:port`, the port only where it is not the usual one; an empty token is none.
    """

    servers: Mapping[str, str]
    think: float = 600.0
    """Seconds to wait for an answer's first byte; the limit of an attempt ends most before that."""
    stopped: threading.Event = field(default_factory=threading.Event)
    """Set when nobody waits for the calls any longer."""


def origin(url: httpx.URL | str) -> str:
    """`https://host:port` of a URL."""
    url = httpx.URL(url)
    return f"{url.scheme}://{url.netloc.decode()}"


def client(reach: Reach) -> httpx.Client:
    """A client that keeps to the rules, for a thread."""
    hooks: dict[str, list[Callable[..., Any]]] = {
        "request": [lambda request: _leave(request, reach)],
        "response": [_arrive],
    }
    return httpx.Client(event_hooks=hooks, follow_redirects=True, max_redirects=3, verify=_certificates())


@asynccontextmanager
async def opened(reach: Reach) -> AsyncIterator[httpx.AsyncClient]:
    """A client that keeps to the rules, for one call: its connections belong to this event loop."""
    context = await asyncio.to_thread(_certificates)

    async def leave(request: httpx.Request) -> None:
        await asyncio.to_thread(_leave, request, reach)

    async def arrive(response: httpx.Response) -> None:
        _arrive(response)

    hooks: dict[str, list[Callable[..., Any]]] = {"request": [leave], "response": [arrive]}
    async with httpx.AsyncClient(
        event_hooks=hooks, follow_redirects=True, max_redirects=3, verify=context
    ) as client:
        yield client


@cache
def _certificates() -> "ssl.SSLContext":
    return httpx.create_ssl_context()


_within: contextvars.ContextVar[Reach] = contextvars.ContextVar("within")


@contextmanager
def within(reach: Reach) -> Iterator[None]:
    """Have huggingface_hub's session keep to the rules, in this thread, in this block."""
    _watch_sessions()
    token = _within.set(reach)
    try:
        yield
    finally:
        _within.reset(token)


@cache
def _watch_sessions() -> None:
    """Once per process: huggingface_hub's session obeys `within`; elsewhere it is as it was.

    Not by `set_client_factory`, which would end what another thread is just downloading.
    """
    from huggingface_hub.utils import _http

    make = _http._GLOBAL_CLIENT_FACTORY  # noqa: SLF001, there is no public way to ask for it
    _http._GLOBAL_CLIENT_FACTORY = lambda: _watched(make())  # noqa: SLF001
    _watched(_http.get_session())


def _watched(session: httpx.Client) -> httpx.Client:
    for kind, rule in (("request", _leave_within), ("response", _arrive_within)):
        if rule not in session.event_hooks[kind]:
            session.event_hooks[kind].append(rule)
    return session


def _leave_within(request: httpx.Request) -> None:
    if reach := _within.get(None):
        _leave(request, reach)


def _arrive_within(response: httpx.Response) -> None:
    if _within.get(None):
        _arrive(response)


async def in_thread(work: Callable[[], T], reach: Reach) -> T:
    """What `work` gives, in a thread of its own: it may wait for minutes, and other work needs the pool.

    When the caller is cancelled, the thread ends with its next request.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(act: Callable[[Any], None], value: object) -> None:
        if not future.done():
            act(value)

    def run() -> None:
        outcome: tuple[Callable[[Any], None], object]
        try:
            outcome = future.set_result, context.run(work)
        except Exception as error:  # noqa: BLE001, it is raised where it is awaited
            outcome = future.set_exception, error
        with suppress(RuntimeError):  # a loop that has ended
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name="provider", daemon=True).start()
    try:
        return await future
    finally:
        reach.stopped.set()


def _leave(request: httpx.Request, reach: Reach) -> None:
    """The rules for what goes out. Blocks: looks the host up."""
    if reach.stopped.is_set():
        raise TransientError("timeout", "was stopped")
    where = origin(request.url)
    request.headers["accept-encoding"] = "identity"  # a packed answer can be any size once unpacked
    request.extensions["timeout"] = {"connect": _CONNECT, "read": reach.think, "write": 60.0, "pool": None}
    request.extensions.pop("sni_hostname", None)
    request.headers.pop("authorization", None)
    if where in reach.servers:
        if token := reach.servers[where]:
            request.headers["authorization"] = f"Bearer {token}"
        return
    if request.method != "GET":
        raise PermanentError("redirected", f"redirects the request to {where}; name that address instead")
    for name in _OURS:
        request.headers.pop(name, None)
    host = request.url.host
    request.headers["host"] = request.url.netloc.decode()
    request.extensions["sni_hostname"] = host
    request.url = request.url.copy_with(host=_public_address(request.url), userinfo=b"")


def _public_address(url: httpx.URL) -> str:
    """The address to connect to, so that a name that means another one later does not help."""
    if url.scheme not in {"http", "https"} or not url.host:
        raise PermanentError("refused-address", f"answered with {str(url)[:100]!r}, which is no http address")
    try:
        found = socket.getaddrinfo(url.host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise TransientError("connection", f"the host {url.host} of its answer is not known") from error
    addresses = [str(sockaddr[0]) for *_, sockaddr in found]
    if not all(map(is_public, addresses)):
        raise PermanentError(
            "refused-address", f"answered with {origin(url)}, which is not on the public internet"
        )
    return addresses[0]


def _arrive(response: httpx.Response) -> None:
    """The rules for what comes back."""
    packed = response.headers.get("content-encoding", "identity")
    if packed != "identity":
        raise PermanentError("wrong-output", f"answered packed with {packed}, which was not asked for")
    declared = response.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > LARGEST:
        raise _too_large(int(declared))
    response.request.extensions["timeout"]["read"] = STALL
    response.stream = _Bounded(response.stream)


def _too_large(size: int) -> PermanentError:
    return PermanentError("too-large", f"answered {size:,} bytes or more; at most {LARGEST:,} are taken")


class _Bounded(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that may not be larger than `LARGEST`."""

    def __init__(self, stream: Any) -> None:  # noqa: ANN401, of either kind
        self._stream = stream
        self._size = 0

    def _counted(self, chunk: bytes) -> bytes:
        self._size += len(chunk)
        if self._size > LARGEST:
            raise _too_large(self._size)
        return chunk

    def __iter__(self) -> Iterator[bytes]:
        return map(self._counted, self._stream)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield self._counted(chunk)

    def close(self) -> None:
        self._stream.close()

    async def aclose(self) -> None:
        await self._stream.aclose()
