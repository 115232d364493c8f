"""What a pack is made of, as the trust role itself has it: its ledger, its checkpoints, its documents.

Promises: only what a quorum has cosigned is handed out as a checkpoint. Trusts: the ledger. Keeps: nothing. Refuses: a
checkpoint before there is one (UNAVAILABLE), a document nobody handed in (NOT_FOUND).
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.trust import ledger_store
from mapae.trust.checkpoints import Checkpoints
from mapae.trust.engine import Ledger
from mapae.trust.entries import Issuer, read_document, registry_id
from mapae.trust.log.entry import Log, Role
from mapae.trust.log.state import AnchoredRoot
from mapae.trust.pack.build import Succession


class LedgerSource:
    def __init__(self, db: Db, ledger: Ledger, checkpoints: Checkpoints) -> None:
        self._db, self._ledger, self._checkpoints = db, ledger, checkpoints

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
        return [Succession(*step) for step in await self._checkpoints.successions()]

    async def publishers(self) -> list[tuple[str, str]]:
        found = []
        for subject, party in (await self._ledger.state()).parties.items():
            if party.revoked is not None or not party.roles & Role.STATUS:
                continue
            entry = read_document(await self.document(party.document))
            if isinstance(entry, Issuer) and sha256(registry_id(entry).encode()).digest() == subject:
                found.append((registry_id(entry), entry.status_prefix))
        return found
