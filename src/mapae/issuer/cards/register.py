"""The register of issued cards: which chip is whose, and whether it still counts.

Promises: a chip is found by the SHA-256 of its EF.SOD and by nothing a holder could change; the answer is the state
now. Trusts: the life of cards to move them. Keeps: nothing of its own (card_life is the store's). Refuses: by value:
None for a chip we never signed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from mapae.db import Db

from . import store
from .life import State

IssuedState = Literal["made", "active", "lost", "replaced", "destroyed", "expired"]
_STATES: Final[dict[State, IssuedState]] = {
    State.ORDERED: "made",  # signed, and on its way out of the factory
    State.MADE: "made",
    State.POSTED: "made",
    State.DELIVERED: "made",
    State.RETURNED: "made",
    State.AT_OFFICE: "made",
    State.HANDED_OVER: "made",
    State.ACTIVE: "active",
    State.LOST: "lost",
    State.REPLACED: "replaced",
    State.EXPIRED: "expired",
    State.UNCOLLECTED: "destroyed",
    State.CANCELLED: "destroyed",
    State.DESTROYED: "destroyed",
}


@dataclass(frozen=True, slots=True)
class IssuedCard:
    """A card with a chip, as far as a tap may know it. Only `active` counts."""

    id: str
    person: str
    number: str
    state: IssuedState
    chip_key_hash: bytes
    """SHA-256 of the chip's uncompressed public point."""
    made: date
    expires: date


class IssuedCards:
    """Which chip is whose."""

    def __init__(self, db: Db) -> None:
        self._db = db

    async def by_sod(self, digest: bytes) -> IssuedCard | None:
        """The card whose EF.SOD has this SHA-256."""
        found = await store.by_sod(self._db, digest)
        if found is None or found.chip_key_hash is None or not found.issued:
            return None
        return IssuedCard(
            found.id, found.person, found.number, _STATES[found.state], found.chip_key_hash,
            date.fromisoformat(found.issued), date.fromisoformat(found.expires),
        )  # fmt: skip
