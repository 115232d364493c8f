"""The publisher: every epoch a pack, made of what changed; kept before it is served; who is late is said to be late."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

import httpx
import pytest

from hands import refuses
from mapae.db import Db, Duplicate
from mapae.errors import Code, Refused
from mapae.formats.status import VALID
from mapae.trust.epoch import Epoch, EpochList
from mapae.trust.log.entry import Log
from mapae.trust.pack import format, store
from mapae.trust.pack.build import Packs
from mapae.trust.pack.format import Pack
from mapae.trust.pack.verify import open_pack
from mapae.trust.pack.web import routes
from mapae.ui.site import application
from packed import Nation, digest, small
from unit.verifier.world import LIST, STATUS_PREFIX


@pytest.fixture
async def trust(db: Db) -> Db:
    return db


def packs(nation: Nation, db: Db) -> Packs:
    return Packs(db=db, signer=nation.publisher, clock=nation.clock, http=nation.http, source=nation)


def site(packs: Packs, nation: Nation) -> httpx.AsyncClient:
    app = application(routes(packs), clock=nation.clock, demo=True, rates=False)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://mapae.test")


async def test_a_pack_is_made_kept_and_served(trust: Db) -> None:
    nation = small()
    publisher = packs(nation, trust)
    async with site(publisher, nation) as http:
        assert (await http.get("/trust/pack")).status_code == 503
        made = await publisher.publish()
        answer = await http.get("/trust/pack", headers={"Origin": "https://checker.example"})
        assert answer.content == made.encode() and answer.headers["access-control-allow-origin"] == "*"
        again = await http.get("/trust/pack", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert (await http.get(f"/trust/pack/since/{made.id.hex()}")).status_code == 204
        assert (await http.get("/trust/pack/since/none")).status_code == 404


async def two(nation: Nation, publisher: Packs) -> tuple[Pack, Pack]:
    """One list has changed between them."""
    first = await publisher.publish()
    nation.later(minutes=5)
    nation.set("list-1", 8)
    nation.anchor()
    return first, await publisher.publish()


async def test_the_second_pack_is_numbered_takes_over_and_goes_out_as_a_delta(trust: Db) -> None:
    nation = small()
    publisher = packs(nation, trust)
    first, second = await two(nation, publisher)
    assert (first.manifest.number, second.manifest.number) == (1, 2)
    same = set(first.bodies) & set(second.bodies)
    assert nation.lists[LIST].packed != nation.lists[STATUS_PREFIX + "list-2"].packed and len(same) >= 3
    assert all(second.bodies[place] == first.bodies[place] for place in same)
    async with site(publisher, nation) as http:
        step = (await http.get(f"/trust/pack/since/{first.id.hex()}")).content
        assert format.is_delta(step) and format.apply(first, step).id == second.id
        whole = (await http.get(f"/trust/pack/since/{'0' * 64}")).content
        assert format.read(whole).id == second.id


async def test_a_delta_is_made_once_however_many_ask(trust: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    """And beside the loop that serves everybody: a nation's list takes a third of a second."""
    nation = small()
    publisher = packs(nation, trust)
    first, second = await two(nation, publisher)
    made: list[int] = []
    by_id, delta = store.by_id, format.delta

    async def slow(*args: Any) -> Any:
        await asyncio.sleep(0)
        return await by_id(*args)

    def counted(*args: Any) -> bytes:
        made.append(threading.get_ident())
        return delta(*args)

    monkeypatch.setattr(store, "by_id", slow)
    monkeypatch.setattr(format, "delta", counted)
    steps = await asyncio.gather(*(publisher.since(first.id) for _ in range(20)))
    assert len(made) == 1 and made[0] != threading.get_ident() and len(set(steps)) == 1
    assert steps[0] is not None and format.apply(first, steps[0]).id == second.id


async def test_a_kill_loses_nothing_and_another_process_goes_on(trust: Db) -> None:
    nation = small()
    made = await packs(nation, trust).publish()
    other = packs(nation, trust)
    pack, raw = await other.newest()
    assert pack.id == made.id and raw == made.encode() and format.read(raw).id == made.id
    nation.later(minutes=5)
    nation.anchor()
    assert (await other.publish()).manifest.number == 2


async def test_two_processes_do_not_publish_one_number_twice(trust: Db) -> None:
    nation = small()
    one, other = packs(nation, trust), packs(nation, trust)
    await one.publish()
    await other.newest()
    nation.later(minutes=5)
    nation.anchor()
    second = await other.make((await other.newest())[0])
    await one.publish()
    with pytest.raises(Duplicate):
        await store.add(trust, second)
    assert (await one.newest())[0].manifest.number == (await other.newest())[0].manifest.number == 2


async def test_a_publisher_that_does_not_answer_stays_at_its_last_epoch_and_is_marked(trust: Db) -> None:
    nation = small()
    publisher = packs(nation, trust)
    await publisher.publish()
    nation.later(minutes=5)
    nation.set("list-1", 8)
    nation.anchor()
    nation.dark = True
    late = open_pack(await publisher.publish(), nation.pinned)
    assert [(one.seq, one.late) for one in late.statuses] == [(1, True)]
    listed = late.list(LIST)
    assert listed is not None and listed.read(8) == VALID
    nation.dark = False
    nation.later(minutes=5)
    back = open_pack(await publisher.publish(), nation.pinned)
    assert [(one.seq, one.late) for one in back.statuses] == [(2, False)]


async def test_the_first_lists_of_a_country_are_packed_at_the_next_look_and_later_news_waits(trust: Db) -> None:
    nation = Nation()
    nation.put_list("list-1", 4096)
    publisher = packs(nation, trust)
    assert await publisher.publish_when_due(60) is not None
    nation.later(seconds=5)
    assert await publisher.publish_when_due(60) is None  # no epoch has been anchored yet
    nation.anchor()
    nation.later(seconds=5)
    first = await publisher.publish_when_due(60)
    assert first is not None and len(open_pack(first, nation.pinned).statuses) == 1
    nation.set("list-1", 8)
    nation.anchor()
    nation.later(seconds=5)
    assert await publisher.publish_when_due(60) is None
    nation.later(seconds=25)
    assert await publisher.publish_when_due(60) is not None


async def test_a_publisher_that_gives_another_epoch_than_it_anchored_is_not_packed(trust: Db) -> None:
    nation = small()
    publisher = packs(nation, trust)
    await publisher.publish()
    nation.later(minutes=5)
    nation.set("list-1", 8)
    good = nation.anchor()
    nation.set("list-1", 8, VALID)
    nation.epochs[2] = lie(good, nation)
    assert [one.seq for one in open_pack(await publisher.publish(), nation.pinned).statuses] == [1]


def lie(good: Epoch, nation: Nation) -> Epoch:
    lists = tuple(EpochList.of(uri, nation.lists[uri]) for uri in sorted(nation.lists))
    return Epoch(good.publisher, good.prefix, good.seq, good.iat, good.next_update, lists)


async def test_an_anchor_that_no_checkpoint_covers_yet_waits_for_the_next_pack(trust: Db) -> None:
    nation = small()
    before = nation.note(Log.ANCHORS)
    publisher = packs(nation, trust)
    await publisher.publish()
    nation.later(minutes=5)
    nation.anchor()

    held = nation.checkpoint

    async def checkpoint(log: Log) -> bytes:
        return before if log is Log.ANCHORS else await held(log)

    nation.checkpoint = checkpoint  # type: ignore[method-assign]
    assert [one.seq for one in open_pack(await publisher.publish(), nation.pinned).statuses] == [1]


async def test_without_a_cosigned_checkpoint_nothing_is_published(trust: Db) -> None:
    nation = small()

    async def none(log: Log) -> bytes:
        raise Refused(Code.UNWITNESSED, "no quorum")

    nation.checkpoint = none  # type: ignore[method-assign]
    publisher = packs(nation, trust)
    with refuses(Code.UNWITNESSED):
        await publisher.publish()
    with refuses(Code.UNAVAILABLE):
        await publisher.newest()


async def test_old_packs_go_and_what_only_they_had_with_them(trust: Db) -> None:
    """The newest dozen stay, one an hour for a day, one a day for a week; the rest, and their parts, do not pile up."""
    nation = small()
    publisher = packs(nation, trust)
    first = await publisher.publish()
    for day in range(10):
        nation.clock.set(nation.now + timedelta(days=day + 1))
        nation.set("list-1", 10 + day)
        nation.anchor()
        await publisher.publish()
    for minute in range(store.RECENT):
        nation.later(minutes=5)
        nation.set("list-1", 100 + minute)
        nation.anchor()
        await publisher.publish()
    rows: list[Any] = await trust.all("SELECT number FROM pack ORDER BY number")
    numbers = [row["number"] for row in rows]
    # 12 to 23 are of the last hour, 5 to 11 each the newest of a day within the week before.
    assert numbers == [5, 6, 7, 8, 9, 10, 11, *range(12, 24)], numbers
    assert await store.by_id(trust, first.id) is None
    kept = await store.newest(trust)
    assert kept is not None and format.read(kept.encode()).id == kept.id
    heads: list[Any] = await trust.all("SELECT head FROM pack")
    used = {place for row in heads for place in format.manifest_of(bytes(row["head"])).blobs}
    blobs: list[Any] = await trust.all("SELECT digest FROM pack_blob")
    assert {bytes(row["digest"]) for row in blobs} == used


async def test_a_full_bundle_of_entries_is_taken_over_as_it_is(trust: Db) -> None:
    nation = small()
    for n in range(300):
        nation.revoke_reader(digest(n))
    publisher = packs(nation, trust)
    first = await publisher.publish()
    for n in range(300, 320):
        nation.revoke_reader(digest(n))
    nation.later(minutes=1)
    second = await publisher.publish()
    name = "registry.entries.00000000"
    assert second.manifest.names[name] == first.manifest.names[name]
    assert len(open_pack(second, nation.pinned).trust_list.revoked_readers) == 320
