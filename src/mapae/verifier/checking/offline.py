"""What a checker without a network may believe, and for how long.

The pack (trust/pack/verify.py) has two ages: of *trust*, since the newest moment for which a quorum of witnesses
vouches; and of *status*, since the newest moment at which the issuer's lists were known to stand so. The older of the
two decides the tier, by the purpose's own limits in the country pack:

    full      up to `offline.full` hours: a verdict as any other, the age beside it
    marked    up to `offline.marked` hours, risk low or medium: the verdict says that the status is stale
    young     up to `offline.last` hours, risk low: and then only copies that live shortly and were signed before the
              checkpoint; their own end bounds what the checker may have missed
    (none)    STALE_PACK

Promises: `Known.trusted` gives `check.check_answer` all it needs, with no network and nothing else changed. The clock
never goes behind a moment that witnesses vouched for (`clock`): a device whose battery died does not make old cards
young. Pure: the pack, the purpose and the time are arguments. Trusts: an opened pack. Keeps: nothing. Refuses: a pack
that is too old for the purpose, a list the pack does not have (STATUS_UNKNOWN, in step 5).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, Literal, Protocol, assert_never

from msgspec import Struct

from mapae import catalog
from mapae.errors import Code, Refused
from mapae.formats.curves import NIST
from mapae.formats.x509 import Anchors
from mapae.trust.pack.verify import Opened, Status
from mapae.verifier.checking.steps import Issuer, Listed, Trusted, Young

LONGEST: Final = 31 * 86400  # seconds a copy may live to count as young: the pack's `copy_days` and a day
HOUR: Final = 3600


class Purpose(Protocol):
    """What decides here of a purpose: `catalog.Purpose`, or what a library's caller says (`kit.Wanted`)."""

    @property
    def risk(self) -> Literal["low", "medium", "high"]: ...

    @property
    def offline(self) -> catalog.Offline: ...


class Tier(StrEnum):
    """How far a verdict without a network goes. The value is stable: the page, the database and the tests key on it."""

    FULL = "full"
    MARKED = "marked"
    YOUNG = "young"


class Light(StrEnum):
    """What the checker's page shows of its pack."""

    FRESH = "fresh"  # an hour at most
    HOURS = "hours"
    DAYS = "days"
    TOO_OLD = "too_old"


class Offline(Struct, frozen=True):
    """On what a verdict without a network stands: the tier, and both ages in seconds."""

    tier: Tier
    trust: int
    status: int


def clock(device: datetime, newest: int, high_water: int) -> datetime:
    """The device's time, or the newest moment it has already heard of from witnesses, now or before a restart."""
    return max(device, datetime.fromtimestamp(max(newest, high_water), UTC))


def tier_of(purpose: Purpose, age: float) -> Tier:
    """Raises Refused(STALE_PACK)."""
    hours, limits = age / HOUR, purpose.offline
    if hours <= limits.full:
        return Tier.FULL
    if hours <= limits.marked and purpose.risk != "high":
        return Tier.MARKED
    if hours <= limits.last and purpose.risk == "low":
        return Tier.YOUNG
    raise Refused(Code.STALE_PACK, "what this checker knows is too old for this question; it has to go online once")


def light(age: float) -> Light:
    if age <= HOUR:
        return Light.FRESH
    if age <= 24 * HOUR:
        return Light.HOURS
    return Light.DAYS if age <= 720 * HOUR else Light.TOO_OLD


def reach(purpose: Purpose) -> timedelta:
    """How old anything may be for this purpose at the most."""
    limits = purpose.offline
    match purpose.risk:
        case "low":
            return timedelta(hours=limits.last)
        case "medium":
            return timedelta(hours=limits.marked)
        case "high":
            return timedelta(hours=limits.full)
        case _:
            assert_never(purpose.risk)


NOTHING: Final = Young(0, 0)  # no copy is that young


class Known:
    """What an opened pack makes known: issuers parsed once, `Anchors` keep the chains they have checked."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self._issuers = tuple(
            Issuer(
                entry.id, Anchors(entry.ca, NIST), frozenset(entry.vcts), frozenset(entry.doctypes),
                entry.status_prefix, signers=opened.trust_list.signers_of(entry),
            )
            for entry in opened.trust_list.issuers
        )  # fmt: skip
        self._as_of = tuple([self._known_of(issuer) for issuer in self._issuers])
        self._moments = sorted(set(self._as_of))
        self._aged: tuple[tuple[Young | None, ...], tuple[Issuer, ...]] = (), self._issuers

    def trusted(self, purpose: Purpose, now: datetime) -> Trusted:
        """For `check.check` and its kin: issuers, every list, what copies must be at this age. Raises STALE_PACK."""
        at = now.timestamp()
        tier_of(purpose, at - self.opened.as_of)
        ages = tuple([_young(as_of, purpose, at) for as_of in self._moments])
        if ages != self._aged[0]:  # the next hour, or another purpose
            by_moment = dict(zip(self._moments, ages, strict=True))
            aged = zip(self._issuers, self._as_of, strict=True)
            self._aged = ages, tuple([replace(issuer, young=by_moment[as_of]) for issuer, as_of in aged])
        return Trusted(self._aged[1], Lists(self.opened, reach(purpose)))

    def standing(self, uri: str | None, purpose: Purpose, now: datetime, heard: datetime | None = None) -> Offline:
        """On what a verdict about a copy with its status at `uri` stands; `heard`: when its issuer itself was last
        heard of it, if that is later than the pack. Raises Refused(STALE_PACK, STATUS_UNKNOWN)."""
        at, opened = now.timestamp(), self.opened
        trust = status = max(0, int(at - opened.as_of))
        if heard is not None:
            status = max(0, int(at - heard.timestamp()))
        elif uri is not None:
            publisher = opened.publisher(uri)
            if publisher is None:
                raise Refused(Code.STATUS_UNKNOWN, "the offline pack has no such status list")
            status = max(0, int(at - publisher.as_of))
        return Offline(tier_of(purpose, max(trust, status)), trust, status)

    def _known_of(self, issuer: Issuer) -> int:
        """How far what is known of this issuer reaches: of its certificates and of its lists."""
        publisher = self.opened.publisher(issuer.status_prefix or "")
        return min(self.opened.as_of, publisher.as_of) if publisher is not None else self.opened.as_of


def _young(as_of: int, purpose: Purpose, at: float) -> Young | None:
    try:
        return Young(as_of, LONGEST) if tier_of(purpose, at - as_of) is Tier.YOUNG else None
    except Refused:
        return NOTHING


class Lists(Mapping[str, Listed]):
    """The pack's status lists by address, each unfolded when it is asked for."""

    def __init__(self, opened: Opened, reach: timedelta) -> None:
        self._opened, self._reach = opened, reach

    def __getitem__(self, uri: str) -> Listed:
        publisher = self._opened.publisher(uri)
        found = self._opened.list(uri)
        if publisher is None or found is None:
            raise KeyError(uri)
        return Listed(found, good_until(publisher, self._reach))

    def __iter__(self) -> Iterator[str]:
        return (uri for publisher in self._opened.statuses for uri in publisher.lists)

    def __len__(self) -> int:
        return sum(len(publisher.lists) for publisher in self._opened.statuses)


def good_until(publisher: Status, reach: timedelta) -> datetime:
    return datetime.fromtimestamp(publisher.as_of, UTC) + reach
