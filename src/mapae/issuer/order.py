"""What an officer orders and what becomes of it: the values the desk and the protocol share.

Promises: frozen values, no personal data but the opaque person id. Trusts: the desk for the evidence. Keeps: nothing.
Refuses: nothing; the rules are in issue.py and grants.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from mapae.issuer.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Order:
    """One document for one person, from one case of one office."""

    case_id: str
    person: str
    kind: str
    office: str
    officer: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """`uri` is the text of the QR."""

    id: str
    uri: str
    expires: datetime


class What(StrEnum):
    """What the officer's screen tells about an offer."""

    OPENED = "opened"
    SCANNED = "scanned"
    REDEEMED = "redeemed"
    ISSUED = "issued"
    ACCEPTED = "accepted"
    REFUSED_SECOND_SCAN = "refused_second_scan"
    REFUSED_EXPIRED = "refused_expired"
    REFUSED_OTHER_WALLET = "refused_other_wallet"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class OfferEvent:
    at: datetime
    what: str
    detail: str


@dataclass(frozen=True, slots=True)
class Holding:
    """A card of a person: `state` is valid, suspended, expired or ended."""

    kind: str
    state: str
    issued: date
    expires: date
    order_id: str


@dataclass(frozen=True, slots=True)
class Card:
    """An order as the issuing side sees it."""

    id: str
    case_id: str
    person: str
    kind: str
    document_number: str
    issued_on: date
    expires_on: date
    state: str
    device: str | None


@dataclass(frozen=True, slots=True)
class Session:
    """One wallet's leave to fetch one order."""

    id: str
    offer_id: str
    dpop_jkt: str
    client_jkt: str
    client_id: str
    device: str
    state: str
    card: Card
