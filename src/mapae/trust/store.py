"""The registry's tables: proposals, what governors signed, decisions, what the log made of them, access certificates.

Promises: rows are added and never changed or removed. Trusts: the registry for every rule. Keeps: trust_proposal,
trust_vote, trust_decision, trust_order, trust_outcome, access_certificate. Refuses: a second decision on one proposal,
two approvals in one place and two votes of one governor, by unique index.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from mapae.db import Db, Row, Tx


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change somebody asked for. `entry` is JSON, None to strike the subject off; `replaces` is the approved change
    it was made against (0: none). Once approved it waits for the log, until it holds or a rule of the log stops it."""

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
    settled_at: datetime | None = None  # when the log had said yes or no
    rule: str | None = None  # the rule of the log it broke

    @property
    def holds(self) -> bool:
        return self.settled_at is not None and self.rule is None


@dataclass(frozen=True, slots=True)
class Vote:
    """What a governor signed for a proposal: the proposer the statement, the others an approval of it."""

    voice: bytes
    governor: str
    signed: str


_READ = (
    "SELECT p.id, p.kind, p.subject, p.entry, p.replaces, p.proposer, p.proposed_at,"
    " d.approved, d.decider, d.decided_at, o.at, o.rule FROM trust_proposal p"
    " LEFT JOIN trust_decision d ON d.proposal = p.id LEFT JOIN trust_outcome o ON o.proposal = p.id"
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


async def approved(on: Db | Tx) -> list[Proposal]:
    """Every change governors have signed for, oldest first. (What was approved before there was a log never reached
    it, and is none.)"""
    rows = await on.all(f"{_READ} JOIN trust_order s ON s.proposal = p.id ORDER BY d.approved")
    return [_proposal(row) for row in rows]


async def ever_held(on: Db | Tx, kind: str, subject: str) -> bool:
    """Whether governors ever signed for an entry of this id."""
    row = await on.one(
        "SELECT 1 AS held FROM trust_proposal p JOIN trust_decision d ON d.proposal = p.id WHERE p.kind = $1"
        " AND p.subject = $2 AND p.entry IS NOT NULL AND d.approved IS NOT NULL LIMIT 1",
        kind, subject,
    )  # fmt: skip
    return row is not None


async def last_place(on: Db | Tx) -> int:
    row = await on.one("SELECT MAX(approved) AS place FROM trust_decision")
    return 0 if row is None or row["place"] is None else int(row["place"])


async def add_vote(tx: Tx, proposal: str, place: int, vote: Vote, now: datetime) -> None:
    """Raises Duplicate (out of the transaction) when this voice has spoken, or another took this place."""
    await tx.run(
        "INSERT INTO trust_vote (proposal, place, voice, governor, signed, voted_at) VALUES ($1, $2, $3, $4, $5, $6)",
        proposal, place, vote.voice, vote.governor, vote.signed, int(now.timestamp()),
    )  # fmt: skip


async def votes(on: Db | Tx, proposal: str) -> list[Vote]:
    """The proposer's statement first."""
    rows = await on.all(
        "SELECT voice, governor, signed FROM trust_vote WHERE proposal = $1 ORDER BY place", proposal
    )  # fmt: skip
    return [Vote(bytes(row["voice"]), row["governor"], row["signed"]) for row in rows]


async def add_order(tx: Tx, proposal: str, submissions: str) -> None:
    await tx.run("INSERT INTO trust_order (proposal, submissions) VALUES ($1, $2)", proposal, submissions)


async def unsettled(on: Db | Tx) -> list[tuple[Proposal, str]]:
    """Approved changes the log has not taken or turned down yet, in their order, and what it is to be handed."""
    rows = await on.all(
        "SELECT p.id, p.kind, p.subject, p.entry, p.replaces, p.proposer, p.proposed_at, d.approved, d.decider,"
        " d.decided_at, o.at, o.rule, s.submissions FROM trust_order s JOIN trust_proposal p ON p.id = s.proposal"
        " JOIN trust_decision d ON d.proposal = p.id LEFT JOIN trust_outcome o ON o.proposal = p.id"
        " WHERE o.proposal IS NULL ORDER BY d.approved"
    )
    return [(_proposal(row), row["submissions"]) for row in rows]


async def add_outcome(tx: Tx, proposal: str, now: datetime, rule: str | None) -> int:
    """How many rows: 0 when another process has written it down."""
    return await tx.run(
        "INSERT INTO trust_outcome (proposal, at, rule) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        proposal, int(now.timestamp()), rule,
    )  # fmt: skip


async def add_certificate(
    tx: Tx, x509_hash: str, party: str, der: bytes, by: str, now: datetime, not_after: datetime
) -> None:
    await tx.run(
        "INSERT INTO access_certificate (x509_hash, relying_party, der, issued_by, issued_at, not_after)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        x509_hash, party, der, by, int(now.timestamp()), int(not_after.timestamp()),
    )  # fmt: skip


async def certificate_end(on: Db | Tx, x509_hash: str) -> int | None:
    """Until when an access certificate of ours is good; None when it is not ours."""
    row = await on.one("SELECT not_after FROM access_certificate WHERE x509_hash = $1", x509_hash)
    return None if row is None else int(row["not_after"])


async def certificate(on: Db | Tx, x509_hash: str) -> bytes | None:
    """An access certificate of ours, DER."""
    row = await on.one("SELECT der FROM access_certificate WHERE x509_hash = $1", x509_hash)
    return None if row is None else bytes(row["der"])


async def certificates_of(on: Db | Tx, party: str) -> list[bytes]:
    """Every one this party was given, the latest first."""
    rows = await on.all(
        "SELECT der FROM access_certificate WHERE relying_party = $1 ORDER BY issued_at DESC, x509_hash", party
    )
    return [bytes(row["der"]) for row in rows]


def _proposal(row: Row) -> Proposal:
    decided, settled = row["decided_at"], row["at"]
    return Proposal(
        row["id"], row["kind"], row["subject"], row["entry"], row["replaces"], row["proposer"],
        datetime.fromtimestamp(row["proposed_at"], UTC), row["approved"], row["decider"],
        None if decided is None else datetime.fromtimestamp(decided, UTC),
        None if settled is None else datetime.fromtimestamp(settled, UTC), row["rule"],
    )  # fmt: skip
