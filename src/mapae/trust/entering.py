"""A party's own way into the trust log: it enters its certificates and schemas, and revokes what it entered.

Promises: each act is stated in the party's own voice, so that nobody else can make it; entering twice is entering once.
Trusts: whoever hands the act in to say what the log said. Keeps: nothing. Refuses: what the log refuses, as it is;
UNAVAILABLE when the log does not answer, and then the same may be asked again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from hashlib import sha256
from typing import Final

from mapae.clock import Clock
from mapae.errors import Code, Refused
from mapae.formats.jose import Signing
from mapae.formats.x509 import life_of
from mapae.trust.changes import Asked, Submission, submission
from mapae.trust.entries import digest_of
from mapae.trust.log import entry as log
from mapae.trust.log.acts import Act
from mapae.trust.signers import Purpose, Reason

Submit = Callable[[Act, str], Awaitable[object]]
THERE: Final = frozenset({"key exists", "schema exists"})  # rules of the log that say so


class Voice:
    """`party` as the registry names it, `signer` the key the log knows it by."""

    def __init__(self, party: str, signer: Signing, origin: str, submit: Submit, clock: Clock) -> None:
        self.party = party
        self._signer, self._origin, self._submit, self._clock = signer, origin, submit, clock

    async def enter(self, certificate: bytes, purpose: Purpose) -> None:
        """A certificate (DER), from now until its own end."""
        await self.enter_thumbprint(sha256(certificate).digest(), purpose, life_of(certificate)[1])

    async def enter_thumbprint(self, thumbprint: bytes, purpose: Purpose, until: datetime) -> None:
        await self._say("put_key", {
            "party": self._party, "thumbprint": thumbprint.hex(), "purpose": int(log.Purpose[purpose.name]),
            "valid_from": 0, "valid_until": int(until.timestamp()),
        })  # fmt: skip

    async def revoke(self, thumbprint: bytes, reason: Reason, since: int = 0) -> None:
        await self._say("revoke_key", revocation(self._party, thumbprint, reason, since))

    async def publish_schema(self, name: str, schema: bytes) -> None:
        """What credentials of this type look like; the type's name and the document's bytes by their SHA-256."""
        await self._say("put_schema", {
            "owner": self._party, "schema": sha256(name.encode()).hexdigest(), "digest": sha256(schema).hexdigest(),
        })  # fmt: skip

    def stated(self, asked: Asked) -> Submission:
        return submission(asked.signed(self._origin, self._signer, self._clock.now()))

    @property
    def _party(self) -> str:
        return digest_of(self.party).hex()

    async def _say(self, name: str, args: dict[str, str | int]) -> None:
        made = self.stated(Asked(name, args))
        try:
            await self._submit(made.act, made.signed)
        except Refused as refused:
            if refused.code is not Code.LEDGER_RULE or refused.detail not in THERE:
                raise


def revocation(party: str, thumbprint: bytes, reason: Reason, since: int) -> dict[str, str | int]:
    return {
        "party": party, "thumbprint": thumbprint.hex(), "reason": int(log.Reason[reason.name]), "since": since,
    }  # fmt: skip
