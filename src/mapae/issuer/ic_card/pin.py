"""The life of a chip's PIN: who may try which secret, and what a try, a hit, a change and an unblocking leave behind.

Promises: pure; every change is a new `PinState`. A try is counted before it is judged, so whoever stops in between has
used one up. The PIN has three tries: at one left it is suspended until the number printed on the card (CAN) opens
the way to that last try, at none it is blocked until the unblock key (PUK). The PUK has ten uses in all, right or
wrong. The PIN of the letter (delivery) opens nothing but its own replacement. (BSI TR-03110-2 2.5 names these states.)
Trusts: the caller to keep a state in lasting memory before acting on it. Keeps: nothing.
Refuses: a try that is not there; a new PIN of another form, and the PIN of the letter as one's own.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec

from mapae.issuer.ic_card.pace import Password
from mapae.issuer.ic_card.profile import PROFILE_A

TRIES: Final = PROFILE_A.pin_tries
PUK_USES: Final = PROFILE_A.puk_tries


class Standing(Enum):
    """Whether a secret may be tried now."""

    READY = "ready"
    SUSPENDED = "suspended"
    BLOCKED = "blocked"


class PinState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a chip may never forget about its PIN and PUK."""

    pin: str
    delivery: bool
    """The PIN is the one of the letter: good for being replaced and nothing else."""
    tries: int = TRIES
    puk_uses: int = PUK_USES

    def __post_init__(self) -> None:
        if not is_digits(self.pin) or not (0 <= self.tries <= TRIES and 0 <= self.puk_uses <= PUK_USES):
            raise ValueError("not a state a PIN can be in")

    def left(self, password: Password) -> int | None:
        """Tries left where some have been used; None where all are there, or none are counted."""
        match password:
            case Password.PIN:
                return self.tries if self.tries < TRIES else None
            case Password.PUK:
                return self.puk_uses if self.puk_uses < PUK_USES else None
            case Password.CAN | Password.MRZ:  # printed on the card: guessing is no faster than looking
                return None

    def standing(self, password: Password, resumed: bool) -> Standing:
        """`resumed`: since the chip has power, the CAN was shown and the PIN not yet missed."""
        match password:
            case Password.PIN if self.tries == 0:
                return Standing.BLOCKED
            case Password.PIN if self.tries == 1 and not resumed:
                return Standing.SUSPENDED
            case Password.PUK if self.puk_uses == 0:
                return Standing.BLOCKED
            case _:
                return Standing.READY

    def counted(self, password: Password) -> PinState:
        """One try less. To be kept before the try is looked at."""
        match password:
            case Password.PIN if self.tries:
                return msgspec.structs.replace(self, tries=self.tries - 1)
            case Password.PUK if self.puk_uses:
                return msgspec.structs.replace(self, puk_uses=self.puk_uses - 1)
            case Password.CAN | Password.MRZ:
                return self
            case _:
                raise ValueError("no try is left")

    def matched(self, password: Password) -> PinState:
        """The right PIN gives its tries back; a use of the PUK stays used."""
        return msgspec.structs.replace(self, tries=TRIES) if password is Password.PIN else self

    def changed(self, new: str, digits: int) -> PinState:
        if not is_digits(new) or len(new) != digits:
            raise ValueError(f"a PIN has {digits} digits")
        if self.delivery and new == self.pin:
            raise ValueError("the PIN of the letter cannot be one's own")
        return msgspec.structs.replace(self, pin=new, delivery=False, tries=TRIES)

    def unblocked(self) -> PinState:
        """The same PIN with all its tries."""
        return msgspec.structs.replace(self, tries=TRIES)


def is_digits(secret: str) -> bool:
    return secret.isascii() and secret.isdigit()
