"""Temporary certificates, in SQL.

Promises: each function is one statement inside the caller's transaction; a state changes by compare-and-swap. Trusts:
its caller to hold `tx.serial` of the person. Keeps: table temporary_paper. Refuses: nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from mapae.db import Db, Row, Tx

Reader = Db | Tx


@dataclass(frozen=True, slots=True)
class PaperRow:
    """`state`: intended, issued, ended. `page`: the sealed PDF while it is issued."""

    id: str
    application: str
    person: str
    office: str
    number: str
    state: str
    issued: int
    until: int
    page: bytes | None = None


_COLUMNS = "id, application, person, office, number, state, issued, until, page"
_SELECT = f"SELECT {_COLUMNS} FROM temporary_paper"  # noqa: S608 our own words


def _paper(row: Row) -> PaperRow:
    page = None if row["page"] is None else bytes(row["page"])
    return PaperRow(
        row["id"], row["application"], row["person"], row["office"], row["number"], row["state"], row["issued"],
        row["until"], page,
    )  # fmt: skip


async def live(reader: Reader, application: str) -> PaperRow | None:
    row = await reader.one(f"{_SELECT} WHERE application = $1 AND state IN ('intended', 'issued')", application)
    return None if row is None else _paper(row)


async def intend(tx: Tx, row: PaperRow) -> None:
    await tx.run(
        "INSERT INTO temporary_paper (id, application, person, office, number, state, issued, until, changed, page)"
        " VALUES ($1, $2, $3, $4, $5, 'intended', $6, $7, $6, NULL)",
        row.id, row.application, row.person, row.office, row.number, row.issued, row.until,
    )  # fmt: skip


async def issue(tx: Tx, id: str, page: bytes, now: int) -> bool:
    return await tx.run(
        "UPDATE temporary_paper SET state = 'issued', page = $2, changed = $3 WHERE id = $1 AND state = 'intended'",
        id, page, now,
    ) == 1  # fmt: skip


async def end(tx: Tx, id: str, now: int) -> bool:
    """For good; the page is erased with it."""
    return await tx.run(
        "UPDATE temporary_paper SET state = 'ended', page = NULL, changed = $2"
        " WHERE id = $1 AND state IN ('intended', 'issued')",
        id, now,
    ) == 1  # fmt: skip


async def erase_expired(tx: Tx, now: int) -> int:
    return await tx.run("UPDATE temporary_paper SET page = NULL WHERE page IS NOT NULL AND until <= $1", now)
