"""The log's database goes away at each of its statements, once before and once after the commit: whoever asked asks
again and gets what he would have got; the log has every act once."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence

import pytest

import postgres
from ledgers import AT, START, Cast
from mapae.clock import MovableClock
from mapae.db import Body, Db, Row, T, Tx, Value, connect, migrate
from mapae.errors import Code, Refused
from mapae.trust import ledger_store
from mapae.trust.engine import Receipt
from mapae.trust.engine.embedded import EmbeddedLedger
from mapae.trust.log import statement
from mapae.trust.log.acts import Act
from mapae.trust.log.entry import Log
from mapae.trust.log.rules import State

AFTER = -1  # the commit: kept, and nobody was told


class Flaky(Db):
    """Goes away at its n-th statement inside a transaction, or after the commit; then it is back."""

    def __init__(self, db: Db) -> None:
        self._db, self.engine = db, db.engine
        self.fail_at, self.statements = 0, 0

    def arm(self, at: int) -> None:
        self.fail_at, self.statements = at, 0

    def tick(self) -> None:
        self.statements += 1
        if self.statements == self.fail_at:
            self.fail_at = 0
            raise sqlite3.OperationalError("disk I/O error")

    async def write(self, body: Body[T]) -> T:
        result = await self._db.write(lambda tx: body(_FlakyTx(tx, self)))
        if self.fail_at == AFTER:
            self.fail_at = 0
            raise sqlite3.OperationalError("disk I/O error")
        return result

    async def all(self, sql: str, *args: Value) -> list[Row]:
        return await self._db.all(sql, *args)

    async def one(self, sql: str, *args: Value) -> Row | None:
        return await self._db.one(sql, *args)

    async def close(self) -> None:
        await self._db.close()


class _FlakyTx(Tx):
    def __init__(self, tx: Tx, flaky: Flaky) -> None:
        self._tx, self._flaky = tx, flaky

    async def all(self, sql: str, *args: Value) -> list[Row]:
        self._flaky.tick()
        return await self._tx.all(sql, *args)

    async def one(self, sql: str, *args: Value) -> Row | None:
        self._flaky.tick()
        return await self._tx.one(sql, *args)

    async def run(self, sql: str, *args: Value) -> int:
        self._flaky.tick()
        return await self._tx.run(sql, *args)

    async def many(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        self._flaky.tick()
        await self._tx.many(sql, rows)

    async def serial(self, name: str) -> None:
        await self._tx.serial(name)


@pytest.fixture
async def flaky(database_url: str) -> AsyncIterator[Flaky]:
    opened = await connect(database_url.replace("{role}", "trust"))
    await migrate(opened, "trust")
    yield Flaky(opened)
    await opened.close()


async def insist(ledger: EmbeddedLedger, flaky: Flaky, act: Act, signed: str, at: int) -> tuple[Receipt, bool]:
    """Submit while the database goes away at this statement, and again until there is a receipt."""
    flaky.arm(at)
    try:
        return await ledger.submit(act, signed), False
    except Refused as refused:
        assert refused.code is Code.UNAVAILABLE, refused
    finally:
        flaky.arm(0)
    return await ledger.submit(act, signed), True


async def must_be_whole(flaky: Flaky, ledger: EmbeddedLedger) -> None:
    state = State()
    for log in Log:
        for raw in await ledger_store.entries(flaky, log, 0):
            state.fold(log, raw)
    assert state == await ledger.state()
    for named in state.statements:
        assert await ledger_store.statement(flaky, named) is not None


async def test_an_act_is_taken_once_wherever_the_database_fails(flaky: Flaky) -> None:
    cast = Cast()
    ledger = await cast.ledger(flaky, MovableClock(START))
    await cast.admit(ledger)
    failed, expected = 0, 5
    for at in [*range(1, 12), AFTER]:
        receipt, was_cut = await insist(ledger, flaky, *cast.key(f"key {at}"), at)
        assert receipt.index == expected, f"statement {at}"
        expected += 1
        failed += was_cut
        await must_be_whole(flaky, ledger)
    assert failed >= 6, "the database did not fail often enough for this to mean anything"


async def test_a_vote_counts_once_wherever_the_database_fails(flaky: Flaky) -> None:
    """Failed and kept: the governor votes again, and one governor stays one vote."""
    cast = Cast()
    ledger = await cast.ledger(flaky, MovableClock(START))
    size = 4
    for at in [*range(1, 10), AFTER]:
        act, signed = cast.admission(valid_until=AT + 10**8 + abs(at) + 20 * (at == AFTER))
        receipt, _ = await insist(ledger, flaky, act, signed, at)
        assert receipt.index is None
        assert (await ledger.submit(act, signed)).index is None, "one governor alone, however often he asks"
        again = statement.approve(act.statement, cast.governors[0], AT)
        assert (await ledger.submit(act, again)).index is None
        receipt, _ = await insist(ledger, flaky, act, statement.approve(act.statement, cast.governors[1], AT), at)
        assert receipt.index == size
        size += 1
        await must_be_whole(flaky, ledger)


@pytest.mark.parametrize("at", [1, 2, 4, 6, AFTER])
async def test_a_founding_that_fails_is_founded_again(flaky: Flaky, at: int) -> None:
    cast = Cast()
    flaky.arm(at)
    with pytest.raises(sqlite3.OperationalError):
        await cast.ledger(flaky, MovableClock(START))
    founded = await cast.ledger(flaky, MovableClock(START))
    assert (await founded.head(Log.REGISTRY)).size == 4
    await must_be_whole(flaky, founded)


@pytest.mark.postgres
async def test_a_server_that_ends_every_connection_loses_nothing(cluster: postgres.Cluster) -> None:
    """As when PostgreSQL is started again under a running trust role."""
    url = cluster.create("ended").replace("{role}", "trust")
    db, beside = await connect(url), await connect(url)
    await migrate(db, "trust")
    cast = Cast()
    ledger = await cast.ledger(db, MovableClock(START))
    await cast.admit(ledger)
    for at in range(5):
        await beside.all(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid()"
        )
        act, signed = cast.key(f"key {at}")
        receipts = []
        while not receipts:
            try:
                receipts.append(await ledger.submit(act, signed))
            except Refused as refused:
                assert refused.code is Code.UNAVAILABLE, refused
        assert receipts[0].index == 5 + at
    assert await ledger.head(Log.REGISTRY) == await (await cast.ledger(beside)).head(Log.REGISTRY)
    await db.close()
    await beside.close()
    cluster.drop("ended")
