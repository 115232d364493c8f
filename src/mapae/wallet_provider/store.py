"""The wallet provider's tables.

Promises: each function is one step of a transaction its caller owns; at most one phone a person is active or
suspended, because the index `device_one_live` says so and not because anybody looked first; ends are numbered in the
order they are committed. Trusts: `devices.py` for order and audit. Keeps: phones, the client keys they had attested,
spent assertions, and requests seen within the clock window. Refuses: nothing by itself; it reports what the database
did.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mapae.db import Db, Row, Tx, Value

ENDS = "device-ends"  # one transaction at a time ends phones


class DeviceState(StrEnum):
    WAITING = "waiting"  # the person has another live phone; an officer must move the binding
    ACTIVE = "active"
    SUSPENDED = "suspended"  # reported lost; released at the counter only
    ENDED = "ended"  # for good: the phone must erase its cards


@dataclass(frozen=True, slots=True)
class Device:
    device_id: str
    person: str
    jkt: str
    platform: str
    state: DeviceState
    reason: str
    since: int
    registered: int


def _device(row: Row) -> Device:
    return Device(
        row["device_id"],
        row["person"],
        row["jkt"],
        row["platform"],
        DeviceState(row["state"]),
        row["reason"],
        row["since"],
        row["registered"],
    )


async def by_key(db: Db | Tx, jkt: str) -> Device | None:
    row = await db.one("SELECT * FROM device WHERE jkt = $1", jkt)
    return None if row is None else _device(row)


async def by_id(db: Db | Tx, device_id: str) -> Device | None:
    row = await db.one("SELECT * FROM device WHERE device_id = $1", device_id)
    return None if row is None else _device(row)


async def by_client_key(db: Db | Tx, jkt: str) -> Device | None:
    """The phone an attested client key belongs to."""
    row = await db.one(
        "SELECT d.* FROM attested_client c JOIN device d ON d.device_id = c.device_id WHERE c.jkt = $1",
        jkt,
    )
    return None if row is None else _device(row)


async def of_person(db: Db | Tx, person: str) -> list[Device]:
    """Everything that has not ended, the oldest first."""
    rows = await db.all(
        "SELECT * FROM device WHERE person = $1 AND state <> 'ended' ORDER BY registered, device_id", person
    )
    return [_device(row) for row in rows]


async def registered(tx: Tx, person: str, since: int, until: int) -> int:
    row = await tx.one(
        "SELECT count(*) AS n FROM device WHERE person = $1 AND registered >= $2 AND registered <= $3",
        person, since, until,
    )  # fmt: skip
    return 0 if row is None else int(row["n"])


_ADD = (
    "INSERT INTO device (device_id, person, jkt, platform, state, reason, since, registered)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
)


async def add(tx: Tx, device: Device) -> bool:
    """Add a phone as active or, when the person has a live one, not at all; whether it was added."""
    unless_live = " ON CONFLICT (person) WHERE state IN ('active', 'suspended') DO NOTHING"
    return await tx.run(_ADD + unless_live, *_values(device)) == 1


async def add_waiting(tx: Tx, device: Device) -> None:
    await tx.run(_ADD, *_values(device))


def _values(device: Device) -> tuple[Value, ...]:
    return (
        device.device_id, device.person, device.jkt, device.platform, device.state.value, device.reason, device.since,
        device.registered,
    )  # fmt: skip


async def change(tx: Tx, device_id: str, before: DeviceState, after: DeviceState, reason: str, now: int) -> bool:
    """Compare and swap; whether it was in `before`. Raises Duplicate when the person has another live phone."""
    if after is DeviceState.ENDED:
        await tx.serial(ENDS)
    changed = await tx.run(
        "UPDATE device SET state = $3, reason = $4, since = $5 WHERE device_id = $1 AND state = $2",
        device_id, before.value, after.value, reason, now,
    ) == 1  # fmt: skip
    if changed and after is DeviceState.ENDED:
        await _number(tx, device_id)
    return changed


async def promote(tx: Tx, device_id: str, person: str, now: int) -> bool:
    """A waiting phone becomes active when nothing else is live; whether it did. May raise Duplicate in a race."""
    return (
        await tx.run(
            "UPDATE device SET state = 'active', reason = '', since = $3 WHERE device_id = $1 AND state = 'waiting'"
            " AND NOT EXISTS (SELECT 1 FROM device o WHERE o.person = $2 AND o.state IN ('active', 'suspended'))",
            device_id, person, now,
        )
        == 1
    )  # fmt: skip


async def end_live_except(tx: Tx, person: str, device_id: str, reason: str, now: int) -> str | None:
    """End the person's live phone unless it is `device_id`; the id of what ended."""
    await tx.serial(ENDS)
    row = await tx.one(
        "UPDATE device SET state = 'ended', reason = $3, since = $4"
        " WHERE person = $1 AND state IN ('active', 'suspended') AND device_id <> $2 RETURNING device_id",
        person, device_id, reason, now,
    )  # fmt: skip
    if row is None:
        return None
    await _number(tx, row["device_id"])
    return str(row["device_id"])


async def end_all(tx: Tx, person: str, reason: str, now: int) -> list[str]:
    await tx.serial(ENDS)
    rows = await tx.all(
        "UPDATE device SET state = 'ended', reason = $2, since = $3 WHERE person = $1 AND state <> 'ended'"
        " RETURNING device_id",
        person, reason, now,
    )  # fmt: skip
    ended = sorted(str(row["device_id"]) for row in rows)
    for device_id in ended:
        await _number(tx, device_id)
    return ended


async def number_the_rest(tx: Tx) -> None:
    """Ends that a process of before these numbers wrote, while a role was upgraded one process at a time."""
    if await tx.one("SELECT 1 AS due FROM device WHERE state = 'ended' AND ended_seq IS NULL LIMIT 1") is None:
        return
    await tx.serial(ENDS)
    rows = await tx.all("SELECT device_id FROM device WHERE state = 'ended' AND ended_seq IS NULL ORDER BY since")
    for row in rows:
        await _number(tx, row["device_id"])


async def _number(tx: Tx, device_id: str) -> None:
    """Behind `serial(ENDS)`: whoever sees this number sees all before it."""
    await tx.run(
        "UPDATE device SET ended_seq = (SELECT COALESCE(MAX(ended_seq), 0) + 1 FROM device) WHERE device_id = $1",
        device_id,
    )


async def last_end(db: Db) -> int:
    """The highest number; 0 before the first end."""
    row = await db.one("SELECT MAX(ended_seq) AS last FROM device")
    return 0 if row is None else int(row["last"] or 0)


async def ended_after(db: Db, number: int, limit: int) -> list[tuple[int, Device]]:
    rows = await db.all("SELECT * FROM device WHERE ended_seq > $1 ORDER BY ended_seq LIMIT $2", number, limit)
    return [(row["ended_seq"], _device(row)) for row in rows]


async def spend_assertion(tx: Tx, jti: str, jkt: str, expires: int) -> str | None:
    """None when the assertion is spent now; else the thumbprint of the phone that had spent it before."""
    spent = await tx.run(
        "INSERT INTO spent_assertion (jti, jkt, expires) VALUES ($1, $2, $3) ON CONFLICT (jti) DO NOTHING",
        jti, jkt, expires,
    )  # fmt: skip
    if spent == 1:
        return None
    row = await tx.one("SELECT jkt FROM spent_assertion WHERE jti = $1", jti)
    return "" if row is None else str(row["jkt"])


async def seen(tx: Tx, device_id: str, jti: str, expires: int) -> bool:
    """Whether this request was seen before; from now on it was."""
    added = await tx.run(
        "INSERT INTO seen_request (device_id, jti, expires) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        device_id, jti, expires,
    )  # fmt: skip
    return added == 0


async def seen_count(tx: Tx, device_id: str, now: int, until: int) -> int:
    """The requests that are kept for this window, and not for one that is over or a year away."""
    row = await tx.one(
        "SELECT count(*) AS n FROM seen_request WHERE device_id = $1 AND expires >= $2 AND expires <= $3",
        device_id, now, until,
    )  # fmt: skip
    return 0 if row is None else int(row["n"])


async def attest_client(tx: Tx, jkt: str, device_id: str, expires: int) -> bool:
    """Remember whose client key this is; False when it is another phone's."""
    return (
        await tx.run(
            "INSERT INTO attested_client (jkt, device_id, expires) VALUES ($1, $2, $3)"
            " ON CONFLICT (jkt) DO UPDATE SET expires = $3 WHERE attested_client.device_id = $2",
            jkt, device_id, expires,
        )
        == 1
    )  # fmt: skip


async def client_count(tx: Tx, device_id: str) -> int:
    row = await tx.one("SELECT count(*) AS n FROM attested_client WHERE device_id = $1", device_id)
    return 0 if row is None else int(row["n"])


async def forget_expired(tx: Tx, now: int) -> int:
    """Drop replay records and client keys whose time is over; how many."""
    gone = await tx.run("DELETE FROM seen_request WHERE expires < $1", now)
    gone += await tx.run("DELETE FROM spent_assertion WHERE expires < $1", now)
    return gone + await tx.run("DELETE FROM attested_client WHERE expires < $1", now)
