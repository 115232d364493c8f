"""Status lists: where a copy's index comes from, and how a change gets out.

Promises: indexes are drawn at random from lists that are never filled beyond half, so an index says nothing about
when or with which others it was given; a list is signed anew as soon as one of its copies changed, and at least every
`TTL` seconds when asked for; only what changed is read again, also after a restart. Trusts: the database's version
numbers, the seal. Keeps: packed bits, compressed bits and the last signed tokens of each list in memory.
Refuses: a list it never opened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from mapae.clock import Clock, Dice
from mapae.db import Db, Tx
from mapae.errors import Code, Refused
from mapae.formats.jose import b64u
from mapae.formats.status import TYP, TYPE_CWT, Compressed, StatusList, StatusRef, publish, publish_cwt
from mapae.issuer import epoch_store as epochs
from mapae.issuer import ticket_store as tickets
from mapae.keys import Signer

BITS = 2  # 0 valid, 1 invalid, 2 suspended, 3 renew (Token Status List section 7: application specific)
TTL = 5  # seconds: a lost phone's copies are refused this soon by whoever is online
LIFE = timedelta(hours=24)  # how long a checker without network may live on one list
RESEND = timedelta(minutes=15)  # whoever has an unchanged list hears "still that one" this long, then gets it anew
OPEN_LISTS = 4  # copies of one batch stand in several lists, so one list's growth tells no story
LIST_SIZE = 1 << 20  # half a million copies in one: a crowd for whoever watches which list is fetched
HELD_LISTS = 256  # 64 MiB of bits in memory
SMALLEST = 64  # half of it holds a batch of any size a pack allows


class Form(StrEnum):
    """How a list travels: draft-21 5.1 and 5.2."""

    JWT = f"application/{TYP}"
    CWT = TYPE_CWT


@dataclass(frozen=True, slots=True)
class Seal:
    """A signing key and its certificates: DER, leaf first, without the anchor."""

    signer: Signer
    x5c: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """One free place in one list, until somebody takes it."""

    list_id: str
    index: int
    ref: StatusRef


@dataclass(frozen=True, slots=True)
class Published:
    """A signed list. Its `etag` is the same from every process that publishes what it says within `RESEND`."""

    token: str | bytes
    etag: str
    signed_at: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """A list as it was at one version."""

    version: int
    bits: StatusList
    compressed: Compressed
    published: dict[Form, Published] = field(default_factory=dict)


def half(size: int) -> int:
    """How many places of a list are ever given away. The rest is spare: random draws stay cheap and unpredictable."""
    return size // 2


def _place(lists: Sequence[tickets.ListRow], at: int) -> tuple[str, int]:
    """The list and the index in it of the place numbered `at` when all lists stand one behind the other."""
    for one in lists:
        if at < one.size:
            return one.id, at
        at -= one.size
    raise ValueError("there are fewer places")


class StatusLists:
    def __init__(self, db: Db, clock: Clock, dice: Dice, seal: Seal, prefix: str, size: int = LIST_SIZE) -> None:
        if size < SMALLEST or size % 8:
            raise ValueError(f"a status list fills whole bytes and has at least {SMALLEST} places")
        self._db = db
        self._clock = clock
        self._dice = dice
        self._seal = seal
        self._prefix = prefix
        self._size = size
        self._held: dict[str, Held] = {}

    def uri(self, list_id: str) -> str:
        return self._prefix + list_id

    async def free_slots(self, count: int) -> list[Slot]:
        """`count` free places, any of all open lists' as likely as another, in no order. Nothing is reserved yet.

        What is taken is drawn again; a draw somebody else takes meanwhile is found later."""
        lists = await self._open_lists(count)
        found: dict[tuple[str, int], None] = {}
        while len(found) < count:
            drawn = {
                _place(lists, at): None for at in self._dice.several(sum(one.size for one in lists), count - len(found))
            }
            taken = await tickets.taken_indexes(self._db, list(drawn))
            found |= {place: None for place in drawn if place not in taken}
        return [Slot(id, index, StatusRef(self.uri(id), index)) for id, index in found]

    async def token(self, list_id: str, form: Form = Form.JWT) -> Published:
        """The signed list as it is now. Raises Refused(NOT_FOUND)."""
        row = await tickets.list_row(self._db, list_id)
        if row is None:
            raise Refused(Code.NOT_FOUND, "there is no such status list")
        held = self._held.get(list_id)
        if held is None or held.version != row.version:
            held = await self._read(list_id)
        now = self._clock.now()
        last = held.published.get(form)
        if last is None or not timedelta(0) <= now - last.signed_at < timedelta(seconds=TTL):
            last = held.published[form] = self._signed(list_id, held, form, now)
        return last

    async def all(self) -> list[str]:
        """Every list's address (Token Status List, aggregation)."""
        return [self.uri(list_id) for list_id in await tickets.list_ids(self._db)]

    async def grown(self, grown: tickets.Grown) -> Held:
        """The list with what happened since the newest epoch."""
        row = grown.row
        held = self._held.get(row.id)
        if held is not None and held.version == row.version:
            return held
        if held is not None and grown.cut <= held.version < row.version:
            bits = held.bits
        else:
            epoch = await epochs.current(self._db, row.id)
            bits = StatusList.of(BITS, row.size, ()) if epoch is None else StatusList.decode(epoch.bits, epoch.lst)
        return self._hold(row.id, row.version, bits.changed(grown.changes) if grown.changes else bits)

    async def _read(self, list_id: str) -> Held:
        """From what we hold, or what the newest epoch holds, and the places touched since."""
        held = self._held.get(list_id)
        base = None if held is None else (held.version, held.bits)
        if base is None:
            row = await epochs.current(self._db, list_id)
            base = None if row is None else (row.version, StatusList.decode(row.bits, row.lst))
        grown = await self._grown(list_id, 0 if base is None else base[0])
        if base is not None and base[0] > grown.row.version:  # a backup was put back under us: what we hold never was
            self._held.pop(list_id, None)
            base, grown = None, await self._grown(list_id, 0)
        bits = StatusList.of(BITS, grown.row.size, ()) if base is None else base[1]
        bits = bits.changed(grown.changes) if grown.changes else bits
        return self._hold(list_id, grown.row.version, bits)

    def _hold(self, list_id: str, version: int, bits: StatusList) -> Held:
        """Remember the list as it is at `version`, unless a newer one is known: two requests may read it at once."""
        held = Held(version, bits, bits.compressed())
        known = self._held.get(list_id)
        if known is None or known.version <= version:
            self._held.pop(list_id, None)
            self._held[list_id] = held
            if len(self._held) > HELD_LISTS:  # the list read longest ago begins at its epoch next time
                del self._held[next(iter(self._held))]
        return held

    async def _grown(self, list_id: str, version: int) -> tickets.Grown:
        grown = await tickets.grown_since(self._db, list_id, version)
        if grown is None:
            raise Refused(Code.NOT_FOUND, "there is no such status list")
        return grown

    def _signed(self, list_id: str, held: Held, form: Form, now: datetime) -> Published:
        sign: Callable[..., str | bytes]
        match form:
            case Form.JWT:
                sign = publish
            case Form.CWT:
                sign = publish_cwt
            case _:
                assert_never(form)
        token = sign(
            held.compressed, self._seal.signer, self._seal.x5c, uri=self.uri(list_id), now=now, life=LIFE, ttl=TTL,
            aggregation=self._prefix.rstrip("/"),
        )  # fmt: skip
        # Weak (RFC 9110 8.8.1): tokens of one version differ in when they were signed, not in what they say.
        said = b64u(hashlib.sha256(held.compressed.raw).digest()[:9])
        etag = f'W/"{said}.{int(now.timestamp() // RESEND.total_seconds())}.{form.name.lower()}"'
        return Published(token, etag, now)

    async def _open_lists(self, needed: int) -> list[tickets.ListRow]:
        lists = await tickets.lists_with_room(self._db, needed)
        missing = [self._dice.token(12) for _ in range(OPEN_LISTS - len(lists))]
        if missing:
            now, size = self._clock.now(), self._size

            async def open_more(tx: Tx) -> None:
                for id in missing:
                    await tickets.add_list(tx, id, size, half(size), now)

            await self._db.write(open_more)
            lists = await tickets.lists_with_room(self._db, needed)
        return lists
