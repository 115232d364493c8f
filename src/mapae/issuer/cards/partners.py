"""What the life of a physical card needs of others, as protocols: payment, factory, post, fingerprint, photo archive.

Promises: every call may be repeated with the same reference and then changes nothing; what arrives is a closed value.
Trusts: nobody; a port's answer is checked by whoever asked. Keeps: nothing. Refuses: by Refused(UNAVAILABLE) alone:
no answer, or one that cannot be read. What happened is then unknown, never "no": ask again with the same reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

# --- payment ----------------------------------------------------------------------------------------------------------


class Payment(StrEnum):
    """Where a payment stands. Only `paid`, `declined` and `refunded` are ends."""

    OPEN = "open"  # begun; the payer has not decided
    PAID = "paid"
    DECLINED = "declined"  # nothing was taken; a new payment needs a new reference
    REFUNDED = "refunded"
    UNKNOWN = "unknown"  # no answer, or the provider itself does not know yet: ask again, never charge again


@dataclass(frozen=True, slots=True)
class Started:
    """A payment that has begun: its id at the provider, and the https page where it is paid (the citizen's browser, or
    the terminal at the desk)."""

    id: str
    url: str


class PaymentPort(Protocol):
    async def start(self, amount: int, currency: str, reference: str) -> Started:
        """Begin a payment. The same reference gives the same payment, also after a lost answer.

        Raises Refused(UNAVAILABLE): it may have begun or not.
        """
        ...

    async def state(self, id: str) -> Payment:
        """UNKNOWN when nobody answers; never raises for that."""
        ...

    async def refund(self, id: str) -> Payment:
        """Give all of it back; a second time changes nothing. REFUNDED, or UNKNOWN: ask again. A payment that was never
        paid is ended and answers DECLINED."""
        ...


# --- the card factory -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CardData:
    """What the factory prints and writes. The resident number is not among it: no data group holds it."""

    number: str
    """The card's own number: nine of A-Z and 0-9, the document number of DG1."""
    name: str
    name_latin: str
    birth_date: date
    sex: str
    """male or female."""
    nationality: str
    """Three letters."""
    address: str
    issued: date
    expires: date
    portrait: bytes
    """JPEG."""
    language: str = "ko"


class Stage(StrEnum):
    """Where an order stands at the factory."""

    QUEUED = "queued"
    WAITING_FOR_SIGNATURE = "waiting_for_signature"  # chip prepared; its hashes want the issuer's signature
    SIGNED = "signed"
    MADE = "made"  # finished, in the factory's outgoing box
    FAILED = "failed"  # a broken chip; order again under a new id


@dataclass(frozen=True, slots=True)
class Production:
    """An order as the factory has it."""

    stage: Stage
    hashes: Mapping[int, bytes]
    """SHA-256 of each data group by its number (1, 2, 11, 14), from WAITING_FOR_SIGNATURE on."""
    dg14: bytes
    """The data group with the chip's public key; its hash is one of the above."""
    at: datetime
    """Since when."""


class FactoryPort(Protocol):
    async def order(self, order_id: str, data: CardData) -> None:
        """Order a card. The same id and data change nothing; with other data: Refused(CONFLICT).

        Raises Refused(UNAVAILABLE).
        """
        ...

    async def state(self, order_id: str) -> Production | None:
        """None: the factory does not know this order. Raises Refused(UNAVAILABLE)."""
        ...

    async def sign(self, order_id: str, sod: bytes) -> None:
        """Hand over the signed EF.SOD. The same bytes again change nothing; others: Refused(CONFLICT).

        Raises Refused(UNAVAILABLE).
        """
        ...

    async def cancel(self, order_id: str) -> bool:
        """Take an order back. False: too late, the chip is being made. An order the factory never heard of is cancelled
        for good. Raises Refused(UNAVAILABLE)."""
        ...


# --- the post ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Parcel:
    """One registered item, from the factory's outgoing box to a person or to an office."""

    reference: str
    """Ours; the same reference is the same parcel."""
    to_name: str
    to_address: str
    personal: bool
    """Hand it to the addressee alone (a person), or to whoever receives an office's mail."""
    days: tuple[int, int]
    """How long it usually takes, for a simulator that has nothing else to go by."""


class Transit(StrEnum):
    ACCEPTED = "accepted"
    ON_THE_WAY = "on_the_way"
    DELIVERED = "delivered"
    RETURNED = "returned"  # nobody there, or address unknown: it goes back to the office of the application


@dataclass(frozen=True, slots=True)
class Tracked:
    state: Transit
    at: datetime
    """When it came to be so."""


class PostPort(Protocol):
    async def send(self, parcel: Parcel) -> str:
        """Have it collected; its tracking number. The same reference gives the same number.

        Raises Refused(UNAVAILABLE).
        """
        ...

    async def track(self, number: str) -> Tracked | None:
        """None: the post does not know this number. Raises Refused(UNAVAILABLE)."""
        ...


# --- the fingerprint on record ----------------------------------------------------------------------------------------


class Fingerprint(StrEnum):
    """The answer alone; no print ever passes through here."""

    MATCHED = "matched"
    NOT_MATCHED = "not_matched"
    UNREADABLE = "unreadable"  # worn, bandaged, missing: not the person's fault
    UNAVAILABLE = "unavailable"  # reader or register silent


class FingerprintPort(Protocol):
    async def compare(self, person: str, office: str) -> Fingerprint:
        """Have the person put a finger on the office's reader, and compare with the print on record.

        Never raises: no answer is UNAVAILABLE.
        """
        ...
