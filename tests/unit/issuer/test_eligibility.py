"""May this person have a card here, today? Every rule on its boundary day."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from mapae.errors import Code, Refused
from mapae.issuer.eligibility import Eligible, Facts, Ineligible, PhoneState, eligibility, must_be_eligible, terms
from mapae.registers.values import PhysicalCard
from mapae.ui.words import words
from unit.issuer.desk_world import country, person

KR = country()
GOYANG = next(office for office in KR.offices.values() if office.municipality == "goyang")
SEJONG = next(office for office in KR.offices.values() if office.municipality == "sejong")
TODAY = date(2025, 3, 3)
CARD = {"number": "A1", "issued": date(2022, 1, 5), "kind": "plastic"}


def codes(today: date = TODAY, **facts: Any) -> list[Code]:
    who = {name: facts.pop(name) for name in list(facts) if name not in ("office", "phone", "held_until")}
    defaults = {"office": GOYANG, "phone": PhoneState.ACTIVE}
    answer = eligibility("resident_card", Facts(person=person(**who), **(defaults | facts)), today, KR)
    return [] if isinstance(answer, Eligible) else [answer.code, *answer.others]


def test_an_ordinary_citizen_may() -> None:
    assert codes() == []


@pytest.mark.parametrize(
    ("today", "expected"), [(date(2025, 3, 2), [Code.TOO_YOUNG]), (date(2025, 3, 3), []), (date(2025, 3, 4), [])]
)
def test_the_seventeenth_birthday_is_the_first_day(today: date, expected: list[Code]) -> None:
    assert codes(today, birth_date=date(2008, 3, 3)) == expected


@pytest.mark.parametrize(
    ("today", "town", "office", "expected"),
    [
        (date(2024, 12, 26), "goyang", GOYANG, [Code.NOT_STARTED]),
        (date(2024, 12, 27), "goyang", GOYANG, []),
        (date(2025, 2, 7), "goyang", GOYANG, []),
        (date(2025, 2, 7), "goyang", SEJONG, [Code.WRONG_OFFICE]),
        (date(2025, 2, 8), "goyang", SEJONG, []),
    ],
)
def test_the_phases_of_the_pilot(today: date, town: str, office: Any, expected: list[Code]) -> None:
    assert codes(today, municipality=town, office=office) == expected


def test_outside_the_pilot_one_waits_for_the_nationwide_start() -> None:
    elsewhere = next(id for id in KR.municipalities if id not in KR.phases[0].municipalities)
    assert Code.OUTSIDE_PILOT in codes(date(2025, 1, 10), municipality=elsewhere)
    assert codes(date(2025, 2, 8), municipality=elsewhere) == []


@pytest.mark.parametrize(
    ("who", "code"),
    [
        ({"deceased_on": date(2025, 1, 1)}, Code.DECEASED),
        ({"citizen": False}, Code.NOT_A_CITIZEN),
        ({"card": None}, Code.NO_PHYSICAL_CARD),
        ({"card": PhysicalCard(state="lost", **CARD)}, Code.PHYSICAL_CARD_LOST),  # type: ignore[arg-type]
        ({"photo_taken": date(2010, 1, 1)}, Code.RECORD_PHOTO_TOO_OLD),
        ({"phone": PhoneState.NONE}, Code.NO_PHONE),
        ({"phone": PhoneState.WAITING}, Code.PHONE_ALREADY_ACTIVE),
        ({"phone": PhoneState.SUSPENDED}, Code.DEVICE_SUSPENDED),
        ({"held_until": date(2028, 3, 2)}, Code.ALREADY_HOLDS),
    ],
)
def test_each_hindrance_has_its_code_and_words_in_both_languages(who: dict[str, Any], code: Code) -> None:
    assert codes(**who) == [code]
    document = KR.documents["resident_card"]
    for language in ("ko", "en"):
        said = words(language)["desk.why." + code.value].format_map(terms(document))  # type: ignore[arg-type]
        assert said
        assert "{" not in said


def test_renewal_opens_ninety_days_before_the_end() -> None:
    until = date(2028, 3, 2)
    assert codes(date(2027, 12, 2), held_until=until) == [Code.ALREADY_HOLDS]
    assert codes(date(2027, 12, 3), held_until=until) == []
    assert codes(date(2028, 3, 3), held_until=until) == []


def test_every_hindrance_is_named_the_first_one_first() -> None:
    assert codes(deceased_on=date(2025, 1, 1), card=None, phone=PhoneState.NONE) == [
        Code.DECEASED, Code.NO_PHYSICAL_CARD, Code.NO_PHONE,
    ]  # fmt: skip


def test_a_document_of_another_office_is_not_issued_here() -> None:
    answer = eligibility("merit_card", Facts(person=person()), TODAY, KR)
    assert isinstance(answer, Ineligible)
    with pytest.raises(Refused):
        must_be_eligible(answer)
