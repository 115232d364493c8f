"""How old somebody is: by the civil calendar, never by 365.25 days."""

from __future__ import annotations

from datetime import date
from typing import Literal

LeapBirthday = Literal["02-28", "03-01"]


def birthday_in(birth: date, year: int, leap_birthday: LeapBirthday) -> date:
    """The day in `year` from whose first minute on one is a year older."""
    try:
        return birth.replace(year=year)
    except ValueError:  # 29 February in a common year: the pack says which day the law takes
        month, day = leap_birthday.split("-")
        return date(year, int(month), int(day))


def age_on(birth: date, today: date, leap_birthday: LeapBirthday) -> int:
    """Whole years by the civil calendar (Korean Civil Act articles 158 and 160: the day of birth counts)."""
    return today.year - birth.year - (today < birthday_in(birth, today.year, leap_birthday))


def age_over(birth: date, years: int, today: date, leap_birthday: LeapBirthday) -> bool:
    return age_on(birth, today, leap_birthday) >= years


def adult_by_year(birth: date, years: int, today: date) -> bool:
    """Korean Youth Protection Act article 2: from 1 January of the year in which one turns `years`."""
    return today.year - birth.year >= years


def years_after(day: date, years: int) -> date:
    return birthday_in(day, day.year + years, "02-28")
