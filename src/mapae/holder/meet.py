"""Showing a code to be asked by: the wallet's side of a meeting over a relay.

Promises: the code is of a fresh key, a fresh mailbox and this moment, and works once; what comes is shown only when it
was sealed to this code and signed for it. Trusts: `presentation.py` for who asks. Keeps: nothing; a wallet that dies
shows a new code. Refuses: what a relay swaps, brings twice or makes up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mapae.errors import Code, Refused
from mapae.formats import jwe
from mapae.formats.jose import PublicKey, b64u
from mapae.formats.meet import LIFE, TOKEN, MeetCode, channel_of, unseal

from .pocket import Pocket
from .presentation import Asked, Presentation
from .wire import Wire, must_be_safe

MAX_SEALED: Final = 65_536


@dataclass(frozen=True, slots=True)
class Meeting:
    """A code that is shown. Its key and the token of its mailbox are in memory alone."""

    code: MeetCode
    key: jwe.DecryptionKey
    token: bytes

    @property
    def text(self) -> str:
        return self.code.text

    @property
    def ends(self) -> int:
        return self.code.made + int(LIFE.total_seconds())


class Meet:
    def __init__(self, pocket: Pocket, wire: Wire, presentation: Presentation) -> None:
        self._pocket, self._wire, self._presentation = pocket, wire, presentation

    async def begin(self, relay: str) -> Meeting:
        must_be_safe(relay)
        dice = self._pocket.dice
        token = dice.bytes(TOKEN)
        # The code says no key id: the key is the only one that its mailbox is for.
        private = {name: value for name, value in jwe.private_jwk(dice.bytes(48), "").items() if name != "kid"}
        public = PublicKey.from_jwk(jwe.public_jwk(private))
        code = MeetCode.make(relay, channel_of(token), public, self._pocket.now())
        meeting = Meeting(code, jwe.DecryptionKey.from_jwk(private), token)
        (await self._wire.put(code.mailbox, self._proof(meeting))).must_be_ok()
        return meeting

    async def hear(self, meeting: Meeting, *, wait: int) -> Asked | None:
        if self._pocket.at() >= meeting.ends:
            raise Refused(Code.EXPIRED, "the code is over; show a new one")
        reply = await self._wire.get(f"{meeting.code.mailbox}?wait={wait}", self._proof(meeting), limit=MAX_SEALED)
        reply.must_be_ok()
        if reply.status == 204:
            return None
        request = unseal(reply.body, meeting.key, meeting.code)
        return await self._presentation.open_relayed(request, meeting.code.nonce)

    async def stop(self, meeting: Meeting) -> None:
        (await self._wire.delete(meeting.code.mailbox, self._proof(meeting))).must_be_ok()

    def _proof(self, meeting: Meeting) -> dict[str, str]:
        return {"Authorization": f"Bearer {b64u(meeting.token)}"}
