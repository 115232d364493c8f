"""The simulated mobile carrier: takes text messages over HTTP and shows them in an inbox page.

Promises: a message handed in twice under one id is one message; it can be told to fail, to delay or to lose the next
messages, so that what depends on it can be tested. It is a simulator and says so on screen; it never stands in a
production country. Trusts: whoever holds its key. Keeps: messages for a day. Refuses: a wrong key, and what it was told
to refuse.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Literal, get_args

from ..clock import Clock, Dice
from ..db import Db, Tx
from ..errors import Code, Refused
from .store import (
    Fault,
    Message,
    add_message,
    forget_messages,
    has_message,
    set_fault,
    use_fault,
    visible_messages,
)

Mode = Literal["none", "fail", "delay", "lose"]
MODES: tuple[Mode, ...] = get_args(Mode)
MOST_SHOWN = 50
LONGEST_TEXT = 1000
LONGEST_DELAY = 3600


@dataclass(frozen=True, slots=True)
class Post:
    """A message as it is handed in; `id` is the sender's own."""

    to: str
    text: str
    id: str


class SimulatedCarrier:
    def __init__(self, db: Db, clock: Clock, dice: Dice, *, key: str, keep_seconds: int = 86400) -> None:
        self._db, self._clock, self._dice = db, clock, dice
        self._key, self._keep = key, keep_seconds

    def admit(self, authorization: str | None) -> None:
        """Raises Refused(NOT_SIGNED_IN) unless the caller shows the key."""
        scheme, _, shown = (authorization or "").partition(" ")
        if scheme != "Bearer" or not hmac.compare_digest(shown.encode(), self._key.encode()):
            raise Refused(Code.NOT_SIGNED_IN, "the carrier needs its key")

    async def take(self, post: Post) -> str:
        """Take a message; its id. Raises Refused(UNAVAILABLE) when told to fail."""
        if (
            not 1 <= len(post.to) <= 30
            or not post.text
            or len(post.text) > LONGEST_TEXT
            or not 1 <= len(post.id) <= 100
        ):
            raise Refused(Code.MALFORMED, "a message needs a number, a text of at most 1000 characters and an id")
        now = int(self._clock.now().timestamp())

        async def body(tx: Tx) -> bool:
            await forget_messages(tx, now - self._keep)
            if await has_message(tx, post.id):
                return True
            fault = await use_fault(tx)
            mode = fault.mode if fault is not None else "none"
            if mode == "fail":
                return False
            delay = fault.seconds if fault is not None and mode == "delay" else 0
            if mode != "lose":
                await add_message(tx, Message(post.id, plain(post.to), post.to, post.text, now, now + delay))
            return True

        if not await self._db.write(body):
            raise Refused(Code.UNAVAILABLE, "the simulated carrier was told to fail")
        return post.id

    async def inbox(self, phone: str = "") -> list[Message]:
        """What has arrived and is not too old, newest first."""
        now = int(self._clock.now().timestamp())
        return await visible_messages(self._db, now, now - self._keep, plain(phone), MOST_SHOWN)

    async def misbehave(self, mode: str, seconds: int, count: int) -> None:
        """Treat the next `count` messages so. Raises Refused(MALFORMED)."""
        if mode not in MODES or not 0 <= seconds <= LONGEST_DELAY or not 0 <= count <= 1000:
            raise Refused(Code.MALFORMED, "mode is none, fail, delay or lose; at most an hour, at most 1000 messages")
        fault = Fault(mode, seconds, count if mode != "none" else 0)
        await self._db.write(lambda tx: set_fault(tx, fault))


def plain(phone: str) -> str:
    """The digits of a phone number."""
    return "".join(letter for letter in phone if letter.isdecimal())[:20]
