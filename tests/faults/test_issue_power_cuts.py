"""The power goes at every line of an issuance, and every write fails, once lost and once kept. The store stays whole,
and the wallet finishes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from issuing import SD_JWT, Hall, Phone, live_batches, must_be_whole
from mapae.db import Body, Db, Row, T

LINES = ["facts", "drafted", "linted", "intended", "signed_0", "signed_1", "recorded"]


class PowerCut(BaseException):
    """Nobody catches this."""


class Flaky(Db):
    """A database that goes away at its n-th write: before it is kept, or after."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self.engine = db.engine
        self.writes = 0
        self.fail_at = 0
        self.kept = False

    async def write(self, body: Body[T]) -> T:
        self.writes += 1
        fails = self.writes == self.fail_at
        if fails and not self.kept:
            raise PowerCut
        result = await self._db.write(body)
        if fails:
            raise PowerCut
        return result

    async def all(self, sql: str, *args: Any) -> list[Row]:
        return await self._db.all(sql, *args)

    async def one(self, sql: str, *args: Any) -> Row | None:
        return await self._db.one(sql, *args)

    async def close(self) -> None:
        await self._db.close()


@pytest.fixture
async def house(migrated: Callable[[str], Awaitable[Db]]) -> Db:
    return await migrated("issuer")


Step = Callable[[], Coroutine[Any, Any, None]]


async def cut(step: Step) -> bool:
    try:
        await step()
    except PowerCut:
        return True
    return False


@pytest.mark.parametrize("line", LINES)
async def test_a_power_cut_at_each_line(house: Db, line: str) -> None:
    """Whichever line it hits, what might have been signed is void and the wallet's retry ends with one live batch."""
    armed = [True]

    def checkpoint(name: str) -> None:
        if name == line and armed[0]:
            raise PowerCut

    hall = Hall(house, checkpoint=checkpoint)
    phone = Phone(hall, "jisoo")
    await phone.redeem(await phone.scan(await hall.offer()))
    assert await cut(lambda: _fetch(phone))

    armed[0] = False
    hall.opened(house)
    await hall.issuer.recover()
    await must_be_whole(hall, house)
    assert not [row for row in await house.all("SELECT state FROM ticket") if row["state"] == "open"]
    answer = await phone.fetch()
    assert answer.status_code == 200, answer.text
    await must_be_whole(hall, house)
    assert (await phone.tell(answer.json()["notification_id"])).status_code == 204
    assert await live_batches(house) == 1
    await must_be_whole(hall, house)


async def _fetch(phone: Phone) -> None:
    await phone.fetch()


@pytest.mark.parametrize("line", ["intended", "signed_0"])
async def test_without_a_restart_the_next_request_clears_up(house: Db, line: str) -> None:
    """Another process serves on; it needs no recovery to finish this order."""
    armed = [True]

    def checkpoint(name: str) -> None:
        if name == line and armed[0]:
            raise PowerCut

    hall = Hall(house, checkpoint=checkpoint)
    phone = Phone(hall, "jisoo")
    await phone.redeem(await phone.scan(await hall.offer()))
    assert await cut(lambda: _fetch(phone))
    armed[0] = False
    assert (await phone.fetch()).status_code == 200
    assert await live_batches(house) == 1
    await must_be_whole(hall, house)


class Persistent:
    """A wallet's story as steps; each is repeated until its answer arrived."""

    def __init__(self, hall: Hall, phone: Phone, offer: str) -> None:
        self.hall, self.phone, self.offer = hall, phone, offer
        self.code = self.notification = ""
        self.steps: list[Step] = [self.scan, self.redeem, self.fetch, self.accept, self.renew, self.fetch, self.accept]

    async def scan(self) -> None:
        answer = await self.hall.http.get(f"/issuer/offers/{self.offer}")
        self.code = next(iter(answer.json()["grants"].values()))["pre-authorized_code"]

    async def redeem(self) -> None:
        answer = await self.phone.redeem(self.code)
        assert answer.status_code == 200, answer.text

    async def renew(self) -> None:
        answer = await self.phone.renew()
        assert answer.status_code == 200, answer.text

    async def fetch(self) -> None:
        answer = await self.phone.fetch(SD_JWT)
        assert answer.status_code == 200, answer.text
        self.notification = answer.json()["notification_id"]

    async def accept(self) -> None:
        assert (await self.phone.tell(self.notification)).status_code == 204


@pytest.mark.parametrize("kept", [False, True], ids=["lost", "kept"])
@pytest.mark.parametrize("nth", range(1, 11))
async def test_each_write_fails_once(house: Db, nth: int, kept: bool) -> None:
    """It failed, or it failed but was kept: after a restart the wallet repeats its step and the story ends well."""
    flaky = Flaky(house)
    hall = Hall(flaky)
    offer = await hall.offer()
    story = Persistent(hall, Phone(hall, "jisoo"), offer.id)
    flaky.fail_at, flaky.kept = flaky.writes + nth, kept
    cuts = 0
    for step in story.steps:
        if await cut(step):
            cuts += 1
            hall.opened(flaky)
            await hall.issuer.recover()
            await must_be_whole(hall, house)
            await step()
    assert cuts == 1, "the story has fewer writes than this test thinks"
    await must_be_whole(hall, house)
    assert await live_batches(house) == 1
    states = [row["state"] for row in await house.all("SELECT state FROM batch ORDER BY opened, changed")]
    assert states.count("acknowledged") == 1 and not {"intended", "signed"} & set(states)


@pytest.mark.parametrize("verb", ["lock", "end", "renew", "release"])
@pytest.mark.parametrize("kept", [False, True], ids=["lost", "kept"])
async def test_what_happens_to_a_card_is_all_or_nothing(house: Db, verb: str, kept: bool) -> None:
    flaky = Flaky(house)
    hall = Hall(flaky)
    await hall.carded()
    acts: dict[str, Step] = {
        "lock": lambda: _ignore(hall.issuer.lock("jisoo", "lost", "citizen")),
        "end": lambda: _ignore(hall.issuer.end("jisoo", "deceased", "registers")),
        "renew": lambda: _ignore(hall.issuer.renew("jisoo", "moved", "registers")),
        "release": lambda: _ignore(hall.issuer.release("jisoo", "officer-1", hall.evidence())),
    }
    if verb == "release":
        await acts["lock"]()
    before = [row["status"] for row in await house.all("SELECT status FROM ticket")]
    flaky.fail_at, flaky.kept = flaky.writes + 1, kept
    assert await cut(acts[verb])
    after = [row["status"] for row in await house.all("SELECT status FROM ticket")]
    assert len(set(after)) == 1, "some copies changed and some did not"
    assert (before == after) == (not kept)
    await acts[verb]()
    assert len({row["status"] for row in await house.all("SELECT status FROM ticket")}) == 1
    await must_be_whole(hall, house)


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("kept", [False, True], ids=["lost", "kept"])
async def test_an_end_that_was_being_followed_is_followed_to_its_end(house: Db, nth: int, kept: bool) -> None:
    """Its sessions, its cards, its number: whichever write fails, the next round does what is missing."""
    flaky = Flaky(house)
    hall = Hall(flaky)
    await hall.carded()
    hall.provider.ended = [{"device_id": "device-jisoo", "state": "ended"}]
    flaky.fail_at, flaky.kept = flaky.writes + nth, kept
    assert await cut(lambda: _ignore(hall.issuer.follow_devices()))
    await hall.issuer.follow_devices()
    assert [one.state for one in await hall.issuer.holdings("jisoo")] == ["ended"]
    assert (await house.one("SELECT seen FROM follower WHERE name = 'devices'") or {"seen": 0})["seen"] == 1
    await must_be_whole(hall, house)


async def _ignore(work: Coroutine[Any, Any, int]) -> None:
    await work
