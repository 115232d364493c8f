"""What of a tap hangs on the database, on both engines: the whole story, a race, a stop, and one live session a
phone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from issuing import live_batches, must_be_whole
from mapae.db import Db
from tapped import TapHall, TapPhone
from unit.issuer.tap.test_sessions import failed, fetched, tapped


@pytest.fixture
async def hall(migrated: Callable[[str], Awaitable[Db]]) -> TapHall:
    return TapHall(await migrated("issuer"))


async def test_a_tap_from_the_wish_to_the_card(hall: TapHall) -> None:
    await hall.carded("jisoo", "case-1")
    phone = TapPhone(hall)
    await tapped(hall, phone)
    await fetched(phone)
    assert (await phone.state())["state"] == "done" and await live_batches(hall.db) == 1
    await must_be_whole(hall, hall.db)
    assert await hall.taps.tidy() == 0


async def test_two_that_confirm_at_the_same_moment_with_one_card_are_one(hall: TapHall) -> None:
    phones = [TapPhone(hall, device="a"), TapPhone(hall, device="b")]
    for phone in phones:
        await tapped(hall, phone)
    answers = await asyncio.gather(*(phone.confirm() for phone in phones))
    assert sorted(answer.status_code for answer in answers) == [200, 403]
    lost = phones[[answer.status_code for answer in answers].index(403)]
    assert await failed(lost) == ("chip_used", "use")


async def test_one_phone_that_wishes_twice_at_the_same_moment_has_one_session(hall: TapHall) -> None:
    phone = TapPhone(hall)
    wish = {"dpop_jkt": phone.dpop_key.kid}
    answers = await asyncio.gather(*(phone.ask("/issuer/tap/sessions", wish) for _ in range(4)))
    assert {answer.status_code for answer in answers} <= {201, 409} and 201 in {one.status_code for one in answers}
    live = await hall.db.all("SELECT id FROM tap_session WHERE state = 'waiting'")
    assert len(live) == 1


async def test_confirming_twice_at_the_same_moment_opens_one_offer(hall: TapHall) -> None:
    phone = TapPhone(hall)
    await tapped(hall, phone)
    answers = await asyncio.gather(phone.confirm(), phone.confirm())
    assert len({answer.json()["offer"] for answer in answers}) == 1
    assert (await phone.redeem(await phone.offered_code(answers[0].json()["offer"]))).status_code == 200


async def test_a_stop_is_felt_at_once(hall: TapHall) -> None:
    await hall.carded("jisoo", "case-1")
    phone = TapPhone(hall)
    await tapped(hall, phone)
    await fetched(phone)
    (link,) = await hall.stop_links()
    await hall.notices.stop(link.rpartition("/")[2])
    assert {one.state for one in await hall.issuer.holdings("jisoo")} == {"ended", "suspended"}
