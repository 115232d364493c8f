"""A wallet provider on a movable clock, and phones that sign as real ones do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from mapae.clock import MovableClock, SeededDice
from mapae.db import Db, migrate
from mapae.formats.jose import PublicKey, b64u, sign_jws
from mapae.formats.x509 import Profile, Subject, leaf, root, serial_number
from mapae.house import _guard
from mapae.keys import Signer
from mapae.peers import Gate, Peers
from mapae.ui.http import Caller
from mapae.ui.site import application
from mapae.wallet_provider import web
from mapae.wallet_provider.attest import Attester, Urls
from mapae.wallet_provider.devices import WalletProvider
from mapae.wallet_provider.proofs import SignedRequest

BASE = "http://localhost:8080"
START = datetime(2027, 3, 2, 9, 0, tzinfo=UTC)


@dataclass
class Registers:
    """Says who is who; the real role's key, made here."""

    clock: MovableClock
    signer: Signer = field(default_factory=Signer.ephemeral)
    dice: SeededDice = field(default_factory=lambda: SeededDice("registers"))

    def assertion(self, person: str, **changes: Any) -> str:
        at = int(self.clock.now().timestamp())
        claims = {
            "iss": "registers", "aud": "wallet_provider", "sub": person, "name": "Kim", "phone_hint": "010-****-0001",
            "iat": at, "exp": at + 300, "jti": self.dice.token(16),
        } | changes  # fmt: skip
        header = {"typ": "mapae-identity+jwt", "kid": self.signer.kid}
        return sign_jws(self.signer, header, {name: value for name, value in claims.items() if value is not None})

    def key(self, kid: str | None) -> dict[str, str] | None:
        return self.signer.jwk if kid == self.signer.kid else None


@dataclass
class Phone:
    clock: MovableClock
    signer: Signer = field(default_factory=Signer.ephemeral)

    def proof(self, assertion: str, **changes: Any) -> str:
        claims = {
            "aud": f"{BASE}/wallet-provider",
            "iat": int(self.clock.now().timestamp()),
            "jti": Signer.ephemeral().kid,
            "ath": b64u(hashlib.sha256(assertion.encode()).digest()),
        } | changes
        return sign_jws(self.signer, {"typ": "mapae-device-proof+jwt", "jwk": self.signer.jwk}, claims)

    def header(self, method: str, path: str, body: bytes = b"", **changes: Any) -> str:
        claims = {
            "aud": f"{BASE}/wallet-provider", "htm": method, "htu": BASE + path,
            "iat": int(self.clock.now().timestamp()), "jti": Signer.ephemeral().kid,
            "bod": b64u(hashlib.sha256(body).digest()),
        } | changes  # fmt: skip
        return sign_jws(self.signer, {"typ": "mapae-device-request+jwt", "jwk": self.signer.jwk}, claims)

    def request(
        self, method: str = "GET", path: str = "/wallet-provider/devices/me", body: bytes = b"", **changes: Any
    ) -> SignedRequest:
        return SignedRequest(self.header(method, path, body, **changes), method, BASE + path, body)


@dataclass
class House:
    """The role, its doors, and who knocks."""

    db: Db
    clock: MovableClock
    provider: WalletProvider
    registers: Registers
    http: httpx.AsyncClient
    issuer: Peers
    stranger: Peers
    anchor: bytes
    faults: Any = None

    def phone(self) -> Phone:
        return Phone(self.clock)

    async def register(self, phone: Phone, person: str, **changes: Any) -> Any:
        assertion = self.registers.assertion(person, **changes)
        return await self.provider.register(assertion, phone.proof(assertion))

    async def send(self, phone: Phone, path: str, message: Any = None, **changes: Any) -> httpx.Response:
        if message is None:
            return await self.http.get(path, headers={"Mapae-Device": phone.header("GET", path, **changes)})
        body = json.dumps(message).encode()
        headers = {"Mapae-Device": phone.header("POST", path, body, **changes), "Content-Type": "application/json"}
        return await self.http.post(path, content=body, headers=headers)


@asynccontextmanager
async def open_house(db: Db, folder: Path) -> AsyncIterator[House]:
    await migrate(db, "wallet_provider")
    clock = MovableClock(START)
    registers = Registers(clock)
    ca, signer, dice = Signer.ephemeral(), Signer.ephemeral(), SeededDice("house")
    day = timedelta(days=1)
    life = {"not_before": START - day, "not_after": START + 400 * day}
    anchor = root(Subject("Root"), ca, serial=serial_number(dice.bytes(16)), **life)
    certificate = leaf(
        Profile.WALLET_PROVIDER, Subject("Wallets"), PublicKey.from_jwk(signer.jwk), ca=ca, ca_der=anchor,
        serial=serial_number(dice.bytes(16)), **life,
    )  # fmt: skip
    provider = WalletProvider(
        db, clock, dice, urls=Urls(BASE), attester=Attester(signer, (certificate,)), identity_keys=registers.key
    )
    issuer, stranger = Signer.ephemeral(), Signer.ephemeral()
    known = {"issuer": PublicKey.from_jwk(issuer.jwk), "verifier": PublicKey.from_jwk(stranger.jwk)}
    doors = web.routes(provider, folder / "static")
    for route in doors:
        if route.caller is Caller.PEER:
            _guard(route, Gate("wallet_provider", known.get, clock))
    app = application(doors, clock=clock, rates=False)
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE)
    peers = [
        Peers(name, key, lambda _: BASE, http, clock) for name, key in (("issuer", issuer), ("verifier", stranger))
    ]
    yield House(db, clock, provider, registers, http, peers[0], peers[1], anchor)
    await http.aclose()


@pytest.fixture
async def house(migrated: Callable[[str], Awaitable[Db]], tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(await migrated("wallet_provider"), tmp_path) as opened:
        yield opened


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]
