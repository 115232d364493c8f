"""ECDSA on P-256 with SHA-256, and the one place that chooses who computes it.

Promises: a `Point` that exists is on the curve. Every engine gives the same answers: a signature is 64 bytes, r then s
(RFC 7518 3.4), both from 1 to n-1, or it does not fit. Trusts: the engine in use: `cryptography` (OpenSSL), unless
`use` was told otherwise at the start of the process. Keeps: the engine in use; a key loaded once stays loaded in its
`Point`. Refuses: points off the curve, engines that are not there or that fail a known answer. Nothing falls back: a
process asked to use an engine either uses it or does not start.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Protocol, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from mapae.errors import Code, Refused

P: Final = 2**256 - 2**224 + 2**192 + 2**96 - 1
N: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B: Final = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B

_CURVE: Final = ec.SECP256R1()
_ES256: Final = ec.ECDSA(hashes.SHA256())  # one object: building it for each call costs 3 % of a verify
_ZERO, _ORDER = bytes(32), N.to_bytes(32, "big")
# RFC 5480 2: SubjectPublicKeyInfo of an uncompressed point on P-256, up to the coordinates.
_SPKI: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")


class Point:
    """A public key: a point on P-256, never the one at infinity. Equal when the coordinates are.

    The curve's equation is checked here, with Python's integers: a microsecond, where loading the key into OpenSSL
    takes six. It is loaded when something is to be verified, and many keys are only carried.
    """

    __slots__ = ("_crypto", "_loaded", "x", "y")
    x: bytes
    y: bytes

    def __init__(self, x: bytes, y: bytes) -> None:
        if len(x) != 32 or len(y) != 32:
            raise Refused(Code.MALFORMED, "a coordinate is not 32 bytes")
        across, up = int.from_bytes(x, "big"), int.from_bytes(y, "big")
        # SEC 1 3.2.2.1: coordinates below p that satisfy the equation. The cofactor is 1, so that is all.
        if across >= P or up >= P or (up * up - across * (across * across - 3) - B) % P:
            raise Refused(Code.MALFORMED, "not a point on P-256")
        self.x, self.y = x, y
        self._crypto: ec.EllipticCurvePublicKey | None = None
        self._loaded: tuple[object, Any] | None = None

    @classmethod
    def of(cls, key: object) -> Self:
        """From the `cryptography` object."""
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != _CURVE.name:
            raise Refused(Code.UNSUPPORTED, "the key is not on P-256")
        made = cls(*_xy(key))
        made._crypto = key
        return made

    @property
    def crypto(self) -> ec.EllipticCurvePublicKey:
        """The `cryptography` object, for certificates and key agreement."""
        if self._crypto is None:
            self._crypto = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, b"\x04" + self.x + self.y)
        return self._crypto

    def loaded(self, engine: Engine) -> Any:
        """What `engine` made of this key."""
        if self._loaded is None or self._loaded[0] is not engine:
            self._loaded = (engine, engine.load(self))
        return self._loaded[1]

    def fits(self, signature: bytes, message: bytes) -> bool:
        """Whether this key signed `message`. Inside `together`: whether it may have; that list then decides."""
        if not well_formed(signature):
            return False
        pile = _pile.get()
        if pile is None:
            return _engine.verify(self, signature, message)
        pile.append((self, signature, message))
        return True

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Point):
            return NotImplemented
        return self.x == other.x and self.y == other.y

    def __hash__(self) -> int:
        return hash((self.x, self.y))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(x={self.x!r}, y={self.y!r})"


def coordinates(point: bytes) -> tuple[bytes, bytes]:
    """Of a point in SEC 1 2.3.3 form, 65 bytes or 33 compressed: what `Point` is made of, and checks."""
    if len(point) == 65 and point[0] == 4:
        return point[1:33], point[33:]
    if len(point) != 33:
        raise Refused(Code.MALFORMED, "not a point on P-256")
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, point)
    except ValueError:
        raise Refused(Code.MALFORMED, "not a point on P-256") from None
    return _xy(key)


def _xy(key: ec.EllipticCurvePublicKey) -> tuple[bytes, bytes]:
    numbers = key.public_numbers()
    return numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")


def well_formed(signature: bytes) -> bool:
    """64 bytes, r and s from 1 to n-1 (SEC 1 4.1.4 step 1): checked before any engine sees it."""
    return len(signature) == 64 and _ZERO < signature[:32] < _ORDER and _ZERO < signature[32:] < _ORDER


Check = tuple[Point, bytes, bytes]
"""Who should have signed, the signature, the message."""


def fit(checks: Sequence[Check]) -> list[bool]:
    """`Point.fits` for each, in one go where a batch engine is in use. One bad signature fails alone."""
    if _batch is None:
        return [point.fits(signature, message) for point, signature, message in checks]
    return _batch.verify(checks)


_pile: ContextVar[list[Check] | None] = ContextVar("pile", default=None)


@contextmanager
def together() -> Iterator[list[Check]]:
    """Inside, signatures are written down instead of verified: whatever is decided there holds only if `fit` then says
    yes to all of the list. For this thread and task alone, and not for anything that waits or remembers."""
    pile: list[Check] = []
    before = _pile.set(pile)
    try:
        yield pile
    finally:
        _pile.reset(before)


def signing(key: ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    """ES256 by this key through the engine in use: message to 64 bytes, r then s."""
    return _engine.signing(key)


# --- engines ------------------------------------------------------------------------------------------------------


class Engine(Protocol):
    """One implementation. It is given points on the curve and well-formed signatures only."""

    name: str

    def load(self, point: Point) -> Any: ...

    def verify(self, point: Point, signature: bytes, message: bytes) -> bool: ...

    def signing(self, key: ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]: ...


class Batch(Protocol):
    """Verifies several signatures at a time."""

    name: str

    def verify(self, checks: Sequence[Check]) -> list[bool]: ...


class _Cryptography:
    """OpenSSL, through the library everything else here uses."""

    name = "cryptography"

    def load(self, point: Point) -> ec.EllipticCurvePublicKey:
        return point.crypto

    def verify(self, point: Point, signature: bytes, message: bytes) -> bool:
        try:
            (point._crypto or point.crypto).verify(to_der(signature), message, _ES256)
        except InvalidSignature:
            return False
        return True

    def signing(self, key: ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
        sign = key.sign

        def signed(message: bytes) -> bytes:
            return from_der(sign(message, _ES256))

        return signed


class _AwsLc:
    """AWS-LC, through awscrt: extra `mapae[awslc]`."""

    name = "awslc"

    def __init__(self) -> None:
        try:
            from awscrt.crypto import EC
        except ImportError:
            raise Refused(Code.BAD_CONFIG, "the engine awslc is not installed: pip install 'mapae[awslc]'") from None
        self._read = EC.new_key_from_der_data

    def load(self, point: Point) -> Any:
        return self._read(_SPKI + point.x + point.y)

    def verify(self, point: Point, signature: bytes, message: bytes) -> bool:
        return bool(point.loaded(self).verify(hashlib.sha256(message).digest(), to_der(signature)))

    def signing(self, key: ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
        # Late: its import takes longer than that of all of `formats`.
        from cryptography.hazmat.primitives import serialization

        plain = serialization.NoEncryption()  # from one library to the other, inside this process
        sign = self._read(key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, plain)).sign

        def signed(message: bytes) -> bytes:
            return from_der(sign(hashlib.sha256(message).digest()))

        return signed


def _lanes(engine: Engine) -> Batch:
    from mapae.formats.p256_lanes import Lanes  # ctypes: only for those who ask for it

    return Lanes(engine)


ENGINES: Final[dict[str, Callable[[], Engine]]] = {"cryptography": _Cryptography, "awslc": _AwsLc}
BATCHES: Final[dict[str, Callable[[Engine], Batch]]] = {"crypto_mb": _lanes}

_engine: Engine = _Cryptography()
_batch: Batch | None = None


def use(engine: str = "cryptography", batch: str = "") -> None:
    """Choose for this process, once, at its start. Raises Refused(BAD_CONFIG) when the choice cannot be had."""
    global _engine, _batch
    if engine not in ENGINES:
        raise Refused(Code.BAD_CONFIG, f"there is no engine {engine}; the engines are {', '.join(ENGINES)}")
    if batch and batch not in BATCHES:
        raise Refused(Code.BAD_CONFIG, f"there is no batch engine {batch}; there are {', '.join(BATCHES)}, or none")
    chosen = ENGINES[engine]()
    _known_answer(chosen)
    _engine, _batch = chosen, BATCHES[batch](chosen) if batch else None


def in_use() -> tuple[str, str]:
    """The engine and the batch engine of this process."""
    return _engine.name, _batch.name if _batch else ""


# RFC 6979 A.2.5, P-256 with SHA-256, message "sample".
KNOWN: Final[Check] = (
    Point(
        bytes.fromhex("60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"),
        bytes.fromhex("7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299"),
    ),
    bytes.fromhex(
        "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
        "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"
    ),
    b"sample",
)


def _known_answer(engine: Engine) -> None:
    point, signature, message = KNOWN
    if not engine.verify(point, signature, message) or engine.verify(point, signature, message + b"s"):
        raise Refused(Code.BAD_CONFIG, f"the engine {engine.name} gives a wrong answer on this machine")


# --- a signature's two spellings --------------------------------------------------------------------------------------


def to_der(signature: bytes) -> bytes:
    """64 bytes to RFC 3279 2.2.3. Laid down for the usual lengths: a third of what the library takes."""
    r, s = signature[:32], signature[32:]
    high_r, high_s = r[0], s[0]
    if not high_r or not high_s:
        return encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    if high_r < 128:
        if high_s < 128:
            return b"\x30\x44\x02\x20" + r + b"\x02\x20" + s
        return b"\x30\x45\x02\x20" + r + b"\x02\x21\x00" + s
    if high_s < 128:
        return b"\x30\x45\x02\x21\x00" + r + b"\x02\x20" + s
    return b"\x30\x46\x02\x21\x00" + r + b"\x02\x21\x00" + s


def from_der(der: bytes) -> bytes:
    """What an engine of ours has signed, as 64 bytes."""
    end = 4 + der[3]
    return der[4:end][-32:].rjust(32, b"\x00") + der[end + 2 :][-32:].rjust(32, b"\x00")
