"""A small register: the named people of the Korean pack, a carrier, and the doors of both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import pytest

from mapae.catalog import Country, parse_country
from mapae.clock import MovableClock, SeededDice
from mapae.config import country_tree
from mapae.db import Db, connect, migrate
from mapae.keys import Signer, Vault
from mapae.registers.carrier import SimulatedCarrier
from mapae.registers.carrier_web import carrier_routes
from mapae.registers.identity import Carrier, IdentityCheck
from mapae.registers.people import Named, parse_people
from mapae.registers.population import Population
from mapae.registers.telling import Telling
from mapae.registers.web import routes, telling_routes
from mapae.ui.http import Caller, doors
from mapae.ui.site import application

NOW = datetime(2026, 11, 21, 21, 0, tzinfo=UTC)
TODAY = date(2026, 11, 22)
KEY = "carrier-key"


@dataclass
class Office:
    """What a test of the registers needs in its hands."""

    country: Country
    clock: MovableClock
    db: Db
    vault: Vault
    signer: Signer
    population: Population
    identity: IdentityCheck
    carrier: SimulatedCarrier
    http: httpx.AsyncClient
    named: dict[str, Named]
    ids: dict[str, str]
    role: list[str]

    async def code_for(self, phone: str) -> str:
        text = (await self.carrier.inbox(phone))[0].body
        return "".join(letter for letter in text if letter.isdigit())[:6]


@pytest.fixture(scope="session")
def korea() -> Country:
    return parse_country(country_tree("kr"))


@pytest.fixture
async def office(migrated: Callable[[str], Awaitable[Db]], tmp_path: Path, korea: Country) -> AsyncIterator[Office]:
    db = await migrated("registers")
    letters = await connect(f"sqlite:///{tmp_path}/carrier.db")
    await migrate(letters, "carrier")
    clock, dice, vault, signer = MovableClock(NOW), SeededDice(7), Vault(b"v" * 32), Signer.ephemeral()
    population = Population(db, vault, clock, korea.number)
    named = {one.key: one for one in parse_people(country_tree("kr"), korea).named(TODAY)}
    await population.load(one.resident for one in named.values())
    carrier = SimulatedCarrier(letters, clock, dice, key=KEY)
    role = ["issuer"]
    inbox = application(carrier_routes(carrier), clock=clock)
    to_carrier = httpx.AsyncClient(transport=httpx.ASGITransport(app=inbox), base_url="http://mapae.test")
    handing_in = Carrier(to_carrier, "http://mapae.test/carrier/messages", KEY)
    identity = IdentityCheck(
        db, vault, clock, dice, scheme=korea.number, rules=korea.identity, signer=signer, carrier=handing_in,
    )  # fmt: skip
    own = [*routes(population, identity), *telling_routes(Telling(db, vault, clock, handing_in))]
    for one in doors(own):
        if one.caller is Caller.PEER:  # the house puts its gate here
            inner = one.handler

            async def guarded(request, inner=inner):  # type: ignore[no-untyped-def]
                request.state.peer = role[0]
                return await inner(request)

            one.handler = guarded
    site = application([*own, *carrier_routes(carrier)], clock=clock)
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app=site), base_url="http://mapae.test")
    ids = {key: population.store.person_id(one.resident.number) for key, one in named.items()}
    yield Office(korea, clock, db, vault, signer, population, identity, carrier, http, named, ids, role)
    await http.aclose()
    await to_carrier.aclose()
    await letters.close()
