"""Guarded fetching of URLs that come from outside: no private address, no endless body, no long chain."""

import asyncio
import ipaddress
import socket
from collections.abc import Collection
from pathlib import PurePosixPath
from urllib.parse import unquote

import httpx

from hugginggpt.tools.media import BadFileError, Limits, too_large

_MAX_REDIRECTS = 3
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address


async def fetch(
    url: str, limits: Limits, *, seconds: float = 60.0, private_hosts: Collection[str] = ()
) -> tuple[bytes, str]:
    """The content behind an http or https URL, and a name for it from its path.

    Every address of the host must be public, also after each redirect, and the connection is made to
    the address that was checked, so that a name that resolves to another one later does not help.
    Hosts in `private_hosts` may be private. Raises `BadFileError`; `seconds` limits all of it.
    """
    try:
        async with asyncio.timeout(seconds), await asyncio.to_thread(_client) as client:
            return await _follow(client, httpx.URL(url), limits, private_hosts)
    except TimeoutError as error:
        raise BadFileError(f"{url}: took longer than {seconds:g} s; attach the file itself") from error
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        reason = str(error) or type(error).__name__
        raise BadFileError(f"{url[:200]}: cannot be fetched ({reason}); attach the file itself") from error


def _client() -> httpx.AsyncClient:
    """Reads the root certificates, so it blocks. No proxy: it would resolve names unchecked."""
    return httpx.AsyncClient(trust_env=False, timeout=None, headers={"accept-encoding": "identity"})  # noqa: S113


async def _follow(
    client: httpx.AsyncClient, url: httpx.URL, limits: Limits, private_hosts: Collection[str]
) -> tuple[bytes, str]:
    for _ in range(_MAX_REDIRECTS + 1):
        address = await _checked_address(url, private_hosts)
        request = client.build_request(
            "GET",
            url.copy_with(host=address, userinfo=b""),
            headers={"host": url.netloc.decode()},
            extensions={"sni_hostname": url.host},
        )
        response = await client.send(request, stream=True)
        try:
            if not response.has_redirect_location:
                return await _body(response, url, limits), _name(url)
            url = url.join(response.headers["location"])
        finally:
            await response.aclose()
    raise BadFileError(f"{url}: is behind more than {_MAX_REDIRECTS} redirects; attach the file itself")


async def _checked_address(url: httpx.URL, private_hosts: Collection[str]) -> str:
    """The address to connect to. Raises `BadFileError` when any address of the host is not public."""
    if url.scheme not in {"http", "https"} or not url.host:
        raise BadFileError(f"{url}: is not an http or https URL; attach the file itself")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise BadFileError(f"{url}: the host {url.host} is not known; check the address") from error
    addresses = [str(sockaddr[0]) for *_, sockaddr in found]
    if url.host not in private_hosts and not all(is_public(address) for address in addresses):
        raise BadFileError(f"{url}: {url.host} is not on the public internet; attach the file itself")
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet, also one that wraps an IPv4 address."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            wrapped = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if wrapped:
            return is_public(str(wrapped))
    return ip.is_global and not ip.is_multicast


async def _body(response: httpx.Response, url: httpx.URL, limits: Limits) -> bytes:
    if response.status_code != httpx.codes.OK:
        status = f"{response.status_code} {response.reason_phrase}".strip()
        raise BadFileError(f"{url}: the server answered {status}; check the address")
    declared = response.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.max_bytes:
        raise BadFileError(too_large(str(url), int(declared), limits))
    data = bytearray()
    async for chunk in response.aiter_bytes():
        data += chunk
        if len(data) > limits.max_bytes:
            raise BadFileError(too_large(str(url), len(data), limits))
    return bytes(data)


def _name(url: httpx.URL) -> str:
    return PurePosixPath(unquote(url.path)).name or url.host
