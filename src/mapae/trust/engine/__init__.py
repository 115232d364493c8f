"""What an engine of the trust log must be, whatever is behind it: a table of ours, or a contract several bodies run.

Promises: both engines give the same bytes and the same heads for the same acts. Trusts: `trust/log/` for every rule.
Keeps: nothing here. Refuses: LEDGER_RULE, which is final and names the rule; UNAVAILABLE, after which the same
submission may be made again.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from mapae.trust.log.acts import Act
from mapae.trust.log.entry import Log
from mapae.trust.log.rules import State
from mapae.trust.log.tree import Head

__all__ = ["Assurance", "Head", "Ledger", "Receipt", "Submission"]


class Submission(msgspec.Struct, frozen=True):
    """An act, and the statement or approval that its sender signed."""

    act: Act
    signed: str


class Receipt(msgspec.Struct, frozen=True):
    """Where the log has it; a vote that was counted has no index yet."""

    log: Log
    index: int | None
    time: int


class Assurance(msgspec.Struct, frozen=True):
    """What may be claimed of this engine, and no more."""

    engine: str
    operators: int
    faults_tolerated: int
    final: bool  # what it says is so will stay so
    multi_party: bool


class Ledger(Protocol):
    async def submit(self, act: Act, signed: str) -> Receipt:
        """`signed` is the statement the act names, or, for a further governor's vote, an approval of it.

        The same submission by the same voice gets the same receipt.
        """
        ...

    async def head(self, log: Log) -> Head:
        """Final entries only."""
        ...

    async def entries(self, log: Log, start: int, end: int) -> list[bytes]: ...

    async def state(self) -> State:
        """Folded so far. To be read, never changed."""
        ...

    async def assurance(self) -> Assurance: ...
