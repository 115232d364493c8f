from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from mapae.audit import Event, events_about, first_broken_link, record
from mapae.clock import MovableClock
from mapae.db import Db, Tx, migrate
from mapae.house import _every
from mapae.outbox import Outbox, promise, withdraw

NOW = datetime(2025, 1, 2, tzinfo=UTC)


@pytest.fixture
async def role_db(db: Db) -> Db:
    await migrate(db, "issuer")
    return db


async def _write(db: Db, subject: str) -> None:
    await db.write(lambda tx: record(tx, Event(subject, "card", "issued", "officer:1", {"copies": 10}), NOW))


async def test_concurrent_events_make_one_whole_chain(role_db: Db) -> None:
    await asyncio.gather(*(_write(role_db, f"p{n}") for n in range(30)))
    assert await first_broken_link(role_db) is None
    assert [r.event.action for r in await events_about(role_db, "p7")] == ["issued"]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_event SET action = 'viewed' WHERE seq = 2",
        "UPDATE audit_event SET facts = '{\"copies\":11}' WHERE seq = 2",
        "UPDATE audit_event SET at = at + 1 WHERE seq = 2",
        "DELETE FROM audit_event WHERE seq = 2",
    ],
)
async def test_a_changed_or_missing_event_breaks_the_chain(role_db: Db, change: str) -> None:
    for n in range(4):
        await _write(role_db, f"p{n}")
    await role_db.run(change)
    assert await first_broken_link(role_db) in (2, 3)


def test_an_event_has_no_room_for_a_name_or_a_sentence() -> None:
    with pytest.raises(ValueError, match="opaque"):
        Event("p1", "card", "issued", "officer:1", {"name": "홍길동"})
    with pytest.raises(ValueError, match="opaque"):
        Event("p1", "card", "issued", "officer:1", {"why": "lost it on the bus"})


async def test_a_promise_is_kept_once_and_retried_until_it_works(role_db: Db) -> None:
    clock = MovableClock(NOW)
    seen: list[dict[str, Any]] = []

    async def handler(payload: dict[str, Any]) -> None:
        seen.append(payload)
        if len(seen) < 3:
            raise ConnectionError

    outbox = Outbox(role_db, clock, {"tell": handler})
    for _ in range(2):
        await role_db.write(lambda tx: promise(tx, "tell", "k", {"a": 1}, NOW))
    for _ in range(5):
        await outbox.run_once()
        clock.advance(seconds=10)
    assert seen == [{"a": 1}] * 3
    assert await outbox.waiting() == 0


async def test_a_promise_of_a_failed_deed_is_never_felt(role_db: Db) -> None:
    async def body(tx: Tx) -> None:
        await promise(tx, "tell", "k", {}, NOW)
        raise RuntimeError("the deed failed")

    with pytest.raises(RuntimeError):
        await role_db.write(body)
    assert await Outbox(role_db, MovableClock(NOW), {}).waiting() == 0


async def test_a_stuck_item_does_not_block_the_next(role_db: Db) -> None:
    done: list[str] = []

    async def stuck(payload: dict[str, Any]) -> None:
        raise ConnectionError

    async def fine(payload: dict[str, Any]) -> None:
        done.append("fine")

    await role_db.write(lambda tx: promise(tx, "stuck", "1", {}, NOW))
    await role_db.write(lambda tx: promise(tx, "fine", "1", {}, NOW))
    outbox = Outbox(role_db, MovableClock(NOW), {"stuck": stuck, "fine": fine})
    assert await outbox.run_once() == 1
    assert done == ["fine"]


async def test_a_promise_that_was_taken_back_is_not_kept(role_db: Db) -> None:
    """Also when the round that would have kept it has begun."""
    done: list[str] = []

    async def first(payload: dict[str, Any]) -> None:
        assert await role_db.write(lambda tx: withdraw(tx, "tell", "p-1:")) == 1

    async def tell(payload: dict[str, Any]) -> None:
        done.append(payload["to"])

    await role_db.write(lambda tx: promise(tx, "first", "1", {}, NOW))
    later = NOW + timedelta(seconds=1)
    await role_db.write(lambda tx: promise(tx, "tell", "p-1:a", {"to": "p-1"}, later))
    await role_db.write(lambda tx: promise(tx, "tell", "p-11:a", {"to": "p-11"}, later))
    outbox = Outbox(role_db, MovableClock(later), {"first": first, "tell": tell})
    assert await outbox.run_once() == 2
    assert done == ["p-11"]
    assert await outbox.waiting() == 0


async def test_a_promise_made_while_the_clock_was_ahead_is_kept_once_it_is_put_right(role_db: Db) -> None:
    """A lock would otherwise wait for a day a year away."""
    well = False

    async def tell(payload: dict[str, Any]) -> None:
        if not well:
            raise ConnectionError

    clock = MovableClock(NOW + timedelta(days=365))
    outbox = Outbox(role_db, clock, {"tell": tell})
    await role_db.write(lambda tx: promise(tx, "tell", "tried", {}, clock.now()))
    assert await outbox.run_once() == 0
    await role_db.write(lambda tx: promise(tx, "tell", "untried", {}, clock.now()))

    clock.advance(days=-365)
    well = True
    assert await outbox.run_once() == 2


async def test_a_promise_that_failed_still_waits_its_turn(role_db: Db) -> None:
    """However often it failed: a wait of ours is no sign of a wrong clock."""
    tries: list[int] = []

    async def tell(payload: dict[str, Any]) -> None:
        tries.append(1)
        raise ConnectionError

    clock = MovableClock(NOW)
    outbox = Outbox(role_db, clock, {"tell": tell})
    await role_db.write(lambda tx: promise(tx, "tell", "k", {}, NOW))
    for _ in range(12):
        await outbox.run_once()
        before = len(tries)
        await outbox.run_once()
        assert len(tries) == before
        clock.advance(minutes=5)
    assert len(tries) == 12


async def test_a_round_that_breaks_is_logged_without_a_value(role_db: Db) -> None:
    """A traceback with its locals would write names and tokens into the log."""
    secret = "somebody's name"
    worked, ran = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        worked.set()
        raise RuntimeError(secret)

    class Breaking(Outbox):
        async def run_once(self) -> int:
            held = secret
            ran.set()
            raise RuntimeError(held)

    with capture_logs() as logged:
        tasks = [
            asyncio.create_task(Breaking(role_db, MovableClock(NOW), {}).run_forever()),
            asyncio.create_task(_every("issuer", 0, work)),
        ]
        await asyncio.gather(worked.wait(), ran.wait())
        for task in tasks:
            task.cancel()
    assert {line["event"] for line in logged} == {"outbox round failed", "round failed"}
    for line in logged:
        assert line["kind"] == "RuntimeError" and any("run_once" in at or " work" in at for at in line["where"])
        assert "exc_info" not in line and secret not in str(line)
