"""Until when somebody may drive, or act for somebody else; and what a pack may take from such a record."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from mapae.catalog import parse_country
from mapae.config import country_tree
from mapae.entitlements import holds, last_day, value_of
from mapae.errors import Code, Refused
from mapae.rules import Ages

AGES = Ages(adult=19, leap_birthday="03-01")
TODAY, FAR = date(2026, 11, 22), date(2030, 1, 1)


def ward(born: str) -> dict[str, dict[str, str]]:
    return {"ward": {"name": "아이", "birth_date": born}}


def licence(until: str) -> dict[str, dict[str, str]]:
    return {"driving_licence": {"classes": "1종 보통", "valid_until": until}}


@pytest.mark.parametrize(
    ("kind", "records", "holds_today", "end"),
    [
        ("", {}, True, FAR),
        ("ward", {}, False, None),
        ("ward", ward("2018-02-03"), True, FAR),  # the card's own last day comes first
        ("ward", ward("2007-11-23"), True, TODAY),  # of age tomorrow
        ("ward", ward("2007-11-22"), True, FAR),  # of age today, and has a guardian all the same: no end
        ("driving_licence", {}, False, None),
        ("driving_licence", licence("2026-11-22"), True, TODAY),
        ("driving_licence", licence("2026-11-21"), False, date(2026, 11, 21)),
        ("driving_licence", licence("2040-01-01"), True, FAR),
        ("driving_licence", {"driving_licence": {"classes": "2종"}}, True, FAR),
    ],
)
def test_a_record_holds_until_its_last_day(
    kind: str, records: dict[str, dict[str, str]], holds_today: bool, end: date | None
) -> None:
    assert holds(kind, records, AGES, TODAY) is holds_today
    if end is not None:
        assert last_day(kind, records, FAR, AGES, TODAY) == end


@pytest.mark.parametrize(
    ("source", "kind", "code"),
    [
        ("driving_licence.shoe_size", "text", Code.CREDENTIAL_REQUEST_DENIED),
        ("boat_licence.classes", "text", Code.CREDENTIAL_REQUEST_DENIED),
        ("driving_licence.classes", "date", Code.UNAVAILABLE),
    ],
)
def test_what_a_record_does_not_say_is_not_made_up(source: str, kind: str, code: Code) -> None:
    assert value_of("driving_licence.valid_until", licence("2026-11-22"), "date") == TODAY
    with pytest.raises(Refused) as refused:
        value_of(source, licence("2026-11-22"), kind)
    assert refused.value.code is code


@pytest.mark.parametrize(
    ("document", "changes"),
    [
        ("driving_licence", {"record": "boat_licence.classes"}),
        ("driving_licence", {"record": "driving_licence"}),
        ("guardian_card", {"record": "ward.resident_number"}),
        ("resident_card", {"record": "ward.name"}),
    ],
)
def test_a_pack_takes_only_from_the_record_its_document_rests_on(document: str, changes: dict[str, Any]) -> None:
    tree = country_tree("kr")
    claim = tree["credentials"][document]["claims"][0]
    del claim["register"]
    claim |= changes
    with pytest.raises(Refused) as refused:
        parse_country(tree)
    assert refused.value.code is Code.BAD_CONFIG


def test_a_document_rests_on_no_record_but_its_own_or_a_ward() -> None:
    tree = country_tree("kr")
    tree["credentials"]["driving_licence"]["eligibility"]["record"] = "merit_card"
    with pytest.raises(Refused) as refused:
        parse_country(tree)
    assert refused.value.code is Code.BAD_CONFIG
