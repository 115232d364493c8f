"""Resident numbers: read in one spelling, made with right check and kind digits, never repeated in an error."""

from __future__ import annotations

from datetime import date

import pytest

from mapae.catalog import parse_country
from mapae.config import country_tree
from mapae.errors import Code, Refused
from mapae.registers.number import check_digit, make_number, parse_number
from mapae.rules import Sex

KOREA = parse_country(country_tree("kr")).number
MARU = parse_country(country_tree("demo")).number


@pytest.mark.parametrize(
    ("birth", "sex", "citizen", "kind"),
    [
        (date(1899, 5, 5), "male", True, "9"), (date(1899, 5, 5), "female", True, "0"),
        (date(1999, 12, 31), "male", True, "1"), (date(1999, 12, 31), "female", True, "2"),
        (date(2000, 1, 1), "male", True, "3"), (date(2000, 1, 1), "female", True, "4"),
        (date(1988, 2, 29), "male", False, "5"), (date(1988, 2, 29), "female", False, "6"),
        (date(2004, 2, 29), "male", False, "7"), (date(2004, 2, 29), "female", False, "8"),
    ],
)  # fmt: skip
def test_the_kind_digit_tells_century_sex_and_citizenship(birth: date, sex: Sex, citizen: bool, kind: str) -> None:
    number = make_number(KOREA, birth, sex, citizen, 12345)
    assert number.written[7] == kind
    assert number.masked == f"{number.written[:8]}******"
    again = parse_number(KOREA, number.written.replace("-", ""))
    assert again == number and again.birth_date == birth and again.sex == sex and again.citizen is citizen


def test_the_check_digit_follows_the_public_rule() -> None:
    # By hand: 2..9 2..5 over 000101-300000 is 5 + 7 + 24 = 36, and 11 - 36 % 11 = 8.
    assert check_digit(KOREA, "0001013000000") == 8
    # A foreigner's counts from 13: 000101-700000 is 5 + 7 + 56 = 68, and 13 - 68 % 11 = 11, of which the last digit.
    assert check_digit(KOREA, "0001017000000") == 1


def test_a_wrong_check_digit_is_refused_only_where_the_pack_says_so() -> None:
    korean = make_number(KOREA, date(1990, 1, 1), "male", True, 7).written
    other = korean[:-1] + str((int(korean[-1]) + 1) % 10)
    assert parse_number(KOREA, other).written == other
    islander = make_number(MARU, date(1990, 1, 1), "male", True, 7).written
    with pytest.raises(Refused) as refused:
        parse_number(MARU, islander[:-1] + str((int(islander[-1]) + 1) % 10))
    assert refused.value.code is Code.MALFORMED


@pytest.mark.parametrize(
    "raw",
    ["", "9001011234", "900101-12345678", "901301-1234567", "900230-1234567", "９00101-1234567", "abcdef-1234567"],
)
def test_what_is_no_number_is_refused_without_repeating_it(raw: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_number(KOREA, raw)
    assert refused.value.code is Code.MALFORMED
    assert not raw or raw not in str(refused.value)


def test_a_number_does_not_show_itself() -> None:
    number = make_number(KOREA, date(1990, 1, 1), "male", True, 7)
    assert number.written not in repr(number) and "90" not in repr(number)


def test_maru_writes_the_whole_year_first_digit_kind() -> None:
    number = make_number(MARU, date(1999, 4, 2), "female", True, 387)
    assert number.written.startswith("119990402/387")
