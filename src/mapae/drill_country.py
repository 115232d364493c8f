"""A country for drills: fresh, on a movable clock, in three processes' worth of houses that lines connect.

Promises: roles, keys, databases, log and witnesses are those of any installation; issuer and trust log run apart from
the rest, as in a data centre of their own, so that lines to them can be cut. Trusts: nobody in it is real. Keeps:
everything in the folder it is given. Refuses: nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Final

import httpx
import msgspec

from .ages import age_on
from .app import open_house
from .catalog import Country, Purpose, parse_country
from .clock import MovableClock
from .config import Settings, country_tree
from .demo import Demo, demo_settings, found, shops
from .demo_lives import phone_of, visit
from .drill_lines import Lines, Part
from .errors import Code, Refused
from .holder import Wallet
from .holder.presentation import Asked
from .house import House
from .registers.people import parse_people
from .registers.values import Resident
from .verifier.asking.store import Till, Verdict

BASE: Final = "http://localhost:8080"
GROUPS: Final[Mapping[Part, tuple[str, ...]]] = {  # which roles run together, and whose line they are on
    Part.LOG: ("trust",),
    Part.ISSUER: ("issuer",),
    Part.REST: ("registers", "wallet_provider", "verifier"),
}


@dataclass
class Citizen:
    """Somebody with a card on a phone."""

    who: Resident
    wallet: Wallet
    person: str  # her id in the register


@dataclass
class Counter:
    """A shop's till that asks one purpose."""

    till: Till
    purpose: Purpose
    open: str = ""  # the question on its screen


class World:
    """Open it with `World.make`; `close()` ends it."""

    def __init__(self, settings: Settings, country: Country, clock: MovableClock, lines: Lines) -> None:
        self.settings, self.country, self.clock, self.lines = settings, country, clock, lines
        self.issuer: House
        self.log: House
        self.rest: House

    @classmethod
    async def make(
        cls, data: str, country: str, database: str = "", lines: Lines | None = None, *, base: str = BASE,
        clock: MovableClock | None = None,
    ) -> World:  # fmt: skip
        """Found the country with everything in one house, as any installation is, and part it."""
        settings = demo_settings(base_url=base, data=data, country=country, database=database)
        pack = parse_country(country_tree(country))
        nationwide = max(phase.starts for phase in pack.phases) if pack.phases else date(2026, 1, 1)
        start = datetime.combine(nationwide, time(3), UTC) + timedelta(days=90)
        world = cls(settings, pack, clock or MovableClock(start), lines or Lines())
        whole = await open_house(settings, clock=world.clock, founding=found, rates=False)
        await Demo(whole).seed(residents=0)
        await whole.turn()
        await whole.close()
        for part in GROUPS:
            await world.start(part)
        return world

    async def start(self, part: Part) -> None:
        """The process of this part, on what is on disk."""
        roles = GROUPS[part]
        own = msgspec.structs.replace(self.settings, roles=roles)
        house = await open_house(own, clock=self.clock, rates=False, line=self.lines.of(part))
        self.lines.houses |= dict.fromkeys(roles, house)
        match part:
            case Part.ISSUER:
                self.issuer = house
            case Part.LOG:
                self.log = house
            case _:
                self.rest = house

    @property
    def houses(self) -> tuple[House, ...]:
        """In the order in which news travels."""
        return self.issuer, self.log, self.rest

    async def close(self) -> None:
        for house in self.houses:
            await house.close()

    async def live(self, by: timedelta) -> None:
        """Let time pass, and everybody do what is due: twice, for what one part says another hears only then."""
        self.clock.advance(by)
        for _ in range(2):
            for house in self.houses:
                await house.turn()

    def http(self, source: Part) -> httpx.AsyncClient:
        """Somebody's way to everybody else."""
        return httpx.AsyncClient(transport=self.lines.of(source), base_url=self.settings.base_url, timeout=10)

    # --- people -------------------------------------------------------------------------------------------------------

    async def people(self, count: int) -> list[Resident]:
        """So many adults whom any office would give a card, in the register."""
        today = self.country.today(self.clock.now())
        crowd = parse_people(country_tree(self.settings.country), self.country).residents(
            count=1000, seed="drill", today=today
        )
        fit = [who for who in islice(crowd, 400) if self._is_ordinary(who)][:count]
        await self.rest.population.load(fit)
        return fit

    def _is_ordinary(self, who: Resident) -> bool:
        today, card = self.country.today(self.clock.now()), who.card
        if card is None or card.state != "valid" or not who.phones or who.guardian or who.deceased_on:
            return False
        grown_up = 25 <= age_on(who.number.birth_date, today, "02-28") <= 80
        return grown_up and (today - card.issued).days < 365

    async def citizen(self, who: Resident) -> Citizen:
        """A phone, a visit to the counter, a card."""
        phone = await phone_of(self.http(Part.PEOPLE), self.settings.base_url, self.clock, who)
        await visit(self.issuer, who, phone)
        hits = await self.rest.population.search(resident_number=who.number.written)
        return Citizen(who, phone, hits.hits[0].person)

    async def counter(self, purpose: Purpose) -> Counter:
        """A till of the first shop that may ask this."""
        asking = [id for id, shop in shops(self.settings.country).items() if purpose.id in shop.purposes]
        invitation = await self.rest.verifier.invite(asking[0])
        till, _ = await self.rest.verifier.enrol(invitation.code)
        return Counter(till, purpose)

    async def asked(self, counter: Counter, citizen: Citizen) -> Asked:
        """A till's question as it is on the phone."""
        verifier = self.rest.verifier
        counter.open = await verifier.open(counter.till, counter.purpose.id)
        session = await verifier.questions.of(counter.till.id, counter.open)
        return await citizen.wallet.open_request(verifier.questions.link(session))

    async def check(self, counter: Counter, citizen: Citizen) -> Verdict:
        """One customer at the till. Raises Refused where no question gets as far as a verdict."""
        await citizen.wallet.present(await self.asked(counter, citizen))
        verdict = (await self.rest.verifier.questions.of(counter.till.id, counter.open)).verdict
        if verdict is None:
            raise Refused(Code.UNAVAILABLE, "the question has no verdict")
        return verdict

    def purposes(self) -> dict[str, Purpose]:
        """One purpose of each kind that the country pack has: a yes or no at low risk, a name, a high risk."""
        verifier = self.rest.verifier
        kinds: dict[str, Purpose] = {}
        for purpose in self.country.purposes.values():
            if purpose.risk == "low" and verifier.yes_or_no(purpose):
                kinds.setdefault("yes or no", purpose)
            elif purpose.risk == "medium" and not verifier.yes_or_no(purpose):
                kinds.setdefault("name", purpose)
            elif purpose.risk == "high":
                kinds.setdefault("payment", purpose)
        return kinds
