"""What a pack is made of, as the trust role itself has it: its ledger, its checkpoints, its documents.

Promises: only what a quorum has cosigned is handed out as a checkpoint. Trusts: the ledger. Keeps: nothing. Refuses: a
checkpoint before there is one (UNAVAILABLE), a document nobody handed in (NOT_FOUND).
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from itertools import pairwise
from typing import Final

from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.trust import ledger_store
from mapae.trust.checkpoints import Checkpoints
from mapae.trust.engine import Ledger
from mapae.trust.entries import Issuer, read_document, registry_id
from mapae.trust.log.entry import Entry, Log, Role
from mapae.trust.log.note import Note
from mapae.trust.log.policy import Policy
from mapae.trust.log.state import AnchoredRoot
from mapae.trust.log.succession import Named, named
from mapae.trust.pack.build import Succession

MOST_HEADS: Final = 100_000
BATCH: Final = 4096


class LedgerSource:
    def __init__(self, db: Db, ledger: Ledger, checkpoints: Checkpoints) -> None:
        self._db, self._ledger, self._checkpoints = db, ledger, checkpoints
        self._seen = 0
        self._policies: list[Named] = []

    async def policy(self) -> bytes:
        return (await self._checkpoints.policy()).encode()

    async def checkpoint(self, log: Log) -> bytes:
        head = await self._checkpoints.published(log)
        if head is None or head.note is None:
            raise Refused(Code.UNAVAILABLE, "no quorum of witnesses has signed a checkpoint yet")
        return head.note.encode()

    async def entries(self, log: Log, start: int, end: int) -> list[bytes]:
        return await self._ledger.entries(log, start, end)

    async def inclusion(self, index: int, size: int) -> list[bytes]:
        return (await self._checkpoints.tree(Log.ANCHORS, size)).inclusion(index, size)

    async def anchors(self) -> Mapping[tuple[bytes, bytes], AnchoredRoot]:
        return (await self._ledger.state()).anchors

    async def document(self, digest: bytes) -> bytes:
        found = await ledger_store.document(self._db, digest)
        if found is None:
            raise Refused(Code.NOT_FOUND, "a party's document has not been handed in")
        return found.body

    async def statement(self, digest: bytes) -> str:
        found = await ledger_store.statement(self._db, digest)
        if found is None:
            raise Refused(Code.NOT_FOUND, "an anchor's statement has not been handed in")
        return found

    async def successions(self) -> list[Succession]:
        """For each change of the policy, the first published head after it that the policy before stands behind."""
        heads = [] if not await self._has_changed() else await ledger_store.published_history(
            self._db, Log.REGISTRY, MOST_HEADS
        )  # fmt: skip
        found = []
        for before, after in pairwise(self._policies):
            old = Policy.parse(await self.document(before.policy))
            for head in reversed(heads):
                if head.note is not None and head.size > after.entry and _met(old, head.note):
                    found.append(Succession(after.entry, await self.document(after.policy), head.note.encode()))
                    break
        return found

    async def _has_changed(self) -> bool:
        """Whether there was more than one policy, up to the published head. Each entry is read once."""
        published = await self._checkpoints.published(Log.REGISTRY)
        size = published.size if published is not None else 0
        while self._seen < size:
            entries = await self._ledger.entries(Log.REGISTRY, self._seen, min(size, self._seen + BATCH))
            self._policies += [one for raw in entries if (one := named(Entry.parse(raw))) is not None]
            self._seen += len(entries)
        return len(self._policies) > 1

    async def publishers(self) -> list[tuple[str, str]]:
        found = []
        for subject, party in (await self._ledger.state()).parties.items():
            if party.revoked is not None or not party.roles & Role.STATUS:
                continue
            entry = read_document(await self.document(party.document))
            if isinstance(entry, Issuer) and sha256(registry_id(entry).encode()).digest() == subject:
                found.append((registry_id(entry), entry.status_prefix))
        return found


def _met(policy: Policy, note: str) -> bool:
    try:
        policy.met(Note.parse(note.encode()))
    except Refused:
        return False
    return True
