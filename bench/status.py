"""The status service at a nation's size: from a lock to the republished lists, and from epoch to epoch.

104 real lists of 2^20 places stand for 52 million copies: half of the places are used, one copy in a hundred is not
valid. The lists are whole; of the tickets a real SQLite file holds as many as time allows, at two sizes, to show that
the time does not grow with them. The limit is what nobody can leave out: one durable commit, and one compression and
one signature for each list that changed. Wall times: the disk is part of it.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.country import korea
from bench.harness import Effort, Figure, Measured, Raw, rounds_of
from bench.page import seconds
from mapae.clock import SystemClock, SystemDice
from mapae.db import Db, connect, migrate
from mapae.formats.status import StatusList
from mapae.issuer.anchoring import AnchorsLog
from mapae.issuer.epochs import Epochs
from mapae.issuer.issue import Issuer
from mapae.issuer.status import BITS, OPEN_LISTS, Seal, StatusLists
from mapae.keys import Signer, Vault
from mapae.trust.epoch import record

COPIES = 20  # of one person: a batch of ten in each format
NOT_VALID = 100  # one copy in so many
BASE = "http://localhost:8080"
PREFIX = f"{BASE}/issuer/status/"
PERIOD = timedelta(minutes=5)
LIMIT_SECONDS = 2.0
LIMIT_BYTES = 5_000_000

# The k-th copy of list l stands at a place that looks drawn at random and is nobody else's: two rounds of an odd
# multiplication and a shift, each of which can be undone. SQLite has no exclusive or; a|b less a&b is one.
_PLACE = """
WITH RECURSIVE n(r) AS (SELECT 0 UNION ALL SELECT r + 1 FROM n WHERE r + 1 < {rows}),
copy AS (SELECT r, r / {copies} AS p, {open} * ((r / {copies}) % {groups}) + r % {open} AS l,
  (r / {copies}) / {groups} * {each} + r % {copies} / {open} AS c FROM n),
one AS (SELECT *, c * 2654435761 & {mask} AS x FROM copy),
two AS (SELECT *, ((x | (x >> 10)) - (x & (x >> 10))) * 2246822507 & {mask} AS y FROM one),
placed AS (SELECT *, (y | (y >> 9)) - (y & (y >> 9)) AS idx FROM two)
"""
_TICKETS = """
INSERT INTO ticket (id, batch_id, order_id, place, list_id, idx, key_thumbprint, draft_digest, signed_digest, state,
  status, beneath, touched, expires)
SELECT 't' || r, 'b' || r / 10, 'o' || p, r % 10, printf('list%04d', l), idx, lower(hex(randomblob(16))),
  randomblob(32), randomblob(32), 'signed', CASE c % {not_valid} WHEN 7 THEN 1 + c / {not_valid} % 2 ELSE 0 END, 0,
  CASE c % {not_valid} WHEN 7 THEN 1 + c / {not_valid} ELSE 0 END, 2000000000 FROM placed
"""
_ORDERS = """
INSERT INTO issue_order (id, case_id, person, kind, office, officer, document_number, issued_on, expires_on, device,
  state, opened, changed, wallets, waits_until, second_look)
SELECT 'o' || p, 'c' || p, 'p' || p, 'resident_card', 'office', 'officer', 'n' || p, '2026-01-01', '2036-01-01',
  'd' || p, 'held', 0, 0, 'registered', 0, 0 FROM placed WHERE r % {copies} = 0
"""


def place(c: int, size: int) -> int:
    """As `_PLACE` has it."""
    mask = size - 1
    x = c * 2654435761 & mask
    y = (x ^ x >> 10) * 2246822507 & mask
    return y ^ y >> 9


def list_of(size: int) -> StatusList:
    entries = ((place(c, size), 1 + c // NOT_VALID % 2) for c in range(7, size // 2, NOT_VALID))
    return StatusList.of(BITS, size, entries)


@dataclass(frozen=True)
class Nation:
    """How much of it: `lists` of `size` places, `rows` tickets on disk."""

    lists: int
    size: int
    rows: int

    @property
    def version(self) -> int:
        return 1 + self.size // 2 // NOT_VALID

    def fill(self, path: Path, packed: StatusList) -> None:
        """Fast and careless: it is our own file, and nobody reads it yet."""
        plain = sqlite3.connect(path, isolation_level=None)
        plain.execute("PRAGMA synchronous = OFF")
        kept = plain.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'ticket'")
        indexes = [(name, sql) for name, sql in kept if sql]
        words = {
            "rows": self.rows, "copies": COPIES, "open": OPEN_LISTS, "groups": self.lists // OPEN_LISTS,
            "each": COPIES // OPEN_LISTS, "mask": self.size - 1, "not_valid": NOT_VALID,
        }  # fmt: skip
        plain.execute("BEGIN")
        for name, _ in indexes:
            plain.execute(f"DROP INDEX {name}")
        for sql in (_ORDERS, _TICKETS):
            plain.execute((_PLACE + sql).format(**words))
        for _, sql in indexes:
            plain.execute(sql)
        compressed = packed.compressed().raw
        for at in range(self.lists):
            id = f"list{at:04}"
            plain.execute(
                "INSERT INTO status_list VALUES (?, ?, ?, ?, ?, 0, ?)",
                (id, self.size, self.size // 2, self.size // 2, self.version, self.version),
            )
            plain.execute(
                "INSERT INTO status_cut VALUES (?, 1, NULL, ?, ?, ?, ?)",
                (id, self.version, BITS, record(PREFIX + id, packed), compressed),
            )
        plain.execute("INSERT INTO status_epoch VALUES (1, 0, 1, ?, ?, 1, '', 1)", (bytes(32), self.lists))
        plain.execute("COMMIT")
        plain.close()


class _Nobody:
    """For the collaborators a lock and an epoch do not ask."""

    async def call(self, role: str, path: str, message: Mapping[str, Any]) -> dict[str, Any]:
        raise NotImplementedError


class Office:
    """An issuer over one such database."""

    def __init__(self, db: Db, nation: Nation) -> None:
        self._db, self._nation, self._clock, self._dice = db, nation, SystemClock(), SystemDice()
        self._seal = Seal(Signer.ephemeral(), (bytes(700),))
        nobody: Any = _Nobody()
        self._issuer = Issuer(
            db=db, clock=self._clock, dice=self._dice, vault=Vault(bytes(32)), base=BASE, country=korea(),
            documents=self._seal, statuses=self._seal, register=nobody, peers=nobody, attesters=nobody,
        )  # fmt: skip
        self._epochs = Epochs(
            db, self._clock, self._issuer.lists, "issuer:issuer", PERIOD,
            AnchorsLog(nobody, self._clock, "issuer:issuer", "localhost/trust/log", Signer.ephemeral()),
        )  # fmt: skip
        self._people = iter(range(nation.rows // COPIES))

    async def lock(self, *, cold: bool = False) -> float:
        """One report of a lost phone, until every list it touched is signed again."""
        person = next(self._people)
        lists = self.starts() if cold else self._issuer.lists
        ids = [f"list{OPEN_LISTS * (person % (self._nation.lists // OPEN_LISTS)) + at:04}" for at in range(OPEN_LISTS)]
        before = [await self._issuer.lists.token(id) for id in ids]
        started = time.perf_counter()
        count = await self._issuer.lock(f"p{person}", "lost", "citizen")
        after = [await lists.token(id) for id in ids]
        took = time.perf_counter() - started
        if not count or any(old.etag == new.etag for old, new in zip(before, after, strict=True)):
            raise AssertionError("a lock was not published")
        return took

    async def report(self) -> None:
        """A lost phone, whose lists nobody has fetched yet."""
        await self._issuer.lock(f"p{next(self._people)}", "lost", "citizen")

    def starts(self) -> StatusLists:
        """A process that holds no list yet."""
        return StatusLists(self._db, self._clock, self._dice, self._seal, PREFIX, self._nation.size)

    async def cut(self) -> float:
        started = time.perf_counter()
        if await self._epochs.cut() is None:
            raise AssertionError("no epoch was cut")
        return time.perf_counter() - started

    async def touch_all(self) -> None:
        """Somebody is locked in every list."""
        for _ in range(self._nation.lists // OPEN_LISTS):
            await self.report()

    async def size(self) -> int:
        return len((await self._epochs.newest()).body)


class Floor:
    """What a change costs whoever publishes it."""

    def __init__(self, path: Path, raw: Raw, packed: StatusList) -> None:
        self._raw, self._packed = raw, packed
        self._plain = sqlite3.connect(path, isolation_level=None)
        for words in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "CREATE TABLE done (at REAL)"):
            self._plain.execute(words)

    def __call__(self, lists: int, signs: int) -> float:
        started = time.perf_counter()
        self._plain.execute("INSERT INTO done VALUES (1)")
        for _ in range(lists):
            self._packed.compressed()
        self._raw.work(signs=signs)()
        return time.perf_counter() - started

    def close(self) -> None:
        self._plain.close()


@dataclass(frozen=True)
class Times:
    """Seconds, a list a name: what was measured in turn, round by round."""

    floor: list[float]
    floor_of_cut: list[float]
    small: list[float]
    large: list[float]
    cold: list[float]
    cut: list[float]
    whole: float
    bytes: int


def figures(raw: Raw, effort: Effort) -> list[Figure]:
    rows = effort.tickets
    times = asyncio.run(_measure(raw, effort))
    lock, cold = Measured.of(times.floor, times.large), statistics.median(times.cold)
    cut = Measured.of(times.floor_of_cut, times.cut)
    floor = statistics.median(times.floor)
    people = f"{effort.lists * effort.list_size // 2:,} copies in {effort.lists} lists"
    slowest = max([*times.small, *times.large, *times.cold])
    held = "kept" if slowest < LIMIT_SECONDS else "**not kept**"
    fits = "kept" if times.bytes <= LIMIT_BYTES else "**not kept**"
    return [
        Figure(
            "status", "a lock, until all its lists are signed anew", lock.ratio,
            f"one durable commit, {OPEN_LISTS} compressions, {OPEN_LISTS} signatures", floor, lock.cost, clock="wall",
            target=0.35, note=f"{people}, {rows:,} tickets on disk; from a process that has just started"
            f" {seconds(cold)}; the slowest of all {seconds(slowest)}, the promise is 2 s, {held}",
        ),
        Figure(
            "status", f"the same, beside {rows // 10:,} tickets on disk", rounds_of(times.small, times.large),
            "a table of a tenth", statistics.median(times.small), lock.cost, clock="wall", target=0.5,
            note="1.00: the time does not grow with the tickets",
        ),
        Figure(
            "status", "an epoch after one lock", cut.ratio,
            f"one durable commit, {OPEN_LISTS} compressions, one signature", statistics.median(times.floor_of_cut),
            cut.cost, clock="wall", target=0.35, note=f"an epoch in which every list has changed takes"
            f" {seconds(times.whole)}; all lists together are {times.bytes / 1e6:.2f} MB at one copy in {NOT_VALID} not"
            f" valid, the promise is 5 MB, {fits}",
        ),
    ]  # fmt: skip


async def _measure(raw: Raw, effort: Effort) -> Times:
    packed = list_of(effort.list_size)
    with TemporaryDirectory(prefix="mapae-bench-") as folder:
        offices, dbs = [], []
        for rows in (effort.tickets // 10, effort.tickets):
            path = Path(folder) / f"{rows}.db"
            db = await connect(f"sqlite:///{path}")
            await migrate(db, "issuer")
            nation = Nation(effort.lists, effort.list_size, rows)
            nation.fill(path, packed)
            offices.append(Office(db, nation))
            dbs.append(db)
        floor = Floor(Path(folder) / "floor.db", raw, packed)
        small, large = offices
        await asyncio.gather(small.lock(), large.lock())
        times = Times([], [], [], [], [], [], 0.0, 0)
        for _ in range(max(2, effort.rounds)):
            times.floor.append(floor(OPEN_LISTS, OPEN_LISTS))
            times.small.append(await small.lock())
            times.large.append(await large.lock())
            times.cold.append(await large.lock(cold=True))
        await large.cut()
        for _ in range(max(2, effort.rounds)):
            times.floor_of_cut.append(floor(OPEN_LISTS, 1))
            await large.report()
            times.cut.append(await large.cut())
        await large.touch_all()
        times = replace(times, whole=await large.cut(), bytes=await large.size())
        floor.close()
        for db in dbs:
            await db.close()
    return times
