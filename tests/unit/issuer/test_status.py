"""Status lists: random indexes, only what changed is read, and a change is out at the next request."""

from __future__ import annotations

from datetime import timedelta

import pytest

from issuing import BASE, SD_JWT, START, Hall, Phone
from mapae.clock import MovableClock, SeededDice
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey
from mapae.formats.status import SUSPENDED, StatusToken
from mapae.issuer.status import OPEN_LISTS, TTL, Seal, StatusLists, half, pick
from mapae.keys import Signer

PREFIX = f"{BASE}/issuer/status/"


@pytest.fixture
def hall(issuer_db: Db) -> Hall:
    return Hall(issuer_db)


def lists_of(db: Db, size: int = 64, clock: MovableClock | None = None) -> StatusLists:
    seal = Seal(Signer.ephemeral(), (b"der",))
    return StatusLists(db, clock or MovableClock(START), SeededDice(5), seal, PREFIX, size)


def test_picking_never_repeats_and_never_takes_what_is_taken() -> None:
    dice = SeededDice(1)
    for _ in range(50):
        chosen = pick(dice, 32, {1, 2, 3}, 10, [1, 4, 4, 5])
        assert len(set(chosen)) == 10 and not set(chosen) & {1, 2, 3} and chosen[:2] == [4, 5]


async def test_slots_are_spread_and_in_no_order(issuer_db: Db) -> None:
    lists = lists_of(issuer_db, 1024)
    slots = await lists.free_slots(40)
    assert len({(slot.list_id, slot.index) for slot in slots}) == 40
    assert len({slot.list_id for slot in slots}) == OPEN_LISTS
    assert [slot.index for slot in slots] != sorted(slot.index for slot in slots)
    assert all(slot.ref.uri == PREFIX + slot.list_id for slot in slots)


async def test_full_lists_are_left_and_new_ones_opened(issuer_db: Db) -> None:
    """A list is given away to the half at most."""
    hall = Hall(issuer_db, list_size=64)
    phone = Phone(hall, "jisoo")
    await phone.redeem(await phone.scan(await hall.offer()))
    for _ in range(20):
        assert (await phone.fetch(SD_JWT, 10)).status_code == 200
    rows = await issuer_db.all("SELECT used, size FROM status_list")
    assert sum(row["used"] for row in rows) == 200 and len(rows) > OPEN_LISTS
    assert all(row["used"] <= half(row["size"]) for row in rows)


async def test_a_list_that_is_too_small_is_refused(issuer_db: Db) -> None:
    for size in (0, 7, 12):
        with pytest.raises(ValueError, match="bytes"):
            lists_of(issuer_db, size)


async def test_a_change_is_out_at_the_next_request_and_a_second_process_sees_it(hall: Hall) -> None:
    await hall.carded()
    row = (await hall.db.all("SELECT list_id, idx FROM ticket"))[0]
    here = hall.issuer.lists
    elsewhere = StatusLists(hall.db, hall.clock, SeededDice(6), hall.seals[1], PREFIX)
    before = [await one.token(row["list_id"]) for one in (here, elsewhere)]
    await hall.issuer.lock("jisoo", "lost", "citizen")
    for one, old in zip((here, elsewhere), before, strict=True):
        new = await one.token(row["list_id"])
        assert new.etag != old.etag
        assert StatusToken.parse(new.token).list.read(row["idx"]) == SUSPENDED


async def test_only_what_changed_is_read_again(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    await hall.carded(copies=10)
    list_id = (await hall.db.all("SELECT list_id FROM ticket"))[0]["list_id"]
    await hall.issuer.lists.token(list_id)
    await hall.issuer.renew("jisoo", "moved", "registers")
    asked: list[tuple[object, ...]] = []
    read = hall.db.all

    async def counted(sql: str, *args: object) -> object:
        asked.append(args)
        return await read(sql, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(hall.db, "all", counted)
    await hall.issuer.lists.token(list_id)
    assert asked == [(list_id, 0, 1)]
    await hall.issuer.lists.token(list_id)
    assert len(asked) == 1


async def test_a_list_is_signed_anew_when_it_is_asked_for_after_its_ttl(hall: Hall) -> None:
    await hall.carded()
    list_id = (await hall.db.all("SELECT list_id FROM ticket"))[0]["list_id"]
    first = await hall.issuer.lists.token(list_id)
    assert await hall.issuer.lists.token(list_id) == first
    hall.clock.advance(timedelta(seconds=TTL))
    second = await hall.issuer.lists.token(list_id)
    token = StatusToken.parse(second.token)
    token.check(PublicKey.from_jwk(hall.seals[1].signer.jwk), PREFIX + list_id, hall.clock.now())
    assert second != first and token.ttl == TTL and token.list.bits == 2
    assert token.issued_at == int(hall.clock.now().timestamp())
    with pytest.raises(Refused) as unknown:
        await hall.issuer.lists.token("nothing")
    assert unknown.value.code is Code.NOT_FOUND


async def test_the_door_gives_etags_and_the_list_of_lists(hall: Hall) -> None:
    await hall.carded()
    lists = (await hall.http.get("/issuer/status")).json()["status_lists"]
    assert len(lists) == OPEN_LISTS
    answer = await hall.http.get(lists[0])
    assert answer.headers["content-type"] == "application/statuslist+jwt"
    assert answer.headers["access-control-allow-origin"] == "*"
    again = await hall.http.get(lists[0], headers={"If-None-Match": f'"x", {answer.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert (await hall.http.get("/issuer/status/nothing")).status_code == 404
