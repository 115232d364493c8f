"""A clock that is far ahead for one round, or for an hour: no card ends by it, and none is left behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date

import pytest

from mapae.issuer.cards.fees import Why, chip_rules
from mapae.issuer.cards.life import State
from mapae.issuer.cards.partners import Fingerprint, Stage
from unit.issuer.cards.card_world import JISOO, KIM, CardWorld

pytestmark = pytest.mark.parametrize("migrated", ["sqlite"], indirect=True)


async def _wrong_for_a_round(world: CardWorld, years: int) -> None:
    world.clock.leap(days=365 * years)
    await world.making.tick()
    world.clock.leap(days=-365 * years)


async def _believed_for_a_round(world: CardWorld, years: int) -> None:
    """The same where the leap has lasted, and is believed: put right only afterwards."""
    world.clock.advance(days=365 * years)
    await world.making.tick()
    world.clock.advance(days=-365 * years)


@pytest.mark.parametrize(
    ("begun", "years", "state"),
    [
        (CardWorld.active, 11, State.ACTIVE),
        (CardWorld.waiting, 1, State.AT_OFFICE),
        (CardWorld.apply, 1, State.APPLIED),
    ],
    ids=["expires", "is given up", "lapses"],
)
async def test_no_card_ends_in_a_round_with_the_clock_ahead(
    world: CardWorld, begun: Callable[[CardWorld], Awaitable[str]], years: int, state: State
) -> None:
    card = await begun(world)
    await _wrong_for_a_round(world, years)
    assert (await world.state(card), (await world.card(card)).refund) == (state, "")


async def test_no_card_is_ordered_or_dated_by_a_clock_that_is_ahead(world: CardWorld) -> None:
    card = await world.apply()
    world.provider.pay()
    await world.turn()
    await _wrong_for_a_round(world, 1)
    assert await world.state(card) is State.PAID
    world.clock.advance(days=1)
    world.clock.leap(days=365)
    await world.making.tick()
    made = await world.card(card)
    assert (made.state, made.issued, made.expires) == (State.ORDERED, "2026-03-03", "2036-03-02")
    world.clock.leap(days=-365)
    await world.turn()
    assert world.factory.newest.stage is Stage.SIGNED


async def test_a_card_paid_while_the_clock_was_ahead_is_ordered_the_day_after(world: CardWorld) -> None:
    card = await world.apply()
    world.provider.pay()
    world.clock.leap(days=365)
    await world.turn()
    assert await world.state(card) is State.PAID
    world.clock.leap(days=-365)
    await world.turn()
    assert await world.state(card) is State.PAID
    await world.turn(days=1)
    assert await world.state(card) is State.ORDERED


async def test_a_free_card_applied_for_while_the_clock_was_ahead_is_ordered_the_day_after(world: CardWorld) -> None:
    world.register.change(JISOO, card=None, birth_date=date(2008, 6, 1))
    world.clock.leap(days=90)
    card = await world.apply(why=Why.FIRST)
    await world.turn()
    assert await world.state(card) is State.PAID
    world.clock.leap(days=-90)
    await world.turn(days=1)
    assert await world.state(card) is State.ORDERED


@pytest.mark.parametrize("wrong", [_wrong_for_a_round, _believed_for_a_round], ids=["leapt", "believed"])
async def test_a_posted_card_moves_on_within_a_day_of_a_clock_put_right(
    world: CardWorld, wrong: Callable[[CardWorld, int], Awaitable[None]]
) -> None:
    card = await world.posted()
    await wrong(world, 1)
    world.mail.bring()
    await world.turn(hours=24)
    assert await world.state(card) is State.AT_OFFICE


async def test_a_card_paid_by_a_clock_that_was_believed_is_ordered_once_it_is_right(world: CardWorld) -> None:
    card = await world.apply()
    world.provider.pay()
    await _believed_for_a_round(world, 0)
    world.clock.advance(days=-3)
    await world.turn(days=1)
    assert await world.state(card) is State.ORDERED


async def test_a_card_put_back_while_the_clock_was_ahead_is_given_up_in_time(world: CardWorld) -> None:
    """What an officer does is dated by what has surely passed as well, or it would lie in the safe a year longer."""
    card = await world.waiting()
    world.clock.leap(days=365)
    await world.handing.compare(KIM, card)
    await world.handing.hand_over(KIM, card, same_person=True, old_card=True)
    await world.handing.put_back(KIM, card)
    world.clock.leap(days=-365)
    await world.turn(days=chip_rules(world.country).pickup_days + 10)
    assert await world.state(card) is State.UNCOLLECTED


async def test_a_fingerprint_counts_for_a_process_that_is_a_second_behind(world: CardWorld) -> None:
    card = await world.waiting()
    world.clock.advance(seconds=2)
    await world.handing.compare(KIM, card)
    world.clock.advance(seconds=-2)
    assert world.handing.finger(await world.card(card)) is Fingerprint.MATCHED


async def test_a_fingerprint_compared_while_the_clock_was_ahead_serves_no_later_visit(world: CardWorld) -> None:
    card = await world.waiting()
    world.clock.leap(days=365)
    await world.handing.compare(KIM, card)
    assert world.handing.finger(await world.card(card)) is Fingerprint.MATCHED
    world.clock.leap(days=-365)
    world.clock.advance(days=20)
    assert world.handing.finger(await world.card(card)) is None
