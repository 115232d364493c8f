"""People who do not exist: a generator of plausible residents, and the named people of the demo country.

Promises: the same seed and day give the same people, one at a time in constant memory, no two with the same resident
number or phone. Trusts: the pack's `generator.toml` and `people.toml`. Keeps: nothing. Refuses: a pack whose people do
not tie up, with BAD_CONFIG. Nobody here is real: numbers are made, phones lie in a range no carrier assigns.
"""

from __future__ import annotations

import calendar
import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate
from math import gcd
from typing import Any, TypeVar

import msgspec

from ..ages import age_on
from ..catalog import Country
from ..errors import Code, Refused
from ..rules import Data, Sex, Words
from .number import make_number
from .values import CardKind, CardState, PhysicalCard, Resident, ResidentNumber

T = TypeVar("T")


class GivenNames(Data, frozen=True):
    sex: Sex
    born_from: int
    born_to: int
    names: tuple[tuple[str, str], ...]


class Foreigners(Data, frozen=True):
    nationality: str
    weight: int
    family: tuple[str, ...]
    male: tuple[str, ...]
    female: tuple[str, ...]


class GeneratorRules(Data, frozen=True):
    """`generator.toml`: what made-up people are made of."""

    nationality: str
    family_names: tuple[tuple[str, str, int], ...]
    given_names: tuple[GivenNames, ...]
    name_format: str
    latin_format: str
    streets: tuple[str, ...]
    address_format: str
    phone_layout: str
    """A range no carrier assigns; each # is a digit of the generator's."""
    age_bands: tuple[tuple[int, int, int], ...]
    """First age, last age, weight of one birth year."""
    foreigners: tuple[Foreigners, ...]
    foreign_permille: int
    card_age: int
    chip_since: date
    lost_permille: int
    without_card_permille: int
    card_years: int
    """Physical cards are at most this old."""


class NamedCard(Data, frozen=True):
    issued: str
    kind: CardKind = "plastic"
    state: CardState = "valid"
    photo: str = ""
    """When the photo on record was taken; empty: when the card was issued."""


class NamedPerson(Data, frozen=True):
    """One entry of `people.toml`. Days may be relative: `today-17y`, `dec31-19y`, `today-19y+1d`."""

    key: str
    name: str
    name_latin: str
    sex: Sex
    born: str
    municipality: str
    odd: Words
    phones: tuple[str, ...] = ()
    card: NamedCard | None = None
    nationality: str = ""
    """Empty: a citizen."""
    former_names: tuple[str, ...] = ()
    guardian: str = ""
    deceased: str = ""
    moved_in: str = ""
    face: str = ""
    """Who shares a face with whom; empty: a face of one's own."""
    documents: dict[str, str] = {}
    """Kind and number of other documents in the person's purse."""
    records: dict[str, dict[str, str]] = {}
    """What their registers say besides; days may be relative."""
    story: str = ""
    """What the demo does with this person's wallet: locked, expired, renewal, waiting, held; empty: nothing."""


@dataclass(frozen=True, slots=True)
class Named:
    """A named person of the demo country, ready for the register."""

    key: str
    odd: Words
    story: str
    resident: Resident


@dataclass(frozen=True, slots=True)
class People:
    """A country's made-up people. The first named one is the citizen of the happy path."""

    country: Country
    rules: GeneratorRules
    named_rules: tuple[NamedPerson, ...]

    def residents(self, *, count: int, seed: str | int, today: date) -> Iterator[Resident]:
        """`count` plausible residents; the same arguments give the same people."""
        crowd = _Crowd(self.country, self.rules, str(seed), today)
        return (crowd.resident(at) for at in range(count))

    def named(self, today: date) -> tuple[Named, ...]:
        numbers = {person.key: _named_number(self.country, person, today) for person in self.named_rules}
        found = []
        for at, person in enumerate(self.named_rules):
            resident = _named_resident(self, person, numbers, at, today)
            found.append(Named(person.key, person.odd, person.story, resident))
        return tuple(found)


def parse_people(tree: Mapping[str, Any], country: Country) -> People:
    """Read `generator.toml` and `people.toml` of a pack. Raises Refused(BAD_CONFIG) naming what is wrong."""
    try:
        rules = msgspec.convert(tree.get("generator", {}), GeneratorRules)
        named = msgspec.convert(tree.get("people", {}).get("people", []), tuple[NamedPerson, ...])
    except msgspec.ValidationError as error:
        raise Refused(Code.BAD_CONFIG, f"people of the pack: {error}") from None
    keys = {person.key for person in named}
    if len(keys) != len(named):
        raise Refused(Code.BAD_CONFIG, "people of the pack: two share a key")
    for person in named:
        if person.municipality not in country.municipalities or (person.guardian and person.guardian not in keys):
            raise Refused(Code.BAD_CONFIG, f"people of the pack: {person.key} lives nowhere or has no such guardian")
    return People(country, rules, named)


# --- the named ones ---------------------------------------------------------------------------------------------------

_STEP = re.compile(r"([+-])(\d+)([ymd])")
_DAY = re.compile(r"(today|jan1|dec31|\d{4}-\d{2}-\d{2})((?:[+-]\d+[ymd])*)")


def day_of(text: str, today: date) -> date:
    """`today-17y`, `dec31-19y`, `2001-03-09`, with further steps such as `+1d`, read from left to right.

    A 29 February that a step lands on in a common year becomes the 28th. Raises Refused(BAD_CONFIG).
    """
    match = _DAY.fullmatch(text)
    if match is None:
        raise Refused(Code.BAD_CONFIG, "a day of the pack is not like today-17y+1d or 2001-03-09")
    starts = {"today": today, "jan1": date(today.year, 1, 1), "dec31": date(today.year, 12, 31)}
    day = starts[match[1]] if match[1] in starts else date.fromisoformat(match[1])
    for sign, amount, unit in _STEP.findall(match[2]):
        steps = int(sign + amount)
        day = day + timedelta(days=steps) if unit == "d" else _add_months(day, steps * (12 if unit == "y" else 1))
    return day


def _add_months(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _named_number(country: Country, person: NamedPerson, today: date) -> ResidentNumber:
    serial = _Picks("named", person.key).below(100_000)
    return make_number(country.number, day_of(person.born, today), person.sex, not person.nationality, serial)


def _named_resident(
    people: People, person: NamedPerson, numbers: Mapping[str, ResidentNumber], at: int, today: date
) -> Resident:
    rules, picks = people.rules, _Picks("named", person.key, "more")
    card = photo_taken = None
    if person.card is not None:
        issued = day_of(person.card.issued, today)
        card = PhysicalCard(
            number=_card_number(picks), issued=issued, kind=person.card.kind, state=person.card.state
        )  # fmt: skip
        photo_taken = day_of(person.card.photo, today) if person.card.photo else issued
    return Resident(
        number=numbers[person.key],
        name=person.name,
        name_latin=person.name_latin,
        former_names=person.former_names,
        nationality=person.nationality or rules.nationality,
        municipality=person.municipality,
        address=_address(people.country, rules, person.municipality, picks),
        moved_in=day_of(person.moved_in, today) if person.moved_in else None,
        deceased_on=day_of(person.deceased, today) if person.deceased else None,
        guardian=numbers[person.guardian] if person.guardian else None,
        card=card,
        photo_taken=photo_taken,
        photo_seed=f"named {person.face or person.key}" if photo_taken is not None else "",
        phones=person.phones or (_spell(rules.phone_layout, at),),
        documents=tuple(person.documents.items()),
        records={
            kind: {field: day_of(text, today).isoformat() if _DAY.fullmatch(text) else text
                   for field, text in record.items()}
            for kind, record in person.records.items()
        },
    )  # fmt: skip


# --- the crowd --------------------------------------------------------------------------------------------------------

RESERVED_PHONES = 1000  # the first of the range are for named people


class _Picks:
    """Choices drawn from one hash: cheap, repeatable, and of one person only."""

    __slots__ = ("_left",)

    def __init__(self, *of: str) -> None:
        self._left = int.from_bytes(hashlib.blake2b("|".join(of).encode()).digest(), "big")

    def below(self, limit: int) -> int:
        """512 bits last for all the choices one person needs; the bias of a remainder does not matter for a crowd."""
        self._left, pick = divmod(self._left, limit)
        return pick

    def one(self, items: Sequence[T]) -> T:
        return items[self.below(len(items))]


class _Weighted:
    __slots__ = ("_items", "_sums")

    def __init__(self, items: Sequence[tuple[Any, int]]) -> None:
        self._items = [item for item, _ in items]
        self._sums = list(accumulate(weight for _, weight in items))

    def pick(self, picks: _Picks) -> Any:
        return self._items[bisect_right(self._sums, picks.below(self._sums[-1]))]


class _Crowd:
    """Person number `at` of the crowd, computed from nothing but the seed, the day and the pack.

    Resident numbers cannot collide: (birth date, serial) is a slot, each birth date has as many slots as its age
    group weighs, and a stride coprime to their number visits every slot once.
    """

    def __init__(self, country: Country, rules: GeneratorRules, seed: str, today: date) -> None:
        self._country, self._rules, self._seed, self._today = country, rules, seed, today
        self._serials = 10 ** country.number.layout.count("s")
        heaviest = max(weight for _, _, weight in rules.age_bands)
        bands = []
        for first, last, weight in sorted(rules.age_bands):
            start, end = _add_months(today, -12 * (last + 1)) + timedelta(days=1), _add_months(today, -12 * first)
            bands.append((start, (end - start).days + 1, self._serials * weight // heaviest))
        self._bands = bands
        self._starts = list(accumulate((days * slots for _, days, slots in bands), initial=0))
        self._slots = self._starts.pop()
        picks = _Picks("crowd", seed)
        self._offset = picks.below(self._slots)
        self._stride = _coprime(int(self._slots * 0.6180339887) + picks.below(1000), self._slots)
        self._phones = 10 ** rules.phone_layout.count("#") - RESERVED_PHONES
        self._phone_stride = _coprime(int(self._phones * 0.6180339887), self._phones)
        self._family = _Weighted([((native, latin), weight) for native, latin, weight in rules.family_names])
        self._towns = _Weighted([(id, town.weight) for id, town in country.municipalities.items()])
        self._foreign = _Weighted([(group, group.weight) for group in rules.foreigners])
        self._given: dict[tuple[Sex, int], list[tuple[str, str]]] = {}

    def resident(self, at: int) -> Resident:
        rules, picks = self._rules, _Picks("resident", self._seed, str(at))
        birth, serial = self._slot(at)
        sex: Sex = "male" if picks.below(2) else "female"
        foreign = self._foreign.pick(picks) if rules.foreigners and picks.below(1000) < rules.foreign_permille else None
        number = make_number(self._country.number, birth, sex, foreign is None, serial)
        name, latin = self._foreign_name(foreign, sex, picks) if foreign else self._name(birth, sex, picks)
        town = self._towns.pick(picks)
        card = self._card(birth, picks) if foreign is None else None
        return Resident(
            number=number,
            name=name,
            name_latin=latin,
            nationality=foreign.nationality if foreign else rules.nationality,
            municipality=town,
            address=_address(self._country, rules, town, picks),
            card=card,
            photo_taken=card.issued if card is not None else None,
            photo_seed=f"{self._seed} {at}" if card is not None else "",
            phones=(_spell(rules.phone_layout, RESERVED_PHONES + at * self._phone_stride % self._phones),),
        )

    def _slot(self, at: int) -> tuple[date, int]:
        place = (self._offset + at * self._stride) % self._slots
        band = bisect_right(self._starts, place) - 1
        start, _, slots = self._bands[band]
        day, slot = divmod(place - self._starts[band], slots)
        return start + timedelta(days=day), slot * 61_807 % self._serials if self._serials > 1 else 0

    def _name(self, birth: date, sex: Sex, picks: _Picks) -> tuple[str, str]:
        family, family_latin = self._family.pick(picks)
        given, given_latin = picks.one(self._names_of(sex, birth.year))
        return (
            self._rules.name_format.format(family=family, given=given),
            self._rules.latin_format.format(family=family_latin, given=given_latin),
        )

    def _names_of(self, sex: Sex, year: int) -> list[tuple[str, str]]:
        if (sex, year) not in self._given:
            groups = [group for group in self._rules.given_names if group.sex == sex]
            fitting = [group for group in groups if group.born_from <= year <= group.born_to] or groups
            self._given[sex, year] = [name for group in fitting for name in group.names]
        return self._given[sex, year]

    def _foreign_name(self, group: Foreigners, sex: Sex, picks: _Picks) -> tuple[str, str]:
        given = picks.one(group.male if sex == "male" else group.female)
        name = f"{picks.one(group.family)} {given}"
        return name.upper(), name

    def _card(self, birth: date, picks: _Picks) -> PhysicalCard | None:
        rules, today = self._rules, self._today
        if age_on(birth, today, "02-28") < rules.card_age or picks.below(1000) < rules.without_card_permille:
            return None
        earliest = max(_add_months(birth, 12 * rules.card_age), _add_months(today, -12 * rules.card_years))
        issued = earliest + timedelta(days=picks.below((today - earliest).days + 1))
        lost = picks.below(1000) < rules.lost_permille
        chip = issued >= rules.chip_since and picks.below(3) == 0
        return PhysicalCard(
            number=_card_number(picks),
            issued=issued,
            kind="chip" if chip else "plastic",
            state="lost" if lost else "valid",
        )


def _coprime(wanted: int, to: int) -> int:
    while gcd(wanted, to) != 1:
        wanted += 1
    return wanted


def _card_number(picks: _Picks) -> str:
    """Nine digits: what the machine readable zone of a card has room for (ICAO Doc 9303-5 4.2.2)."""
    return f"{picks.below(10**10):010d}"[:9]


def _spell(layout: str, number: int) -> str:
    digits = iter(f"{number:0{layout.count('#')}d}")
    return "".join(next(digits) if letter == "#" else letter for letter in layout)


def _address(country: Country, rules: GeneratorRules, town: str, picks: _Picks) -> str:
    place = country.municipalities[town].address.pick(country.languages[0])
    return rules.address_format.format(
        place=place,
        street=picks.one(rules.streets),
        house=1 + picks.below(240),
        block=101 + picks.below(18),
        flat=(1 + picks.below(22)) * 100 + 1 + picks.below(6),
    )
