"""A node of an EVM network, over plain HTTP JSON-RPC. A handful of methods, none of them of one product.

Promises: an answer, or the node's refusal as `NodeRefused`, or UNAVAILABLE when there was neither in time. Trusts: the
operator to name a node of their own: one node can withhold, but what it makes up fits no head that witnesses have seen.
Keeps: nothing. Refuses: answers longer than it will read, answers to another question.
"""

from __future__ import annotations

import itertools
from typing import Any, Final

import httpx
import msgspec

from mapae.bodies import ACCEPTED, body_within
from mapae.errors import Code, Refused

LIMIT: Final = 32 * 1024 * 1024  # bytes of an answer; a node that has more to say is asked for less at a time


class NodeRefused(Exception):
    """The node understood and said no. `data`: what a revert returned, if it was one."""

    def __init__(self, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""
    data: Any = None


class _Answer(msgspec.Struct):
    id: int
    result: Any = msgspec.UNSET
    error: _Error | None = None


class Node:
    """`patience`: seconds until a node that does not answer counts as away."""

    def __init__(self, http: httpx.AsyncClient, url: str, patience: float = 5.0) -> None:
        self._http = http
        self._patience = patience
        self._ids = itertools.count(1)
        self.url = url

    async def ask(self, method: str, *params: Any) -> Any:
        id = next(self._ids)
        question = {"jsonrpc": "2.0", "id": id, "method": method, "params": params}
        try:
            async with self._http.stream(
                "POST", self.url, content=msgspec.json.encode(question), timeout=self._patience,
                headers={"Content-Type": "application/json", **ACCEPTED},
            ) as response:  # fmt: skip
                raw = await body_within(response, LIMIT)
        except httpx.HTTPError:
            raise Refused(Code.UNAVAILABLE, "the ledger's node does not answer; nothing was lost, try again") from None
        except Refused:
            raise NodeRefused("the answer is too long") from None
        return read(raw, id)


def read(raw: bytes, id: int) -> Any:
    """The result, of the question with this number."""
    try:
        answer = msgspec.json.decode(raw, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        answer = None
    if answer is not None and answer.error is not None:
        raise NodeRefused(answer.error.message, answer.error.data)
    if answer is None or answer.id != id or answer.result is msgspec.UNSET:
        raise Refused(Code.UNAVAILABLE, "the ledger's node answered something unreadable; try again")
    return answer.result
