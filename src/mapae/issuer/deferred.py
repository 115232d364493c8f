"""Deferred issuance (OpenID4VCI 9): a request is accepted now and answered later, over any restart in between.

Promises: what was proven is proven: the keys are kept and the proofs are spent with the acceptance; a transaction gives
its credentials once. Trusts: `Batches` to issue. Keeps: public keys, and the transaction id as a hash. Refuses: ids
that are not of this order, were used, or were replaced by a later request for the same credential.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from mapae import audit
from mapae.clock import Clock, Dice
from mapae.db import Db, Tx
from mapae.errors import Code, Refused
from mapae.issuer import deferred_store as deferred
from mapae.issuer import store
from mapae.issuer.authorization import Spend, digest
from mapae.issuer.batches import Batches, NotYetProven, RegisterSilent, Wanted
from mapae.issuer.deferred_store import Waiting
from mapae.issuer.grants import Access, spend_by_kind
from mapae.issuer.metadata import Configuration
from mapae.issuer.order import What

SOON: Final = timedelta(seconds=3)  # the person stands at the counter, phone in hand
PAUSE: Final = timedelta(seconds=10)  # before a register that did not answer is asked again
LONGEST: Final = 3600
KEEP: Final = timedelta(days=30)


class Deferred:
    def __init__(self, db: Db, clock: Clock, dice: Dice, batches: Batches) -> None:
        self._db = db
        self._clock = clock
        self._dice = dice
        self._batches = batches

    async def now_or_later(self, wanted: Wanted) -> dict[str, Any]:
        """The credentials; or a transaction id, while somebody has yet to look at the person, has a second look at the
        request, or the register is silent."""
        card, now = wanted.access.session.card, self._clock.now()
        if card.second_look and card.state == "open":
            return await self._accept(wanted, timedelta(seconds=card.second_look), now)
        if card.needs and card.state == "open":
            return await self._accept(wanted, timedelta(0), now, SOON)
        try:
            return await self._batches.make(wanted)
        except RegisterSilent:
            return await self._accept(wanted, PAUSE, now)
        except NotYetProven:
            return await self._accept(wanted, timedelta(0), now, SOON)

    async def _accept(
        self, wanted: Wanted, wait: timedelta, now: datetime, pause: timedelta = PAUSE
    ) -> dict[str, Any]:  # fmt: skip
        session, card, id = wanted.access.session, wanted.access.session.card, self._dice.token(24)
        new = Waiting(digest(id), card.id, wanted.configuration.id, wanted.keys, int((now + wait).timestamp()))

        async def body(tx: Tx) -> None:
            await tx.serial(f"person:{card.person}")
            await spend_by_kind(tx, wanted.spends)
            if not await store.hold_still(tx, card.id, now) or not await store.session_lives(tx, session.id):
                raise Refused(Code.INVALID_TOKEN, "this card is locked or ended")
            await deferred.add(tx, new, now)
            await store.tell(tx, card.case_id, What.DEFERRED, wanted.configuration.id, now)
            facts: dict[str, str | int] = {"configuration": wanted.configuration.id, "copies": len(wanted.keys)}
            await audit.record(tx, audit.Event(card.id, "request", "deferred", "issuer", facts), now)

        await self._db.write(body)
        return _later(id, new, now, pause)

    async def collect(self, access: Access, id: str, configurations: dict[str, Configuration]) -> dict[str, Any]:
        """Section 9.2: the credentials once, or the same id and how long to wait."""
        now = self._clock.now()
        known = await deferred.waiting(self._db, digest(id), access.session.card.id)
        if known is None:
            raise Refused(Code.INVALID_TRANSACTION_ID, "there is no such transaction")
        if now.timestamp() < known.ready:
            return await self._wait(access.spends, id, known, now)
        card = access.session.card
        if card.needs and card.state == "open":
            return await self._wait(access.spends, id, known, now, SOON)

        async def settle(tx: Tx) -> None:
            if not await deferred.settle(tx, known.id_hash, "done"):
                raise Refused(Code.INVALID_TRANSACTION_ID, "this transaction has been answered")

        wanted = Wanted(access, configurations[known.configuration], known.keys, access.spends, settle)
        try:
            return await self._batches.make(wanted)
        except RegisterSilent:
            return await self._wait(access.spends, id, known, now)
        except NotYetProven:
            return await self._wait(access.spends, id, known, now, SOON)
        except Refused as refused:
            if refused.code not in (Code.CREDENTIAL_REQUEST_DENIED, Code.INVALID_PROOF):
                raise
            # Section 9.3: it can be issued no longer. The keys were used meanwhile, or the register says no.
            await self._db.write(lambda tx: deferred.settle(tx, known.id_hash, "over"))
            raise Refused(Code.CREDENTIAL_REQUEST_DENIED, refused.detail, step=refused.step) from None

    async def _wait(
        self, spends: tuple[Spend, ...], id: str, known: Waiting, now: datetime, pause: timedelta = PAUSE
    ) -> dict[str, Any]:
        await self._db.write(lambda tx: spend_by_kind(tx, spends))
        return _later(id, known, now, pause)

    async def prune(self, now: datetime) -> int:
        return await self._db.write(lambda tx: deferred.forget(tx, now - KEEP))


def _later(id: str, waiting: Waiting, now: datetime, pause: timedelta) -> dict[str, Any]:
    left = waiting.ready - int(now.timestamp())
    return {"transaction_id": id, "interval": min(left, LONGEST) if left > 0 else int(pause.total_seconds())}
