"""Physical cards on each engine: the whole way, and two who act at the same second."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import date

from mapae.audit import first_broken_link
from mapae.errors import Code, Refused
from mapae.issuer.cards import store
from mapae.issuer.cards.life import State
from mapae.issuer.cards.partners import Fingerprint, Stage
from mapae.registers.values import PhysicalCard
from unit.issuer.cards.card_world import JISOO, KIM, LEE, PARK, CardWorld


async def test_a_card_is_applied_for_paid_made_sent_handed_over_and_active(world: CardWorld) -> None:
    card = await world.apply()
    assert await world.state(card) is State.APPLIED
    held = (await world.register.get(JISOO)).card
    assert held is not None and held.state == "valid"
    await world.outbox.run_once()
    held = (await world.register.get(JISOO)).card
    assert held is not None and held.state == "returned"  # it was handed in

    world.provider.pay()
    await world.turn()
    assert await world.state(card) is State.PAID
    await world.turn(days=1)
    assert await world.state(card) is State.ORDERED and world.factory.newest.stage is Stage.SIGNED
    world.factory.finish()
    await world.turn(days=15)
    assert await world.state(card) is State.POSTED
    world.mail.bring()
    await world.turn(days=3)
    assert await world.state(card) is State.AT_OFFICE

    assert await world.handing.compare(KIM, card) is Fingerprint.MATCHED
    await world.handing.hand_over(KIM, card, same_person=True, old_card=False)
    await world.handing.activate(KIM, card, pin_set=True)
    await world.outbox.run_once()
    assert await world.state(card) is State.ACTIVE
    held = (await world.register.get(JISOO)).card
    row = await world.card(card)
    assert held == PhysicalCard(number=row.number, issued=date.fromisoformat(row.issued), kind="chip", state="valid")
    assert world.ended == [(card, "active")]  # the temporary certificate has served
    assert await world.acts(card) == [
        "apply", "pay", "order", "sod_signed", "make", "send", "arrive", "fingerprint", "hand_over", "activate"
    ]  # fmt: skip
    assert world.provider.charged == [f"{card}-0"] and len(world.factory.orders) == 1 and world.chips.signed == 1
    assert await first_broken_link(world.db) is None


async def test_two_desks_at_once_open_one_application(world: CardWorld) -> None:
    tried = await asyncio.gather(
        *(world.apply(officer=officer) for officer in (KIM, LEE, PARK)), return_exceptions=True
    )
    refused = [each for each in tried if isinstance(each, Refused)]
    assert len(refused) == 2 and {each.code for each in refused} == {Code.CONFLICT}
    assert len(await store.cards_of_person(world.db, JISOO)) == 1
    assert len(world.provider.payments) == 1


async def test_two_officers_hand_out_one_card_once(world: CardWorld) -> None:
    card = await world.waiting()
    await world.handing.compare(KIM, card)
    tried = await asyncio.gather(
        *(world.handing.hand_over(officer, card, same_person=True, old_card=True) for officer in (KIM, LEE)),
        return_exceptions=True,
    )
    assert sorted(type(each).__name__ for each in tried) == ["NoneType", "Refused"]
    assert (await world.acts(card)).count("hand_over") == 1


async def test_two_processes_at_once_sign_one_order_once(world: CardWorld) -> None:
    """Both have seen it unsigned; the signature on record is the one on the chip."""
    card = await world.apply()
    world.provider.pay()
    await world.turn()
    world.factory.lose = 1
    await world.turn(days=1)  # ordered and placed, not signed yet
    first = world.making
    world.begin()
    world.clock.advance(minutes=10)
    world.chips.together = 2  # nobody signs before both are at it, however fast the database is
    await asyncio.gather(first.look(card), world.making.look(card), first.look(card), world.making.look(card))
    await world.turn()
    row = await world.card(card)
    assert row.sod_digest == hashlib.sha256(world.factory.newest.sod or b"").digest()
    assert (await world.acts(card)).count("sod_signed") == 1 and world.chips.signed > 1
