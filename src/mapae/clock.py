"""The only sources of time and chance.

Promises: `now()` is an aware UTC datetime; `surely()` is one that a clock far ahead for a moment does not touch; `Dice`
is the one place random values come from, so a test can seed it. Trusts: the operating system's clock and entropy, and
of the clock that one that has been wrong for an hour has an operator who knows. Keeps: how far the clock was from the
time since the machine started (the movable clock: its offset). Refuses: naive datetimes.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware UTC time."""
        ...

    def surely(self) -> datetime:
        """A moment that has passed by all this machine knows: for what is done for good."""
        ...


LEAP = 600.0  # seconds: further ahead at once a clock does not go
LASTS = 3600.0  # seconds after which a leap is believed


class Steady:
    """A wall clock beside one that only counts: where the first has leapt ahead, the second goes on."""

    def __init__(self, wall: Callable[[], float], counted: Callable[[], float]) -> None:
        self._wall, self._counted = wall, counted
        self._apart = wall() - counted()
        self._before = self._apart  # until the wall clock fell: it may come back to that within the hour
        self._leapt: float | None = None  # when, as counted
        self._fell: float | None = None

    def surely(self) -> float:
        """Epoch seconds. A clock put back is followed at once, and back again; one ahead after an hour."""
        counted = self._counted()
        apart = self._wall() - counted
        if self._fell is not None and counted - self._fell >= LASTS:
            self._before, self._fell = self._apart, None
        if apart > max(self._apart, self._before) + LEAP:
            if self._leapt is None:
                self._leapt = counted
            if counted - self._leapt < LASTS:
                return counted + self._apart
            self._before, self._fell = apart, None
        elif apart < self._before - LEAP:
            self._fell = counted if self._fell is None else self._fell
        else:
            self._before, self._fell = apart, None
        self._apart, self._leapt = apart, None
        return counted + apart


def _since_start() -> float:
    """Seconds, also those the machine slept, where the system counts them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


_STEADY = Steady(time.time, _since_start)


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def surely(self) -> datetime:
        return datetime.fromtimestamp(_STEADY.surely(), UTC)


class MovableClock:
    """Runs from `start` only when told to, or along with real time when `running`; for tests and the demo country."""

    def __init__(self, start: datetime | None = None, *, running: bool = False) -> None:
        if start is not None and start.tzinfo is None:
            raise ValueError("the clock needs an aware datetime")
        real = datetime.now(UTC)
        self._running = running
        self._at = start if start is not None else real
        self._offset = self._at - real
        self._leapt = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset if self._running else self._at

    def surely(self) -> datetime:
        return self.now() - self._leapt

    def leap(self, **parts: float) -> None:
        """Move `now()` alone, as a clock that is wrong for a moment: `leap(days=365)`, and back `leap(days=-365)`."""
        by = timedelta(**parts)
        self._leapt += by
        self.advance(by)

    def advance(self, delta: timedelta | None = None, **parts: float) -> None:
        """Move on by `delta`, or by timedelta keywords: `advance(days=3)`."""
        by = delta if delta is not None else timedelta(**parts)
        self._at += by
        self._offset += by

    def set(self, at: datetime) -> None:
        self.advance(at - self.now())


class Dice(Protocol):
    def bytes(self, n: int) -> bytes: ...

    def token(self, n: int = 32) -> str:
        """Base64url, no padding, of n random bytes."""
        ...

    def below(self, limit: int) -> int:
        """A uniform integer in [0, limit)."""
        ...

    def several(self, limit: int, count: int) -> list[int]:
        """`count` of them, drawn together."""
        ...

    def digits(self, n: int) -> str: ...


class _FromBytes:
    def bytes(self, n: int) -> bytes:
        raise NotImplementedError

    def token(self, n: int = 32) -> str:
        return urlsafe_b64encode(self.bytes(n)).rstrip(b"=").decode()

    def below(self, limit: int) -> int:
        return self.several(limit, 1)[0]

    def several(self, limit: int, count: int) -> list[int]:
        if limit < 1:
            raise ValueError("limit must be positive")
        width = ((limit - 1).bit_length() + 7) // 8 or 1
        ceiling = (256**width // limit) * limit  # reject the uneven tail
        found: list[int] = []
        while len(found) < count:
            raw = self.bytes(width * (count - len(found)))
            values = [int.from_bytes(raw[at : at + width], "big") for at in range(0, len(raw), width)]
            found += [value % limit for value in values if value < ceiling]
        return found

    def digits(self, n: int) -> str:
        return str(self.below(10**n)).zfill(n)


class SystemDice(_FromBytes):
    def bytes(self, n: int) -> bytes:
        return secrets.token_bytes(n)


class SeededDice(_FromBytes):
    """Repeatable: SHA-256 in counter mode over a seed. For tests and generated people, never for keys or codes."""

    def __init__(self, seed: int | str) -> None:
        self._seed = str(seed).encode()
        self._block = 0
        self._buffer = b""

    def bytes(self, n: int) -> bytes:
        while len(self._buffer) < n:
            self._buffer += hashlib.sha256(self._seed + b"|" + self._block.to_bytes(8, "big")).digest()
            self._block += 1
        taken, self._buffer = self._buffer[:n], self._buffer[n:]
        return taken
