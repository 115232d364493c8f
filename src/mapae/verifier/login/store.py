"""The bridge's tables: clients of sites, log-ins under way, grants, and which key signs from when.

Promises: a log-in ends once, a code is changed once, an assertion counts once, whoever comes first (compare-and-swap);
what a second use of a code finds out is written down with it. Trusts: unique indexes, never a read before a write.
Keeps: hashes of secrets, codes and tokens; what a site learns only sealed, and for minutes. Refuses: nothing of its
own; a lost race is a False or None that the caller names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import msgspec

from mapae.audit import Event, record
from mapae.db import Db, Duplicate, Row, Tx, epoch, moment
from mapae.verifier.asking.store import DAY
from mapae.verifier.login.openid import Asked, Client

SPENT_FOR: Final = 600  # seconds a spent code is remembered, so that a second use of it is known as one


@dataclass(frozen=True, slots=True)
class Login:
    """One log-in under way. `state`: open until its code goes back, or it is refused."""

    id: str
    client: str
    browser: str
    asked: Asked
    check: str | None
    state: Literal["open", "done"]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Grant:
    """A code, and later the access token it was changed for."""

    id: str
    client: str
    code: bytes
    redirect_uri: str
    challenge: str
    nonce: str | None
    scope: str
    claims: bytes | None
    state: Literal["code", "token", "revoked"]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Registered:
    """A live client as its relying party sees it."""

    id: str
    redirect_uris: tuple[str, ...]
    made_at: datetime
    used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Key:
    name: str
    alg: str
    signs_from: datetime


# --- clients ----------------------------------------------------------------------------------------------------------


async def add_client(db: Db, client: Client, now: datetime) -> bool:
    """False: there is one of this id, or another relying party has the sector."""

    async def body(tx: Tx) -> bool:
        other = await tx.one(
            "SELECT id FROM login_client WHERE sector = $1 AND relying_party <> $2", client.sector, client.relying_party
        )
        if other is not None:  # their numbers for one person would be the same
            return False
        await tx.run(
            "INSERT INTO login_client (id, relying_party, method, secret, keys, redirect_uris, logout_uris, sector,"
            " alg, created_at, pkce_optional) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            client.id, client.relying_party, client.method, client.secret, client.keys,
            msgspec.json.encode(client.redirect_uris).decode(), msgspec.json.encode(client.logout_uris).decode(),
            client.sector, client.alg, epoch(now), int(client.pkce_optional),
        )  # fmt: skip
        facts = {"relying_party": client.relying_party, "method": client.method}
        await record(tx, Event(client.id, "login_client", "added", "operator", facts), now)
        return True

    try:
        return await db.write(body)
    except Duplicate:
        return False


async def client(db: Db, id: str) -> Client | None:
    row = await db.one("SELECT * FROM login_client WHERE id = $1", id)
    return _client(row) if row is not None else None


async def clients(db: Db) -> list[Client]:
    return [_client(row) for row in await db.all("SELECT * FROM login_client ORDER BY created_at, id")]


async def used(db: Db, client: str, now: datetime) -> None:
    """Somebody is sent by it, to the day: a log-in must not cost another durable write each time."""
    at = epoch(now)
    row = await db.one("SELECT used_at FROM login_client WHERE id = $1", client)
    if row is not None and not 0 <= at - (row["used_at"] or 0) < DAY:
        await db.run("UPDATE login_client SET used_at = $2 WHERE id = $1", client, at)


async def clients_of(on: Db | Tx, party: str) -> list[Registered]:
    """The live clients of a relying party, the oldest first."""
    rows = await on.all(
        "SELECT id, redirect_uris, created_at, used_at FROM login_client WHERE relying_party = $1 AND ended_at IS NULL"
        " ORDER BY created_at, id", party,
    )  # fmt: skip
    return [
        Registered(
            row["id"], msgspec.json.decode(row["redirect_uris"], type=tuple[str, ...]), moment(row["created_at"]),
            moment(row["used_at"]),
        )
        for row in rows
    ]  # fmt: skip


async def end_client(db: Db, id: str, now: datetime, party: str = "") -> bool:
    """Its log-ins and grants end with it. False: no such live one, or (with `party`) another's."""

    async def body(tx: Tx) -> bool:
        ended = await tx.run(
            "UPDATE login_client SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL"
            " AND ($3 = '' OR relying_party = $3)",
            id, epoch(now), party,
        )  # fmt: skip
        if not ended:
            return False
        await _end_with(tx, id, f"party:{party}" if party else "operator", now)
        return True

    return await db.write(body)


async def end_party(tx: Tx, party: str, now: datetime) -> int:
    """Every client of a relying party; how many."""
    rows = await tx.all(
        "UPDATE login_client SET ended_at = $2 WHERE relying_party = $1 AND ended_at IS NULL RETURNING id",
        party, epoch(now),
    )  # fmt: skip
    for row in rows:
        await _end_with(tx, row["id"], "registry", now)
    return len(rows)


async def _end_with(tx: Tx, client: str, by: str, now: datetime) -> None:
    await tx.run("DELETE FROM login_request WHERE client = $1", client)
    await tx.run("DELETE FROM login_pushed WHERE client = $1", client)
    await tx.run("DELETE FROM login_grant WHERE client = $1", client)
    await record(tx, Event(client, "login_client", "ended", by), now)


# --- log-ins ----------------------------------------------------------------------------------------------------------


async def open_login(db: Db, login: Login) -> None:
    await db.run(
        "INSERT INTO login_request (id, client, browser, request, check_id, state, expires_at)"
        " VALUES ($1, $2, $3, $4, $5, 'open', $6)",
        login.id, login.client, login.browser, msgspec.json.encode(login.asked).decode(), login.check,
        epoch(login.expires_at),
    )  # fmt: skip


async def login(db: Db, id: str, now: datetime) -> Login | None:
    row = await db.one("SELECT * FROM login_request WHERE id = $1 AND expires_at > $2", id, epoch(now))
    return _login(row) if row is not None else None


async def login_of_check(db: Db, check: str, now: datetime) -> Login | None:
    row = await db.one("SELECT * FROM login_request WHERE check_id = $1 AND expires_at > $2", check, epoch(now))
    return _login(row) if row is not None else None


async def set_check(db: Db, id: str, before: str | None, check: str) -> bool:
    """The question was put (again). False: somebody else did at the same time, or the log-in has ended."""
    if before is None:
        sql = "UPDATE login_request SET check_id = $2 WHERE id = $1 AND check_id IS NULL AND state = 'open'"
        return bool(await db.run(sql, id, check))
    sql = "UPDATE login_request SET check_id = $2 WHERE id = $1 AND check_id = $3 AND state = 'open'"
    return bool(await db.run(sql, id, check, before))


async def finish(db: Db, id: str, grant: Grant | None, now: datetime) -> bool:
    """The log-in ends, with a code for the site or without. False: it had ended already."""

    async def body(tx: Tx) -> bool:
        if not await tx.run("UPDATE login_request SET state = 'done' WHERE id = $1 AND state = 'open'", id):
            return False
        if grant is not None:
            await tx.run(
                "INSERT INTO login_grant (id, client, code, redirect_uri, challenge, nonce, scope, claims, state,"
                " expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'code', $9)",
                grant.id, grant.client, grant.code, grant.redirect_uri, grant.challenge, grant.nonce, grant.scope,
                grant.claims, epoch(grant.expires_at),
            )  # fmt: skip
        event = Event(id, "login", "refused" if grant is None else "granted", "verifier")
        await record(tx, event, now)
        return True

    return await db.write(body)


# --- pushed requests --------------------------------------------------------------------------------------------------


async def push(db: Db, reference: bytes, client: str, parameters: Mapping[str, str], until: datetime) -> None:
    await db.run(
        "INSERT INTO login_pushed (reference, client, request, expires_at) VALUES ($1, $2, $3, $4)",
        reference, client, msgspec.json.encode(dict(parameters)).decode(), epoch(until),
    )  # fmt: skip


async def pull(db: Db, reference: bytes, client: str, now: datetime) -> dict[str, str] | None:
    """What this client pushed, which is gone with it. None: nothing, or somebody was quicker."""

    async def body(tx: Tx) -> dict[str, str] | None:
        row = await tx.one(
            "SELECT request FROM login_pushed WHERE reference = $1 AND client = $2 AND expires_at > $3",
            reference, client, epoch(now),
        )  # fmt: skip
        if row is None or not await tx.run("DELETE FROM login_pushed WHERE reference = $1", reference):
            return None
        return msgspec.json.decode(row["request"], type=dict[str, str])

    return await db.write(body)


# --- grants -----------------------------------------------------------------------------------------------------------


async def grant_of_code(db: Db, code: bytes) -> Grant | None:
    row = await db.one("SELECT * FROM login_grant WHERE code = $1", code)
    return _grant(row) if row is not None else None


async def redeem(db: Db, id: str, token: bytes, now: datetime, until: datetime) -> bool:
    """The code becomes an access token, once."""
    redeemed = await db.run(
        "UPDATE login_grant SET state = 'token', token = $2, expires_at = $4"
        " WHERE id = $1 AND state = 'code' AND expires_at > $3",
        id, token, epoch(now), epoch(until),
    )  # fmt: skip
    return bool(redeemed)


async def revoke(db: Db, id: str, now: datetime) -> None:
    """A code came twice: one of the two is a thief's, so what was given out for it ends (RFC 6749 4.1.2)."""

    async def body(tx: Tx) -> None:
        ended = await tx.run(
            "UPDATE login_grant SET state = 'revoked', token = NULL, claims = NULL"
            " WHERE id = $1 AND state <> 'revoked'",
            id,
        )
        if ended:
            await record(tx, Event(id, "login_grant", "revoked", "verifier"), now)

    await db.write(body)


async def grant_of_token(db: Db, token: bytes, now: datetime) -> Grant | None:
    row = await db.one(
        "SELECT * FROM login_grant WHERE token = $1 AND state = 'token' AND expires_at > $2", token, epoch(now)
    )
    return _grant(row) if row is not None else None


async def first_use(db: Db, assertion: bytes, until: datetime) -> bool:
    """Whether this assertion is new."""
    added = await db.run(
        "INSERT INTO login_assertion (digest, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        assertion, epoch(until),
    )  # fmt: skip
    return bool(added)


async def sweep(db: Db, now: datetime, surely: datetime) -> None:
    """Forget what is over. A spent code is remembered a while, with nothing of the person. `surely`: a time by which
    it may be forgotten that something was used."""
    at, used = epoch(now), epoch(surely)
    due = await db.one(
        "SELECT 1 AS due FROM login_request WHERE expires_at <= $1 UNION ALL SELECT 1 FROM login_pushed"
        " WHERE expires_at <= $1 UNION ALL SELECT 1 FROM login_grant WHERE claims IS NOT NULL AND expires_at <= $1"
        " UNION ALL SELECT 1 FROM login_assertion WHERE expires_at <= $2"
        " UNION ALL SELECT 1 FROM login_grant WHERE expires_at <= $3 LIMIT 1", at, used, used - SPENT_FOR,
    )  # fmt: skip
    if due is None:
        return

    async def body(tx: Tx) -> None:
        await tx.run("DELETE FROM login_request WHERE expires_at <= $1", at)
        await tx.run("DELETE FROM login_assertion WHERE expires_at <= $1", used)
        await tx.run("DELETE FROM login_pushed WHERE expires_at <= $1", at)
        await tx.run("UPDATE login_grant SET claims = NULL WHERE claims IS NOT NULL AND expires_at <= $1", at)
        await tx.run("DELETE FROM login_grant WHERE expires_at <= $1", used - SPENT_FOR)

    await db.write(body)


# --- keys -------------------------------------------------------------------------------------------------------------


async def keys(db: Db) -> list[Key]:
    """The newest last."""
    rows = await db.all("SELECT * FROM login_key ORDER BY signs_from, name")
    return [Key(row["name"], row["alg"], moment(row["signs_from"])) for row in rows]


async def add_key(db: Db, key: Key, now: datetime) -> None:
    """Of two processes that add the same one, the first one's stands."""

    async def body(tx: Tx) -> None:
        added = await tx.run(
            "INSERT INTO login_key (name, alg, signs_from) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            key.name, key.alg, epoch(key.signs_from),
        )  # fmt: skip
        if added:
            await record(tx, Event(key.name, "login_key", "added", "verifier", {"alg": key.alg}), now)

    await db.write(body)


def _client(row: Row) -> Client:
    uris, outs = (msgspec.json.decode(row[c], type=tuple[str, ...]) for c in ("redirect_uris", "logout_uris"))
    return Client(
        row["id"], row["relying_party"], row["method"], _bytes(row["secret"]), row["keys"], uris, outs, row["sector"],
        row["alg"], row["ended_at"] is not None, bool(row["pkce_optional"]),
    )  # fmt: skip


def _login(row: Row) -> Login:
    asked = msgspec.json.decode(row["request"], type=Asked)
    return Login(
        row["id"], row["client"], row["browser"], asked, row["check_id"], row["state"], moment(row["expires_at"])
    )  # fmt: skip


def _grant(row: Row) -> Grant:
    return Grant(
        row["id"], row["client"], bytes(row["code"]), row["redirect_uri"], row["challenge"], row["nonce"], row["scope"],
        _bytes(row["claims"]), row["state"], moment(row["expires_at"]),
    )  # fmt: skip


def _bytes(value: bytes | None) -> bytes | None:
    return bytes(value) if value is not None else None
