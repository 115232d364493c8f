"""Status lists: fetched whole, kept for seconds, never asked about one person.

Promises: a list handed to the check is one the issuer signed, for this address, and not older than `FRESH` when the
issuer's server answers; so a lock is felt within five seconds of the report. Trusts: the trust list for which addresses
are an issuer's and whose signatures count. Keeps: at most `MOST` checked lists, in memory. Refuses: any address outside
the issuer's registered prefix (the caller has checked that, this module checks it again), a redirect, a body over
`LIMIT`, a list that is expired or of another signer.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx

from mapae.bodies import ACCEPTED, body_within
from mapae.clock import Clock
from mapae.errors import Code, Refused
from mapae.formats.status import StatusList, StatusRef, StatusToken
from mapae.formats.x509 import check_chain
from mapae.trust.signers import Purpose
from mapae.verifier.checking.steps import Issuer, Listed, must_be_of

FRESH: Final = timedelta(seconds=2)  # ask again after this long
PATIENCE: Final = 3.0  # seconds to wait for the issuer; the customer is standing at the till
LIMIT: Final = 24 * 1024 * 1024  # bytes of one token: 50 million two-bit entries take about 13 MB
MOST: Final = 64
AHEAD: Final = 60  # seconds an issuer's clock may be ahead of ours
_ACCEPT: Final = "application/statuslist+jwt"
_ACCEPT_EITHER: Final = f"{_ACCEPT}, application/statuslist+cwt"  # of elsewhere: an mdoc's issuer may have the CWT only
LONGEST: Final = 366 * 86400  # seconds we rely on any list; keeps sums with what an issuer wrote inside the calendar


class Unreachable(Refused):
    """There is no list to rely on, and nobody has said anything against it: the issuer cannot be reached."""

    def __init__(self) -> None:
        super().__init__(Code.STATUS_UNKNOWN, "the issuer's status list cannot be reached")


@dataclass(frozen=True, slots=True)
class _Held:
    """A token that checked against these anchors; its signer's certificate (DER) ends at `signer_ends`."""

    token: StatusToken
    anchors: tuple[bytes, ...]
    signer: bytes
    signer_ends: datetime
    etag: str | None
    asked_at: datetime


@dataclass(slots=True)
class _Place:
    """What we know of one address. `missed_at`: when its server last did not answer."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    held: _Held | None = None
    missed_at: datetime | None = None

    def must_ask(self, now: datetime) -> bool:
        """Nothing fresh, and the server has not just let somebody wait in vain."""
        heard_at = self.held.asked_at if self.held is not None else None
        return not any(moment and timedelta(0) <= now - moment < FRESH for moment in (heard_at, self.missed_at))


class StatusLists:
    """The lists this process has, each asked for again when it is older than `FRESH`."""

    def __init__(self, http: httpx.AsyncClient, clock: Clock) -> None:
        self._http = http
        self._clock = clock
        self._places: OrderedDict[str, _Place] = OrderedDict()

    async def listed(self, reference: StatusRef, issuer: Issuer) -> Mapping[str, Listed]:
        """The list of this reference, for `check.conclude`. Raises Refused(STATUS_UNKNOWN) when there is none, and it
        is `Unreachable` where that is all there is to say."""
        must_be_of(reference, issuer)
        uri = reference.uri
        place = self._place(uri)
        async with place.lock:  # one request on the wire a list, however many tills wait for it
            now = self._clock.now()
            if place.held is not None and place.held.anchors != tuple(issuer.anchors.ders):
                place.held = None  # the trust list has changed: what checked yesterday is asked for anew
            if place.held is not None and place.held.token.issued_at > now.timestamp() + AHEAD:
                place.held = None  # our clock was ahead then: the true ones would look older, and be passed over
            if place.held is not None and not _signer_stands(place.held, issuer, now):
                place.held = place.missed_at = None
            if place.must_ask(now):
                answered = await self._ask(uri, place.held, issuer, now)
                place.held, place.missed_at = answered or place.held, None if answered else self._clock.now()
            held = place.held
        if held is None or now > _good_until(held):
            raise Unreachable
        return {uri: Listed(held.token.list, _good_until(held))}

    def last_heard(self, uri: str) -> tuple[StatusList, datetime] | None:
        """The last list we had of this address and when we had it, however long ago."""
        place = self._places.get(uri)
        return (place.held.token.list, place.held.asked_at) if place is not None and place.held is not None else None

    def heard(self) -> dict[str, StatusList]:
        """Every list this process has from its issuer."""
        return {uri: place.held.token.list for uri, place in self._places.items() if place.held is not None}

    def _place(self, uri: str) -> _Place:
        place = self._places.setdefault(uri, _Place())
        self._places.move_to_end(uri)
        if len(self._places) > MOST:
            self._places.popitem(last=False)
        return place

    async def _ask(self, uri: str, held: _Held | None, issuer: Issuer, now: datetime) -> _Held | None:
        """A newer list, the same one confirmed, or None when the issuer cannot be reached.

        A list that arrives but does not check is refused, not replaced by the old one: somebody is lying.
        """
        headers = {**ACCEPTED, "Accept": _ACCEPT if issuer.status_prefix is not None else _ACCEPT_EITHER}
        if held is not None and held.etag is not None:
            headers["If-None-Match"] = held.etag
        try:
            async with asyncio.timeout(PATIENCE):
                async with self._http.stream("GET", uri, headers=headers, follow_redirects=False) as answer:
                    if answer.status_code == 304 and held is not None:
                        return replace(held, asked_at=now)
                    if answer.status_code != 200:
                        return None
                    raw = await body_within(answer, LIMIT)
                    etag = answer.headers.get("etag")
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError, Refused):
            # What a stranger's document calls an address may be none: httpx says so by InvalidURL or ValueError.
            return None
        try:
            token = StatusToken.parse(raw, limit=LIMIT, algorithms=issuer.algorithms)
            # Token Status List section 8.3: chain, signature, sub, exp.
            signer = check_chain(token.x5c, issuer.anchors, now, issuer.status_profile)
            if issuer.signers is not None:
                issuer.signers.standing(signer.leaf, Purpose.STATUS_SIGNER, now)
            token.check(signer.signer, uri, now)
        except Refused as refused:
            raise Refused(Code.STATUS_UNKNOWN, f"the issuer's status list does not hold ({refused.code})") from None
        if held is not None and token.issued_at < held.token.issued_at:
            # Issuing processes sign in turn: within its ttl an older list still says that ours, which is newer, stands.
            # Older than that it is a stale cache on the way.
            recent = now.timestamp() - token.issued_at <= min(token.ttl or 0, FRESH.seconds * 3)
            return replace(held, asked_at=now) if recent else None
        etag = etag if etag and len(etag) <= 256 else None
        return _Held(token, tuple(issuer.anchors.ders), signer.leaf, signer.not_after, etag, now)


def _signer_stands(held: _Held, issuer: Issuer, now: datetime) -> bool:
    try:
        if issuer.signers is not None:
            issuer.signers.standing(held.signer, Purpose.STATUS_SIGNER, now)
    except Refused:
        return False
    return True


def _good_until(held: _Held) -> datetime:
    """How long to rely on a list while its issuer is out of reach: its `ttl` since we last had word, and its `exp`."""
    token = held.token
    until = min(held.asked_at + max(timedelta(seconds=min(token.ttl or 0, LONGEST)), FRESH), held.signer_ends)
    if token.expires_at is not None and token.expires_at < until.timestamp():
        until = datetime.fromtimestamp(token.expires_at, UTC)
    return until
