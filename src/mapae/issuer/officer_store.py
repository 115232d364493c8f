"""Officers, their passkeys, challenges and sessions in the issuer's database: plain SQL, one function a sentence.

Promises: a challenge is taken once; a passkey's counter only moves forward; tokens are kept as hashes; a session or a
failure of a time still to come was written while the clock was ahead, and does not count. Trusts: its only caller,
`officers.py`. Keeps: tables officer, passkey, officer_challenge, officer_session. Refuses: nothing; it answers.
"""

from __future__ import annotations

from dataclasses import dataclass

from mapae.db import Db, Row, Tx

SKEW = 60  # seconds


@dataclass(frozen=True, slots=True)
class Officer:
    """A person allowed at the desk of one office."""

    id: str
    name: str
    office: str


@dataclass(frozen=True, slots=True)
class Passkey:
    credential_id: str
    officer_id: str
    public_key: bytes
    sign_count: int
    label: str
    created: int
    last_used: int | None


@dataclass(frozen=True, slots=True)
class Challenge:
    challenge: bytes
    ceremony: str
    officer_id: str | None
    expires: int


def _officer(row: Row) -> Officer:
    return Officer(row["officer_id"], row["name"], row["office"])


def _passkey(row: Row) -> Passkey:
    return Passkey(
        row["credential_id"],
        row["officer_id"],
        bytes(row["public_key"]),
        row["sign_count"],
        row["label"],
        row["created"],
        row["last_used"],
    )


async def put_officer(tx: Tx, officer: Officer) -> None:
    await tx.run(
        "INSERT INTO officer (officer_id, name, office, active, failures, failed_since) VALUES ($1, $2, $3, 1, 0, 0)"
        " ON CONFLICT (officer_id) DO UPDATE SET name = excluded.name, office = excluded.office, active = 1",
        officer.id,
        officer.name,
        officer.office,
    )


async def end_officer(tx: Tx, officer_id: str) -> int:
    await tx.run("DELETE FROM officer_session WHERE officer_id = $1", officer_id)
    return await tx.run("UPDATE officer SET active = 0 WHERE officer_id = $1 AND active = 1", officer_id)


async def officer(db: Db, officer_id: str) -> Officer | None:
    row = await db.one("SELECT * FROM officer WHERE officer_id = $1 AND active = 1", officer_id)
    return _officer(row) if row else None


async def offices(db: Db) -> dict[str, str]:
    """The office of every officer there ever was, those dismissed as well."""
    return {row["officer_id"]: row["office"] for row in await db.all("SELECT officer_id, office FROM officer")}


async def officers(db: Db) -> list[Officer]:
    return [_officer(row) for row in await db.all("SELECT * FROM officer WHERE active = 1 ORDER BY office, officer_id")]


async def failures(db: Db, officer_id: str, now: int, since: int) -> int:
    """How many failed sign-ins there are in the running window, if it began after `since`."""
    row = await db.one("SELECT failures, failed_since FROM officer WHERE officer_id = $1", officer_id)
    return row["failures"] if row and since < row["failed_since"] <= now + SKEW else 0


async def count_failure(tx: Tx, officer_id: str, now: int, since: int) -> None:
    await tx.run(
        "UPDATE officer SET failures = CASE WHEN failed_since > $3 AND failed_since <= $4 THEN failures + 1 ELSE 1 END,"
        " failed_since = CASE WHEN failed_since > $3 AND failed_since <= $4 THEN failed_since ELSE $2 END"
        " WHERE officer_id = $1",
        officer_id,
        now,
        since,
        now + SKEW,
    )


async def forget_failures(tx: Tx, officer_id: str) -> None:
    await tx.run("UPDATE officer SET failures = 0, failed_since = 0 WHERE officer_id = $1", officer_id)


async def put_passkey(tx: Tx, passkey: Passkey) -> None:
    await tx.run(
        "INSERT INTO passkey (credential_id, officer_id, public_key, sign_count, label, created)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        passkey.credential_id,
        passkey.officer_id,
        passkey.public_key,
        passkey.sign_count,
        passkey.label,
        passkey.created,
    )


async def passkey(db: Db, credential_id: str) -> Passkey | None:
    row = await db.one("SELECT * FROM passkey WHERE credential_id = $1 AND ended IS NULL", credential_id)
    return _passkey(row) if row else None


async def passkeys(db: Db, officer_id: str) -> list[Passkey]:
    rows = await db.all(
        "SELECT * FROM passkey WHERE officer_id = $1 AND ended IS NULL ORDER BY created, credential_id", officer_id
    )
    return [_passkey(row) for row in rows]


async def used_passkey(tx: Tx, passkey: Passkey, sign_count: int, now: int) -> int:
    return await tx.run(
        "UPDATE passkey SET sign_count = $3, last_used = $4"
        " WHERE credential_id = $1 AND sign_count = $2 AND ended IS NULL",
        passkey.credential_id,
        passkey.sign_count,
        sign_count,
        now,
    )


async def end_passkey(tx: Tx, officer_id: str, credential_id: str, now: int) -> int:
    """End one passkey, but never the last: two ends at once cannot leave an officer with none."""
    await tx.serial("passkeys:" + officer_id)
    return await tx.run(
        "UPDATE passkey SET ended = $3 WHERE credential_id = $2 AND officer_id = $1 AND ended IS NULL"
        " AND (SELECT COUNT(*) FROM passkey WHERE officer_id = $1 AND ended IS NULL) > 1",
        officer_id,
        credential_id,
        now,
    )


async def put_challenge(tx: Tx, knock: bytes, challenge: Challenge, now: int) -> None:
    await tx.run("DELETE FROM officer_challenge WHERE expires <= $1", now)
    await tx.run(
        "INSERT INTO officer_challenge (knock, challenge, ceremony, officer_id, expires) VALUES ($1, $2, $3, $4, $5)",
        knock,
        challenge.challenge,
        challenge.ceremony,
        challenge.officer_id,
        challenge.expires,
    )


async def take_challenge(tx: Tx, knock: bytes) -> Challenge | None:
    row = await tx.one("DELETE FROM officer_challenge WHERE knock = $1 RETURNING *", knock)
    return Challenge(bytes(row["challenge"]), row["ceremony"], row["officer_id"], row["expires"]) if row else None


async def put_session(tx: Tx, token_hash: bytes, officer_id: str, now: int) -> None:
    await tx.run(
        "INSERT INTO officer_session (token_hash, officer_id, created, seen) VALUES ($1, $2, $3, $3)",
        token_hash,
        officer_id,
        now,
    )


async def session_officer(
    db: Db, token_hash: bytes, now: int, idle_since: int, begun_since: int
) -> tuple[Officer, int] | None:
    """The officer of a session that is neither idle too long nor too old, and when it was last seen."""
    row = await db.one(
        "SELECT o.officer_id, o.name, o.office, s.seen FROM officer_session s"
        " JOIN officer o ON o.officer_id = s.officer_id"
        " WHERE s.token_hash = $1 AND s.seen > $2 AND s.created > $3 AND o.active = 1"
        " AND s.seen <= $4 AND s.created <= $4",
        token_hash,
        idle_since,
        begun_since,
        now + SKEW,
    )
    return (_officer(row), row["seen"]) if row else None


async def touch_session(tx: Tx, token_hash: bytes, now: int) -> None:
    await tx.run("UPDATE officer_session SET seen = $2 WHERE token_hash = $1 AND seen < $2", token_hash, now)


async def end_session(tx: Tx, token_hash: bytes) -> str | None:
    row = await tx.one("DELETE FROM officer_session WHERE token_hash = $1 RETURNING officer_id", token_hash)
    return row["officer_id"] if row else None


async def sweep_sessions(tx: Tx, now: int, idle_since: int, begun_since: int) -> None:
    await tx.run(
        "DELETE FROM officer_session WHERE seen <= $1 OR created <= $2 OR seen > $3 OR created > $3",
        idle_since,
        begun_since,
        now + SKEW,
    )
