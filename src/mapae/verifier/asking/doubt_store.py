"""The tables behind the doubtful report: day keys, and what was accepted with no network.

Promises: a day's key is made once, sealed, and gone with that day's rows after the window; marking a row doubtful twice
is the same as once. Trusts: the vault. Keeps: times, purposes, certificate digests and tags, nothing about a person.
Refuses: nothing of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from mapae.clock import Dice
from mapae.db import Db, Tx
from mapae.keys import Vault
from mapae.verifier.asking.doubt import DAY, WINDOW, Accepted, Doubt, Doubtful, day_of


async def key_of_today(db: Db, vault: Vault, dice: Dice, now: datetime) -> bytes:
    """Made by the first check of the day; of several processes the first one's stands."""
    day = day_of(now)
    erase_at = (day + 1) * DAY + int(WINDOW.total_seconds())
    row = await db.one("SELECT secret FROM offline_key WHERE day = $1", day)
    if row is None:
        sealed = vault.seal(dice.bytes(32), _context(day))
        await db.run(
            "INSERT INTO offline_key (day, secret, erase_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            day, sealed, erase_at,
        )  # fmt: skip
        row = await db.one("SELECT secret FROM offline_key WHERE day = $1", day)
    assert row is not None
    return vault.open(bytes(row["secret"]), _context(day))


async def add(tx: Tx, rows: Iterable[Accepted]) -> None:
    """In the transaction of the verdict."""
    for row in rows:
        await tx.run(
            "INSERT INTO offline_accepted (id, day, relying_party, purpose, at, signer, tag)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7)",
            row.id, row.at // DAY, row.relying_party, row.purpose, row.at, row.signer, row.tag,
        )  # fmt: skip


async def keys(db: Db, vault: Vault) -> dict[int, bytes]:
    """The keys of days on which something was accepted that is not doubtful yet."""
    rows = await db.all(
        "SELECT k.day, k.secret FROM offline_key k WHERE EXISTS"
        " (SELECT 1 FROM offline_accepted a WHERE a.day = k.day AND a.doubt IS NULL)"
    )
    return {row["day"]: vault.open(bytes(row["secret"]), _context(row["day"])) for row in rows}


async def tags(db: Db, day: int) -> frozenset[bytes]:
    rows = await db.all("SELECT tag FROM offline_accepted WHERE day = $1 AND doubt IS NULL", day)
    return frozenset(bytes(row["tag"]) for row in rows)


async def mark(
    db: Db, found: Iterable[tuple[int, bytes, Doubt]], signers: Mapping[bytes, int]
) -> int:  # fmt: skip
    """Mark what has these tags, and what these signers signed since. How many are newly doubtful."""

    async def body(tx: Tx) -> int:
        marked = 0
        for day, tag, doubt in found:
            marked += await tx.run(
                "UPDATE offline_accepted SET doubt = $3 WHERE day = $1 AND tag = $2 AND doubt IS NULL",
                day, tag, doubt.value,
            )  # fmt: skip
        for signer, since in signers.items():
            marked += await tx.run(
                "UPDATE offline_accepted SET doubt = $3 WHERE signer = $1 AND at >= $2 AND doubt IS NULL",
                signer, since, Doubt.SIGNER.value,
            )  # fmt: skip
        return marked

    return await db.write(body)


async def signers(db: Db) -> frozenset[bytes]:
    """Whose signatures were accepted."""
    rows = await db.all("SELECT DISTINCT signer FROM offline_accepted WHERE doubt IS NULL")
    return frozenset(bytes(row["signer"]) for row in rows)


async def report(db: Db, relying_party: str | None = None) -> list[Doubtful]:
    """What is doubtful, the newest first; of one relying party, or of all."""
    rows = await db.all(
        "SELECT at, purpose, doubt FROM offline_accepted WHERE doubt IS NOT NULL AND ($1 = '' OR relying_party = $1)"
        " ORDER BY at DESC LIMIT 1000",
        relying_party or "",
    )
    return [Doubtful(row["at"], row["purpose"], Doubt(row["doubt"])) for row in rows]


async def sweep(db: Db, now: datetime) -> None:
    """Destroy what is past its window, keys and rows at once."""
    at = int(now.timestamp())
    if await db.one("SELECT 1 AS due FROM offline_key WHERE erase_at <= $1", at) is None:
        return

    async def body(tx: Tx) -> None:
        await tx.run("DELETE FROM offline_accepted WHERE day IN (SELECT day FROM offline_key WHERE erase_at <= $1)", at)
        await tx.run("DELETE FROM offline_key WHERE erase_at <= $1", at)

    await db.write(body)


def _context(day: int) -> bytes:
    return f"offline_key.secret|{day}".encode()
