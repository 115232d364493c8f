"""What an officer's screen shows, as values: the desk makes them, the templates read them.

Promises: frozen; everything the page needs and nothing it may not show (no resident number but the masked one).
Trusts: nobody; values only. Keeps: nothing. Refuses: by type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from mapae.catalog import Document
from mapae.db import Tx
from mapae.errors import Code, Refused
from mapae.registers.values import Hit, Person

from .desk_store import Case, Step, Task
from .eligibility import Eligible, Ineligible, PhoneState
from .evidence import Evidence, Need
from .order import Holding, Offer, OfferEvent, Order, What

__all__ = [
    "Calling", "CaseLine", "CaseView", "Found", "FoundPerson", "Issuing", "Live", "PersonView", "Phone", "Possible",
    "Reason", "Screen", "Task", "Telling", "WaitingPhone",
]  # fmt: skip


class Reason(StrEnum):
    """Why an officer looks at a person's record. Nothing else is a reason."""

    APPLICATION = "application"
    RELEASE = "release"
    NEW_PHONE = "new_phone"
    ENQUIRY = "enquiry"

    @classmethod
    def parse(cls, raw: str) -> Reason:
        try:
            return cls(raw)
        except ValueError:
            raise Refused(Code.MALFORMED, "choose the reason for the search") from None


class Issuing(Protocol):
    """What the desk and the portal need of the issuer: `mapae.issuer.issue.Issuer` has it."""

    async def open_offer(self, order: Order) -> Offer: ...
    async def settle_needs(self, tx: Tx, kind: str, case_id: str, evidence: tuple[Evidence, ...]) -> None: ...
    async def wallet_of(self, case_id: str) -> str: ...
    async def tell(self, tx: Tx, case_id: str, what: What, detail: str) -> None: ...
    async def cancel_offer(self, case_id: str) -> None: ...
    async def offer_events(self, case_id: str) -> list[OfferEvent]: ...
    async def holdings(self, person: str) -> list[Holding]: ...
    async def lock(self, person: str, reason: str, actor: str) -> int: ...
    async def release(self, person: str, actor: str, evidence: tuple[Evidence, ...]) -> int: ...
    async def end(self, person: str, reason: str, actor: str) -> int: ...
    async def renew(self, person: str, reason: str, actor: str) -> int: ...


class Telling(Protocol):
    """Who tells a person that the phone is being moved: `mapae.issuer.tap.notices.Notices` does."""

    async def moving(self, id: str, person: str) -> None: ...
    async def stayed(self, id: str) -> None: ...


class Photos(Protocol):
    """Who put a photo on record: `mapae.issuer.cards.applications.Applications` knows of those its office took in."""

    async def photo_by(self, person: str) -> str:
        """The one officer who did; empty where there were two, or nobody is known."""
        ...


class Calling(Protocol):
    """How the desk reaches the wallet provider: `mapae.peers.Peers` has it."""

    async def call(self, role: str, path: str, message: Mapping[str, Any]) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class WaitingPhone:
    device: str
    platform: str
    since: int


@dataclass(frozen=True, slots=True)
class Phone:
    """The person's phones as the wallet provider knows them."""

    state: PhoneState
    device: str
    since: int
    reason: str
    waiting: tuple[WaitingPhone, ...]

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> Phone:
        waiting = tuple(
            WaitingPhone(str(each["device_id"]), str(each.get("platform") or ""), int(each.get("since") or 0))
            for each in answer.get("waiting") or ()
        )
        device = str(answer.get("device_id") or "")
        if answer.get("state") == "suspended":
            state = PhoneState.SUSPENDED
        elif waiting:
            state = PhoneState.WAITING
        else:
            state = PhoneState.ACTIVE if device else PhoneState.NONE
        return cls(state, device, int(answer.get("since") or 0), str(answer.get("reason") or ""), waiting)

    def seen_from(self, chosen: str) -> PhoneState:
        """With the officer's choice: the active phone stays, whatever else waits."""
        if self.state is PhoneState.WAITING and self.device and self.device == chosen:
            return PhoneState.ACTIVE
        return self.state


@dataclass(frozen=True, slots=True)
class FoundPerson:
    look: str
    hit: Hit


@dataclass(frozen=True, slots=True)
class Found:
    people: tuple[FoundPerson, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Possible:
    """A document of the pack, about which ward where it speaks for one, and whether the person may have it here now."""

    document: Document
    answer: Eligible | Ineligible
    about: str = ""


@dataclass(frozen=True, slots=True)
class PersonView:
    look: str
    reason: Reason
    person: Person
    phone: Phone
    holdings: tuple[Holding, ...]
    possible: tuple[Possible, ...]
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Screen:
    """The QR on the officer's screen; `left` are its seconds."""

    uri: str
    expires: datetime
    left: int


@dataclass(frozen=True, slots=True)
class Live:
    """The moving part of a case."""

    case: Case
    screen: Screen | None
    events: tuple[OfferEvent, ...]

    @property
    def last(self) -> OfferEvent | None:
        return self.events[-1] if self.events else None


@dataclass(frozen=True, slots=True)
class CaseView:
    case: Case
    document: Document | None
    person: Person
    phone: Phone
    holdings: tuple[Holding, ...]
    answer: Eligible | Ineligible
    evidence: tuple[Evidence, ...]
    missing: tuple[Need, ...]
    early: tuple[Need, ...]
    """Those of `missing` that stand before the application is filed."""
    move: tuple[Need, ...]
    """What is missing to move the person to another phone."""
    steps: tuple[Step, ...]
    live: Live

    @property
    def blocked(self) -> bool:
        return isinstance(self.answer, Ineligible)

    @property
    def stands(self) -> bool:
        """Whether it is still open who stands at the counter."""
        return any(need is not Need.PHYSICAL_CARD for need in self.missing)

    def last_of(self, kind: type[Evidence]) -> Evidence | None:
        return next((value for value in reversed(self.evidence) if isinstance(value, kind)), None)


@dataclass(frozen=True, slots=True)
class CaseLine:
    """One line of the list."""

    case: Case
    name: str
    birth_date: str
