"""The two statements a wallet provider signs: this wallet is ours, and these keys live in it.

Promises: the shapes of HAIP 1.0 sections 4.3 and 4.4 (client attestation as draft-07 of attestation-based client
authentication, key attestation as OpenID4VCI 1.0 appendix D): `x5c` without the anchor, ES256, at most an hour of
life. Trusts: the caller to have checked whose keys they are. Keeps: nothing. Refuses: more than 20 keys, the same key
twice, a private key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey, Signing, sign_jws, x5c_header

WALLET_TYPE: Final = "oauth-client-attestation+jwt"
KEYS_TYPE: Final = "key-attestation+jwt"
LIFE: Final = 3600  # HAIP 1.0: short-lived; status lists for attestations are then not needed
KEYS_LIFE: Final = 600
MAX_KEYS: Final = 20
STRENGTH: Final = ["iso_18045_basic"]  # what a browser's key store can honestly claim


@dataclass(frozen=True, slots=True)
class Urls:
    """Where this wallet provider lives. `base` has no trailing slash."""

    base: str

    @property
    def provider(self) -> str:
        return f"{self.base}/wallet-provider"

    @property
    def client_id(self) -> str:
        """The same for every wallet, so that it identifies no one (HAIP 1.0 section 4.4.1)."""
        return f"{self.base}/wallet/"


@dataclass(frozen=True, slots=True)
class Attester:
    """The signing key with its certificates: DER, leaf first, without the anchor."""

    signer: Signing
    x5c: tuple[bytes, ...]

    def sign(self, typ: str, claims: Mapping[str, Any]) -> str:
        header = {"typ": typ, "kid": self.signer.kid, "x5c": x5c_header(self.x5c)}
        return sign_jws(self.signer, header, claims)


def wallet_claims(urls: Urls, client_key: PublicKey, now: datetime) -> dict[str, Any]:
    at = int(now.timestamp())
    return {
        "iss": urls.provider,  # draft-07 requires it; from -08 on it is ignored
        "sub": urls.client_id,
        "wallet_name": "mapae",
        "wallet_link": urls.client_id,
        "iat": at,
        "exp": at + LIFE,
        "cnf": {"jwk": client_key.jwk},
    }


def key_claims(keys: Sequence[PublicKey], nonce: str | None, now: datetime) -> dict[str, Any]:
    at = int(now.timestamp())
    claims: dict[str, Any] = {
        "iat": at,
        "exp": at + KEYS_LIFE,
        "attested_keys": [key.jwk for key in keys],
        "key_storage": STRENGTH,
        "user_authentication": STRENGTH,
    }
    if nonce is not None:
        claims["nonce"] = nonce
    return claims


def read_keys(jwks: Sequence[Mapping[str, Any]]) -> tuple[PublicKey, ...]:
    if not 1 <= len(jwks) <= MAX_KEYS:
        raise Refused(Code.INVALID_REQUEST, f"between 1 and {MAX_KEYS} keys can be attested at once")
    keys = tuple(PublicKey.from_jwk(jwk) for jwk in jwks)
    if len(set(keys)) != len(keys):
        raise Refused(Code.INVALID_REQUEST, "the same key is there twice")
    return keys
