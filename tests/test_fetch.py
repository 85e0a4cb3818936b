import asyncio
import socket
from contextlib import asynccontextmanager, suppress

import pytest

from hugginggpt.tools.fetch import fetch, is_public
from hugginggpt.tools.media import BadFileError, Limits

LOCAL = ("127.0.0.1",)
LIMITS = Limits()


@asynccontextmanager
async def server(*answers):
    """A server on loopback that gives these raw answers in turn, and keeps the requests.

    After `...` in an answer nothing more comes until the test is over.
    """
    requests, left, handlers, over = [], list(answers), [], asyncio.Event()

    async def handle(reader, writer):
        handlers.append(asyncio.current_task())
        requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
        head, *body = left.pop(0)
        writer.write(head.encode() + b"\r\n\r\n")
        for part in body:
            if part is ...:
                await over.wait()
            else:
                writer.write(part)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", requests
    finally:
        over.set()
        await asyncio.gather(*handlers)
        listening.close()


def moved(location):
    return (f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0",)


async def refusal(url, limits=LIMITS, **options):
    with pytest.raises(BadFileError) as caught:
        await fetch(url, limits, **options)
    return str(caught.value)


async def test_content_comes_with_the_name_in_the_path():
    async with server(("HTTP/1.1 200 OK\r\nContent-Length: 3", b"abc")) as (url, requests):
        assert await fetch(f"{url}/a/my%20notes.txt?x=1", LIMITS, private_hosts=LOCAL) == (
            b"abc",
            "my notes.txt",
        )
        assert f"host: {url.removeprefix('http://')}\r\n" in requests[0].lower()


async def test_a_private_host_is_refused_before_it_is_asked():
    async with server() as (url, requests):
        line = f"{url}/x: 127.0.0.1 is not on the public internet; attach the file itself"
        assert await refusal(f"{url}/x") == line
        assert requests == []


async def test_a_redirect_is_followed():
    async with server(moved("/there.txt"), ("HTTP/1.1 200 OK", b"abc")) as (url, _):
        assert await fetch(url, LIMITS, private_hosts=LOCAL) == (b"abc", "there.txt")


async def test_a_redirect_to_a_private_host_is_refused():
    async with server(moved("http://localhost/secret")) as (url, _):
        assert "localhost is not on the public internet" in await refusal(url, private_hosts=LOCAL)


async def test_a_redirect_to_a_file_is_refused():
    async with server(moved("file:///etc/passwd")) as (url, _):
        assert "is not an http or https URL" in await refusal(url, private_hosts=LOCAL)


async def test_the_fourth_redirect_is_refused():
    async with server(*[moved("/again")] * 4) as (url, requests):
        assert "more than 3 redirects" in await refusal(url, private_hosts=LOCAL)
        assert len(requests) == 4


async def test_a_body_that_says_it_is_too_large_is_refused():
    async with server(("HTTP/1.1 200 OK\r\nContent-Length: 11", b"x")) as (url, _):
        assert "has 11 bytes; at most 10" in await refusal(url, Limits(max_bytes=10), private_hosts=LOCAL)


async def test_a_body_that_grows_too_large_is_refused():
    async with server(("HTTP/1.1 200 OK", b"x" * 100_000)) as (url, _):
        assert "at most 10 are taken" in await refusal(url, Limits(max_bytes=10), private_hosts=LOCAL)


async def test_a_body_that_does_not_end_is_given_up():
    async with server(("HTTP/1.1 200 OK", b"x", ...)) as (url, _):
        assert "took longer than 0.2 s" in await refusal(url, seconds=0.2, private_hosts=LOCAL)


async def test_an_error_status_is_told():
    async with server(("HTTP/1.1 404 Not Found", b"")) as (url, _):
        assert "the server answered 404 Not Found; check the address" in await refusal(
            url, private_hosts=LOCAL
        )


async def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch):
    loop, asked = asyncio.get_running_loop(), []
    resolve = loop.getaddrinfo

    async def once(host, *args, **kwargs):
        asked.append(host)
        return await resolve("127.0.0.1" if host == "name.test" else host, *args, **kwargs)

    monkeypatch.setattr(loop, "getaddrinfo", once)
    async with server(("HTTP/1.1 200 OK", b"abc")) as (url, requests):
        named = url.replace("127.0.0.1", "name.test")
        assert (await fetch(named, LIMITS, private_hosts=("name.test",)))[0] == b"abc"
        assert asked.count("name.test") == 1
        assert "host: name.test:" in requests[0].lower()


async def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch):
    async def both(host, port, **kwargs):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 0)) for ip in ("8.8.8.8", "10.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
    assert "not on the public internet" in await refusal("http://name.test/")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://a.test/x", "/etc/passwd", "", "http://", "http://a:b/"]
)
async def test_what_is_no_web_address_is_refused(url):
    assert "attach the file itself" in await refusal(url)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("10.0.0.1", False), ("127.0.0.1", False),
        ("0.0.0.0", False), ("169.254.169.254", False), ("100.64.0.1", False),
        ("224.0.0.1", False), ("240.0.0.1", False),
        ("::1", False), ("fe80::1", False), ("fc00::1", False), ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False), ("2002:a00:1::1", False),
    ],
)  # fmt: skip
def test_only_addresses_of_the_internet_are_public(address, public):
    assert is_public(address) is public
