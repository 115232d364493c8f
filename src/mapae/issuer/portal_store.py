"""The portal's short sessions and the identity assertions it has taken.

Promises: an assertion opens one session; tokens are kept as hashes, names only sealed; a session of a time still to
come was begun while the clock was ahead, and is none. Trusts: its only caller, `portal.py`. Keeps: tables
portal_session and portal_assertion, both for minutes. Refuses: nothing; Duplicate says so.
"""

from __future__ import annotations

from mapae.db import Db, Tx

SKEW = 60  # seconds


async def put_session(tx: Tx, token_hash: bytes, person: str, who: bytes, now: int, begun_since: int) -> None:
    await tx.run("DELETE FROM portal_session WHERE created <= $1 OR created > $2", begun_since, now + SKEW)
    await tx.run(
        "INSERT INTO portal_session (token_hash, person, who, created) VALUES ($1, $2, $3, $4)",
        token_hash,
        person,
        who,
        now,
    )


async def take_assertion(tx: Tx, jti: str, expires: int, over: int) -> bool:
    """False when it was taken before. `over`: when the others that are forgotten have expired."""
    await tx.run("DELETE FROM portal_assertion WHERE expires <= $1", over)
    taken = await tx.run(
        "INSERT INTO portal_assertion (jti, expires) VALUES ($1, $2) ON CONFLICT DO NOTHING", jti, expires
    )
    return taken == 1


async def session(db: Db, token_hash: bytes, now: int, begun_since: int) -> tuple[str, bytes, int] | None:
    row = await db.one(
        "SELECT person, who, created FROM portal_session WHERE token_hash = $1 AND created > $2 AND created <= $3",
        token_hash,
        begun_since,
        now + SKEW,
    )
    return (row["person"], bytes(row["who"]), row["created"]) if row else None


async def end_session(tx: Tx, token_hash: bytes) -> None:
    await tx.run("DELETE FROM portal_session WHERE token_hash = $1", token_hash)
