"""What a country decides and code obeys: numbers and choices of the pack that are no document and no place.

Promises: frozen values; every field says what it decides. Trusts: the pack's author for the law. Keeps: nothing.
Refuses: unknown keys; what must tie up is checked by `catalog.parse_country`.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

import msgspec

from .ages import LeapBirthday

Sex = Literal["male", "female"]


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A frozen value read from TOML; an unknown key is refused."""


class Words(Data, frozen=True):
    """One text in the languages of the screens."""

    ko: str
    en: str

    def pick(self, language: str) -> str:
        return self.ko if language == "ko" else self.en


class Ages(Data, frozen=True):
    adult: int
    leap_birthday: LeapBirthday
    """The day on which a child of 29 February gets older in a common year."""


class NumberKind(Data, frozen=True):
    """What the one digit says that tells century and sex."""

    sex: Sex
    citizen: bool
    check_from: int
    century: int = 0
    """For layouts that write two digits of the year."""


class NumberScheme(Data, frozen=True):
    """The resident number as data. `layout` spells it: y m d birth date, k kind, s serial, c check, others written."""

    layout: str
    weights: tuple[int, ...]
    modulus: int
    shown: int
    """How many leading digits an officer may see; the rest is masked."""
    check_enforced: bool
    kinds: dict[str, NumberKind]


class PrivacyRules(Data, frozen=True):
    answer_days: int = 10
    """Within how many days a relying party answers a request to erase (Korea: Enforcement Decree of the Personal
    Information Protection Act, article 43)."""


class KnockLimit(Data, frozen=True):
    """So many checks may be started for one person, to one phone or from one address, within the window."""

    subject: Literal["person", "phone", "address"]
    seconds: int
    most: int


class IdentityRules(Data, frozen=True):
    """Name, number, phone, and a one-time code to that phone."""

    code_digits: int
    code_seconds: int
    tries: int
    assertion_seconds: int
    limits: tuple[KnockLimit, ...]
    phone_layout: str
    """How a phone number is written; d is a digit."""
    sms: Words
    """The text message; `{code}` and `{minutes}` are filled in."""


class Issuance(Data, frozen=True):
    offer_seconds: int
    batch_size: int
    copy_days: int


class PinRules(Data, frozen=True):
    digits: int
    tries: int


class Fee(Data, frozen=True):
    amount: int
    currency: str


class FaceRules(Data, frozen=True):
    """When a face check counts. A pack without them leaves faces to the officers alone."""

    threshold: float
    """Distance of the reference verifier; at or below it two pictures show one person."""
    borderline: float
    """Up to here a second document settles it, if `second_documents` names any."""
    second_documents: tuple[str, ...] = ()
    challenge_seconds: int = 60
    tries: int = 5
    """So many failures, then the officers' route only."""
    appeal_days: int = 90
    """How long an outcome is kept: id, reason, distance, threshold, counts, model; never a picture."""
    new_photo_months: int = 6
    """How old the photo of an application for a physical card may be."""


class FreeCard(Data, frozen=True):
    """Whom the law spares the fee of a physical card."""

    reason: Words
    first_only: bool = False
    born_from: date | None = None
    born_to: date | None = None
    until: date | None = None
    """The last day of application; none: for good."""


class ChipRules(Data, frozen=True):
    """The physical card with a chip. A pack without them has no way to a mobile card but the counter."""

    state: str = "UTO"
    """Who issues the card, in the three letters of its machine readable zone (ICAO Doc 9303-3 section 5)."""
    pin_digits: int = 4
    session_seconds: int = 600
    """From the wallet's wish to the end of the tap."""
    tap_seconds: int = 60
    """From the first to the last byte of the chip's proof."""
    issue_hours: int = 24
    """One issuance a card within."""
    face: Literal["always", "first_phone", "never"] = "always"
    """When the tap must be followed by a face check. With `first_phone` card and PIN alone move the identity of a phone
    that is there already: weaker just where a thief would begin."""
    years: int = 10
    """How long the chip may be used after it was made."""
    production_days: tuple[int, int] = (14, 21)
    mail_days: tuple[int, int] = (2, 4)
    pickup_days: int = 90
    """How long a finished card waits at an office before it is destroyed."""
    paper_days: int = 30
    """How long a temporary certificate stands in for it at the most."""
    free: tuple[FreeCard, ...] = ()
