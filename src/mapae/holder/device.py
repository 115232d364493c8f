"""Who the holder is and which phone this is: identity check, registration, and the wallet provider's statements.

Promises: the device key and the spent assertion are on disk before they are used, so a killed registration finishes
with the same phone. Trusts: the wallet provider it was given. Keeps: the device key. Refuses: nothing the provider does
not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mapae.errors import Code, Refused
from mapae.formats.jose import Signing, b64u, encode_json, sign_jws

from .pocket import Pocket
from .wire import Wire

ReadCode = Callable[[dict[str, Any]], Awaitable[str]]
"""Given the answer that started the check, the code from the text message."""


@dataclass(frozen=True, slots=True)
class Person:
    """What the holder types. Never stored."""

    name: str
    resident_number: str
    phone: str


@dataclass(frozen=True, slots=True)
class DeviceStanding:
    device_id: str
    state: str
    reason: str | None
    since: int

    @property
    def must_erase(self) -> bool:
        return self.state == "ended" or (self.state == "suspended" and self.reason == "lost")


class Device:
    """The phone, registered with the country's wallet provider; an `Attester` (client.py)."""

    def __init__(self, pocket: Pocket, wire: Wire, base: str) -> None:
        self._pocket = pocket
        self._wire = wire
        self._base = base

    @property
    def client_id(self) -> str:
        return f"{self._base}/wallet/"

    @property
    def _provider(self) -> str:
        return f"{self._base}/wallet-provider"

    async def identify(self, person: Person, read_code: ReadCode) -> DeviceStanding:
        """Identity check by text message, then registration of this phone."""
        asked = {
            "name": person.name,
            "resident_number": person.resident_number,
            "phone": person.phone,
            "audience": "wallet_provider",
        }
        check = (await self._wire.post_json(f"{self._base}/identity/checks", asked)).json()
        url = f"{self._base}/identity/checks/{_text(check, 'check_id')}/code"
        code = await read_code(check)
        answer = (await self._wire.post_json(url, {"code": code})).json()
        self._pocket.state.assertion = _text(answer, "assertion")
        self._pocket.state.person_name = _text(answer, "person_name")
        return await self.register()

    async def register(self) -> DeviceStanding:
        """Show the provider our device key and the assertion. Safe to repeat: the same pair gets the same answer."""
        state = self._pocket.state
        if state.assertion is None:
            raise Refused(Code.NOT_SIGNED_IN, "the identity check comes first")
        if state.device_key is None:
            state.device_key = self._pocket.keys.create()
        self._pocket.save()
        key = self._pocket.keys.signer(state.device_key)
        claims = {
            "aud": self._provider,
            "iat": self._pocket.at(),
            "jti": self._pocket.dice.token(16),
            "ath": b64u(hashlib.sha256(state.assertion.encode()).digest()),
        }
        proof = sign_jws(key, {"typ": "mapae-device-proof+jwt", "jwk": dict(key.jwk)}, claims)
        reply = await self._wire.post_json(
            f"{self._provider}/devices", {"assertion": state.assertion, "proof": proof, "platform": "python"}
        )
        if not reply.ok:
            refusal = reply.refusal()
            if refusal.code in (Code.CODE_EXPIRED, Code.CODE_SPENT):
                state.assertion = None  # worthless now; the person starts again
            if refusal.code is Code.DEVICE_ENDED:
                state.assertion, state.device_key, state.device_id = None, None, None
                state.clients.clear()
            self._pocket.save()
            raise refusal
        standing = _standing(reply.json())
        state.device_id, state.assertion = standing.device_id, None
        self._pocket.save()
        return standing

    async def standing(self) -> DeviceStanding:
        """How this phone stands; erases the cards when it is lost or has ended."""
        reply = await self._wire.get(f"{self._provider}/devices/me", self._signed("GET", "/devices/me", b""))
        standing = _standing(reply.json())
        if standing.must_erase:
            self._pocket.erase_cards()
        return standing

    async def give_up(self) -> DeviceStanding:
        """End this phone's registration and erase the cards."""
        answer = await self._call("/devices/me/end", {})
        self._pocket.erase_cards()
        return _standing(answer)

    async def attest_keys(self, keys: Sequence[Signing], nonce: str | None) -> str:
        message: dict[str, Any] = {"keys": [dict(key.jwk) for key in keys]}
        if nonce is not None:
            message["nonce"] = nonce
        return _text(await self._call("/key-attestations", message), "key_attestation")

    async def attest_client(self, jwk: Mapping[str, str]) -> tuple[str, int]:
        answer = await self._call("/attestations", {"client_jwk": dict(jwk)})
        return _text(answer, "wallet_attestation"), _whole(answer, "expires_in")

    async def ask(self, path: str, message: Any = None) -> dict[str, Any]:
        """Something else of this phone's with the wallet provider; without a message, a look."""
        if message is not None:
            return await self._call(path, message)
        return (await self._wire.get(self._provider + path, self._signed("GET", path, b""))).json()

    async def _call(self, path: str, message: Any) -> dict[str, Any]:
        body = encode_json(message)
        reply = await self._wire.post(self._provider + path, body, "application/json", self._signed("POST", path, body))
        return reply.json()

    def _signed(self, method: str, path: str, body: bytes) -> dict[str, str]:
        if self._pocket.state.device_key is None:
            raise Refused(Code.NOT_SIGNED_IN, "this phone is not registered")
        key = self._pocket.keys.signer(self._pocket.state.device_key)
        claims = {
            "aud": self._provider,
            "htm": method,
            "htu": self._provider + path,
            "iat": self._pocket.at(),
            "jti": self._pocket.dice.token(16),
            "bod": b64u(hashlib.sha256(body).digest()),
        }
        token = sign_jws(key, {"typ": "mapae-device-request+jwt", "jwk": dict(key.jwk)}, claims)
        return {"Mapae-Device": token}


def _standing(answer: dict[str, Any]) -> DeviceStanding:
    reason = answer.get("reason")
    return DeviceStanding(
        _text(answer, "device_id"),
        _text(answer, "state"),
        reason if isinstance(reason, str) else None,
        _whole(answer, "since"),
    )


def _text(answer: dict[str, Any], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise Refused(Code.MALFORMED, f"the answer has no {name}")
    return value


def _whole(answer: dict[str, Any], name: str) -> int:
    value = answer.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused(Code.MALFORMED, f"the answer has no {name}")
    return value
