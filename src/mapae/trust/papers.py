"""The papers of our own log, as a monitor reads them anywhere else."""

from __future__ import annotations

from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.trust import ledger_store as store


class KeptPapers:
    """Statements, approvals and documents from the trust role's own database."""

    def __init__(self, db: Db) -> None:
        self._db = db

    async def statement(self, digest: bytes) -> str | None:
        return await store.statement(self._db, digest)

    async def approvals(self, digest: bytes) -> list[str]:
        return [vote.signed for vote in await store.votes_for(self._db, digest)]

    async def document(self, digest: bytes) -> bytes:
        found = await store.document(self._db, digest)
        if found is None:
            raise Refused(Code.NOT_FOUND, "there is no such document")
        return found.body
