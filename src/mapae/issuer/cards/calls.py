"""How a service outside the platform is called: JSON with its key, a time limit, a size limit, one reading.

Promises: a call comes back with a value of the declared type or a `Refused`; UNAVAILABLE means that nobody knows what
happened. Trusts: the service's address and certificate. Keeps: nothing. Refuses: a redirect, an answer over the limit
or of another shape, an answer that takes too long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from mapae.bodies import ACCEPTED, body_within
from mapae.errors import Code, Refused
from mapae.formats.jose import decode_json

T = TypeVar("T")

LIMIT: Final = 64 * 1024  # bytes of an answer; the largest holds a handful of hashes
PATIENCE: Final = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Outside:
    """One service: where it is, and what it knows us by."""

    name: str
    http: httpx.AsyncClient
    url: str
    key: str
    patience: float = PATIENCE

    async def ask(self, path: str, type_: type[T], message: Any = None, allowed: Collection[Code] = ()) -> T:
        """GET `path`, or POST `message` to it. Of the service's own refusals those in `allowed` come through.

        Raises Refused(UNAVAILABLE) for everything else: the service may have done what was asked or not.
        """
        headers = {**ACCEPTED, "Authorization": f"Bearer {self.key}", "Accept": "application/json"}
        body = None if message is None else msgspec.json.encode(message)
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = self.http.build_request(
            "GET" if body is None else "POST", self.url + path, content=body, headers=headers
        )
        try:
            async with asyncio.timeout(self.patience):
                answer = await self.http.send(request, stream=True, follow_redirects=False)
                try:
                    raw = await body_within(answer, LIMIT)
                finally:
                    await answer.aclose()
        except (httpx.HTTPError, TimeoutError, Refused):
            raise self._silent() from None
        return read_answer(self.name, answer.status_code, raw, type_, allowed)

    def _silent(self) -> Refused:
        return _silent(self.name)


def read_answer(name: str, status: int, raw: bytes, type_: type[T], allowed: Collection[Code] = ()) -> T:
    """What `name` answered. Raises its own refusal where that is one of `allowed`, else Refused(UNAVAILABLE)."""
    try:
        said = decode_json(raw, limit=LIMIT)
        if 200 <= status < 300:
            return msgspec.convert(said, type_)
        code = Code(said.get("error", ""))
    except (Refused, msgspec.ValidationError, ValueError, TypeError):
        raise _silent(name) from None
    if code in allowed and 400 <= status < 500:
        raise Refused(code, f"the {name} refused: {code.value}")
    raise _silent(name)


def _silent(name: str) -> Refused:
    return Refused(Code.UNAVAILABLE, f"the {name} does not answer; nothing was lost, it is asked again")


def part(id: str) -> str:
    """An id inside an address."""
    return quote(id, safe="")
