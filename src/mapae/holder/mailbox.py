"""Requests that were pushed to this phone by name: they wait at the wallet provider.

Promises: a look opens nothing; what to open is the holder's word, and goes the way of every link. Trusts: the wallet
provider for what waits, and for nothing about who asks: that is the signed request's to say. Keeps: nothing. Refuses:
an answer of another shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from mapae.errors import Code, Refused
from mapae.holder.device import Device


class Waiting(msgspec.Struct, frozen=True):
    id: str
    party: str
    purpose: str
    text: str
    at: int
    expires: int


class Tried(msgspec.Struct, frozen=True):
    """Somebody asked, and it is too late, or this phone does not want to hear of them."""

    id: str
    party: str
    purpose: str
    at: int
    muted: bool


class Looked(msgspec.Struct, frozen=True):
    requests: tuple[Waiting, ...]
    tried: tuple[Tried, ...]
    muted: tuple[str, ...]
    subscribed: bool


@dataclass(frozen=True, slots=True)
class Mailbox:
    device: Device

    async def look(self) -> Looked:
        """Raises Refused(DEVICE_SUSPENDED, DEVICE_ENDED, ...): nothing waits for such a phone."""
        try:
            return msgspec.convert(await self.device.ask("/mailbox"), Looked)
        except msgspec.ValidationError:
            raise Refused(Code.MALFORMED, "the mailbox has another shape") from None

    async def put_aside(self, id: str) -> None:
        await self.device.ask(f"/mailbox/{id}/end", {})

    async def mute(self, parties: Sequence[str]) -> None:
        """Exactly these from now on; an empty word: everybody."""
        await self.device.ask("/mailbox/mute", {"parties": list(parties)})

    async def wake_at(self, endpoint: str, p256dh: str, auth: str) -> None:
        """Where a push service takes what wakes this phone (W3C Push API, PushSubscription)."""
        await self.device.ask("/push/subscription", {"endpoint": endpoint, "p256dh": p256dh, "auth": auth})

    async def sleep(self) -> None:
        await self.device.ask("/push/subscription/end", {})
