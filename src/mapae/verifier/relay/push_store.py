"""The table of requests on their way to a named person's phone.

Promises: a request is kept sealed until it is handed over or over, and not a moment longer. Trusts: `push.py` for
sealing. Keeps: one row a request on its way. Refuses: nothing of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from mapae.db import Db, Tx


async def add(tx: Tx, id: str, sealed: bytes, expires_at: int) -> None:
    await tx.run(
        "INSERT INTO push_out (id, sealed, expires_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
        id, sealed, expires_at,
    )  # fmt: skip


async def find(db: Db, id: str, now: int) -> bytes | None:
    row = await db.one("SELECT sealed FROM push_out WHERE id = $1 AND expires_at > $2", id, now)
    return None if row is None else bytes(row["sealed"])


async def drop(db: Db, id: str) -> None:
    await db.run("DELETE FROM push_out WHERE id = $1", id)


async def drop_all(tx: Tx, ids: Sequence[str]) -> None:
    await tx.many("DELETE FROM push_out WHERE id = $1", [(id,) for id in ids])


async def sweep(db: Db, now: int) -> None:
    if await db.one("SELECT 1 AS due FROM push_out WHERE expires_at <= $1 LIMIT 1", now) is not None:
        await db.run("DELETE FROM push_out WHERE expires_at <= $1", now)
