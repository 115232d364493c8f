"""A small log for tests: governors, parties, and the acts they ask for, all signed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx

from mapae.clock import Clock, MovableClock
from mapae.db import Db, connect, migrate
from mapae.formats.jose import unb64u
from mapae.keys import NoteKind, NoteSigner, Signer
from mapae.trust import ledger_web, witness_web
from mapae.trust.checkpoints import Checkpoints, log_origin
from mapae.trust.engine import Ledger, Receipt
from mapae.trust.engine.embedded import EmbeddedLedger, Founding
from mapae.trust.log import acts, statement
from mapae.trust.log.acts import Act
from mapae.trust.log.entry import Log, Role
from mapae.trust.log.note import Note, VerifierKey
from mapae.trust.log.policy import Policy
from mapae.trust.replica import HttpSource
from mapae.trust.witness import Witness
from mapae.ui.site import application

ORIGIN = "id.example.org/trust/log"
START = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
AT = int(START.timestamp())
YEAR = 365 * 86400
POLICY = b"quorum none\n"


def digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


def voice(signer: Signer) -> bytes:
    return unb64u(signer.kid)


def address(signer: Signer) -> bytes:
    return voice(signer)[-20:]


@dataclass
class Cast:
    """Three governors, two of whom are needed, and one party that may do everything."""

    governors: list[Signer] = field(default_factory=lambda: [Signer.ephemeral() for _ in range(3)])
    party: Signer = field(default_factory=Signer.ephemeral)
    name: bytes = digest("issuer:issuer")
    origin: str = ORIGIN

    def founding(self, policy: bytes = POLICY, delay: int = 0, now: int = AT) -> Founding:
        args = {"document": sha256(policy).hexdigest(), "threshold": 2, "delay": delay}
        signed = statement.make("put_policy", args, self.origin, self.governors[0], now)
        others = [statement.approve(statement.digest(signed), one, now) for one in self.governors[1:]]
        return Founding([(address(one), voice(one)) for one in self.governors], 2, delay, policy, signed, others)

    def ask(self, signer: Signer, name: str, now: int = AT, **args: Any) -> tuple[Act, str]:
        """The act of this name as its signer asks for it, and the statement."""
        said = {key: value.hex() if isinstance(value, bytes) else value for key, value in args.items()}
        signed = statement.make(name, said, self.origin, signer, now)
        return acts.of(name, said, statement.digest(signed)), signed

    def admission(self, now: int = AT, **changed: Any) -> tuple[Act, str]:
        """The first governor asks to admit the party, with every role."""
        said = {
            "party": self.name, "controller": address(self.party), "voice": voice(self.party), "roles": sum(Role),
            "valid_from": 0, "valid_until": now + 10 * YEAR, "document": digest("document"),
        }  # fmt: skip
        return self.ask(self.governors[0], "put_party", now, **{**said, **changed})

    async def admit(self, ledger: Ledger, now: int = AT, **changed: Any) -> Receipt:
        """Two governors admit the party."""
        act, signed = self.admission(now, **changed)
        await ledger.submit(act, signed)
        return await ledger.submit(act, statement.approve(act.statement, self.governors[1], now))

    def anchor(self, seq: int, now: int = AT, stream: str = "status") -> tuple[Act, str]:
        return self.ask(
            self.party, "anchor", now, party=self.name, stream=digest(stream), seq=seq, root=digest(f"root {seq}"),
            leaves=seq, next_update=now + 600,
        )  # fmt: skip

    def key(self, name: str, now: int = AT) -> tuple[Act, str]:
        return self.ask(
            self.party, "put_key", now, party=self.name, thumbprint=digest(name), purpose=2, valid_from=0,
            valid_until=now + YEAR,
        )  # fmt: skip

    async def ledger(self, db: Db, clock: Clock | None = None, policy: bytes = POLICY) -> EmbeddedLedger:
        """An engine on this database, founded if it is new."""
        return await EmbeddedLedger.open(db, clock or MovableClock(START), self.origin, lambda: self.founding(policy))


# --- witnesses --------------------------------------------------------------------------------------------------------

BASE = "https://id.example.org"


def note_key(name: str, kind: NoteKind = NoteKind.COSIGNER) -> NoteSigner[VerifierKey]:
    return NoteSigner(name, kind, kind.new(), VerifierKey.parse)


async def new_witness(
    folder: Path, name: str, logs: Sequence[VerifierKey], clock: Clock, *, url: str = "", key: Any = None
) -> Witness:
    """With a database of its own, on SQLite or where `url` says."""
    db = await connect(url or f"sqlite:///{folder}/{name}.db")
    await migrate(db, "witness")
    held = key or note_key(f"{name}.example/w")
    return Witness(name=held.vkey.name, db=db, clock=clock, logs=logs, pen=lambda: held)


@dataclass
class Country:
    """A trust role and its witnesses, over HTTP without a network. `down` and `answers` let witnesses misbehave."""

    folder: Path
    cast: Cast
    clock: MovableClock
    db: Db
    signers: dict[Log, NoteSigner[VerifierKey]]
    witnesses: dict[str, Witness]
    policy: Policy
    ledger: EmbeddedLedger
    checkpoints: Checkpoints
    http: httpx.AsyncClient
    down: set[str]
    answers: dict[str, Callable[[httpx.Request], Awaitable[httpx.Response]]]

    @classmethod
    async def open(cls, folder: Path, *, count: int = 3, least: int = 2, url: str = "") -> Country:
        cast, clock = Cast(), MovableClock(START)
        db = await connect(url.replace("{role}", "trust") or f"sqlite:///{folder}/trust.db")
        await migrate(db, "trust")
        signers = {log: note_key(log_origin(BASE, log), NoteKind.LOG) for log in Log}
        keys = [signer.vkey for signer in signers.values()]
        witnesses = {f"w{at}": await new_witness(folder, f"w{at}", keys, clock) for at in range(1, count + 1)}
        named = [(name, await witness.vkey(), f"{BASE}/witness/{name}") for name, witness in witnesses.items()]
        policy = Policy.of(keys, named, least)
        ledger = await cast.ledger(db, clock, policy.encode())
        down: set[str] = set()
        answers: dict[str, Callable[[httpx.Request], Awaitable[httpx.Response]]] = {}
        http = httpx.AsyncClient(transport=_Streets(down, answers))
        checkpoints = Checkpoints(db=db, ledger=ledger, signers=signers, http=http, clock=clock)
        made = cls(folder, cast, clock, db, signers, witnesses, policy, ledger, checkpoints, http, down, answers)
        routes = [*ledger_web.routes(db, ledger, checkpoints), *witness_web.routes(witnesses)]
        http._transport.inside = httpx.ASGITransport(application(routes, clock=clock, rates=False))  # type: ignore[attr-defined]
        return made

    def source(self) -> HttpSource:
        return HttpSource(self.http, f"{BASE}/trust")

    async def checkpoint(self, log: Log = Log.REGISTRY) -> Note:
        kept = await self.checkpoints.published(log)
        assert kept is not None and kept.note is not None
        return Note.parse(kept.note.encode())

    async def close(self) -> None:
        await self.http.aclose()
        await self.db.close()
        for witness in self.witnesses.values():
            await witness.close()


class _Streets(httpx.AsyncBaseTransport):
    """The way to the doors, with witnesses that are away or answer something of their own."""

    inside: httpx.AsyncBaseTransport

    def __init__(
        self, down: set[str], answers: dict[str, Callable[[httpx.Request], Awaitable[httpx.Response]]]
    ) -> None:
        self._down, self._answers = down, answers

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        parts = request.url.path.split("/")
        if parts[1] == "witness":
            if parts[2] in self._down:
                raise httpx.ConnectError("nobody is there", request=request)
            if parts[2] in self._answers:
                return await self._answers[parts[2]](request)
        return await self.inside.handle_async_request(request)
