"""Status epochs: every so many seconds, what all lists say goes under one root, and the root into the log.

Promises: an epoch is all lists at one moment; only lists that changed are packed anew; epochs are numbered without
gaps, however many processes cut them and whenever one is killed; each is promised to the log in the transaction that
cuts it and handed in in order, again and again until the log has it. The cadence is fixed: an epoch is cut whether or
not anything changed, and never sooner because something did, so its time tells nothing. Trusts: the database for one
moment, the log for keeping order. Keeps: the newest epochs whole, older ones as versions, which is enough to say what
changed since. Refuses: an epoch it no longer keeps.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, Protocol

from mapae import outbox
from mapae.clock import Clock
from mapae.db import Db, Tx
from mapae.errors import Code, Refused
from mapae.formats.status import StatusList
from mapae.issuer import epoch_store as store
from mapae.issuer import ticket_store as tickets
from mapae.issuer.epoch_store import CutRow, EpochRow
from mapae.issuer.status import LIFE, StatusLists
from mapae.trust import epoch as epochs
from mapae.trust.epoch import Delta, Epoch, EpochList, Patch

WHOLE: Final = 24  # epochs we can still send whole
KNOWN: Final = 2016  # epochs we can still say what changed since: a week of five minutes
LATE: Final = timedelta(minutes=1)  # how long an epoch counts that the log took only after its own time was over
AT_ONCE: Final = 100
# Epochs cut while the log is away. What they have told nobody the first one afterwards tells; weeks of them would hold
# it up, for each is handed in in its turn.
MOST_WAITING: Final = 100
MADE: Final = 64 * 1024 * 1024  # bytes of answers kept in memory


@dataclass(frozen=True, slots=True)
class Anchor:
    """What the log is asked to take."""

    stream: bytes
    seq: int
    root: bytes
    leaves: int
    next_update: int


class Anchoring(Protocol):
    """The way to the log."""

    def state(self, anchor: Anchor) -> str:
        """Our signed statement that asks for it."""
        ...

    async def submit(self, anchor: Anchor, statement: str) -> None:
        """Idempotent. Raises Refused(UNAVAILABLE) where another try may help, LEDGER_RULE where this statement will
        not."""
        ...


@dataclass(frozen=True, slots=True)
class Sent:
    """An epoch or a delta, ready to send."""

    body: bytes
    etag: str


class Epochs:
    def __init__(
        self, db: Db, clock: Clock, lists: StatusLists, publisher: str, period: timedelta, anchoring: Anchoring
    ) -> None:
        self._db = db
        self._clock = clock
        self._lists = lists
        self._publisher = publisher
        self._prefix = lists.uri("")
        self._period = int(period.total_seconds())
        self._anchoring = anchoring
        self._made: OrderedDict[tuple[int, int], Sent] = OrderedDict()

    # --- cutting ---

    async def cut_when_due(self) -> bool:
        """At the first look in each period, by the wall clock: publishers keep in step, and a clock that was set does
        not stop the next cut. None while the log is far behind."""
        last = await store.newest(self._db)
        if last is not None and last.iat // self._period == int(self._clock.now().timestamp()) // self._period:
            return False
        if await self.behind() >= MOST_WAITING:
            return False
        return await self.cut() is not None

    async def cut(self) -> int | None:
        """The number of the epoch cut now; None when another process was faster."""
        last = await store.newest(self._db)
        seq = 1 if last is None else last.seq + 1
        now = self._clock.now()
        grown = await tickets.grown_since_cut(self._db)
        cuts = [await self._cut_one(one, seq) for one in grown]
        records = await store.current_records(self._db) | {cut.list_id: cut.record for cut in cuts}
        iat, until = int(now.timestamp()), int((now + LIFE).timestamp())
        root = epochs.root([records[list_id] for list_id in sorted(records)])
        row = EpochRow(seq, iat, until, root, len(records), until, "", None)
        row = replace(row, statement=self._anchoring.state(self._asked(row)))

        async def body(tx: Tx) -> int | None:
            await tx.serial("status-epoch")
            newest = await store.newest(tx)
            if newest is not None and newest.seq >= seq:
                return None
            await store.add(tx, row, cuts)
            await tickets.cut(tx, [(cut.list_id, cut.version) for cut in cuts])
            await store.prune(tx, seq - WHOLE + 1, seq - KNOWN)
            await outbox.withdraw(tx, "epoch.anchor", "")  # one item, however long the log is away: it does them all
            await outbox.promise(tx, "epoch.anchor", str(seq), {}, now)
            return seq

        return await self._db.write(body)

    async def _cut_one(self, grown: tickets.Grown, seq: int) -> CutRow:
        held = await self._lists.grown(grown)
        await asyncio.sleep(0)  # a nation has a thousand lists: whoever is at the door does not wait for all of them
        record = epochs.record(self._lists.uri(grown.row.id), held.bits)
        return CutRow(grown.row.id, seq, held.version, held.bits.bits, record, held.compressed.raw)

    # --- the log ---

    async def behind(self) -> int:
        """How many epochs the log does not have yet."""
        return await store.behind(self._db)

    async def anchor(self) -> int:
        """Hand in what the log does not have yet, oldest first. How many it took; raises what stopped us."""
        count = 0
        while waiting := await store.waiting(self._db, AT_ONCE):
            for row in waiting:
                await self._anchor(row)
                count += 1
        return count

    async def _anchor(self, row: EpochRow) -> None:
        """What we signed when we cut it: where the log has that already, it says so again. A log that was away takes
        nothing whose time is over: then the epoch gets one more minute, which the next in the queue ends sooner."""
        at = int(self._clock.now().timestamp())
        try:
            await self._anchoring.submit(self._asked(row), row.statement)
        except Refused as refused:
            if refused.code is not Code.LEDGER_RULE or row.counts_until > at:
                raise
            row = replace(row, counts_until=at + int(LATE.total_seconds()))
            row = replace(row, statement=self._anchoring.state(self._asked(row)))
            await self._db.write(lambda tx: store.restated(tx, row))
            await self._anchoring.submit(self._asked(row), row.statement)
        await self._db.write(lambda tx: store.anchored(tx, row.seq, at))

    def _asked(self, row: EpochRow) -> Anchor:
        return Anchor(epochs.stream(self._prefix), row.seq, row.root, row.leaves, row.counts_until)

    def promises(self) -> dict[str, Callable[[dict[str, Any]], Awaitable[None]]]:
        async def anchor(_: dict[str, Any]) -> None:
            await self.anchor()

        return {"epoch.anchor": anchor}

    # --- what is sent ---

    async def newest(self) -> Sent:
        last = await store.newest(self._db)
        if last is None:
            raise Refused(Code.NOT_FOUND, "no epoch has been cut yet")
        return await self.whole(last.seq)

    async def whole(self, seq: int) -> Sent:
        made = self._made.get((seq, 0))
        if made is None:
            row, lists = await self._epoch(seq)
            if any(not cut.lst for cut in lists.values()):
                raise _no_longer_kept()
            found = Epoch(self._publisher, self._prefix, seq, row.iat, row.next_update, tuple(
                EpochList(self._lists.uri(id), cut.bits, cut.lst, cut.record) for id, cut in sorted(lists.items())
            ))  # fmt: skip
            made = self._keep(seq, 0, row, found.encode())
        return made

    async def since(self, seq: int, old: int) -> Sent:
        """What makes epoch `seq` out of epoch `old`: every place touched since, as `seq` has it."""
        if not 1 <= old < seq:
            raise Refused(Code.NOT_FOUND, "a delta leads from an epoch to a later one")
        made = self._made.get((seq, old))
        if made is None:
            (row, lists), (_, before) = await self._epoch(seq), await self._epoch(old)
            patched, whole = [], []
            for id, cut in sorted(lists.items()):
                known = before.get(id)
                if known is not None and known.seq == cut.seq:
                    continue
                if not cut.lst:
                    raise _no_longer_kept()
                uri = self._lists.uri(id)
                patch = None if known is None else await self._patch(cut, known.version)
                if patch is not None and len(patch.encode()) < len(cut.lst):
                    patched.append((uri, patch))
                else:
                    whole.append(EpochList(uri, cut.bits, cut.lst, cut.record))
            step = Delta(
                self._prefix, old, seq, row.iat, row.next_update, row.root, tuple(patched), tuple(whole), ()
            )  # fmt: skip
            made = self._keep(seq, old, row, step.encode())
        return made

    async def _patch(self, cut: CutRow, version: int) -> Patch:
        touched = await tickets.touched_since(self._db, cut.list_id, version)
        await asyncio.sleep(0)
        return Patch.at(touched, StatusList.decode(cut.bits, cut.lst))

    async def _epoch(self, seq: int) -> tuple[EpochRow, dict[str, CutRow]]:
        row = await store.epoch(self._db, seq)
        if row is None:
            raise _no_longer_kept()
        lists = {cut.list_id: cut for cut in await store.lists_at(self._db, seq)}
        if len(lists) != row.leaves:
            raise _no_longer_kept()
        return row, lists

    def _keep(self, seq: int, old: int, row: EpochRow, body: bytes) -> Sent:
        sent = Sent(body, f'"{seq}.{old}.{row.root[:9].hex()}"')
        self._made[seq, old] = sent
        while len(self._made) > 1 and sum(len(one.body) for one in self._made.values()) > MADE:
            self._made.popitem(last=False)
        return sent


def _no_longer_kept() -> Refused:
    return Refused(Code.NOT_FOUND, "this epoch is not kept, or no longer: fetch the newest one whole")
