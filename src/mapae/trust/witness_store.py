"""A witness's tables: the checkpoints it cosigned, and the notes that did not fit them.

Promises: rows are never taken away; what was seen at a size keeps its root. Trusts: the witness for every rule. Keeps:
witness_checkpoint, witness_evidence. Refuses: two roots of one size, by primary key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mapae.db import Db, Row, Tx


@dataclass(frozen=True, slots=True)
class Seen:
    """A checkpoint we cosigned. `note` carries the log's signature and the newest of ours."""

    origin: str
    size: int
    root: bytes
    note: str
    at: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two notes of one log that do not fit. `kind`: fork, or unproven."""

    origin: str
    kind: str
    ours: str
    theirs: str
    at: int


_SEEN = "SELECT origin, size, root, note, seen_at FROM witness_checkpoint"
_EVIDENCE = "SELECT origin, kind, ours, theirs, kept_at FROM witness_evidence"


async def latest(on: Db | Tx, origin: str) -> Seen | None:
    row = await on.one(f"{_SEEN} WHERE origin = $1 ORDER BY size DESC LIMIT 1", origin)
    return None if row is None else _seen(row)


async def seen_at(on: Db | Tx, origin: str, size: int) -> Seen | None:
    row = await on.one(f"{_SEEN} WHERE origin = $1 AND size = $2", origin, size)
    return None if row is None else _seen(row)


async def every_latest(on: Db | Tx, origins: Sequence[str]) -> list[Seen]:
    found = [await latest(on, origin) for origin in origins]
    return [seen for seen in found if seen is not None]


async def keep(tx: Tx, seen: Seen) -> None:
    """A size seen before keeps its root and takes the newer note."""
    await tx.run(
        "INSERT INTO witness_checkpoint (origin, size, root, note, seen_at) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (origin, size) DO UPDATE SET note = excluded.note, seen_at = excluded.seen_at",
        seen.origin, seen.size, seen.root, seen.note, seen.at,
    )  # fmt: skip


async def accuse(tx: Tx, digest: bytes, evidence: Evidence, most: int) -> None:
    """Keep evidence once, and no more than `most` of one log and kind."""
    count = await tx.one(
        "SELECT count(*) AS n FROM witness_evidence WHERE origin = $1 AND kind = $2", evidence.origin, evidence.kind
    )
    if count is not None and int(count["n"]) < most:
        await tx.run(
            "INSERT INTO witness_evidence (digest, origin, kind, ours, theirs, kept_at)"
            " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            digest, evidence.origin, evidence.kind, evidence.ours, evidence.theirs, evidence.at,
        )  # fmt: skip


async def evidence(on: Db | Tx, limit: int = 100) -> list[Evidence]:
    """The newest first."""
    rows = await on.all(f"{_EVIDENCE} ORDER BY kept_at DESC, digest LIMIT $1", limit)
    return [
        Evidence(str(row["origin"]), str(row["kind"]), str(row["ours"]), str(row["theirs"]), int(row["kept_at"]))
        for row in rows
    ]


def _seen(row: Row) -> Seen:
    return Seen(str(row["origin"]), int(row["size"]), bytes(row["root"]), str(row["note"]), int(row["seen_at"]))
