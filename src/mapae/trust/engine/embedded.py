"""The default engine: the trust log in the trust role's own database. A tamper-evident log of a single operator.

Promises: an act that was acknowledged is on disk, with the statement it names; the same submission gets the same
receipt, also after a kill in between; several processes may append to one database, one after the other. Trusts: the
database to keep what it acknowledged. That nobody rewrites it is for the witnesses to see. Keeps: entries, statements,
votes (`ledger_store`), and in memory what they amount to. Refuses: what `log/rules.py` refuses; an act whose statement
it does not have; a database that holds less than before (FORKED).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg

from mapae.clock import Clock
from mapae.db import Db, Tx
from mapae.errors import Code, Refused
from mapae.trust import ledger_store as store
from mapae.trust.engine import Assurance, Head, Receipt
from mapae.trust.engine.heard import Heard, heard, is_vote, must_be_stated, must_count, party_of
from mapae.trust.ledger_store import Row
from mapae.trust.log import statement
from mapae.trust.log.acts import Act, act_id
from mapae.trust.log.entry import Entry, Log
from mapae.trust.log.rules import State
from mapae.trust.log.state import Vote

ASSURANCE: Final = Assurance("embedded", operators=1, faults_tolerated=0, final=True, multi_party=False)
LOGS: Final = (Log.REGISTRY, Log.ANCHORS)
_AWAY: Final = (
    sqlite3.OperationalError, OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError, asyncpg.InsufficientResourcesError,
    asyncpg.InternalClientError,  # what asyncpg says of a connection that was ended while it looked away
)  # fmt: skip
TRIES: Final = 100  # other processes that were faster, in a row


@dataclass(frozen=True, slots=True)
class Founding:
    """A new country: who governs, what is agreed, and the papers that say so. `signed` is the statement of the first
    governor for the policy; the others' approvals of it make them governors of their own will."""

    governors: Sequence[tuple[bytes, bytes]]  # address and voice
    threshold: int
    delay: int
    policy: bytes
    signed: str
    approvals: Sequence[str] = ()


async def keep_papers(tx: Tx, founding: Founding, now: int) -> tuple[bytes, bytes]:
    """What was signed at a founding, whichever engine has it; the digests of the policy and of the statement."""
    digest = await store.add_statement(tx, founding.signed, now)
    document = await store.add_document(tx, founding.policy, "text/plain", now)
    voices = {voice: address for address, voice in founding.governors}
    for signed in (founding.signed, *founding.approvals):
        voice = _voice(signed, digest)
        if voice in voices:
            await store.add_vote(tx, store.Vote(digest, voices[voice], digest, signed, now))
    return document, digest


class EmbeddedLedger:
    """`origin`: the log that statements must be for."""

    def __init__(self, db: Db, clock: Clock, origin: str) -> None:
        self._db, self._clock, self.origin = db, clock, origin
        self._state = State()
        self._last: dict[Log, bytes] = {}  # the newest entry of each log that was folded
        # One at a time: an act is decided against the state and the state follows only what was committed. So whoever
        # reads it between two awaits never sees half a change, nor one that a power cut takes back.
        self._turn = asyncio.Lock()

    @classmethod
    async def open(
        cls, db: Db, clock: Clock, origin: str, found: Callable[[], Awaitable[Founding] | Founding] | None = None
    ) -> EmbeddedLedger:
        """Read what is there; an empty log is founded first, when `found` says by whom."""
        ledger = cls(db, clock, origin)
        if found is not None and await store.size(db, Log.REGISTRY) == 0:
            founding = found()
            if not isinstance(founding, Founding):
                founding = await founding
            await db.write(lambda tx: ledger._found(tx, founding))
        await ledger.state()
        return ledger

    # --- the engine's interface ---------------------------------------------------------------------------------------

    async def submit(self, act: Act, signed: str) -> Receipt:
        """1 who says so, and just this (NOT_ALLOWED)  2 taken before: the same receipt  3 the rules (LEDGER_RULE)
        4 statement, vote and entry in one transaction  5 acknowledged."""
        # The log's time never goes back: what a clock far ahead for a moment put there would stand for good.
        said, now = heard(act, signed, self.origin), int(self._clock.surely().timestamp())
        async with self._turn:
            for _ in range(TRIES):
                with _database():
                    await self._catch_up(act)
                    done = await self._db.write(lambda tx: self._take(tx, act, said, now))
                if done is not None:  # None: another process appended or voted since; look again
                    self._follow(done)
                    return done.receipt
        raise Refused(Code.UNAVAILABLE, "other processes write to the log all the time; try again")

    async def head(self, log: Log) -> Head:
        """FORKED where the database no longer holds what it held."""
        async with self._turn:
            with _database():
                await self._catch_up()
            return self._state.head(log)

    async def entries(self, log: Log, start: int, end: int) -> list[bytes]:
        with _database():
            return await store.entries(self._db, log, start, end)

    async def state(self) -> State:
        """What was known last, also where the database shows something else."""
        try:
            await self.head(Log.REGISTRY)
        except Refused as refused:
            if refused.code is not Code.FORKED:
                raise
        return self._state

    async def assurance(self) -> Assurance:
        return ASSURANCE

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _found(self, tx: Tx, founding: Founding) -> None:
        await tx.serial("ledger")
        if await store.size(tx, Log.REGISTRY):
            return  # a process that started at the same moment was faster
        now = int(self._clock.surely().timestamp())
        document, digest = await keep_papers(tx, founding, now)
        _, entries = State.genesis(
            founding.governors, founding.threshold, founding.delay, document, digest, now
        )  # fmt: skip
        await store.add_entries(tx, [_row(entry) for entry in entries])

    async def _catch_up(self, act: Act | None = None) -> None:
        """Fold what other processes appended; for an act, also the votes they counted."""
        for log in LOGS:
            size = self._state.size(log)
            rows = await store.entries(self._db, log, max(size - 1, 0))
            if size and (not rows or rows[0] != self._last[log]):
                raise Refused(Code.FORKED, "the database does not hold the entries it held before")
            for raw in rows[1:] if size else rows:
                if self._state.votes:  # another process executed what this one counted votes for
                    for vote in await store.votes_for(self._db, Entry.parse(raw).statement):
                        self._state.spend(vote.act)
                self._fold(log, raw)
        if act is not None and act.statement not in self._state.statements:
            id = act_id(act, self._state.generation)
            for voter in await store.voters(self._db, id) - self._state.votes.get(id, frozenset()):
                self._state.count(Vote(id, voter, self._state.generation))

    async def _take(self, tx: Tx, act: Act, said: Heard, now: int) -> _Done | None:
        """None: the state is not that of the database any more."""
        await tx.serial("ledger")
        state = self._state
        if said.approves:
            must_be_stated(act, await store.statement(tx, act.statement), self.origin)
        before = await store.entry_of(tx, act.statement)
        if before is not None:
            entry = Entry.parse(before.entry)
            return _Done(Receipt(entry.log, entry.index, entry.time))
        id = act_id(act, state.generation)
        voters = await store.voters(tx, id)
        if any([await store.size(tx, log) != state.size(log) for log in LOGS]):
            return None
        if voters != state.votes.get(id, frozenset()):
            return None
        sender = state.sender(said.voice, party_of(state, act))
        if sender is None:
            raise Refused(Code.NOT_ALLOWED, "whoever signed this neither governs nor is the party")
        if sender in voters:
            return _Done(Receipt(act.KIND.log, None, now))
        if is_vote(state, act, sender, now):
            must_count(said, [vote.signed for vote in await store.votes_for(tx, act.statement)], state)
        decided = state.decide(act, sender, now)
        if not said.approves:
            await store.add_statement(tx, said.signed, now)
        if is_vote(state, act, sender, now):
            await store.add_vote(tx, store.Vote(id, sender, act.statement, said.signed, now))
        if isinstance(decided, Vote):
            return _Done(Receipt(act.KIND.log, None, now), vote=decided)
        row = _row(decided)
        await store.add_entries(tx, [row])
        return _Done(Receipt(decided.log, decided.index, decided.time), row=row, act=id)

    def _follow(self, done: _Done) -> None:
        """What was committed, the state is told."""
        if done.vote is not None:
            self._state.count(done.vote)
        if done.row is not None:
            if done.act is not None:
                self._state.spend(done.act)
            self._fold(Log(done.row.log), done.row.entry)

    def _fold(self, log: Log, raw: bytes) -> None:
        self._state.fold(log, raw)
        self._last[log] = raw


@dataclass(frozen=True, slots=True)
class _Done:
    receipt: Receipt
    vote: Vote | None = None
    row: Row | None = None
    act: bytes | None = None


def _voice(signed: str, digest: bytes) -> bytes | None:
    if statement.digest(signed) == digest:
        return statement.read(signed).voice
    approval = statement.read_approval(signed)
    return approval.voice if approval.statement == digest else None


def _row(entry: Entry) -> Row:
    return Row(entry.log, entry.index, entry.encode(), entry.statement)


@contextmanager
def _database() -> Iterator[None]:
    """A database that is away is no refusal of the act: whoever asked may ask again."""
    try:
        yield
    except _AWAY:
        raise Refused(Code.UNAVAILABLE, "the log's database does not answer; nothing was lost, try again") from None
