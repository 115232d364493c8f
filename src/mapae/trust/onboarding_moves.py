"""What may be done with an application, and how long things about it last. Pure.

Promises: `moved` gives the state a deed leads to and no other; an end is an end. Trusts: nobody. Keeps: nothing.
Refuses: CONFLICT for a deed its state does not know, and for a reading that is not the last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from mapae.errors import Code, Refused
from mapae.formats.x509 import life_of
from mapae.trust.onboarding_store import OPEN, UNSENT, Case, Old, Stage

# Agreeing is not here: it is the registry's, and `Onboarding.catch_up` reads from there what came of it.
MOVES: Final[Mapping[str, Mapping[Stage, Stage]]] = {
    "submit": {Stage.LINTED: Stage.WAITING},
    "return": {Stage.WAITING: Stage.RETURNED},
    "refuse": {Stage.WAITING: Stage.REFUSED, Stage.RETURNED: Stage.REFUSED},
    "withdraw": dict.fromkeys(OPEN, Stage.WITHDRAWN),
    "approved": {Stage.WAITING: Stage.APPROVED, Stage.APPROVED: Stage.APPROVED},
    "ended": {Stage.APPROVED: Stage.ENDED},
}
CHANGEABLE: Final = (*UNSENT, Stage.WAITING, Stage.RETURNED)
PAST: Final = {"return": "returned", "refuse": "refused"}

FORGET: Final = timedelta(days=30)  # a draft nobody handed in, and what was withdrawn
FORGET_REFUSED: Final = timedelta(days=365)
UNANSWERED: Final = timedelta(days=90)  # returned, and nobody came back: it holds its id no longer
LATELY: Final = timedelta(days=1)  # for so long one that was given up counts among those of its address
RENEW: Final = timedelta(days=90)  # before its end an access certificate may be renewed
SOON: Final = timedelta(days=14)  # before its end it is red


def moved(move: str, stage: Stage) -> Stage:
    after = MOVES[move].get(stage)
    if after is None:
        raise Refused(Code.CONFLICT, f"this application is {stage.value}: it cannot be {PAST.get(move, move)} now")
    return after


def reading(case: Case) -> int:
    """Its version; agreeing, which writes once, changes nothing in it."""
    return case.version - (case.proposal is not None)


def must_be_as_read(id: str, case: Case) -> None:
    read = id.partition(".")[2]
    if read and read != str(reading(case)):
        raise Refused(Code.CONFLICT, "the applicant has changed it since you read it: look at it again")


def old(now: datetime) -> Old:
    return Old(now - FORGET, now - FORGET, now - FORGET_REFUSED, now - LATELY)


@dataclass(frozen=True, slots=True)
class Left:
    """How long an access certificate, and with it the registration, lasts. Yellow: it may be renewed."""

    days: int
    until: datetime
    light: Literal["green", "yellow", "red"]
    over: bool = False


def left_of(certificate: bytes, now: datetime) -> Left:
    until = life_of(certificate)[1]
    left = until - now
    light: Literal["green", "yellow", "red"] = "red" if left <= SOON else "yellow" if left <= RENEW else "green"
    return Left(max(0, left.days), until, light, left <= timedelta(0))
