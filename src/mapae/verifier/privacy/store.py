"""The table of citizens' requests to relying parties.

Promises: one row a token; an answer is written once, by compare-and-swap on the outcome. Trusts: its caller for
sealing. Keeps: table privacy_request. Refuses: nothing of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from mapae.db import Db, Tx
from mapae.db import Row as Record


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    party: str
    number: str
    kind: str
    purpose: str
    items: tuple[str, ...]
    shown_at: int
    words: bytes
    received_at: int
    due_at: int
    outcome: str
    reply: bytes | None = None
    answered_at: int | None = None


async def add(tx: Tx, row: Row) -> None:
    await tx.run(
        "INSERT INTO privacy_request (id, party, number, kind, purpose, items, shown_at, words, received_at, due_at,"
        " outcome) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        row.id, row.party, row.number, row.kind, row.purpose, msgspec.json.encode(row.items).decode(), row.shown_at,
        row.words, row.received_at, row.due_at, row.outcome,
    )  # fmt: skip


async def row(db: Db | Tx, id: str) -> Row | None:
    found = await db.one("SELECT * FROM privacy_request WHERE id = $1", id)
    return _row(found) if found is not None else None


async def count_open(tx: Tx, party: str) -> int:
    found = await tx.one("SELECT count(*) AS n FROM privacy_request WHERE party = $1 AND outcome = 'open'", party)
    return int(found["n"]) if found is not None else 0


async def of_party(db: Db, party: str, limit: int) -> list[Row]:
    """Open ones first, oldest first; then the newest of the others."""
    waiting = await db.all(
        "SELECT * FROM privacy_request WHERE party = $1 AND outcome IN ('open', 'show_again')"
        " ORDER BY received_at, id LIMIT $2",
        party, limit,
    )  # fmt: skip
    done = await db.all(
        "SELECT * FROM privacy_request WHERE party = $1 AND outcome NOT IN ('open', 'show_again')"
        " ORDER BY answered_at DESC, id LIMIT $2",
        party, limit,
    )  # fmt: skip
    return [_row(one) for one in (*waiting, *done)]


async def answer(tx: Tx, id: str, outcome: str, reply: bytes, at: int) -> bool:
    """False when it has been answered."""
    return await tx.run(
        "UPDATE privacy_request SET outcome = $2, reply = $3, answered_at = $4"
        " WHERE id = $1 AND outcome IN ('open', 'show_again')",
        id, outcome, reply, at,
    ) == 1  # fmt: skip


async def forget(tx: Tx, answered_before: int, received_before: int) -> int:
    return await tx.run(
        "DELETE FROM privacy_request WHERE answered_at < $1 AND outcome <> 'show_again' OR received_at < $2",
        answered_before, received_before,
    )  # fmt: skip


def _row(found: Record) -> Row:
    return Row(
        id=found["id"], party=found["party"], number=found["number"], kind=found["kind"], purpose=found["purpose"],
        items=tuple(msgspec.json.decode(found["items"], type=list[str])), shown_at=found["shown_at"],
        words=bytes(found["words"]), received_at=found["received_at"], due_at=found["due_at"],
        outcome=found["outcome"], reply=bytes(found["reply"]) if found["reply"] is not None else None,
        answered_at=found["answered_at"],
    )  # fmt: skip
