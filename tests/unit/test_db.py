from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mapae.db import Db, Duplicate, Tx, connect, migrate
from mapae.errors import Code, Refused

TABLE = "CREATE TABLE thing (id TEXT PRIMARY KEY, n BIGINT NOT NULL, raw BYTEA)"


@pytest.fixture
async def things(db: Db) -> Db:
    await db.run(TABLE)
    return db


async def test_a_placeholder_may_be_used_twice(things: Db) -> None:
    await things.run("INSERT INTO thing (id, n, raw) VALUES ($1, $2, $3)", "a", 7, b"\x00\xff")
    row = await things.one("SELECT id, n, raw FROM thing WHERE id = $1 OR id = $1", "a")
    assert row is not None
    assert (row["id"], row["n"], bytes(row["raw"])) == ("a", 7, b"\x00\xff")


async def test_a_failing_body_keeps_nothing(things: Db) -> None:
    async def body(tx: Tx) -> None:
        await tx.run("INSERT INTO thing (id, n) VALUES ('a', 1)")
        raise Refused(Code.CONFLICT, "changed my mind")

    with pytest.raises(Refused):
        await things.write(body)
    assert await things.all("SELECT id FROM thing") == []


async def test_one_failing_body_does_not_take_its_batch_along(things: Db) -> None:
    async def insert(tx: Tx, id: str) -> None:
        await tx.run("INSERT INTO thing (id, n) VALUES ($1, 1)", id)

    ids = ["a", "b", "a", "c", "b"]
    outcomes = await asyncio.gather(
        *(things.write(lambda tx, id=id: insert(tx, id)) for id in ids),  # type: ignore[misc]
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, Duplicate) for outcome in outcomes) == 2
    assert [row["id"] for row in await things.all("SELECT id FROM thing ORDER BY id")] == ["a", "b", "c"]


async def test_compare_and_swap_has_one_winner(things: Db) -> None:
    await things.run("INSERT INTO thing (id, n) VALUES ('code', 0)")
    counts = await asyncio.gather(
        *(things.run("UPDATE thing SET n = 1 WHERE id = 'code' AND n = 0") for _ in range(20))
    )
    assert sorted(counts) == [0] * 19 + [1]


async def test_after_a_duplicate_the_transaction_is_over(things: Db) -> None:
    async def body(tx: Tx) -> None:
        await tx.run("INSERT INTO thing (id, n) VALUES ('a', 1)")
        with pytest.raises(Duplicate):
            await tx.run("INSERT INTO thing (id, n) VALUES ('a', 2)")
        await tx.run("INSERT INTO thing (id, n) VALUES ('b', 3)")

    with pytest.raises(Exception, match="transaction"):
        await things.write(body)
    assert await things.all("SELECT id FROM thing") == []


async def test_returning_gives_the_touched_row(things: Db) -> None:
    async def spend(tx: Tx) -> int:
        row = await tx.one("DELETE FROM thing WHERE id = $1 RETURNING n", "a")
        return -1 if row is None else row["n"]

    await things.run("INSERT INTO thing (id, n) VALUES ('a', 5)")
    assert [await things.write(spend), await things.write(spend)] == [5, -1]


async def test_a_body_may_await_nothing_but_its_tx(tmp_path: Path) -> None:
    db = await connect(f"sqlite:///{tmp_path}/x.db")

    async def body(tx: Tx) -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="other than its tx"):
        await db.write(body)
    await db.close()


async def test_what_was_acknowledged_is_there_after_reopening(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    db = await connect(url)
    await db.run(TABLE)
    await db.run("INSERT INTO thing (id, n) VALUES ('a', 1)")
    again = await connect(url)  # as after a kill: the first was never closed
    assert await again.one("SELECT n FROM thing WHERE id = 'a'") is not None
    await again.close()
    await db.close()


async def test_migrating_twice_applies_once(db: Db) -> None:
    first = await migrate(db, "issuer")
    assert first[0].startswith("common/")
    assert await migrate(db, "issuer") == []


async def test_a_changed_migration_is_refused(db: Db) -> None:
    await migrate(db, "issuer")
    await db.run("UPDATE schema_migration SET digest = 'other'")
    with pytest.raises(Refused) as refused:
        await migrate(db, "issuer")
    assert refused.value.code is Code.BAD_CONFIG


async def test_an_unknown_url_is_refused() -> None:
    with pytest.raises(Refused):
        await connect("mysql://somewhere")


async def test_processes_that_start_together_all_find_their_tables(database_url: str) -> None:
    """Schema and tables are made once, however many processes of a role meet an empty database at the same moment."""
    url = database_url.replace("{role}", "issuer")

    async def start() -> None:
        opened = await connect(url)
        await migrate(opened, "issuer")
        assert await opened.one("SELECT count(*) AS n FROM issue_order") is not None
        await opened.close()

    await asyncio.gather(*(start() for _ in range(6)))


async def test_what_is_erased_does_not_stay_in_the_file(tmp_path: Path) -> None:
    """Whatever the build of SQLite: some leave deleted rows where they were."""
    db = await connect(f"sqlite:///{tmp_path}/erased.db")
    row = await db.one("PRAGMA secure_delete")
    await db.close()
    assert row is not None and row["secure_delete"] == 1
