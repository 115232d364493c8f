"""Status lists: where a copy's index comes from, and how a change gets out.

Promises: indexes are drawn at random from lists that are never filled beyond half, so an index says nothing about
when or with which others it was given; a list is signed anew as soon as one of its copies changed, and at least every
`TTL` seconds when asked for; only what changed is read again. Trusts: the database's version numbers, the seal.
Keeps: the packed bits and the last signed token of each list in memory. Refuses: a list it never opened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mapae.clock import Clock, Dice
from mapae.db import Db, Tx
from mapae.errors import Code, Refused
from mapae.formats.jose import b64u
from mapae.formats.status import StatusList, StatusRef, publish
from mapae.issuer import ticket_store as tickets
from mapae.keys import Signer

BITS = 2  # 0 valid, 1 invalid, 2 suspended, 3 renew (Token Status List section 7: application specific)
TTL = 5  # seconds: a lost phone's copies are refused this soon by whoever is online
LIFE = timedelta(hours=24)  # how long a checker without network may live on one list
OPEN_LISTS = 4  # copies of one batch stand in several lists, so one list's growth tells no story
LIST_SIZE = 1 << 17
HELD_LISTS = 512  # 16 MiB of bits in memory
SMALLEST = 64  # half of it holds a batch of any size a pack allows


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
    token: str
    etag: str


@dataclass(frozen=True, slots=True)
class _Held:
    version: int
    bits: StatusList
    published: Published
    signed_at: datetime


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
        self._held: dict[str, _Held] = {}

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

    async def token(self, list_id: str) -> Published:
        """The signed list as it is now. Raises Refused(NOT_FOUND)."""
        row = await tickets.list_row(self._db, list_id)
        if row is None:
            raise Refused(Code.NOT_FOUND, "there is no such status list")
        now = self._clock.now()
        held = self._held.get(list_id)
        if held is None:
            held = await self._grown(row, StatusList.of(BITS, row.size, ()), 0, now)
        elif held.version != row.version:
            held = await self._grown(row, held.bits, held.version, now)
        elif not timedelta(0) <= now - held.signed_at < timedelta(seconds=TTL):
            held = self._signed(list_id, held.bits, held.version, now)
        return held.published

    async def all(self) -> list[str]:
        """Every list's address (Token Status List, aggregation)."""
        return [self.uri(list_id) for list_id in await tickets.list_ids(self._db)]

    async def _grown(self, row: tickets.ListRow, bits: StatusList, version: int, now: datetime) -> _Held:
        changes = await tickets.changed_since(self._db, row.id, version, row.version)
        return self._signed(row.id, bits.changed(changes) if changes else bits, row.version, now)

    def _signed(self, list_id: str, bits: StatusList, version: int, now: datetime) -> _Held:
        token = publish(
            bits, self._seal.signer, self._seal.x5c, uri=self.uri(list_id), now=now, life=LIFE, ttl=TTL
        )  # fmt: skip
        etag = f'"{b64u(hashlib.sha256(token.encode()).digest()[:15])}"'
        held = _Held(version, bits, Published(token, etag), now)
        known = self._held.get(list_id)
        if known is None or known.version <= version:  # two requests may have grown the list at once
            self._held.pop(list_id, None)
            self._held[list_id] = held
            if len(self._held) > HELD_LISTS:  # the list nobody has asked for longest is read whole next time
                del self._held[next(iter(self._held))]
        return held

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
