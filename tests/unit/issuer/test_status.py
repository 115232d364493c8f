"""Status lists: random indexes, only what changed is read, and a change is out at the next request."""

from __future__ import annotations

from datetime import timedelta

import pytest

from issuing import BASE, SD_JWT, START, Hall, Phone
from mapae.clock import MovableClock, SeededDice
from mapae.db import Db, Tx
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey
from mapae.formats.status import SUSPENDED, StatusToken
from mapae.issuer import ticket_store as tickets
from mapae.issuer.status import OPEN_LISTS, RESEND, TTL, Seal, StatusLists, half
from mapae.issuer.ticket_store import BatchRow, TicketRow
from mapae.keys import Signer

PREFIX = f"{BASE}/issuer/status/"


@pytest.fixture
def hall(issuer_db: Db) -> Hall:
    return Hall(issuer_db)


def lists_of(db: Db, size: int = 64, clock: MovableClock | None = None) -> StatusLists:
    seal = Seal(Signer.ephemeral(), (b"der",))
    return StatusLists(db, clock or MovableClock(START), SeededDice(5), seal, PREFIX, size)


async def test_what_is_taken_is_drawn_again(issuer_db: Db) -> None:
    """Even where three quarters of all places are taken: none comes twice, and none that somebody has."""
    lists = lists_of(issuer_db, 64)
    ids = {slot.list_id for slot in await lists.free_slots(10)}
    taken = [(id, index) for id in sorted(ids) for index in range(48)]

    async def take(tx: Tx) -> None:
        order = ("INSERT INTO issue_order (id, case_id, person, kind, office, officer, document_number, issued_on,"
                 " expires_on, device, state, opened, changed, wallets, waits_until, second_look) VALUES"
                 " ('o', 'c', 'p', 'k', 'f', 'r', 'n', '2026-01-01', '2036-01-01', NULL, 'open', 0, 0, 'registered',"
                 " 0, 0)")  # fmt: skip
        await tx.run(order)
        await tickets.add_batch(tx, BatchRow("b", "o", "c", "intended"), b"", START)
        rows = [TicketRow(f"{id}{index}", id, index, f"{id}{index}", b"", START) for id, index in taken]
        for at in range(0, len(rows), 16):
            await tickets.add_tickets(tx, BatchRow("b", "o", "c", "intended"), rows[at : at + 16])
        await tx.run("UPDATE status_list SET used = 0")

    await issuer_db.write(take)
    for _ in range(20):
        found = [(slot.list_id, slot.index) for slot in await lists.free_slots(10)]
        assert len(set(found)) == 10 and set(found).isdisjoint(taken)


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
    assert asked == [(list_id, 0)]
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


@pytest.mark.parametrize("accept", ["", "*/*", "application/statuslist+jwt", "application/statuslist+cwt;q=0.1, */*"])
async def test_a_list_is_a_jwt_unless_a_cwt_is_preferred(hall: Hall, accept: str) -> None:
    """draft-21 8.1: by content negotiation; both say the same, and where all lists are (draft-21 9.2)."""
    await hall.carded()
    await hall.issuer.lock("jisoo", "lost", "citizen")
    address = (await hall.http.get("/issuer/status")).json()["status_lists"][0]
    jwt = await hall.http.get(address, headers={"Accept": accept})
    cwt = await hall.http.get(address, headers={"Accept": "application/statuslist+cwt"})
    assert jwt.headers["content-type"] == "application/statuslist+jwt"
    assert cwt.headers["content-type"] == "application/statuslist+cwt"
    assert jwt.headers["vary"] == cwt.headers["vary"] == "Accept" and jwt.headers["etag"] != cwt.headers["etag"]
    read = [StatusToken.parse(answer.content) for answer in (jwt, cwt)]
    for one in read:
        one.check(PublicKey.from_jwk(hall.seals[1].signer.jwk), address, hall.clock.now())
        assert one.aggregation == f"{BASE}/issuer/status" and one.ttl == TTL
    assert read[0].list == read[1].list


async def test_whoever_has_an_unchanged_list_is_not_sent_it_again_whichever_process_answers(hall: Hall) -> None:
    await hall.carded(copies=1)
    address = hall.issuer.lists.uri((await hall.db.all("SELECT list_id FROM ticket"))[0]["list_id"])
    known = {"If-None-Match": (await hall.http.get(address)).headers["etag"]}
    hall.clock.advance(minutes=10)
    hall.opened(hall.db)
    assert (await hall.http.get(address, headers=known)).status_code == 304
    await hall.issuer.lock("jisoo", "lost", "citizen")
    assert (await hall.http.get(address, headers=known)).status_code == 200
    await hall.issuer.release("jisoo", "officer-1", hall.evidence())
    assert (await hall.http.get(address, headers=known)).status_code == 304, "it says what it said"
    hall.clock.advance(RESEND)
    assert (await hall.http.get(address, headers=known)).status_code == 200


async def test_a_database_that_was_put_back_is_believed(hall: Hall) -> None:
    """A backup from before a lock: what this process holds never happened."""
    await hall.carded()
    row = (await hall.db.all("SELECT list_id, idx FROM ticket"))[0]
    await hall.issuer.lock("jisoo", "lost", "citizen")
    assert StatusToken.parse((await hall.issuer.lists.token(row["list_id"])).token).list.read(row["idx"]) == SUSPENDED
    await hall.db.run("UPDATE ticket SET status = 0, touched = 0")
    await hall.db.run("UPDATE status_list SET version = 0")
    assert StatusToken.parse((await hall.issuer.lists.token(row["list_id"])).token).list.read(row["idx"]) == 0
