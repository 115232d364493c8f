"""The tables behind the HTTP interface: keys of relying parties' servers, whose check is whose, questions for anyone.

Promises: a key is found by its hash and by nothing else; an answer is read once, whoever comes first; a question for
anyone is answered once (compare-and-swap on its outcome). Trusts: unique indexes, never a read before a write. Keeps:
hashes of keys and of sessions, opaque ids, times, outcomes; nothing about a person. Refuses: nothing of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mapae.audit import Event, record
from mapae.db import Db, Row, Tx, epoch, moment
from mapae.verifier.asking.anyone import Pending
from mapae.verifier.asking.store import DAY, Outcome, Verdict


@dataclass(frozen=True, slots=True)
class Key:
    """A key as its owner sees it later; the key itself was shown once."""

    id: str
    relying_party: str
    label: str
    made_at: datetime
    ended_at: datetime | None = None
    used_at: datetime | None = None  # to the day


@dataclass(frozen=True, slots=True)
class Check:
    """One check put over HTTP. `said` is the hash of what the caller asked for, `retry` that of its Idempotency-Key."""

    id: str
    relying_party: str | None
    asker: str
    session: bytes | None
    return_to: str | None
    retry: bytes | None
    said: bytes
    expires_at: datetime
    read: bool = False


# --- keys -------------------------------------------------------------------------------------------------------------


async def add_key(db: Db, key: Key, digest: bytes) -> None:
    async def body(tx: Tx) -> None:
        await tx.run(
            "INSERT INTO api_key (id, relying_party, digest, label, made_at) VALUES ($1, $2, $3, $4, $5)",
            key.id, key.relying_party, digest, key.label, epoch(key.made_at),
        )  # fmt: skip
        await record(
            tx, Event(key.id, "api_key", "made", "operator", {"relying_party": key.relying_party}), key.made_at
        )

    await db.write(body)


async def keys(db: Db) -> list[Key]:
    return [_key(row) for row in await db.all("SELECT * FROM api_key ORDER BY relying_party, made_at, id")]


async def key_of(db: Db, digest: bytes, now: datetime) -> Key | None:
    row, at = await db.one("SELECT * FROM api_key WHERE digest = $1 AND ended_at IS NULL", digest), epoch(now)
    if row is not None and not 0 <= at - (row["used_at"] or 0) < DAY:  # a call must not cost a durable write each time
        await db.run("UPDATE api_key SET used_at = $2 WHERE id = $1", row["id"], at)
    return _key(row) if row is not None else None


async def keys_of(on: Db | Tx, party: str) -> list[Key]:
    """The live keys of a relying party, the oldest first."""
    rows = await on.all(
        "SELECT * FROM api_key WHERE relying_party = $1 AND ended_at IS NULL ORDER BY made_at, id", party
    )
    return [_key(row) for row in rows]


async def end_key(db: Db, id: str, now: datetime, party: str = "") -> bool:
    """False: there is no such live key, or (with `party`) it is another one's."""

    async def body(tx: Tx) -> bool:
        ended = await tx.run(
            "UPDATE api_key SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL AND ($3 = '' OR relying_party = $3)",
            id, epoch(now), party,
        )  # fmt: skip
        if ended:
            await record(tx, Event(id, "api_key", "ended", f"party:{party}" if party else "operator", {}), now)
        return bool(ended)

    return await db.write(body)


async def end_party(tx: Tx, party: str, now: datetime) -> int:
    """Every key of a relying party; how many."""
    rows = await tx.all(
        "UPDATE api_key SET ended_at = $2 WHERE relying_party = $1 AND ended_at IS NULL RETURNING id",
        party, epoch(now),
    )  # fmt: skip
    for row in rows:
        await record(tx, Event(row["id"], "api_key", "ended", "registry", {}), now)
    return len(rows)


# --- whose check it is ------------------------------------------------------------------------------------------------


async def add(db: Db, check: Check, pending: Pending | None = None, secret: bytes = b"") -> None:
    """With its question, where that is one for anyone. Raises Duplicate for the same Idempotency-Key."""

    async def body(tx: Tx) -> None:
        await tx.run(
            "INSERT INTO api_check (id, relying_party, asker, session, return_to, retry, said, expires_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            check.id, check.relying_party, check.asker, check.session, check.return_to, check.retry, check.said,
            epoch(check.expires_at),
        )  # fmt: skip
        if pending is not None:
            await tx.run(
                "INSERT INTO anyone_check (id, purpose, form, nonce, echo, secret, opened_at, expires_at)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                pending.id, pending.purpose, pending.form, pending.nonce, pending.state, secret,
                epoch(pending.opened_at), epoch(pending.expires_at),
            )  # fmt: skip
            facts = {"purpose": pending.purpose}
            await record(tx, Event(pending.id, "anyone_check", "opened", "anyone", facts), pending.opened_at)

    await db.write(body)


async def check(db: Db, id: str) -> Check | None:
    row = await db.one("SELECT * FROM api_check WHERE id = $1", id)
    return _check(row) if row is not None else None


async def check_again(db: Db, relying_party: str, retry: bytes) -> Check | None:
    row = await db.one("SELECT * FROM api_check WHERE relying_party = $1 AND retry = $2", relying_party, retry)
    return _check(row) if row is not None else None


async def read_once(db: Db, id: str, now: datetime) -> bool:
    """Whether the answer is this caller's to read. False: it has been read."""
    return await db.run("UPDATE api_check SET read_at = $2 WHERE id = $1 AND read_at IS NULL", id, epoch(now)) == 1


# --- questions for anyone ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Put:
    """A question for anyone as it stands. `secret`: its sealed key, gone with the end."""

    pending: Pending
    secret: bytes | None
    verdict: Verdict | None


async def anyone(db: Db, id: str) -> Put | None:
    row = await db.one("SELECT * FROM anyone_check WHERE id = $1", id)
    if row is None:
        return None
    pending = Pending(
        row["id"], row["purpose"], row["form"], row["nonce"], row["echo"], {}, moment(row["opened_at"]),
        moment(row["expires_at"]),
    )  # fmt: skip
    verdict = None
    if row["outcome"] is not None:
        verdict = Verdict(Outcome(row["outcome"]), row["step"], row["code"], row["note"], row["format"])
    return Put(pending, None if row["secret"] is None else bytes(row["secret"]), verdict)


async def end_anyone(db: Db, id: str, verdict: Verdict, now: datetime) -> bool:
    """End an open question with its verdict and erase its key. False: it had ended already."""

    async def body(tx: Tx) -> bool:
        ended = await tx.run(
            "UPDATE anyone_check SET secret = NULL, ended_at = $2, outcome = $3, step = $4, code = $5, note = $6,"
            " format = $7 WHERE id = $1 AND outcome IS NULL",
            id, epoch(now), verdict.outcome.value, verdict.step, verdict.code, verdict.note, verdict.format,
        )  # fmt: skip
        if ended:
            facts = {"outcome": verdict.outcome.value}
            facts |= {name: said for name in ("step", "code", "format") if (said := getattr(verdict, name)) is not None}
            await record(tx, Event(id, "anyone_check", "ended", "verifier", dict(facts)), now)
        return bool(ended)

    return await db.write(body)


async def sweep(db: Db, now: datetime, forget_before: datetime) -> None:
    """Forget what was over before `forget_before`; the keys of questions nobody answered go at once."""

    async def body(tx: Tx) -> None:
        at, long_ago = epoch(now), epoch(forget_before)
        await tx.run(
            "UPDATE anyone_check SET secret = NULL, ended_at = $1, outcome = 'expired'"
            " WHERE outcome IS NULL AND expires_at <= $1",
            at,
        )
        await tx.run("DELETE FROM anyone_check WHERE expires_at <= $1", long_ago)
        await tx.run("DELETE FROM api_check WHERE expires_at <= $1", long_ago)

    due = await db.one(
        "SELECT 1 AS due FROM anyone_check WHERE (outcome IS NULL AND expires_at <= $1) OR expires_at <= $2"
        " UNION ALL SELECT 1 FROM api_check WHERE expires_at <= $2 LIMIT 1",
        epoch(now), epoch(forget_before),
    )  # fmt: skip
    if due is not None:
        await db.write(body)


def _key(row: Row) -> Key:
    ended, used = row["ended_at"], row["used_at"]
    return Key(
        row["id"], row["relying_party"], row["label"], moment(row["made_at"]),
        moment(ended), moment(used),
    )  # fmt: skip


def _check(row: Row) -> Check:
    return Check(
        row["id"], row["relying_party"], row["asker"], _bytes(row["session"]), row["return_to"], _bytes(row["retry"]),
        bytes(row["said"]), moment(row["expires_at"]), row["read_at"] is not None,
    )  # fmt: skip


def _bytes(value: bytes | None) -> bytes | None:
    return bytes(value) if value is not None else None
