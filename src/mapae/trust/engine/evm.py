"""The trust log as a contract that several bodies run together. What may be written, their network decides.

Promises: an act is acknowledged when the network cannot take it back, and then it is in our own copy too; the same
submission gets the same receipt, also when the answer to the first was lost. Trusts: its node, for what the network has
agreed on; what it cannot know is whether every other reader sees the same, which is for the witnesses. Keeps: in the
trust role's database a copy of every final entry, the papers and the votes that went through here (`ledger_store`), so
that a network that forgets is noticed, also after a restart. Refuses: what the contract reverts (LEDGER_RULE); a
network that stands still (UNAVAILABLE: ask again); one that shows less than before or something else (FORKED): what was
known stays known and goes on being served.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Final

import structlog

from mapae.clock import Clock
from mapae.db import Db, Duplicate, Tx
from mapae.errors import Code, Refused
from mapae.keys import Account
from mapae.trust import ledger_store as store
from mapae.trust.engine import Assurance, Head, Receipt
from mapae.trust.engine.chain import Chain
from mapae.trust.engine.contract import Appended
from mapae.trust.engine.heard import Heard, heard, is_vote, must_be_stated, must_count, party_of
from mapae.trust.ledger_store import Row
from mapae.trust.log.acts import Act, act_id
from mapae.trust.log.entry import Entry, Kind, Log
from mapae.trust.log.rules import State
from mapae.trust.log.tree import Frontier, leaf_hash

FIRST_LOOK: Final = 0.05  # seconds until the network is asked again whether it has taken something, growing to
LAST_LOOK: Final = 1.0
AWAY: Final = 10.0  # seconds a node that did not answer is not asked for what we know anyway
BATCH: Final = 1_000  # entries put into the database at a time
_log = structlog.get_logger("mapae.trust")


class EvmLedger:
    """`account` gives the account that acts for a voice, where it is kept here; `alarm` is told of every fork seen.
    `patience`: seconds an act may take; `fresh`: what was read is good for; `grace`: a node may be behind."""

    def __init__(
        self, db: Db, clock: Clock, origin: str, chain: Chain, account: Callable[[bytes], Account | None],
        *, alarm: Callable[[], None] = lambda: None, patience: float = 30.0, fresh: float = 1.0, grace: float = 60.0,
    ) -> None:  # fmt: skip
        self._db, self._clock, self.origin, self._chain = db, clock, origin, chain
        self._account, self._alarm, self._patience, self._fresh = account, alarm, patience, fresh
        self._state = State()
        self._block: int | None = None  # everything up to here has been read
        self._grace = grace
        self._assured: Assurance | None = None
        self._looking, self._next_look = asyncio.Lock(), 0.0
        self._behind_since: float | None = None
        self._turn = asyncio.Lock()
        self._sending: dict[bytes, asyncio.Lock] = defaultdict(asyncio.Lock)  # one call of an account after the other

    # --- the engine's interface ---------------------------------------------------------------------------------------

    async def submit(self, act: Act, signed: str) -> Receipt:
        """1 who says so, and just this (NOT_ALLOWED)  2 in the log already: the same receipt  3 on its way: wait
        4 allowed (LEDGER_RULE)  5 the papers on disk  6 sent  7 final. What gets lost between, the next try finds."""
        said = heard(act, signed, self.origin)
        await self._look()
        account = self._sender(act, said)
        loop, pause = asyncio.get_running_loop(), FIRST_LOOK
        deadline = loop.time() + self._patience
        async with self._sending[account.address]:
            while True:
                receipt = await self._receipt(act, account.address)
                if receipt is not None:
                    return receipt
                if not await self._on_its_way(act, account.address):
                    await self._send(act, said, account)
                if loop.time() >= deadline:
                    raise Refused(Code.UNAVAILABLE, "the ledger's network has not taken this yet; ask again")
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, LAST_LOOK)
                await self._look()

    async def head(self, log: Log) -> Head:
        """While the node is away, the last one known: what was final still is. FORKED where the network disowns it."""
        await self._look_if_due()
        return self._state.head(log)

    async def entries(self, log: Log, start: int, end: int) -> list[bytes]:
        return await store.entries(self._db, log, start, end)

    async def state(self) -> State:
        """What was known last, also while the node is away or shows something else."""
        try:
            await self._look_if_due()
        except Refused as refused:
            if refused.code is not Code.FORKED:
                raise
        return self._state

    async def assurance(self) -> Assurance:
        """Operators are counted as the network's validators: that they are different bodies is for people to see to."""
        try:
            validators = await self._chain.validators()
            final = self._chain.tag == "finalized" or validators > 0  # QBFT and Istanbul blocks are final at once
            self._assured = Assurance(
                f"evm chain {await self._chain.chain_id()}", operators=max(validators, 1),
                faults_tolerated=max(validators - 1, 0) // 3, final=final, multi_party=validators > 1,
            )  # fmt: skip
        except Refused:
            if self._assured is None:  # else: what it said of itself while it was there
                raise
        return self._assured

    # --- asking for an act --------------------------------------------------------------------------------------------

    def _sender(self, act: Act, said: Heard) -> Account:
        address = self._state.sender(said.voice, party_of(self._state, act))
        if address is None:
            raise Refused(Code.NOT_ALLOWED, "whoever signed this neither governs nor is the party")
        account = self._account(said.voice)
        if account is None or account.address != address:
            raise Refused(Code.NOT_ALLOWED, f"the account 0x{address.hex()} is not kept here: submit it where it is")
        return account

    async def _receipt(self, act: Act, sender: bytes) -> Receipt | None:
        """Of what is final. An act of somebody else's under the same statement is not ours."""
        place = self._state.statements.get(act.statement)
        if place is not None:
            log, index = place
            entry = Entry.parse((await store.entries(self._db, log, index, index + 1))[0])
            if not _says(entry, act):
                raise Refused(Code.LEDGER_RULE, "statement")
            return Receipt(log, index, entry.time)
        if await self._chain.voted(act_id(act, self._state.generation), sender, self._block or 0):
            return Receipt(act.KIND.log, None, self._now())
        return None

    async def _on_its_way(self, act: Act, sender: bytes) -> bool:
        """Handed in by this account and in no block, or in a block that is not final yet."""
        if await self._chain.under_way(sender) or await self._chain.used(act.statement):
            return True
        return await self._chain.voted(act_id(act, self._state.generation), sender)

    async def _send(self, act: Act, said: Heard, account: Account) -> None:
        try:
            gas = await self._chain.gas_for(account, act)
        except Refused as refused:
            if (refused.code, refused.detail) in TAKEN:
                return  # an earlier call of ours was taken in this very moment: the next look finds it
            raise
        await self._keep_papers(act, said, account.address)
        await self._chain.ask_for(account, act, gas)

    async def _keep_papers(self, act: Act, said: Heard, sender: bytes) -> None:
        now, id = self._now(), act_id(act, self._state.generation)
        vote = is_vote(self._state, act, sender, now)

        async def body(tx: Tx) -> None:
            if not said.approves:
                await store.add_statement(tx, said.signed, now)
            else:
                must_be_stated(act, await store.statement(tx, act.statement), self.origin)
            if vote:
                votes = await store.votes_for(tx, act.statement)
                must_count(said, [one.signed for one in votes if one.act != id], self._state)
                await store.add_vote(tx, store.Vote(id, sender, act.statement, said.signed, now))

        await self._db.write(body)

    # --- following the network ----------------------------------------------------------------------------------------

    async def _look_if_due(self) -> None:
        """At most so often, because everybody asks; one looks for all who wait; and a node that is away, or hangs, is
        left alone for a while."""
        async with self._looking:
            loop = asyncio.get_running_loop()
            if loop.time() < self._next_look:
                return
            try:
                await self._look()
                self._next_look = loop.time() + self._fresh
            except Refused as refused:
                if refused.code is not Code.UNAVAILABLE or not self._state.settled:
                    raise
                self._next_look = loop.time() + AWAY

    async def _look(self) -> None:
        """1 our own copy  2 the network's final heads  3 nothing less than before  4 the entries between  5 which the
        rules allow, and lead from head to head  6 into the copy."""
        async with self._turn:
            for log in Log:
                for raw in await store.entries(self._db, log, self._state.size(log)):
                    self._state.fold(log, raw)
            block = await self._chain.block()
            heads = await self._chain.heads(block)
            await self._must_extend(block, heads)
            found = await self._between(heads, block)
            if not found or await self._take(found, heads):
                self._block = block

    async def _must_extend(self, block: int, heads: dict[Log, Head]) -> None:
        """What a node shows at a block it has not shown before is the network's word: other roots are a fork at once.
        At an older block, or with fewer entries, it may be only behind: a node that was killed comes up with what it
        had on disk, and one was seen to show roots of no history at all until its peers had told it the rest."""
        older = self._block is not None and block < self._block
        less = [log for log in Log if heads[log].size < self._state.size(log)]
        for log in Log if not older else ():
            ours = self._state.head(log) if log not in less else await self._head_at(log, heads[log].size)
            if heads[log].size == ours.size and heads[log] != ours:
                raise self._forked(log, heads[log])
        if not older and not less:
            self._behind_since = None
            return
        now = asyncio.get_running_loop().time()
        if self._behind_since is None:
            self._behind_since = now
        regrown = less and self._block is not None and not older
        if regrown or now - self._behind_since >= self._grace:
            log = less[0] if less else Log.REGISTRY
            raise self._forked(log, heads[log])
        raise Refused(Code.UNAVAILABLE, "the ledger's node shows less than before; if it is only behind, ask again")

    async def _head_at(self, log: Log, size: int) -> Head:
        frontier = Frontier()
        for raw in await store.entries(self._db, log, 0, size):
            frontier.add(leaf_hash(raw))
        return frontier.head()

    async def _between(self, heads: dict[Log, Head], last: int) -> list[Appended]:
        """The entries from our heads to the network's, in its order."""
        sizes = {log: self._state.size(log) for log in Log}
        missing = [log for log in Log if sizes[log] < heads[log].size]
        if not missing:
            return []
        if self._block is None:  # a new process: where is the first one that we do not have?
            at = min([await self._chain.first_block(log, sizes[log], last) for log in missing])
        else:
            at = self._block + 1
        found: list[Appended] = []
        while at <= last and any(sizes[log] < heads[log].size for log in missing):
            events, until = await self._chain.appended(at, last)
            for event in events:
                if event.index == sizes[event.log]:  # older ones of the other log are known
                    sizes[event.log] += 1
                    found.append(event)
            at = until + 1
        if any(sizes[log] < heads[log].size for log in missing):  # its index of events is behind its state
            raise Refused(Code.UNAVAILABLE, "the node shows fewer entries than its head says; ask again")
        return found

    async def _take(self, found: list[Appended], heads: dict[Log, Head]) -> bool:
        """False: another process of ours is copying the same; the next look finds its rows."""
        rows = [Row(event.log, event.index, event.entry, event.statement) for event in found]
        try:
            with self._state.trial():  # what did not get into the copy must not stay in the state
                for event in found:
                    self._fold(event, heads)
                for log in Log:
                    if self._state.head(log) != heads[log]:
                        raise self._forked(log, heads[log])
                for at in range(0, len(rows), BATCH):
                    batch = rows[at : at + BATCH]
                    await self._db.write(lambda tx, batch=batch: store.add_entries(tx, batch))  # type: ignore[misc]
        except Duplicate:
            return False
        return True

    def _fold(self, event: Appended, heads: dict[Log, Head]) -> None:
        try:
            self._state.fold(event.log, event.entry)
        except Refused as refused:  # no contract of ours appends that
            _log.error("the ledger's network has an entry the rules forbid", rule=refused.detail, index=event.index)
            raise self._forked(event.log, heads[event.log]) from None

    def _forked(self, log: Log, theirs: Head) -> Refused:
        """Logged with both heads: they are the evidence."""
        self._alarm()
        ours = self._state.head(log)
        _log.error(
            "the ledger's network does not extend what it showed before", log=log.name, size=ours.size,
            root=ours.root.hex(), shown_size=theirs.size, shown_root=theirs.root.hex(),
        )  # fmt: skip
        return Refused(Code.FORKED, "the ledger's network shows another history than before; the old state is kept")

    def _now(self) -> int:
        return int(self._clock.now().timestamp())


TAKEN: Final = {(Code.LEDGER_RULE, "statement"), (Code.LEDGER_RULE, "voted")}
SUBJECTS: Final = {
    Kind.GOVERNOR: "governor", Kind.POLICY: "", Kind.SCHEMA: "schema", Kind.SCHEMA_WITHDRAWN: "schema",
    Kind.READER: "registrar", Kind.READER_REVOKED: "registrar",
}  # fmt: skip
OPEN: Final = ("valid_from", "since")  # 0 in an act: as soon as the rules allow


def _says(entry: Entry, act: Act) -> bool:
    """Whether the entry is what became of this act."""
    subject = SUBJECTS.get(entry.kind, "party")
    said = {**entry.payload._asdict(), **({subject: entry.subject} if subject else {})}
    asked = {name: getattr(act, name) for name in act.WIDTHS if name != "statement"}
    if entry.kind is not act.KIND or said.keys() != asked.keys():
        return False
    return all(said[name] == value or (name in OPEN and value == 0) for name, value in asked.items())
