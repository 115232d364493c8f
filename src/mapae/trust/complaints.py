"""Complaints to whoever watches over relying parties: this one asked for more than it may.

Promises: a complaint stands on a request that the party itself signed and that does go beyond its registration, judged
here again; so nobody can slander a party, and nobody but the party itself can make evidence. Who was asked is in none
of it. Trusts: the registry for who is registered for what. Keeps: per party, purpose and items beyond it a count, two
dates, and the first request; beyond `KINDS` different ones of one party only that there are more, and how many.
Refuses: a request by strangers, one that asks for no more than is registered, one that ended more than `OLD` ago.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Final

from mapae.clock import Clock
from mapae.db import Db, Tx
from mapae.errors import Code, Refused
from mapae.formats import dcql
from mapae.formats.jose import Jws
from mapae.formats.x509 import Anchors, Profile, check_chain, x509_hash
from mapae.trust import complaint_store as store
from mapae.trust.complaint_store import Complaint
from mapae.trust.publish import RelyingParty, TrustList

TYPE: Final = "oauth-authz-req+jwt"  # RFC 9101 10.8, OpenID4VP 1.0 section 5
LIMIT: Final = 64 * 1024
OLD: Final = timedelta(days=30)
KINDS: Final = 200
_ITEMS: Final = 40
MORE: Final = ("...",)  # in place of the items, beyond KINDS


class Complaints:
    """`listed`: today's trust list."""

    def __init__(self, db: Db, clock: Clock, listed: Callable[[], Awaitable[TrustList]]) -> None:
        self._db, self._clock, self._listed = db, clock, listed

    async def report(self, evidence: str) -> tuple[str, tuple[str, ...]]:
        """The purpose it was about and the items beyond it. Raises Refused: see the module."""
        now = self._clock.now()
        party, purpose, items = beyond(evidence, await self._listed(), now)
        # Of what was signed: a second signature that is as good is made from the first by anybody (FIPS 186-5 6.4.2).
        signed = evidence.rpartition(".")[0]
        digest, at = hashlib.sha256(signed.encode()).digest(), int(now.timestamp())

        async def body(tx: Tx) -> None:
            await tx.serial(f"complaint:{party}")
            await store.forget_evidence(tx, int((self._clock.surely() - 2 * OLD).timestamp()))
            if not await store.add_evidence(tx, digest, at):
                return
            if await store.count_again(tx, party, purpose, items, at):
                return
            if await store.kinds_of(tx, party) < KINDS:
                await store.add(tx, party, purpose, items, evidence, at)
            elif not await store.count_again(tx, party, "", MORE, at):  # a party cannot hide behind its own flood
                await store.add(tx, party, "", MORE, evidence, at)

        await self._db.write(body)
        return purpose, items

    async def all(self) -> list[Complaint]:
        return await store.complaints(self._db)


def beyond(evidence: str, listed: TrustList, now: datetime) -> tuple[str, str, tuple[str, ...]]:
    """The party, the purpose it named and the items beyond it; none: the purpose itself is not registered.

    1 a request object  2 of a registered party  3 its signature  4 not long over  5 more than may be asked
    """
    jws = Jws.parse(evidence, typ=TYPE, limit=LIMIT)
    checked = check_chain(jws.x5c, Anchors(listed.access_ca), now, Profile.ACCESS)
    party = listed.asker(x509_hash(checked.leaf))
    jws.verify(checked.key)
    claims = jws.claims()
    ends = claims.get("exp", claims.get("iat"))
    if isinstance(ends, bool) or not isinstance(ends, int) or ends < (now - OLD).timestamp():
        raise Refused(Code.EXPIRED, "this request is too old to complain of")
    purpose = claims.get("mapae_purpose")
    query = dcql.parse(claims.get("dcql_query"))
    asked = _names(query.queries)
    registered = next((one for one in party.purposes if one.id == purpose), None)
    if registered is None:
        named = purpose if isinstance(purpose, str) and len(purpose) <= 64 and purpose.isascii() else ""
        if named.replace("_", "").isalnum():
            return party.id, named, ()
        return party.id, "", _over(asked, _all(party))
    others = [one for one in query.queries if not registered.covers(one)]
    # Without a claim it asks whether there is such a card at all (OpenID4VP 1.0 6.4.1), which may say much.
    elsewhere = _names(others) | ({"*"} if any(not one.names for one in others) else set())
    return party.id, registered.id, _over(asked | elsewhere, set(registered.items) - elsewhere)


def _over(asked: set[str], allowed: set[str]) -> tuple[str, ...]:
    found = tuple(sorted(asked - allowed))[:_ITEMS]
    if not found:
        raise Refused(Code.NOT_FOUND, "it asks for no more than is registered")
    return found


def _all(party: RelyingParty) -> set[str]:
    return {item for purpose in party.purposes for item in purpose.items}


def _names(queries: Iterable[dcql.Query]) -> set[str]:
    """As a terminal may print them: whoever signed the query chose the names."""
    names = {name for one in queries for name in one.names}
    return {"*" if name is None else "".join(c if c.isprintable() else "?" for c in name[:64]) for name in names}
