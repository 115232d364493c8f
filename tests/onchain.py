"""Who acts on a chain in the tests: three governors, of whom two must agree, and one party with every role. Each has a
voice (P-256, for statements) and an account (secp256k1, for transactions)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from typing import Any

from mapae.clock import MovableClock
from mapae.db import Db
from mapae.formats.jose import unb64u
from mapae.keys import Signer
from mapae.keys.account import Account, new_secret
from mapae.trust.engine import Ledger, Receipt
from mapae.trust.engine.contract import Genesis
from mapae.trust.engine.embedded import EmbeddedLedger, Founding
from mapae.trust.log import acts, statement
from mapae.trust.log.acts import Act
from mapae.trust.log.entry import Role

ORIGIN = "id.example.org/trust/log"
YEAR = 365 * 86400


def digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


@dataclass
class Actor:
    signer: Signer = field(default_factory=Signer.ephemeral)
    account: Account = field(default_factory=lambda: Account(new_secret()))

    @property
    def voice(self) -> bytes:
        return unb64u(self.signer.kid)

    @property
    def address(self) -> bytes:
        return self.account.address


@dataclass
class Actors:
    """`now`: the time their terms count from; the chain has its own, and moves on with each block. What they sign is
    dated an hour later, so that no change of governors comes after it by the chain's clock alone."""

    now: int
    governors: list[Actor] = field(default_factory=lambda: [Actor() for _ in range(3)])
    party: Actor = field(default_factory=Actor)
    name: bytes = digest("issuer:issuer")

    @property
    def everybody(self) -> list[Actor]:
        return [*self.governors, self.party]

    def account(self, voice: bytes) -> Account | None:
        return next((one.account for one in self.everybody if one.voice == voice), None)

    @cached_property
    def founding(self) -> tuple[Act, str]:
        return self.ask(self.governors[0], "put_policy", document=digest("policy"), threshold=2, delay=0)

    def genesis(self) -> Genesis:
        governors = tuple((one.address, one.voice) for one in self.governors)
        return Genesis(governors, 2, 0, digest("policy"), self.founding[0].statement)

    def ask(self, who: Actor, name: str, **args: Any) -> tuple[Act, str]:
        """The act of this name as this actor asks for it, and the statement."""
        said = {key: value.hex() if isinstance(value, bytes) else value for key, value in args.items()}
        signed = statement.make(name, said, ORIGIN, who.signer, self.now + 3600)
        return acts.of(name, said, statement.digest(signed)), signed

    def approval(self, act: Act, governor: int = 1) -> str:
        return statement.approve(act.statement, self.governors[governor].signer, self.now + 3600)

    def admission(self) -> tuple[Act, str]:
        return self.ask(
            self.governors[0], "put_party", party=self.name, controller=self.party.address, voice=self.party.voice,
            roles=int(sum(Role)), valid_from=0, valid_until=self.now + 10 * YEAR, document=digest("document"),
        )  # fmt: skip

    async def admit(self, ledger: Ledger) -> Receipt:
        act, signed = self.admission()
        await ledger.submit(act, signed)
        return await ledger.submit(act, self.approval(act))

    def anchor(self, seq: int, stream: str = "status") -> tuple[Act, str]:
        return self.ask(
            self.party, "anchor", party=self.name, stream=digest(stream), seq=seq, root=digest(f"root {seq}"),
            leaves=seq, next_update=self.now + 86400,
        )  # fmt: skip

    def key(self, name: str) -> tuple[Act, str]:
        return self.ask(
            self.party, "put_key", party=self.name, thumbprint=digest(name), purpose=2, valid_from=0,
            valid_until=self.now + YEAR,
        )  # fmt: skip

    async def replayed(self, db: Db, began: int, said: Sequence[tuple[Act, str, Receipt]]) -> EmbeddedLedger:
        """The same country in an embedded log, where everybody asks for the same at the times the chain took it."""
        clock = MovableClock(_at(began))
        genesis = self.genesis()
        founding = Founding(genesis.governors, 2, 0, b"policy", self.founding[1])
        ledger = await EmbeddedLedger.open(db, clock, ORIGIN, lambda: founding)
        for act, signed, receipt in said:
            clock.set(_at(receipt.time))
            assert (await ledger.submit(act, signed)).index == receipt.index
        return ledger


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
