"""Work promised inside a transaction, done at least once, felt once.

Promises: what `promise` wrote is handed to its handler until one call returns; a failing item waits longer each time
and never blocks the others. One that seems to wait longer than any may was written while the clock was ahead: it is
due. Trusts: handlers to be idempotent (the item's key is theirs to use). Keeps: table outbox_item in each role's own
database; finished items for a week. Refuses: an item of a kind without a handler.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec
import structlog

from .clock import Clock
from .db import Db, Tx
from .errors import where

Handler = Callable[[dict[str, Any]], Awaitable[None]]

KEEP_DONE = 7 * 86400
LONGEST_WAIT = 300  # seconds
_log = structlog.get_logger("mapae.outbox")


async def promise(tx: Tx, kind: str, key: str, payload: Mapping[str, Any], now: datetime) -> None:
    """Promise `kind` work once for this key; a second promise with the same key changes nothing."""
    at = int(now.timestamp())
    body = msgspec.json.encode(dict(payload)).decode()
    await tx.run(
        "INSERT INTO outbox_item (id, kind, payload, tries, next_at) VALUES ($1, $2, $3, 0, $4) ON CONFLICT DO NOTHING",
        f"{kind}:{key}", kind, body, at,
    )  # fmt: skip


async def withdraw(tx: Tx, kind: str, key_begins: str) -> int:
    """Take back promises of this kind that are not kept yet: a later deed has overtaken them."""
    begins = f"{kind}:{key_begins}"
    return await tx.run(
        "DELETE FROM outbox_item WHERE done_at IS NULL AND kind = $1 AND substr(id, 1, $2) = $3",
        kind, len(begins), begins,
    )  # fmt: skip


class Outbox:
    """The one worker of a role's database."""

    def __init__(self, db: Db, clock: Clock, handlers: Mapping[str, Handler]) -> None:
        self._db = db
        self._clock = clock
        self._handlers = dict(handlers)

    async def run_once(self) -> int:
        """Try everything that is due; how many items were finished."""
        now = int(self._clock.now().timestamp())
        due = await self._db.all(
            "SELECT id, kind, payload, tries FROM outbox_item WHERE done_at IS NULL"
            " AND (next_at <= $1 OR next_at > $2) ORDER BY next_at LIMIT 100", now, now + LONGEST_WAIT,
        )  # fmt: skip
        finished = 0
        for item in due:
            if await self._try(item["id"], item["kind"], item["payload"], item["tries"], now):
                finished += 1
        if finished:
            sure = int(self._clock.surely().timestamp())
            await self._db.run("DELETE FROM outbox_item WHERE done_at < $1", sure - KEEP_DONE)
        return finished

    async def run_forever(self) -> None:
        while True:
            try:
                await self.run_once()
            except Exception as bug:  # noqa: BLE001 must not escape: the worker serves the role as long as it runs
                _log.error("outbox round failed", kind=type(bug).__name__, where=where(bug))
            await asyncio.sleep(1)

    async def waiting(self) -> int:
        row = await self._db.one("SELECT count(*) AS n FROM outbox_item WHERE done_at IS NULL")
        return int(row["n"]) if row is not None else 0

    async def queue(self) -> dict[str, int]:
        """How many promises of each kind are not kept yet."""
        rows = await self._db.all("SELECT kind, count(*) AS n FROM outbox_item WHERE done_at IS NULL GROUP BY kind")
        return {row["kind"]: int(row["n"]) for row in rows}

    async def _try(self, id: str, kind: str, payload: str, tries: int, now: int) -> bool:
        if await self._db.one("SELECT 1 AS due FROM outbox_item WHERE id = $1 AND done_at IS NULL", id) is None:
            return False  # withdrawn since this round began
        try:
            await self._handlers[kind](msgspec.json.decode(payload))
        except Exception as error:  # noqa: BLE001 must not escape: the item stays promised and is tried again later
            _log.warning("outbox item failed", kind=kind, tries=tries + 1, error=type(error).__name__)
            wait = min(2**tries, LONGEST_WAIT)
            await self._db.run("UPDATE outbox_item SET tries = tries + 1, next_at = $2 WHERE id = $1", id, now + wait)
            return False
        await self._db.run("UPDATE outbox_item SET done_at = $2 WHERE id = $1", id, now)
        return True
