"""Our own signers' certificates: in the log before they sign, and the old one until then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from mapae.certificates import Certificates
from mapae.certified import PROMISE, Authority, Certified
from mapae.clock import MovableClock, SeededDice
from mapae.config import Settings
from mapae.db import Db, connect, migrate
from mapae.errors import Code, Refused
from mapae.formats.x509 import Profile, Subject, x509_hash
from mapae.house import Foundation
from mapae.keys import Signer
from mapae.outbox import Outbox
from mapae.trust.entering import Voice
from mapae.trust.registry import Issuer
from mapae.trust.signers import Purpose, Reason
from trusting import ONE, ORIGIN, OTHER, START, Away, founded, registry
from unit.trust.test_registry import ISSUER

KEY, CA, VOICE = Signer.ephemeral(), Signer.ephemeral(), Signer.ephemeral()


class World:
    """An issuer whose log may be away, and who starts again and again."""

    def __init__(self, db: Db, clock: MovableClock, ledger: Away, folder: Path) -> None:
        self.db, self.clock, self.ledger = db, clock, ledger
        self.foundation = Foundation(Settings(data=str(folder)), clock, SeededDice(1))

    async def start(self) -> tuple[Certified, Signer, bytes]:
        """A process begins: what it signs with, and the certificate."""
        voice = Voice("issuer:issuer", VOICE, ORIGIN, self.ledger.submit, self.clock)
        certified = Certified(self.foundation, self.db, voice, self.ended)
        ca = Authority(CA, self.certificates.anchor("ca", Subject("CA"), CA))
        signer, chain = await certified.signer(
            "signer", Profile.DOCUMENT_SIGNER, Subject("Signer"), KEY, ca, Purpose.DOCUMENT_SIGNER
        )
        return certified, signer, chain[0]

    async def ended(self, thumbprint: bytes) -> Reason | None:
        key = (await self.ledger.state()).keys[thumbprint]
        return None if key.revoked is None else list(Reason)[key.revoked.reason - 1]

    async def revoke(self, der: bytes, reason: Reason) -> None:
        voice = Voice("issuer:issuer", VOICE, ORIGIN, self.ledger.submit, self.clock)
        await voice.revoke(sha256(der).digest(), reason)

    @property
    def certificates(self) -> Certificates:
        return self.foundation.certificates

    async def entered(self, der: bytes) -> bool:
        return sha256(der).digest() in (await self.ledger.state()).keys

    async def settle(self, certified: Certified) -> int:
        return await Outbox(self.db, self.clock, certified.promises()).run_once()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    db, clock = await connect(f"sqlite:///{tmp_path}/trust.db"), MovableClock(START)
    await migrate(db, "trust")
    ledger = Away(await founded(db, clock))
    entry = Issuer(id="issuer", name=ISSUER.name, ca=ISSUER.ca, vcts=ISSUER.vcts, doctypes=(), logged=True,
                   status_prefix=ISSUER.status_prefix, voice=VOICE.kid)  # fmt: skip
    await registry(db, clock, ledger).ensure([entry], ONE, OTHER)
    yield World(db, clock, ledger, tmp_path / "var")
    await db.close()


async def test_a_first_certificate_is_entered_and_used(world: World) -> None:
    _, signer, der = await world.start()
    assert await world.entered(der) and signer.sign(b"x")
    again = await world.start()
    assert again[2] == der and PROMISE not in str(await world.db.all("SELECT kind FROM outbox_item"))


async def test_without_the_log_a_first_certificate_signs_nothing_until_it_is_entered(world: World) -> None:
    """Nobody would believe what it signed; nobody has to start the process again either."""
    world.ledger.away = True
    certified, signer, der = await world.start()
    with pytest.raises(Refused) as refused:
        signer.sign(b"x")
    assert refused.value.code is Code.UNAVAILABLE
    assert await world.settle(certified) == 0
    world.ledger.away = False
    world.clock.advance(minutes=1)
    assert await world.settle(certified) == 1
    assert await world.entered(der) and signer.sign(b"x")
    assert (await world.start())[2] == der


async def test_a_renewed_certificate_is_used_once_the_log_has_it(world: World) -> None:
    _, _, old = await world.start()
    world.clock.advance(timedelta(days=300))
    world.ledger.away = True
    certified, signer, der = await world.start()
    assert der == old and signer.sign(b"x")  # good to its end
    assert x509_hash((await world.start())[2]) == x509_hash(old)  # the next one is the same next one
    world.ledger.away = False
    world.clock.advance(minutes=1)
    assert await world.settle(certified) == 1
    _, _, new = await world.start()
    assert new != old and await world.entered(new) and await world.entered(old)


async def test_an_answer_of_the_log_that_was_lost_leaves_one_certificate(world: World) -> None:
    world.ledger.away = world.ledger.lost = True
    certified, signer, der = await world.start()
    assert await world.entered(der)  # it has it, and we do not know
    world.ledger.away = world.ledger.lost = False
    world.clock.advance(minutes=1)
    await world.settle(certified)
    assert signer.sign(b"x") and (await world.start())[2] == der
    assert len((await world.ledger.state()).keys) == 1


async def test_a_revoked_certificate_has_a_successor_at_the_next_start(world: World) -> None:
    _, _, old = await world.start()
    await world.revoke(old, Reason.SUPERSEDED)
    world.clock.advance(minutes=1)
    _, signer, new = await world.start()
    assert new != old and await world.entered(new) and signer.sign(b"x")


async def test_a_stolen_key_signs_nothing_any_more(world: World) -> None:
    """Another certificate would not make it ours again."""
    _, _, old = await world.start()
    await world.revoke(old, Reason.COMPROMISED)
    _, signer, der = await world.start()
    assert der == old
    with pytest.raises(Refused) as refused:
        signer.sign(b"x")
    assert refused.value.code is Code.UNAVAILABLE
