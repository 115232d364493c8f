"""COSE (RFC 9052, 9053) as far as ISO mdoc needs it: COSE_Sign1 with ES256, and P-256 keys.

Promises: `encode` gives back the four parts that were parsed. Trusts: the key the caller found. Keeps: nothing.
Refuses: algorithms other than ES256, an algorithm outside the protected header, `crit`, tagged or re-shaped
signatures. MACs are not read here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mapae.errors import Code, Refused
from mapae.formats import cbor
from mapae.formats.jose import MAX_CHAIN, PublicKey

ES256: Final = -7
X5CHAIN: Final = 33  # RFC 9360 2
PROTECTED: Final = b"\xa1\x01\x26"  # {1: -7}, the only protected header we write
_ALG, _CRIT = 1, 2


@dataclass(frozen=True, slots=True)
class Sign1:
    protected: bytes
    unprotected: Mapping[Any, Any]
    payload: bytes | None
    signature: bytes

    @classmethod
    def parse(cls, value: Any) -> Sign1:
        """From the decoded array; ISO/IEC 18013-5 uses COSE_Sign1 untagged."""
        if not isinstance(value, list | tuple) or len(value) != 4:
            raise Refused(Code.MALFORMED, "a signature has four parts")
        protected, unprotected, payload, signature = value
        if (
            type(protected) is not bytes
            or not isinstance(unprotected, Mapping)
            or (payload is not None and type(payload) is not bytes)
            or type(signature) is not bytes
        ):
            raise Refused(Code.MALFORMED, "a part of the signature is of the wrong type")
        if protected != PROTECTED:
            header = cbor.loads(protected)
            if not isinstance(header, Mapping) or _CRIT in header or header.get(_ALG) != ES256:
                raise Refused(Code.UNSUPPORTED, "only ES256 without extensions is accepted")
        if _ALG in unprotected or _CRIT in unprotected:
            raise Refused(Code.MALFORMED, "the algorithm is outside the protected header")
        return cls(protected, unprotected, payload, signature)

    def encode(self) -> list[Any]:
        return [self.protected, dict(self.unprotected), self.payload, self.signature]

    def verify(self, key: PublicKey, *, payload: bytes | None = None) -> None:
        """`payload` is what was signed when it is detached; otherwise the one inside."""
        if (self.payload is None) is (payload is None):
            raise Refused(Code.MALFORMED, "the payload is missing, or there twice")
        signed = self.payload if payload is None else payload
        key.verify(self.signature, to_be_signed(signed or b"", self.protected))

    @property
    def x5chain(self) -> tuple[bytes, ...]:
        """RFC 9360 2: one certificate as bytes, several as an array."""
        value = self.unprotected.get(X5CHAIN)
        if type(value) is bytes:
            return (value,)
        if (
            not isinstance(value, list | tuple)
            or not 2 <= len(value) <= MAX_CHAIN
            or any(type(der) is not bytes for der in value)
        ):
            raise Refused(Code.MALFORMED, "x5chain is missing or not a short list of certificates")
        return tuple(value)


def to_be_signed(payload: bytes, protected: bytes = PROTECTED) -> bytes:
    """RFC 9052 4.4: Sig_structure with no external data."""
    return b"\x84\x6aSignature1" + cbor.bstr(protected) + b"\x40" + cbor.bstr(payload)


def x5chain_value(chain: tuple[bytes, ...]) -> bytes | list[bytes]:
    return chain[0] if len(chain) == 1 else list(chain)


def key_to_cose(key: PublicKey) -> dict[int, Any]:
    return {1: 2, -1: 1, -2: key.x, -3: key.y}


def key_bytes(key: PublicKey) -> bytes:
    """The encoding of `key_to_cose(key)`, laid down."""
    return b"\xa4\x01\x02\x20\x01\x21\x58\x20" + key.x + b"\x22\x58\x20" + key.y


def key_from_cose(value: Any) -> PublicKey:
    """RFC 9053 7.1.1: kty EC2 on P-256; y as bytes, or its sign."""
    if not isinstance(value, Mapping):
        raise Refused(Code.MALFORMED, "a COSE key is not a map")
    if value.get(1) != 2 or value.get(-1) != 1 or value.get(3, ES256) != ES256:
        raise Refused(Code.UNSUPPORTED, "the key is not on P-256")
    if -4 in value:
        raise Refused(Code.MALFORMED, "the key contains its private part")
    x, y = value.get(-2), value.get(-3)
    if type(x) is not bytes or len(x) != 32:
        raise Refused(Code.MALFORMED, "a coordinate is not 32 bytes")
    if type(y) is bool:
        return PublicKey.from_point((b"\x03" if y else b"\x02") + x)
    if type(y) is not bytes or len(y) != 32:
        raise Refused(Code.MALFORMED, "a coordinate is not 32 bytes")
    return PublicKey.from_point(b"\x04" + x + y)
