"""What was seen before a card may be issued or released, and the pure rule which of it suffices.

Promises: evidence is a value made by the person or machine that saw something, with who and when; `missing()` says by
name what is still needed. Trusts: the caller that makes a value (the desk, later the face step) to have been there.
Keeps: nothing. Refuses: evidence that says "no" standing in for evidence that says "yes", and stale evidence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, assert_never

from mapae.catalog import Document
from mapae.errors import Code, Refused


class Need(StrEnum):
    """One thing a rule may ask for; the value is the stable name the desk shows in words."""

    PHYSICAL_CARD = "physical_card"
    FACE = "face"


class Purpose(StrEnum):
    """What the evidence is meant to carry: a new card (of a document that does or does not presuppose a plastic one),
    the release of a locked one, or the move to another phone."""

    ISSUE = "issue"
    ISSUE_WITHOUT_CARD = "issue_without_card"
    RELEASE = "release"
    MOVE = "move"


@dataclass(frozen=True, slots=True)
class PhysicalCardSeen:
    """An officer held the plastic card in hand and compared it with the register."""

    officer: str
    at: datetime
    number_matches: bool
    photo_matches: bool
    undamaged: bool

    @property
    def good(self) -> bool:
        return self.number_matches and self.photo_matches and self.undamaged

    def as_facts(self) -> dict[str, str | int]:
        return {
            "evidence": "physical_card_seen",
            "officer": self.officer,
            "at": int(self.at.timestamp()),
            "number_matches": int(self.number_matches),
            "photo_matches": int(self.photo_matches),
            "undamaged": int(self.undamaged),
        }


@dataclass(frozen=True, slots=True)
class OfficerCompared:
    """An officer looked at the person and at the photo on record, and says by name whether it is the same face."""

    officer: str
    officer_name: str
    at: datetime
    same_person: bool

    @property
    def good(self) -> bool:
        return self.same_person

    def as_facts(self) -> dict[str, str | int]:
        # The officer's name stays in the case file; the audit chain names the officer by identifier only.
        return {
            "evidence": "officer_compared",
            "officer": self.officer,
            "at": int(self.at.timestamp()),
            "same_person": int(self.same_person),
        }


Evidence = PhysicalCardSeen | OfficerCompared

LIFE: Final = timedelta(hours=1)  # The person stands at the counter; yesterday's look is no evidence today.
_NEEDS: Final[dict[Purpose, tuple[Need, ...]]] = {
    Purpose.ISSUE: (Need.PHYSICAL_CARD, Need.FACE),
    Purpose.ISSUE_WITHOUT_CARD: (Need.FACE,),
    # A release needs no plastic card: people lose the purse together with the phone. The face is asked again.
    Purpose.RELEASE: (Need.FACE,),
    Purpose.MOVE: (Need.FACE,),
}


def to_issue(document: Document) -> Purpose:
    """The pack's rules for the document say whether there is a plastic card to look at."""
    rules = document.eligibility
    return Purpose.ISSUE if rules is None or rules.physical_card else Purpose.ISSUE_WITHOUT_CARD


def need_of(evidence: Evidence) -> Need:
    match evidence:
        case PhysicalCardSeen():
            return Need.PHYSICAL_CARD
        case OfficerCompared():
            return Need.FACE
        case _:
            assert_never(evidence)


def missing(purpose: Purpose, evidence: Iterable[Evidence], now: datetime) -> tuple[Need, ...]:
    """The needs not yet met, in the order an officer meets them. The newest value of each need counts alone."""
    newest: dict[Need, Evidence] = {}
    for value in evidence:
        need = need_of(value)
        if need not in newest or newest[need].at <= value.at:
            newest[need] = value
    met = {need for need, value in newest.items() if value.good and timedelta(0) <= now - value.at <= LIFE}
    return tuple(need for need in _NEEDS[purpose] if need not in met)


def must_suffice(purpose: Purpose, evidence: Iterable[Evidence], now: datetime) -> None:
    """Refuse with EVIDENCE_MISSING, naming every need that is not met."""
    lacking = missing(purpose, evidence, now)
    if lacking:
        raise Refused(Code.EVIDENCE_MISSING, "not yet recorded: " + ", ".join(lacking))
