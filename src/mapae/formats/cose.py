"""COSE (RFC 9052, 9053) as far as ISO mdoc needs it: COSE_Sign1 with ES256, COSE_Mac0 with HMAC 256/256, P-256 keys.

What other countries sign with is next door, in `curves.py`; who reads them says so by a value of `Algorithms`.

Promises: `encode` gives back the four parts that were parsed. Trusts: the key the caller found. Keeps: nothing.
Refuses: algorithms off the list, an algorithm outside the protected header, `crit`, tagged or re-shaped structures,
labels that are neither integers nor text.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeAlias

from msgspec import Struct

from mapae.errors import Code, Refused
from mapae.formats import cbor
from mapae.formats.jose import ES256_NAMES, MAX_CHAIN, PublicKey

if TYPE_CHECKING:
    from mapae.formats.curves import CurveKey

ES256: Final = -7
ESP256: Final = -9  # RFC 9864 2.1: ES256 that names its curve; the same bytes are signed
HMAC_256: Final = 5  # RFC 9053 3.1, HMAC 256/256
X5CHAIN: Final = 33  # RFC 9360 2
PROTECTED: Final = b"\xa1\x01\x26"  # {1: -7}, the only header we sign under
PROTECTED_MAC: Final = b"\xa1\x01\x05"
_MACS: Final = frozenset({HMAC_256})
AGREEMENTS: Final = frozenset({-25, -27})  # RFC 9053 6.3: ECDH-ES and ECDH-SS, for keys that agree
_KEY_ALGORITHMS: Final = frozenset({ES256, ESP256}) | AGREEMENTS
P256: Final = 1  # RFC 9053 7.1
_ALG, _CRIT = 1, 2
_Parts = tuple[bytes, Mapping[Any, Any], bytes | None, bytes]
Key: TypeAlias = "PublicKey | CurveKey"
_LABELS: Final = frozenset({int, str})
_SIGNATURE1 = b"\x84\x6aSignature1"
SIGNED_AS_WE_DO = _SIGNATURE1 + cbor.bstr(PROTECTED) + b"\x40"
_MAC0 = b"\x84\x64MAC0"


class _Sealed(Struct, frozen=True):
    """Four parts in the order of RFC 9052 4.2 and 6.2. A Struct: one of these is made for every signature checked."""

    protected: bytes
    unprotected: Mapping[Any, Any]
    payload: bytes | None
    signature: bytes

    def encode(self) -> list[Any]:
        return [self.protected, dict(self.unprotected), self.payload, self.signature]

    def _content(self, payload: bytes | None) -> bytes:
        """`payload` is what was sealed when it is detached; otherwise the one inside."""
        if (self.payload is None) is (payload is None):
            raise Refused(Code.MALFORMED, "the payload is missing, or there twice")
        return payload or self.payload or b""

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


class Sign1(_Sealed, frozen=True):
    accepted: ClassVar[frozenset[int]] = frozenset({ES256, ESP256})
    words: ClassVar[str] = "only ES256 without extensions is accepted"

    @classmethod
    def parse(cls, value: Any) -> Self:
        """From the decoded array; ISO/IEC 18013-5 uses COSE_Sign1 untagged."""
        parts = _parts(value)
        if parts[0] != PROTECTED:
            _header(parts, cls.accepted, cls.words)
        return cls(*parts)

    def verify(self, key: Key, *, payload: bytes | None = None) -> None:
        if not isinstance(key, PublicKey):
            raise Refused(Code.BAD_SIGNATURE, "the algorithm is not the one of the key's curve")
        key.verify(self.signature, to_be_signed(self._content(payload), self.protected))


class Mac0(_Sealed, frozen=True):
    @classmethod
    def parse(cls, value: Any) -> Self:
        parts = _parts(value)
        if parts[0] != PROTECTED_MAC:
            _header(parts, _MACS, "only HMAC 256/256 without extensions is accepted")
        if len(parts[3]) != 32:
            raise Refused(Code.MALFORMED, "the authentication tag is not 32 bytes")
        return cls(*parts)

    def check(self, secret: bytes, *, payload: bytes | None = None) -> None:
        if not hmac.compare_digest(mac(secret, self._content(payload), self.protected), self.signature):
            raise Refused(Code.BAD_SIGNATURE, "the authentication tag does not fit")


def _parts(value: Any) -> _Parts:
    if type(value) is not list or len(value) != 4:
        raise Refused(Code.MALFORMED, "a signature or MAC has four parts")
    protected, unprotected, payload, tag = value
    if (
        type(protected) is not bytes
        or type(unprotected) is not dict
        or (payload is not None and type(payload) is not bytes)
        or type(tag) is not bytes
    ):
        raise Refused(Code.MALFORMED, "a part of the signature or MAC is of the wrong type")
    # True and 1.0 are equal to 1 in Python, but not the label 1.
    if unprotected and not _LABELS.issuperset(map(type, unprotected)):
        raise Refused(Code.MALFORMED, "a label is neither a number nor a text")
    if _ALG in unprotected or _CRIT in unprotected:  # RFC 9052 3.1: crit is protected; we want alg to be as well
        raise Refused(Code.MALFORMED, "the algorithm is outside the protected header")
    return protected, unprotected, payload, tag


def _header(parts: _Parts, allowed: frozenset[int], words: str) -> None:
    header = cbor.loads(parts[0])
    if not isinstance(header, dict) or not _LABELS.issuperset(map(type, header)):
        raise Refused(Code.UNSUPPORTED, words)
    alg = header.get(_ALG)
    if type(alg) is not int or alg not in allowed or _CRIT in header:
        raise Refused(Code.UNSUPPORTED, words)
    if not header.keys().isdisjoint(parts[1]):  # RFC 9052 3
        raise Refused(Code.MALFORMED, "a label is in both headers")


def to_be_signed(payload: bytes, protected: bytes = PROTECTED) -> bytes:
    """RFC 9052 4.4: Sig_structure with no external data."""
    if protected == PROTECTED:
        return SIGNED_AS_WE_DO + cbor.bstr(payload)
    return _SIGNATURE1 + cbor.bstr(protected) + b"\x40" + cbor.bstr(payload)


def mac(secret: bytes, payload: bytes, protected: bytes = PROTECTED_MAC) -> bytes:
    """RFC 9052 6.3: the tag over MAC_structure with no external data."""
    content = _MAC0 + cbor.bstr(protected) + b"\x40" + cbor.bstr(payload)
    return hmac.digest(secret, content, "sha256")


def x5chain_value(chain: tuple[bytes, ...]) -> bytes | list[bytes]:
    return chain[0] if len(chain) == 1 else list(chain)


def key_to_cose(key: PublicKey) -> dict[int, Any]:
    return {1: 2, -1: 1, -2: key.x, -3: key.y}


def key_bytes(key: PublicKey) -> bytes:
    """The encoding of `key_to_cose(key)`, laid down."""
    return b"\xa4\x01\x02\x20\x01\x21\x58\x20" + key.x + b"\x22\x58\x20" + key.y


def key_from_cose(value: Any) -> PublicKey:
    """RFC 9053 7.1.1: kty EC2 on P-256; y as bytes, or its sign."""
    if not isinstance(value, dict):
        raise Refused(Code.MALFORMED, "a COSE key is not a map")
    if not _LABELS.issuperset(map(type, value)):
        raise Refused(Code.MALFORMED, "a label is neither a number nor a text")
    kind, curve, x, y = value.get(1), value.get(-1), value.get(-2), value.get(-3)
    if kind != 2 or curve != P256 or type(kind) is not int or type(curve) is not int:
        raise Refused(Code.UNSUPPORTED, "the key is not on P-256")
    if -4 in value:
        raise Refused(Code.MALFORMED, "the key contains its private part")
    if 3 in value and (type(value[3]) is not int or value[3] not in _KEY_ALGORITHMS):
        raise Refused(Code.UNSUPPORTED, "the key is for another algorithm")
    if type(x) is not bytes or len(x) != 32:
        raise Refused(Code.MALFORMED, "a coordinate is not 32 bytes")
    if type(y) is bool:
        return PublicKey.from_point((b"\x03" if y else b"\x02") + x)
    if type(y) is not bytes or len(y) != 32:
        raise Refused(Code.MALFORMED, "a coordinate is not 32 bytes")
    return PublicKey.from_point(b"\x04" + x + y)


class Algorithms(Struct, frozen=True, eq=False):
    """What a reader takes: how signatures, device keys and keys of certificates are read, and the digests by name; of
    tokens the names of algorithms, and how holders' keys are read."""

    sign1: Callable[[Any], Sign1]
    key: Callable[[Any], Key]
    certified: Callable[[object], Key]
    digests: Mapping[str, Callable[[bytes], Any]]
    jws: frozenset[str] = ES256_NAMES
    jwk: Callable[[Any], Key] = PublicKey.from_jwk


ES256_ONLY: Final = Algorithms(Sign1.parse, key_from_cose, PublicKey.from_crypto, {"SHA-256": sha256})  # HAIP 1.0 7
