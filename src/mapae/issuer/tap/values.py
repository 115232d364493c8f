"""A tap as values: its states, what may follow what, and what it needs of others. Pure.

Promises: `Session` says everything that was decided and nothing that was read from the chip. Trusts: nobody; values
only. Keeps: nothing. Refuses: by type.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final, Protocol

from mapae.issuer.face.checks import CameTo, Standing, Subject

CASE: Final = "tap-"  # what an order's case id begins with when no officer opened it
ACTIVE: Final = "active"


class State(StrEnum):
    """Where a tap stands. `ISSUING` and `MOVED` are the two halves of what the wallet's confirmation sets off: both are
    finished by whoever comes next, so that a power cut leaves nothing half done."""

    WAITING = "waiting"  # for a helper to bring the secret
    OPENED = "opened"  # a helper has it; the PIN is typed there
    CARD = "card"  # the card was shown and is looked up; the chip is proving itself
    FACE = "face"  # the chip has proven itself; now the face
    CONFIRM = "confirm"  # everything is proven; the person decides
    ISSUING = "issuing"
    MOVED = "moved"
    OFFERED = "offered"  # the wallet fetches the card as it would any other
    DONE = "done"
    FAILED = "failed"


OPEN: Final = (State.WAITING, State.OPENED, State.CARD, State.FACE, State.CONFIRM)  # nothing has happened yet
LIVE: Final = (*OPEN, State.ISSUING, State.MOVED)


@dataclass(frozen=True, slots=True)
class Session:
    """One tap. `waiting`: the phone waits for this to become the person's only one. `chip` is SHA-256(EF.SOD)."""

    id: str
    person: str
    device: str
    waiting: bool
    kind: str
    client_jkt: str
    dpop_jkt: str
    code: str
    language: str
    state: State
    reason: str
    step: str
    opened: int
    expires: int
    tap_until: int
    chip: bytes
    proven: int
    old_device: str
    offer: str

    @property
    def case_id(self) -> str:
        return CASE + self.id

    @property
    def subject(self) -> str:
        """How the face checks know it: by person and day, so that a new session brings no new tries."""
        return f"tap:{self.person}.{self.opened // 86400}"

    @property
    def asked(self) -> str:
        """What its wallet, and no other, calls it at the face checks."""
        return f"tap:{self.id}"

    def deadline(self) -> int:
        return min(self.expires, self.tap_until) if self.state is State.CARD else self.expires


@dataclass(frozen=True, slots=True)
class Opened:
    """A new session with the secret of its link, which is nowhere else."""

    session: Session
    secret: str


@dataclass(frozen=True, slots=True)
class Read:
    """What was decided over what the issuer itself read from the chip."""

    digest: bytes
    number: str


class IssuedCard(Protocol):
    """A physical card as the issuer made it."""

    @property
    def person(self) -> str: ...
    @property
    def number(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def chip_key_hash(self) -> bytes: ...
    @property
    def expires(self) -> date: ...


class CardRegister(Protocol):
    """The register of issued cards: `mapae.issuer.cards.register.IssuedCards` is one."""

    async def by_sod(self, digest: bytes) -> IssuedCard | None:
        """The card whose EF.SOD has this SHA-256. Raises Refused(UNAVAILABLE)."""
        ...


class Faces(Protocol):
    """What a tap needs of the face checks: `mapae.issuer.face.checks.FaceChecks` has it."""

    async def came_to(self, subject: str, asked: str) -> CameTo: ...

    async def standing_of(self, subject: Subject) -> Standing: ...


def not_active(card: IssuedCard, today: date) -> bool:
    """Lost, replaced, destroyed, not handed over yet, or too old."""
    return card.state != ACTIVE or card.expires < today


def outward(state: State) -> str:
    """As the wallet sees it: it asks to confirm once more what is being done, which does no harm."""
    return State.CONFIRM.value if state in (State.ISSUING, State.MOVED) else state.value


def secret_link(base: str, secret: str) -> str:
    """What stands behind # stays in the browser: no server and no log hears of it."""
    return f"{base}/tap#{secret}"
