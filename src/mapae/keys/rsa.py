"""An RSA key that signs RS256, for clients that know nothing else (OpenID Connect Core 1.0 15.1).

Promises: `sign` gives RSASSA-PKCS1-v1_5 with SHA-256; no call gives the private key back. Trusts: the secret it is
handed. Keeps: the key, in memory. Refuses: another kind of key.
"""

from __future__ import annotations

import base64
import hashlib

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from mapae.errors import Code, Refused

BITS = 2048  # RFC 7518 3.3: at least; a signature here lives for minutes


class RsaSigner:
    """`jwk` is the public key (kty, n, e), `kid` its RFC 7638 thumbprint."""

    __slots__ = ("_key", "jwk", "kid")

    def __init__(self, secret: bytes) -> None:
        key = load_der_private_key(secret, None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise Refused(Code.BAD_CONFIG, "this is not an RSA key")
        self._key = key
        numbers = key.public_key().public_numbers()
        self.jwk = {"kty": "RSA", "n": _integer(numbers.n), "e": _integer(numbers.e)}
        canonical = f'{{"e":"{self.jwk["e"]}","kty":"RSA","n":"{self.jwk["n"]}"}}'
        self.kid = _b64(hashlib.sha256(canonical.encode()).digest())

    def sign(self, message: bytes) -> bytes:
        """RS256 (RFC 7518 3.3). The same message has one signature."""
        return self._key.sign(message, padding.PKCS1v15(), SHA256())


def new_secret() -> bytes:
    key = rsa.generate_private_key(65537, BITS)
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _integer(value: int) -> str:
    return _b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
