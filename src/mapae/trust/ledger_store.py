"""The trust log's tables: entries, statements, votes, documents, signed heads.

Promises: an entry, a statement, a vote and a document are written once and stay; of a head only its cosignatures grow
newer. Trusts: the engine and the checkpoints for every rule. Keeps: ledger_entry, ledger_statement, ledger_vote,
ledger_document, ledger_head. Refuses: two entries in one place, two roots of one size, by primary key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from mapae.db import Db, Tx


@dataclass(frozen=True, slots=True)
class Row:
    """One entry as it lies in the table."""

    log: int
    index: int
    entry: bytes
    statement: bytes


@dataclass(frozen=True, slots=True)
class Vote:
    """A governor's vote: `signed` is the statement, or this governor's approval of it."""

    act: bytes
    voter: bytes
    statement: bytes
    signed: str
    at: int


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A head we signed. `note` is there once a quorum of witnesses stood behind it."""

    log: int
    size: int
    root: bytes
    signed_at: int
    note: str | None
    published_at: int | None


@dataclass(frozen=True, slots=True)
class Document:
    body: bytes
    media: str


# --- entries ----------------------------------------------------------------------------------------------------------


async def add_entries(tx: Tx, rows: Sequence[Row]) -> None:
    await tx.many(
        "INSERT INTO ledger_entry (log, idx, entry, statement) VALUES ($1, $2, $3, $4)",
        [(row.log, row.index, row.entry, row.statement) for row in rows],
    )


async def entries(on: Db | Tx, log: int, start: int, end: int | None = None) -> list[bytes]:
    """Entries [start, end) of a log, to its end when `end` is None."""
    if end is None:
        rows = await on.all("SELECT entry FROM ledger_entry WHERE log = $1 AND idx >= $2 ORDER BY idx", log, start)
    else:
        rows = await on.all(
            "SELECT entry FROM ledger_entry WHERE log = $1 AND idx >= $2 AND idx < $3 ORDER BY idx", log, start, end
        )
    return [bytes(row["entry"]) for row in rows]


async def size(on: Db | Tx, log: int) -> int:
    row = await on.one("SELECT max(idx) AS last FROM ledger_entry WHERE log = $1", log)
    return 0 if row is None or row["last"] is None else int(row["last"]) + 1


async def entry_of(on: Db | Tx, statement: bytes) -> Row | None:
    """The entry this statement led to."""
    row = await on.one(
        "SELECT log, idx, entry FROM ledger_entry WHERE statement = $1 ORDER BY log, idx LIMIT 1", statement
    )
    return None if row is None else Row(int(row["log"]), int(row["idx"]), bytes(row["entry"]), statement)


# --- papers -----------------------------------------------------------------------------------------------------------


async def add_statement(tx: Tx, signed: str, now: int) -> bytes:
    """Keep what somebody signed; its digest."""
    digest = sha256(signed.encode()).digest()
    await tx.run(
        "INSERT INTO ledger_statement (digest, signed, kept_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        digest, signed, now,
    )  # fmt: skip
    return digest


async def statement(on: Db | Tx, digest: bytes) -> str | None:
    row = await on.one("SELECT signed FROM ledger_statement WHERE digest = $1", digest)
    return None if row is None else str(row["signed"])


async def add_document(tx: Tx, body: bytes, media: str, now: int) -> bytes:
    """Keep a public document; its digest."""
    digest = sha256(body).digest()
    await tx.run(
        "INSERT INTO ledger_document (digest, body, media, kept_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        digest, body, media, now,
    )  # fmt: skip
    return digest


async def document(on: Db | Tx, digest: bytes) -> Document | None:
    row = await on.one("SELECT body, media FROM ledger_document WHERE digest = $1", digest)
    return None if row is None else Document(bytes(row["body"]), str(row["media"]))


async def documents(on: Db | Tx, digests: Sequence[bytes]) -> dict[bytes, bytes]:
    """The bodies of those of these documents that we have."""
    found: dict[bytes, bytes] = {}
    for start in range(0, len(digests), 500):  # both engines bound how many values a statement takes
        part = digests[start : start + 500]
        places = ", ".join(f"${place}" for place in range(1, len(part) + 1))
        sql = f"SELECT digest, body FROM ledger_document WHERE digest IN ({places})"  # noqa: S608 $1, $2 and so on
        rows = await on.all(sql, *part)
        found |= {bytes(row["digest"]): bytes(row["body"]) for row in rows}
    return found


async def add_vote(tx: Tx, vote: Vote) -> None:
    """The first vote of a governor on an act stands."""
    await tx.run(
        "INSERT INTO ledger_vote (act, voter, statement, signed, voted_at) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT DO NOTHING",
        vote.act, vote.voter, vote.statement, vote.signed, vote.at,
    )  # fmt: skip


async def voters(on: Db | Tx, act: bytes) -> set[bytes]:
    return {bytes(row["voter"]) for row in await on.all("SELECT voter FROM ledger_vote WHERE act = $1", act)}


async def votes_for(on: Db | Tx, statement: bytes) -> list[Vote]:
    """Every vote on the act of a statement, the first one first."""
    rows = await on.all(
        "SELECT act, voter, statement, signed, voted_at FROM ledger_vote WHERE statement = $1"
        " ORDER BY voted_at, voter", statement,
    )  # fmt: skip
    return [
        Vote(bytes(row["act"]), bytes(row["voter"]), bytes(row["statement"]), str(row["signed"]), int(row["voted_at"]))
        for row in rows
    ]


# --- heads ------------------------------------------------------------------------------------------------------------

_HEAD = "SELECT log, size, root, signed_at, note, published_at FROM ledger_head"


async def add_head(tx: Tx, log: int, size: int, root: bytes, now: int) -> None:
    """Raises Duplicate when a head of this size is there already."""
    await tx.run("INSERT INTO ledger_head (log, size, root, signed_at) VALUES ($1, $2, $3, $4)", log, size, root, now)


async def last_head(on: Db | Tx, log: int) -> SignedHead | None:
    """The largest head we ever signed."""
    return _head(await on.one(f"{_HEAD} WHERE log = $1 ORDER BY size DESC LIMIT 1", log))


async def publish(tx: Tx, log: int, size: int, note: str, now: int) -> None:
    await tx.run(
        "UPDATE ledger_head SET note = $3, published_at = coalesce(published_at, $4) WHERE log = $1 AND size = $2",
        log, size, note, now,
    )  # fmt: skip


async def published(on: Db | Tx, log: int) -> SignedHead | None:
    """The largest head a quorum stood behind."""
    return _head(await on.one(f"{_HEAD} WHERE log = $1 AND note IS NOT NULL ORDER BY size DESC LIMIT 1", log))


async def published_from(on: Db | Tx, log: int, size: int) -> SignedHead | None:
    """The smallest published head of at least this size."""
    return _head(
        await on.one(f"{_HEAD} WHERE log = $1 AND size >= $2 AND note IS NOT NULL ORDER BY size LIMIT 1", log, size)
    )


async def published_history(on: Db | Tx, log: int, limit: int = 50) -> list[SignedHead]:
    """Published heads, the newest first."""
    rows = await on.all(f"{_HEAD} WHERE log = $1 AND note IS NOT NULL ORDER BY size DESC LIMIT $2", log, limit)
    return [head for row in rows if (head := _head(row)) is not None]


def _head(row: object) -> SignedHead | None:
    if row is None:
        return None
    at = row["published_at"]  # type: ignore[index]
    return SignedHead(
        int(row["log"]), int(row["size"]), bytes(row["root"]), int(row["signed_at"]), row["note"],  # type: ignore[index]
        None if at is None else int(at),
    )  # fmt: skip
