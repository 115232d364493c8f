"""Authorization requests on their way from a wallet's push to its code, in SQL.

Promises: a request moves from state to state by compare-and-swap, and the answer says whether it did. Trusts: its
caller for the rules. Keeps: table authorization_request; a person's name only sealed. Refuses: nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from mapae.db import Db, Row, Tx
from mapae.issuer.authorization_request import AuthorizationRequest

Reader = Db | Tx

KEPT_AFTER: Final = 3600  # seconds a used request is remembered, so that a second use of its code is known as one


class State(StrEnum):
    PUSHED = "pushed"
    OPENED = "opened"  # one browser has it
    KNOWN = "known"  # somebody signed in, and a card waits for them
    APPROVED = "approved"  # its code is on the way
    REDEEMED = "redeemed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Pushed:
    id: str
    state: State
    client_id: str
    client_jkt: str
    provider: str
    request: AuthorizationRequest
    browser_hash: bytes | None
    check_id: str
    person: str | None
    who: bytes | None
    order_id: str | None
    expires: int


def _pushed(row: Row | None) -> Pushed | None:
    if row is None:
        return None
    request = msgspec.json.decode(row["request"], type=AuthorizationRequest)
    return Pushed(
        row["id"], State(row["state"]), row["client_id"], row["client_jkt"], row["provider"], request,
        None if row["browser_hash"] is None else bytes(row["browser_hash"]), row["check_id"], row["person"],
        None if row["who"] is None else bytes(row["who"]), row["order_id"], row["expires"],
    )  # fmt: skip


async def add(tx: Tx, new: Pushed, uri_hash: bytes) -> None:
    await tx.run(
        "INSERT INTO authorization_request (id, uri_hash, state, client_id, client_jkt, provider, request, check_id,"
        " expires) VALUES ($1, $2, $3, $4, $5, $6, $7, '', $8)",
        new.id, uri_hash, new.state.value, new.client_id, new.client_jkt, new.provider,
        msgspec.json.encode(new.request).decode(), new.expires,
    )  # fmt: skip


async def by_id(reader: Reader, id: str) -> Pushed | None:
    return _pushed(await reader.one("SELECT * FROM authorization_request WHERE id = $1", id))


async def by_uri(reader: Reader, uri_hash: bytes) -> Pushed | None:
    return _pushed(await reader.one("SELECT * FROM authorization_request WHERE uri_hash = $1", uri_hash))


async def by_code(reader: Reader, code_hash: bytes) -> Pushed | None:
    return _pushed(await reader.one("SELECT * FROM authorization_request WHERE code_hash = $1", code_hash))


async def open_in(tx: Tx, id: str, browser_hash: bytes, expires: int) -> bool:
    return await tx.run(
        "UPDATE authorization_request SET state = 'opened', browser_hash = $2, expires = $3"
        " WHERE id = $1 AND state = 'pushed'",
        id, browser_hash, expires,
    ) == 1  # fmt: skip


async def begin_check(tx: Tx, id: str, check_id: str) -> bool:
    """Also once more after somebody has signed in: who comes next has to sign in again."""
    return await tx.run(
        "UPDATE authorization_request SET state = 'opened', check_id = $2, person = NULL, who = NULL, order_id = NULL"
        " WHERE id = $1 AND state IN ('opened', 'known')",
        id, check_id,
    ) == 1  # fmt: skip


async def know(tx: Tx, id: str, check_id: str, person: str, who: bytes, order_id: str) -> bool:
    return await tx.run(
        "UPDATE authorization_request SET state = 'known', person = $3, who = $4, order_id = $5"
        " WHERE id = $1 AND state = 'opened' AND check_id = $2",
        id, check_id, person, who, order_id,
    ) == 1  # fmt: skip


async def approve(tx: Tx, id: str, order_id: str, code_hash: bytes, expires: int) -> bool:
    return await tx.run(
        "UPDATE authorization_request SET state = 'approved', order_id = $2, code_hash = $3, expires = $4, who = NULL"
        " WHERE id = $1 AND state = 'known'",
        id, order_id, code_hash, expires,
    ) == 1  # fmt: skip


async def refuse(tx: Tx, id: str) -> bool:
    return await tx.run(
        "UPDATE authorization_request SET state = 'refused', who = NULL WHERE id = $1 AND state IN ('opened', 'known')",
        id,
    ) == 1  # fmt: skip


async def redeem(tx: Tx, id: str) -> bool:
    return await tx.run(
        "UPDATE authorization_request SET state = 'redeemed' WHERE id = $1 AND state = 'approved'", id
    ) == 1  # fmt: skip


async def forget(tx: Tx, now: datetime) -> int:
    before = int(now.timestamp()) - KEPT_AFTER
    return await tx.run("DELETE FROM authorization_request WHERE expires < $1", before)
