"""A small world around the desk: a register, a wallet provider and an issuer that do as they are told.

They stand in for other roles, not for the desk's own parts: database, doors, pages and passkeys are the real ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx

from mapae.audit import Event, record
from mapae.catalog import Country, parse_country
from mapae.clock import MovableClock, SeededDice
from mapae.config import country_tree
from mapae.db import Db, Tx
from mapae.errors import Code, Refused
from mapae.issuer import desk_web
from mapae.issuer import soft_authenticator as soft
from mapae.issuer.desk import Desk
from mapae.issuer.desk_store import Task
from mapae.issuer.desk_values import Reason
from mapae.issuer.evidence import Evidence, Need, Purpose, Why, missing, must_suffice, must_suffice_to_offer
from mapae.issuer.officers import Officer, Officers, Site
from mapae.issuer.order import Holding, Offer, OfferEvent, Order, What
from mapae.keys import Signer, Vault
from mapae.registers.values import ClaimSet, Hit, Hits, Person, PhysicalCard
from mapae.ui.site import application

ORIGIN = "http://mapae.test"
START = datetime(2025, 3, 3, 1, tzinfo=UTC)  # 10 in the morning in Seoul, after the pilot
KIM = Officer("officer-kim", "김하늘", "")
LEE = Officer("officer-lee", "이도윤", "")
PARK = Officer("officer-park", "박서연", "")


def country() -> Country:
    return parse_country(country_tree("kr"))


def person(id: str = "p-jisoo", **change: Any) -> Person:
    known = Person(
        person=id, name="한지수", name_latin="Han Jisoo", former_names=(), birth_date=date(2001, 3, 9), sex="female",
        nationality="KOR", citizen=True, number_masked="010309-4******", municipality="goyang",
        address="경기도 고양시 덕양구 고양시청로 10", moved_in=None, deceased_on=None, guardian=None,
        card=PhysicalCard(number="A1234567", issued=date(2022, 1, 5), kind="plastic", state="valid"),
        photo_taken=date(2022, 1, 3), photo=b"",
    )  # fmt: skip
    fields = {name: getattr(known, name) for name in Person.__struct_fields__}
    return Person(**(fields | change))


class Register:
    """The population register."""

    def __init__(self, *people: Person) -> None:
        self.people = {one.person: one for one in people}
        self.numbers = {"010309-4123456": "p-jisoo"}

    async def search(self, *, name: str = "", birth_date: date | None = None, resident_number: str = "") -> Hits:
        if resident_number:
            if len(resident_number) < 13:
                raise Refused(Code.MALFORMED, "not a resident number")
            found = [one for one in self.people.values() if one.person == self.numbers.get(resident_number)]
        else:
            found = [one for one in self.people.values() if (one.name, one.birth_date) == (name, birth_date)]
        return Hits(hits=tuple(_hit(one) for one in found), more=False)

    async def get(self, person: str) -> Person:
        try:
            return self.people[person]
        except KeyError:
            raise Refused(Code.NOT_FOUND, "no such person") from None

    async def claims(self, person: str) -> ClaimSet:
        raise NotImplementedError


def _hit(one: Person) -> Hit:
    return Hit(
        person=one.person, name=one.name, birth_date=one.birth_date, sex=one.sex, municipality=one.municipality,
        number_masked=one.number_masked, deceased=one.deceased_on is not None,
    )  # fmt: skip


class Phones:
    """The wallet provider's peer doors."""

    def __init__(self) -> None:
        self.active: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def give(
        self, person: str, device: str | None = "phone-1", state: str = "active", waiting: tuple[str, ...] = ()
    ) -> None:
        self.active[person] = {
            "device_id": device, "state": state if device else None, "reason": None, "since": int(START.timestamp()),
            "waiting": [{"device_id": one, "platform": "android", "since": int(START.timestamp())} for one in waiting],
        }  # fmt: skip

    async def call(self, role: str, path: str, message: Mapping[str, Any]) -> dict[str, Any]:
        assert role == "wallet_provider"
        self.calls.append((path.rsplit("/", 1)[-1], dict(message)))
        person = str(message["person"])
        held = self.active.get(person, {"device_id": None, "state": None, "reason": None, "since": None, "waiting": []})
        match path.rsplit("/", 1)[-1]:
            case "active":
                return held
            case "move":
                if message.get("old", held["device_id"]) != held["device_id"]:
                    raise Refused(Code.CONFLICT, "another phone is active by now")
                self.give(person, str(message["device_id"]))
                return {"device_id": message["device_id"], "ended": held["device_id"]}
        raise AssertionError(path)


class FakeIssuer:
    """The issuer's desk side; the test says what wallets did with the QR."""

    def __init__(self, db: Db, clock: MovableClock) -> None:
        self.db = db
        self.clock = clock
        self.orders: list[Order] = []
        self.events: dict[str, list[OfferEvent]] = {}
        self.held: dict[str, list[Holding]] = {}
        self.done: list[tuple[str, str]] = []
        self.needs: dict[str, tuple[Need, ...]] = {}
        self.country = country()

    async def open_offer(self, order: Order) -> Offer:
        must_suffice_to_offer(Purpose.ISSUE, order.evidence, self.clock.now(), self.country.face)
        self.orders.append(order)
        self.happen(order.case_id, "opened")
        id = f"offer-{len(self.orders)}"
        uri = f"openid-credential-offer://?credential_offer_uri={ORIGIN}/issuer/offers/{id}"
        return Offer(id, uri, self.clock.now() + timedelta(seconds=180))

    async def settle_needs(self, tx: Tx, kind: str, case_id: str, evidence: tuple[Evidence, ...]) -> None:
        self.needs[case_id] = missing(Purpose.ISSUE, evidence, self.clock.now(), self.country.face)

    async def wallet_of(self, case_id: str) -> str:
        return ""

    async def tell(self, tx: Tx, case_id: str, what: What, detail: str) -> None:
        self.events.setdefault(case_id, []).append(OfferEvent(self.clock.now(), what.value, detail))

    async def cancel_offer(self, case_id: str) -> None:
        self.happen(case_id, "cancelled")

    async def offer_events(self, case_id: str) -> list[OfferEvent]:
        return list(self.events.get(case_id, []))

    def happen(self, case_id: str, what: str) -> None:
        self.events.setdefault(case_id, []).append(OfferEvent(self.clock.now(), what, ""))

    async def holdings(self, person: str) -> list[Holding]:
        return list(self.held.get(person, []))

    def hold(self, person: str, state: str = "valid", expires: date = date(2028, 3, 2)) -> None:
        self.held[person] = [Holding("resident_card", state, date(2025, 3, 3), expires, "order-1")]

    async def lock(self, person: str, reason: str, actor: str) -> int:
        return await self._all(person, "lock", ("valid",), "suspended")

    async def release(self, person: str, actor: str, evidence: tuple[Evidence, ...]) -> int:
        must_suffice(Purpose.RELEASE, evidence, self.clock.now())
        return await self._all(person, "release", ("suspended",), "valid")

    async def end(self, person: str, reason: str, actor: str) -> int:
        return await self._all(person, "end." + reason, ("valid", "suspended"), "ended")

    async def renew(self, person: str, reason: str, actor: str) -> int:
        self.done.append((person, "renew." + reason))
        return len(self.held.get(person, []))

    async def _all(self, person: str, deed: str, of: tuple[str, ...], to: str) -> int:
        self.done.append((person, deed))
        action = {"lock": "locked", "release": "released"}.get(deed, "ended")
        await self.db.write(lambda tx: record(tx, Event(person, "documents", action, "test"), self.clock.now()))
        held = self.held.get(person, [])
        self.held[person] = [replace(one, state=to) if one.state in of else one for one in held]
        return len(held)


class DeskWorld:
    """Two offices, three officers with software passkeys, one register."""

    def __init__(self, db: Db) -> None:
        self.db = db
        self.clock = MovableClock(START)
        self.dice = SeededDice("desk")
        self.country = country()
        goyang = next(id for id, office in self.country.offices.items() if office.municipality == "goyang")
        other = next(id for id, office in self.country.offices.items() if office.municipality != "goyang")
        self.kim, self.lee, self.park = (
            replace(KIM, office=goyang),
            replace(LEE, office=goyang),
            replace(PARK, office=other),
        )
        self.register = Register(person())
        self.phones = Phones()
        self.phones.give("p-jisoo")
        self.issuer = FakeIssuer(db, self.clock)
        self.officers = Officers(db, self.clock, self.dice, Site("mapae.test", "mapae desk", ORIGIN))
        self.desk = Desk(
            db, self.clock, self.dice, Vault(b"k" * 32), self.country, self.register, self.phones, self.issuer
        )
        self.keys = {officer.id: Signer.ephemeral() for officer in (self.kim, self.lee, self.park)}
        demo = desk_web.DemoAuthenticator(
            ORIGIN + "/demo/authenticator", httpx.AsyncClient(transport=httpx.MockTransport(self._authenticator))
        )
        self.app = application(desk_web.routes(self.desk, self.officers, demo), clock=self.clock, demo=True)

    async def enrol(self) -> None:
        for officer in (self.kim, self.lee, self.park):
            await self.officers.appoint(officer)
            knock, options = await self.officers.begin_passkey(officer.id)
            made = soft.make(self.keys[officer.id], options, ORIGIN)
            await self.officers.add_passkey(officer.id, knock, json.dumps(made), "desk")

    def _authenticator(self, request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        key = self.keys.get(asked["officer"])
        if key is None:
            return httpx.Response(404, json={"error": "not_found"})
        return httpx.Response(200, json=soft.assert_(key, asked["options"], asked["origin"]))

    def browser(self, language: str = "en") -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.app), base_url=ORIGIN, headers={"accept-language": language}
        )

    async def look(self, officer: Officer, reason: str = "application") -> str:
        """A look at Jisoo's record, through a search."""
        found = await self.desk.find(officer, Reason(reason), "한지수", date(2001, 3, 9))
        return found.people[0].look

    async def case(self, officer: Officer, task: str = "issue", kind: str = "resident_card") -> str:
        return await self.desk.open_case(officer, await self.look(officer), Task(task), kind)

    async def checked_case(self, officer: Officer) -> str:
        case_id = await self.case(officer)
        await self.desk.record_card(officer, case_id, number=True, photo=True, undamaged=True)
        other = self.lee if officer.id != self.lee.id else self.kim
        await self.desk.two_officers(officer, case_id, other, Why.EYES)
        return case_id
