"""Batches, tickets and status lists, in SQL.

Promises: a ticket's status and its list's version change together, so a reader that knows version v asks only for what
changed since. Trusts: its caller to be inside one transaction. Keeps: tables batch, ticket, status_list.
Refuses: a status index or a holder's key twice (unique indexes say so, `Taken` tells which).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import lru_cache
from typing import Any

from mapae.db import Tx, Value
from mapae.issuer.store import Reader, seconds


class Taken(Exception):
    """Something that must be unique is not: a status index somebody else drew, or a key that was seen before."""

    class Why(Enum):
        INDEX = "index"
        KEY = "key"

    def __init__(self, why: Taken.Why) -> None:
        super().__init__(why.value)
        self.why = why


@dataclass(frozen=True, slots=True)
class TicketRow:
    id: str
    list_id: str
    index: int
    key_thumbprint: str
    draft_digest: bytes
    expires: datetime


@dataclass(frozen=True, slots=True)
class BatchRow:
    id: str
    order_id: str
    configuration: str
    state: str


# --- status lists -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ListRow:
    id: str
    size: int
    room: int
    used: int
    version: int


def _list(row: object) -> ListRow:
    return ListRow(row["id"], row["size"], row["room"], row["used"], row["version"])  # type: ignore[index]


async def lists_with_room(reader: Reader, needed: int) -> list[ListRow]:
    rows = await reader.all(
        "SELECT id, size, room, used, version FROM status_list WHERE used + $1 <= room ORDER BY opened, id", needed
    )
    return [_list(row) for row in rows]


async def list_row(reader: Reader, id: str) -> ListRow | None:
    row = await reader.one("SELECT id, size, room, used, version FROM status_list WHERE id = $1", id)
    return None if row is None else _list(row)


async def list_ids(reader: Reader) -> list[str]:
    return [row["id"] for row in await reader.all("SELECT id FROM status_list ORDER BY opened, id")]


async def add_list(tx: Tx, id: str, size: int, room: int, now: datetime) -> None:
    await tx.run(
        "INSERT INTO status_list (id, size, room, used, version, opened) VALUES ($1, $2, $3, 0, 0, $4)",
        id, size, room, seconds(now),
    )  # fmt: skip


@lru_cache(maxsize=64)
def _taken_of(count: int) -> str:
    places = ", ".join(f"(CAST(${at} AS TEXT), CAST(${at + 1} AS BIGINT))" for at in range(1, 2 * count, 2))
    return (
        f"WITH drawn (list_id, idx) AS (VALUES {places}) SELECT drawn.list_id, drawn.idx FROM drawn"  # noqa: S608 our words
        " JOIN ticket ON ticket.list_id = drawn.list_id AND ticket.idx = drawn.idx"
    )


async def taken_indexes(reader: Reader, candidates: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
    """Which of these places, each a list and an index in it, somebody has."""
    rows = await reader.all(_taken_of(len(candidates)), *[part for place in candidates for part in place])
    return {(row["list_id"], row["idx"]) for row in rows}


@dataclass(frozen=True, slots=True)
class Grown:
    """A list and every place in it whose status changed since a version, read in one statement: at one moment."""

    row: ListRow
    cut: int
    changes: list[tuple[int, int]]


_GROWN = (
    "SELECT s.id, s.size, s.room, s.used, s.version, s.cut, t.idx, t.status FROM status_list s"
    # `touched > 0` says nothing new; it lets the planner see that the index of touched tickets holds all of them.
    " LEFT JOIN ticket t ON t.list_id = s.id AND t.touched > 0 AND t.touched > "
)


def _grown(rows: Sequence[Any]) -> list[Grown]:
    found: dict[str, Grown] = {}
    for row in rows:
        one = found.get(row["id"])
        if one is None:
            one = found[row["id"]] = Grown(_list(row), row["cut"], [])
        if row["idx"] is not None:
            one.changes.append((row["idx"], row["status"]))
    return list(found.values())


async def grown_since(reader: Reader, list_id: str, version: int) -> Grown | None:
    rows = _grown(await reader.all(f"{_GROWN} $2 WHERE s.id = $1", list_id, version))
    return rows[0] if rows else None


async def grown_since_cut(reader: Reader) -> list[Grown]:
    """Every list that changed since the newest epoch, or is in none yet, all at one moment."""
    return _grown(await reader.all(f"{_GROWN} s.cut WHERE s.version > s.cut ORDER BY s.id"))


async def cut(tx: Tx, lists: Sequence[tuple[str, int]]) -> None:
    """These lists, in these versions, are in an epoch."""
    await tx.many("UPDATE status_list SET cut = $2 WHERE id = $1", lists)


async def touched_since(reader: Reader, list_id: str, version: int) -> list[int]:
    rows = await reader.all(
        "SELECT idx FROM ticket WHERE list_id = $1 AND touched > 0 AND touched > $2", list_id, version
    )
    return [row["idx"] for row in rows]


@dataclass(frozen=True, slots=True)
class _Change:
    """Which tickets of $1 change, and how. In the SQL: 0 valid, 1 invalid, 2 suspended, 3 renew."""

    lists: str
    update: str  # $2 the list, $3 its new version


async def _change(tx: Tx, change: _Change, of: str) -> int:
    """Change the status of tickets, and step the version of each list they stand in.

    Lists are stepped in the order of their ids, so that two transactions never wait for each other in a circle.
    """
    count = 0
    for row in await tx.all(change.lists, of):
        stepped = await tx.one(
            "UPDATE status_list SET version = version + 1 WHERE id = $1 RETURNING version", row["list_id"]
        )
        if stepped is None:
            raise RuntimeError("a ticket stands in a status list that is not there")
        count += await tx.run(change.update, of, row["list_id"], stepped["version"])
    return count


_SUSPEND = _Change(
    "SELECT DISTINCT list_id FROM ticket WHERE order_id = $1 AND status IN (0, 3) ORDER BY list_id",
    "UPDATE ticket SET beneath = status, status = 2, touched = $3"
    " WHERE order_id = $1 AND list_id = $2 AND status IN (0, 3)",
)
_RELEASE = _Change(
    "SELECT DISTINCT list_id FROM ticket WHERE order_id = $1 AND status = 2 ORDER BY list_id",
    "UPDATE ticket SET status = beneath, touched = $3 WHERE order_id = $1 AND list_id = $2 AND status = 2",
)
_RENEW = _Change(
    "SELECT DISTINCT list_id FROM ticket WHERE order_id = $1 AND status = 0 ORDER BY list_id",
    "UPDATE ticket SET status = 3, touched = $3 WHERE order_id = $1 AND list_id = $2 AND status = 0",
)
_END_ORDER = _Change(
    "SELECT DISTINCT list_id FROM ticket WHERE order_id = $1 AND status <> 1 ORDER BY list_id",
    "UPDATE ticket SET status = 1, state = CASE state WHEN 'open' THEN 'void' ELSE state END, touched = $3"
    " WHERE order_id = $1 AND list_id = $2 AND status <> 1",
)
_END_BATCH = _Change(
    "SELECT DISTINCT list_id FROM ticket WHERE batch_id = $1 AND status <> 1 ORDER BY list_id",
    "UPDATE ticket SET status = 1, state = CASE state WHEN 'open' THEN 'void' ELSE state END, touched = $3"
    " WHERE batch_id = $1 AND list_id = $2 AND status <> 1",
)


async def suspend_order(tx: Tx, order_id: str) -> int:
    return await _change(tx, _SUSPEND, order_id)


async def release_order(tx: Tx, order_id: str) -> int:
    return await _change(tx, _RELEASE, order_id)


async def renew_order(tx: Tx, order_id: str) -> int:
    """Copies under a suspension will ask for renewal once they are released."""
    asked = await _change(tx, _RENEW, order_id)
    return asked + await tx.run("UPDATE ticket SET beneath = 3 WHERE order_id = $1 AND status = 2", order_id)


async def end_order(tx: Tx, order_id: str, now: datetime) -> int:
    await tx.run(
        "UPDATE batch SET state = CASE state WHEN 'acknowledged' THEN 'retired' ELSE 'void' END, changed = $2"
        " WHERE order_id = $1 AND state IN ('intended', 'signed', 'acknowledged')",
        order_id, seconds(now),
    )  # fmt: skip
    return await _change(tx, _END_ORDER, order_id)


# --- batches ----------------------------------------------------------------------------------------------------------


async def void_batches(tx: Tx, order_id: str, configuration: str | None, before: tuple[str, ...], now: datetime) -> int:
    """Batches on their way that will never be acknowledged: their copies are invalid from here on."""
    rows = await tx.all(
        "SELECT id FROM batch WHERE order_id = $1 AND state IN ($3, $4) AND ($2 = '' OR configuration = $2)",
        order_id, configuration or "", before[0], before[-1],
    )  # fmt: skip
    count = 0
    for row in rows:
        count += await end_batch(tx, row["id"], before, "void", now)
    return count


async def end_batch(tx: Tx, batch_id: str, before: tuple[str, ...], state: str, now: datetime) -> int:
    """`before`: the one or two states it may be in."""
    moved = await tx.run(
        "UPDATE batch SET state = $2, changed = $3 WHERE id = $1 AND state IN ($4, $5)",
        batch_id, state, seconds(now), before[0], before[-1],
    )  # fmt: skip
    if moved:
        await _change(tx, _END_BATCH, batch_id)
    return moved


async def add_batch(tx: Tx, batch: BatchRow, access_hash: bytes, now: datetime) -> None:
    await tx.run(
        "INSERT INTO batch (id, order_id, configuration, state, access_hash, opened, changed)"
        " VALUES ($1, $2, $3, $4, $5, $6, $6)",
        batch.id, batch.order_id, batch.configuration, batch.state, access_hash, seconds(now),
    )  # fmt: skip


@lru_cache(maxsize=64)
def _insert_of(count: int) -> str:
    """One statement for a whole batch: what is the same for all stands in $1 and $2."""
    rows = [
        "(${}, $1, $2, ${}, ${}, ${}, ${}, ${}, NULL, 'open', 0, 0, 0, ${})".format(*range(at, at + 7))
        for at in range(3, 3 + 7 * count, 7)
    ]
    columns = (
        "id, batch_id, order_id, place, list_id, idx, key_thumbprint, draft_digest, signed_digest, state, status,"
        " beneath, touched, expires"
    )
    return f"INSERT INTO ticket ({columns}) VALUES {', '.join(rows)} ON CONFLICT DO NOTHING"  # noqa: S608 our words only


async def add_tickets(tx: Tx, batch: BatchRow, tickets: Sequence[TicketRow]) -> None:
    """Raises Taken, which ends the transaction."""
    values: list[Value] = [batch.id, batch.order_id]
    for place, ticket in enumerate(tickets):
        values += (ticket.id, place, ticket.list_id, ticket.index, ticket.key_thumbprint, ticket.draft_digest,
                   seconds(ticket.expires))  # fmt: skip
    added = await tx.run(_insert_of(len(tickets)), *values)
    if added < len(tickets):
        mine = {ticket.id for ticket in tickets}
        for ticket in tickets:
            row = await tx.one("SELECT id FROM ticket WHERE key_thumbprint = $1", ticket.key_thumbprint)
            if row is not None and row["id"] not in mine:
                raise Taken(Taken.Why.KEY)
        raise Taken(Taken.Why.INDEX)
    lists = sorted({ticket.list_id for ticket in tickets})
    for list_id in lists:
        here = sum(1 for ticket in tickets if ticket.list_id == list_id)
        await tx.run("UPDATE status_list SET used = used + $2 WHERE id = $1", list_id, here)


async def close_tickets(tx: Tx, batch_id: str, digests: Sequence[tuple[str, bytes]], now: datetime) -> bool:
    """Write down what was signed. False when the batch was voided meanwhile: then nothing may leave the house."""
    moved = await tx.run(
        "UPDATE batch SET state = 'signed', changed = $2 WHERE id = $1 AND state = 'intended'", batch_id, seconds(now)
    )
    if not moved:
        return False
    await tx.many(
        "UPDATE ticket SET state = 'signed', signed_digest = $2 WHERE id = $1 AND batch_id = $3 AND state = 'open'",
        [(ticket_id, digest, batch_id) for ticket_id, digest in digests],
    )
    closed = await tx.one("SELECT count(*) AS n FROM ticket WHERE batch_id = $1 AND state = 'signed'", batch_id)
    if closed is None or closed["n"] != len(digests):
        raise RuntimeError("a ticket of an intended batch is not open")
    return True


async def batch(reader: Reader, id: str) -> BatchRow | None:
    row = await reader.one("SELECT id, order_id, configuration, state FROM batch WHERE id = $1", id)
    return None if row is None else BatchRow(row["id"], row["order_id"], row["configuration"], row["state"])


async def intended_batches(reader: Reader) -> list[BatchRow]:
    rows = await reader.all("SELECT id, order_id, configuration, state FROM batch WHERE state = 'intended' ORDER BY id")
    return [BatchRow(row["id"], row["order_id"], row["configuration"], row["state"]) for row in rows]


async def has_done_its_work(reader: Reader, access_hash: bytes, configuration: str) -> bool:
    """Whether a batch fetched with this access token has been acknowledged."""
    row = await reader.one(
        "SELECT 1 AS found FROM batch WHERE access_hash = $1 AND configuration = $2"
        " AND state IN ('acknowledged', 'retired') LIMIT 1",
        access_hash, configuration,
    )  # fmt: skip
    return row is not None


async def has_arrived(reader: Reader, card: str) -> bool:
    """Whether a phone has acknowledged any batch of this card: from then on it holds its tokens for sure."""
    row = await reader.one(
        "SELECT 1 AS found FROM batch WHERE order_id = $1 AND state IN ('acknowledged', 'retired') LIMIT 1", card
    )
    return row is not None


async def acknowledge(tx: Tx, batch: BatchRow, now: datetime) -> bool:
    """The wallet has stored it: the batches it replaces are retired. Their copies stay what they were until their end,
    in the same phone and under the same lock: changed together, in a list that everybody reads, they would say that
    what was shown in two places was shown by one person."""
    moved = await tx.run(
        "UPDATE batch SET state = 'acknowledged', changed = $2 WHERE id = $1 AND state = 'signed'",
        batch.id,
        seconds(now),
    )
    if not moved:
        return False
    await tx.run(
        "UPDATE batch SET state = 'retired', changed = $4"
        " WHERE order_id = $1 AND configuration = $2 AND state = 'acknowledged' AND id <> $3",
        batch.order_id, batch.configuration, batch.id, seconds(now),
    )  # fmt: skip
    return True
