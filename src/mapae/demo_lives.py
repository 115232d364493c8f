"""What the demo's people did before the demo began, through the same doors as everybody else.

Promises: after `lived`, the people whose entry has a `story` have really been to the counter: one card has expired, one
is about to, one is locked, one is held, and one person has a second phone waiting. Trusts: the pack. Keeps: their
wallets, for the sandbox city. Refuses: nothing.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

import httpx
import msgspec

from .app import Founding, open_house
from .catalog import Country
from .clock import Clock, MovableClock, SystemDice
from .config import Settings, passphrase
from .holder import MemoryStore, Person, Wallet
from .holder.store import FileStore, Store
from .house import House
from .issuer.desk_store import Task
from .issuer.desk_values import Reason
from .issuer.evidence import Why
from .registers.people import Named
from .registers.values import Resident

SANDBOX: Final = "sandbox"  # the folder of these people's wallets: they answer in the sandbox city
# How long ago each story took place; the first two need a start of issuance earlier than any real one.
LONG_AGO: Final = {"expired": timedelta(days=3 * 365 + 10), "renewal": timedelta(days=3 * 365 - 29)}
RECENTLY: Final = {"held": timedelta(days=20), "locked": timedelta(days=9), "waiting": timedelta(days=5)}


async def lived(
    settings: Settings,
    country: Country,
    people: Sequence[Named],
    now: datetime,
    founding: Founding,
    seed: Callable[[House], Awaitable[None]],
) -> None:
    """Let everybody with a story live it. `seed` loads people and officers into a house."""
    for stories in (LONG_AGO, RECENTLY):
        clock = MovableClock(now - max(stories.values()))
        house = await open_house(
            settings, clock=clock, country=_earlier(country, clock.now().date()), founding=founding, rates=False
        )
        await seed(house)
        for story, ago in stories.items():
            clock.set(now - ago)
            for named in people:
                if named.story == story:
                    await _live(house, named, clock)
        await house.settle()
        await house.close()


async def _live(house: House, named: Named, clock: MovableClock) -> None:
    who, http, base = named.resident, house.foundation.http, house.settings.base_url
    folder = house.foundation.data / SANDBOX
    folder.mkdir(mode=0o700, exist_ok=True)
    store = FileStore(folder / named.key, passphrase(house.foundation.data))
    phone = await phone_of(http, base, clock, who, store=store)
    await visit(house, who, phone)
    match named.story:
        case "locked":
            clock.advance(days=2)
            hits = await house.population.search(resident_number=named.resident.number.written)
            await house.issuer.lock(hits.hits[0].person, "lost", "portal")
        case "waiting":
            clock.advance(days=1)
            await phone_of(http, base, clock, who, 1)
        case _:
            pass


async def phone_of(
    http: httpx.AsyncClient, base: str, clock: Clock, who: Resident, which: int = 0, *, wallet: Wallet | None = None,
    store: Store | None = None,
) -> Wallet:  # fmt: skip
    """A phone of this person, identity checked and registered."""
    number = who.phones[which]

    async def read_code(check: Any) -> str:
        answer = await http.get(f"{base}/carrier/inbox.json", params={"phone": number})
        found = re.search(r"(?<!\d)(\d{4,10})(?!\d)", answer.json()["messages"][0]["text"])
        return found[1] if found else ""

    wallet = wallet or Wallet(http, base, store=store or MemoryStore(), clock=clock, dice=SystemDice())
    await wallet.identify(Person(who.name, who.number.written, number), read_code)
    return wallet


async def visit(house: House, who: Resident, phone: Wallet) -> None:
    """The counter, from finding the person to the card on the phone."""
    offices = house.country.offices.values()
    office = next((o for o in offices if o.municipality == who.municipality), None) or next(iter(offices))
    officer, second = [one for one in await house.officers.all() if one.office == office.id][:2]
    desk, kind = house.desk, next(one.id for one in house.country.documents.values() if one.issued_here)
    found = await desk.find_by_number(officer, Reason.APPLICATION, who.number.written)
    case = await desk.open_case(officer, found.people[0].look, Task.ISSUE, kind)
    await desk.record_card(officer, case, number=True, photo=True, undamaged=True)
    await desk.two_officers(officer, case, second, Why.OTHER)  # their phones' cameras are gone with their phones
    await desk.file(officer, case)
    await desk.open_offer(officer, case)
    screen = (await desk.live(officer, case)).screen
    if screen is not None:
        await phone.receive(screen.uri)
    await desk.live(officer, case)


def _earlier(country: Country, since: date) -> Country:
    """The same country, whose documents have been issued everywhere since that day."""
    phases = tuple(msgspec.structs.replace(phase, starts=since) for phase in country.phases[-1:])
    return msgspec.structs.replace(country, phases=phases)
