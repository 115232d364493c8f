"""A small world around the life of a card: a register, a payment provider, a factory, a post and a fingerprint reader
that do as they are told. Database, clock, state machine and use cases are the real ones."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
from PIL import Image

from mapae.catalog import Country, parse_country
from mapae.clock import MovableClock, SeededDice
from mapae.config import country_tree
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.issuer.cards import store
from mapae.issuer.cards.applications import Applications, Wish
from mapae.issuer.cards.fees import Channel, Why
from mapae.issuer.cards.handing import HandOver
from mapae.issuer.cards.life import State
from mapae.issuer.cards.making import Making
from mapae.issuer.cards.partners import (
    CardData,
    Fingerprint,
    Parcel,
    Payment,
    Production,
    Stage,
    Started,
    Tracked,
    Transit,
)  # fmt: skip
from mapae.issuer.cards.register import IssuedCards
from mapae.issuer.cards.store import Card
from mapae.issuer.cards.trail import PAPER, REGISTER
from mapae.issuer.face.values import Finding, Flaw, PhotoReport
from mapae.issuer.officers import Officer
from mapae.keys import Vault
from mapae.outbox import Outbox
from mapae.registers.values import ClaimSet, Hits, Person, PhysicalCard

START = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)  # noon in Seoul, after the nationwide start
JISOO = "p-jisoo"
KIM = Officer("officer-kim", "김하늘", "goyang_juyeop")
LEE = Officer("officer-lee", "이도윤", "goyang_juyeop")
PARK = Officer("officer-park", "박서연", "sejong_hansol")


def country() -> Country:
    return parse_country(country_tree("kr"))


def jpeg(shade: int = 120) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (60, 77), (shade, 90, 90)).save(out, "JPEG")
    return out.getvalue()


def somebody(id: str = JISOO, **change: Any) -> Person:
    known = Person(
        person=id, name="한지수", name_latin="Han Jisoo", former_names=(), birth_date=date(2001, 3, 9), sex="female",
        nationality="KOR", citizen=True, number_masked="010309-4******", municipality="goyang",
        address="경기도 고양시 덕양구 고양시청로 10", moved_in=None, deceased_on=None, guardian=None,
        card=PhysicalCard(number="0123456789", issued=date(2022, 1, 5), kind="plastic", state="valid"),
        photo_taken=date(2026, 1, 3), photo=jpeg(),
    )  # fmt: skip
    return msgspec.structs.replace(known, **change)


class Register:
    """The population register; `silent` answers nobody."""

    def __init__(self, *people: Person) -> None:
        self.people = {one.person: one for one in people}
        self.silent = False
        self.changes: list[tuple[str, Any]] = []

    async def search(self, *, name: str = "", birth_date: date | None = None, resident_number: str = "") -> Hits:
        raise NotImplementedError

    async def claims(self, person: str) -> ClaimSet:
        raise NotImplementedError

    async def get(self, person: str) -> Person:
        self._speak()
        return self.people[person]

    async def put_photo(self, person: str, jpeg: bytes, taken: date) -> bool:
        return self._change(person, "photo", photo=jpeg, photo_taken=taken)

    async def put_card(self, person: str, card: PhysicalCard) -> bool:
        return self._change(person, "card", card=card)

    async def mark_card(self, person: str, number: str, state: str) -> bool:
        held = self.people[person].card
        if held is None or held.number != number:
            self._speak()
            return False
        return self._change(person, state, card=msgspec.structs.replace(held, state=state))

    def change(self, person: str, **change: Any) -> None:
        self.people[person] = msgspec.structs.replace(self.people[person], **change)

    def _change(self, person: str, what: str, **change: Any) -> bool:
        self._speak()
        self.changes.append((what, change))
        self.change(person, **change)
        return True

    def _speak(self) -> None:
        if self.silent:
            raise Refused(Code.UNAVAILABLE, "the register does not answer")


class Provider:
    """Payments. `lose` loses the answer of the next calls, after the deed."""

    def __init__(self) -> None:
        self.payments: dict[str, Payment] = {}
        self.charged: list[str] = []
        self.lose = 0
        self.silent = False

    def _answer(self) -> None:
        if self.silent:
            raise Refused(Code.UNAVAILABLE, "no answer")
        if self.lose:
            self.lose -= 1
            raise Refused(Code.UNAVAILABLE, "no answer")

    async def start(self, amount: int, currency: str, reference: str) -> Started:
        if not self.silent:
            self.payments.setdefault(reference, Payment.OPEN)
        self._answer()
        return Started(reference, f"https://pay.example/{reference}")

    async def state(self, id: str) -> Payment:
        try:
            self._answer()
        except Refused:
            return Payment.UNKNOWN
        return self.payments[id]

    async def refund(self, id: str) -> Payment:
        if self.silent:
            return Payment.UNKNOWN
        before = self.payments.get(id, Payment.OPEN)
        self.payments[id] = Payment.REFUNDED if before in (Payment.PAID, Payment.REFUNDED) else Payment.DECLINED
        try:
            self._answer()
        except Refused:
            return Payment.UNKNOWN
        return self.payments[id]

    def pay(self, reference: str = "") -> None:
        id = reference or next(reversed(self.payments))
        assert self.payments[id] is Payment.OPEN
        self.payments[id] = Payment.PAID
        self.charged.append(id)

    def decline(self) -> None:
        self.payments[next(reversed(self.payments))] = Payment.DECLINED


class Chips:
    """Stands in for the chip's data groups and the signature over them."""

    def __init__(self) -> None:
        self.signed = 0
        self.together = 1
        """How many must have asked before the first is answered: two processes at the same second."""
        self._all_here = asyncio.Event()

    def hashes(self, data: CardData, dg14: bytes) -> dict[int, bytes]:
        raw = msgspec.json.encode(data)
        return {group: hashlib.sha256(bytes([group]) + raw).digest() for group in (1, 2, 11)} | {
            14: hashlib.sha256(dg14).digest()
        }

    def chip_key(self, dg14: bytes) -> bytes:
        return dg14

    async def sign(self, hashes: Mapping[int, bytes]) -> bytes:
        self.signed += 1
        mine = self.signed
        if self.signed >= self.together:
            self._all_here.set()
        await asyncio.wait_for(self._all_here.wait(), 30)
        return b"SOD %d " % mine + b"".join(hashes[group] for group in sorted(hashes))


@dataclass
class Order:
    data: CardData
    stage: Stage
    sod: bytes | None = None
    cancelled: bool = False


class Factory:
    def __init__(self, clock: MovableClock) -> None:
        self.clock, self.chips = clock, Chips()
        self.orders: dict[str, Order] = {}
        self.cancelled: set[str] = set()
        self.silent = False
        self.lose = self.lose_signed = 0
        self.forge = False
        self.same_key = False

    def _speak(self) -> None:
        if self.silent:
            raise Refused(Code.UNAVAILABLE, "no answer")

    def _answer(self) -> None:
        if self.lose:
            self.lose -= 1
            raise Refused(Code.UNAVAILABLE, "no answer")

    async def order(self, order_id: str, data: CardData) -> None:
        self._speak()
        known = self.orders.setdefault(order_id, Order(data, Stage.WAITING_FOR_SIGNATURE))
        if known.data != data or order_id in self.cancelled:
            raise Refused(Code.CONFLICT, "another order")
        self._answer()

    async def state(self, order_id: str) -> Production | None:
        self._speak()
        order = self.orders.get(order_id)
        if order is None or order_id in self.cancelled:
            return None
        dg14 = b"key " + (b"of all" if self.same_key else order_id.encode())
        data = order.data
        if self.forge:
            data = replace(data, name_latin="Hacker Mallory")
        return Production(order.stage, self.chips.hashes(data, dg14), dg14, self.clock.now())

    async def sign(self, order_id: str, sod: bytes) -> None:
        self._speak()
        order = self.orders[order_id]
        if order.sod not in (None, sod):
            raise Refused(Code.CONFLICT, "signed otherwise")
        order.sod, order.stage = sod, Stage.SIGNED
        if self.lose_signed:
            self.lose_signed -= 1
            raise Refused(Code.UNAVAILABLE, "no answer")

    async def cancel(self, order_id: str) -> bool:
        self._speak()
        order = self.orders.get(order_id)
        if order is not None and order.sod is not None:
            return False
        self.cancelled.add(order_id)
        self._answer()
        return True

    @property
    def newest(self) -> Order:
        return self.orders[next(reversed(self.orders))]

    def finish(self) -> None:
        assert self.newest.stage is Stage.SIGNED
        self.newest.stage = Stage.MADE


class Mail:
    def __init__(self, clock: MovableClock) -> None:
        self.clock = clock
        self.parcels: dict[str, Parcel] = {}
        self.states: dict[str, Transit] = {}
        self.silent = False
        self.lose = 0

    async def send(self, parcel: Parcel) -> str:
        if self.silent:
            raise Refused(Code.UNAVAILABLE, "no answer")
        self.parcels[parcel.reference] = parcel
        self.states.setdefault(f"N{parcel.reference}", Transit.ACCEPTED)
        if self.lose:
            self.lose -= 1
            raise Refused(Code.UNAVAILABLE, "no answer")
        return f"N{parcel.reference}"

    async def track(self, number: str) -> Tracked | None:
        if self.silent:
            raise Refused(Code.UNAVAILABLE, "no answer")
        state = self.states.get(number)
        return Tracked(state, self.clock.now()) if state is not None else None

    def bring(self, state: Transit = Transit.DELIVERED) -> None:
        self.states[next(reversed(self.states))] = state


class Reader:
    def __init__(self) -> None:
        self.answer = Fingerprint.MATCHED
        self.asked = 0

    async def compare(self, person: str, office: str) -> Fingerprint:
        self.asked += 1
        return self.answer


class Judge:
    """Finds what it is told to find."""

    def __init__(self) -> None:
        self.flaws: tuple[Flaw, ...] = ()
        self.record = b""
        self.away = False

    async def judge(self, photo: bytes) -> PhotoReport:
        if self.away:
            raise Refused(Code.FACE_UNAVAILABLE, "no verifier")
        findings = tuple(Finding(flaw, f"photo.{flaw.value}") for flaw in self.flaws)
        return PhotoReport(not findings, findings, photo, self.record or photo)


@dataclass
class CardWorld:
    db: Db
    clock: MovableClock = field(default_factory=lambda: MovableClock(START))

    def __post_init__(self) -> None:
        self.country = country()
        self.register = Register(somebody())
        self.provider, self.factory, self.mail = Provider(), Factory(self.clock), Mail(self.clock)
        self.reader, self.judge, self.chips = Reader(), Judge(), Chips()
        self.dice = SeededDice(5)
        self.ended: list[tuple[str, str]] = []
        self.begin()

    def begin(self) -> None:
        """As after a restart: nothing is remembered but what the database holds."""
        self.applications = Applications(
            self.db, self.clock, self.dice, Vault(b"c" * 32), self.country, self.register, self.provider, self.judge
        )
        self.making = Making(
            self.db, self.clock, self.dice, self.country, self.register, self.applications, payment=self.provider,
            factory=self.factory, post=self.mail, sealing=self.chips,
        )  # fmt: skip
        self.handing = HandOver(
            self.db, self.clock, self.country, self.register, self.applications, self.reader
        )  # fmt: skip
        self.issued = IssuedCards(self.db)
        self.outbox = Outbox(self.db, self.clock, {REGISTER: self.applications.tell, PAPER: self.papers})

    async def papers(self, message: dict[str, Any]) -> None:
        self.ended.append((message["card"], message["reason"]))

    async def turn(self, **later: float) -> None:
        """The clock moves on; rounds and promises are kept."""
        self.clock.advance(**(later or {"seconds": 400}))
        await self.making.tick()
        await self.outbox.run_once()

    async def apply(
        self, *, why: Why = Why.REISSUE, pickup: str = KIM.office, officer: Officer = KIM, **more: Any
    ) -> str:
        asking = await self.applications.asking(JISOO, Channel.DESK, officer.office)
        due = next(choice.due for choice in asking.choices if choice.why is why)
        assert due is not None
        wish = Wish(why, pickup, due.fee.amount, handed_in=why is Why.REISSUE, **more)
        return await self.applications.file_at_desk(officer, JISOO, wish, same_person=True)

    async def ordered(self, **more: Any) -> str:
        """Applied, paid, and the night after: signed and in the factory's hands."""
        card = await self.apply(**more)
        self.provider.pay()
        await self.turn()
        await self.turn(days=1)
        return card

    async def posted(self, **more: Any) -> str:
        card = await self.ordered(**more)
        self.factory.finish()
        await self.turn(days=15)
        return card

    async def waiting(self, **more: Any) -> str:
        card = await self.posted(**more)
        self.mail.bring()
        await self.turn(days=3)
        return card

    async def active(self, **more: Any) -> str:
        card = await self.waiting(**more)
        await self.handing.compare(KIM, card)
        await self.handing.hand_over(KIM, card, same_person=True, old_card=True)
        await self.handing.activate(KIM, card, pin_set=True)
        await self.outbox.run_once()
        return card

    async def card(self, card_id: str) -> Card:
        found = await store.card(self.db, card_id)
        assert found is not None
        return found

    async def state(self, card_id: str) -> State:
        return (await self.card(card_id)).state

    async def acts(self, card_id: str) -> list[str]:
        return [step.act for step in await store.steps(self.db, card_id)]


def days(n: int) -> timedelta:
    return timedelta(days=n)
