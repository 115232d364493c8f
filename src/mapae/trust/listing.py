"""What holds, from the log, and the signed list that says so.

Promises: the list says what the log has at this moment; it is signed anew when something there changes, begins or ends,
and at least every hour. While the log does not answer, what it last said goes on. Trusts: the ledger. Keeps: what it
last read, and the documents (`ledger_store`) in memory. Refuses: UNAVAILABLE when the log never answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Final

from mapae.clock import Clock
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.formats.jose import b64u
from mapae.keys import Signer
from mapae.trust import ledger_store
from mapae.trust.engine import Ledger
from mapae.trust.entries import Entry
from mapae.trust.log.state import Tables
from mapae.trust.publish import TrustList
from mapae.trust.replicated import Standing, seq_of, standing

LIST_LIFE: Final = timedelta(days=1)
RESIGN_AFTER: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Published:
    """The signed list and its ETag."""

    token: str
    etag: str
    list: TrustList


class Listing:
    def __init__(self, db: Db, ledger: Ledger, signer: Signer, clock: Clock) -> None:
        self._db, self._ledger, self._signer, self._clock = db, ledger, signer, clock
        self._documents: dict[bytes, bytes] = {}
        self._known: dict[bytes, Entry | None] = {}
        self._standing: Standing | None = None
        self._published: tuple[Standing, Published] | None = None

    async def standing(self) -> Standing:
        now, held = int(self._clock.now().timestamp()), self._standing
        try:
            state = await self._ledger.state()
        except Refused as refused:
            if refused.code is not Code.UNAVAILABLE or held is None:
                raise
            return held
        if held is None or held.seq != seq_of(state) or not held.at <= now < (held.until or now + 1):
            await self._read_documents(state)
            held = self._standing = standing(state, self._documents, now, self._known)
        return held

    async def published(self) -> Published:
        held, now = await self.standing(), self._clock.now()
        if self._published is not None and self._published[0] is held:
            kept = self._published[1]
            if 0 <= now.timestamp() - kept.list.iat < RESIGN_AFTER.total_seconds():
                return kept
        made = TrustList.of_standing(held, now=now, life=LIST_LIFE)
        token = made.sign(self._signer)
        kept = Published(token, f'"{b64u(sha256(token.encode()).digest())}"', made)
        self._published = held, kept
        return kept

    async def _read_documents(self, state: Tables) -> None:
        """Those the log names and we have not read; one that was never handed in is looked for again."""
        named = {party.document for party in state.parties.values()} | set(state.readers)
        self._documents |= await ledger_store.documents(self._db, sorted(named - self._documents.keys()))
