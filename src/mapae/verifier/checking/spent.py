"""Which codes this checker has accepted: each counts once, at one checker.

Promises: `take` succeeds once for a nonce, whatever the clock does afterwards. What is over is forgotten, and the
`floor` remembers how far: a code that may have been forgotten is stale, so a clock that steps back does not bring an
old code to life. Trusts: the caller to take what passed the other steps, and nothing else: who has no card fills no
memory. Keeps: nonces (random, of nobody) until their codes are over, `MOST` of them at the most. Refuses:
PRESENTATION_SPENT, PRESENTATION_STALE.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Protocol

from mapae.errors import Code, Refused

MOST: Final = 100_000


class Spent(Protocol):
    def take(self, nonce: bytes, until: int, now: int) -> None:
        """`until`: when the code would be refused anyway. Raises Refused(PRESENTATION_SPENT, PRESENTATION_STALE)."""
        ...


def again() -> Refused:
    return Refused(Code.PRESENTATION_SPENT, "this code was accepted here before")


def forgotten() -> Refused:
    return Refused(Code.PRESENTATION_STALE, "this code is older than what this checker remembers")


class Remembered:
    """In memory, for one process: a till with one window. `verifier/till/notebook_store.py` keeps them in a file."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._until: dict[bytes, int] = {}
        self._floor = 0
        self._lock = threading.Lock()

    def take(self, nonce: bytes, until: int, now: int) -> None:
        with self._lock:
            if nonce in self._until:
                raise again()
            if until <= self._floor:
                raise forgotten()
            if len(self._until) >= self._most:
                self._forget(lambda end: end < now)
            if len(self._until) >= self._most:
                oldest = min(self._until.values())
                self._forget(lambda end: end <= oldest)
            self._until[nonce] = until

    def __len__(self) -> int:
        return len(self._until)

    def _forget(self, over: Callable[[int], bool]) -> None:
        gone = [nonce for nonce, end in self._until.items() if over(end)]
        self._floor = max((self._until[nonce] for nonce in gone), default=self._floor)
        for nonce in gone:
            del self._until[nonce]
