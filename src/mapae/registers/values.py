"""What a population register knows of a person, as values.

Promises: the same types on both sides of the peer doors. `Hit` and `Person` never hold a resident number, only its
masked form; `ClaimSet` holds it, for issuance. Trusts: nobody; values only. Keeps: nothing. Refuses: by type.
"""

from __future__ import annotations

from datetime import date
from typing import Literal, Protocol

import msgspec

from ..rules import Sex

CardKind = Literal["plastic", "chip"]
CardState = Literal["valid", "lost", "returned"]


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A frozen value that also travels as JSON (bytes as base64, days as YYYY-MM-DD)."""


class ResidentNumber(Value, frozen=True, kw_only=True):
    """A number whose digits fit the country's scheme. Its `repr` shows nothing of it."""

    written: str
    masked: str
    birth_date: date
    sex: Sex
    citizen: bool

    def __repr__(self) -> str:
        return "ResidentNumber(…)"


class PhysicalCard(Value, frozen=True, kw_only=True):
    """The plastic card, or the one with a chip, as the register has it."""

    number: str
    issued: date
    kind: CardKind
    state: CardState


class Hit(Value, frozen=True, kw_only=True):
    """One line of a search."""

    person: str
    name: str
    birth_date: date
    sex: Sex
    municipality: str
    number_masked: str
    deceased: bool


class Hits(Value, frozen=True, kw_only=True):
    hits: tuple[Hit, ...]
    more: bool
    """True when there are more than are shown: ask more precisely."""


class Person(Value, frozen=True, kw_only=True):
    """What an officer sees, and what eligibility is decided on."""

    person: str
    name: str
    name_latin: str
    former_names: tuple[str, ...]
    birth_date: date
    sex: Sex
    nationality: str
    citizen: bool
    number_masked: str
    municipality: str
    address: str
    moved_in: date | None
    deceased_on: date | None
    guardian: str | None
    card: PhysicalCard | None
    photo_taken: date | None
    photo: bytes
    records: dict[str, dict[str, str]] = {}
    """What other registers say, by their document, or `ward:` and a mark; no number of a document."""


class Compared(Value, frozen=True, kw_only=True):
    """Whether a number that was read off a document is the one its register knows."""

    matches: bool


class Whose(Value, frozen=True, kw_only=True):
    """The person somebody named, or nobody."""

    person: str | None = None


class Changed(Value, frozen=True, kw_only=True):
    """Whether a change was made, or found made already or overtaken."""

    changed: bool


class ClaimSet(Value, frozen=True, kw_only=True):
    """What may enter a document, and whether any may be made. Only the issuer gets it, at issuance, and keeps none."""

    person: str
    name: str
    name_latin: str
    birth_date: date
    sex: Sex
    nationality: str
    citizen: bool
    deceased_on: date | None
    resident_number: str
    address: str
    municipality: str
    portrait: bytes
    photo_taken: date | None
    records: dict[str, dict[str, str]] = {}

    def __repr__(self) -> str:
        return "ClaimSet(…)"


class Resident(Value, frozen=True, kw_only=True):
    """One record for the register to take in."""

    number: ResidentNumber
    name: str
    name_latin: str
    former_names: tuple[str, ...] = ()
    nationality: str
    municipality: str
    address: str
    moved_in: date | None = None
    deceased_on: date | None = None
    guardian: ResidentNumber | None = None
    card: PhysicalCard | None = None
    photo_taken: date | None = None
    photo_seed: str = ""
    """What the portrait is drawn from when it is first asked for."""
    phones: tuple[str, ...] = ()
    documents: tuple[tuple[str, str], ...] = ()
    """Kind and number of other documents, as their registers would know them."""
    records: dict[str, dict[str, str]] = {}
    """What these registers say besides, by kind."""


class DocumentNumbers(Protocol):
    """The registers of other documents. A simulator of theirs stands beside the population register."""

    async def document_matches(self, person: str, kind: str, number: str) -> bool:
        """Whether this number, read off a document of this kind, is the person's."""
        ...


class PopulationRegister(Protocol):
    """What other roles may ask of the register."""

    async def search(self, *, name: str = "", birth_date: date | None = None, resident_number: str = "") -> Hits:
        """By name and birth date, or by resident number. Raises Refused(MALFORMED) when neither is whole."""
        ...

    async def get(self, person: str) -> Person:
        """Raises Refused(NOT_FOUND)."""
        ...

    async def claims(self, person: str) -> ClaimSet:
        """Raises Refused(NOT_FOUND)."""
        ...


class CardRegister(PopulationRegister, Protocol):
    """What whoever makes physical cards may change in the register. Each may be repeated."""

    async def put_photo(self, person: str, jpeg: bytes, taken: date) -> bool:
        """The photo on record from now on; False when a later one is there."""
        ...

    async def put_card(self, person: str, card: PhysicalCard) -> bool:
        """The card the person holds from now on; False when a later one is there."""
        ...

    async def mark_card(self, person: str, number: str, state: CardState) -> bool:
        """Lost, or handed in; False when that is not the card on record."""
        ...
