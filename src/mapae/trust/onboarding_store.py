"""The applications' table.

Promises: a change is made only to the version that was read, so of two at once one fails; an id is held by one that was
handed in or approved. Trusts: `onboarding` for every rule. Keeps: rp_application; where one came from, until nothing is
counted by it any more. Refuses: a second application under an id that is held, by unique index.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from mapae.db import Db, Row, Tx


class Stage(StrEnum):
    """Where an application stands. With a proposal, WAITING is pinned: one governor has agreed to just this."""

    DRAFT = "draft"  # kept, and the linter stops it
    LINTED = "linted"  # nothing stops it from being handed in
    WAITING = "waiting"  # for two governors
    RETURNED = "returned"  # with words; to be changed and handed in again
    APPROVED = "approved"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    ENDED = "ended"  # was registered, and is no longer


OPEN = (Stage.DRAFT, Stage.LINTED, Stage.WAITING, Stage.RETURNED)
UNSENT = (Stage.DRAFT, Stage.LINTED)
OVER = (Stage.REFUSED, Stage.WITHDRAWN, Stage.ENDED)


@dataclass(frozen=True, slots=True)
class Case:
    """One application. `body` is JSON of `application.Application`; `filer` the name of whoever filed it at a command
    line; `note` the reviewers' words; `x509_hash` that of its access certificate, once approved; `key` the public key
    that is certified (the applicant's, or of the hosted checker); `hosted`: the checker was asked for one."""

    id: str
    link: bytes
    party: str
    stage: Stage
    body: str
    version: int
    source: str
    filer: str
    note: str
    noted_by: str
    proposal: str | None
    x509_hash: str | None
    key: str | None
    made_at: datetime
    changed_at: datetime
    hosted: bool = False


_COLUMNS = (
    "id, link, party, state, body, version, source, filer, note, noted_by, proposal, x509_hash, key_jwk, made_at,"
    " changed_at, hosted"
)


async def add(tx: Tx, case: Case) -> None:
    """Raises Duplicate (out of the transaction) when the id is taken."""
    await tx.run(
        f"INSERT INTO rp_application ({_COLUMNS}) VALUES"  # noqa: S608 names of columns alone
        " ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        case.id, case.link, case.party, case.stage.value, case.body, case.version, case.source, case.filer, case.note,
        case.noted_by, case.proposal, case.x509_hash, case.key, int(case.made_at.timestamp()),
        int(case.changed_at.timestamp()), int(case.hosted),
    )  # fmt: skip


async def change(tx: Tx, case: Case, now: datetime) -> bool:
    """Write it down as the version after the one that was read; False when somebody else was faster. Raises Duplicate
    when its id was taken meanwhile."""
    return await tx.run(
        "UPDATE rp_application SET party = $1, state = $2, body = $3, version = version + 1, note = $4, noted_by = $5,"
        " proposal = $6, x509_hash = $7, key_jwk = $8, changed_at = $9, hosted = $10 WHERE id = $11 AND version = $12",
        case.party, case.stage.value, case.body, case.note, case.noted_by, case.proposal, case.x509_hash, case.key,
        int(now.timestamp()), int(case.hosted), case.id, case.version,
    ) == 1  # fmt: skip


async def relink(tx: Tx, before: bytes, link: bytes) -> bool:
    """Another link leads to it from now on; what governors have read stays as it is."""
    return await tx.run("UPDATE rp_application SET link = $2 WHERE link = $1", before, link) == 1


async def by_link(on: Db | Tx, link: bytes) -> Case | None:
    row = await on.one(f"SELECT {_COLUMNS} FROM rp_application WHERE link = $1", link)  # noqa: S608
    return None if row is None else _case(row)


async def by_id(on: Db | Tx, id: str) -> Case | None:
    row = await on.one(f"SELECT {_COLUMNS} FROM rp_application WHERE id = $1", id)  # noqa: S608
    return None if row is None else _case(row)


async def ended_of(on: Db | Tx, party: str) -> list[Case]:
    """Those under this id that were registered, and are no longer."""
    rows = await on.all(
        f"SELECT {_COLUMNS} FROM rp_application WHERE party = $1 AND state = 'ended'",  # noqa: S608
        party,
    )
    return [_case(row) for row in rows]


async def in_stage(on: Db | Tx, *stages: Stage) -> list[Case]:
    """The oldest change first."""
    found: list[Case] = []
    for stage in stages:
        rows = await on.all(
            f"SELECT {_COLUMNS} FROM rp_application WHERE state = $1 ORDER BY changed_at, id",  # noqa: S608
            stage.value,
        )
        found += [_case(row) for row in rows]
    return found


async def pinned(on: Db | Tx) -> list[Case]:
    """Those with a proposal before the governors: a handful, however many parties there are."""
    rows = await on.all(f"SELECT {_COLUMNS} FROM rp_application WHERE proposal IS NOT NULL ORDER BY id")  # noqa: S608
    return [_case(row) for row in rows]


async def holder(on: Db | Tx, party: str) -> str | None:
    """Which application has this id."""
    row = await on.one(
        "SELECT id FROM rp_application WHERE party = $1 AND state IN ('waiting', 'returned', 'approved')", party
    )
    return None if row is None else str(row["id"])


async def counted(on: Db | Tx, source: str, since: datetime) -> int:
    """Applications from one address that nobody has decided, and those given up or refused since then."""
    row = await on.one(
        "SELECT COUNT(*) AS many FROM rp_application WHERE source = $1"
        " AND (state IN ('draft', 'linted', 'waiting', 'returned')"
        " OR (state IN ('refused', 'withdrawn') AND changed_at > $2))",
        source, int(since.timestamp()),
    )  # fmt: skip
    return 0 if row is None else int(row["many"])


# --- what is forgotten ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Old:
    """From when on back: drafts nobody touched, withdrawn and refused ones, addresses of what was decided."""

    unsent: datetime
    withdrawn: datetime
    refused: datetime
    counted: datetime


_GONE = (
    "(state IN ('draft', 'linted') AND changed_at < $1) OR (state = 'withdrawn' AND changed_at < $2)"
    " OR (state = 'refused' AND changed_at < $3)"
)
_UNCOUNTED = "source <> '' AND state NOT IN ('draft', 'linted', 'waiting', 'returned') AND changed_at"


async def anything_old(db: Db, old: Old) -> bool:
    """A look every few seconds must not cost a durable write each time."""
    due = f"{_GONE} OR ({_UNCOUNTED} < $4)"
    row = await db.one(f"SELECT 1 AS due FROM rp_application WHERE {due} LIMIT 1", *_moments(old))  # noqa: S608
    return row is not None


async def forget(tx: Tx, old: Old) -> list[str]:
    """Those that are gone and had a key of the hosted checker."""
    moments = _moments(old)
    rows = await tx.all(f"DELETE FROM rp_application WHERE {_GONE} RETURNING id, hosted", *moments[:3])  # noqa: S608
    await tx.run(f"UPDATE rp_application SET source = '' WHERE {_UNCOUNTED} < $1", moments[3])  # noqa: S608
    return [row["id"] for row in rows if row["hosted"]]


def _moments(old: Old) -> tuple[int, int, int, int]:
    unsent, withdrawn, refused, counted = (
        int(at.timestamp()) for at in (old.unsent, old.withdrawn, old.refused, old.counted)
    )
    return unsent, withdrawn, refused, counted


def _case(row: Row) -> Case:
    return Case(
        row["id"], bytes(row["link"]), row["party"], Stage(row["state"]), row["body"], row["version"], row["source"],
        row["filer"], row["note"], row["noted_by"], row["proposal"], row["x509_hash"], row["key_jwk"],
        datetime.fromtimestamp(row["made_at"], UTC), datetime.fromtimestamp(row["changed_at"], UTC),
        bool(row["hosted"]),
    )  # fmt: skip
