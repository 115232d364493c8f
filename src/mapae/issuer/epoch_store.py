"""Status epochs, in SQL.

Promises: epochs are numbered without gaps and no number is given twice, whoever cuts them; a list's row changes only
when the list has. Trusts: its caller to be inside one transaction. Keeps: tables status_epoch and status_cut.
Refuses: nothing; a second epoch of one number is `Duplicate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mapae.db import Row, Tx
from mapae.issuer.store import Reader


@dataclass(frozen=True, slots=True)
class EpochRow:
    """`counts_until` is what `statement`, signed for the log, says: later than `next_update` where the log was away."""

    seq: int
    iat: int
    next_update: int
    root: bytes
    leaves: int
    counts_until: int
    statement: str
    anchored_at: int | None


@dataclass(frozen=True, slots=True)
class CutRow:
    """A list as an epoch has it, since `seq`. `lst` is empty where only the version is still known."""

    list_id: str
    seq: int
    version: int
    bits: int
    record: bytes
    lst: bytes


_EPOCH = "SELECT seq, iat, next_update, root, leaves, counts_until, statement, anchored_at FROM status_epoch"
_CUT = "SELECT list_id, seq, version, bits, record, lst FROM status_cut"


def _epoch(row: Row | None) -> EpochRow | None:
    if row is None:
        return None
    return EpochRow(
        row["seq"], row["iat"], row["next_update"], bytes(row["root"]), row["leaves"], row["counts_until"],
        row["statement"], row["anchored_at"],
    )  # fmt: skip


def _cut(row: Row) -> CutRow:
    return CutRow(
        row["list_id"], row["seq"], row["version"], row["bits"], bytes(row["record"]), bytes(row["lst"])
    )  # fmt: skip


async def newest(reader: Reader) -> EpochRow | None:
    return _epoch(await reader.one(f"{_EPOCH} ORDER BY seq DESC LIMIT 1"))


async def epoch(reader: Reader, seq: int) -> EpochRow | None:
    return _epoch(await reader.one(f"{_EPOCH} WHERE seq = $1", seq))


async def waiting(reader: Reader, most: int) -> list[EpochRow]:
    """Epochs the log does not have yet, oldest first."""
    rows = await reader.all(f"{_EPOCH} WHERE anchored_at IS NULL ORDER BY seq LIMIT $1", most)
    return [found for row in rows if (found := _epoch(row)) is not None]


async def behind(reader: Reader) -> int:
    """How many epochs the log does not have yet."""
    row = await reader.one("SELECT count(*) AS n FROM status_epoch WHERE anchored_at IS NULL")
    return int(row["n"]) if row is not None else 0


async def add(tx: Tx, row: EpochRow, cuts: Sequence[CutRow]) -> None:
    await tx.run(
        "INSERT INTO status_epoch (seq, iat, next_update, root, leaves, counts_until, statement,"
        " anchored_at) VALUES ($1, $2, $3, $4, $5, $6, $7, NULL)",
        row.seq, row.iat, row.next_update, row.root, row.leaves, row.counts_until, row.statement,
    )  # fmt: skip
    await tx.many(
        "UPDATE status_cut SET until = $2 WHERE list_id = $1 AND until IS NULL",
        [(cut.list_id, row.seq) for cut in cuts],
    )
    await tx.many(
        "INSERT INTO status_cut (list_id, seq, until, version, bits, record, lst)"
        " VALUES ($1, $2, NULL, $3, $4, $5, $6)",
        [(cut.list_id, row.seq, cut.version, cut.bits, cut.record, cut.lst) for cut in cuts],
    )


async def restated(tx: Tx, row: EpochRow) -> None:
    await tx.run(
        "UPDATE status_epoch SET counts_until = $2, statement = $3 WHERE seq = $1 AND anchored_at IS NULL",
        row.seq, row.counts_until, row.statement,
    )  # fmt: skip


async def anchored(tx: Tx, seq: int, at: int) -> None:
    await tx.run("UPDATE status_epoch SET anchored_at = $2 WHERE seq = $1 AND anchored_at IS NULL", seq, at)


async def current_records(reader: Reader) -> dict[str, bytes]:
    """The leaf of every list in the newest epoch."""
    rows = await reader.all("SELECT list_id, record FROM status_cut WHERE until IS NULL")
    return {row["list_id"]: bytes(row["record"]) for row in rows}


async def current(reader: Reader, list_id: str) -> CutRow | None:
    row = await reader.one(f"{_CUT} WHERE list_id = $1 AND until IS NULL", list_id)
    return None if row is None else _cut(row)


async def lists_at(reader: Reader, seq: int) -> list[CutRow]:
    """Every list as it was in this epoch."""
    rows: list[Any] = await reader.all(f"{_CUT} WHERE seq <= $1 AND (until IS NULL OR until > $1)", seq)
    return [_cut(row) for row in rows]


async def prune(tx: Tx, whole_since: int, known_since: int) -> int:
    """Empty what no epoch since `whole_since` nor the newest one in the log says, and forget what none since
    `known_since` says."""
    last = await tx.one("SELECT max(seq) AS seq FROM status_epoch WHERE anchored_at IS NOT NULL")
    anchored_seq = last["seq"] if last is not None and last["seq"] is not None else 0
    emptied = await tx.run(
        "UPDATE status_cut SET lst = $3 WHERE until <= $1 AND length(lst) > 0 AND NOT (seq <= $2 AND until > $2)",
        whole_since, anchored_seq, b"",
    )  # fmt: skip
    known = min(known_since, anchored_seq) if anchored_seq else known_since
    gone = await tx.run("DELETE FROM status_cut WHERE until <= $1", known)
    return emptied + gone + await tx.run("DELETE FROM status_epoch WHERE seq < $1 AND anchored_at IS NOT NULL", known)


__all__ = ["CutRow", "EpochRow"]
