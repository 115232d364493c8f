"""The hosted checker: shops without a verifier of their own are asked for by this one, from the moment they are listed.

Promises: a party has one key here, made when it applies; once the trust list names it with a certificate of that key it
is asked for, without a restart, and a renewed certificate takes the old one's place. Trusts: the trust list; the trust
role, which alone may ask for a key, a till or an API key on a party's behalf. Keeps: the parties (`hosting_store`),
their keys and certificates. Refuses: a certificate of another key; anything for a party it does not ask for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import httpx
import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response

from mapae.bodies import body_within
from mapae.clock import Clock
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey
from mapae.formats.x509 import leaf_key, x509_hash
from mapae.keys import Signer
from mapae.trust.publish import TrustList
from mapae.ui.http import Answer, Caller, Door, door, json_answer, json_body
from mapae.verifier.asking.questions import Access
from mapae.verifier.site import hosting_store

PATH: Final = "/verifier/hosted"
ROUND: Final = 5.0  # seconds
LIMIT: Final = 8192


class _About(msgspec.Struct, forbid_unknown_fields=True):
    party: str


class Hosting:
    """`signer` opens the key of a party, `kept` the certificate there is for it; `host` takes a party up."""

    def __init__(
        self, *, db: Db, clock: Clock, http: httpx.AsyncClient, trust_url: str,
        trust: Callable[[], Awaitable[TrustList]], signer: Callable[[str], Signer],
        kept: Callable[[str, Signer], tuple[bytes, ...] | None], keep: Callable[[str, bytes], None],
        host: Callable[[str, Access], None], look_again: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._db, self._clock, self._http, self._url = db, clock, http, trust_url
        self._trust, self._signer, self._kept, self._keep, self._host = trust, signer, kept, keep, host
        self._look_again = look_again
        self._taken: dict[str, str] = {}  # party -> the hash of the certificate it is asked for with

    async def key(self, party: str) -> dict[str, str]:
        """Made on the first call, the same ever after."""
        signer = self._signer(party)
        await hosting_store.add(self._db, party, self._clock.now())
        return PublicKey.from_jwk(signer.jwk).jwk

    async def open(self) -> None:
        """At a start: whoever was asked for before is again at once, also while the trust role is away."""
        for party in await hosting_store.all(self._db):
            signer = self._signer(party)
            if (x5c := self._kept(party, signer)) is not None:
                self._take(party, signer, x5c)

    async def take_up(self) -> None:
        """Whoever the trust list names by now."""
        waiting = await hosting_store.all(self._db)
        if not waiting:
            return
        if not self._taken.keys() >= set(waiting):  # somebody may have been listed this moment
            self._look_again()
        named = {party.id: party.x509_hash for party in (await self._trust()).relying_parties}
        for party in waiting:
            wanted = named.get(party)
            if wanted is None or self._taken.get(party) == wanted:
                continue
            signer = self._signer(party)
            der = await self._fetched(wanted)
            if der is None or x509_hash(der) != wanted or leaf_key(der).thumbprint != signer.kid:
                structlog.get_logger("mapae.verifier").warning("no certificate for a hosted party", party=party)
                continue
            self._keep(party, der)
            self._take(party, signer, (der,))

    def _take(self, party: str, signer: Signer, x5c: tuple[bytes, ...]) -> None:
        self._taken[party] = x509_hash(x5c[0])
        self._host(party, Access(signer, x5c))

    async def _fetched(self, hash: str) -> bytes | None:
        try:
            async with self._http.stream("GET", f"{self._url}/trust/access-certificates/{hash}") as answer:
                return await body_within(answer, LIMIT) if answer.is_success else None
        except (httpx.HTTPError, Refused):
            return None


def routes(
    hosting: Hosting, invite: Callable[[str], Awaitable[str]], api_key: Callable[[str], Awaitable[str]]
) -> list[Door]:  # fmt: skip
    """For the trust role, on whose page the party's secret link leads. `invite` makes a till's code, `api_key` a key of
    the HTTP interface."""

    async def key(party: str) -> dict[str, Any]:
        return {"key": await hosting.key(party)}

    async def till(party: str) -> dict[str, Any]:
        await hosting.take_up()
        return {"code": await invite(party)}

    async def keyed(party: str) -> dict[str, Any]:
        await hosting.take_up()
        return {"key": await api_key(party)}

    async def answer(act: Callable[[str], Awaitable[dict[str, Any]]], request: Request) -> Response:
        if request.state.peer != "trust":
            raise Refused(Code.NOT_ALLOWED, "the trust role alone speaks for parties here")
        return json_answer(await act((await json_body(request, _About)).party))

    return [
        door("POST", f"{PATH}/{name}", partial(answer, act), caller=Caller.PEER, answer=Answer.JSON, limit=4096)
        for name, act in (("key", key), ("till", till), ("api-key", keyed))
    ]
