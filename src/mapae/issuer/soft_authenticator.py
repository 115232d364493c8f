"""A passkey made of software, for the demo country and the tests. A simulator: it asks nobody for a finger.

Promises: answers in the shape a browser's `navigator.credentials` gives (WebAuthn Level 2, 5.1 and 6.1), so that the
desk's verification is the real one. Trusts: whoever holds the Signer; user presence and verification are claimed, not
measured, which is why no production configuration names it. Keeps: nothing; the caller counts. Refuses: options
without a challenge, and options for another relying party than the origin it is used on.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import cbor2
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from mapae.errors import Code, Refused

_PRESENT: Final = 0x01  # UP
_VERIFIED: Final = 0x04  # UV
_ATTESTED: Final = 0x40  # AT: attested credential data follows
_NO_MODEL: Final = bytes(16)  # AAGUID zero: no make, no attestation
_ES256: Final = -7


class PasskeyKey(Protocol):
    """What the simulator needs of a key: `mapae.keys.Signer` has it."""

    @property
    def jwk(self) -> Mapping[str, str]: ...

    def sign(self, message: bytes) -> bytes: ...


def credential_id(key: PasskeyKey) -> bytes:
    """Stable for a key, so that the simulator needs no memory of what it made."""
    return hashlib.sha256(b"mapae demo passkey" + _point(key)).digest()


def make(key: PasskeyKey, options: Mapping[str, Any], origin: str, counter: int = 0) -> dict[str, Any]:
    """Answer `navigator.credentials.create(options)`: a credential with attestation format "none"."""
    rp_id = _rp_id(
        options.get("rp", {}).get("id") if isinstance(options.get("rp"), dict) else None,
        origin,
    )
    made = credential_id(key)
    attested = _NO_MODEL + len(made).to_bytes(2, "big") + made + _cose_key(key)
    data = _authenticator_data(rp_id, _PRESENT | _VERIFIED | _ATTESTED, counter) + attested
    response = {
        "clientDataJSON": _b64(_client_data("webauthn.create", options, origin)),
        "attestationObject": _b64(cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})),
        "transports": ["internal"],
    }
    return _credential(made, response)


def assert_(key: PasskeyKey, options: Mapping[str, Any], origin: str, counter: int = 0) -> dict[str, Any]:
    """Answer `navigator.credentials.get(options)`. A counter of 0 means "does not count" (6.1.1)."""
    allowed = options.get("allowCredentials") or []
    made = credential_id(key)
    if allowed and _b64(made) not in {entry.get("id") for entry in allowed if isinstance(entry, dict)}:
        raise Refused(Code.BAD_PASSKEY, "this authenticator holds none of the passkeys asked for")
    client_data = _client_data("webauthn.get", options, origin)
    data = _authenticator_data(_rp_id(options.get("rpId"), origin), _PRESENT | _VERIFIED, counter)
    raw = key.sign(data + hashlib.sha256(client_data).digest())
    # WebAuthn 6.5.5: ES256 signatures travel in ASN.1 DER; our keys speak raw r||s.
    signature = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    response = {
        "clientDataJSON": _b64(client_data),
        "authenticatorData": _b64(data),
        "signature": _b64(signature),
        "userHandle": None,
    }
    return _credential(made, response)


def _credential(made: bytes, response: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": _b64(made),
        "rawId": _b64(made),
        "type": "public-key",
        "authenticatorAttachment": "platform",
        "clientExtensionResults": {},
        "response": response,
    }


def _client_data(ceremony: str, options: Mapping[str, Any], origin: str) -> bytes:
    challenge = options.get("challenge")
    if not isinstance(challenge, str) or not challenge:
        raise Refused(Code.MALFORMED, "the options carry no challenge")
    data = {
        "type": ceremony,
        "challenge": challenge,
        "origin": origin,
        "crossOrigin": False,
    }
    return json.dumps(data, separators=(",", ":")).encode()


def _rp_id(asked: object, origin: str) -> str:
    host = urlsplit(origin).hostname or ""
    rp_id = asked if isinstance(asked, str) and asked else host
    # WebAuthn 5.1.3 step 7: the relying party's id is the origin's domain or a suffix of it at a label's edge.
    if not host or (host != rp_id and not host.endswith("." + rp_id)):
        raise Refused(Code.BAD_PASSKEY, "the relying party id does not belong to this origin")
    return rp_id


def _authenticator_data(rp_id: str, flags: int, counter: int) -> bytes:
    return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + counter.to_bytes(4, "big")


def _cose_key(key: PasskeyKey) -> bytes:
    x, y = _coordinates(key)
    return cbor2.dumps({1: 2, 3: _ES256, -1: 1, -2: x, -3: y})  # RFC 9052 7: EC2, ES256, P-256


def _point(key: PasskeyKey) -> bytes:
    x, y = _coordinates(key)
    return b"\x04" + x + y


def _coordinates(key: PasskeyKey) -> tuple[bytes, bytes]:
    x, y = (urlsafe_b64decode(key.jwk[name] + "==") for name in ("x", "y"))
    return x, y


def _b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
