"""The hosted checker: shops without a verifier of their own are asked for by this one, from the moment they are listed.

Promises: an application has one key here, made when it is handed in and destroyed when it comes to nothing; once the
trust list names its party with a certificate of that key it is asked for, without a restart, and a renewed certificate
takes the old one's place; when the registration ends, so does all the party had here (`holdings.py`). Trusts: the trust
list; the trust role, which alone speaks for a party. Keeps: the parties (`hosting_store`), their keys and certificates.
Refuses: a certificate of another key; anything for a party the list does not name.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any, Final, Protocol

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
from mapae.verifier.site.holdings import Holdings
from mapae.verifier.site.hosting_store import Hosted

_log = structlog.get_logger("mapae.verifier")

PATH: Final = "/verifier/hosted"
ROUND: Final = 5.0  # seconds
LIMIT: Final = 8192
_CASE: Final = re.compile(r"[0-9a-f]{12}")


class Keyring(Protocol):
    """The keys and certificates of hosted parties, by name."""

    def signer(self, name: str) -> Signer:
        """Made on the first call."""

    def kept(self, name: str, signer: Signer) -> tuple[bytes, ...] | None: ...

    def keep(self, name: str, der: bytes) -> None: ...

    def destroy(self, name: str) -> None: ...


class Hosting:
    """One object a process; `shops` grows and shrinks with the list."""

    def __init__(
        self, *, db: Db, clock: Clock, http: httpx.AsyncClient, trust_url: str,
        trust: Callable[[], Awaitable[TrustList]], keyring: Keyring, shops: MutableMapping[str, Access],
        holdings: Holdings, look_again: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._db, self._clock, self._http, self._url = db, clock, http, trust_url
        self._trust, self._keyring, self._shops, self.holdings = trust, keyring, shops, holdings
        self._look_again = look_again
        self._taken: dict[str, tuple[str, str]] = {}  # party -> hash of its certificate, and name of its key
        self._unfit: set[tuple[str, str]] = set()  # names of keys, and hashes of certificates that are of others

    async def key(self, party: str, case: str) -> dict[str, str]:
        """Made on the first call for this application, the same ever after."""
        name = _name(case)
        await hosting_store.add(self._db, name, party, self._clock.now())  # first: what is made can be found again
        return PublicKey.from_jwk(self._keyring.signer(name).jwk).jwk

    async def drop(self, case: str) -> None:
        """The application has ended; also when it had no key, or has none any more."""
        await self._destroy(_name(case))

    async def open(self) -> None:
        """At a start: whoever was asked for before is again at once, also while the trust role is away."""
        for one in await hosting_store.all(self._db):
            old = one.name == f"access-{one.party}"  # of before keys were an application's
            if one.x509_hash is None and not old:  # never taken up
                continue
            try:
                signer = self._keyring.signer(one.name)
                x5c = self._keyring.kept(one.name, signer)
            except Refused as refused:
                _damaged(one, refused)
                continue
            if x5c is not None:
                self._take(one, signer, x5c)
                if one.x509_hash is None:
                    await hosting_store.taken(self._db, one.name, x509_hash(x5c[0]))

    async def round(self) -> None:
        """Take up whoever the trust list names by now, and end what those had here who are struck off."""
        trusted = await self._trust()
        waiting = await hosting_store.all(self._db)
        named = {party.id: party.x509_hash for party in trusted.relying_parties}
        for one in waiting:
            wanted = named.get(one.party)
            if wanted is None or (one.name, wanted) in self._unfit:  # it has come to ask with a key of its own
                continue
            if self._taken.get(one.party, ("", ""))[0] != wanted:
                await self._take_up(one, wanted)
        over = await self.holdings.notice(trusted, self._shops.keys())
        for one in waiting:
            if one.party in over and one.x509_hash is not None:  # not one it has applied with anew
                await self._destroy(one.name)

    async def must_be_listed(self, party: str) -> None:
        """Now, and not as of some seconds ago. Raises Refused(UNKNOWN_RELYING_PARTY)."""
        self._look_again()
        (await self._trust()).relying_party(party)
        await self.round()

    async def _take_up(self, one: Hosted, wanted: str) -> None:
        """A key of another application of this party stays as it is."""
        try:
            signer, der = self._keyring.signer(one.name), await self._fetched(wanted)
            if der is None or x509_hash(der) != wanted:
                return
            if leaf_key(der).thumbprint != signer.kid:
                self._unfit.add((one.name, wanted))
                return
            self._keyring.keep(one.name, der)
        except Refused as refused:
            _damaged(one, refused)
            return
        await hosting_store.taken(self._db, one.name, wanted)
        self._take(one, signer, (der,))

    def _take(self, one: Hosted, signer: Signer, x5c: tuple[bytes, ...]) -> None:
        self._taken[one.party] = x509_hash(x5c[0]), one.name
        self._shops[one.party] = Access(signer, x5c)

    async def _destroy(self, name: str) -> None:
        """The row last: whoever dies before finds it again."""
        for party, (_, key) in list(self._taken.items()):
            if key == name:
                del self._taken[party]
                self._shops.pop(party, None)
        self._keyring.destroy(name)
        await hosting_store.drop(self._db, name)

    async def _fetched(self, hash: str) -> bytes | None:
        try:
            async with self._http.stream("GET", f"{self._url}/trust/access-certificates/{hash}") as answer:
                return await body_within(answer, LIMIT) if answer.is_success else None
        except (httpx.HTTPError, Refused):
            return None


def _damaged(one: Hosted, refused: Refused) -> None:
    """One key that does not open must not keep all others out."""
    _log.error("the key of a hosted party cannot be used", party=one.party, code=refused.code.value)


def _name(case: str) -> str:
    if _CASE.fullmatch(case) is None:
        raise Refused(Code.MALFORMED, "an application is called by twelve hexadecimal digits")
    return f"hosted-{case}"


# --- for the trust role, on whose page the party's secret link leads --------------------------------------------------


class _Case(msgspec.Struct, forbid_unknown_fields=True):
    case: str
    party: str = ""


class _Party(msgspec.Struct, forbid_unknown_fields=True):
    party: str
    label: str = "server"


class _One(msgspec.Struct, forbid_unknown_fields=True):
    party: str
    kind: str
    id: str


def routes(
    hosting: Hosting, invite: Callable[[str], Awaitable[str]], api_key: Callable[[str, str], Awaitable[str]]
) -> list[Door]:  # fmt: skip
    """`invite` makes a till's code, `api_key` a key of the HTTP interface with a label."""

    async def key(request: Request) -> dict[str, Any]:
        about = await json_body(request, _Case)
        return {"key": await hosting.key(about.party, about.case)}

    async def drop(request: Request) -> dict[str, Any]:
        await hosting.drop((await json_body(request, _Case)).case)
        return {}

    async def till(request: Request) -> dict[str, Any]:
        party = (await json_body(request, _Party)).party
        await hosting.must_be_listed(party)
        await hosting.holdings.must_have_room(party, "till")
        return {"code": await invite(party)}

    async def keyed(request: Request) -> dict[str, Any]:
        about = await json_body(request, _Party)
        await hosting.must_be_listed(about.party)
        await hosting.holdings.must_have_room(about.party, "key")
        return {"key": await api_key(about.party, about.label)}

    async def holdings(request: Request) -> dict[str, Any]:
        return {"holdings": await hosting.holdings.of((await json_body(request, _Party)).party)}

    async def end(request: Request) -> dict[str, Any]:
        one = await json_body(request, _One)
        return {"ended": await hosting.holdings.end(one.party, one.kind, one.id)}

    async def answer(act: Callable[[Request], Awaitable[dict[str, Any]]], request: Request) -> Response:
        if request.state.peer != "trust":
            raise Refused(Code.NOT_ALLOWED, "the trust role alone speaks for parties here")
        return json_answer(await act(request))

    acts = {"key": key, "drop": drop, "till": till, "api-key": keyed, "holdings": holdings, "end": end}
    return [
        door("POST", f"{PATH}/{name}", partial(answer, act), caller=Caller.PEER, answer=Answer.JSON, limit=4096)
        for name, act in acts.items()
    ]
