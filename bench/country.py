"""The load: officers, wallets and tills against the demo country in a process of its own, over HTTP on the loopback.

Only the server's CPU time is counted, so the Python wallets may be as slow as they like. Enrolling the phones is not
part of either figure.
"""

from __future__ import annotations

import asyncio
import re
import statistics
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import httpx

from bench import profile
from bench.harness import Effort, Figure, Measured, Raw, cpu_of, cpu_of_process
from bench.server import profiled, running
from browserless import Browser, Page
from mapae.catalog import Country, parse_country
from mapae.clock import SystemClock
from mapae.config import country_tree
from mapae.holder import MemoryStore, Person, Wallet
from mapae.registers.people import parse_people
from mapae.registers.values import Resident

T = TypeVar("T")
LANES = 4  # visits at a time
ISSUED = 20  # copies in one visit: ten of each format
PROOFS = 11  # the least: wallet attestation and its proof, five DPoP proofs, two key proofs with their attestations
SHOP, PURPOSE = "guest_house", "name_birth_date"


@dataclass
class Citizen:
    wallet: Wallet
    resident: Resident
    offer: str = ""


class Town:
    """Everybody who is not the server."""

    def __init__(self, base: str, http: httpx.AsyncClient, people: list[Resident]) -> None:
        self.base, self._http = base, http
        self._people = iter(people)
        self._office = ""
        self._officers: list[Browser] = []
        self._tills: list[Browser] = []

    @classmethod
    async def open(cls, base: str, http: httpx.AsyncClient, residents: int) -> Town:
        office, people = neighbours(korea(), residents)
        town = cls(base, http, people)
        town._office = office
        for _ in range(LANES):
            town._officers.append(await town._officer())
            town._tills.append(await town._till())
        return town

    async def _officer(self) -> Browser:
        browser = Browser(self._http, self.base, "en")
        await browser.post(await browser.get("/desk/sign-in"), "/desk/sign-in/demo", officer=f"officer-{self._office}")
        return browser

    async def _till(self) -> Browser:
        shops = (await self._http.get(f"{self.base}/demo.json")).json()["shops"]
        code = next(shop["code"] for shop in shops if shop["id"] == SHOP)
        browser = Browser(self._http, self.base, "en")
        await browser.post(await browser.get(f"/checker/?code={code}"), "/checker/till", code=code)
        return browser

    # --- people ---

    async def enrol(self, count: int) -> list[Citizen]:
        """So many people with a registered phone, whose portrait is on record."""
        citizens = [await self._enrol(next(self._people)) for _ in range(count)]
        for citizen in citizens:
            await self.look(0, citizen)
        return citizens

    async def _enrol(self, who: Resident) -> Citizen:
        phone = who.phones[0]

        async def read_code(check: Any) -> str:
            inbox = await self._http.get(f"{self.base}/carrier/inbox.json", params={"phone": phone})
            found = re.search(r"\b(\d{6})\b", inbox.json()["messages"][0]["text"])
            if found is None:
                raise AssertionError("no code came")
            return found[1]

        wallet = Wallet(self._http, self.base, store=MemoryStore())
        standing = await wallet.identify(Person(who.name, who.number.written, phone), read_code)
        if standing.state != "active":
            raise AssertionError(f"the phone is {standing.state}")
        return Citizen(wallet, who)

    # --- the counter ---

    async def look(self, lane: int, citizen: Citizen) -> Page:
        """The officer finds the person. The simulated register draws a portrait when it is first looked at."""
        officer = self._officers[lane]
        page = await officer.post(
            await officer.get("/desk/search"), "/desk/search", reason="application",
            resident_number=citizen.resident.number.written,
        )  # fmt: skip
        return await officer.get(next(tag.attributes["href"] for tag in page.tags if "data-person" in tag.attributes))

    async def visit(self, lane: int, citizen: Citizen) -> None:
        """The officer's half: find the person, record both checks, file, show the QR."""
        officer = self._officers[lane]
        page = await officer.post(await self.look(lane, citizen), "/desk/cases", task="issue", kind="resident_card")
        page = await officer.post(page, "/card", number="yes", photo="yes", undamaged="yes")
        page = await officer.get(page.url.removeprefix(self.base) + "?route=officers")
        page = await officer.post(page, "/officers/demo", officer=f"officer-{self._office}-2", why="eyes", same="yes")
        page = await officer.post(page, "/file")
        page = await officer.post(page, "/offer")
        citizen.offer = page["offer-uri"].attributes["value"]

    async def receive(self, lane: int, citizen: Citizen) -> None:
        """The wallet's half: scan, token, two batches of ten, acknowledged."""
        cards = await citizen.wallet.receive(citizen.offer)
        if sum(len(card.copies) for card in cards) != ISSUED:
            raise AssertionError("not every copy came")

    # --- the shop ---

    async def check(self, lane: int, citizen: Citizen, form: str) -> None:
        """A whole check: the till asks, the wallet shows, the till reads the verdict and clears it."""
        till = self._tills[lane]
        page = await till.post(await till.get("/checker/"), "/checker/checks", purpose=PURPOSE, form=form)
        wallet = citizen.wallet
        await wallet.present(await wallet.open_request(page["qr"].attributes["data-request"]))
        verdict = await till.get(_path(page, self.base))
        if verdict["verdict"].attributes["data-outcome"] != "accepted":
            raise AssertionError(f"not accepted: {verdict.text[:300]}")
        await till.post(verdict, "/done")

    async def lanes(self, work: Callable[[int, Citizen], Awaitable[None]], citizens: Iterable[Citizen]) -> None:
        """Each citizen once, so many at a time as there are lanes."""
        waiting = iter(citizens)

        async def lane(number: int) -> None:
            for citizen in waiting:
                await work(number, citizen)

        await asyncio.gather(*(lane(number) for number in range(LANES)))


def _path(page: Page, base: str) -> str:
    return page.url.removeprefix(base)


def korea() -> Country:
    return parse_country(country_tree("kr"))


def neighbours(country: Country, residents: int) -> tuple[str, list[Resident]]:
    """An office, and people of its municipality with nothing odd about them."""
    today = country.today(SystemClock().now())
    people = parse_people(country_tree("kr"), country)
    crowd = [*people.residents(count=residents, seed="mapae", today=today)]
    crowd += [named.resident for named in people.named(today) if not named.story][:3]
    by_town: dict[str, list[Resident]] = {}
    for who in crowd:
        if _plain(who, today.year):
            by_town.setdefault(who.municipality, []).append(who)
    offices = [office for office in country.offices.values() if office.municipality in by_town]
    office = max(offices, key=lambda office: len(by_town[office.municipality]))
    return office.id, by_town[office.municipality]


def _plain(who: Resident, year: int) -> bool:
    if who.nationality != "KOR" or who.deceased_on or not who.phones or who.card is None or who.photo_taken is None:
        return False
    grown = 20 <= year - who.number.birth_date.year <= 90
    return grown and who.card.state == "valid" and year - who.photo_taken.year < 9


# --- measuring --------------------------------------------------------------------------------------------------------


class Meter:
    """The server's CPU seconds for one piece of work, in turn with the raw limit."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.limits: list[float] = []
        self.costs: list[float] = []

    async def round(self, limit: Callable[[], object], work: Awaitable[None], count: int) -> None:
        self.limits.append(cpu_of(limit, max(count, 3)))
        before = cpu_of_process(self._pid)
        await work
        self.costs.append((cpu_of_process(self._pid) - before) / count)

    def figure(self, name: str, against: str, **more: Any) -> Figure:
        measured = Measured.of(self.limits, self.costs)
        return Figure("over HTTP", name, measured.ratio, against, statistics.median(self.limits), measured.cost, **more)


def figures(raw: Raw, effort: Effort) -> list[Figure]:
    with TemporaryDirectory(prefix="mapae-bench-") as folder:
        file = Path(folder) / "profile"
        with running(Path(folder) / "var", max(effort.residents * 2, 400), file) as (base, pid):
            return asyncio.run(_figures(raw, effort, base, pid, file))


async def _figures(raw: Raw, effort: Effort, base: str, pid: int, file: Path) -> list[Figure]:
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        town = await Town.open(base, http, max(effort.residents * 2, 400))
        citizens, counters = await _counters(raw, effort, town, pid, file)
        return [*counters, *await _shops(raw, effort, town, pid, file, citizens)]


async def _counters(raw: Raw, effort: Effort, town: Town, pid: int, file: Path) -> tuple[list[Citizen], list[Figure]]:
    count = effort.visits
    desk, wallet = Meter(pid), Meter(pid)
    limit = raw.work(signs=ISSUED, verifies=PROOFS)
    everybody: list[Citizen] = []
    for _ in range(effort.http_rounds):
        citizens = await town.enrol(count)
        await desk.round(limit, town.lanes(town.visit, citizens), count)
        await wallet.round(limit, town.lanes(town.receive, citizens), count)
        everybody += citizens
    whole = Meter(pid)
    whole.limits = [(one + other) / 2 for one, other in zip(desk.limits, wallet.limits, strict=True)]
    whole.costs = [one + other for one, other in zip(desk.costs, wallet.costs, strict=True)]
    extra = await town.enrol(count)
    stats = await _profile(pid, file, lambda: _both(town, extra))
    against = f"{ISSUED} raw signs + {PROOFS} proof verifies"
    said = f"{_work_counted(stats, count)}; the officer's pages cost {_ms(desk)}, the wallet's requests {_ms(wallet)}"
    half = "offer, token, nonces, attestations, two credential requests, two notifications"
    return [*everybody, *extra], [
        whole.figure("counter issuance, officer and wallet", against, note=said, parts=profile.shares(stats, most=8)),
        wallet.figure("counter issuance, the wallet's half", against, note=half),
    ]


async def _both(town: Town, citizens: list[Citizen]) -> None:
    await town.lanes(town.visit, citizens)
    await town.lanes(town.receive, citizens)


async def _shops(
    raw: Raw, effort: Effort, town: Town, pid: int, file: Path, citizens: list[Citizen]
) -> list[Figure]:  # fmt: skip
    limit = raw.work(verifies=2, agreements=1)
    found = []
    for form, name in (("sd_jwt", "SD-JWT VC"), ("mdoc", "mdoc")):
        customers = citizens[: effort.visits * 2]

        async def check(lane: int, citizen: Citizen, form: str = form) -> None:
            await town.check(lane, citizen, form)

        meter = Meter(pid)
        await town.lanes(check, citizens[:1])
        for _ in range(min(effort.http_rounds, 7)):
            await meter.round(limit, town.lanes(check, customers), len(customers))
        stats = await _profile(pid, file, lambda check=check, some=customers: town.lanes(check, some))  # type: ignore[misc]
        found.append(
            meter.figure(
                f"shop check, {name}", "2 raw verifies + 1 ECDH", parts=profile.shares(stats, most=8),
                note=f"{_work_counted(stats, len(customers))}; the till's four pages included",
            )
        )  # fmt: skip
    return found


async def _profile(pid: int, file: Path, work: Callable[[], Awaitable[None]]) -> Any:
    profiled(pid, file)
    await work()
    profiled(pid, file)
    for _ in range(1000):
        if file.exists():
            return profile.read(file)
        await asyncio.sleep(timedelta(milliseconds=10).total_seconds())
    raise RuntimeError("the server wrote no profile")


def _work_counted(stats: Any, count: int) -> str:
    """What the server's profile really counted, for one visit."""
    kinds = (
        ("sign", "'sign' of 'cryptography"),
        ("verify", "'verify' of 'cryptography"),
        ("ECDH", "'exchange' of 'cryptography"),
    )
    counted = [(kind, profile.calls(stats, name) / count) for kind, name in kinds]
    return "the server did " + ", ".join(f"{calls:.1f} {kind}" for kind, calls in counted if calls)


def _ms(meter: Meter) -> str:
    return f"{statistics.median(meter.costs) * 1e3:.0f} ms"
