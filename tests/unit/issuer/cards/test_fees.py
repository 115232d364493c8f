"""Who may apply for a physical card, what it costs, and how old its photo may be."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest

from mapae.catalog import Country, parse_country
from mapae.config import country_tree
from mapae.errors import Code, Refused
from mapae.issuer.cards.fees import Channel, Due, Why, due, must_be_entitled, must_be_new, photo_since
from mapae.registers.values import Person, PhysicalCard
from mapae.rules import Fee, FreeCard, Words

TODAY = date(2026, 3, 2)
PILOT = date(2025, 1, 10)
WORDS = Words(ko="무료", en="Free")


@pytest.fixture(scope="module")
def kr() -> Country:
    return parse_country(country_tree("kr"))


def _person(**changes: object) -> Person:
    card = PhysicalCard(number="123456789", issued=date(2020, 1, 1), kind="plastic", state="valid")
    person = Person(
        person="p", name="한지수", name_latin="Han Jisoo", former_names=(), birth_date=date(2001, 3, 9), sex="female",
        nationality="KOR", citizen=True, number_masked="010309-4******", municipality="goyang", address="…",
        moved_in=None, deceased_on=None, guardian=None, card=card, photo_taken=date(2026, 1, 1), photo=b"",
    )  # fmt: skip
    return msgspec.structs.replace(person, **changes)


def _refused(kr: Country, person: Person, why: Why = Why.REISSUE, channel: Channel = Channel.DESK, today: date = TODAY):
    with pytest.raises(Refused) as refused:
        must_be_entitled(kr, person, why, channel, today, None)
    return refused.value.code


def test_a_reissue_costs_the_cards_two_fees_and_a_first_card_nothing(kr: Country):
    born = date(2001, 3, 9)
    assert due(kr, born, Why.REISSUE, TODAY) == Due(Fee(amount=10000, currency="KRW"))
    assert due(kr, born, Why.LOST, TODAY).fee.amount == 10000
    assert due(kr, date(2009, 3, 2), Why.FIRST, TODAY) == Due(Fee(amount=0, currency="KRW"), 0)


@pytest.mark.parametrize(
    ("rule", "free"),
    [
        pytest.param(FreeCard(reason=WORDS, born_from=date(2001, 3, 9), born_to=date(2001, 3, 9)), True, id="on-both"),
        pytest.param(FreeCard(reason=WORDS, born_from=date(2001, 3, 10)), False, id="born-before"),
        pytest.param(FreeCard(reason=WORDS, born_to=date(2001, 3, 8)), False, id="born-after"),
        pytest.param(FreeCard(reason=WORDS, until=TODAY), True, id="last-day"),
        pytest.param(FreeCard(reason=WORDS, until=date(2026, 3, 1)), False, id="day-after"),
        pytest.param(FreeCard(reason=WORDS, first_only=True), False, id="not-first"),
    ],
)
def test_a_rule_spares_the_fee_within_its_dates_only(kr: Country, rule: FreeCard, free: bool):
    assert kr.chip is not None
    changed = msgspec.structs.replace(kr, chip=msgspec.structs.replace(kr.chip, free=(rule,)))
    assert (due(changed, date(2001, 3, 9), Why.REISSUE, TODAY).fee.amount == 0) is free


def test_a_first_card_no_rule_spares_costs_the_chip_alone(kr: Country):
    assert kr.chip is not None
    without = msgspec.structs.replace(kr, chip=msgspec.structs.replace(kr.chip, free=()))
    assert due(without, date(2009, 3, 2), Why.FIRST, TODAY).fee.amount == 5000


def test_an_ordinary_citizen_may_apply_at_the_desk_and_online(kr: Country):
    for channel in Channel:
        must_be_entitled(kr, _person(), Why.REISSUE, channel, TODAY, None)
        must_be_entitled(kr, _person(), Why.LOST, channel, TODAY, None)
    must_be_entitled(kr, _person(card=None), Why.FIRST, Channel.DESK, TODAY, None)


def test_who_may_not_apply_is_told_why(kr: Country):
    assert _refused(kr, _person(deceased_on=date(2026, 1, 1))) is Code.DECEASED
    assert _refused(kr, _person(citizen=False)) is Code.NOT_A_CITIZEN
    assert _refused(kr, _person(birth_date=date(2009, 3, 3), card=None), Why.FIRST) is Code.TOO_YOUNG
    must_be_entitled(kr, _person(birth_date=date(2009, 3, 2), card=None), Why.FIRST, Channel.DESK, TODAY, None)


def test_the_reason_must_fit_the_card_the_register_knows(kr: Country):
    lost = PhysicalCard(number="123456789", issued=date(2020, 1, 1), kind="plastic", state="lost")
    assert _refused(kr, _person(), Why.FIRST) is Code.CONFLICT
    assert _refused(kr, _person(card=None)) is Code.NO_PHYSICAL_CARD
    assert _refused(kr, _person(card=lost)) is Code.PHYSICAL_CARD_LOST
    must_be_entitled(kr, _person(card=lost), Why.LOST, Channel.DESK, TODAY, None)
    assert _refused(kr, _person(card=None), Why.FIRST, Channel.PORTAL) is Code.NOT_ALLOWED


def test_online_applications_begin_with_the_nationwide_start(kr: Country):
    assert _refused(kr, _person(), today=date(2024, 12, 1)) is Code.NOT_STARTED
    assert _refused(kr, _person(), channel=Channel.PORTAL, today=PILOT) is Code.NOT_STARTED
    assert _refused(kr, _person(municipality="jongno"), today=PILOT) is Code.OUTSIDE_PILOT
    must_be_entitled(kr, _person(), Why.REISSUE, Channel.DESK, PILOT, None)


def test_a_country_without_chip_rules_has_no_such_card():
    maru = parse_country(country_tree("demo"))
    with pytest.raises(Refused) as refused:
        due(maru, date(2001, 3, 9), Why.REISSUE, TODAY)
    assert refused.value.code is Code.NOT_STARTED


@pytest.mark.parametrize(
    ("today", "first"),
    [
        (date(2026, 3, 2), date(2025, 9, 2)),
        (date(2026, 8, 31), date(2026, 2, 28)),
        (date(2024, 8, 30), date(2024, 2, 29)),
        (date(2026, 1, 1), date(2025, 7, 1)),
    ],
    ids=str,
)
def test_a_photo_serves_for_six_calendar_months(kr: Country, today: date, first: date):
    assert photo_since(kr, today) == first
    must_be_new(kr, first, today)
    must_be_new(kr, today, today)
    for taken, code in (
        (date.fromordinal(first.toordinal() - 1), Code.RECORD_PHOTO_TOO_OLD),
        (date.fromordinal(today.toordinal() + 1), Code.MALFORMED),
        (None, Code.RECORD_PHOTO_TOO_OLD),
    ):
        with pytest.raises(Refused) as refused:
            must_be_new(kr, taken, today)
        assert refused.value.code is code
