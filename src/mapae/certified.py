"""The certificates of our own signers: entered in the trust log, in their party's own voice, before they sign.

Promises: a renewed certificate is used once the log has it, and the old one until then; one that has no predecessor
signs nothing before. What the log could not take now is promised and asked again. Trusts: the log to say what it has.
Keeps: the promise in the role's outbox, the certificates in their folder. Refuses: UNAVAILABLE to sign with a
certificate nobody would believe.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import structlog

from .db import Db, Tx
from .errors import Code, Refused
from .formats.jose import b64u, unb64u
from .formats.x509 import Profile, Subject
from .house import Foundation, House
from .keys import GatedSigner, Signer
from .outbox import Handler, promise
from .trust.checkpoints import origin
from .trust.entering import Submit, Voice
from .trust.log import acts
from .trust.log import entry as log
from .trust.log.acts import Act
from .trust.signers import Purpose, Reason

PROMISE: Final = "certificate"  # in the outbox: enter it in the log
_log = structlog.get_logger("mapae.certified")


Ended = Callable[[bytes], Awaitable[Reason | None]]


async def _never(thumbprint: bytes) -> Reason | None:
    return None


def _stolen() -> None:
    raise Refused(Code.UNAVAILABLE, "the signer's key was reported stolen; another has to take its place")


@dataclass
class Authority:
    """Who certifies a party's signers. `signer` None: its key is elsewhere."""

    signer: Signer | None
    der: bytes


@dataclass
class Certified:
    """The signers of one party, whose database is `db`. `ended`: why the log ended a certificate, if it did."""

    foundation: Foundation
    db: Db
    voice: Voice
    ended: Ended = _never
    _entered: set[bytes] = field(default_factory=set)

    async def anchor(self, der: bytes) -> None:
        """The party's authority, so that the log can end it one day. Nothing waits for it."""
        await self._enter(der, Purpose.ANCHOR, "")

    async def bare_key(self, key: Signer, purpose: Purpose, until: datetime) -> None:
        """A key without a certificate, by its thumbprint (RFC 7638). Nothing waits for it."""
        try:
            await self.voice.enter_thumbprint(unb64u(key.kid), purpose, until)
        except Refused as refused:
            _log.warning("a key is not in the trust log yet", purpose=purpose.value, why=refused.detail)

    async def signer(
        self, name: str, profile: Profile, subject: Subject, key: Signer, ca: Authority, purpose: Purpose
    ) -> tuple[Signer, tuple[bytes, ...]]:  # fmt: skip
        """What to sign with now: a key, and its chain without the anchor."""
        kept = self.foundation.certificates
        using = kept.given_renewal(name, key).using
        reason = await self.ended(sha256(using).digest()) if using is not None else None
        if using is not None and reason is Reason.COMPROMISED:
            _log.error("a signer's key was reported stolen: move its file away and start again", name=name)
            return GatedSigner(key, _stolen), (using,)
        if reason is not None:
            kept.drop(name)  # revoked for another reason: the key is still ours, and gets another certificate
        if ca.signer is None:
            renewal = kept.given_renewal(name, key)
            if renewal == (None, None):
                raise Refused(
                    Code.BAD_CONFIG, f"{name} has no certificate: `mapae ca request {name}`, `mapae ca sign` where the"
                    " authority's key is, `mapae ca import`"
                )  # fmt: skip
        else:
            renewal = kept.renewal(name, profile, subject, key, ca=ca.signer, ca_der=ca.der)
        if renewal.waiting is None and renewal.using is not None:
            await self._enter(renewal.using, purpose, "")
            return key, (renewal.using,)
        waiting = renewal.waiting
        if waiting is None:
            raise AssertionError("unreachable: a certificate is in use, or waits")
        if await self._enter(waiting, purpose, name):
            kept.promote(name)
            return key, (waiting,)
        if renewal.using is not None:
            return key, (renewal.using,)  # until this process starts again
        return GatedSigner(key, self._gate(waiting)), (waiting,)

    def promises(self) -> Mapping[str, Handler]:
        async def enter(promised: dict[str, Any]) -> None:
            der, name = unb64u(promised["certificate"]), promised["name"]
            await self.voice.enter(der, Purpose(promised["purpose"]))
            self._entered.add(der)
            if name:
                self.foundation.certificates.promote(name)

        return {PROMISE: enter}

    def _gate(self, der: bytes) -> Callable[[], None]:
        def may() -> None:
            if der not in self._entered:
                raise Refused(Code.UNAVAILABLE, "the signer's certificate is not in the trust log yet; try again")

        return may

    async def _enter(self, der: bytes, purpose: Purpose, name: str) -> bool:
        """Now, or promised. `name`: promote it then."""
        try:
            await self.voice.enter(der, purpose)
        except Refused as refused:
            # Also where a rule of the log is against it: while our party is admitted, but not live yet.
            _log.warning("a certificate is not in the trust log yet", purpose=purpose.value, why=refused.detail)
            now = self.foundation.clock.now()
            message = {"certificate": b64u(der), "purpose": purpose.value, "name": name}

            async def body(tx: Tx) -> None:
                await promise(tx, PROMISE, f"{b64u(der[-32:])}", message, now)

            await self.db.write(body)
            return False
        self._entered.add(der)
        return True


def voice_of(house: House, role: str, party: str) -> Voice:
    """The party's voice, through the log of this house or the door of the trust role elsewhere."""
    f = house.foundation
    return Voice(party, f.signer(role, "voice"), origin(f.settings.base_url), _way(house, role), f.clock)


def ending(house: House) -> Ended:
    """By the log of this house, or by the trust list of the trust role elsewhere; while that is away, by nothing."""

    async def by_log(thumbprint: bytes) -> Reason | None:
        key = (await house.ledger.state()).keys.get(thumbprint)
        return None if key is None or key.revoked is None else Reason(log.Reason(key.revoked.reason).name.lower())

    async def by_list(thumbprint: bytes) -> Reason | None:
        try:
            listed = await house.foundation.trust_reader()()
        except Refused:
            return None
        return next((one.reason for one in listed.signers if unb64u(one.x5t) == thumbprint), None)

    return by_log if "trust" in house.settings.roles else by_list


def _way(house: House, role: str) -> Submit:
    if "trust" in house.settings.roles:
        return house.ledger.submit
    peers = house.foundation.peers(role)

    async def submit(act: Act, signed: str) -> dict[str, Any]:
        return await peers.call("trust", "/trust/submit", {"act": acts.encode(act), "signed": signed})

    return submit
