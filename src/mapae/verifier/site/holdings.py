"""What a relying party was given here: its tills, its API keys, its log-in clients; to be seen, and to end.

Promises: a party sees its own and nothing that could be used of it; each ends once, by its party, and all of them, with
every open question, by themselves when the registration ends: in one transaction, so that a kill leaves all or nothing,
and again at the next look until nothing is left. Nothing works in between either: the trust list is asked before every
question. Trusts: the signed trust list, as far as it says that a registration was taken back; where it just does not
name a party any more (its certificate is over, or the authority above it is), it is believed after `AWAY`. Keeps: which
parties the list had (`hosting_store`). Refuses: another party's; more than `MOST` of a kind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from mapae.audit import Event, record
from mapae.clock import Clock
from mapae.db import Db, Tx, epoch
from mapae.errors import Code, Refused
from mapae.trust.on_behalf import Holding
from mapae.trust.publish import TrustList
from mapae.trust.signers import Reason
from mapae.verifier.asking import store
from mapae.verifier.site import api_store, hosting_store
from mapae.verifier.site.hosting_store import Known

_log = structlog.get_logger("mapae.verifier")

AWAY: Final = timedelta(days=7)  # a list that does not name a party, and does not say that it was taken back
AGAIN: Final = timedelta(minutes=20)  # for what was being given at the very moment it ended
MOST: Final[Mapping[str, int]] = {"till": 200, "key": 20}  # of a party, by its link


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing. `of` lists a party's live ones, `end` one of a party, `end_all` every one of it."""

    name: str
    of: Callable[[Db, str, datetime], Awaitable[list[Holding]]]
    end: Callable[[Db, str, str, datetime], Awaitable[bool]]  # party, id
    end_all: Callable[[Tx, str, datetime], Awaitable[int]]


class Holdings:
    def __init__(self, db: Db, clock: Clock, kinds: Sequence[Kind]) -> None:
        self._db, self._clock = db, clock
        self._kinds = {kind.name: kind for kind in kinds}

    async def of(self, party: str) -> list[Holding]:
        now = self._clock.now()
        return [one for kind in self._kinds.values() for one in await kind.of(self._db, party, now)]

    async def end(self, party: str, kind: str, id: str) -> bool:
        """False: it has ended, or is another party's, or never was. Raises NOT_FOUND for a kind there is not."""
        if kind not in self._kinds or not party:
            raise Refused(Code.NOT_FOUND, f"there is no such kind of thing; there are {', '.join(self._kinds)}")
        return await self._kinds[kind].end(self._db, party, id, self._clock.now())

    async def must_have_room(self, party: str, kind: str) -> None:
        if len(await self._kinds[kind].of(self._db, party, self._clock.now())) >= MOST[kind]:
            raise Refused(Code.TOO_OFTEN, f"there are {MOST[kind]} of these already: end some first", step=kind)

    async def notice(self, trusted: TrustList, ours: Collection[str]) -> set[str]:
        """Look at the list, and end whatever a party had whose registration has ended. `ours`: whom this process asks
        for. Every party the list once had, and that has ended."""
        known, now = await hosting_store.known(self._db), self._clock.surely()
        named = {party.id: party.x509_hash for party in trusted.relying_parties}
        for party in sorted(named.keys() & set(ours)):
            before = known.get(party)
            if before is None or before.x509_hash != named[party] or before.away_since is not None:
                if before is not None and before.ended_at is None and _taken_back(before, trusted):
                    await self._end_all(before, now)  # and registered anew while nobody here looked
                await hosting_store.listed(self._db, party, named[party])
        over = {one.party for one in known.values() if one.ended_at is not None} - named.keys()
        for one in known.values():
            if one.party not in named and await self._is_over(one, trusted, now):
                await self._end_all(one, now)
                over.add(one.party)
        return over

    async def _is_over(self, one: Known, trusted: TrustList, now: datetime) -> bool:
        if one.ended_at is not None:
            return now - one.ended_at < AGAIN and bool(await self.of(one.party))
        if any(revoked.x509_hash == one.x509_hash for revoked in trusted.revoked_readers):
            return True
        if one.away_since is None:
            await hosting_store.away(self._db, one.party, now)
            return False
        return now - one.away_since >= AWAY

    async def _end_all(self, known: Known, now: datetime) -> None:
        party = known.party

        async def body(tx: Tx) -> None:
            if not await hosting_store.still(tx, known):  # another process has seen it registered anew
                return
            ended = {name: await kind.end_all(tx, party, now) for name, kind in self._kinds.items()}
            first = await hosting_store.ended(tx, party, now)
            if not first and not any(ended.values()):  # another process was faster
                return
            await record(tx, Event(party, "holdings", "ended", "registry", ended), now)

        await self._db.write(body)
        _log.info("what a relying party had here has ended", party=party)


def _taken_back(known: Known, trusted: TrustList) -> bool:
    """By governors; what was renewed is superseded, and goes on."""
    back = [one for one in trusted.revoked_readers if one.x509_hash == known.x509_hash]
    return any(one.reason is not Reason.SUPERSEDED for one in back)


# --- the kinds of this room and those below ---------------------------------------------------------------------------

Besides = Callable[[Tx, list[str]], Awaitable[None]]  # for these questions, which have ended


def tills(besides: Besides) -> Kind:
    async def of(db: Db, party: str, now: datetime) -> list[Holding]:
        return [
            Holding("till", one.id, "", epoch(one.enrolled_at) or 0, epoch(one.used_at), epoch(one.expires_at))
            for one in await store.tills_of(db, party, now)
        ]

    async def end(db: Db, party: str, id: str, now: datetime) -> bool:
        return await store.end_till(db, id, now, party)

    async def end_all(tx: Tx, party: str, now: datetime) -> int:
        many = len(await store.tills_of(tx, party, now))
        await besides(tx, await store.end_party(tx, party, now))
        return many

    return Kind("till", of, end, end_all)


def keys() -> Kind:
    async def of(db: Db, party: str, now: datetime) -> list[Holding]:
        return [
            Holding("key", one.id, one.label, epoch(one.made_at) or 0, epoch(one.used_at))
            for one in await api_store.keys_of(db, party)
        ]

    async def end(db: Db, party: str, id: str, now: datetime) -> bool:
        return await api_store.end_key(db, id, now, party)

    return Kind("key", of, end, api_store.end_party)
