"""A shop with tills, its trust list and the issuer's status server; the wallet's side is played with `formats`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec

from mapae.clock import MovableClock, SeededDice
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.formats import jose, jwe, status
from mapae.formats.x509 import Profile, x509_hash
from mapae.keys import Signer, Vault
from mapae.rules import Words
from mapae.trust.pack.keep import Keeper
from mapae.trust.publish import AccessAuthority, Issuer, Purpose, RelyingParty, TrustList
from mapae.ui.site import application
from mapae.verifier.asking.dark import Basement
from mapae.verifier.asking.store import Till
from mapae.verifier.checking.check import Ask, Format, Item
from mapae.verifier.site import shop_web
from mapae.verifier.till.kiosk import Access, Verifier
from mapae.verifier.till.web import routes
from unit.verifier.world import AUTHORITY, DOCTYPE, LIST, STATUS_PREFIX, TODAY, VCT, WHO, Card, country

BASE = "http://mapae.test"
NAMES = {
    "mart": Words(ko="한빛마트 세종점", en="Hanbit Mart Sejong"),
    "rental": Words(ko="바로렌터카", en="Baro Car Rental"),
}
_SECOND = Signer.ephemeral()
ACCESS = {
    "mart": Access(AUTHORITY.access_signer, (AUTHORITY.access_leaf,)),
    "rental": Access(_SECOND, (AUTHORITY.certify(Profile.ACCESS, _SECOND, dns=("mapae.test",)),)),
}


@dataclass
class Lists:
    """The issuer's status server."""

    clock: MovableClock
    standing: int = status.VALID
    up: bool = True
    swallowed: int | None = None  # a number: the trust list is asked for and nobody ever answers; how often so far
    asked: int = 0
    answered_304: int = 0
    changes: dict[str, Any] = field(default_factory=dict)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if not self.up:
            raise httpx.ConnectError("down")
        if "status_code" in self.changes:
            return httpx.Response(**self.changes)
        etag = f'"{self.standing}"'
        if request.headers.get("if-none-match") == etag:
            self.answered_304 += 1
            return httpx.Response(304)
        return httpx.Response(200, text=self.token(), headers={"ETag": etag})

    def token(self) -> str:
        authority = self.changes.get("authority", AUTHORITY)
        return status.publish(
            status.StatusList.of(2, 64, [(7, self.standing)]), self.changes.get("signer", authority.status_signer),
            self.changes.get("x5c", (authority.status_leaf,)), uri=self.changes.get("uri", LIST),
            now=self.changes.get("now", self.clock.now().replace(microsecond=0)),
            life=self.changes.get("life", timedelta(minutes=10)), ttl=self.changes.get("ttl", 5),
        )  # fmt: skip


@dataclass
class Shop:
    """Everything a test of the till needs."""

    verifier: Verifier
    clock: MovableClock
    lists: Lists
    db: Db
    trust: list[TrustList]

    def site(self) -> httpx.AsyncClient:
        site = shop_web.routes(self.verifier, digital_credentials=True)
        app = application([*routes(self.verifier), *site], clock=self.clock, demo=True, rates=False)
        return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE)

    async def till(self, shop: str = "mart") -> Till:
        till, _ = await self.verifier.enrol((await self.verifier.invite(shop)).code)
        return till

    async def request(self, id: str) -> dict[str, Any]:
        return jose.Jws.parse(await self.verifier.request_object(id), typ="oauth-authz-req+jwt").claims()

    async def reply(
        self, id: str, card: Card | None = None, format: Format = Format.SD_JWT, **changes: Any
    ) -> dict[str, str]:
        """The wallet's form, as the request asks."""
        request = await self.request(id)
        asked = asked_in(request, **changes)
        shown = (card or Card()).show(format, asked, at=self.clock.now(), items=changes.get("items"))
        payload = {"vp_token": {format.value: [shown.presentation]}, "state": request["state"]}
        return {"response": sealed(request, changes.get("payload", payload))}


def asked_in(request: dict[str, Any], **changes: Any) -> Ask:
    """The wallet's reading of a request."""
    query = request["dcql_query"]["credentials"][0]
    names = {claim["path"][-1] for claim in query["claims"]}
    known = {item.name: item for item in WHO}
    items = tuple(known.get(name, Item(name, "yes_no")) for name in names)
    key = jose.PublicKey.from_jwk(request["client_metadata"]["jwks"]["keys"][0])
    return Ask(
        items, VCT, DOCTYPE, DOCTYPE, request["client_id"], changes.get("nonce", request["nonce"]),
        request["response_uri"], key.thumbprint_raw,
    )  # fmt: skip


def sealed(request: dict[str, Any], payload: Any, enc: str = "A256GCM") -> str:
    return jwe.encrypt(msgspec.json.encode(payload), request["client_metadata"]["jwks"]["keys"][0], enc=enc)


def request_id(qr: str) -> str:
    return parse_qs(urlsplit(qr).query)["request_uri"][0].rsplit("/", 1)[1]


def trust_list(*, purposes: tuple[str, ...] = ("alcohol_tobacco", "adult_contract", "name_birth_date")) -> TrustList:
    land = country()
    registered = tuple(
        Purpose(id=p.id, name=p.name, why=p.why, legal_basis=p.legal_basis, items=p.items, retention=p.retention)
        for p in land.purposes.values()
        if p.id in purposes
    )
    words = Words(ko="데모", en="Demo")
    parties = tuple(
        RelyingParty(id=id, name=name, x509_hash=x509_hash(ACCESS[id].x5c[0]), purposes=registered)
        for id, name in NAMES.items()
    )
    return TrustList.of(
        [
            Issuer(
                id="demo-issuer", name=words, ca=(AUTHORITY.root,), vcts=(VCT,), doctypes=(DOCTYPE,),
                status_prefix=STATUS_PREFIX,
            ),
            AccessAuthority(id="access", name=words, ca=(AUTHORITY.root,)),
            *parties,
        ],
        seq=1, now=TODAY, life=timedelta(days=30),
    )  # fmt: skip


@asynccontextmanager
async def opened(
    db: Db, clock: MovableClock, *, own_queries: bool = True, keeper: Keeper | None = None,
    packs: httpx.AsyncClient | None = None, seed: str = "", access: Mapping[str, Access] = ACCESS,
) -> AsyncIterator[Shop]:  # fmt: skip
    """`keeper`: the shop's counter lives on an offline pack, which `packs` answers for."""
    lists, trust = Lists(clock), [trust_list()]

    async def current() -> TrustList:
        if lists.swallowed is not None:
            lists.swallowed += 1
            await asyncio.sleep(60)
        if not trust:
            raise Refused(Code.UNAVAILABLE, "no trust list")
        return trust[-1]

    vault, basement = Vault(b"a test vault's secret of 32 bytes"), None
    if keeper is not None and packs is not None:
        basement = Basement(
            keeper, online=current, db=db, vault=vault, clock=clock, dice=SeededDice(f"dark{seed}"), http=packs,
            base=BASE, parties=tuple(ACCESS),
        )  # fmt: skip
        basement.reopen()
    async with httpx.AsyncClient(transport=httpx.MockTransport(lists.answer)) as http:
        verifier = Verifier(
            db=db, vault=vault, clock=clock, dice=SeededDice(f"till{seed}"), http=http,
            base=BASE, trust=current, country=country(), access=access,
            own_queries=own_queries, basement=basement,
        )  # fmt: skip
        yield Shop(verifier, clock, lists, db, trust)
