"""Checkpoints: the heads of both logs, signed, handed to witnesses, and published once enough of them stand behind.

Promises: a head is written down before it is signed, and only one that extends every head signed before is signed at
all; what is published meets the policy; a witness that is away, slow or lies never holds the others up; every published
head stays. Trusts: the log's policy for which witnesses count. Keeps: table ledger_head, the Merkle trees in memory.
Refuses: an engine that shows less than before or something else (FORKED): nothing is signed, the old checkpoint stays,
`alarms` says why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, NamedTuple

import httpx
import structlog

from mapae.bodies import ACCEPTED, body_within
from mapae.clock import Clock
from mapae.db import Db, Duplicate, Tx
from mapae.errors import Code, Refused
from mapae.trust import ledger_store as store
from mapae.trust.engine import Ledger
from mapae.trust.ledger_store import SignedHead
from mapae.trust.log.entry import Entry, Log, PolicySet
from mapae.trust.log.note import Checkpoint, Note, NoteSigning, cosigned_at, sign_checkpoint
from mapae.trust.log.policy import NONE, Cosigned, Policy, Witness
from mapae.trust.log.tree import Head, Tree, leaf_hash
from mapae.trust.witness import Asked

REFRESH: Final = 45  # seconds a published checkpoint may be old before its cosignatures are asked anew
AGAIN: Final = 3  # seconds until a head the quorum did not meet is asked for again
PATIENCE: Final = 5.0  # seconds a witness may take
LIMIT: Final = 64 * 1024  # bytes of a witness's answer
GRACE: Final = 0.25  # seconds that a quorum waits for the rest before it is published
SKEW: Final = 300  # seconds a witness's clock may differ from ours
BATCH: Final = 4096  # entries read at a time
NAMES: Final[Mapping[Log, str]] = {Log.REGISTRY: "registry", Log.ANCHORS: "anchors"}
_log = structlog.get_logger("mapae.trust")


def origin(base_url: str) -> str:
    """What statements are for: this installation's pair of logs. C2SP tlog-tiles: the URL prefix without a scheme."""
    return f"{base_url.partition('://')[2]}/trust/log"


def log_origin(base_url: str, log: Log) -> str:
    return f"{origin(base_url)}/{NAMES[log]}"


@dataclass
class WitnessSeen:
    """What we know of a witness."""

    name: str
    url: str
    cosigned_at: dict[Log, int] = field(default_factory=dict)
    size: dict[Log, int] = field(default_factory=dict)  # what it cosigned last
    trouble: str = ""  # of the last time it was asked


class Succession(NamedTuple):
    """An entry that names a policy, the policy's text, and the head that was published under it and the one before."""

    entry: int
    policy: bytes
    head: bytes


class Checkpoints:
    """`urls`: where witnesses are reached, where that is another address than the policy's."""

    def __init__(
        self, *, db: Db, ledger: Ledger, signers: Mapping[Log, NoteSigning], http: httpx.AsyncClient, clock: Clock,
        urls: Mapping[str, str] | None = None, refresh: int = REFRESH,
    ) -> None:  # fmt: skip
        self._db, self._ledger, self._http, self._clock = db, ledger, http, clock
        self._signers = dict(signers)
        self._urls = dict(urls or {})
        self._refresh = refresh
        self._trees = {log: Tree() for log in NAMES}
        self._tried: dict[Log, tuple[int, float]] = {}  # the head that was asked for last, and when
        self._policies: list[tuple[int, bytes]] = []  # of the registry log: which entry names which document
        self._policies_read = 0
        self._read: dict[bytes, Policy] = {}
        self._busy = asyncio.Lock()
        self.witnesses: dict[str, WitnessSeen] = {}
        self.alarms: dict[Log, str] = {}

    # --- reading ------------------------------------------------------------------------------------------------------

    async def policy(self) -> Policy:
        """The witnesses that count, as the registry log itself says."""
        return await self._policy((await self._ledger.state()).policy.document)

    async def published(self, log: Log) -> SignedHead | None:
        """The newest head a quorum stands behind; its `note` is the checkpoint."""
        return await store.published(self._db, log)

    async def cosigned(self, log: Log) -> Cosigned | None:
        """Who stands behind the published checkpoint, and since when."""
        kept = await self.published(log)
        if kept is None or kept.note is None:
            return None
        try:
            return (await self.policy()).met(Note.parse(kept.note.encode()))
        except Refused:
            return None  # signed under a policy that does not hold any more

    async def vouched(self) -> datetime | None:
        """The newest moment for which a quorum of witnesses stands behind the registry: a time that is not ours alone.
        None where the policy asks for no witness, and the beginning of time where none is met."""
        if (await self.policy()).quorum == NONE:
            return None
        found = await self.cosigned(Log.REGISTRY)
        return datetime.fromtimestamp(found.age_from if found is not None else 0, UTC)

    async def history(self, log: Log, limit: int = 50) -> list[SignedHead]:
        return await store.published_history(self._db, log, limit)

    async def successions(self) -> list[Succession]:
        """How the policy came to be the one in force, for `log/succession.py`: one step for each published change."""
        kept, found = await self.published(Log.REGISTRY), list[Succession]()
        if kept is None:
            return found
        await self._in_force(kept.size)
        for index, digest in self._policies[1:]:
            head = await store.published_from(self._db, Log.REGISTRY, index + 1)
            if head is not None and head.note is not None and await self._in_force(head.size) == digest:
                policy = await self._policy(digest)
                found.append(Succession(index, policy.encode(), head.note.encode()))
        return found

    async def tree(self, log: Log, size: int) -> Tree:
        """The log's tree, with at least this many leaves."""
        tree = self._trees[log]
        while tree.size < size:
            start = tree.size
            entries = await self._ledger.entries(log, start, min(size, start + BATCH))
            if not entries:
                raise Refused(Code.UNAVAILABLE, "the engine does not give the entries it counts")
            if tree.size == start:  # nobody else came in between
                tree.extend(leaf_hash(entry) for entry in entries)
        return tree

    def url(self, name: str, known: str | None) -> str:
        """Where a witness is reached; empty: it is not asked."""
        return self._urls.get(name) or known or ""

    # --- the round ----------------------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """What is due: a new head, or cosignatures older than `refresh`. Called every second or two."""
        if self._busy.locked():
            return
        async with self._busy:
            for log in self._signers:
                if await self._due(log):
                    await self._round(log)

    async def round(self) -> None:
        """Both logs now, due or not."""
        async with self._busy:
            for log in self._signers:
                await self._round(log)

    async def _due(self, log: Log) -> bool:
        now = self._clock.surely().timestamp()
        try:
            size = (await self._ledger.head(log)).size
        except Refused as refused:
            return refused.code is Code.FORKED  # then the round raises the alarm
        kept = await self.published(log)
        if kept is not None and kept.size == size:
            standing = await self.cosigned(log)
            age = now - max(standing.times.values(), default=0) if standing is not None else self._refresh
            if 0 <= age < self._refresh:
                return False
        tried = self._tried.get(log)
        return tried is None or tried[0] != size or not 0 <= now - tried[1] < min(AGAIN, self._refresh)

    async def _round(self, log: Log) -> None:
        try:
            head = await self._ledger.head(log)
            tree = await self.tree(log, head.size)
            await self._vouch(log, head, tree)
            signer = self._signers[log]
            note = sign_checkpoint(Checkpoint(signer.vkey.name, head.size, head.root), signer)
            self._tried[log] = head.size, self._clock.surely().timestamp()
            await self._collect(log, note, head, tree)
        except Refused as refused:
            if refused.code is Code.FORKED:
                if log not in self.alarms:
                    _log.error("the log does not extend what was signed", log=NAMES[log], why=refused.detail)
                self.alarms[log] = refused.detail
            elif refused.code is not Code.UNAVAILABLE:
                raise
        else:
            self.alarms.pop(log, None)

    async def _vouch(self, log: Log, head: Head, tree: Tree) -> None:
        """C2SP tlog-checkpoint: never sign what is not consistent with what was signed before.

        1 the entries amount to the engine's head  2 not smaller than any signed  3 begins with the last signed  4 on
        disk.
        """
        if tree.root(head.size) != head.root:
            raise Refused(Code.FORKED, "the engine's root is not that of its entries")
        last = await store.last_head(self._db, log)
        if last is not None:
            if head.size < last.size:
                if (await self._ledger.head(log)).size >= last.size:  # another process was faster with a newer head
                    raise Refused(Code.UNAVAILABLE, "another process has signed a newer head")
                raise Refused(Code.FORKED, f"the log shrank from {last.size} to {head.size} entries")
            if tree.root(last.size) != last.root:
                raise Refused(Code.FORKED, f"the first {last.size} entries are not those that were signed")
            if last.size == head.size:
                return

        async def body(tx: Tx) -> None:
            await store.add_head(tx, log, head.size, head.root, int(self._clock.surely().timestamp()))

        try:
            await self._db.write(body)
        except Duplicate:  # another process signed this size meanwhile
            last = await store.last_head(self._db, log)
            if last is None or (last.size == head.size and last.root != head.root):
                raise Refused(Code.FORKED, "another process signed another root for this size") from None

    # --- witnesses ----------------------------------------------------------------------------------------------------

    async def _collect(self, log: Log, own: Note, head: Head, tree: Tree) -> None:
        """Ask all at once; publish when the quorum is met, and again when the rest has answered.

        Where the policy changes, the head that brings the change is published under both: whoever knows the old one
        must be able to believe it.
        """
        policies, kept = await self._agreed(log, head), await self.published(log)
        asked_of = {one.name: one for policy in policies for one in policy.witnesses.values()}
        note = own
        if kept is not None and kept.size == head.size and kept.note is not None:
            # Who is away now has cosigned this head before; and whoever knows only an older policy needs the lines of
            # witnesses that count no longer.
            note = Note.parse(kept.note.encode())
        asking = {
            asyncio.create_task(self._ask(one, log, own, head, tree)) for one in asked_of.values()
            if self.url(one.name, one.url)
        }  # fmt: skip
        met, published = _are_met(policies, note), False
        contradicted = ""
        try:
            while asking:
                done, asking = await asyncio.wait(
                    asking, timeout=GRACE if met and not published else None, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    try:
                        line = task.result()
                    except Refused as refused:
                        contradicted = refused.detail
                        continue
                    note = note if line is None else note.with_(line)
                met = _are_met(policies, note)
                if met and not done:
                    await self._publish(log, head, note)
                    published = True
        finally:
            for task in asking:  # the process ends, and whoever asks with it
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        if met:
            await self._publish(log, head, note)
        elif contradicted:
            raise Refused(Code.FORKED, contradicted)

    async def _publish(self, log: Log, head: Head, note: Note) -> None:
        now, text = int(self._clock.surely().timestamp()), note.encode().decode()
        await self._db.write(lambda tx: store.publish(tx, log, head.size, text, now))

    async def _ask(self, witness: Witness, log: Log, own: Note, head: Head, tree: Tree) -> str | None:
        """Its signature line, or None with the reason in `trouble`. FORKED: it has seen another history."""
        url = self.url(witness.name, witness.url)
        seen = self.witnesses.setdefault(witness.name, WitnessSeen(witness.name, url))
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await self._add_checkpoint(seen, log, own, head, tree)
            signed = own.with_(answer).only([witness.vkey])  # C2SP tlog-witness: lines of unknown keys are ignored
            at = cosigned_at(signed, witness.vkey)
            # Either clock of ours may be the wrong one for a while.
            if min(abs(at - one.timestamp()) for one in (self._clock.now(), self._clock.surely())) > SKEW:
                raise Refused(Code.UNWITNESSED, "its clock is off by minutes")
        except Exception as error:
            seen.trouble = error.detail if isinstance(error, Refused) else f"no answer ({type(error).__name__})"
            _log.warning("a witness did not cosign", witness=witness.name, log=NAMES[log], why=seen.trouble)
            if isinstance(error, Refused) and error.code is Code.FORKED:
                raise
            return None
        seen.trouble, seen.cosigned_at[log], seen.size[log] = "", at, head.size
        return signed.signatures[0].encode()

    async def _add_checkpoint(self, seen: WitnessSeen, log: Log, own: Note, head: Head, tree: Tree) -> bytes:
        """C2SP tlog-witness: from where we think it is; where it says it is (409), once more from there."""
        for _ in range(2):
            old = seen.size.get(log, 0)
            if old > head.size:
                raise Refused(Code.FORKED, f"{seen.name} has seen {old} entries, the log has {head.size}")
            asked = Asked(old, tuple(tree.consistency(old, head.size)), own)
            async with self._http.stream(
                "POST", f"{seen.url}/add-checkpoint", content=asked.encode(), headers=ACCEPTED, timeout=PATIENCE
            ) as answer:
                said = await body_within(answer, LIMIT)
            if answer.status_code == 200:
                return said
            if answer.status_code == 422:
                raise Refused(Code.FORKED, f"{seen.name} has seen another history of {old} entries")
            size = said.strip()
            if answer.status_code != 409 or not size.isdigit() or len(size) > 18:
                raise Refused(Code.UNWITNESSED, f"it refused ({answer.status_code})")
            seen.size[log] = int(size)
        raise Refused(Code.UNWITNESSED, "it has moved on meanwhile")

    # --- policies -----------------------------------------------------------------------------------------------------

    async def _policy(self, digest: bytes) -> Policy:
        if digest not in self._read:
            document = await store.document(self._db, digest)
            if document is None:
                raise Refused(Code.UNAVAILABLE, "the policy the log names has not been handed in")
            self._read[digest] = Policy.parse(document.body)
        return self._read[digest]

    async def _agreed(self, log: Log, head: Head) -> list[Policy]:
        """The policies that a checkpoint of this head has to meet."""
        kept = await self.published(Log.REGISTRY)
        before = await self._in_force(kept.size) if kept is not None else None
        if log is not Log.REGISTRY:
            # Whoever reads anchors has followed the registry to its published head.
            return [await self._policy(before)] if before is not None else [await self.policy()]
        digests = dict.fromkeys(one for one in (before, await self._in_force(head.size)) if one is not None)
        return [await self._policy(digest) for digest in digests]

    async def _in_force(self, size: int) -> bytes | None:
        """The policy that the first `size` entries of the registry amount to."""
        start = self._policies_read
        for at in range(start, size, BATCH):
            for raw in await self._ledger.entries(Log.REGISTRY, at, min(size, at + BATCH)):
                said = Entry.parse(raw)
                if isinstance(said.payload, PolicySet):
                    self._policies.append((said.index, said.payload.document))
        self._policies_read = max(start, size)
        return next((document for index, document in reversed(self._policies) if index < size), None)


def _are_met(policies: list[Policy], note: Note) -> bool:
    try:
        for policy in policies:
            policy.met(note)
    except Refused:
        return False
    return True
