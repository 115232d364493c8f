"""An RSA public key from a JWK, for RS256 and nothing else: what sites' libraries sign with unless told otherwise.

Promises: a key that was read has 2,048 to 8,192 bits and an odd exponent; it verifies RSASSA-PKCS1-v1_5 with SHA-256.
Trusts: nothing that arrives. Keeps: nothing. Refuses: private members, numbers written in two ways, another algorithm.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from mapae.errors import Code, Refused
from mapae.formats.jose import b64u, unb64u

RS256: Final = "RS256"
_BITS: Final = range(2048, 8193)  # RFC 7518 3.3: at least 2,048; above, checking one takes long
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})  # RFC 7518 6.3.2


@dataclass(frozen=True, slots=True)
class RsaKey:
    n: int
    e: int

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any]) -> RsaKey:
        """RFC 7518 6.3.1. Raises Refused(MALFORMED, UNSUPPORTED)."""
        if jwk.get("kty") != "RSA" or jwk.get("alg", RS256) != RS256 or jwk.get("use", "sig") != "sig":
            raise Refused(Code.UNSUPPORTED, "the key is for another algorithm")
        if _PRIVATE.intersection(jwk):
            raise Refused(Code.MALFORMED, "the key contains its private part")
        n, e = (_number(jwk.get(name)) for name in ("n", "e"))
        if n.bit_length() not in _BITS or n % 2 == 0 or not (3 <= e < 2**32 and e % 2):
            raise Refused(Code.UNSUPPORTED, "an RSA key has 2,048 to 8,192 bits and an odd exponent")
        return cls(n, e)

    @property
    def jwk(self) -> dict[str, str]:
        return {"kty": "RSA", "n": _text(self.n), "e": _text(self.e)}

    @property
    def thumbprint(self) -> str:
        """RFC 7638 3.2."""
        return b64u(hashlib.sha256(f'{{"e":"{_text(self.e)}","kty":"RSA","n":"{_text(self.n)}"}}'.encode()).digest())

    def verify(self, signature: bytes, message: bytes) -> None:
        """Raises Refused(BAD_SIGNATURE)."""
        try:
            key = rsa.RSAPublicNumbers(self.e, self.n).public_key()
            key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError):
            raise Refused(Code.BAD_SIGNATURE, "the signature does not fit") from None


def _number(value: object) -> int:
    if not isinstance(value, str) or not 1 <= len(value) <= 1400:
        raise Refused(Code.MALFORMED, "a number of the key is missing")
    raw = unb64u(value)
    if raw[0] == 0:  # RFC 7518 2: Base64urlUInt, the fewest octets
        raise Refused(Code.MALFORMED, "a number of the key begins with zeros")
    return int.from_bytes(raw, "big")


def _text(value: int) -> str:
    return b64u(value.to_bytes((value.bit_length() + 7) // 8, "big"))
