"""The applications' table.

Promises: a change is made only to the version that was read, so of two at once one fails; an id is held by one open or
approved application. Trusts: `onboarding` for every rule. Keeps: rp_application. Refuses: a second application under an
id that is taken, by unique index.
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


@dataclass(frozen=True, slots=True)
class Case:
    """One application. `body` is JSON of `application.Application`; `filer` the name of whoever filed it at a command
    line; `note` the reviewers' words; `x509_hash` that of its access certificate, from the first approval on; `key` the
    public key that is certified (the applicant's, or of the hosted checker)."""

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


_COLUMNS = (
    "id, link, party, state, body, version, source, filer, note, noted_by, proposal, x509_hash, key_jwk, made_at,"
    " changed_at"
)


async def add(tx: Tx, case: Case) -> None:
    """Raises Duplicate (out of the transaction) when the id is taken."""
    await tx.run(
        f"INSERT INTO rp_application ({_COLUMNS}) VALUES"  # noqa: S608 names of columns alone
        " ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        case.id, case.link, case.party, case.stage.value, case.body, case.version, case.source, case.filer, case.note,
        case.noted_by, case.proposal, case.x509_hash, case.key, int(case.made_at.timestamp()),
        int(case.changed_at.timestamp()),
    )  # fmt: skip


async def change(tx: Tx, case: Case, now: datetime) -> bool:
    """Write it down as the version after the one that was read; False when somebody else was faster. Raises Duplicate
    when its id was taken meanwhile."""
    return await tx.run(
        "UPDATE rp_application SET party = $1, state = $2, body = $3, version = version + 1, note = $4, noted_by = $5,"
        " proposal = $6, x509_hash = $7, key_jwk = $8, changed_at = $9 WHERE id = $10 AND version = $11",
        case.party, case.stage.value, case.body, case.note, case.noted_by, case.proposal, case.x509_hash, case.key,
        int(now.timestamp()), case.id, case.version,
    ) == 1  # fmt: skip


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


async def open_from(on: Db | Tx, source: str) -> int:
    """Applications from one address that nobody has decided."""
    row = await on.one(
        "SELECT COUNT(*) AS many FROM rp_application WHERE source = $1"
        " AND state IN ('draft', 'linted', 'waiting', 'returned')",
        source,
    )  # fmt: skip
    return 0 if row is None else int(row["many"])


async def forget_unsent(tx: Tx, before: datetime) -> int:
    """Drafts nobody handed in."""
    return await tx.run(
        "DELETE FROM rp_application WHERE state IN ('draft', 'linted') AND changed_at < $1", int(before.timestamp())
    )


def _case(row: Row) -> Case:
    return Case(
        row["id"], bytes(row["link"]), row["party"], Stage(row["state"]), row["body"], row["version"], row["source"],
        row["filer"], row["note"], row["noted_by"], row["proposal"], row["x509_hash"], row["key_jwk"],
        datetime.fromtimestamp(row["made_at"], UTC), datetime.fromtimestamp(row["changed_at"], UTC),
    )  # fmt: skip
