"""The body of an answer over HTTP, from whoever it comes.

Promises: never more than the limit is unfolded, whatever a few bytes would unfold to, and not much more is read.
Trusts: nothing that arrives. Keeps: nothing. Refuses: a body over the limit, one that is cut or goes on behind its end,
a coding other than gzip and deflate, and codings of codings, of which two kilobytes make gigabytes.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from .errors import Code, Refused

if TYPE_CHECKING:
    import httpx

ACCEPTED: Final = {"Accept-Encoding": "gzip, deflate"}
SLACK: Final = 65_536  # bytes a coded body may be longer than what is in it: headers, empty blocks
_EITHER: Final = 47  # zlib's word for: gzip or zlib, as the first bytes say


async def body_within(answer: httpx.Response, limit: int) -> bytes:
    """The whole body (RFC 9110 8.4). Raises Refused(TOO_LARGE, UNSUPPORTED, MALFORMED)."""
    unfold = _unfolding(answer.headers.get("content-encoding", ""))
    if answer.is_stream_consumed:  # a transport without a network had it, unfolded, from the start
        if len(answer.content) > limit:
            raise Refused(Code.TOO_LARGE, "the answer is too large")
        return answer.content
    parts, size, read = [], 0, 0
    async for part in answer.aiter_raw():
        read += len(part)
        if unfold is not None:
            part = _unfolded(unfold, part, limit + 1 - size)
        size += len(part)
        if size > limit or read > limit + SLACK:
            raise Refused(Code.TOO_LARGE, "the answer is too large")
        parts.append(part)
    if unfold is not None and not unfold.eof:
        raise Refused(Code.MALFORMED, "what was compressed is cut")
    return b"".join(parts)


def _unfolding(coding: str) -> zlib._Decompress | None:
    match coding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip" | "deflate":
            return zlib.decompressobj(wbits=_EITHER)
        case _:
            raise Refused(Code.UNSUPPORTED, "the answer is coded in a way that was not asked for")


def _unfolded(unfold: zlib._Decompress, part: bytes, most: int) -> bytes:
    try:
        whole = unfold.decompress(part, most)
    except zlib.error:
        raise Refused(Code.MALFORMED, "what was compressed cannot be unfolded") from None
    if unfold.unused_data:  # at once: behind the end nothing counts towards the limit
        raise Refused(Code.MALFORMED, "what was compressed has something after it")
    return whole
