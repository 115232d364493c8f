"""A small country for tests: every role over its HTTP interfaces, on the movable clock.

The house runs on its own event loop in a thread, so that tests read as sentences. Nothing inside is patched: people act
through the wallet engine and through the same pages a browser would use.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from anyio.from_thread import BlockingPortal

from browserless import Browser, Page
from mapae.app import open_house
from mapae.clock import MovableClock, SystemDice
from mapae.config import Settings
from mapae.demo import Demo, demo_settings, found
from mapae.holder import MemoryStore, Person, Wallet
from mapae.holder.face import Camera
from mapae.house import House
from mapae.registers.people import Named
from mapae.trust.pack.keep import Keeper
from mapae.verifier.checking.kit import Pack, open_pack

T = TypeVar("T")
BASE = "http://localhost:8080"
CODE = r"(?<!\d)(\d{4,10})(?!\d)"  # however many digits the country's codes have
START = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)  # noon in Seoul, after the nationwide start


async def _build(settings: Settings, clock: MovableClock) -> House:
    return await open_house(settings, clock=clock, founding=found, more=lambda house: Demo(house).routes(), rates=False)


class Town:
    """Open it with `Town.open(portal, ...)`; `close()` ends it."""

    def __init__(self, portal: BlockingPortal, house: House, clock: MovableClock) -> None:
        self.portal, self.house, self.clock = portal, house, clock
        self.demo = Demo(house)

    @classmethod
    def open(
        cls, portal: BlockingPortal, data: Path, *, database: str = "", start: datetime = START, country: str = "kr",
        residents: int = 0, keys: dict[str, str] | None = None, face_verifier: str = "dlib",
    ) -> Town:  # fmt: skip
        clock = MovableClock(start)
        settings = demo_settings(
            base_url=BASE, data=str(data), database=database, country=country, keys=keys or {},
            face_verifier=face_verifier,
        )  # fmt: skip
        house = portal.call(_build, settings, clock)

        async def seed() -> int:
            return await Demo(house).seed(residents=residents)

        portal.call(seed)
        return cls(portal, house, clock)

    def restart(self) -> None:
        """Every process is started again on the same data."""
        self.call(self.house.close)
        self.house = self.call(_build, self.house.settings, self.clock)
        self.demo = Demo(self.house)

    def close(self) -> None:
        self.call(self.house.close)

    def call(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        return self.portal.call(work, *args)

    def settle(self) -> None:
        """Let every promise that is due be kept: outboxes, and what roles do every few seconds."""
        self.call(self.house.settle)

    def named(self, key: str) -> Named:
        return next(named for named in self.demo.people if named.key == key)

    @property
    def first(self) -> str:
        """Key of the citizen of the happy path."""
        return self.demo.people[0].key

    def citizen(self, key: str = "", *, phone: int = 0) -> Citizen:
        return Citizen(self, self.named(key or self.first), phone)

    def officer(self, office: str = "", language: str = "en") -> Officer:
        officer = Officer(self, office or next(iter(self.house.country.offices)), language)
        officer.sign_in()
        return officer

    def till(self, shop: str = "guest_house", language: str = "en") -> Till:
        till = Till(self, language)
        till.enrol(shop)
        return till

    def browser(self, language: str = "en") -> Browser:
        return Browser(self.house.foundation.http, BASE, language)

    def pack(self, folder: Path, *, turns_of: int = 10) -> Pack:
        """What a checker fetches, three turns on: the lists are anchored, the log's head cosigned, the pack of both."""
        for _ in range(3):
            self.clock.advance(minutes=turns_of)
            self.call(self.house.turn)
        self.call(Keeper(folder).fetch, self.house.foundation.http, BASE)
        return open_pack(folder)

    def get_json(self, path: str) -> Any:
        answer = self.call(self.house.foundation.http.get, BASE + path)
        return msgspec.json.decode(answer.content)

    def code_sent_to(self, phone: str) -> str:
        """The one-time code in the newest text message to this number."""
        messages = self.get_json(f"/carrier/inbox.json?phone={phone}")["messages"]
        found = re.search(CODE, messages[0]["text"])
        assert found, messages[0]
        return found[1]

    def office_of(self, citizen: Citizen) -> str:
        """An office of the citizen's own municipality, or any."""
        offices = self.house.country.offices.values()
        own = [office.id for office in offices if office.municipality == citizen.named.resident.municipality]
        return own[0] if own else next(iter(self.house.country.offices))


@dataclass
class Citizen:
    """A person with a phone. `phone` chooses among the numbers the person has."""

    town: Town
    named: Named
    phone: int = 0
    camera: Camera | None = None

    def __post_init__(self) -> None:
        self.store = MemoryStore()
        self.wallet = self._wallet()
        self.number = self.named.resident.phones[self.phone]
        self.person = Person(self.named.resident.name, self.named.resident.number.written, self.number)

    def _wallet(self) -> Wallet:
        house = self.town.house
        return Wallet(
            house.foundation.http, BASE, store=self.store, clock=self.town.clock, dice=SystemDice(), camera=self.camera
        )  # fmt: skip

    def new_phone(self) -> Citizen:
        return Citizen(self.town, self.named, self.phone)

    def restart(self) -> None:
        """The phone's process dies; only what was stored is left."""
        self.wallet = self._wallet()

    def enrol(self) -> str:
        """Identity check and registration; the device's state."""

        async def read_code(check: Any) -> str:
            answer = await self.town.house.foundation.http.get(f"{BASE}/carrier/inbox.json?phone={self.number}")
            found = re.search(CODE, answer.json()["messages"][0]["text"])
            assert found
            return found[1]

        standing = self.town.call(self.wallet.identify, self.person, read_code)
        return str(standing.state)

    def receive(self, offer: str) -> Any:
        return self.town.call(self.wallet.receive, offer)

    def resume(self) -> Any:
        """What was deferred is asked for again, when it may be; the cards there are then."""
        self.town.clock.advance(seconds=5)
        self.town.call(self.wallet.resume)
        return self.wallet.cards

    def obtain(self, officer: Officer | None = None) -> Any:
        """The whole counter story: phone, visit, QR, card."""
        state = self.enrol()
        assert state == "active", state
        officer = officer or self.town.officer(self.town.office_of(self))
        cards = self.receive(officer.offer_for(self))
        officer.case()  # the officer sees it arrive
        self.town.settle()
        return cards

    def show(self, qr: str) -> Any:
        asked = self.town.call(self.wallet.open_request, qr)
        return self.town.call(self.wallet.present, asked)

    def report_phone_lost(self) -> Page:
        """On the citizen portal, as the pages ask it."""
        self.town.clock.advance(seconds=2)  # so that the newest text message is the newest
        browser = self.town.browser()
        who = self.named.resident
        start = self.town.call(browser.get, "/portal/check")
        sent = self.town.call(
            lambda: browser.post(
                start, "/portal/check", name=who.name, resident_number=who.number.written, phone=self.number
            )
        )
        code = self.town.code_sent_to(self.number)
        self.town.call(lambda: browser.post(sent, "/portal/code", code=code))
        confirm = self.town.call(browser.get, "/portal/lost")
        done = self.town.call(lambda: browser.post(confirm, "/portal/lost", sure="yes"))
        self.town.settle()
        return done


class Visitor:
    """Somebody in front of our pages, without script; `page` is the one in front of them."""

    def __init__(self, town: Town, language: str) -> None:
        self.town = town
        self.browser = town.browser(language)
        self.page: Page | None = None

    def go(self, path: str) -> Page:
        self.page = self.town.call(self.browser.get, path)
        return self.page

    def do(self, action_ends: str, **fields: str) -> Page:
        assert self.page is not None
        page = self.page
        self.page = self.town.call(lambda: self.browser.post(page, action_ends, **fields))
        return self.page


class Officer(Visitor):
    """Somebody at the desk."""

    def __init__(self, town: Town, office: str, language: str) -> None:
        super().__init__(town, language)
        self.office = office

    def sign_in(self) -> Page:
        self.go("/desk/sign-in")
        return self.do("/desk/sign-in/demo", officer=f"officer-{self.office}")

    def find(self, citizen: Citizen, reason: str = "application") -> Page:
        self.go("/desk/search")
        self.do("/desk/search", reason=reason, resident_number=citizen.named.resident.number.written)
        assert self.page is not None
        hit = next((tag for tag in self.page.tags if "data-person" in tag.attributes), None)
        assert hit is not None, self.page.text[:1500]
        return self.go(hit.attributes["href"])

    def open_case(self, citizen: Citizen, task: str = "issue") -> Page:
        self.find(citizen, "application" if task == "issue" else "release")
        return self.do("/desk/cases", task=task, kind="resident_card")

    def file(self, citizen: Citizen) -> Page:
        """Open a case, record both checks and file the application."""
        self.open_case(citizen)
        self.do("/card", number="yes", photo="yes", undamaged="yes")
        self.compare()
        return self.do("/file")

    def offer_before_the_face(self, citizen: Citizen) -> str:
        """The card in hand, filed, and the QR: the face comes after it, by phone."""
        self.open_case(citizen)
        self.do("/card", number="yes", photo="yes", undamaged="yes")
        self.do("/file")
        return self.offer()

    def compare(self, why: str = "eyes") -> Page:
        """The face: where the country has face rules, two officers of this office in a machine's place."""
        assert self.page is not None
        two = any("route=officers" in tag.attributes.get("href", "") for tag in self.page.tags)
        return self.second_officer(why) if two else self.do("/face", same="yes")

    def second_officer(self, why: str = "eyes", second: str = "") -> Page:
        """A colleague confirms with a passkey of their own, on the same screen."""
        assert self.page is not None
        self.go(urlsplit(self.page.url).path + "?route=officers")
        return self.do("/officers/demo", officer=second or f"officer-{self.office}-2", why=why, same="yes")

    def offer(self) -> str:
        """A new one-time QR in the open case; its text."""
        page = self.do("/offer")
        return page["offer-uri"].attributes["value"]

    def offer_for(self, citizen: Citizen) -> str:
        self.file(citizen)
        return self.offer()

    def case(self) -> Page:
        """The case's page again."""
        assert self.page is not None
        return self.go(self.page.url.removeprefix(BASE))


class Till(Visitor):
    """A shop's checker."""

    def enrol(self, shop: str) -> None:
        code = next(one["code"] for one in self.town.get_json("/demo.json")["shops"] if one["id"] == shop)
        self.go(f"/checker/?code={code}")
        self.do("/checker/till", code=code)

    def ask(self, purpose: str, form: str = "either") -> str:
        """Open a check; the text of its QR."""
        self.go("/checker/")
        page = self.do("/checker/checks", purpose=purpose, form=form)
        tag = page["qr"]
        return tag.attributes["data-request"]

    def verdict(self) -> dict[str, str]:
        """outcome, step and code of the open check."""
        assert self.page is not None
        page = self.go(self.page.url.removeprefix(BASE))
        tag = page["verdict"]
        return {
            name: tag.attributes[f"data-{name}"]
            for name in ("outcome", "step", "code")
            if tag.attributes.get(f"data-{name}")
        }

    def check(self, citizen: Citizen, purpose: str, form: str = "either") -> dict[str, str]:
        citizen.show(self.ask(purpose, form))
        return self.verdict()
