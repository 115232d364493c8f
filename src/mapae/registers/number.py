"""Resident numbers after the country's scheme: read, made, masked.

Promises: a `ResidentNumber` fits the layout, has a real birth date and a known century-and-sex digit, and a right
check digit where the pack enforces it. Trusts: the scheme of the pack. Keeps: nothing. Refuses: everything else with
MALFORMED, in words that never repeat the number.
"""

from __future__ import annotations

from datetime import date

from ..errors import Code, Refused
from ..rules import NumberScheme, Sex
from .values import ResidentNumber


def parse_number(scheme: NumberScheme, raw: str) -> ResidentNumber:
    """Read a number with or without its separators.

    1 length and digits  2 kind digit  3 birth date  4 check digit, where enforced
    """
    separators = {letter for letter in scheme.layout if not letter.isalpha()}
    digits = "".join(letter for letter in raw.strip() if letter not in separators)
    places = [letter for letter in scheme.layout if letter.isalpha()]
    if len(digits) != len(places) or not (digits.isascii() and digits.isdecimal()):
        raise Refused(Code.MALFORMED, f"the resident number has {len(places)} digits")
    part = {letter: "".join(d for d, p in zip(digits, places, strict=True) if p == letter) for letter in set(places)}
    kind = scheme.kinds.get(part["k"])
    if kind is None:
        raise Refused(Code.MALFORMED, "the resident number has an unknown kind digit")
    year = int(part["y"]) if len(part["y"]) == 4 else kind.century + int(part["y"])
    try:
        birth_date = date(year, int(part["m"]), int(part["d"]))
    except ValueError:
        raise Refused(Code.MALFORMED, "the resident number holds no real birth date") from None
    if scheme.check_enforced and int(part["c"]) != check_digit(scheme, digits):
        raise Refused(Code.MALFORMED, "the resident number has a wrong check digit")
    return ResidentNumber(
        written=_written(scheme, digits),
        masked=_written(scheme, digits[: scheme.shown] + "*" * (len(digits) - scheme.shown)),
        birth_date=birth_date,
        sex=kind.sex,
        citizen=kind.citizen,
    )


def make_number(scheme: NumberScheme, birth_date: date, sex: Sex, citizen: bool, serial: int) -> ResidentNumber:
    """The number of a fictional person, with the right kind and check digit.

    Raises Refused(MALFORMED) when the scheme has no kind digit for such a person.
    """
    places = [letter for letter in scheme.layout if letter.isalpha()]
    kind = kind_digit(scheme, birth_date, sex, citizen)
    year = f"{birth_date.year:04d}"[-places.count("y") :]
    room = places.count("s")
    parts = {
        "y": iter(year),
        "m": iter(f"{birth_date.month:02d}"),
        "d": iter(f"{birth_date.day:02d}"),
        "k": iter(kind),
        "s": iter(f"{serial % 10**room:0{room}d}" if room else ""),
        "c": iter("0"),
    }
    digits = "".join(next(parts[letter]) for letter in places)
    at = places.index("c")
    return parse_number(scheme, digits[:at] + str(check_digit(scheme, digits)) + digits[at + 1 :])


def kind_digit(scheme: NumberScheme, birth_date: date, sex: Sex, citizen: bool) -> str:
    """Where the layout writes the year in full, the kind digit says nothing about the century."""
    full_year, century = scheme.layout.count("y") == 4, birth_date.year // 100 * 100
    for digit, kind in scheme.kinds.items():
        if (kind.sex, kind.citizen) == (sex, citizen) and (full_year or kind.century == century):
            return digit
    raise Refused(Code.MALFORMED, "the scheme has no number for such a person")


def check_digit(scheme: NumberScheme, digits: str) -> int:
    """The digit that belongs at `c`: weights over all other digits, in order."""
    places = [letter for letter in scheme.layout if letter.isalpha()]
    others = [int(digit) for digit, place in zip(digits, places, strict=True) if place != "c"]
    total = sum(weight * digit for weight, digit in zip(scheme.weights, others, strict=True))
    kind = scheme.kinds[digits[places.index("k")]]
    return (kind.check_from - total % scheme.modulus) % 10


def _written(scheme: NumberScheme, digits: str) -> str:
    rest = iter(digits)
    return "".join(next(rest) if letter.isalpha() else letter for letter in scheme.layout)
