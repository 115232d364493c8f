"""What an officer orders and what becomes of it: the values the desk and the protocol share.

Promises: frozen values, no personal data but the opaque person id. Trusts: the desk for the evidence. Keeps: nothing.
Refuses: nothing; the rules are in issue.py and grants.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from mapae.issuer.evidence import Evidence, Need


@dataclass(frozen=True, slots=True)
class Order:
    """One document for one person, from one case of one office."""

    case_id: str
    person: str
    kind: str
    office: str
    officer: str
    evidence: tuple[Evidence, ...]
    about: str = ""
    """Which ward, by the register's mark, where the document speaks for one."""


class Way(StrEnum):
    """The grant an offer asks the wallet to use (OpenID4VCI 4.1.1)."""

    PRE_AUTHORIZED = "pre_authorized"  # whoever holds the code and is a wallet that may fetch
    AUTHORIZATION_CODE = "authorization_code"  # whoever signs in as the person it is for


class Wallets(StrEnum):
    """Which wallets may fetch an order."""

    REGISTERED = "registered"  # the person's active phone, as our own wallet provider knows it
    ATTESTED = "attested"  # or any wallet that a provider on the trust list vouches for


@dataclass(frozen=True, slots=True)
class Bound:
    """The keys of the one wallet that may redeem an offer."""

    dpop_jkt: str
    client_jkt: str


@dataclass(frozen=True, slots=True)
class Terms:
    """How an order may be fetched. `second_look`: so many seconds somebody looks at a first request before the card
    is signed (OpenID4VCI 9). `bound`: by whom alone, where that is known beforehand."""

    way: Way = Way.PRE_AUTHORIZED
    wallets: Wallets = Wallets.REGISTERED
    tx_code: bool = False
    second_look: int = 0
    bound: Bound | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """`uri` is the text of the QR; `tx_code` travels to the person some other way."""

    id: str
    uri: str
    expires: datetime
    tx_code: str = ""


class What(StrEnum):
    """What the officer's screen tells about an offer."""

    OPENED = "opened"
    SCANNED = "scanned"
    REDEEMED = "redeemed"
    DEFERRED = "deferred"
    ISSUED = "issued"
    ACCEPTED = "accepted"
    FACE_MATCHED = "face_matched"
    FACE_BORDERLINE = "face_borderline"
    FACE_REFUSED = "face_refused"
    REFUSED_SECOND_SCAN = "refused_second_scan"
    REFUSED_EXPIRED = "refused_expired"
    REFUSED_OTHER_WALLET = "refused_other_wallet"
    REFUSED_TX_CODE = "refused_tx_code"
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
    about: str = ""


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
    wallets: Wallets = Wallets.REGISTERED
    waits_until: int = 0
    second_look: int = 0
    needs: tuple[Need, ...] = ()
    """What still stands between the order and a first signature."""
    about: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """One wallet's leave to fetch one order: `configurations` of it, by `credential_identifier` where `identified`."""

    id: str
    offer_id: str
    dpop_jkt: str
    client_jkt: str
    client_id: str
    device: str
    state: str
    card: Card
    configurations: tuple[str, ...]
    identified: bool = False
