"""Generated residents who may have a card, for tests that need many people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from mapae.catalog import Country
from mapae.config import country_tree
from mapae.registers.people import Named, parse_people
from mapae.registers.values import Resident
from mapae.rules import Words


def eligible(country: Country, pack: str, today: date, *, count: int, seed: str) -> Iterator[Named]:
    """Those of `count` generated residents whom no rule of the pack keeps from a resident card on this day."""
    people = parse_people(country_tree(pack), country)
    for at, resident in enumerate(people.residents(count=count, seed=seed, today=today)):
        if _may(country, resident, today):
            yield Named(f"resident{at}", Words(ko="", en=""), "", resident)


def _may(country: Country, resident: Resident, today: date) -> bool:
    rules = country.documents["resident_card"].eligibility
    assert rules is not None
    born = resident.number.birth_date
    old_enough = born.replace(day=1).replace(year=born.year + rules.min_age + 1) <= today
    recent = resident.photo_taken is not None and (today - resident.photo_taken).days < 365 * rules.photo_max_age_years
    card = resident.card is not None and resident.card.state == "valid"
    alive = resident.deceased_on is None and resident.nationality == "KOR"
    return old_enough and recent and card and alive and bool(resident.phones)
