"""May this person be given this document here, today? The pure answer, and which words explain it.

Promises: one answer from values alone: the register's facts, the phone, what is held already, the day and the country
pack. Trusts: its caller for true facts and for "today" in the country's own time zone. Keeps: nothing.
Refuses: by value, never by exception: `Ineligible` carries a closed code, a sentence, and the numbers the words need.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from mapae.catalog import Country, Document, Office, hindrances, renewal_opens
from mapae.errors import Code, Refused
from mapae.registers.values import Person


class PhoneState(StrEnum):
    """What the wallet provider says of this person's phones."""

    UNASKED = "unasked"  # the question is only about the person, as in the wallet's list of documents
    NONE = "none"
    ACTIVE = "active"
    WAITING = "waiting"  # a new phone waits while another one is active: somebody must choose
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the decision may look at."""

    person: Person
    office: Office | None = None
    phone: PhoneState = PhoneState.UNASKED
    held_until: date | None = None
    """Last day of a card that lives on the active phone now."""


@dataclass(frozen=True, slots=True)
class Eligible:
    """Nothing stands in the way."""


@dataclass(frozen=True, slots=True)
class Ineligible:
    """`code` is the first hindrance; `others` the rest; `terms` fill the words of the pack's language."""

    code: Code
    detail: str
    others: tuple[Code, ...] = ()
    terms: Mapping[str, str | int] = field(default_factory=dict)


def eligibility(kind: str, facts: Facts, today: date, country: Country) -> Eligible | Ineligible:
    """1 the person and the place  2 what is held already  3 the phone; the real reason comes first."""
    document = _issued_here(kind, country)
    if document is None:
        return Ineligible(Code.NOT_FOUND, "this document is not issued here")
    codes = [
        *hindrances(country, document, facts.person, today, facts.office),
        *_held(document, facts, today),
        *_phone(facts.phone),
    ]
    if not codes:
        return Eligible()
    return Ineligible(codes[0], _SENTENCES[codes[0]], tuple(codes[1:]), terms(document))


def must_be_eligible(answer: Eligible | Ineligible) -> None:
    if isinstance(answer, Ineligible):
        raise Refused(answer.code, answer.detail)


def terms(document: Document) -> dict[str, str | int]:
    """The pack's numbers, for sentences such as "from the age of 17"."""
    rules, validity = document.eligibility, document.validity
    return {
        "age": rules.min_age if rules else 0,
        "years": rules.photo_max_age_years if rules else 0,
        "days": validity.renewal_days if validity else 0,
    }


def _issued_here(kind: str, country: Country) -> Document | None:
    document = country.documents.get(kind)
    return document if document is not None and document.issued_here else None


def _held(document: Document, facts: Facts, today: date) -> list[Code]:
    if facts.held_until is None or facts.phone is PhoneState.WAITING or today > facts.held_until:
        return []  # With a new phone waiting the phone is the question; after the move nothing is held.
    return [] if today >= renewal_opens(document, facts.held_until) else [Code.ALREADY_HOLDS]


def _phone(state: PhoneState) -> list[Code]:
    match state:
        case PhoneState.UNASKED | PhoneState.ACTIVE:
            return []
        case PhoneState.NONE:
            return [Code.NO_PHONE]
        case PhoneState.WAITING:
            return [Code.PHONE_ALREADY_ACTIVE]
        case PhoneState.SUSPENDED:
            return [Code.DEVICE_SUSPENDED]


_SENTENCES: dict[Code, str] = {
    Code.DECEASED: "the register says this person has died",
    Code.NOT_A_CITIZEN: "this document is for citizens only",
    Code.TOO_YOUNG: "the person is younger than this document asks for",
    Code.NOT_STARTED: "this document is not issued yet on this day",
    Code.OUTSIDE_PILOT: "the person's municipality is not part of the pilot",
    Code.WRONG_OFFICE: "during the pilot only the person's own municipality may issue",
    Code.NO_RECORD: "its register names no such right of this person that is in force",
    Code.NO_PHYSICAL_CARD: "the person holds no physical card",
    Code.PHYSICAL_CARD_LOST: "the physical card has been reported lost",
    Code.RECORD_PHOTO_TOO_OLD: "the photo on record is too old to compare a face with",
    Code.ALREADY_HOLDS: "a card already lives on the person's phone",
    Code.NO_PHONE: "no phone is registered for this person",
    Code.PHONE_ALREADY_ACTIVE: "another phone is active: choose which one stays",
    Code.DEVICE_SUSPENDED: "the person's phone is locked",
}
