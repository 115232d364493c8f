"""What an answer over HTTP may weigh, folded and unfolded."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest

from mapae.bodies import body_within
from mapae.errors import Code, Refused
from mapae.holder.wire import Wire

TEXT = b'{"a":"' + b"mapae " * 2000 + b'"}'


class Parts(httpx.AsyncByteStream):
    """A body as a network gives it, in pieces."""

    def __init__(self, whole: bytes, size: int = 65536) -> None:
        self._whole, self._size = whole, size

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._whole), self._size):
            yield self._whole[at : at + self._size]


def answer(whole: bytes, coding: str | None = None, size: int = 65536) -> httpx.Response:
    return httpx.Response(200, headers={"Content-Encoding": coding} if coding else {}, stream=Parts(whole, size))


def zeros(megabytes: int) -> bytes:
    squeeze = zlib.compressobj(9, wbits=31)
    return b"".join(squeeze.compress(bytes(1 << 20)) for _ in range(megabytes)) + squeeze.flush()


@pytest.mark.parametrize("size", [1, 65536])
@pytest.mark.parametrize(
    ("whole", "coding"),
    [(TEXT, None), (TEXT, "identity"), (gzip.compress(TEXT), "gzip"), (gzip.compress(TEXT), "X-Gzip "),
     (zlib.compress(TEXT), "deflate")],
    ids=["plain", "identity", "gzip", "x-gzip", "deflate"],
)  # fmt: skip
async def test_a_body_arrives_however_it_was_coded(whole: bytes, coding: str | None, size: int) -> None:
    """RFC 9110 8.4.1; Token Status List 8.1: lists may come with a content coding."""
    assert await body_within(answer(whole, coding, size), len(TEXT)) == TEXT


@pytest.mark.parametrize(
    ("whole", "coding", "code"),
    [
        (TEXT + b" ", None, Code.TOO_LARGE), (gzip.compress(TEXT + b" "), "gzip", Code.TOO_LARGE),
        (gzip.compress(TEXT)[:-1], "gzip", Code.MALFORMED), (gzip.compress(TEXT) + b"x", "gzip", Code.MALFORMED),
        (TEXT, "gzip", Code.MALFORMED), (b"", "gzip", Code.MALFORMED), (TEXT, "br", Code.UNSUPPORTED),
        (gzip.compress(gzip.compress(TEXT)), "gzip, gzip", Code.UNSUPPORTED),
    ],
    ids=["a byte more", "a byte more inside", "cut", "with a tail", "not gzip", "nothing", "br", "twice"],
)  # fmt: skip
async def test_a_body_too_large_cut_or_coded_twice_is_refused(whole: bytes, coding: str | None, code: Code) -> None:
    with pytest.raises(Refused) as refused:
        await body_within(answer(whole, coding), len(TEXT))
    assert refused.value.code is code


@pytest.mark.parametrize(
    ("begin", "then", "code"),
    [(gzip.compress(b"ok"), bytes(65536), Code.MALFORMED), (b"\x78\x01", b"\0\0\0\xff\xff" * 13107, Code.TOO_LARGE)],
    ids=["behind the end", "empty blocks"],
)
async def test_a_body_that_goes_on_without_growing_is_refused_soon(begin: bytes, then: bytes, code: Code) -> None:
    """Nothing of it counts towards the limit, and it would be read for ever."""
    read: list[int] = []

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield begin
            for _ in range(100):
                read.append(len(then))
                yield then

    folded = httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=Endless())
    with pytest.raises(Refused) as refused:
        await body_within(folded, 100)
    assert refused.value.code is code and len(read) <= 2


@pytest.mark.parametrize(
    ("whole", "coding"), [(zeros(128), "gzip"), (gzip.compress(zeros(128)), "gzip, gzip")], ids=["once", "twice"]
)
async def test_a_few_bytes_do_not_fill_the_memory(whole: bytes, coding: str) -> None:
    """A stranger's address is all a link holds: what answers there costs the wallet no more than its limit."""
    transport = httpx.MockTransport(lambda request: answer(whole, coding))
    async with httpx.AsyncClient(transport=transport) as http:
        tracemalloc.start()
        with pytest.raises(Refused):
            await Wire(http).get("https://stranger.example/", limit=1 << 20)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most < 16 << 20
