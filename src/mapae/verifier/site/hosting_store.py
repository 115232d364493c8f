"""The tables of the hosted checker: whose keys are here, and which relying parties the trust list had.

Promises: a key is one application's; what the list said of a party changes in the same transaction as what follows
from it. Trusts: `hosting.py` and `holdings.py` for every rule. Keeps: hosted_key, known_party. Refuses: nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mapae.db import Db, Row, Tx, moment


@dataclass(frozen=True, slots=True)
class Hosted:
    """`name` of the key; `x509_hash` of the certificate it was taken up with, None until then."""

    name: str
    party: str
    x509_hash: str | None


async def add(db: Db, name: str, party: str, now: datetime) -> None:
    """An application may choose another id until it is approved."""
    await db.run(
        "INSERT INTO hosted_key (name, party, made_at) VALUES ($1, $2, $3)"
        " ON CONFLICT (name) DO UPDATE SET party = $2",
        name, party, int(now.timestamp()),
    )  # fmt: skip


async def all(on: Db | Tx) -> list[Hosted]:
    rows = await on.all("SELECT name, party, x509_hash FROM hosted_key ORDER BY party, made_at, name")
    return [Hosted(row["name"], row["party"], row["x509_hash"]) for row in rows]


async def has(db: Db, party: str) -> bool:
    """Whether this verifier asks for this party since it applied for that."""
    row = await db.one("SELECT 1 AS has FROM hosted_key WHERE party = $1 AND x509_hash IS NOT NULL LIMIT 1", party)
    return row is not None


async def taken(db: Db, name: str, x509_hash: str) -> None:
    await db.run("UPDATE hosted_key SET x509_hash = $2 WHERE name = $1", name, x509_hash)


async def drop(db: Db, name: str) -> None:
    await db.run("DELETE FROM hosted_key WHERE name = $1", name)


# --- what the list said -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Known:
    """A party the list once had, and with which certificate. `away_since`: the list has it no longer; `ended_at`: what
    it had here was ended for that."""

    party: str
    x509_hash: str
    away_since: datetime | None
    ended_at: datetime | None


async def known(db: Db) -> dict[str, Known]:
    return {row["party"]: _known(row) for row in await db.all("SELECT * FROM known_party")}


async def still(tx: Tx, known: Known) -> bool:
    """Whether this is the registration it was."""
    row = await tx.one("SELECT x509_hash FROM known_party WHERE party = $1", known.party)
    return row is not None and row["x509_hash"] == known.x509_hash


async def listed(db: Db, party: str, x509_hash: str) -> None:
    await db.run(
        "INSERT INTO known_party (party, x509_hash) VALUES ($1, $2) ON CONFLICT (party)"
        " DO UPDATE SET x509_hash = $2, away_since = NULL, ended_at = NULL",
        party, x509_hash,
    )  # fmt: skip


async def away(db: Db, party: str, now: datetime) -> None:
    await db.run(
        "UPDATE known_party SET away_since = $2 WHERE party = $1 AND away_since IS NULL", party, int(now.timestamp())
    )


async def ended(tx: Tx, party: str, now: datetime) -> bool:
    """Whether this was the first time."""
    return await tx.run(
        "UPDATE known_party SET ended_at = $2, away_since = COALESCE(away_since, $2)"
        " WHERE party = $1 AND ended_at IS NULL",
        party, int(now.timestamp()),
    ) == 1  # fmt: skip


def _known(row: Row) -> Known:
    return Known(row["party"], row["x509_hash"], moment(row["away_since"]), moment(row["ended_at"]))
