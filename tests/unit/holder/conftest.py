"""A country around the wallets: every role is the real one, on SQLite, behind one address and one movable clock."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from mapae.app import open_house
from mapae.clock import MovableClock
from mapae.config import Settings, country_tree
from mapae.formats.jose import PublicKey
from mapae.formats.x509 import Subject, x509_hash
from mapae.founding import governors
from mapae.holder import MemoryStore, Person, Wallet
from mapae.holder.store import Store
from mapae.house import House
from mapae.issuer.evidence import OfficerCompared, PhysicalCardSeen, SecondOfficer, Why
from mapae.issuer.order import Offer, Order, Terms
from mapae.registers.people import parse_people
from mapae.registers.values import Resident
from mapae.rules import Words
from mapae.trust.publish import Purpose, RelyingParty
from mapae.verifier.asking.ask import PLAIN, Form, Manner
from mapae.verifier.asking.store import Till

BASE = "http://localhost:8080"
START = datetime(2027, 3, 2, 3, 0, tzinfo=UTC)  # noon in Seoul
SD_JWT, MDOC = "resident_card_sd_jwt", "resident_card_mdoc"

Watch = Callable[[httpx.Request, Callable[[httpx.Request], Awaitable[httpx.Response]]], Awaitable[httpx.Response]]


class Line(httpx.AsyncBaseTransport):
    """The phone's network. `watch` sees every request and may lose it, or its answer."""

    def __init__(self, site: Any) -> None:
        self._inside = httpx.ASGITransport(site, client=("127.0.0.1", 1))
        self.watch: Watch | None = None
        self.sent: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(f"{request.method} {request.url.path}")
        if self.watch is None:
            return await self._inside.handle_async_request(request)
        return await self.watch(request, self._inside.handle_async_request)


class Killed(BaseException):
    """SIGKILL: nothing catches it, nothing runs after it."""


@dataclass
class Citizen:
    wallet: Wallet
    store: Store
    resident: Resident
    person: str = ""


@dataclass
class Country:
    house: House
    clock: MovableClock
    line: Line
    http: httpx.AsyncClient
    residents: list[Resident]
    cases: int = 0
    tills: dict[str, Till] = field(default_factory=dict)

    def wallet(self, store: Store | None = None, **given: Any) -> Wallet:
        return Wallet(self.http, BASE, store=store, clock=self.clock, trust_key=self.house.registry.key, **given)

    async def read_code(self, check: dict[str, Any]) -> str:
        text = (await self.http.get("/carrier/inbox.json")).json()["messages"][0]["text"]
        found = re.search(r"\d{6}", text)
        assert found is not None, text
        return found[0]

    def typed(self, resident: Resident) -> Person:
        return Person(resident.name, resident.number.written, resident.phones[0])

    async def citizen(self, which: int = 0, store: Store | None = None, **given: Any) -> Citizen:
        """Somebody with a registered phone."""
        store = store or MemoryStore()
        resident = self.residents[which]
        wallet = self.wallet(store, **given)
        self.clock.advance(minutes=2)  # the newest message is the one on top
        await wallet.identify(self.typed(resident), self.read_code)
        person = await self.house.foundation.databases["wallet_provider"].one(
            "SELECT person FROM device WHERE device_id = $1", wallet.device_id
        )
        assert person is not None
        return Citizen(wallet, store, resident, person["person"])

    async def offer(self, person: str) -> str:
        """The officer's QR for this person."""
        return (await self.offered(person)).uri

    async def offered(self, person: str, **terms: Any) -> Offer:
        """The same, on these terms."""
        self.cases += 1
        now = self.clock.now()
        evidence = (
            PhysicalCardSeen("officer-1", now, number_matches=True, photo_matches=True, undamaged=True),
            OfficerCompared("officer-1", "박주무관", now, same_person=True),
            SecondOfficer("officer-2", "이주무관", now, Why.EYES),
        )
        order = Order(f"case-{self.cases}", person, "resident_card", "office-1", "officer-1", evidence)
        return await self.house.issuer.open_offer(order, Terms(**terms))

    async def carded(self, which: int = 0, **given: Any) -> Citizen:
        citizen = await self.citizen(which, **given)
        await citizen.wallet.receive(await self.offer(citizen.person))
        return citizen

    async def asks(
        self, purpose: str = "alcohol_tobacco", form: Form = Form.EITHER, shop: str = "mart", manner: Manner = PLAIN
    ) -> tuple[str, str]:
        """The shop's QR text, and the question's id."""
        if shop not in self.tills:
            self.tills[shop], _ = await self.house.verifier.enrol((await self.house.verifier.invite(shop)).code)
        id = await self.house.verifier.open(self.tills[shop], purpose, form, manner)
        waiting = await self.house.verifier.look(self.tills[shop], id)
        return waiting.qr, id

    async def verdict(self, id: str, shop: str = "mart") -> Any:
        return (await self.house.verifier.look(self.tills[shop], id)).verdict


async def _register_shop(house: House) -> None:
    f, pack = house.foundation, house.country
    key = f.signer("verifier", "access-mart")
    der = await house.registry.certify("mart", PublicKey.from_jwk(key.jwk), Subject("Mart"), governors(f)[0])
    f.certificates.keep("access-mart", der)
    purposes = tuple(
        Purpose(id=p.id, name=p.name, why=p.why, legal_basis=p.legal_basis, items=p.items, retention=p.retention)
        for p in pack.purposes.values()
    )
    entry = RelyingParty(id="mart", name=Words(ko="마트", en="Mart"), x509_hash=x509_hash(der), purposes=purposes)
    await house.registry.ensure([entry], *governors(f))


@pytest.fixture
async def country(tmp_path: Path) -> AsyncIterator[Country]:
    async with opened(tmp_path / "var") as country:
        yield country


@asynccontextmanager
async def opened(data: Path) -> AsyncIterator[Country]:
    clock = MovableClock(START)
    settings = Settings(base_url=BASE, data=str(data), relying_parties=("mart",))
    house = await open_house(settings, clock=clock, founding=_register_shop, rates=False)
    people = parse_people(country_tree("kr"), house.country).named(house.country.today(START))
    residents = [named.resident for named in people if named.resident.phones and named.resident.card]
    await house.population.load(residents[:4])
    line = Line(house.site)
    async with httpx.AsyncClient(transport=line, base_url=BASE) as http:
        yield Country(house, clock, line, http, residents[:4])
    await house.close()
