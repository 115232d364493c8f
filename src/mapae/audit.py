"""What happened, chained so that nobody can quietly change it.

Promises: an event is written in the same transaction as its deed, or neither is; each event's hash covers the one
before. Trusts: the database for order (`tx.serial`). Keeps: table audit_event in each role's own database. Refuses:
personal data, by shape: facts are short words and numbers, and the ids are opaque.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from .db import Db, Row, Tx

_WORD = re.compile(r"[A-Za-z0-9_.:/=+-]{1,128}")


@dataclass(frozen=True, slots=True)
class Event:
    """`subject` the thing or person (opaque id) it is about, `object` what kind of thing, `action` a past participle,
    `actor` who did it. Named subject:object:action in reports."""

    subject: str
    object: str
    action: str
    actor: str
    facts: Mapping[str, str | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        words = (self.subject, self.object, self.action, self.actor, *self.facts)
        for word in (*words, *(fact for fact in self.facts.values() if isinstance(fact, str))):
            if not _WORD.fullmatch(word):
                raise ValueError("audit events hold opaque ids, short words and numbers only")


@dataclass(frozen=True, slots=True)
class Recorded:
    seq: int
    at: datetime
    event: Event


async def record(tx: Tx, event: Event, now: datetime) -> None:
    """Append one event. Call it last in the transaction: from here on the chain is held."""
    await tx.serial("audit")
    last = await tx.one("SELECT seq, hash FROM audit_event ORDER BY seq DESC LIMIT 1")
    seq, before = (last["seq"] + 1, bytes(last["hash"])) if last is not None else (1, bytes(32))
    at, facts = int(now.timestamp()), msgspec.json.encode(dict(event.facts), order="sorted").decode()
    await tx.run(
        "INSERT INTO audit_event (seq, at, subject, object, action, actor, facts, hash)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        seq, at, event.subject, event.object, event.action, event.actor, facts,
        _link(before, seq, at, event, facts),
    )  # fmt: skip


async def events_about(db: Db, subject: str) -> list[Recorded]:
    rows = await db.all("SELECT * FROM audit_event WHERE subject = $1 ORDER BY seq", subject)
    return [Recorded(row["seq"], datetime.fromtimestamp(row["at"], UTC), _event(row)) for row in rows]


async def first_broken_link(db: Db) -> int | None:
    """The seq of the first event whose hash does not follow from the one before, or None: the chain is whole."""
    before, expected, start = bytes(32), 1, 0
    while True:
        rows = await db.all("SELECT * FROM audit_event WHERE seq > $1 ORDER BY seq LIMIT 1000", start)
        for row in rows:
            try:
                link = _link(before, row["seq"], row["at"], _event(row), row["facts"])
            except (ValueError, TypeError, msgspec.MsgspecError):  # whoever changed it wrote what we never would
                return int(row["seq"])
            if row["seq"] != expected or link != bytes(row["hash"]):
                return int(row["seq"])
            before, expected, start = link, expected + 1, row["seq"]
        if not rows:
            return None


def _event(row: Row) -> Event:
    return Event(row["subject"], row["object"], row["action"], row["actor"], msgspec.json.decode(row["facts"]))


def _link(before: bytes, seq: int, at: int, event: Event, facts: str) -> bytes:
    parts = [seq, at, event.subject, event.object, event.action, event.actor, facts]
    return hashlib.sha256(before + msgspec.json.encode(parts)).digest()
