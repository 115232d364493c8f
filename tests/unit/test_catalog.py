"""The catalogue: packs that tie up, ages on their boundary days, who may have a document."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest

from mapae.ages import adult_by_year, age_on, age_over
from mapae.catalog import (
    REGISTER_FIELDS,
    CardFacts,
    Country,
    Document,
    claim_values,
    expiry_date,
    hindrances,
    next_change,
    parse_country,
    renewal_opens,
)
from mapae.config import country_tree
from mapae.errors import Code, Refused
from mapae.registers.values import ClaimSet, Person, PhysicalCard

TODAY = date(2026, 11, 22)
KOREA = parse_country(country_tree("kr"))
MARU = parse_country(country_tree("demo"))
CARD = KOREA.documents["resident_card"]


def person(**changes: Any) -> Person:
    base = Person(
        person="p", name="한지수", name_latin="Han Jisoo", former_names=(), birth_date=date(2001, 3, 9), sex="female",
        nationality="KOR", citizen=True, number_masked="", municipality="goyang", address="", moved_in=None,
        deceased_on=None, guardian=None,
        card=PhysicalCard(number="1", issued=date(2023, 1, 1), kind="plastic", state="valid"),
        photo_taken=date(2023, 1, 1), photo=b"",
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


def worn(state: str) -> PhysicalCard:
    return PhysicalCard(number="1", issued=date(2023, 1, 1), kind="plastic", state=state)  # type: ignore[arg-type]


# --- the packs --------------------------------------------------------------------------------------------------------


def test_the_korean_pack_holds_the_rules_of_the_programme() -> None:
    pilot = KOREA.phase_on(date(2024, 12, 27))
    assert pilot is not None and len(pilot.municipalities) == 9 and pilot.own_municipality_only
    assert KOREA.phase_on(date(2024, 12, 26)) is None
    assert KOREA.phase_on(date(2025, 2, 7)) == pilot
    nationwide = KOREA.phase_on(date(2025, 2, 8))
    assert nationwide is not None and not nationwide.municipalities
    assert (KOREA.issuance.offer_seconds, KOREA.issuance.batch_size, KOREA.issuance.copy_days) == (180, 10, 30)
    assert (KOREA.identity.code_seconds, KOREA.identity.tries, KOREA.pin.digits, KOREA.pin.tries) == (180, 5, 6, 5)
    assert KOREA.fees["chip"].amount == KOREA.fees["physical_reissue"].amount == 5000
    assert {office.municipality for office in KOREA.offices.values()} >= set(pilot.municipalities)


def test_the_list_of_documents_says_where_and_what_to_bring() -> None:
    assert next(iter(KOREA.documents)) == "resident_card" and len(KOREA.documents) == 7
    for country in (KOREA, MARU):
        for document in country.documents.values():
            assert document.where.ko and document.where.en and document.bring


def test_nobody_may_ask_for_the_resident_number() -> None:
    for country in (KOREA, MARU):
        for document in country.documents.values():
            for claim in document.claims:
                assert not (claim.register == "resident_number" and claim.may_be_asked)


def test_every_register_field_of_a_claim_is_in_the_claim_set() -> None:
    assert set(ClaimSet.__struct_fields__) >= REGISTER_FIELDS


def break_office(tree: dict[str, Any]) -> None:
    tree["country"]["offices"]["sejong_hansol"]["municipality"] = "atlantis"


def break_phase(tree: dict[str, Any]) -> None:
    tree["country"]["phases"][0]["municipalities"] = ["atlantis"]


def break_claim(tree: dict[str, Any]) -> None:
    tree["credentials"]["resident_card"]["claims"][0]["register"] = "shoe_size"


def break_derivation(tree: dict[str, Any]) -> None:
    tree["credentials"]["resident_card"]["claims"][-1]["derive"] = "is_nice"


def two_sources(tree: dict[str, Any]) -> None:
    tree["credentials"]["resident_card"]["claims"][0]["card"] = "issue_date"


def forget_years(tree: dict[str, Any]) -> None:
    del tree["credentials"]["resident_card"]["claims"][-1]["years"]


def claim_twice(tree: dict[str, Any]) -> None:
    claims = tree["credentials"]["resident_card"]["claims"]
    claims.append(claims[0])


def forget_formats(tree: dict[str, Any]) -> None:
    del tree["credentials"]["resident_card"]["formats"]


def over_ask(tree: dict[str, Any]) -> None:
    tree["purposes"]["alcohol_tobacco"]["items"] = ["resident_number"]


def ask_of_nothing(tree: dict[str, Any]) -> None:
    tree["purposes"]["alcohol_tobacco"]["document"] = "library_card"


def shrink_offline(tree: dict[str, Any]) -> None:
    tree["purposes"]["alcohol_tobacco"]["offline"]["marked"] = 12


def offline_for_ever(tree: dict[str, Any]) -> None:
    tree["purposes"]["alcohol_tobacco"]["offline"]["last"] = 721


def carefree(tree: dict[str, Any]) -> None:
    tree["purposes"]["alcohol_tobacco"]["risk"] = "none"


def careless_log_in(tree: dict[str, Any]) -> None:
    tree["purposes"]["log_in"]["risk"] = "low"


def two_log_in_numbers(tree: dict[str, Any]) -> None:
    claims = tree["credentials"]["resident_card"]["claims"]
    claims.append(next(claim for claim in claims if claim["name"] == "login_id") | {"name": "another"})


def misspell(tree: dict[str, Any]) -> None:
    tree["country"]["offices"]["sejong_hansol"]["muncipality"] = "sejong"


def odd_weights(tree: dict[str, Any]) -> None:
    tree["country"]["number"]["weights"] = [1, 2]


def nowhere(tree: dict[str, Any]) -> None:
    tree["country"]["timezone"] = "Asia/Atlantis"


def codeless_text(tree: dict[str, Any]) -> None:
    tree["country"]["identity"]["sms"]["en"] = "hello"


def stray_file(tree: dict[str, Any]) -> None:
    tree["secrets"] = {}


@pytest.mark.parametrize(
    "spoil",
    [break_office, break_phase, break_claim, break_derivation, two_sources, forget_years, claim_twice, forget_formats,
     over_ask, shrink_offline, offline_for_ever, carefree, careless_log_in, two_log_in_numbers, ask_of_nothing,
     misspell, odd_weights, nowhere, codeless_text, stray_file],
)  # fmt: skip
def test_a_pack_that_does_not_tie_up_does_not_load(spoil: Callable[[dict[str, Any]], None]) -> None:
    tree = copy.deepcopy(country_tree("kr"))
    parse_country(tree)
    spoil(tree)
    with pytest.raises(Refused) as refused:
        parse_country(tree)
    assert refused.value.code is Code.BAD_CONFIG


def test_today_is_the_civil_date_of_the_country() -> None:
    late_evening_in_london = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
    assert KOREA.today(late_evening_in_london) == date(2026, 11, 22)
    assert KOREA.today(datetime(2026, 11, 21, 14, 59, 59, tzinfo=UTC)) == date(2026, 11, 21)


# --- ages -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("birth", "today", "of_age", "no_youth"),
    [
        (date(2007, 11, 22), date(2026, 11, 21), False, True),  # the day before the 19th birthday
        (date(2007, 11, 22), date(2026, 11, 22), True, True),  # the birthday
        (date(2007, 12, 31), date(2026, 1, 1), False, True),  # year adult from 1 January
        (date(2007, 12, 31), date(2025, 12, 31), False, False),
        (date(2007, 1, 1), date(2025, 12, 31), False, False),  # one day before both turn
        (date(2007, 1, 1), date(2026, 1, 1), True, True),
        (date(2008, 2, 29), date(2027, 2, 28), False, True),  # 29 February in a common year: 1 March
        (date(2008, 2, 29), date(2027, 3, 1), True, True),
        (date(2004, 2, 29), date(2024, 2, 29), True, True),
    ],
)
def test_the_two_adult_tests_are_right_on_their_boundary_days(
    birth: date, today: date, of_age: bool, no_youth: bool
) -> None:
    assert age_over(birth, 19, today, KOREA.ages.leap_birthday) is of_age
    assert adult_by_year(birth, 19, today) is no_youth


def test_the_pack_decides_when_a_leap_child_gets_older() -> None:
    leap, eve = date(2008, 2, 29), date(2027, 2, 28)
    assert age_on(leap, eve, KOREA.ages.leap_birthday) == 18
    assert age_on(leap, eve, MARU.ages.leap_birthday) == 19


def test_a_copy_ends_before_an_answer_changes() -> None:
    birth = date(2007, 11, 23)
    assert next_change(KOREA, CARD, birth, date(2025, 12, 31)) == date(2026, 1, 1)
    assert next_change(KOREA, CARD, birth, date(2026, 1, 1)) == date(2026, 11, 23)
    assert next_change(KOREA, CARD, birth, date(2026, 11, 22)) == date(2026, 11, 23)
    assert next_change(KOREA, CARD, birth, date(2026, 11, 23)) is None
    assert next_change(KOREA, CARD, date(2008, 2, 29), date(2027, 1, 1)) == date(2027, 3, 1)


def test_another_country_counts_other_ages() -> None:
    card = MARU.documents["islander_card"]
    assert next_change(MARU, card, date(2008, 2, 29), date(2026, 1, 1)) == date(2026, 2, 28)
    assert next_change(MARU, card, date(2008, 2, 29), date(2026, 2, 28)) == date(2073, 2, 28)


def test_a_card_lasts_three_years_to_the_day_before() -> None:
    assert expiry_date(CARD, date(2026, 11, 22)) == date(2029, 11, 21)
    assert expiry_date(CARD, date(2028, 2, 29)) == date(2031, 2, 27)
    assert renewal_opens(CARD, date(2029, 11, 21)) == date(2029, 8, 23)
    with pytest.raises(Refused):
        expiry_date(KOREA.documents["merit_card"], TODAY)


# --- who may have it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ()),
        ({"deceased_on": date(2026, 1, 1)}, (Code.DECEASED,)),
        ({"citizen": False}, (Code.NOT_A_CITIZEN,)),
        ({"birth_date": date(2009, 11, 22)}, ()),
        ({"birth_date": date(2009, 11, 23)}, (Code.TOO_YOUNG,)),
        ({"card": None}, (Code.NO_PHYSICAL_CARD,)),
        ({"card": worn("returned")}, (Code.NO_PHYSICAL_CARD,)),
        ({"card": worn("lost")}, (Code.PHYSICAL_CARD_LOST,)),
        ({"photo_taken": date(2016, 11, 22)}, ()),
        ({"photo_taken": date(2016, 11, 21)}, (Code.RECORD_PHOTO_TOO_OLD,)),
        ({"photo_taken": None}, (Code.RECORD_PHOTO_TOO_OLD,)),
        ({"birth_date": date(2015, 1, 1), "citizen": False, "card": None},
         (Code.NOT_A_CITIZEN, Code.TOO_YOUNG, Code.NO_PHYSICAL_CARD)),
    ],
)  # fmt: skip
def test_hindrances_are_named_the_weightiest_first(changes: dict[str, Any], expected: tuple[Code, ...]) -> None:
    assert hindrances(KOREA, CARD, person(**changes), TODAY) == expected


def test_the_pilot_is_for_residents_at_their_own_centres() -> None:
    during = date(2025, 1, 15)
    own, other = KOREA.offices["goyang_juyeop"], KOREA.offices["sejong_hansol"]
    assert hindrances(KOREA, CARD, person(), date(2024, 12, 26), own) == (Code.NOT_STARTED,)
    assert hindrances(KOREA, CARD, person(), during, own) == ()
    assert hindrances(KOREA, CARD, person(), during, other) == (Code.WRONG_OFFICE,)
    assert hindrances(KOREA, CARD, person(municipality="jeju"), during, own) == (Code.OUTSIDE_PILOT,)
    assert hindrances(KOREA, CARD, person(municipality="jeju"), date(2025, 2, 8), other) == ()


def test_a_document_issued_elsewhere_is_not_issued_here() -> None:
    assert hindrances(KOREA, KOREA.documents["merit_card"], person(), TODAY) == (Code.NOT_STARTED,)


def values(country: Country, document: Document, birth: date) -> dict[str, Any]:
    resident = ClaimSet(
        person="p", name="이름", name_latin="Name", birth_date=birth, sex="male", nationality="KOR",
        citizen=True, deceased_on=None,
        resident_number="000101-3000000", address="어딘가", municipality=next(iter(country.municipalities)),
        portrait=b"jpeg", photo_taken=None,
    )  # fmt: skip
    return claim_values(country, document, resident, CardFacts("N1", TODAY, date(2029, 11, 21), "login"), TODAY)


def test_a_card_says_what_the_register_the_law_and_the_issuer_say() -> None:
    said = values(KOREA, CARD, date(2007, 12, 31))
    assert set(said) == {claim.name for claim in CARD.claims}
    assert said["age_over_19"] is False and said["adult_by_year"] is True
    assert said["issuing_authority"] == "세종특별자치시장" and said["issuing_country"] == "KR"
    assert said["portrait"] == b"jpeg" and said["birth_date"] == date(2007, 12, 31)
    assert said["expiry_date"] == date(2029, 11, 21)
    assert said["login_id"] == "login"


def test_another_country_issues_another_card_with_the_same_code() -> None:
    said = values(MARU, MARU.documents["islander_card"], date(2008, 11, 22))
    assert said["age_over_18"] is True and said["age_over_65"] is False
    assert said["home"] == "어딘가" and said["issued_by"] == "Harbour Council"
    assert hindrances(MARU, MARU.documents["islander_card"], person(municipality="reef", citizen=False), TODAY) == ()


def test_an_unknown_item_is_not_found() -> None:
    assert CARD.claim("name").register == "name"
    with pytest.raises(Refused) as refused:
        CARD.claim("shoe_size")
    assert refused.value.code is Code.NOT_FOUND


@pytest.mark.parametrize("pack", ["kr", "demo"])
def test_the_demo_shops_are_registered_for_purposes_of_their_own_country(pack: str) -> None:
    tree = country_tree(pack)
    purposes = parse_country(tree).purposes
    assert tree["shops"] and all(set(shop["purposes"]) <= set(purposes) for shop in tree["shops"].values())
