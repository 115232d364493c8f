"""Keys on the curves of ISO/IEC 18013-5 beside P-256, for who reads documents of elsewhere.

The first edition lets an issuer sign with ES256, ES384, ES512 or EdDSA (9.1.2.4), a device likewise (9.1.3.6) or by a
MAC (9.1.3.5), and a reader has to take each of the eleven curves of its Table 22, all of cipher suite 1. HAIP 1.0 asks
for one. Where authorities are named, somebody says how many of them count: `ISO` for all of the table, `NIST` for the
three that a browser knows as well, which is what the trust list's own issuers may use:

    foreign = Issuer("neighbour", Anchors(roots, ISO), None, None, None, None, None)
    reading = Reading(text_of_the_code, urandom(48), ISO)

Promises: a `CurveKey` that exists is a point of its curve, and no point that signs for everybody. The curve of a key
says which algorithm it is for, and a protected header that says another is refused: there is no choice to be confused
about. Trusts: `cryptography` (OpenSSL); for brainpoolP320r1, which it does not have, `brainpool320.py`. Keeps: nothing.
Refuses: a secret on brainpoolP320r1 (signatures are read, sessions and MACs are not); in tokens the Brainpool curves,
for which JOSE has no name; coordinates of another length, points off the curve or of small order, private parts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, x448, x25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from msgspec import Struct

from mapae.errors import Code, Refused
from mapae.formats import brainpool320, cbor, cose
from mapae.formats.cose import Algorithms, Key
from mapae.formats.jose import ES256_NAMES, PublicKey, unb64u

_EC2, _OKP = 2, 1  # RFC 9053 7.1, 7.2


class Curve(Struct, frozen=True, eq=False):
    """One row of Table 22. `number`: IANA COSE Elliptic Curves; `algorithms`: what its signatures are called, by
    RFC 9053 2 as the table pairs them, and by RFC 9864 2; `crv` and `jws`: the same in JOSE, where it has names."""

    name: str
    number: int
    size: int  # of a coordinate
    algorithms: frozenset[int]
    weierstrass: ec.EllipticCurve | None = None
    hash: hashes.HashAlgorithm | None = None
    load: Callable[[bytes], Any] | None = None  # Edwards and Montgomery curves
    create: Callable[[bytes], Any] | None = None  # a private key, where there is one for a session
    crv: str | None = None
    jws: frozenset[str] = frozenset()

    @property
    def kind(self) -> int:
        return _EC2 if self.load is None else _OKP

    @property
    def signature(self) -> int:
        """Bytes of a signature: RFC 9053 2.1, both halves as long as the order; RFC 8032 5.1.6 and 5.2.6."""
        return 2 * self.size


def _on(curve: ec.EllipticCurve, hash_: hashes.HashAlgorithm, number: int, *algorithms: int, crv: str | None = None,
        jws: str | None = None) -> Curve:  # fmt: skip
    size = (curve.key_size + 7) // 8
    names = frozenset({jws} if jws else ())  # RFC 7518 3.4
    return Curve(curve.name, number, size, frozenset(algorithms), curve, hash_, crv=crv, jws=names)


_SHA256, _SHA384, _SHA512 = hashes.SHA256(), hashes.SHA384(), hashes.SHA512()
_ES256, _ES384, _ES512, _EDDSA = -7, -35, -36, -8
CURVES: Final = (
    _on(ec.SECP384R1(), _SHA384, 2, _ES384, -51, crv="P-384", jws="ES384"),
    _on(ec.SECP521R1(), _SHA512, 3, _ES512, -52, crv="P-521", jws="ES512"),
    _on(ec.BrainpoolP256R1(), _SHA256, 256, _ES256, -265),
    Curve("brainpoolP320r1", 257, brainpool320.SIZE, frozenset({_ES384, -266}), hash=_SHA384),
    _on(ec.BrainpoolP384R1(), _SHA384, 258, _ES384, -267),
    _on(ec.BrainpoolP512R1(), _SHA512, 259, _ES512, -268),
    # RFC 8037 3.1, RFC 9864 2.2
    Curve("Ed25519", 6, 32, frozenset({_EDDSA, -19}), load=ed25519.Ed25519PublicKey.from_public_bytes,
          crv="Ed25519", jws=frozenset({"EdDSA", "Ed25519"})),
    Curve("Ed448", 7, 57, frozenset({_EDDSA, -53}), load=ed448.Ed448PublicKey.from_public_bytes,
          crv="Ed448", jws=frozenset({"EdDSA", "Ed448"})),
    Curve(
        "X25519", 4, 32, frozenset(), load=x25519.X25519PublicKey.from_public_bytes,
        create=x25519.X25519PrivateKey.from_private_bytes,
    ),
    Curve(
        "X448", 5, 56, frozenset(), load=x448.X448PublicKey.from_public_bytes,
        create=x448.X448PrivateKey.from_private_bytes,
    ),
)  # fmt: skip
_BY_NUMBER: Final = {curve.number: curve for curve in CURVES}
_BY_NAME: Final = {curve.name: curve for curve in CURVES}
_BY_CRV: Final = {curve.crv: curve for curve in CURVES if curve.crv is not None}
_P320: Final = _BY_NAME["brainpoolP320r1"]
_RAW: Final = (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)  # what a certificate that signs may hold (RFC 8410)


class CurveKey:
    """A public key on one of `CURVES`; of Edwards and Montgomery curves `x` is all there is."""

    __slots__ = ("_crypto", "curve", "x", "y")

    def __init__(self, curve: Curve, x: bytes, y: bytes | bool = b"") -> None:
        """`y` also by its sign (RFC 9053 7.1.1). Raises Refused(MALFORMED)."""
        if len(x) != curve.size or (type(y) is bytes and len(y) != (curve.size if curve.kind == _EC2 else 0)):
            raise Refused(Code.MALFORMED, f"a coordinate is not {curve.size} bytes")
        try:
            if curve.load is not None:
                _must_be_a_key(curve, x)
                self._crypto, self.y = curve.load(x), b""
            elif curve.weierstrass is None:
                self._crypto = brainpool320.Point(x, y)
                self.y = self._crypto.y.to_bytes(curve.size, "big")
            else:
                point = b"\x04" + x + y if type(y) is bytes else (b"\x03" if y else b"\x02") + x
                self._crypto = ec.EllipticCurvePublicKey.from_encoded_point(curve.weierstrass, point)
                self.y = self._crypto.public_numbers().y.to_bytes(curve.size, "big")
        except ValueError:
            raise Refused(Code.MALFORMED, f"not a point on {curve.name}") from None
        self.curve, self.x = curve, x

    def verify(self, signature: bytes, message: bytes) -> None:
        """By the one algorithm of this curve. The caller has compared what the header says."""
        curve = self.curve
        if not curve.algorithms:
            raise Refused(Code.BAD_SIGNATURE, "the key agrees and does not sign")
        if len(signature) != curve.signature:
            raise Refused(Code.BAD_SIGNATURE, f"the signature is not {curve.signature} bytes")
        try:
            if curve is _P320:
                if not self._crypto.verify(signature, message):
                    raise InvalidSignature
            elif curve.hash is None:
                self._crypto.verify(signature, message)
            else:
                r, s = signature[: curve.size], signature[curve.size :]
                der = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
                self._crypto.verify(der, message, ec.ECDSA(curve.hash))
        except InvalidSignature:
            raise Refused(Code.BAD_SIGNATURE, "the signature does not fit") from None

    def companion(self, seed: bytes) -> CurveEphemeralKey:
        """A key of one's own on the same curve, for one session."""
        return CurveEphemeralKey(self.curve, seed)

    def cose(self) -> dict[int, Any]:
        key: dict[int, Any] = {1: self.curve.kind, -1: self.curve.number, -2: self.x}
        return key if self.curve.kind == _OKP else key | {-3: self.y}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CurveKey):
            return NotImplemented
        return (self.curve.number, self.x, self.y) == (other.curve.number, other.x, other.y)

    def __hash__(self) -> int:
        return hash((self.curve.number, self.x, self.y))

    def __repr__(self) -> str:
        return f"CurveKey({self.curve.name}, x={self.x!r}, y={self.y!r})"


# --- Edwards curves ---------------------------------------------------------------------------------------------------

# By name: p, a, d, the cofactor's doublings and the bits of y (RFC 8032 5.1, 5.2).
_P255, _P448 = 2**255 - 19, 2**448 - 2**224 - 1
_EDWARDS: Final = {
    "Ed25519": (_P255, -1, -121665 * pow(121666, -1, _P255) % _P255, 3, 255),
    "Ed448": (_P448, 1, -39081 % _P448, 2, 455),
}


def _must_be_a_key(curve: Curve, raw: bytes) -> None:
    """RFC 8032 5.1.3 and 5.2.3, which the library leaves for later; and no point of small order: under the neutral
    element a signature of zeros fits every message. Raises ValueError."""
    if curve.name not in _EDWARDS:
        return
    p, a, d, doublings, bits = _EDWARDS[curve.name]
    number = int.from_bytes(raw, "little")
    y, odd = number & ((1 << bits) - 1), number >> bits
    if y >= p:
        raise ValueError
    xx = (1 - y * y) * pow(a - d * y * y, -1, p) % p
    if pow(xx, (p - 1) // 2, p) not in (0, 1) or (odd and not xx):
        raise ValueError
    for _ in range(doublings):  # RFC 8032 5.1.4: of x its square is enough
        cross = d * xx * y * y
        xx, y = (
            4 * xx * y * y * pow(1 + cross, -2, p) % p,
            (y * y - a * xx) * pow(1 - cross, -1, p) % p,
        )
    if not xx and y == 1:
        raise ValueError


# --- reading ----------------------------------------------------------------------------------------------------------


def key_from_cose(value: Any, curves: Mapping[int, Curve] = _BY_NUMBER) -> Key:
    """RFC 9053 7.1.1 and 7.2, on any of these curves or P-256."""
    if not isinstance(value, dict) or any(type(label) is not int and type(label) is not str for label in value):
        raise Refused(Code.MALFORMED, "a COSE key is not a map, or a label is neither a number nor a text")
    number = value.get(-1)
    if type(number) is int and number == cose.P256:
        return cose.key_from_cose(value)
    curve = curves.get(number) if type(number) is int else None
    kind = value.get(1)
    if curve is None or type(kind) is not int or kind != curve.kind:
        raise Refused(Code.UNSUPPORTED, "the key is on no curve we know")
    if -4 in value:
        raise Refused(Code.MALFORMED, "the key contains its private part")
    said = value.get(3)
    if 3 in value and (type(said) is not int or said not in curve.algorithms | cose.AGREEMENTS):
        raise Refused(Code.UNSUPPORTED, "the key is for another algorithm")
    x, y = value.get(-2), value.get(-3, b"" if curve.kind == _OKP else None)
    if type(x) is not bytes or (type(y) is not bytes and (type(y) is not bool or curve.kind == _OKP)):
        raise Refused(Code.MALFORMED, "a coordinate is missing or not bytes")
    return CurveKey(curve, x, y)


def key_from_jwk(value: Any, curves: Mapping[str, Curve] = _BY_CRV) -> Key:
    """RFC 7518 6.2.1, RFC 8037 2: on any of these curves or P-256."""
    crv = value.get("crv") if isinstance(value, Mapping) else None
    if type(crv) is not str or (curve := curves.get(crv)) is None:
        return PublicKey.from_jwk(value)
    if value.get("kty") != ("EC" if curve.kind == _EC2 else "OKP"):
        raise Refused(Code.UNSUPPORTED, "the key is not of its curve's kind")
    if "d" in value:
        raise Refused(Code.MALFORMED, "the key contains its private part")
    said = value.get("alg", "ECDH-ES")  # as PublicKey.from_jwk
    if type(said) is not str or said not in curve.jws | {"ECDH-ES"}:
        raise Refused(Code.UNSUPPORTED, "the key is for another algorithm")
    x, y = value.get("x"), value.get("y") if curve.kind == _EC2 else ""
    if type(x) is not str or type(y) is not str:
        raise Refused(Code.MALFORMED, "a coordinate is missing or not a text")
    return CurveKey(curve, unb64u(x), unb64u(y))


def key_from_crypto(key: object, curves: Mapping[str, Curve] = _BY_NAME) -> Key:
    """Of a certificate: RFC 5480 2.1.1, RFC 8410 4."""
    curve = None
    if isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name == "secp256r1":
            return PublicKey.from_crypto(key)
        if (curve := curves.get(key.curve.name)) is not None:
            numbers = key.public_numbers()
            return CurveKey(curve, *(at.to_bytes(curve.size, "big") for at in (numbers.x, numbers.y)))
    elif isinstance(key, brainpool320.Point):
        if (curve := curves.get(_P320.name)) is not None:
            return CurveKey(curve, *(at.to_bytes(curve.size, "big") for at in (key.x, key.y)))
    elif isinstance(key, _RAW) and (curve := curves.get("Ed25519" if isinstance(key, _RAW[0]) else "Ed448")):
        return CurveKey(curve, key.public_bytes_raw())
    raise Refused(Code.UNSUPPORTED, "the key is on no curve we know")


class AnySign1(cose.Sign1, frozen=True):
    """COSE_Sign1 by any algorithm of Table 22; which one is for the key to say."""

    accepted: ClassVar[frozenset[int]] = cose.Sign1.accepted.union(*(curve.algorithms for curve in CURVES))
    words: ClassVar[str] = "the algorithm is none of ISO/IEC 18013-5"

    def verify(self, key: Key, *, payload: bytes | None = None) -> None:
        """9.1.2.4, 9.1.3.6: the algorithm in the protected header is the one of the key's curve."""
        if self.protected != cose.PROTECTED or not isinstance(key, PublicKey):
            of_key = cose.Sign1.accepted if isinstance(key, PublicKey) else key.curve.algorithms
            if cbor.loads(self.protected)[1] not in of_key:
                raise Refused(Code.BAD_SIGNATURE, "the algorithm is not the one of the key's curve")
        key.verify(self.signature, cose.to_be_signed(self._content(payload), self.protected))


# What every browser's WebCrypto has as well, so that a till decides the same with and without a server (decision 23).
_OF_NIST: Final = tuple(curve for curve in CURVES if curve.crv in ("P-384", "P-521"))


class NistSign1(AnySign1, frozen=True):
    accepted: ClassVar[frozenset[int]] = cose.Sign1.accepted.union(*(curve.algorithms for curve in _OF_NIST))
    words: ClassVar[str] = "the algorithm is none of ES256, ES384 and ES512"


ISO: Final = Algorithms(
    AnySign1.parse, key_from_cose, key_from_crypto,
    {"SHA-256": hashlib.sha256, "SHA-384": hashlib.sha384, "SHA-512": hashlib.sha512},  # 9.1.2.5, Table 21
    ES256_NAMES.union(*(curve.jws for curve in CURVES)), key_from_jwk,
)  # fmt: skip
NIST: Final = Algorithms(
    NistSign1.parse, partial(key_from_cose, curves={curve.number: curve for curve in _OF_NIST}),
    partial(key_from_crypto, curves={curve.name: curve for curve in _OF_NIST}), cose.ES256_ONLY.digests,
    ES256_NAMES.union(*(curve.jws for curve in _OF_NIST)),
    partial(key_from_jwk, curves={str(curve.crv): curve for curve in _OF_NIST}),
)  # fmt: skip


# --- sessions ---------------------------------------------------------------------------------------------------------


class CurveEphemeralKey:
    """`proximity.EphemeralKey` on another curve, from the same 48 or more random bytes. It can agree, not sign."""

    __slots__ = ("_private", "cose", "public")

    def __init__(self, curve: Curve, seed: bytes) -> None:
        if len(seed) < 48:
            raise Refused(Code.MALFORMED, "a key needs 48 random bytes")
        if curve.weierstrass is not None:
            # FIPS 186-5 A.2.1 wants 64 bits more than the order has; the order is within a bit of the size.
            wide = int.from_bytes(hashlib.shake_256(seed).digest(curve.size + 8), "big")
            self._private: Any = ec.derive_private_key(
                wide % (curve.weierstrass.group_order - 1) + 1, curve.weierstrass
            )
            numbers = self._private.public_key().public_numbers()
            self.public = CurveKey(curve, *(at.to_bytes(curve.size, "big") for at in (numbers.x, numbers.y)))
        elif curve.create is not None:
            self._private = curve.create(hashlib.shake_256(seed).digest(curve.size))
            self.public = CurveKey(curve, self._private.public_key().public_bytes_raw())
        elif curve is _P320:  # a secret would be multiplied in plain Python, which tells it by the time it takes
            raise Refused(Code.UNSUPPORTED, "on brainpoolP320r1 signatures are read, but no session or MAC")
        else:
            raise Refused(Code.UNSUPPORTED, "keys on this curve sign and do not agree")
        self.cose = cbor.dumps(self.public.cose())

    def agree(self, public: Key) -> bytes:
        """9.1.1.5, 9.1.3.5: ECKA-DH (SEC 1 3.3.1) or RFC 7748 6, with a key on the same curve."""
        if isinstance(public, PublicKey) or public.curve is not self.public.curve:
            raise Refused(Code.UNSUPPORTED, "the two keys are on different curves")
        try:
            if public.curve.weierstrass is not None:
                return bytes(self._private.exchange(ec.ECDH(), public._crypto))
            return bytes(self._private.exchange(public._crypto))
        except ValueError:  # RFC 7748 6.1: all zeros
            raise Refused(Code.MALFORMED, "the key leads to no secret") from None
