"""Every write of a tap fails, once lost and once kept, and with it the process dies. Whatever was half done, the wallet
goes on and ends with one card on one phone, and everybody who must be told was told once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from issuing import live_batches, must_be_whole
from mapae.db import Body, Db, T
from mapae.errors import Refused
from tapped import TapHall, TapPhone, Told
from unit.issuer.tap.test_sessions import fetched

from .test_issue_power_cuts import Flaky, PowerCut

Migrated = Callable[[str], Awaitable[Db]]
WRITES = 21  # from the wallet's wish to the accepted card, of a phone that waits beside another


pytestmark = pytest.mark.parametrize("migrated", ["sqlite"], indirect=True)


class Dying(Flaky):
    """A database that fails at its n-th write, and a process that is dead from there on."""

    dead = False

    async def write(self, body: Body[T]) -> T:
        if self.dead:
            raise PowerCut
        try:
            return await super().write(body)
        except PowerCut:
            self.dead = True
            raise


async def go_on(hall: TapHall, phone: TapPhone) -> bool:
    """One more step of a wallet that does not give up; whether it holds its card."""
    if not phone.session:
        await phone.begin()
    state = (await phone.state())["state"]
    match state:
        case "waiting":
            await (await Told.open(hall)).whole(phone.secret)
        case "confirm":
            await phone.confirm()
        case "offered":
            await fetched(phone)
        case "failed":
            phone.session = ""
        case "done":
            return True
        case "opened" | "card":  # its helper's line went with the process
            hall.clock.advance(seconds=601)
    return False


async def until_it_holds(hall: TapHall, phone: TapPhone) -> None:
    for _ in range(12):
        if await go_on(hall, phone):
            return
    raise AssertionError(await phone.state())


@pytest.mark.parametrize("kept", [False, True], ids=["lost", "kept"])
@pytest.mark.parametrize("nth", range(1, WRITES + 1))
async def test_each_write_of_a_tap_fails_once(migrated: Migrated, nth: int, kept: bool) -> None:
    db = await migrated("issuer")
    dying = Dying(db)
    hall = TapHall(dying)
    await hall.carded("jisoo", "case-1")
    phone = TapPhone(hall)
    dying.fail_at, dying.kept = dying.writes + nth, kept
    try:
        await until_it_holds(hall, phone)
    except (PowerCut, Refused, AssertionError):
        assert dying.dead
    assert dying.dead, "the story has fewer writes than this test thinks"

    dying.dead = False
    hall.opened(dying)
    await hall.issuer.recover()
    await must_be_whole(hall, db)
    await until_it_holds(hall, phone)
    await must_be_whole(hall, db)
    assert await live_batches(db) == 1
    assert hall.phones is not None and len(hall.phones.moved) == 1
    await hall.outbox.run_once()
    assert [one["kind"] for one in hall.told_people] == ["card_used_for_new_phone"]
    uses = await db.all("SELECT * FROM tap_use")
    states = [row["state"] for row in await db.all("SELECT state FROM tap_session")]
    assert len(uses) == 1 and states.count("done") == 1
    assert set(states) <= {"done", "failed"}


async def test_the_story_has_as_many_writes_as_are_cut(migrated: Migrated) -> None:
    dying = Dying(await migrated("issuer"))
    hall = TapHall(dying)
    await hall.carded("jisoo", "case-1")
    before = dying.writes
    await until_it_holds(hall, TapPhone(hall))
    assert dying.writes - before == WRITES
