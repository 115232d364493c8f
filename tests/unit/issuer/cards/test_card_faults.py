"""Silence, lost answers, forgeries and power cuts in the life of a card: nothing lost, nothing done twice."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from mapae.audit import first_broken_link
from mapae.db import Body, Db, Row, Tx, Value
from mapae.errors import Code, Refused
from mapae.issuer.cards import store
from mapae.issuer.cards.applications import ONLINE_A_DAY, Wish
from mapae.issuer.cards.fees import Why
from mapae.issuer.cards.life import State
from mapae.issuer.cards.partners import Payment, Stage, Transit
from mapae.issuer.cards.trail import CITIZEN
from unit.issuer.cards.card_world import JISOO, KIM, CardWorld, Provider, jpeg, somebody

pytestmark = pytest.mark.parametrize("migrated", ["sqlite"], indirect=True)  # the SQL is plain: test_card_races.py

# --- money ------------------------------------------------------------------------------------------------------------


async def test_a_payment_whose_answer_was_lost_is_asked_after_and_never_made_twice(world: CardWorld) -> None:
    world.provider.lose = 1
    card = await world.apply()
    assert (await world.card(card)).payment_id == "" and len(world.provider.payments) == 1
    world.provider.pay()  # the citizen had the page already
    world.provider.lose = 1
    await world.turn()
    assert await world.state(card) is State.APPLIED  # unknown is not no
    await world.turn()
    await world.turn()
    assert await world.state(card) is State.PAID
    assert world.provider.charged == [f"{card}-0"]


async def test_a_silent_provider_is_asked_again_until_it_speaks(world: CardWorld) -> None:
    world.provider.silent = True
    card = await world.apply()
    await world.turn(hours=5)
    assert await world.state(card) is State.APPLIED and world.provider.payments == {}
    world.provider.silent = False
    await world.turn()
    world.provider.pay()
    await world.turn()
    assert await world.state(card) is State.PAID


async def test_only_a_declined_payment_may_be_tried_again(world: CardWorld) -> None:
    card = await world.apply()
    with pytest.raises(Refused) as refused:
        await world.applications.pay_again(card, CITIZEN)
    assert refused.value.code is Code.CONFLICT
    world.provider.decline()
    await world.turn()
    await world.applications.pay_again(card, CITIZEN)
    world.provider.pay()
    await world.turn()
    assert await world.state(card) is State.PAID and world.provider.charged == [f"{card}-1"]


async def test_a_payment_made_in_the_moment_of_cancelling_goes_back(world: CardWorld) -> None:
    world.provider.lose = 1
    card = await world.apply()
    world.provider.pay()
    await world.making.cancel(card, CITIZEN)
    world.provider.lose = 2
    for _ in range(4):
        await world.turn()
    row = await world.card(card)
    assert (row.refund, world.provider.payments[f"{card}-0"]) == ("done", Payment.REFUNDED)


async def test_a_refund_the_provider_does_not_confirm_is_asked_again(world: CardWorld) -> None:
    card = await world.apply()
    world.provider.pay()
    await world.turn()
    await world.making.cancel(card, CITIZEN)
    world.provider.silent = True
    await world.turn()
    assert (await world.card(card)).refund == "due"
    world.provider.silent = False
    await world.turn()
    assert (await world.card(card)).refund == "done"


class _Stuck(Provider):
    """Never says that the payments of "stuck-…" went back, and asks how the others' cards stand by then."""

    def __init__(self, stands: Callable[[], Awaitable[State]]) -> None:
        super().__init__()
        self.stands, self.asked, self.seen = stands, list[str](), list[State]()

    async def refund(self, id: str) -> Payment:
        self.asked.append(id)
        self.seen.append(await self.stands())
        return Payment.UNKNOWN if id.startswith("stuck-") else await super().refund(id)


async def test_a_hundred_refunds_without_an_answer_starve_neither_the_next_one_nor_production(world: CardWorld) -> None:
    posted = await world.posted()
    world.register.people["p-other"] = somebody("p-other")
    provider = world.provider = _Stuck(lambda: world.state(posted))
    world.begin()
    good = await world.applications.file_at_desk(KIM, "p-other", Wish(Why.REISSUE, "", 10000), same_person=True)
    provider.pay()
    await world.turn()
    await world.making.cancel(good, CITIZEN)
    like = await world.card(good)

    async def fill(tx: Tx) -> None:
        for at in range(100):
            id = f"!{at:03}"  # before every id of ours
            await store.put_card(tx, replace(like, id=id, person=f"p{at}", payment_id=f"stuck-{at}"))

    await world.db.write(fill)
    world.mail.bring()
    await world.turn(days=1)
    assert provider.seen[0] is State.AT_OFFICE  # cards come first
    await world.turn()
    assert (await world.card(good)).refund == "done"
    before = len(provider.asked)
    for _ in range(20):
        await world.turn()
    assert len(provider.asked) - before <= 100  # asked again ever less often, and not given up
    await world.turn(days=1)
    assert len(provider.asked) - before >= 100


async def test_who_applies_and_cancels_online_all_day_begins_few_payments(world: CardWorld) -> None:
    wish = Wish(Why.REISSUE, KIM.office, 10000)
    for _ in range(ONLINE_A_DAY):
        await world.applications.cancel(await world.applications.file_online(JISOO, wish), CITIZEN)
    with pytest.raises(Refused) as refused:
        await world.applications.file_online(JISOO, wish)
    assert (refused.value.code, refused.value.step) == (Code.TOO_OFTEN, "often")
    assert len(world.provider.payments) == ONLINE_A_DAY
    await world.applications.cancel(await world.apply(), CITIZEN)  # an office takes it all the same
    world.clock.advance(days=1)
    await world.applications.file_online(JISOO, wish)


async def test_an_unpaid_application_that_lapses_and_is_paid_in_that_moment_is_refunded(world: CardWorld) -> None:
    card = await world.apply()
    await world.turn(days=8)
    assert await world.state(card) is State.CANCELLED
    assert world.provider.payments[f"{card}-0"] in (Payment.OPEN, Payment.DECLINED)
    await world.turn()
    assert world.provider.payments[f"{card}-0"] is Payment.DECLINED  # the page takes no money any more


# --- factory ----------------------------------------------------------------------------------------------------------


async def test_a_silent_factory_delays_and_loses_nothing(world: CardWorld) -> None:
    card = await world.apply()
    world.provider.pay()
    await world.turn()
    world.factory.silent = True
    await world.turn(days=3)
    assert await world.state(card) is State.ORDERED and world.factory.orders == {}
    world.factory.silent = False
    await world.turn()
    assert world.factory.newest.stage is Stage.SIGNED and len(world.factory.orders) == 1


async def test_an_order_and_a_signature_whose_answers_were_lost_are_one_order_and_one_signature(
    world: CardWorld,
) -> None:
    card = await world.apply()
    world.provider.pay()
    await world.turn()
    world.factory.lose = world.factory.lose_signed = 1
    await world.turn(days=1)
    assert len(world.factory.orders) == 1 and not (await world.card(card)).placed
    await world.turn()
    assert world.chips.signed == 1
    await world.turn()
    row = await world.card(card)
    assert len(world.factory.orders) == 1 and world.chips.signed == 1
    assert row.sod_digest == hashlib.sha256(world.factory.newest.sod or b"").digest()


async def test_hashes_that_are_not_of_our_facts_are_not_signed_and_stay_in_sight(world: CardWorld) -> None:
    world.factory.forge = True
    card = await world.apply()
    world.provider.pay()
    await world.turn()
    await world.turn(days=1)
    row = await world.card(card)
    assert (row.state, row.trouble, row.sod, world.chips.signed) == (State.ORDERED, "hashes", None, 0)
    assert (await world.acts(card)).count("trouble") == 1
    await world.turn(days=1)
    assert (await world.acts(card)).count("trouble") == 1  # said once
    world.factory.forge = False
    await world.turn(days=1)
    assert (await world.card(card)).trouble == "" and world.chips.signed == 1


async def test_a_chip_key_that_another_card_has_is_not_signed(world: CardWorld) -> None:
    world.factory.same_key = True
    await world.active()
    world.register.change(JISOO, card=somebody().card)
    card = await world.ordered()
    row = await world.card(card)
    assert (row.state, row.trouble, row.sod) == (State.ORDERED, "chip_key", None)
    assert world.factory.newest.sod is None


async def test_a_card_the_factory_has_signed_otherwise_is_not_taken(world: CardWorld) -> None:
    card = await world.apply()
    world.provider.pay()
    await world.turn()
    world.factory.forge = True
    await world.turn(days=1)
    world.factory.newest.stage = Stage.MADE
    await world.turn(days=1)
    assert ((await world.card(card)).trouble, await world.state(card)) == ("signature", State.ORDERED)


async def test_facts_that_changed_since_the_order_are_ordered_anew_under_a_new_number(world: CardWorld) -> None:
    card = await world.apply()
    world.provider.pay()
    await world.turn()
    world.factory.lose = 1
    await world.turn(days=1)  # ordered, but the answer was lost
    before = (await world.card(card)).number
    world.register.change(JISOO, address="세종특별자치시 한누리대로 1")
    await world.turn()
    await world.turn()
    row = await world.card(card)
    assert row.number != before and row.order_id == f"{card}-2"
    assert world.factory.newest.data.address == "세종특별자치시 한누리대로 1" and world.factory.newest.sod is not None
    assert world.factory.cancelled == {f"{card}-1"}


async def test_a_broken_chip_is_ordered_again_but_not_for_ever(world: CardWorld) -> None:
    card = await world.ordered()
    for _ in range(4):
        world.factory.newest.stage = Stage.FAILED
        await world.turn(days=1)
        await world.turn()
    assert len(world.factory.orders) == 5 and world.factory.newest.stage is Stage.SIGNED
    world.factory.newest.stage = Stage.FAILED
    await world.turn(days=1)
    assert ((await world.card(card)).trouble, len(world.factory.orders)) == ("too_many_orders", 5)


async def test_a_holder_who_dies_before_the_signature_gets_no_card_and_the_fee_back(world: CardWorld) -> None:
    card = await world.apply()
    world.provider.pay()
    await world.turn()
    world.factory.lose = 1
    await world.turn(days=1)
    world.register.change(JISOO, deceased_on=date(2026, 3, 3))
    await world.turn()
    await world.turn()
    assert await world.state(card) is State.CANCELLED and world.chips.signed == 0
    assert world.provider.payments[f"{card}-0"] is Payment.REFUNDED


async def test_a_silent_register_stops_the_line_and_nothing_is_ordered_on_old_facts(world: CardWorld) -> None:
    card = await world.apply()
    world.provider.pay()
    await world.turn()
    world.register.silent = True
    await world.turn(days=2)
    assert await world.state(card) is State.PAID
    world.register.silent = False
    await world.turn()
    assert await world.state(card) is State.ORDERED


async def test_a_photo_that_is_no_picture_stops_the_card_in_sight(world: CardWorld) -> None:
    world.register.change(JISOO, photo=b"\xff\xd8\xff broken")
    card = await world.apply()
    world.provider.pay()
    await world.turn()
    await world.turn(days=1)
    assert (await world.card(card)).trouble == "unreadable"


# --- post and register ------------------------------------------------------------------------------------------------


async def test_a_parcel_whose_answer_was_lost_is_one_parcel(world: CardWorld) -> None:
    card = await world.ordered()
    world.factory.finish()
    world.mail.lose = 1
    await world.turn(days=15)
    assert await world.state(card) is State.MADE
    await world.turn()
    assert await world.state(card) is State.POSTED and len(world.mail.parcels) == 1


async def test_a_silent_post_and_a_silent_register_delay_only(world: CardWorld) -> None:
    card = await world.posted()
    world.mail.silent = True
    world.mail.bring()
    await world.turn(days=3)
    assert await world.state(card) is State.POSTED
    world.mail.silent = False
    await world.turn()
    await world.handing.compare(KIM, card)
    await world.handing.hand_over(KIM, card, same_person=True, old_card=True)
    await world.handing.activate(KIM, card, pin_set=True)
    world.register.silent = True
    await world.outbox.run_once()
    assert (await world.card(card)).state is State.ACTIVE
    held = world.register.people[JISOO].card
    assert held is not None and held.kind == "plastic"
    world.register.silent = False
    world.clock.advance(minutes=10)
    await world.outbox.run_once()
    held = world.register.people[JISOO].card
    assert held is not None and (held.kind, held.state) == ("chip", "valid")


async def test_a_card_lost_before_the_register_heard_of_it_is_lost_there_too(world: CardWorld) -> None:
    card = await world.waiting()
    await world.handing.compare(KIM, card)
    await world.handing.hand_over(KIM, card, same_person=True, old_card=True)
    await world.handing.activate(KIM, card, pin_set=True)
    world.register.silent = True
    await world.outbox.run_once()
    world.register.silent = False
    await world.handing.report_lost(JISOO, CITIZEN)
    world.clock.advance(minutes=10)
    await world.outbox.run_once()
    held = world.register.people[JISOO].card
    assert held is not None and (held.number, held.state) == ((await world.card(card)).number, "lost")


async def test_a_chip_reported_lost_with_an_application_is_lost_before_the_register_knows_it(world: CardWorld) -> None:
    first = await world.waiting()
    await world.handing.compare(KIM, first)
    await world.handing.hand_over(KIM, first, same_person=True, old_card=True)
    await world.handing.activate(KIM, first, pin_set=True)
    second = await world.apply(why=Why.LOST)
    assert await world.state(first) is State.LOST
    world.clock.advance(minutes=10)
    await world.outbox.run_once()
    held = world.register.people[JISOO].card
    assert held is not None and (held.number, held.state) == ((await world.card(first)).number, "lost")
    assert (await world.card(second)).old_fate == "lost"


async def test_a_clock_that_goes_back_brings_nothing_back(world: CardWorld) -> None:
    card = await world.waiting()
    world.clock.advance(days=-10)
    await world.making.tick()
    assert await world.state(card) is State.AT_OFFICE
    await world.handing.compare(KIM, card)
    await world.handing.hand_over(KIM, card, same_person=True, old_card=True)
    await world.handing.activate(KIM, card, pin_set=True)
    assert await world.state(card) is State.ACTIVE


async def test_one_cards_trouble_is_not_anothers(world: CardWorld) -> None:
    world.register.people["p-other"] = somebody("p-other", photo=b"\xff\xd8\xff broken")
    first = await world.applications.file_at_desk(KIM, "p-other", Wish(Why.REISSUE, "", 10000), same_person=True)
    second = await world.apply()
    for reference in (f"{first}-0", f"{second}-0"):
        world.provider.pay(reference)
    await world.turn()
    await world.turn(days=1)
    assert (await world.card(first)).trouble == "unreadable"
    assert world.factory.newest.stage is Stage.SIGNED


# --- power cuts -------------------------------------------------------------------------------------------------------


class Cut(BaseException):
    """The power is gone. Nothing catches it."""


class Wire:
    """Counts what leaves the process, writes and calls alike, and cuts the power before or after the n-th."""

    def __init__(self, at: int, after: bool) -> None:
        self.left, self.after = at, after

    async def run(self, work: Callable[[], Any]) -> Any:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Cut
        result = await work()
        if self.left == 0:
            raise Cut
        return result


class CutDb(Db):
    engine = "sqlite"

    def __init__(self, db: Db, wire: Wire) -> None:
        self.db, self.wire = db, wire

    async def write(self, body: Body[Any]) -> Any:
        return await self.wire.run(lambda: self.db.write(body))

    async def all(self, sql: str, *args: Value) -> list[Row]:
        return await self.db.all(sql, *args)

    async def one(self, sql: str, *args: Value) -> Row | None:
        return await self.db.one(sql, *args)

    async def close(self) -> None:
        await self.db.close()


class CutPort:
    """Any port, on the same wire."""

    def __init__(self, port: Any, wire: Wire) -> None:
        self._port, self._wire = port, wire

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if name not in ("start", "refund", "order", "sign", "cancel", "send", "put_photo", "put_card", "mark_card"):
            return found
        return lambda *given: self._wire.run(lambda: found(*given))


def _cut(world: CardWorld, wire: Wire) -> None:
    """The whole office on one wire."""
    world.db = CutDb(world.db, wire)
    kept = world.provider, world.factory, world.mail, world.register
    for name, port in zip(("provider", "factory", "mail", "register"), kept, strict=True):
        setattr(world, name, CutPort(port, wire))
    world.begin()
    world.provider, world.factory, world.mail, world.register = kept


def _mend(world: CardWorld) -> None:
    if isinstance(world.db, CutDb):
        world.db = world.db.db
    world.begin()


async def _live(world: CardWorld, wire: Wire) -> tuple[str, bool]:
    """The whole way, begun again wherever it was cut; the card, and whether it was cut."""
    _cut(world, wire)
    photo = await world.applications.bring_photo(JISOO, jpeg(7), date(2026, 3, 1), KIM.id) if wire.left != 1 else None
    steps: list[Callable[[], Any]] = [
        lambda: _applied(world, photo.id if photo else ""),
        lambda: _turned(world, lambda: _paid(world)),
        lambda: _turned(world, lambda: None, days=1),
        lambda: _turned(world, lambda: None),
        lambda: _turned(world, lambda: setattr(world.factory.newest, "stage", Stage.MADE), days=15),
        lambda: _turned(world, lambda: world.mail.bring(Transit.DELIVERED), days=3),
        lambda: _handed(world),
        lambda: _turned(world, lambda: None, minutes=10),
    ]  # fmt: skip
    was_cut = False
    for step in steps:
        for work in (step, world.turn):
            try:
                await work()
            except Cut:
                was_cut = True
                _mend(world)
                await work()
    _mend(world)
    (card,) = await store.cards_of_person(world.db, JISOO)
    return card.id, was_cut


def _paid(world: CardWorld) -> None:
    for reference, stands in list(world.provider.payments.items()):
        if stands is Payment.OPEN:
            world.provider.pay(reference)


async def _applied(world: CardWorld, photo: str) -> None:
    if await store.open_card(world.db, JISOO) is None:
        await world.apply(photo=photo)


async def _turned(world: CardWorld, happens: Callable[[], Any], **later: float) -> None:
    happens()
    await world.turn(**later)


async def _handed(world: CardWorld) -> None:
    (card,) = await store.cards_of_person(world.db, JISOO)
    if card.state is State.AT_OFFICE:
        await world.handing.compare(KIM, card.id)
        await world.handing.hand_over(KIM, card.id, same_person=True, old_card=True)
    if (await world.card(card.id)).state is State.HANDED_OVER:
        await world.handing.activate(KIM, card.id, pin_set=True)


async def test_a_power_cut_anywhere_loses_nothing_and_does_nothing_twice(migrated: Any, issuer_db: Db) -> None:
    """Before and after each write and each call that leaves the house, from the application to the register's new
    card."""
    at, cuts = 2, 0
    while True:
        cut_at_all = False
        for after in (False, True):
            world = CardWorld(issuer_db)
            card, was_cut = await _live(world, Wire(at, after))
            cut_at_all |= was_cut
            cuts += was_cut
            row = await world.card(card)
            assert row.state is State.ACTIVE, (at, after, row.state, row.trouble)
            assert world.provider.charged == [f"{card}-0"], (at, after)
            real = [id for id in world.factory.orders if id not in world.factory.cancelled]
            assert len(real) == 1 and len(world.mail.parcels) == 1, (at, after)
            assert row.sod_digest == hashlib.sha256(world.factory.orders[real[0]].sod or b"").digest(), (at, after)
            person = world.register.people[JISOO]
            assert (person.photo, person.card and person.card.number) == (jpeg(7), row.number), (at, after)
            assert await store.photo_of(world.db, card) is None
            for table in ("card_life", "card_step", "card_photo", "card_handed_in", "outbox_item"):
                await issuer_db.run(f"DELETE FROM {table}")
        if not cut_at_all:
            break
        at += 1
    assert cuts > 40 and await first_broken_link(issuer_db) is None
