"""Accepted requests that wait for their credentials, in SQL.

Promises: of one order and configuration at most one request waits; an id is good once. Trusts: its only caller,
`deferred.py`. Keeps: table deferred; ids as hashes, public keys. Refuses: nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec

from mapae.db import Tx
from mapae.formats.jose import PublicKey
from mapae.issuer.store import Reader, seconds


@dataclass(frozen=True, slots=True)
class Waiting:
    id_hash: bytes
    order_id: str
    configuration: str
    keys: tuple[PublicKey, ...]
    ready: int


async def add(tx: Tx, new: Waiting, now: datetime) -> None:
    """The one that waited before, if any, is over."""
    await tx.run(
        "UPDATE deferred SET state = 'over' WHERE order_id = $1 AND configuration = $2 AND state = 'waiting'",
        new.order_id, new.configuration,
    )  # fmt: skip
    await tx.run(
        "INSERT INTO deferred (id_hash, order_id, configuration, keys, state, ready, opened)"
        " VALUES ($1, $2, $3, $4, 'waiting', $5, $6)",
        new.id_hash, new.order_id, new.configuration, msgspec.json.encode([key.jwk for key in new.keys]).decode(),
        new.ready, seconds(now),
    )  # fmt: skip


async def waiting(reader: Reader, id_hash: bytes, order_id: str) -> Waiting | None:
    row = await reader.one(
        "SELECT configuration, keys, ready FROM deferred WHERE id_hash = $1 AND order_id = $2 AND state = 'waiting'",
        id_hash, order_id,
    )  # fmt: skip
    if row is None:
        return None
    keys = tuple(PublicKey.from_jwk(jwk) for jwk in msgspec.json.decode(row["keys"], type=list[dict[str, str]]))
    return Waiting(id_hash, order_id, row["configuration"], keys, row["ready"])


async def settle(tx: Tx, id_hash: bytes, state: str) -> bool:
    return await tx.run(
        "UPDATE deferred SET state = $2 WHERE id_hash = $1 AND state = 'waiting'", id_hash, state
    ) == 1  # fmt: skip


async def forget(tx: Tx, before: datetime) -> int:
    return await tx.run("DELETE FROM deferred WHERE opened < $1", seconds(before))
