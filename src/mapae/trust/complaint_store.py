"""The tables of complaints about over-asking.

Promises: a request counts once, however often it is reported; one row a party, purpose and set of items, so that a
flood makes a number grow and no table. Trusts: its caller for the evidence. Keeps: tables complaint and
complaint_evidence. Refuses: nothing of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from mapae.db import Db, Row, Tx


@dataclass(frozen=True, slots=True)
class Complaint:
    """`items`: what was asked beyond the registration; empty: the purpose itself is not registered. `evidence`: the
    first such request, as the party signed it."""

    party: str
    purpose: str
    items: tuple[str, ...]
    reports: int
    first_at: datetime
    last_at: datetime
    evidence: str


async def add_evidence(tx: Tx, digest: bytes, at: int) -> bool:
    """False when this very request was reported before."""
    return await tx.run(
        "INSERT INTO complaint_evidence (digest, at) VALUES ($1, $2) ON CONFLICT DO NOTHING", digest, at
    ) == 1  # fmt: skip


async def forget_evidence(tx: Tx, before: int) -> None:
    await tx.run("DELETE FROM complaint_evidence WHERE at < $1", before)


async def count_again(tx: Tx, party: str, purpose: str, items: tuple[str, ...], at: int) -> bool:
    """False: there is no such kind yet."""
    return await tx.run(
        "UPDATE complaint SET reports = reports + 1, last_at = $4 WHERE party = $1 AND purpose = $2 AND items = $3",
        party, purpose, msgspec.json.encode(items).decode(), at,
    ) == 1  # fmt: skip


async def add(tx: Tx, party: str, purpose: str, items: tuple[str, ...], evidence: str, at: int) -> None:
    await tx.run(
        "INSERT INTO complaint (party, purpose, items, reports, first_at, last_at, evidence)"
        " VALUES ($1, $2, $3, 1, $4, $4, $5)",
        party, purpose, msgspec.json.encode(items).decode(), at, evidence,
    )  # fmt: skip


async def kinds_of(tx: Tx, party: str) -> int:
    row = await tx.one("SELECT count(*) AS n FROM complaint WHERE party = $1", party)
    return int(row["n"]) if row is not None else 0


async def complaints(db: Db) -> list[Complaint]:
    """The newest first."""
    return [_complaint(row) for row in await db.all("SELECT * FROM complaint ORDER BY last_at DESC, party, purpose")]


def _complaint(row: Row) -> Complaint:
    first, last = (datetime.fromtimestamp(row[name], UTC) for name in ("first_at", "last_at"))
    items = tuple(msgspec.json.decode(row["items"], type=list[str]))
    return Complaint(row["party"], row["purpose"], items, row["reports"], first, last, row["evidence"])
