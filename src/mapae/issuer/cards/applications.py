"""Applying for a physical card: who may, with which photo, for how much; paying, cancelling, and the officer's eye on
a photo that was brought online.

Promises: an application is filed only on the register's facts of this moment, for the fee that was shown, and once a
person; what was paid for a cancelled one goes back; a photo enters the register only after an officer of the office has
seen it. Trusts: the population register, the signed-in officer, the payment provider's word. Keeps: cards and photos
through `store`, names and photos sealed. Refuses: other offices' cards, photos a machine finds wanting unless a second
officer agrees.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from mapae.catalog import Country
from mapae.clock import Clock, Dice
from mapae.db import Db, Duplicate, Tx
from mapae.errors import Code, Refused
from mapae.issuer.face.values import PhotoJudge, PhotoReport
from mapae.issuer.officers import Officer
from mapae.keys import Vault
from mapae.registers.values import CardRegister, CardState, Person, PhysicalCard

from . import store
from .fees import Channel, Due, Why, due, must_be_entitled, must_be_new
from .life import Act, By, State
from .partners import PaymentPort
from .rewriting import LARGEST_PHOTO, Rewriting
from .sealing import must_have_few_scans
from .store import Card, HandedIn, Photo, Step
from .trail import CITIZEN, THE_HOUSE, Actor, begun, go, note, tell_register

PHOTO_DRAFT: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
ONLINE_A_DAY: Final = 5
GOOD: Final = "good"
UNJUDGED: Final = "unjudged"  # the machine does not answer: officers look
PHOTO_TAKEN: Final = ("photo_judged", "photo_overridden")  # the steps that send a photo to the register
BEFORE_PRODUCTION: Final = (State.APPLIED, State.PAID, State.ORDERED)


@dataclass(frozen=True, slots=True)
class Choice:
    """A reason to apply, and why it is not this person's, if it is not."""

    why: Why
    hindrance: Refused | None
    due: Due | None


@dataclass(frozen=True, slots=True)
class Asking:
    """What the form of an application needs to know."""

    person: Person
    choices: tuple[Choice, ...]
    record_photo: bool
    """Whether the photo on record is young enough."""
    open: Card | None


@dataclass(frozen=True, slots=True)
class Judged:
    """What was said of a photo. `id` is empty when it cannot be used at all."""

    id: str
    report: PhotoReport | None


@dataclass(frozen=True, slots=True)
class Wish:
    """An application as it was filled in. `seen`: the fee that stood on the form."""

    why: Why
    pickup: str
    seen: int
    photo: str = ""
    """Id of a judged photo; empty: the one on record."""
    handed_in: bool = False
    """The old card lies on the desk."""


@dataclass(frozen=True, slots=True)
class CardView:
    """One card with its trail, and whose it is."""

    card: Card
    name: str
    birth_date: str
    steps: tuple[Step, ...]
    photo: Photo | None


class Applications:
    """Everything about a card before it is produced."""

    def __init__(
        self, db: Db, clock: Clock, dice: Dice, vault: Vault, country: Country, register: CardRegister,
        payment: PaymentPort, judge: PhotoJudge | None,
    ) -> None:  # fmt: skip
        self._db, self._clock, self._dice, self._vault = db, clock, dice, vault
        self.country, self._register, self._payment, self._judge = country, register, payment, judge
        self._rewriting = Rewriting()

    def now(self) -> datetime:
        return self._clock.now()

    def today(self) -> date:
        return self.country.today(self._clock.now())

    def _passed(self) -> int:
        """From when the waits of a card count."""
        return int(self._clock.surely().timestamp())

    # --- before applying ----------------------------------------------------------------------------------------------

    async def asking(self, person_id: str, channel: Channel, office: str = "") -> Asking:
        person = await self._register.get(person_id)
        open_card = await store.open_card(self._db, person_id)
        choices = tuple(self._choice(person, why, channel, office) for why in Why)
        return Asking(person, choices, self._photo_serves(person), open_card)

    def _choice(self, person: Person, why: Why, channel: Channel, office: str) -> Choice:
        try:
            must_be_entitled(self.country, person, why, channel, self.today(), self.country.offices.get(office))
        except Refused as refused:
            return Choice(why, refused, None)
        return Choice(why, None, due(self.country, person.birth_date, why, self.today()))

    def _photo_serves(self, person: Person) -> bool:
        try:
            must_be_new(self.country, person.photo_taken, self.today())
        except Refused:
            return False
        return bool(person.photo)

    async def bring_photo(self, person_id: str, jpeg: bytes, taken: date, brought_by: str) -> Judged:
        """Judge a photo, and hold it for an hour. One that no machine finds good needs two officers later. It is never
        decoded in this process."""
        must_be_new(self.country, taken, self.today())
        if not jpeg.startswith(b"\xff\xd8\xff"):
            raise Refused(Code.PHOTO_REFUSED, "the photo is not a JPEG", step="unreadable")
        if len(jpeg) > LARGEST_PHOTO:
            raise Refused(Code.PHOTO_REFUSED, "the photo has more than 512 KiB", step="too-large")
        must_have_few_scans(jpeg)
        report = await self._report(jpeg)
        codes = sorted({finding.code.value for finding in report.findings}) if report is not None else []
        if "unreadable" in codes or "too-large" in codes:  # nothing that anybody could look at
            return Judged("", report)
        verdict = UNJUDGED if report is None else GOOD if report.ok else " ".join(codes)
        if self._judge is None:  # a country whose officers judge photos, as they always did
            verdict = GOOD
        # As a register keeps it: upright, small enough for every document, without what the camera wrote beside it.
        judged = report is not None and report.record
        record = judged or await self._rewriting.portrait(jpeg)
        id, at = self._dice.token(16), int(self._clock.now().timestamp())
        sealed = self._vault.seal(record, _photo_of(id))
        kept = Photo(id, person_id, "", brought_by, sealed, taken.isoformat(), verdict, "", at)
        await self._db.write(lambda tx: store.put_photo(tx, kept))
        return Judged(id, report)

    async def _report(self, jpeg: bytes) -> PhotoReport | None:
        if self._judge is None:
            return None
        try:
            return await self._judge.judge(jpeg)
        except Refused as refused:
            if refused.code is not Code.FACE_UNAVAILABLE:
                raise
            return None

    async def photo(self, photo_id: str, person_id: str) -> tuple[Photo, bytes]:
        """A photo this person's application may use."""
        found = await store.photo(self._db, photo_id) if photo_id else None
        since = int((self._clock.now() - PHOTO_DRAFT).timestamp())
        if found is None or found.person != person_id or found.card or found.at < since:
            raise Refused(Code.NOT_FOUND, "this photo is no longer here: bring it again")
        return found, self._vault.open(found.sealed, _photo_of(found.id))

    async def agree_to_photo(self, officer: Officer, second: Officer, photo_id: str, person_id: str) -> None:
        """Two officers let a photo pass that the machine found wanting, or could not judge."""
        actor, (photo, _) = Actor.officer(officer, second), await self.photo(photo_id, person_id)

        async def body(tx: Tx) -> None:
            if not await store.agree_photo(tx, photo.id, actor.second):
                raise Refused(Code.CONFLICT, "this photo was used already: bring it again")

        await self._db.write(body)

    # --- applying -----------------------------------------------------------------------------------------------------

    async def file_at_desk(self, officer: Officer, person_id: str, wish: Wish, *, same_person: bool) -> str:
        """1 the register's facts  2 entitled  3 the photo  4 the fee that was shown  5 no other open application."""
        if not same_person:
            raise Refused(Code.EVIDENCE_MISSING, "the officer must say that the photo shows this person", step="photo")
        return await self._file(Actor.officer(officer), Channel.DESK, officer.office, person_id, wish)

    async def file_online(self, person_id: str, wish: Wish) -> str:
        """The same by the citizen, a few times a day. The office is the one that hands out, or one of the person's own
        municipality."""
        person = await self._register.get(person_id)
        own = [office.id for office in self.country.offices.values() if office.municipality == person.municipality]
        office = wish.pickup or (own or list(self.country.offices))[0]
        return await self._file(CITIZEN, Channel.PORTAL, office, person_id, wish)

    async def _file(self, actor: Actor, channel: Channel, office: str, person_id: str, wish: Wish) -> str:
        if wish.pickup and wish.pickup not in self.country.offices:
            raise Refused(Code.MALFORMED, "there is no such office")
        person, today = await self._register.get(person_id), self.today()
        place = self.country.offices.get(office) if channel is Channel.DESK else None
        must_be_entitled(self.country, person, wish.why, channel, today, place)
        photo = await self._chosen_photo(person, wish, actor, today)
        fee = due(self.country, person.birth_date, wish.why, today)
        if fee.fee.amount != wish.seen:
            raise Refused(Code.CONFLICT, "the fee has changed: look at it again", step="fee")
        card = self._draft(person, wish, channel, office, fee, photo)
        try:
            await self._db.write(lambda tx: self._begin(tx, card, actor, photo))
        except Duplicate:
            raise Refused(Code.CONFLICT, "this person has an open application already", step="one") from None
        await self.start_payment(card.id)
        return card.id

    async def _chosen_photo(self, person: Person, wish: Wish, actor: Actor, today: date) -> Photo | None:
        if not wish.photo:
            must_be_new(self.country, person.photo_taken, today)
            return None
        photo, _ = await self.photo(wish.photo, person.person)
        must_be_new(self.country, date.fromisoformat(photo.taken), today)
        if photo.verdict != GOOD:
            if actor.by is By.CITIZEN and photo.verdict != UNJUDGED:
                raise Refused(Code.PHOTO_REFUSED, "this photo cannot serve: bring another one", step=photo.verdict)
            if actor.by is By.OFFICER and not photo.agreed:
                raise Refused(Code.SECOND_OFFICER, "a photo found wanting takes a second officer", step="photo")
        return photo

    def _draft(self, person: Person, wish: Wish, channel: Channel, office: str, fee: Due, photo: Photo | None) -> Card:
        id, now, passed = self._dice.token(12), int(self._clock.now().timestamp()), self._passed()
        applicant = json.dumps([person.name, person.birth_date.isoformat()]).encode()
        standing = "record" if photo is None else "judged" if photo.verdict == GOOD else "overridden"
        if photo is not None and channel is Channel.PORTAL:
            standing = "waiting"
        fate = {Why.FIRST: "none", Why.LOST: "lost", Why.REISSUE: "handed_in" if wish.handed_in else "kept"}[wish.why]
        return Card(
            id=id, person=person.person, why=wish.why, channel=channel, office=office, pickup=wish.pickup,
            state=State.APPLIED, applicant=self._vault.seal(applicant, _applicant_of(id)), photo=standing,
            old_number=person.card.number if person.card is not None else "", old_fate=fate, amount=fee.fee.amount,
            currency=fee.fee.currency, free=fee.free, payment_try=0, payment_id="", payment_url="", payment_state="",
            paid_at=0, refund="", order_try=0, placed=0, data_digest=None, number="", issued="", expires="", sod=None,
            sod_digest=None, chip_key_hash=None, sending=0, tracking="", fingerprint="", trouble="", look_at=passed,
            since=passed, opened=now,
        )  # fmt: skip

    async def _begin(self, tx: Tx, card: Card, actor: Actor, photo: Photo | None) -> None:
        now = self._clock.now()
        if card.channel is Channel.PORTAL:
            await self._must_not_apply_all_day(tx, card, now)
        await store.put_card(tx, card)
        if photo is not None and not await store.use_photo(tx, photo.id, card.id):
            raise Refused(Code.CONFLICT, "this photo was used already: bring it again")
        await begun(tx, card, actor, now)
        if photo is not None and card.photo in ("judged", "overridden"):
            both = replace(actor, second=photo.agreed)
            await note(tx, card, f"photo_{card.photo}", both, now, detail=_detail(photo))
            await tell_register(tx, card, {"do": "photo"})
        await self._old_card(tx, card, actor, now)
        if card.amount == 0:
            known = {"paid_at": int(now.timestamp()), "since": card.since, "look_at": card.look_at}
            await go(tx, card, Act.WAIVE, THE_HOUSE, self._clock, detail=f"rule-{card.free}", **known)

    async def _must_not_apply_all_day(self, tx: Tx, card: Card, now: datetime) -> None:
        """Each application begins a payment and ends in a refund that is asked for until it is answered."""
        since, at = (int(moment.timestamp()) for moment in (now - DAY, now))
        if await store.applied_for(tx, card.person, card.channel, since, at) >= ONLINE_A_DAY:
            raise Refused(
                Code.TOO_OFTEN, f"{ONLINE_A_DAY} applications online within a day: try tomorrow", step="often"
            )

    async def _old_card(self, tx: Tx, card: Card, actor: Actor, now: datetime) -> None:
        """A card that is lost or handed in counts no more from this moment, here and in the register. The register may
        not have heard yet of the chip that is the one lost."""
        if card.old_fate not in ("lost", "handed_in"):
            return
        lost = card.old_fate == "lost"
        state = "lost" if lost else "returned"
        await tell_register(tx, card, {"do": "mark", "number": card.old_number, "state": state})
        chip = await store.active_card(tx, card.person)
        if chip is not None:
            act, by = (Act.LOSE, actor) if lost else (Act.REPLACE, THE_HOUSE)
            await go(tx, chip, act, by, self._clock, detail=card.id)
            if chip.number != card.old_number:
                await tell_register(tx, chip, {"do": "mark", "number": chip.number, "state": state})
        elif not lost:
            await store.take_in(tx, HandedIn(card.id, card.office, card.old_number, int(now.timestamp())))

    # --- paying -------------------------------------------------------------------------------------------------------

    async def start_payment(self, card_id: str) -> None:
        """Begin it, or leave it to the next round: the reference makes a second beginning the first one."""
        card = await store.card(self._db, card_id)
        if card is None or card.state is not State.APPLIED or card.payment_id or not card.amount:
            return
        try:
            started = await self._payment.start(card.amount, card.currency, card.payment_reference)
        except Refused as refused:
            if refused.code is not Code.UNAVAILABLE:
                raise
            return
        changes: dict[str, Any] = {"payment_id": started.id, "payment_url": started.url, "payment_state": "open"}
        await self._db.write(lambda tx: store.note(tx, card, **changes))

    async def pay_again(self, card_id: str, actor: Actor) -> None:
        """After a declined payment, and only then, a new one."""
        card = await self.found(card_id)
        self._must_be_ours(card, actor)
        if card.state is not State.APPLIED or card.payment_state != "declined":
            raise Refused(Code.CONFLICT, "this payment is not declined: wait for its end")
        fresh: dict[str, Any] = {"payment_try": card.payment_try + 1, "payment_id": "", "payment_url": ""}

        async def body(tx: Tx) -> None:
            await note(tx, card, "pay_again", actor, self._clock.now(), payment_state="", look_at=0, **fresh)

        await self._db.write(body)
        await self.start_payment(card_id)

    # --- before production --------------------------------------------------------------------------------------------

    async def confirm_photo(self, officer: Officer, card_id: str, *, same_person: bool) -> None:
        """An officer has compared a photo that was brought online with the one on record."""
        card, actor, now = await self.found(card_id), Actor.officer(officer), self._clock.now()
        self._must_be_ours(card, actor)
        photo = await store.photo_of(self._db, card_id)
        if not card.photo_waits or photo is None or card.state not in (State.APPLIED, State.PAID):
            raise Refused(Code.CONFLICT, "this photo does not wait for anybody")

        async def body(tx: Tx) -> None:
            if same_person:
                seen = await note(tx, card, "photo_judged", actor, now, detail=_detail(photo), photo="judged")
                await tell_register(tx, seen, {"do": "photo"})
            else:
                await go(tx, card, Act.REFUSE, actor, self._clock, detail="photo", refund=_refund(card))
                await store.drop_photo(tx, card.id)

        await self._db.write(body)

    async def cancel(self, card_id: str, actor: Actor, *, taken_back: bool = False) -> None:
        """Before production, and what was paid goes back. `taken_back`: the factory has given the order up."""
        card = await self.found(card_id)
        self._must_be_ours(card, actor)
        if card.state is State.ORDERED and not taken_back:
            raise Refused(Code.CONFLICT, "the card is being made: it cannot be cancelled any more")

        async def body(tx: Tx) -> None:
            await go(tx, card, Act.CANCEL, actor, self._clock, refund=_refund(card))
            await store.drop_photo(tx, card.id)

        await self._db.write(body)

    # --- looking ------------------------------------------------------------------------------------------------------

    async def found(self, card_id: str) -> Card:
        card = await store.card(self._db, card_id)
        if card is None:
            raise Refused(Code.NOT_FOUND, "there is no such card")
        return card

    async def view(self, card_id: str, actor: Actor, person_id: str = "") -> CardView:
        """A card its office, the office that hands it out, or its applicant may look at."""
        card = await self.found(card_id)
        if actor.by is By.CITIZEN and card.person != person_id:
            raise Refused(Code.NOT_FOUND, "there is no such card")
        if actor.by is not By.CITIZEN:
            self._must_be_ours(card, actor)
        return await self._view(card)

    async def person(self, card: Card) -> Person:
        """The register's record of whose card it is, for an officer who may look at the card."""
        return await self._register.get(card.person)

    async def _view(self, card: Card) -> CardView:
        name, birth_date = json.loads(self._vault.open(card.applicant, _applicant_of(card.id)))
        steps = await store.steps(self._db, card.id)
        return CardView(card, name, birth_date, tuple(steps), await store.photo_of(self._db, card.id))

    async def of_person(self, person_id: str) -> list[CardView]:
        return [await self._view(card) for card in await store.cards_of_person(self._db, person_id)]

    async def of_office(self, officer: Officer, states: tuple[State, ...]) -> list[CardView]:
        return [await self._view(card) for card in await store.cards_of_office(self._db, officer.office, states)]

    async def photo_by(self, person_id: str) -> str:
        """The officer who alone let the photo on record in: the desk asks, for it is this photo that a machine compares
        a face with. Empty where there were two, or none of ours."""
        step = await store.newest_of(self._db, person_id, PHOTO_TAKEN)
        return "" if step is None or step.second else step.actor

    def opened(self, photo: Photo) -> bytes:
        return self._vault.open(photo.sealed, _photo_of(photo.id))

    def _must_be_ours(self, card: Card, actor: Actor) -> None:
        if actor.by in (By.OFFICER, By.OFFICERS) and not at_home(card, actor.office):
            raise Refused(Code.WRONG_OFFICE, "another office's card")

    async def adopt(self, card: Card, person: Person) -> bool:
        """A card with a chip from before these pages kept cards; False when it is known already."""
        applicant = json.dumps([person.name, person.birth_date.isoformat()]).encode()
        known = replace(card, applicant=self._vault.seal(applicant, _applicant_of(card.id)))

        async def body(tx: Tx) -> None:
            await store.put_card(tx, known)
            await note(tx, known, "adopted", THE_HOUSE, self._clock.now())

        try:
            await self._db.write(body)
        except Duplicate:
            return False
        return True

    # --- what the register shall know ---------------------------------------------------------------------------------

    async def tell(self, message: dict[str, Any]) -> None:
        """The outbox's handler: a photo, a card or the end of a card, as promised."""
        person = str(message["person"])
        match message["do"]:
            case "photo":
                photo = await store.photo_of(self._db, str(message["card"]))
                if photo is not None:  # else this was done before, and only its mark was lost
                    taken = date.fromisoformat(photo.taken)
                    await self._register.put_photo(person, self.opened(photo), taken)
                    await self._db.write(lambda tx: store.drop_photo(tx, photo.card))
            case "mark":
                await self._register.mark_card(person, str(message["number"]), message["state"])
            case "card":
                await self._register.put_card(person, await self._as_it_is_now(message))
            case _:
                raise Refused(Code.MALFORMED, "the register is told of photos and cards")

    async def _as_it_is_now(self, message: dict[str, Any]) -> PhysicalCard:
        """A card may be lost again before the register has heard of it: then that is what the register hears."""
        card = await self.found(str(message["card"]))
        state: CardState = "valid" if card.state is State.ACTIVE else "lost" if card.state is State.LOST else "returned"
        issued = date.fromisoformat(str(message["issued"]))
        return PhysicalCard(number=str(message["number"]), issued=issued, kind="chip", state=state)


def at_home(card: Card, office: str) -> bool:
    """The office of the application, or the one that hands the card out. A card that came by mail is activated
    wherever its holder comes."""
    return office in (card.office, card.pickup) or card.state is State.DELIVERED


def _refund(card: Card) -> str:
    """Whatever was begun is undone: a payment whose answer was lost may have been made."""
    return "due" if card.amount else ""


def _detail(photo: Photo | None) -> str:
    return "" if photo is None else photo.verdict.replace(" ", "+")[:120]


def _photo_of(photo_id: str) -> bytes:
    return b"card_photo sealed " + photo_id.encode()


def _applicant_of(card_id: str) -> bytes:
    return b"card_life applicant " + card_id.encode()
