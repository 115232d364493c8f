"""May this person apply for a physical card, and what does it cost? Pure answers from the pack's rules.

Promises: one answer from values alone; a fee is the sum of the pack's `physical_reissue` and `chip` (a first card is no
reissue), or nothing by a rule that is named. Trusts: its caller for true facts and for "today" in the country's own
time zone. Keeps: nothing. Refuses: with the code of the first hindrance; a photo outside the pack's months.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from mapae.ages import age_over
from mapae.catalog import Country, Eligibility, Office
from mapae.errors import Code, Refused
from mapae.registers.values import Person
from mapae.rules import ChipRules, Fee, FreeCard

PHOTO_MONTHS: Final = 6  # where the pack has no face rules to say otherwise


class Why(StrEnum):
    """Why somebody applies."""

    REISSUE = "reissue"  # the old card is there and is handed in
    LOST = "lost"
    FIRST = "first"

    @classmethod
    def parse(cls, raw: str) -> Why:
        try:
            return cls(raw)
        except ValueError:
            raise Refused(Code.MALFORMED, "choose why this card is applied for") from None


class Channel(StrEnum):
    DESK = "desk"
    PORTAL = "portal"


@dataclass(frozen=True, slots=True)
class Due:
    """What an application costs; `free` is the rule that spares the fee, by its place in the pack, or -1."""

    fee: Fee
    free: int = -1


def chip_rules(country: Country) -> ChipRules:
    if country.chip is None:
        raise Refused(Code.NOT_STARTED, "this country has no cards with a chip")
    return country.chip


def due(country: Country, birth_date: date, why: Why, today: date) -> Due:
    rules = chip_rules(country)
    chip, plastic = country.fees["chip"], country.fees["physical_reissue"]
    for at, rule in enumerate(rules.free):
        if _spares(rule, birth_date, why, today):
            return Due(Fee(amount=0, currency=chip.currency), at)
    return Due(chip if why is Why.FIRST else Fee(amount=chip.amount + plastic.amount, currency=chip.currency))


def _spares(rule: FreeCard, birth_date: date, why: Why, today: date) -> bool:
    return (
        (not rule.first_only or why is Why.FIRST)
        and (rule.born_from is None or birth_date >= rule.born_from)
        and (rule.born_to is None or birth_date <= rule.born_to)
        and (rule.until is None or today <= rule.until)
    )


def must_be_entitled(
    country: Country, person: Person, why: Why, channel: Channel, today: date, office: Office | None
) -> None:
    """1 alive  2 citizen  3 old enough  4 phase and place  5 the card he has, or has not."""
    chip_rules(country)
    rule = _rule(country)
    if person.deceased_on is not None:
        raise Refused(Code.DECEASED, "the register says this person has died", step="alive")
    if rule.citizens_only and not person.citizen:
        raise Refused(Code.NOT_A_CITIZEN, "this card is for citizens only", step="citizen")
    if not age_over(person.birth_date, rule.min_age, today, country.ages.leap_birthday):
        raise Refused(Code.TOO_YOUNG, "the person is younger than this card asks for", step="age")
    _place(country, person.municipality, channel, today, office)
    _former_card(person, why, channel)


def _rule(country: Country) -> Eligibility:
    """The pack's rule for the mobile card that presupposes a physical one holds for the physical one as well."""
    for document in country.documents.values():
        if document.issued_here and document.eligibility is not None and document.eligibility.physical_card:
            return document.eligibility
    raise Refused(Code.NOT_STARTED, "no document of this country asks for a physical card")


def _place(country: Country, municipality: str, channel: Channel, today: date, office: Office | None) -> None:
    phase = country.phase_on(today)
    if phase is None:
        raise Refused(Code.NOT_STARTED, "cards with a chip are not issued yet", step="place")
    if phase.municipalities and channel is Channel.PORTAL:
        raise Refused(Code.NOT_STARTED, "during the pilot, apply at a community centre", step="place")
    if phase.municipalities and municipality not in phase.municipalities:
        raise Refused(Code.OUTSIDE_PILOT, "the person's municipality is not part of the pilot", step="place")
    if phase.own_municipality_only and office is not None and office.municipality != municipality:
        raise Refused(Code.WRONG_OFFICE, "during the pilot only the person's own municipality issues", step="place")


def _former_card(person: Person, why: Why, channel: Channel) -> None:
    if why is Why.FIRST:
        if channel is Channel.PORTAL:  # fingerprints are taken and the face is seen for the first time
            raise Refused(Code.NOT_ALLOWED, "a first card is applied for at a community centre", step="former")
        if person.card is not None:
            raise Refused(Code.CONFLICT, "this person has had a card already", step="former")
    elif person.card is None:
        raise Refused(Code.NO_PHYSICAL_CARD, "there is no earlier card: apply for a first one", step="former")
    elif why is Why.REISSUE and person.card.state == "lost":
        raise Refused(Code.PHYSICAL_CARD_LOST, "the earlier card is lost: apply for a lost card", step="former")


def photo_since(country: Country, today: date) -> date:
    """The first day a photo may be taken on to serve today."""
    months = country.face.new_photo_months if country.face is not None else PHOTO_MONTHS
    year, month = divmod(today.year * 12 + today.month - 1 - months, 12)
    for day in range(today.day, 27, -1):
        try:
            return date(year, month + 1, day)
        except ValueError:
            continue
    return date(year, month + 1, min(today.day, 28))


def must_be_new(country: Country, taken: date | None, today: date) -> None:
    if taken is None or taken < photo_since(country, today):
        raise Refused(Code.RECORD_PHOTO_TOO_OLD, "the photo is too old for a new card", step="photo")
    if taken > today:
        raise Refused(Code.MALFORMED, "the photo cannot have been taken after today", step="photo")
