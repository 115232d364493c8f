"""The registry's tables: proposals, decisions, access certificates.

Promises: rows are added and never changed or removed. Trusts: the registry for every rule. Keeps: trust_proposal,
trust_decision, access_certificate. Refuses: a second decision on one proposal and two approvals in one place, by
unique index.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from mapae.db import Db, Row, Tx


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change somebody asked for. `entry` is JSON, None to strike the subject off; `replaces` is the approved change
    it was made against (0: none)."""

    id: str
    kind: str
    subject: str
    entry: str | None
    replaces: int
    proposer: str
    proposed_at: datetime
    approved: int | None = None  # its place among approved changes
    decider: str | None = None
    decided_at: datetime | None = None


_READ = (
    "SELECT p.id, p.kind, p.subject, p.entry, p.replaces, p.proposer, p.proposed_at,"
    " d.approved, d.decider, d.decided_at FROM trust_proposal p LEFT JOIN trust_decision d ON d.proposal = p.id"
)


async def add_proposal(tx: Tx, proposal: Proposal) -> None:
    await tx.run(
        "INSERT INTO trust_proposal (id, kind, subject, entry, replaces, proposer, proposed_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        proposal.id, proposal.kind, proposal.subject, proposal.entry, proposal.replaces, proposal.proposer,
        int(proposal.proposed_at.timestamp()),
    )  # fmt: skip


async def add_decision(tx: Tx, proposal: str, approved: int | None, decider: str, now: datetime) -> None:
    """Raises Duplicate (out of the transaction) when it has been decided."""
    await tx.run(
        "INSERT INTO trust_decision (proposal, approved, decider, decided_at) VALUES ($1, $2, $3, $4)",
        proposal, approved, decider, int(now.timestamp()),
    )  # fmt: skip


async def proposal(on: Db | Tx, id: str) -> Proposal | None:
    row = await on.one(f"{_READ} WHERE p.id = $1", id)
    return None if row is None else _proposal(row)


async def undecided(db: Db) -> list[Proposal]:
    rows = await db.all(f"{_READ} WHERE d.proposal IS NULL ORDER BY p.proposed_at, p.id")
    return [_proposal(row) for row in rows]


async def history(db: Db, limit: int) -> list[Proposal]:
    """Decided proposals, the latest first."""
    rows = await db.all(f"{_READ} WHERE d.proposal IS NOT NULL ORDER BY d.decided_at DESC, p.id LIMIT $1", limit)
    return [_proposal(row) for row in rows]


async def last_change(on: Db | Tx) -> int:
    row = await on.one("SELECT MAX(approved) AS seq FROM trust_decision")
    return 0 if row is None or row["seq"] is None else int(row["seq"])


async def approved(on: Db | Tx) -> list[Proposal]:
    """Every approved change, oldest first."""
    return [_proposal(row) for row in await on.all(f"{_READ} WHERE d.approved IS NOT NULL ORDER BY d.approved")]


async def add_certificate(
    tx: Tx, x509_hash: str, party: str, der: bytes, by: str, now: datetime, not_after: datetime
) -> None:
    await tx.run(
        "INSERT INTO access_certificate (x509_hash, relying_party, der, issued_by, issued_at, not_after)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        x509_hash, party, der, by, int(now.timestamp()), int(not_after.timestamp()),
    )  # fmt: skip


def _proposal(row: Row) -> Proposal:
    decided = row["decided_at"]
    return Proposal(
        row["id"], row["kind"], row["subject"], row["entry"], row["replaces"], row["proposer"],
        datetime.fromtimestamp(row["proposed_at"], UTC), row["approved"], row["decider"],
        None if decided is None else datetime.fromtimestamp(decided, UTC),
    )  # fmt: skip
