"""A registry with its log: three governors of whom two must agree, the embedded engine, an access authority."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from mapae.clock import Clock, Dice, SeededDice
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.formats.x509 import Subject, root
from mapae.keys import Signer
from mapae.trust.engine import Assurance, Head, Ledger, Receipt
from mapae.trust.engine.embedded import EmbeddedLedger, Founding
from mapae.trust.log import statement
from mapae.trust.log.acts import Act
from mapae.trust.log.entry import Log
from mapae.trust.log.rules import State
from mapae.trust.registry import AccessCa, Governor, Registry

ORIGIN = "mapae.test/trust/log"
START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
ONE, OTHER, THIRD = (Governor(f"governor-{number}", Signer.ephemeral()) for number in (1, 2, 3))
STRANGER = Governor("governor-1", Signer.ephemeral())  # the name alone makes nobody a governor


def authority(signer: Signer, name: str = "Authority") -> bytes:
    return root(Subject(name), signer, serial=7, not_before=START - timedelta(days=1),
                not_after=START + timedelta(days=3650))  # fmt: skip


async def founded(
    db: Db, clock: Clock, *, threshold: int = 2, delay: int = 0, governors: Sequence[Governor] = (ONE, OTHER, THIRD)
) -> EmbeddedLedger:
    policy, now = b"quorum none\n", int(clock.now().timestamp())
    args = {"document": sha256(policy).hexdigest(), "threshold": threshold, "delay": delay}
    signed = statement.make("put_policy", args, ORIGIN, governors[0].signer, now)
    people = [(governor.voice[-20:], governor.voice) for governor in governors]
    approvals = [statement.approve(statement.digest(signed), governor.signer, now) for governor in governors[1:]]
    founding = Founding(people, threshold, delay, policy, signed, approvals)
    return await EmbeddedLedger.open(db, clock, ORIGIN, lambda: founding)


ACCESS = Signer.ephemeral()
ACCESS_CA = AccessCa(ACCESS, authority(ACCESS, "Access"), Signer.ephemeral(), "access")


def registry(
    db: Db, clock: Clock, ledger: Ledger, *, dice: Dice | None = None, access: AccessCa | None = ACCESS_CA,
    signer: Signer | None = None, may_be_asked: Sequence[str] = ("adult_by_year", "name"),
) -> Registry:  # fmt: skip
    return Registry(
        db=db, signer=signer or Signer.ephemeral(), clock=clock, dice=dice or SeededDice(1), may_be_asked=may_be_asked,
        ledger=ledger, origin=ORIGIN, access=access,
    )  # fmt: skip


class Away(Ledger):
    """A ledger that can be away, or take what it is handed and be gone before it says so."""

    def __init__(self, real: Ledger) -> None:
        self.real = real
        self.away = False
        self.lost = False
        self.handed: list[tuple[Act, str]] = []
        self.asked = asyncio.Event()  # by the first who hands something in

    async def submit(self, act: Act, signed: str) -> Receipt:
        self.handed.append((act, signed))
        self.asked.set()
        if self.away and not self.lost:
            raise Refused(Code.UNAVAILABLE, "the ledger is away")
        receipt = await self.real.submit(act, signed)
        if self.lost:
            raise Refused(Code.UNAVAILABLE, "the answer is lost")
        return receipt

    async def head(self, log: Log) -> Head:
        return await self.real.head(log)

    async def entries(self, log: Log, start: int, end: int) -> list[bytes]:
        return await self.real.entries(log, start, end)

    async def state(self) -> State:
        return await self.real.state()

    async def assurance(self) -> Assurance:
        return await self.real.assurance()


async def refusal(awaitable: Any) -> Code:
    try:
        await awaitable
    except Refused as refused:
        return refused.code
    raise AssertionError("nothing was refused")
