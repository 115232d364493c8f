"""A real connection to a real server: what is not the body is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import Response

from mapae.ui.head import HEAD, BoundedHead
from mapae.ui.http import Answer, Caller, door, json_answer, raw_body
from mapae.ui.site import application


async def size(request: Request) -> Response:
    return json_answer({"size": len(await raw_body(request)), "x": len(request.headers.get("x", ""))})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    app = application([door("POST", "/size", size, caller=Caller.ANYONE, answer=Answer.JSON, limit=1 << 20)])
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off", http=BoundedHead)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 it offers no event
        await asyncio.sleep(0)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


async def say(port: int, *parts: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
    except ConnectionError:
        pass  # the server has hung up; what it said may still be read
    try:
        return await asyncio.wait_for(reader.read(), 20)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def request(header: int, body: int, last: bool = True) -> bytes:
    end = b"Connection: close\r\n" if last else b""
    return b"POST /size HTTP/1.1\r\nHost: x\r\nX: %s\r\nContent-Length: %d\r\n%s\r\n%s" % (
        b"a" * header, body, end, b"b" * body,
    )  # fmt: skip


async def test_an_endless_header_is_refused_while_it_arrives(port: int) -> None:
    start = b"POST /size HTTP/1.1\r\nHost: x\r\nX: "
    for parts in ([start, *[b"a" * 16384] * 200], [start, b"a\r\n", *[b"Y: " + b"a" * 1000 + b"\r\n"] * 2000]):
        answer = await say(port, *parts)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 431 "), answer[:100]


async def test_an_endless_address_is_refused(port: int) -> None:
    answer = await say(port, b"POST /", *[b"a" * 16384] * 200)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:100]


CHUNKED = b"POST /size HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"


async def test_endless_trailers_are_refused_while_they_arrive(port: int) -> None:
    """RFC 9112 7.1.2. The server would keep them all, and copy one that goes on with each packet."""
    start = CHUNKED + b"2\r\n{}\r\n0\r\n"
    for parts in ([start, *[b"t: " + b"a" * 1000 + b"\r\n"] * 2000], [start, b"t: ", *[b"a" * 16384] * 200]):
        answer = await say(port, *parts, b"\r\n\r\n")
        assert answer == b"" or answer.startswith(b"HTTP/1.1 431 "), answer[:100]


async def test_an_endless_chunk_extension_is_refused_while_it_arrives(port: int) -> None:
    answer = await say(port, CHUNKED, b"2;", *[b"a" * 16384] * 200, b"\r\n{}\r\n0\r\n\r\n")
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 "), answer[:100]


async def test_a_large_body_in_chunks_passes(port: int) -> None:
    """Whatever the size of its pieces; a few trailers are no harm."""
    for size, times in ((100_000, 5), (100, 5000)):
        chunk = b"%x\r\n%s\r\n" % (size, b"b" * size)
        answer = await say(port, CHUNKED, *[chunk] * times, b"0\r\nt: a\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 OK") and b'{"size":500000,' in answer, answer[:100]


async def test_headers_within_the_bound_and_large_bodies_pass(port: int) -> None:
    """Also several requests on one connection: each has the whole bound."""
    answer = await say(port, request(HEAD // 2, 500_000, last=False), request(HEAD // 2, 500_000))
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.count(b'{"size":500000,"x":32768}') == 2
