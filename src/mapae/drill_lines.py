"""The lines between the parts of a country, and what it is like when some are cut.

Promises: every message between two parts passes here; over a cut line it fails as over a dead network, with a
connection error and not with a polite answer. Trusts: nobody listens in: the parts are in this process. Keeps: which
lines are cut, and how many messages failed. Refuses: a message to a part that nobody runs, in the same way.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Final

import httpx

from .house import House


class Part(StrEnum):
    """Of a country, as far as one can be cut off from another. Whoever asks is one as well."""

    ISSUER = "issuer"  # with the desks: they stand in its own network
    STATUS = "status"
    LOG = "log"
    WITNESSES = "witnesses"
    REST = "rest"  # registers, wallet provider, verifiers
    PEOPLE = "people"  # phones, browsers at home


RUN_BY: Final = {  # the role whose process answers for a part
    Part.ISSUER: "issuer", Part.STATUS: "issuer", Part.LOG: "trust", Part.WITNESSES: "trust", Part.REST: "verifier",
}  # fmt: skip
_WAY: Final = {  # the longest prefix decides
    "/issuer/": Part.ISSUER, "/desk/": Part.ISSUER, "/portal/": Part.ISSUER, "/.well-known/": Part.ISSUER,
    "/issuer/status": Part.STATUS, "/trust/": Part.LOG, "/witness/": Part.WITNESSES, "/": Part.REST,
}  # fmt: skip
DARK: Final = frozenset({Part.ISSUER, Part.STATUS, Part.LOG})


def part_of(path: str) -> Part:
    """Who answers at this address."""
    return _WAY[max((prefix for prefix in _WAY if path.startswith(prefix)), key=len)]


class Lines:
    """All of them. `houses`: who runs which role."""

    def __init__(self) -> None:
        self.houses: dict[str, House] = {}
        self._cut: frozenset[tuple[Part, Part]] = frozenset()
        self.failed = 0

    def cut(self, parts: Collection[Part]) -> None:
        """From now on nothing goes into or comes out of these parts, nor from one of them to another."""
        self._cut = frozenset((a, b) for a in Part for b in Part if a is not b and not {a, b}.isdisjoint(parts))

    def cut_between(self, source: Part, targets: Collection[Part]) -> None:
        """From now on `source` does not reach these; everybody else does."""
        self._cut = frozenset((source, target) for target in targets)

    def restore(self) -> None:
        self._cut = frozenset()

    def of(self, source: Part) -> httpx.AsyncBaseTransport:
        """The line on which `source` reaches everybody."""
        return _Line(self, source)

    async def carry(self, source: Part, request: httpx.Request) -> httpx.Response:
        target = part_of(request.url.path)
        if (source, target) in self._cut:
            self.failed += 1
            raise httpx.ConnectError("no route to host", request=request)
        house = self.houses.get(RUN_BY[target])
        if house is None:
            raise httpx.ConnectError("nobody listens", request=request)
        way = httpx.ASGITransport(app=house.site, client=("127.0.0.1", 0))
        return await way.handle_async_request(request)


class _Line(httpx.AsyncBaseTransport):
    def __init__(self, lines: Lines, source: Part) -> None:
        self._lines, self._source = lines, source

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._lines.carry(self._source, request)
