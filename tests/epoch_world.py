"""An issuer that cuts status epochs, and an anchors log that keeps its rules and may be away."""

from __future__ import annotations

import json
from datetime import timedelta

from issuing import BASE, Hall
from mapae.clock import SeededDice
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.issuer.epochs import Anchor, Anchoring, Epochs
from mapae.issuer.status import StatusLists
from mapae.outbox import Outbox
from mapae.trust.epoch import Epoch

PREFIX = f"{BASE}/issuer/status/"
PERIOD = timedelta(minutes=5)


class Log:
    """The anchors log with its rules: a statement once, numbers without gaps, no time that is over."""

    def __init__(self, hall: Hall) -> None:
        self.clock = hall.clock
        self.taken: list[Anchor] = []
        self.seen: dict[str, Anchor] = {}
        self.away = False
        self.forgets_to_answer = False

    def state(self, anchor: Anchor) -> str:
        return json.dumps([anchor.seq, anchor.root.hex(), anchor.next_update, self.clock.now().isoformat()])

    async def submit(self, anchor: Anchor, statement: str) -> None:
        if self.away:
            raise Refused(Code.UNAVAILABLE, "the log does not answer")
        if statement not in self.seen:
            assert json.loads(statement)[:3] == [anchor.seq, anchor.root.hex(), anchor.next_update]
            if anchor.seq != len(self.taken) + 1:
                raise Refused(Code.LEDGER_RULE, "seq")
            if anchor.next_update <= self.clock.now().timestamp():
                raise Refused(Code.LEDGER_RULE, "next_update")
            self.taken.append(anchor)
            self.seen[statement] = anchor
        assert self.seen[statement] == anchor
        if self.forgets_to_answer:
            raise Refused(Code.UNAVAILABLE, "the answer was lost")


class Country:
    """An issuer that cuts epochs, and the log."""

    def __init__(self, db: Db) -> None:
        self.hall = Hall(db)
        self.log = Log(self.hall)
        self.epochs = self.process()
        self.outbox = Outbox(db, self.hall.clock, self.epochs.promises())

    def process(self, log: Anchoring | None = None) -> Epochs:
        """Another process on this database, that holds nothing yet."""
        seal = self.hall.seals[1]
        lists = StatusLists(self.hall.db, self.hall.clock, SeededDice(6), seal, PREFIX, 1024)
        return Epochs(self.hall.db, self.hall.clock, lists, "issuer:issuer", PERIOD, log or self.log)

    async def newest(self) -> Epoch:
        return Epoch.parse((await self.epochs.newest()).body)

    async def statuses(self, epoch: Epoch) -> set[int]:
        rows = await self.hall.db.all("SELECT list_id, idx FROM ticket")
        lists = {one.uri: one.list() for one in epoch.lists}
        return {lists[PREFIX + row["list_id"]].read(row["idx"]) for row in rows}
