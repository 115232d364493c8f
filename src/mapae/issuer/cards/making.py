"""What happens to a card by itself: payments asked after, orders placed, hashes checked and signed, parcels sent and
followed, waits and lives that end.

Promises: every step may be cut off anywhere and is taken up again at the next round, with nothing paid, ordered or
signed twice; a signature is kept before it leaves, and is only ever over hashes computed here; what ends a card or is
printed on one goes by a time that has surely passed. Trusts: the register for facts; of factory, post and payment
provider only what is checked. Keeps: through `store`. Refuses: hashes that are not those of the register's facts; they
wait, in sight, for somebody to look.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable
from datetime import date, datetime, timedelta
from typing import Any, Final, assert_never

import msgspec
import structlog

from mapae.ages import years_after
from mapae.catalog import Country
from mapae.clock import Clock, Dice
from mapae.db import Db, Duplicate, Tx
from mapae.errors import Code, Refused, where
from mapae.registers.values import CardRegister, Person

from . import store
from .applications import PHOTO_DRAFT, Applications
from .fees import chip_rules
from .life import Act, State
from .partners import CardData, FactoryPort, Parcel, Payment, PaymentPort, PostPort, Production, Stage, Transit
from .sealing import Sealing, portrait
from .store import Card
from .trail import THE_HOUSE, Actor, go, note

UNPAID: Final = timedelta(days=7)
LATE: Final = timedelta(days=14)  # beyond the usual days of the post
MOST_ORDERS: Final = 5
_BATCH: Final = 100
_TURNS: Final = 10
_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # nothing that is read as something else
_PAUSE: Final = {
    State.APPLIED: 3, State.PAID: 60, State.ORDERED: 300, State.MADE: 30, State.POSTED: 1800, State.AT_OFFICE: 21600,
    State.RETURNED: 21600, State.DELIVERED: 21600, State.ACTIVE: 86400,
}  # fmt: skip
_FARTHEST: Final = max(_PAUSE.values())  # whatever is to be looked at later still was put off by a wrong clock
_SILENT: Final = 30
_LONGEST: Final = 21600  # between two questions after a refund that gets no answer
_log = structlog.get_logger("mapae.cards")


class Making:
    """One round looks after every card that is due; a page may look after one."""

    def __init__(
        self, db: Db, clock: Clock, dice: Dice, country: Country, register: CardRegister, applications: Applications,
        *, payment: PaymentPort, factory: FactoryPort, post: PostPort, sealing: Sealing,
    ) -> None:  # fmt: skip
        self._db, self._clock, self._dice, self._country = db, clock, dice, country
        self._register, self._applications, self._sealing = register, applications, sealing
        self._payment, self._factory, self._post = payment, factory, post

    async def tick(self) -> None:
        await store.forget_photos(self._db, self._now() - int(PHOTO_DRAFT.total_seconds()))
        for _ in range(_TURNS):  # a clock that was moved far lets a card take several steps at once
            due = await store.due(self._db, self._now(), self._now() + _FARTHEST, _BATCH)
            if not sum([await self.look(card.id) for card in due]):
                break
        for card in await store.refunds(self._db, self._now(), self._now() + _FARTHEST, _BATCH):
            owed = min(max(self._now() - card.since, _SILENT), _LONGEST)  # seconds so far: each pause doubles them
            await self._guarded(card, self._refund(card), owed, silent=owed)

    async def look(self, card_id: str) -> bool:
        """Take the next step of one card, if there is one; whether there was."""
        card = await store.card(self._db, card_id)
        if card is None or card.state not in _PAUSE:
            return False
        return await self._guarded(card, self._step(card), _PAUSE[card.state])

    async def _guarded(self, card: Card, work: Awaitable[bool], pause: int, silent: int = _SILENT) -> bool:
        """Whether the card moved; if not, when it is looked at again."""
        try:
            if moved := await work:
                return moved
        except Refused as refused:
            if refused.code not in (Code.UNAVAILABLE, Code.CONFLICT):  # silence, or somebody was faster
                _log.warning("card is stuck", card=card.id, state=card.state.value, code=refused.code.value)
                await self._trouble(card, refused.step or refused.code.value)
            pause = silent
        except Exception as bug:  # noqa: BLE001 must not escape: one card's trouble is not the others'
            _log.error("card failed", card=card.id, state=card.state.value, kind=type(bug).__name__, where=where(bug))
            pause = silent
        await store.look_later(self._db, card.id, self._now() + pause)
        return False

    async def _step(self, card: Card) -> bool:
        match card.state:
            case State.APPLIED:
                return await self._ask_payment(card)
            case State.PAID:
                return await self._queue(card)
            case State.ORDERED:
                return await self._produce(card)
            case State.MADE:
                return await self._send(card)
            case State.POSTED:
                return await self._track(card)
            case State.AT_OFFICE | State.RETURNED | State.DELIVERED:
                days = chip_rules(self._country).pickup_days
                return self._older(card, timedelta(days=days)) and await self._go(card, Act.WAIT_OUT)
            case State.ACTIVE:
                ends = date.fromisoformat(card.expires)
                return self._today() > ends and await self._go(card, Act.EXPIRE)
            case (
                State.HANDED_OVER | State.LOST | State.REPLACED | State.EXPIRED | State.UNCOLLECTED | State.CANCELLED
                | State.DESTROYED
            ):  # fmt: skip
                return False
            case _:
                assert_never(card.state)

    # --- money --------------------------------------------------------------------------------------------------------

    async def _ask_payment(self, card: Card) -> bool:
        """Unknown is neither yes nor no: it is asked again."""
        if not card.payment_id:
            await self._applications.start_payment(card.id)
            card = await store.card(self._db, card.id) or card
        stands = await self._payment.state(card.payment_id) if card.payment_id else Payment.UNKNOWN
        match stands:
            case Payment.PAID:
                return await self._go(card, Act.PAY, payment_state="paid", paid_at=self._now())
            case Payment.DECLINED | Payment.REFUNDED:
                if card.payment_state != "declined":
                    await self._note(card, "payment_declined", payment_state="declined")
            case Payment.OPEN | Payment.UNKNOWN:
                pass
            case _:
                assert_never(stands)
        # Paid a moment later after all? Then it goes back: a refund ends whatever was begun.
        return self._older(card, UNPAID) and await self._go(card, Act.LAPSE, refund="due")

    async def _refund(self, card: Card) -> bool:
        if not card.payment_id:  # its beginning may have been heard: the same reference finds it
            started = await self._payment.start(card.amount, card.currency, card.payment_reference)
            await self._note(card, "", payment_id=started.id)
            card = await store.card(self._db, card.id) or card
        stands = await self._payment.refund(card.payment_id)
        if stands not in (Payment.REFUNDED, Payment.DECLINED):
            return False
        changes = {"refund": "done", "payment_state": stands.value}
        return await self._note(card, "refunded" if stands is Payment.REFUNDED else "", **changes)

    # --- the factory --------------------------------------------------------------------------------------------------

    async def _queue(self, card: Card) -> bool:
        """Orders go out in the night after payment: until then the citizen may think again."""
        if card.photo_waits or await store.photo_of(self._db, card.id) is not None:  # the register comes first
            return False
        paid_on = self._country.today(datetime.fromtimestamp(card.since, self._clock.now().tzinfo))
        if self._today() == paid_on:  # paid tomorrow, that was a wrong clock
            return False
        if (await self._register.get(card.person)).deceased_on is not None:
            return await self._go(card, Act.REFUSE, detail="deceased", refund=_owed(card))
        try:
            return await self._go(card, Act.ORDER, order_try=card.order_try + 1, **self._fresh())
        except Duplicate:  # the number is somebody's already: draw again
            return True

    def _fresh(self) -> dict[str, Any]:
        today = self._today()
        number = "".join(_ALPHABET[at] for at in self._dice.several(len(_ALPHABET), 9))
        ends = years_after(today, chip_rules(self._country).years) - timedelta(days=1)
        return {
            "number": number, "issued": today.isoformat(), "expires": ends.isoformat(), "placed": 0, "trouble": "",
            "data_digest": None, "sod": None, "sod_digest": None, "chip_key_hash": None,
        }  # fmt: skip

    async def _produce(self, card: Card) -> bool:
        if not card.placed and not await self._place(card):
            return True
        made = await self._factory.state(card.order_id)
        if made is None:  # the factory has lost it: the same order again
            return await self._note(card, "order_lost", placed=0) and False
        match made.stage:
            case Stage.QUEUED:
                return False
            case Stage.WAITING_FOR_SIGNATURE:
                return await self._sign(await store.card(self._db, card.id) or card, made)
            case Stage.FAILED:
                return await self._order_again(card, "chip_failed")
            case Stage.SIGNED | Stage.MADE:
                if card.sod is None:
                    raise Refused(Code.CHIP_REFUSED, "the factory has a signature we never gave", step="signature")
                return made.stage is Stage.MADE and await self._go(card, Act.MAKE, sod=None, trouble="")
            case _:
                assert_never(made.stage)

    async def _place(self, card: Card) -> bool:
        """False when the order had to be replaced by a new one."""
        data = await self._data(card)
        try:
            await self._factory.order(card.order_id, data)
        except Refused as refused:
            if refused.code is not Code.CONFLICT:
                raise
            await self._order_again(card, "facts_changed")  # an answer was lost, and the register has moved on since
            return False
        await self._note(card, "", placed=1, data_digest=_digest(data))
        return True

    async def _data(self, card: Card) -> CardData:
        person = await self._register.get(card.person)
        return card_data(card, person, self._country.languages[0])

    async def _sign(self, card: Card, made: Production) -> bool:
        """1 the holder lives  2 the register's facts are those of the order  3 the hashes are ours, the chip's key its
        own  4 signed and kept  5 handed over. The chip's own key is the one thing the factory chooses."""
        if card.sod is None:
            person = await self._register.get(card.person)
            if person.deceased_on is not None:
                return await self._give_up(card, THE_HOUSE, "deceased")
            data = card_data(card, person, self._country.languages[0])
            if _digest(data) != card.data_digest:
                return await self._order_again(card, "facts_changed")
            key = self._sealing.chip_key(made.dg14)
            hashes = self._sealing.hashes(data, made.dg14)
            if hashes != dict(made.hashes):
                raise Refused(Code.CHIP_REFUSED, "the factory's hashes are not those of our facts", step="hashes")
            await self._keep(card, await self._sealing.sign(hashes), key)
            card = await store.card(self._db, card.id) or card
        if card.sod is not None:
            await self._factory.sign(card.order_id, card.sod)
        return False

    async def _keep(self, card: Card, sod: bytes, key: bytes) -> None:
        """One signature an order: whichever process is first keeps its own, the other throws its own away."""
        now = self._clock.now()

        async def body(tx: Tx) -> None:
            digest, key_hash = hashlib.sha256(sod).digest(), hashlib.sha256(key).digest()
            if await store.keep_signature(tx, card, sod, digest, key_hash):
                await note(tx, card, "sod_signed", THE_HOUSE, now)

        try:
            await self._db.write(body)
        except Duplicate:
            raise Refused(Code.CHIP_REFUSED, "another card has this chip key already", step="chip_key") from None

    async def _order_again(self, card: Card, reason: str) -> bool:
        if card.order_try >= MOST_ORDERS:
            raise Refused(Code.CHIP_REFUSED, "too many orders for one card", step="too_many_orders")
        if reason != "chip_failed" and not await self._factory.cancel(card.order_id):
            raise Refused(Code.CHIP_REFUSED, "the factory does not give the order back", step="not_given_back")
        try:
            return await self._go(card, Act.REORDER, detail=reason, order_try=card.order_try + 1, **self._fresh())
        except Duplicate:
            return True

    async def cancel(self, card_id: str, actor: Actor) -> None:
        """Cancel an application; one that is ordered only if the factory has not begun."""
        card = await self._applications.found(card_id)
        taken_back = False
        if card.state is State.ORDERED:
            taken_back = card.sod is None and await self._factory.cancel(card.order_id)
        await self._applications.cancel(card_id, actor, taken_back=taken_back)

    async def _give_up(self, card: Card, actor: Actor, reason: str) -> bool:
        if not await self._factory.cancel(card.order_id):
            raise Refused(Code.CHIP_REFUSED, "the factory does not give the order back", step="not_given_back")
        return await self._go(card, Act.REFUSE, detail=reason, refund=_owed(card))

    # --- the post -----------------------------------------------------------------------------------------------------

    async def _send(self, card: Card) -> bool:
        person = await self._register.get(card.person)
        if person.deceased_on is not None and not card.pickup:  # nobody there to receive it
            return await self._note(card, "kept_back", pickup=card.office) and False
        tracking = await self._post.send(self._parcel(card, person))
        return await self._go(card, Act.SEND, tracking=tracking)

    def _parcel(self, card: Card, person: Person) -> Parcel:
        language, days = self._country.languages[0], chip_rules(self._country).mail_days
        if not card.pickup:
            return Parcel(card.parcel_reference, person.name, person.address, True, days)
        office = self._country.offices[card.pickup]
        return Parcel(card.parcel_reference, office.name.pick(language), office.address.pick(language), False, days)

    async def _track(self, card: Card) -> bool:
        tracked = await self._post.track(card.tracking)
        if tracked is None:
            raise Refused(Code.UNSUPPORTED, "the post does not know its own number", step="post_unknown")
        match tracked.state:
            case Transit.DELIVERED:
                return await self._go(card, Act.ARRIVE if card.pickup else Act.DELIVER, detail=card.pickup, trouble="")
            case Transit.RETURNED:
                return await self._go(card, Act.COME_BACK, detail=card.office, trouble="")
            case Transit.ACCEPTED | Transit.ON_THE_WAY:
                usual = timedelta(days=chip_rules(self._country).mail_days[1])
                if self._older(card, usual + LATE):
                    await self._trouble(card, "late")
                return False
            case _:
                assert_never(tracked.state)

    # --- small things -------------------------------------------------------------------------------------------------

    def _now(self) -> int:
        return int(self._clock.surely().timestamp())

    def _today(self) -> date:
        return self._country.today(self._clock.surely())

    def _older(self, card: Card, than: timedelta) -> bool:
        return self._now() - card.since > than.total_seconds()

    async def _go(self, card: Card, act: Act, *, detail: str = "", **changes: Any) -> bool:
        async def body(tx: Tx) -> None:
            await go(tx, card, act, THE_HOUSE, self._clock, detail=detail, **changes)
            if act in (Act.REFUSE, Act.LAPSE):
                await store.drop_photo(tx, card.id)

        await self._db.write(body)
        return True

    async def _note(self, card: Card, what: str, **changes: Any) -> bool:
        """Keep something; with a name it is a line of the trail."""
        now = self._clock.now()

        async def body(tx: Tx) -> None:
            if what:
                await note(tx, card, what, THE_HOUSE, now, **changes)
            elif not await store.note(tx, card, **changes):
                raise Refused(Code.CONFLICT, "the card has changed: look at it again")

        await self._db.write(body)
        return True

    async def _trouble(self, card: Card, what: str) -> None:
        """Once for each trouble; whoever looks at the card sees it."""
        fresh = await store.card(self._db, card.id)
        if fresh is not None and fresh.trouble != what and fresh.state is card.state:
            await self._note(fresh, "trouble", detail=what, trouble=what)


def card_data(card: Card, person: Person, language: str) -> CardData:
    """What stands on the card: the register's facts of this moment."""
    return CardData(
        number=card.number, name=person.name, name_latin=person.name_latin, birth_date=person.birth_date,
        sex=person.sex, nationality=person.nationality, address=person.address,
        issued=date.fromisoformat(card.issued), expires=date.fromisoformat(card.expires),
        portrait=portrait(person.photo), language=language,
    )  # fmt: skip


def _digest(data: CardData) -> bytes:
    return hashlib.sha256(msgspec.json.encode(data)).digest()


def _owed(card: Card) -> str:
    return "due" if card.amount else ""
