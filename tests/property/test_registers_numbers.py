"""Resident numbers and phones have one spelling, whatever is thrown at them."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from mapae.ages import age_over, birthday_in
from mapae.catalog import Ages, next_change, parse_country
from mapae.config import country_tree
from mapae.errors import Code, Refused
from mapae.registers.identity import parse_phone
from mapae.registers.number import make_number, parse_number

KOREA, MARU = parse_country(country_tree("kr")), parse_country(country_tree("demo"))
CARD = KOREA.documents["resident_card"]
DAYS = st.dates(date(1900, 1, 1), date(2099, 12, 31))


@given(DAYS, st.sampled_from(["male", "female"]), st.booleans(), st.integers(0, 99_999))
def test_a_made_number_reads_back(birth: date, sex: str, citizen: bool, serial: int) -> None:
    for scheme in (KOREA.number, MARU.number):
        number = make_number(scheme, birth, sex, citizen, serial)  # type: ignore[arg-type]
        assert parse_number(scheme, number.written) == number
        assert (number.birth_date, number.sex, number.citizen) == (birth, sex, citizen)
        shown = sum(letter.isdigit() for letter in number.masked)
        assert shown == scheme.shown and len(number.masked) == len(number.written)


@given(st.one_of(st.text(max_size=30), st.text("0123456789-", min_size=10, max_size=16)))
def test_any_text_is_a_number_in_its_one_spelling_or_malformed(raw: str) -> None:
    for scheme in (KOREA.number, MARU.number):
        try:
            number = parse_number(scheme, raw)
        except Refused as refused:
            assert refused.code is Code.MALFORMED
        else:
            assert parse_number(scheme, number.written) == number
            assert "".join(filter(str.isdigit, raw)) == "".join(filter(str.isdigit, number.written))


@given(st.one_of(st.text(max_size=30), st.text("0123456789 .-", min_size=9, max_size=16)))
def test_any_text_is_a_phone_in_its_one_spelling_or_malformed(raw: str) -> None:
    try:
        phone = parse_phone("ddd-dddd-dddd", raw)
    except Refused as refused:
        assert refused.code is Code.MALFORMED
    else:
        assert parse_phone("ddd-dddd-dddd", phone) == phone


@given(DAYS, DAYS, st.sampled_from(["02-28", "03-01"]))
def test_ages_only_grow_and_change_on_the_day_they_say(birth: date, today: date, leap: str) -> None:
    ages = Ages(adult=19, leap_birthday=leap)  # type: ignore[arg-type]
    turning = birthday_in(birth, birth.year + 19, ages.leap_birthday)
    assert age_over(birth, 19, today, ages.leap_birthday) is (today >= turning)


@given(DAYS, DAYS)
def test_no_answer_changes_before_the_next_change(birth: date, today: date) -> None:
    change = next_change(KOREA, CARD, birth, today)

    def answers(day: date) -> tuple[bool, bool]:
        return age_over(birth, 19, day, KOREA.ages.leap_birthday), day.year - birth.year >= 19

    if change is None:
        assert answers(today) == (True, True)
        return
    assert change > today
    last_day = date.fromordinal(change.toordinal() - 1)
    assert answers(today) == answers(last_day) != answers(change)
