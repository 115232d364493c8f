"""The relay: mailboxes between a phone and a shop that cannot reach each other.

Promises: a mailbox takes one message and gives it to one reader, once; a message is gone when it was read, and at the
latest `LIFE` after its mailbox was opened. Trusts: nobody: who reads proves it with the secret whose hash names the
mailbox, who writes needs the name alone. Keeps: sealed bytes until then, no addresses, no clients, no persons. Refuses:
a mailbox nobody opened, a second message, more than `MOST` mailboxes. More than `WAITING` readers that wait, or `NEAR`
from one address, are answered at once instead.
"""

from __future__ import annotations

import asyncio
import hmac
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from mapae.clock import Clock
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.formats.meet import CHANNEL, LIFE, TOKEN, channel_of
from mapae.ui.rate import network
from mapae.verifier.relay import mailbox_store as store

LIMIT: Final = 65_536  # bytes of one message; a card with its portrait, sealed, takes about 45,000
MOST: Final = 2_048  # mailboxes at once: 128 MiB when all of them are full
WAITING: Final = 128  # readers that wait at once, in one process
NEAR: Final = 16  # of them from one address
PATIENCE: Final = 20.0  # seconds a reader may wait
_LOOK: Final = 1.0  # between looks, for what another process has put in


class Relay:
    """One object a process; the mailboxes are in the database."""

    def __init__(self, db: Db, clock: Clock) -> None:
        self._db, self._clock = db, clock
        self._news: dict[bytes, asyncio.Event] = {}
        self._waiting: Counter[str] = Counter()

    async def open(self, channel: bytes, token: bytes) -> int:
        """By its reader. Seconds it lives yet. Raises Refused(NOT_ALLOWED, SESSION_SPENT, TOO_OFTEN)."""
        self._must_be_the_readers(channel, token)
        if await store.room(self._db) >= MOST:
            await self.sweep()
            if await store.room(self._db) >= MOST:
                raise Refused(Code.TOO_OFTEN, "the relay has no room for another mailbox; try again in a minute")
        now = self._now()
        state, ends_at = await store.open_box(self._db, channel, now + int(LIFE.total_seconds()))
        if state == store.SPENT or ends_at <= now:
            raise Refused(Code.SESSION_SPENT, "this mailbox has been used")
        return ends_at - now

    async def put(self, channel: bytes, message: bytes) -> None:
        """By whoever knows the name. Raises Refused(NOT_FOUND, SESSION_SPENT, TOO_LARGE, MALFORMED)."""
        if len(message) > LIMIT:
            raise Refused(Code.TOO_LARGE, f"a message has at most {LIMIT} bytes")
        if not message:
            raise Refused(Code.MALFORMED, "the message is empty")
        if not await store.fill(self._db, channel, message, self._now()):
            if await store.state(self._db, channel, self._now()) is None:
                raise Refused(Code.NOT_FOUND, "there is no such mailbox, or not any more")
            raise Refused(Code.SESSION_SPENT, "this mailbox has been used")
        news = self._news.get(channel)
        if news is not None:
            news.set()

    async def take(
        self, channel: bytes, token: bytes, *, wait: float = 0, address: str = "",
        gone: Callable[[], Awaitable[bool]] | None = None,
    ) -> bytes | None:  # fmt: skip
        """By its reader: the message, once; None: nothing yet. Of a phone that lost its network and came back, the
        newest look waits and the one before is over; `gone` says whether anybody still hears this one. So a message
        is given to a dead connection only where it died while it was given.

        Raises Refused(NOT_ALLOWED, NOT_FOUND, SESSION_SPENT).
        """
        self._must_be_the_readers(channel, token)
        with self._place(channel, network(address)) as news:
            until = asyncio.get_running_loop().time() + (min(wait, PATIENCE) if news is not None else 0)
            while True:
                if news is not None and self._news.get(channel) is not news:
                    return None  # the same reader has come again
                if gone is not None and await gone():
                    return None
                found = await self._look(channel)
                left = until - asyncio.get_running_loop().time()
                if found is not None or news is None or left <= 0:
                    return found
                try:
                    await asyncio.wait_for(news.wait(), min(left, _LOOK))
                    news.clear()
                except TimeoutError:
                    continue

    async def close(self, channel: bytes, token: bytes) -> None:
        """By its reader, who wants nothing any more: whoever writes now hears that the mailbox has been used."""
        self._must_be_the_readers(channel, token)
        await store.close(self._db, channel)

    async def sweep(self) -> None:
        await store.sweep(self._db, self._now())

    async def _look(self, channel: bytes) -> bytes | None:
        match await store.state(self._db, channel, self._now()):
            case None:
                raise Refused(Code.NOT_FOUND, "there is no such mailbox, or not any more")
            case store.SPENT:
                raise Refused(Code.SESSION_SPENT, "this mailbox has been read")
            case store.OPEN:
                return None
            case _:
                return await store.take(self._db, channel, self._now())

    @contextmanager
    def _place(self, channel: bytes, address: str) -> Iterator[asyncio.Event | None]:
        """A place to wait at. None: all are taken, and this reader is answered at once."""
        if self._waiting.total() >= WAITING or self._waiting[address] >= NEAR:
            yield None
            return
        before, news = self._news.get(channel), asyncio.Event()
        if before is not None:
            before.set()
        self._waiting[address] += 1
        self._news[channel] = news
        try:
            yield news
        finally:
            if self._news.get(channel) is news:
                del self._news[channel]
            self._waiting[address] -= 1
            if not self._waiting[address]:
                del self._waiting[address]

    def _must_be_the_readers(self, channel: bytes, token: bytes) -> None:
        if len(token) != TOKEN or len(channel) != CHANNEL or not hmac.compare_digest(channel_of(token), channel):
            raise Refused(Code.NOT_ALLOWED, "only its own reader opens and reads a mailbox")

    def _now(self) -> int:
        return int(self._clock.now().timestamp())
