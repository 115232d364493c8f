"""The machine readable zone of a card of size TD1 (Doc 9303-3 4, Doc 9303-5 4.2): three lines of thirty.

Promises: `parse(x).encode() == x`. Trusts: nobody. Keeps: nothing. Refuses: wrong check digits, other letters than A to
Z, dates that are none, anything in the fields that a country may fill as it likes: this profile leaves them empty.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from typing import Final, Self

from mapae.errors import Code, Refused

_WORTH: Final = {c: i for i, c in enumerate("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")} | {"<": 0}
_LINES: Final = re.compile(
    r"(?P<code>[ACI][A-Z<])(?P<state>[A-Z<]{3})(?P<number>[A-Z0-9<]{9})[0-9]<{15}"
    r"(?P<birth>[0-9]{6})[0-9](?P<sex>[MF<])(?P<expires>[0-9]{6})[0-9](?P<nationality>[A-Z<]{3})<{11}[0-9]"
    r"(?P<names>[A-Z<]{30})"
)
_NAMES: Final = 30
_NAME: Final = re.compile("[A-Z]+(<[A-Z]+)*")
# Doc 9303-3 6 A: what has no base letter to fall back on
_LETTERS: Final = str.maketrans(
    {"Æ": "AE", "Œ": "OE", "Ø": "OE", "Å": "AA", "Ä": "AE", "Ö": "OE", "Ü": "UE", "ẞ": "SS", "ß": "SS", "Þ": "TH",
     "Ð": "D", "Đ": "D", "Ł": "L", "Ħ": "H", "Ŧ": "T", "Ŋ": "N", "ı": "I", "İ": "I", "'": "", "’": "", ".": "",
     "-": " "}
)  # fmt: skip


def check_digit(field: str) -> str:
    """Doc 9303-3 4.9: weights 7, 3, 1."""
    return str(sum(_WORTH[letter] * (7, 3, 1)[at % 3] for at, letter in enumerate(field)) % 10)


@dataclass(frozen=True, slots=True)
class Mrz:
    state: str
    """Who issued the card: ISO 3166-1 alpha-3, or UTO."""
    number: str
    birth: str
    """YYMMDD; which century is said in DG11."""
    sex: str
    """M, F, or < for not said."""
    expires: str
    nationality: str
    surname: str
    given: str
    """A to Z, parts of a name apart by one <. May be empty."""
    code: str = "I"

    @classmethod
    def of(
        cls, *, state: str, number: str, birth: date, sex: str, expires: date, nationality: str, name_latin: str
    ) -> Self:
        """`sex`: male, female or anything else. `name_latin`: "Hong Gildong", or "Garcia Lopez, Maria Jose"."""
        surname, given = names(name_latin)
        if not re.fullmatch("[A-Za-z0-9]{1,9}", number):
            raise Refused(Code.CHIP_REFUSED, "a card's number has one to nine letters and digits")
        made = cls(
            state.upper(), number.upper(), birth.strftime("%y%m%d"), {"male": "M", "female": "F"}.get(sex, "<"),
            expires.strftime("%y%m%d"), nationality.upper(), surname, given,
        )  # fmt: skip
        return cls.parse(made.encode())

    def encode(self) -> str:
        """The three lines, one behind the other: 90 letters."""
        number, name = self.number.ljust(9, "<"), f"{self.surname}<<{self.given}" if self.given else self.surname
        first = self.code.ljust(2, "<") + self.state.ljust(3, "<") + number + check_digit(number) + "<" * 15
        born, until = self.birth + check_digit(self.birth), self.expires + check_digit(self.expires)
        # Doc 9303-5 4.2.4: the first line from its sixth letter on, the second but for sex and nationality
        composite = check_digit(first[5:] + born + until + "<" * 11)
        second = born + self.sex + until + self.nationality.ljust(3, "<") + "<" * 11 + composite
        return first + second + name.ljust(_NAMES, "<")

    @classmethod
    def parse(cls, text: str) -> Self:
        match = _LINES.fullmatch(text)
        if match is None:
            raise Refused(Code.CHIP_REFUSED, "the machine readable zone is not of a card of this profile")
        field = match.groupdict()
        surname, _, given = field.pop("names").rstrip("<").partition("<<")
        rest = {name: value.rstrip("<") if name != "sex" else value for name, value in field.items()}
        made = cls(surname=surname, given=given, **rest)
        for day in (made.birth, made.expires):
            _must_be_day(day)
        apart = "<" in made.code + made.state + made.number + made.nationality  # fillers stand behind, not between
        named = _NAME.fullmatch(surname) and (not given or _NAME.fullmatch(given))
        if not named or not made.number or apart or made.encode() != text:
            raise Refused(Code.CHIP_REFUSED, "a check digit or a name of the machine readable zone is wrong")
        return made


def names(latin: str) -> tuple[str, str]:
    """Surname and given names as the zone has them. The first word is the surname, unless a comma says otherwise."""
    surname, comma, given = latin.partition(",")
    if not comma:
        surname, _, given = latin.strip().partition(" ")
    first, second = _romanised(surname), _romanised(given)
    if not first:
        raise Refused(Code.CHIP_REFUSED, "there is no name to write in the machine readable zone")
    # Doc 9303-5 4.2.3: a name too long is cut, and some of each part stays
    first = first[: _NAMES - 3 if second else _NAMES].rstrip("<")
    return first, second[: _NAMES - 2 - len(first)].rstrip("<")


def _romanised(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.upper().translate(_LETTERS))
    words = "".join(letter for letter in plain if not unicodedata.combining(letter)).split()
    text = "<".join(words)
    if not re.fullmatch("[A-Z<]*", text):
        raise Refused(Code.CHIP_REFUSED, "a name has letters with no romanisation here")
    return text


def _must_be_day(text: str) -> None:
    """A day of some century: 29 February as well."""
    try:
        date(2000 + int(text[:2]), int(text[2:4]), int(text[4:]))
    except ValueError:
        if text[2:] != "0229":
            raise Refused(Code.CHIP_REFUSED, "a date of the machine readable zone is none") from None
