"""Telling a person, on a channel a thief of the phone or the card does not hold, and the link that stops everything.

Promises: a notice is promised in the transaction of the deed and sent at least once, felt once; its link locks every
document and phone of the person at once, and used twice it does the same. Trusts: the registers for whom to reach and
how. Keeps: the link's secret as a hash; it is derived from the notice's id and the vault, so that it is nowhere at rest
and not in the outbox. Refuses: links that are wrong or older than a week.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol

from mapae import outbox
from mapae.audit import Event, record
from mapae.clock import Clock
from mapae.db import Db, Tx
from mapae.errors import Code, Refused
from mapae.formats.jose import b64u
from mapae.issuer.authorization import digest
from mapae.issuer.grants import Asking
from mapae.issuer.tap import store
from mapae.issuer.tap.store import StopLink
from mapae.keys import Vault

LIFE: Final = timedelta(days=7)
TELL, LOCK = "notice.tell", "notice.lock"


class Locking(Protocol):
    """`Issuer.lock`."""

    async def __call__(self, person: str, reason: str, actor: str, *, waiting: bool) -> int: ...


class Kind(StrEnum):
    """What is told. The registers have the words."""

    NEW_PHONE = "card_used_for_new_phone"
    ISSUE = "card_used_for_issue"
    COUNTER = "moved_at_counter"


class Notices:
    def __init__(self, db: Db, clock: Clock, vault: Vault, base: str, peers: Asking, lock: Locking) -> None:
        self._db, self._clock, self._vault, self._base = db, clock, vault, base
        self._peers, self._lock = peers, lock

    async def promise(self, tx: Tx, id: str, person: str, kind: Kind, language: str, now: datetime) -> None:
        """One notice under this id, however often it is promised."""
        at = int(now.timestamp())
        link = StopLink(id, person, kind.value, at, at + int(LIFE.total_seconds()), 0)
        await store.add_stop(tx, digest(self._secret(id)), link)
        payload = {"id": id, "person": person, "kind": kind.value, "language": language}
        await outbox.promise(tx, TELL, id, payload, now)

    async def moving(self, id: str, person: str) -> None:
        """An officer is about to move the person's phone: told whatever happens next, in every language."""
        now = self._clock.now()
        await self._db.write(lambda tx: self.promise(tx, id, person, Kind.COUNTER, "", now))

    async def stayed(self, id: str) -> None:
        """It was not moved after all."""
        await self._db.write(lambda tx: outbox.withdraw(tx, TELL, id))

    def promises(self) -> dict[str, outbox.Handler]:
        return {TELL: self._tell, LOCK: self._do_lock}

    async def _tell(self, message: dict[str, Any]) -> None:
        terms = {"link": f"{self._base}/stop/{self._secret(message['id'])}"}
        said = {name: message[name] for name in ("id", "person", "kind", "language")}
        try:
            await self._peers.call("registers", "/registers/persons/tell", {**said, "terms": terms})
        except Refused as refused:
            if refused.code is not Code.NOT_FOUND:  # nobody of that id any more: there is nobody to tell
                raise

    async def _do_lock(self, message: dict[str, Any]) -> None:
        await self._stop(message["person"])

    async def _stop(self, person: str) -> None:
        """With the phones that wait: to one of them somebody may be moving at this very moment."""
        await self._lock(person, "lost", "citizen", waiting=True)

    def _secret(self, id: str) -> str:
        return b64u(self._vault.index(id, b"stop link")[:24])

    # --- the link --------------------------------------------------------------------------------------------------

    async def behind(self, secret: str) -> StopLink:
        """What this link is about. Raises Refused(NOT_FOUND)."""
        found = await store.stop_link(self._db, digest(secret), int(self._clock.now().timestamp()))
        if found is None:
            raise Refused(Code.NOT_FOUND, "this link is wrong, or older than a week")
        return found

    async def stop(self, secret: str) -> StopLink:
        """Lock everything of the person, now. The promise comes first, so that a power cut does not undo it."""
        link, now = await self.behind(secret), self._clock.now()
        at = int(now.timestamp())

        async def body(tx: Tx) -> None:
            await tx.serial(f"person:{link.person}")
            await store.use_stop(tx, digest(secret), at)
            for session in await store.live_of(tx, link.person):
                await store.fail(tx, session.id, Code.NOT_ALLOWED.value, "stopped", at, issuing=True)
            await outbox.promise(tx, LOCK, link.notice, {"person": link.person}, now)
            await record(tx, Event(link.person, "tap", "stopped", "citizen", {"notice": link.notice}), now)

        await self._db.write(body)
        await self._stop(link.person)
        # Done here and now, and not once more later, when an officer may have released it already.
        await self._db.write(lambda tx: outbox.withdraw(tx, LOCK, link.notice))
        return link


def lifted(events: Iterable[Event]) -> bool:
    """Whether an officer saw the person after the stop. That a card has arrived is noticed late, by whoever looks at
    its case: it counts only where the QR is from after the stop, too."""
    offered: set[str | int] = set()
    for event in events:
        match event.object, event.action:
            case "documents", "released":
                return True
            case "case", ("offered" | "offered_again"):
                offered.add(event.facts.get("case", ""))
            case "case", "issued" if event.facts.get("case", "") in offered:
                return True
            case _:
                continue
    return False
