"""The tables behind pushes: where phones are woken, what waits for them, whom they do not want to hear.

Promises: one waiting place a request, however often it is handed in; a push address belongs to one phone, because the
index says so. Trusts: `push.py` for sealing, limits, and how phones stand. Keeps: sealed addresses and requests, opaque
ids, times. Refuses: nothing by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from mapae.db import Db, Tx

EVERYBODY = ""  # the party of a mute that holds for all


@dataclass(frozen=True, slots=True)
class Mail:
    """A request to one phone. `sealed` None: there is nothing to open any more."""

    id: str
    device_id: str
    party: str
    purpose: str
    state: str
    sealed: bytes | None
    at: int
    expires: int


# --- where a phone is woken -------------------------------------------------------------------------------------------


async def subscribe(tx: Tx, device_id: str, address: bytes, sealed: bytes, now: int) -> bool:
    """False: that address is another phone's."""
    await tx.run("DELETE FROM push_subscription WHERE device_id = $1", device_id)
    added = await tx.run(
        "INSERT INTO push_subscription (device_id, address, sealed, made) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (address) DO NOTHING",
        device_id, address, sealed, now,
    )  # fmt: skip
    return added == 1


async def unsubscribe(tx: Tx, device_id: str) -> bool:
    return await tx.run("DELETE FROM push_subscription WHERE device_id = $1", device_id) == 1


async def gone(db: Db, device_id: str, address: bytes) -> None:
    """The push service knows that address no more; another one since then stays."""
    await db.run("DELETE FROM push_subscription WHERE device_id = $1 AND address = $2", device_id, address)


async def subscribed(tx: Tx, device_id: str) -> bool:
    return await tx.one("SELECT 1 AS found FROM push_subscription WHERE device_id = $1", device_id) is not None


async def to_wake(db: Db, id: str, now: int) -> tuple[str, bytes, bytes, int] | None:
    """Phone, address, sealed subscription and end, if this request still waits for a phone that can be woken."""
    row = await db.one(
        "SELECT s.device_id, s.address, s.sealed, m.expires FROM push_mail m"
        " JOIN push_subscription s ON s.device_id = m.device_id"
        " WHERE m.id = $1 AND m.state = 'waiting' AND m.expires > $2",
        id, now,
    )  # fmt: skip
    return None if row is None else (row["device_id"], bytes(row["address"]), bytes(row["sealed"]), row["expires"])


# --- what waits -------------------------------------------------------------------------------------------------------


async def add(tx: Tx, mail: Mail) -> bool:
    """False: it was handed in before."""
    return await tx.run(
        "INSERT INTO push_mail (id, device_id, party, purpose, state, sealed, at, expires)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING",
        mail.id, mail.device_id, mail.party, mail.purpose, mail.state, mail.sealed, mail.at, mail.expires,
    ) == 1  # fmt: skip


async def known(tx: Tx, id: str) -> bool:
    return await tx.one("SELECT 1 AS found FROM push_mail WHERE id = $1", id) is not None


async def between(tx: Tx, device_id: str, since: int, until: int) -> list[str]:
    """The parties that asked this phone then, one for each time."""
    rows = await tx.all(
        "SELECT party FROM push_mail WHERE device_id = $1 AND at > $2 AND at <= $3", device_id, since, until
    )
    return [row["party"] for row in rows]


async def mailbox(tx: Tx, device_id: str) -> list[Mail]:
    """What waits, and what this phone has not been told of yet; the newest first."""
    rows = await tx.all(
        "SELECT * FROM push_mail WHERE device_id = $1 AND told = 0 ORDER BY at DESC, id LIMIT 100", device_id
    )
    return [
        Mail(
            row["id"], row["device_id"], row["party"], row["purpose"], row["state"],
            None if row["sealed"] is None else bytes(row["sealed"]), row["at"], row["expires"],
        )
        for row in rows
    ]  # fmt: skip


async def put_aside(tx: Tx, device_id: str, id: str) -> bool:
    """This phone is through with it, and has it in its own history."""
    return await tx.run(
        "UPDATE push_mail SET told = 1, sealed = NULL, state = CASE state WHEN 'waiting' THEN 'over' ELSE state END"
        " WHERE device_id = $1 AND id = $2",
        device_id, id,
    ) == 1  # fmt: skip


async def close(tx: Tx, device_id: str, party: str = EVERYBODY) -> None:
    """What waits from this party, or from anybody, waits no longer."""
    await tx.run(
        "UPDATE push_mail SET state = 'over', sealed = NULL WHERE device_id = $1 AND state = 'waiting'"
        " AND ($2 = '' OR party = $2)",
        device_id, party,
    )  # fmt: skip


# --- whom a phone does not want to hear -------------------------------------------------------------------------------


async def mute(tx: Tx, device_id: str, parties: list[str]) -> None:
    """These from now on, and no others."""
    await tx.run("DELETE FROM push_mute WHERE device_id = $1", device_id)
    for party in parties:
        await tx.run("INSERT INTO push_mute (device_id, party) VALUES ($1, $2)", device_id, party)


async def muted(tx: Tx, device_id: str) -> list[str]:
    rows = await tx.all("SELECT party FROM push_mute WHERE device_id = $1 ORDER BY party", device_id)
    return [row["party"] for row in rows]


# --- forgetting -------------------------------------------------------------------------------------------------------


async def forget(tx: Tx, device_id: str) -> None:
    """Everything about a phone that has ended; in the transaction that ends it."""
    for table in ("push_mail", "push_mute", "push_subscription"):
        await tx.run(f"DELETE FROM {table} WHERE device_id = $1", device_id)  # noqa: S608 the names stand above


async def sweep(db: Db, now: int, told_before: int, kept_before: int) -> None:
    """What is too late cannot be opened; what a phone has been told of, or was never told, is forgotten."""

    async def body(tx: Tx) -> None:
        await tx.run(
            "UPDATE push_mail SET state = 'over', sealed = NULL WHERE state = 'waiting' AND expires <= $1", now
        )
        await tx.run("DELETE FROM push_mail WHERE told = 1 AND expires <= $1", told_before)
        await tx.run("DELETE FROM push_mail WHERE expires <= $1", kept_before)

    due = await db.one(
        "SELECT 1 AS due FROM push_mail WHERE (state = 'waiting' AND expires <= $1) OR (told = 1 AND expires <= $2)"
        " OR expires <= $3 LIMIT 1",
        now, told_before, kept_before,
    )  # fmt: skip
    if due is not None:
        await db.write(body)
