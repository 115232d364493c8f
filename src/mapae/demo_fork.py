"""`mapae demo fork`: an operator shows two histories of one log, and what that gets him.

Promises: everything is real but the setting: two databases with the embedded engine, one log key, a witness with a
database of its own behind its own door, a checker's replica. Trusts: nobody. Keeps: what it made, in the folder it was
given. Refuses: nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx

from .clock import SystemClock
from .db import Db, connect, migrate
from .errors import Refused
from .formats.jose import unb64u
from .keys import NoteKind, NoteSigner, Signer
from .trust import ledger_store, ledger_web, witness_web
from .trust.checkpoints import Checkpoints
from .trust.engine.embedded import EmbeddedLedger, Founding
from .trust.log import acts, statement
from .trust.log.entry import Log, Purpose, Reason, Role
from .trust.log.note import Checkpoint, VerifierKey, sign_checkpoint
from .trust.log.policy import Policy
from .trust.replica import HttpSource, Replica
from .trust.witness import Witness
from .trust.witness_store import Evidence
from .ui.http import Door
from .ui.site import application

ORIGIN = "demo.example/trust/log"
INSIDE = "http://demo.invalid"
EVER = 4_102_444_800  # the year 2100
PARTY, STOLEN, OTHER = (sha256(word).digest() for word in (b"issuer:demo", b"a signer's key", b"another signer's key"))


@dataclass(frozen=True, slots=True)
class Shown:
    """What came of it: who refused, in which words, and what the witness kept."""

    honest: str
    alarms: tuple[str, ...]
    refused: str
    evidence: list[Evidence]


class Operator:
    """Who runs the log, and holds its key and its only governor's."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._clock = folder, SystemClock()
        self._governor, self._party = Signer.ephemeral(), Signer.ephemeral()
        self._signers = {
            log: NoteSigner(f"{ORIGIN}/{log.name.lower()}", NoteKind.LOG, NoteKind.LOG.new(), VerifierKey.parse)
            for log in Log
        }
        self._open: list[Db] = []
        self.keys = [signer.vkey for signer in self._signers.values()]

    async def history(self, name: str, policy: Policy, http: httpx.AsyncClient) -> tuple[EmbeddedLedger, Checkpoints]:
        """A log with its governor, its policy, a party and that party's key; each name is a database of its own."""
        db = await connect(f"sqlite:///{self._folder}/{name}.db")
        self._open.append(db)
        await migrate(db, "trust")
        document = policy.encode()
        signed = self._signed("put_policy", self._governor, document=sha256(document).digest(), threshold=1, delay=0)
        founding = Founding([(_address(self._governor), _voice(self._governor))], 1, 0, document, signed)
        ledger = await EmbeddedLedger.open(db, self._clock, ORIGIN, lambda: founding)
        await self.say(
            ledger, "put_party", self._governor, party=PARTY, controller=_address(self._party), valid_from=0,
            voice=_voice(self._party), roles=int(Role.ISSUER), valid_until=EVER, document=PARTY,
        )  # fmt: skip
        await self.enter(ledger, STOLEN)
        return ledger, Checkpoints(db=db, ledger=ledger, signers=self._signers, http=http, clock=self._clock)

    async def enter(self, ledger: EmbeddedLedger, key: bytes) -> None:
        purpose = int(Purpose.DOCUMENT_SIGNER)
        await self.say(ledger, "put_key", self._party, party=PARTY, thumbprint=key, purpose=purpose, valid_from=0,
                       valid_until=EVER)  # fmt: skip

    async def revoke(self, ledger: EmbeddedLedger, key: bytes) -> None:
        reason = int(Reason.COMPROMISED)
        await self.say(ledger, "revoke_key", self._party, party=PARTY, thumbprint=key, reason=reason, since=0)

    async def say(self, ledger: EmbeddedLedger, name: str, signer: Signer, **args: Any) -> None:
        signed = self._signed(name, signer, **args)
        said = statement.read(signed)
        await ledger.submit(acts.of(name, said.args, statement.digest(signed)), signed)

    def _signed(self, name: str, signer: Signer, **args: Any) -> str:
        said = {key: value.hex() if isinstance(value, bytes) else value for key, value in args.items()}
        return statement.make(name, said, ORIGIN, signer, int(self._clock.now().timestamp()))

    def doors(self, at: int, ledger: EmbeddedLedger, checkpoints: Checkpoints) -> list[Door]:
        return ledger_web.routes(self._open[at], ledger, checkpoints)

    async def publish_unwitnessed(self, at: int, ledger: EmbeddedLedger) -> None:
        """The rules of publishing are his own program's: nobody can keep him from serving what he signed alone."""
        head, signer = await ledger.head(Log.REGISTRY), self._signers[Log.REGISTRY]
        note = sign_checkpoint(Checkpoint(signer.vkey.name, head.size, head.root), signer).encode().decode()
        now = int(self._clock.now().timestamp())
        await self._open[at].write(lambda tx: ledger_store.publish(tx, Log.REGISTRY, head.size, note, now))

    async def close(self) -> None:
        for db in self._open:
            await db.close()


async def show_fork(folder: Path, say: Callable[[str], None]) -> Shown:
    """A key is stolen and revoked; to one checker the operator shows a log in which it never was."""
    operator = Operator(folder)
    own = await connect(f"sqlite:///{folder}/witness.db")
    await migrate(own, "witness")
    pen = NoteSigner("witness.example/w", NoteKind.COSIGNER, NoteKind.COSIGNER.new(), VerifierKey.parse)
    witness = Witness(name=pen.vkey.name, db=own, clock=SystemClock(), logs=operator.keys, pen=lambda: pen)
    site = application(witness_web.routes({"w": witness}), rates=False)
    street = httpx.AsyncClient(transport=httpx.ASGITransport(site))
    policy = Policy.of(operator.keys, [("w", pen.vkey, f"{INSIDE}/witness/w")], 1)
    honest, public = await operator.history("shown-to-all", policy, street)
    await operator.revoke(honest, STOLEN)
    await public.round()
    kept = await public.published(Log.REGISTRY)
    note = kept.note or "" if kept is not None else ""
    say("The log as everybody sees it: a signer's key was stolen, its last entry revokes it. The witness cosigned:\n")
    say(note)

    forked, private = await operator.history("shown-to-one", policy, street)
    await operator.enter(forked, OTHER)
    await private.round()
    alarms = [private.alarms.get(Log.REGISTRY, "")]
    say(f"The operator makes another log of the same size, without the revocation, and signs it: {alarms[0]}.")
    await operator.enter(forked, sha256(b"and one more").digest())
    await private.round()
    alarms.append(private.alarms.get(Log.REGISTRY, ""))
    say(f"He makes it longer: {alarms[1]}.")
    await operator.publish_unwitnessed(1, forked)
    refused = await _shown_to_a_checker(operator, policy, (honest, public), (forked, private))
    say(f"He shows it to a checker all the same: {refused}.")
    evidence = await witness.evidence()
    say(f"\nThe witness kept {len(evidence)} pieces of evidence, each with the operator's own signature:\n")
    for one in evidence:
        say(one.theirs)
    await street.aclose()
    await witness.close()
    await operator.close()
    return Shown(note, tuple(alarms), refused, evidence)


async def _shown_to_a_checker(
    operator: Operator, policy: Policy, honest: tuple[EmbeddedLedger, Checkpoints],
    forked: tuple[EmbeddedLedger, Checkpoints],
) -> str:  # fmt: skip
    """It followed the log everybody sees; then its way leads to the other one."""
    replica = Replica(policy, operator.keys[Log.REGISTRY].name)
    for at, doors in enumerate((honest, forked)):
        site = application(operator.doors(at, *doors), rates=False)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(site)) as http:
            try:
                await replica.follow(HttpSource(http, f"{INSIDE}/trust"), 0)
            except Refused as refused:
                return f"refused, {refused.detail}"
    return "accepted"


def _voice(signer: Signer) -> bytes:
    return unb64u(signer.kid)


def _address(signer: Signer) -> bytes:
    return _voice(signer)[-20:]
