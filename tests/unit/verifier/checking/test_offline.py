"""What may be believed from a pack, and for how long: the same numbered steps, with no network and nothing changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import msgspec
import pytest

from hands import refuses
from mapae.catalog import Offline as Limits
from mapae.catalog import Purpose
from mapae.errors import Code, Refused, step
from mapae.formats import status
from mapae.trust.pack.verify import Opened, open_pack
from mapae.verifier.checking.check import Format, check
from mapae.verifier.checking.offline import HOUR, Known, Light, Offline, Tier, clock, light, tier_of
from packed import Nation, small
from unit.verifier.world import FORMATS, LIST, NOW, PLACE, STATUS_PREFIX, TODAY, Card, ask, country

both = pytest.mark.parametrize("format", FORMATS)
BAR = country().purposes["alcohol_tobacco"]
CONTRACT = country().purposes["adult_contract"]
PAYMENT = country().purposes["confirm_payment"]
NATION = small()
OPENED = open_pack(NATION.pack(), NATION.pinned)


def verdict(
    format: Format, *, purpose: Purpose = BAR, card: Card | None = None, opened: Opened = OPENED, now: datetime = NOW
) -> str:
    """`accepted`, or step and code."""
    known, asked = Known(opened), ask()
    try:
        with step("issuer"):  # as dark.py does
            trusted = known.trusted(purpose, now)
        check((card or Card()).show(format, asked, at=now), asked, trusted, now)
    except Refused as refused:
        return f"{refused.step}: {refused.code}"
    return "accepted"


def days_on(**parts: float) -> tuple[datetime, Card]:
    """So much later, with a card that lives for 30 days and was issued two days before the pack was made."""
    signed = TODAY - timedelta(days=2)
    return NOW + timedelta(**parts), Card(signed=signed, starts=signed, ends=signed + timedelta(days=30))


# --- all six steps from a pack ----------------------------------------------------------------------------------------


@both
def test_a_card_is_checked_with_no_network_at_all(format: Format) -> None:
    assert verdict(format) == "accepted"


@both
def test_a_revoked_and_a_locked_card_are_refused(format: Format) -> None:
    revoked = Card(reference=status.StatusRef(LIST, 3))
    assert verdict(format, card=revoked) == "standing: revoked"
    nation = small()
    nation.set("list-1", 7, status.SUSPENDED)
    nation.later(seconds=9)
    nation.anchor()
    assert verdict(format, opened=open_pack(nation.pack(), nation.pinned)) == "standing: suspended"


@both
def test_a_signer_that_was_never_entered_or_was_stolen_is_refused(format: Format) -> None:
    nation = small()
    nation.revoke_key(nation.issuer, sha256(nation.authority.leaf).digest(), 3, nation.seconds - 5)
    assert verdict(format, opened=open_pack(nation.pack(), nation.pinned)) == "issuer: signer_revoked"


@both
def test_a_list_the_pack_does_not_have_is_no_list(format: Format) -> None:
    elsewhere = Card(reference=status.StatusRef(STATUS_PREFIX + "list-9", 7))
    assert verdict(format, card=elsewhere) == "standing: status_unknown"
    beyond = Card(reference=status.StatusRef(LIST, 4096))
    assert verdict(format, card=beyond) == "standing: status_unknown"


# --- tiers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hours", "low", "medium", "high"),
    [
        (0, "full", "full", "full"),
        (24, "full", "full", "full"),
        (24.01, "marked", "marked", "-"),
        (168, "marked", "marked", "-"),
        (168.01, "young", "-", "-"),
        (720, "young", "-", "-"),
        (720.01, "-", "-", "-"),
    ],
)
def test_the_tier_follows_age_and_risk(hours: float, low: str, medium: str, high: str) -> None:
    for purpose, wanted in ((BAR, low), (CONTRACT, medium), (PAYMENT, high)):
        if wanted != "-":
            assert tier_of(purpose, hours * HOUR).value == wanted
            continue
        with refuses(Code.STALE_PACK):
            tier_of(purpose, hours * HOUR)


def test_a_purpose_may_be_stricter_than_the_rest() -> None:
    strict = msgspec.structs.replace(BAR, offline=Limits(full=1, marked=2, last=3))
    assert tier_of(strict, 2 * HOUR) is Tier.MARKED
    with refuses(Code.STALE_PACK):
        tier_of(strict, 4 * HOUR)


@both
@pytest.mark.parametrize(
    ("purpose", "days", "said"),
    [
        (BAR, 0.9, "accepted"), (CONTRACT, 0.9, "accepted"), (PAYMENT, 0.9, "accepted"),
        (BAR, 6, "accepted"), (CONTRACT, 6, "accepted"), (PAYMENT, 6, "issuer: stale_pack"),
        (BAR, 20, "accepted"), (CONTRACT, 20, "issuer: stale_pack"),
        (BAR, 31, "issuer: stale_pack"),
    ],
    ids=lambda value: value.id if isinstance(value, Purpose) else str(value),
)  # fmt: skip
def test_a_check_ends_where_its_tier_does(format: Format, purpose: Purpose, days: float, said: str) -> None:
    """The tier is decided before anybody's signature is looked at."""
    now, card = days_on(days=days)
    assert verdict(format, purpose=purpose, card=card, now=now) == said


@both
def test_on_old_data_only_young_copies_count(format: Format) -> None:
    """A copy signed after what the checker knows might be of a key stolen since; one that lives for years tells
    nothing of today."""
    now, card = days_on(days=20)
    assert verdict(format, card=card, now=now) == "accepted"
    after = TODAY + timedelta(days=1)
    new = Card(signed=after, starts=after, ends=after + timedelta(days=30))
    assert verdict(format, card=new, now=now) == "dates: stale_pack"
    long = Card(signed=TODAY - timedelta(days=2), starts=TODAY - timedelta(days=2), ends=TODAY + timedelta(days=200))
    assert verdict(format, card=long, now=now) == "dates: stale_pack"
    assert verdict(format, card=long, now=NOW + timedelta(days=6)) == "accepted"


@both
def test_lists_that_are_old_under_a_fresh_registry_count_as_old(format: Format) -> None:
    """The issuer was dark when the pack was made: its last lists are in it, at their own age."""
    nation = small()
    first = nation.pack()
    nation.dark = True
    nation.later(days=20)
    opened = open_pack(nation.pack(first), nation.pinned)
    assert opened.statuses[0].late
    now = nation.clock.now() + timedelta(minutes=1)
    _, card = days_on()
    assert Known(opened).standing(LIST, BAR, now).tier is Tier.YOUNG
    assert verdict(format, card=card, opened=opened, now=now) == "accepted"
    signed = TODAY + timedelta(days=18)
    new = Card(signed=signed, starts=signed, ends=signed + timedelta(days=30))
    assert verdict(format, card=new, opened=opened, now=now) == "dates: stale_pack"
    assert verdict(format, card=new, opened=opened, now=now, purpose=CONTRACT) == "dates: stale_pack"
    with refuses(Code.STALE_PACK):
        Known(opened).standing(LIST, CONTRACT, now)


def test_both_ages_are_told() -> None:
    now = NOW + timedelta(hours=2)
    told = Known(OPENED).standing(LIST, BAR, now)
    assert told == Offline(Tier.FULL, int(now.timestamp()) - OPENED.as_of, int(now.timestamp()) - OPENED.as_of)
    heard = Known(OPENED).standing(LIST, BAR, now, now - timedelta(seconds=9))
    assert (heard.trust, heard.status) == (told.trust, 9)
    assert PLACE.uri == LIST


def test_every_list_can_be_walked() -> None:
    lists = Known(OPENED).trusted(BAR, NOW).lists
    assert sorted(lists) == [LIST, STATUS_PREFIX + "list-2"] and len(lists) == 2
    assert "http://elsewhere/1" not in lists


# --- the clock --------------------------------------------------------------------------------------------------------


def test_the_clock_is_never_behind_the_newest_cosignature() -> None:
    """A device whose battery died says it is 1970: then every card would be valid and every pack new."""
    died = datetime(1970, 1, 1, tzinfo=UTC)
    assert clock(died, OPENED.newest, 0) == datetime.fromtimestamp(OPENED.newest, UTC)
    assert clock(died, OPENED.newest, OPENED.newest + 50) == datetime.fromtimestamp(OPENED.newest + 50, UTC)
    assert clock(NOW, OPENED.newest, 0) == NOW


def test_the_light_says_how_old_in_four_steps() -> None:
    assert [light(hours * HOUR) for hours in (1, 2, 25, 721)] == [Light.FRESH, Light.HOURS, Light.DAYS, Light.TOO_OLD]


def test_a_nation_without_logged_signers_is_checked_by_its_anchors() -> None:
    nation = Nation(logged=False)
    nation.put_list("list-1", 64)
    nation.anchor()
    assert verdict(Format.SD_JWT, opened=open_pack(nation.pack(), nation.pinned)) == "accepted"
