"""The relay's one table: mailboxes.

Promises: a mailbox is filled once and read once, whoever comes first (compare-and-swap on its state); what was read is
erased in the same write. Trusts: the primary key, never a read before a write. Keeps: names, states, sealed bytes until
they are read or the mailbox ends; afterwards the name alone, so that it cannot be used again. Refuses: nothing of its
own; a lost race is a False or None that the caller names.
"""

from __future__ import annotations

from mapae.db import Db, Tx

OPEN, FULL, SPENT = "open", "full", "spent"


async def room(db: Db) -> int:
    """How many mailboxes there are."""
    row = await db.one("SELECT count(*) AS n FROM relay_box")
    return int(row["n"]) if row is not None else 0


async def open_box(db: Db, channel: bytes, ends_at: int) -> tuple[str, int]:
    """The state it is in now, and its end; a new one is open. Opening it again changes nothing."""

    async def body(tx: Tx) -> tuple[str, int]:
        await tx.run(
            "INSERT INTO relay_box (channel, state, ends_at) VALUES ($1, 'open', $2) ON CONFLICT DO NOTHING",
            channel, ends_at,
        )  # fmt: skip
        row = await tx.one("SELECT state, ends_at FROM relay_box WHERE channel = $1", channel)
        return (str(row["state"]), int(row["ends_at"])) if row is not None else (SPENT, 0)

    return await db.write(body)


async def fill(db: Db, channel: bytes, message: bytes, now: int) -> bool:
    filled = await db.run(
        "UPDATE relay_box SET state = 'full', body = $2 WHERE channel = $1 AND state = 'open' AND ends_at > $3",
        channel, message, now,
    )  # fmt: skip
    return filled == 1


async def state(db: Db, channel: bytes, now: int) -> str | None:
    row = await db.one("SELECT state FROM relay_box WHERE channel = $1 AND ends_at > $2", channel, now)
    return str(row["state"]) if row is not None else None


async def take(db: Db, channel: bytes, now: int) -> bytes | None:
    """What lies in it, which is erased. None: nothing, or somebody was quicker."""

    async def body(tx: Tx) -> bytes | None:
        row = await tx.one(
            "SELECT body FROM relay_box WHERE channel = $1 AND state = 'full' AND ends_at > $2", channel, now
        )
        if row is None:
            return None
        spent = await tx.run(
            "UPDATE relay_box SET state = 'spent', body = NULL WHERE channel = $1 AND state = 'full'", channel
        )
        return bytes(row["body"]) if spent == 1 else None

    return await db.write(body)


async def close(db: Db, channel: bytes) -> None:
    await db.run("UPDATE relay_box SET state = 'spent', body = NULL WHERE channel = $1", channel)


async def sweep(db: Db, now: int) -> None:
    due = await db.one("SELECT 1 AS due FROM relay_box WHERE ends_at <= $1 LIMIT 1", now)
    if due is not None:  # a round every few seconds must not cost a durable write each time
        await db.run("DELETE FROM relay_box WHERE ends_at <= $1", now)
