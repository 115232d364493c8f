"""The issuer's way into the anchors log.

Promises: what is asked of the log is what the statement says, and the statement is signed by the issuer's voice.
Trusts: the trust role's door to answer the same statement with the same receipt. Keeps: nothing. Refuses: nothing; what
the log refuses comes through as it is.
"""

from __future__ import annotations

import hashlib

from mapae.clock import Clock
from mapae.formats.jose import Signing
from mapae.issuer.epochs import Anchor
from mapae.issuer.grants import Asking
from mapae.trust.log import acts, statement


class AnchorsLog:
    """`publisher`: our id in the registry; `origin`: what statements are for; `voice`: our key there."""

    def __init__(self, peers: Asking, clock: Clock, publisher: str, origin: str, voice: Signing) -> None:
        self._peers = peers
        self._clock = clock
        self._party = hashlib.sha256(publisher.encode()).digest()
        self._origin = origin
        self._voice = voice

    def state(self, anchor: Anchor) -> str:
        asked = acts.args(self._act(anchor, bytes(32)))
        return statement.make(acts.Anchor.NAME, asked, self._origin, self._voice, int(self._clock.now().timestamp()))

    async def submit(self, anchor: Anchor, signed: str) -> None:
        act = self._act(anchor, statement.digest(signed))
        await self._peers.call("trust", "/trust/submit", {"act": acts.encode(act), "signed": signed})

    def _act(self, anchor: Anchor, digest: bytes) -> acts.Anchor:
        return acts.Anchor(
            self._party, anchor.stream, anchor.seq, anchor.root, anchor.leaves, anchor.next_update, digest
        )  # fmt: skip
