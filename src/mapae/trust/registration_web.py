"""Doors to what is public of one relying party: its registration certificate and its access certificates.

Promises: anybody may fetch, for it is all in the trust log or on the trust list already; a registration certificate is
signed anew at least once an hour, so whoever fetches has nearly its whole life. Trusts: the registry for who is
registered. Keeps: the last one signed for each party, in memory. Refuses: NOT_FOUND for whoever is not registered.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from mapae.clock import Clock
from mapae.errors import Code, Refused
from mapae.formats.jose import Signing
from mapae.trust import registration
from mapae.trust.entries import RelyingParty
from mapae.trust.registry import Registry
from mapae.ui.http import Answer, Caller, Door, door

MEDIA: Final = f"application/{registration.TYPE}"
AGAIN: Final = timedelta(hours=1)
MOST: Final = 4096
_HASH = re.compile(r"[A-Za-z0-9_-]{43}")


class Registrations:
    """`issuer` is the country's address, `signer` the key of the trust list."""

    def __init__(self, registry: Registry, signer: Signing, issuer: str, clock: Clock) -> None:
        self._registry, self._signer, self._issuer, self._clock = registry, signer, issuer, clock
        self._made: dict[str, tuple[RelyingParty, datetime, str]] = {}

    async def of(self, party: str) -> str:
        now = self._clock.now()
        for entry in await self._registry.entries():
            if isinstance(entry, RelyingParty) and entry.id == party:
                break
        else:
            raise Refused(Code.NOT_FOUND, "nobody of this id is registered")
        kept = self._made.get(party)
        if kept is None or kept[0] != entry or not timedelta(0) <= now - kept[1] < AGAIN:
            if len(self._made) >= MOST:
                self._made.clear()
            kept = self._made[party] = (entry, now, registration.make(entry, self._issuer, self._signer, now))
        return kept[2]

    def routes(self) -> list[Door]:
        public: dict[str, Any] = {"caller": Caller.ANYONE, "answer": Answer.JSON, "cors": True}
        return [
            door("GET", "/trust/relying-parties/{id}/certificate", self._registration, **public),
            door("GET", "/trust/access-certificates/{hash}", self._access, **public),
        ]

    async def _registration(self, request: Request) -> Response:
        token = await self.of(request.path_params["id"])
        return Response(token, headers={"Cache-Control": "public, max-age=60"}, media_type=MEDIA)

    async def _access(self, request: Request) -> Response:
        hash = request.path_params["hash"]
        der = await self._registry.certificate(hash) if _HASH.fullmatch(hash) else None
        if der is None:
            raise Refused(Code.NOT_FOUND, "there is no such certificate")
        # RFC 5280 section 4.2.2.1 and RFC 2585: one certificate, DER.
        headers = {"Cache-Control": "public, max-age=86400"}
        return Response(der, headers=headers, media_type="application/pkix-cert")
