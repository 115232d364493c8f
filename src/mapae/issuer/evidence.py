"""What was seen before a card may be issued or released, and the pure rule which of it suffices.

Promises: evidence is a value made by the person or machine that saw something, with who and when; `missing()` says by
name what is still needed; where the pack has face rules, nobody's eye alone and no machine alone issues a card.
Trusts: the caller that makes a value (the desk, the face check, the tap) to have been there. Keeps: nothing.
Refuses: evidence that says "no" standing in for evidence that says "yes", stale evidence, one officer for two.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeVar, assert_never

from mapae.catalog import Document
from mapae.errors import Code, Refused
from mapae.rules import FaceRules


class Need(StrEnum):
    """One thing a rule may ask for; the value is the stable name the desk and the wallet show in words."""

    PHYSICAL_CARD = "physical_card"
    FACE = "face"  # the machine's comparison
    SECOND_DOCUMENT = "second_document"
    OFFICER = "officer"  # an officer's own comparison, after the machine's where there is one
    SECOND_OFFICER = "second_officer"


class Purpose(StrEnum):
    """What the evidence is meant to carry: a new card (of a document that does or does not presuppose a plastic one),
    the release of a locked one, or the move to another phone."""

    ISSUE = "issue"
    ISSUE_WITHOUT_CARD = "issue_without_card"
    RELEASE = "release"
    MOVE = "move"


class Why(StrEnum):
    """Why two officers compare instead of a machine. The first three are nobody's fault and asked of nobody twice."""

    EYES = "eyes"  # the method cannot read everybody's eyes
    DECLINED = "declined"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"  # the check was tried and did not come to an end
    BORDERLINE = "borderline"
    OVERRIDE = "override"  # the machine said: somebody else
    OTHER = "other"

    @classmethod
    def parse(cls, raw: str) -> Why:
        try:
            return cls(raw)
        except ValueError:
            raise Refused(Code.MALFORMED, "choose why two officers compare") from None


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
    """An officer looked at the person and at the photo on record, and says by name whether it is the same face.
    `own_photo`: nobody but this officer looked when that photo was put on record."""

    officer: str
    officer_name: str
    at: datetime
    same_person: bool
    own_photo: bool = False

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
            "own_photo": int(self.own_photo),
        }


@dataclass(frozen=True, slots=True)
class FaceMatched:
    """A machine compared a burst of pictures with the photo on record and answered yes, nearly, or no, and why. The
    distance is kept with the check `challenge` alone, for the appeal period. `wallet`: the key of the phone that took
    the pictures; the word counts for that phone's card and for no other's."""

    challenge: str
    at: datetime
    ok: bool
    borderline: bool
    reason: str
    model: str
    wallet: str = ""

    @property
    def good(self) -> bool:
        return self.ok

    def as_facts(self) -> dict[str, str | int]:
        return {
            "evidence": "face_matched",
            "challenge": self.challenge,
            "at": int(self.at.timestamp()),
            "ok": int(self.ok),
            "borderline": int(self.borderline),
            "reason": self.reason,
            "model": self.model,
            "wallet": self.wallet,
        }


@dataclass(frozen=True, slots=True)
class SecondDocumentSeen:
    """An officer read the number off another document; it was compared with that document's register."""

    officer: str
    kind: str
    number_matches: bool
    at: datetime

    @property
    def good(self) -> bool:
        return self.number_matches

    def as_facts(self) -> dict[str, str | int]:
        return {
            "evidence": "second_document_seen",
            "officer": self.officer,
            "kind": self.kind,
            "at": int(self.at.timestamp()),
            "number_matches": int(self.number_matches),
        }


@dataclass(frozen=True, slots=True)
class SecondOfficer:
    """Another officer of the same office compared as well, proved by a passkey of their own, and why."""

    officer: str
    officer_name: str
    at: datetime
    why: Why

    @property
    def good(self) -> bool:
        return True

    def as_facts(self) -> dict[str, str | int]:
        return {
            "evidence": "second_officer",
            "officer": self.officer,
            "at": int(self.at.timestamp()),
            "why": self.why.value,
        }


@dataclass(frozen=True, slots=True)
class ChipProven:
    """The chip of the person's own plastic card answered, and a PIN was known. `face`: the pack wants a face check
    after it."""

    sod: str
    session: str
    at: datetime
    face: bool = True

    @property
    def good(self) -> bool:
        return True

    def as_facts(self) -> dict[str, str | int]:
        return {"evidence": "chip_proven", "sod": self.sod, "session": self.session, "at": int(self.at.timestamp())}


Evidence = PhysicalCardSeen | OfficerCompared | FaceMatched | SecondDocumentSeen | SecondOfficer | ChipProven
E = TypeVar("E", PhysicalCardSeen, OfficerCompared, FaceMatched, SecondDocumentSeen, SecondOfficer, ChipProven)

LIFE: Final = timedelta(hours=1)  # The person stands at the counter; yesterday's look is no evidence today.


def of_wallet(evidence: Iterable[Evidence], jkt: str) -> tuple[Evidence, ...]:
    """Without what a machine said of pictures that another phone took."""
    return tuple(one for one in evidence if not isinstance(one, FaceMatched) or one.wallet in ("", jkt))


def to_issue(document: Document) -> Purpose:
    """The pack's rules for the document say whether there is a plastic card to look at."""
    rules = document.eligibility
    return Purpose.ISSUE if rules is None or rules.physical_card else Purpose.ISSUE_WITHOUT_CARD


def missing(
    purpose: Purpose, evidence: Iterable[Evidence], now: datetime, face: FaceRules | None = None
) -> tuple[Need, ...]:
    """The needs not yet met, in the order an officer meets them. The newest value of each kind counts alone."""
    known = tuple(evidence)
    match purpose:
        case Purpose.RELEASE | Purpose.MOVE:
            # A release needs no plastic card: people lose the purse together with the phone. The face is asked again.
            return _officer(known, now)
        case Purpose.ISSUE | Purpose.ISSUE_WITHOUT_CARD:
            chip = _newest(ChipProven, known, now)
            if chip is not None:
                return _chip(chip, known, now)
            card = purpose is Purpose.ISSUE_WITHOUT_CARD or _good(PhysicalCardSeen, known, now) is not None
            person = _officer(known, now) if face is None else _person(known, now, face)
            return person if card else (Need.PHYSICAL_CARD, *person)
        case _:
            assert_never(purpose)


def _officer(evidence: tuple[Evidence, ...], now: datetime) -> tuple[Need, ...]:
    return () if _good(OfficerCompared, evidence, now) else (Need.OFFICER,)


def _chip(chip: ChipProven, evidence: tuple[Evidence, ...], now: datetime) -> tuple[Need, ...]:
    """Nobody stands by at home: what is nearly the same face is not the same face there."""
    seen = _newest(FaceMatched, evidence, now)
    return () if not chip.face or (seen is not None and seen.ok and _after(seen, chip, evidence)) else (Need.FACE,)


def _person(evidence: tuple[Evidence, ...], now: datetime, face: FaceRules) -> tuple[Need, ...]:
    """a the machine said yes and an officer after it  b it said nearly, another document matches, and an officer after
    it  c two officers, after whatever the machine said. Of a photo that one officer alone put on record a machine says
    no more than that officer did: then somebody else confirms as well."""
    compared, machine = _good(OfficerCompared, evidence, now), _newest(FaceMatched, evidence, now)
    confirmed = compared is not None and _after(compared, machine, evidence)
    second = _good(SecondOfficer, evidence, now)
    if second is not None and _after(second, machine, evidence):
        two = confirmed and compared is not None and compared.officer != second.officer
        return () if two else (Need.OFFICER,)
    lacking: tuple[Need, ...] = () if confirmed else (Need.OFFICER,)
    if confirmed and compared is not None and compared.own_photo:
        lacking = (Need.SECOND_OFFICER,)
    if machine is not None and machine.ok:
        return lacking
    if machine is not None and machine.borderline and face.second_documents:
        paper = _good(SecondDocumentSeen, evidence, now)
        return lacking if paper is not None and _after(paper, machine, evidence) else (Need.SECOND_DOCUMENT, *lacking)
    return Need.FACE, Need.OFFICER


def _after(one: Evidence, other: Evidence | None, evidence: tuple[Evidence, ...]) -> bool:
    """Of two things recorded at the same moment the later in the file is the later."""
    place = {id(value): at for at, value in enumerate(evidence)}  # the same said twice is two values
    return other is None or (one.at, place[id(one)]) > (other.at, place[id(other)])


def _newest(kind: type[E], evidence: tuple[Evidence, ...], now: datetime) -> E | None:
    """The last one said, if it was said within the hour."""
    newest: E | None = None
    for value in evidence:
        if isinstance(value, kind) and (newest is None or newest.at <= value.at):
            newest = value
    return newest if newest is not None and timedelta(0) <= now - newest.at <= LIFE else None


def _good(kind: type[E], evidence: tuple[Evidence, ...], now: datetime) -> E | None:
    newest = _newest(kind, evidence, now)
    return newest if newest is not None and newest.good else None


def must_suffice(
    purpose: Purpose, evidence: Iterable[Evidence], now: datetime, face: FaceRules | None = None
) -> None:  # fmt: skip
    """Refuse with EVIDENCE_MISSING, naming every need that is not met."""
    _must_lack_nothing(missing(purpose, evidence, now, face))


def to_file(
    purpose: Purpose, evidence: Iterable[Evidence], now: datetime, face: FaceRules | None
) -> tuple[Need, ...]:  # fmt: skip
    """What is missing that must be seen before the QR: the card in hand, and no officer's "somebody else". Without face
    rules that is everything: the phone has no part in the comparison."""
    known = tuple(evidence)
    lacking = missing(purpose, known, now, face)
    if face is None or purpose not in (Purpose.ISSUE, Purpose.ISSUE_WITHOUT_CARD):
        return lacking
    compared = _newest(OfficerCompared, known, now)
    early = {Need.PHYSICAL_CARD} if compared is None or compared.good else {Need.PHYSICAL_CARD, Need.OFFICER}
    return tuple(need for need in lacking if need in early)


def must_suffice_to_offer(
    purpose: Purpose, evidence: Iterable[Evidence], now: datetime, face: FaceRules | None
) -> tuple[Need, ...]:  # fmt: skip
    """Refuse what lacks something of `to_file`. What comes back may still be missing, and be seen after the QR."""
    known = tuple(evidence)
    _must_lack_nothing(to_file(purpose, known, now, face))
    return missing(purpose, known, now, face)


def _must_lack_nothing(lacking: tuple[Need, ...]) -> None:
    if lacking:
        raise Refused(Code.EVIDENCE_MISSING, "not yet recorded: " + ", ".join(lacking))
