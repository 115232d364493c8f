"""What every simulated service has: a key at the door, and orders to misbehave.

Promises: a fault holds for the next so many requests of one service and is kept in the database, so that a service
that was killed misbehaves on. `lost_answer` does the work and then says that nothing came back: what a caller sees of a
line that broke too late. Trusts: whoever holds the service's key. Keeps: one fault a service. Refuses: a wrong key, a
fault the service does not know.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.simulators import store
from mapae.simulators.store import Fault

T = TypeVar("T")

LONGEST: Final = 30  # real seconds a slow service takes
MOST: Final = 1000
# Modes every service knows, and those of one service alone.
GENERAL: Final = ("none", "error", "slow", "lost_answer")
OWN: Final = {
    "factory": ("wrong_hashes", "break_chip"),
    "post": ("lose", "return"),
    "payment": ("decline",),
    "fingerprint": ("not_matched", "unreadable"),
}


class Service:
    """The door of one simulated service."""

    def __init__(self, name: str, db: Db, key: str) -> None:
        self.name = name
        self._db = db
        self._key = key

    @property
    def modes(self) -> tuple[str, ...]:
        return (*GENERAL, *OWN[self.name])

    def admit(self, authorization: str | None) -> None:
        """Raises Refused(NOT_SIGNED_IN) unless the caller shows the key."""
        scheme, _, shown = (authorization or "").partition(" ")
        if scheme != "Bearer" or not hmac.compare_digest(shown.encode(), self._key.encode()):
            raise Refused(Code.NOT_SIGNED_IN, f"the simulated {self.name} needs its key")

    async def misbehave(self, mode: str, seconds: int = 0, count: int = 1) -> None:
        """Treat the next `count` requests so. Raises Refused(MALFORMED)."""
        if mode not in self.modes or not 0 <= seconds <= LONGEST or not 0 <= count <= MOST:
            raise Refused(
                Code.MALFORMED, f"mode is one of {', '.join(self.modes)}; at most {LONGEST} seconds and {MOST} requests"
            )
        fault = Fault(mode, seconds, 0 if mode == "none" else count)
        await self._db.write(lambda tx: store.set_fault(tx, self.name, fault))

    async def told(self) -> Fault | None:
        """The fault in force, without using it up."""
        return await store.fault(self._db, self.name)

    async def serve(self, work: Callable[[str], Awaitable[T]]) -> T:
        """Do `work(mode)` as well as the fault in force allows; `mode` is one of the service's own, or empty.

        Raises Refused(UNAVAILABLE) when told to fail, before the work or after it.
        """
        fault = await self._db.write(lambda tx: store.use_fault(tx, self.name))
        mode = fault.mode if fault is not None else ""
        if fault is not None and mode == "slow":
            await asyncio.sleep(fault.seconds)
        if mode == "error":
            raise Refused(Code.UNAVAILABLE, f"the simulated {self.name} was told to fail")
        done = await work(mode if mode in OWN[self.name] else "")
        if mode == "lost_answer":
            raise Refused(Code.UNAVAILABLE, f"the simulated {self.name} was told to lose its answer")
        return done
