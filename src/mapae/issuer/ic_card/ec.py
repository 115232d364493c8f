"""Points for PACE, which multiplies a generator nobody has heard of before: `cryptography` offers no such thing.

Promises: a `Point` that exists is on its curve and is not infinity. secp256r1 is computed by pycryptodome in C, with
blinded scalars. Trusts: pycryptodome for that; the Dice for secret keys. Keeps: nothing. Refuses: points off the curve,
at infinity, compressed, with a coordinate that is not below p.

brainpoolP256r1 is plain Python, which leaks secrets through time. It is here for the published vectors, which know no
other curve; no profile of ours offers it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Final

from Crypto.PublicKey.ECC import EccPoint

from mapae.clock import Dice
from mapae.errors import Code, Refused
from mapae.formats import p256

# Both curves have 256 bits and the cofactor 1: what satisfies the equation is in the group.
SIZE: Final = 32


class Point:
    """On its curve, and not infinity."""

    __slots__ = ("_place", "curve")

    def __init__(self, curve: Curve, place: Any) -> None:
        self.curve = curve
        self._place = place

    def encode(self) -> bytes:
        """Uncompressed (BSI TR-03111 3.2.1)."""
        x, y = self.curve._xy(self._place)
        return b"\x04" + x.to_bytes(SIZE, "big") + y.to_bytes(SIZE, "big")

    def shared(self) -> bytes:
        """As the result of a key agreement: the x-coordinate (BSI TR-03111 4.3.1)."""
        return self.curve._xy(self._place)[0].to_bytes(SIZE, "big")

    def times(self, scalar: int) -> Point:
        if not scalar % self.curve.n:
            raise Refused(Code.CHIP_REFUSED, "a point came to infinity")
        return Point(self.curve, self.curve._times(self._place, scalar % self.curve.n))

    def plus(self, other: Point) -> Point:
        if self.curve is not other.curve:
            raise Refused(Code.CHIP_REFUSED, "two points are on two curves")
        place = self.curve._plus(self._place, other._place)
        if place is None:
            raise Refused(Code.CHIP_REFUSED, "a point came to infinity")
        return Point(self.curve, place)


@dataclass(frozen=True, slots=True)
class Pair:
    secret: int
    public: Point

    def agree(self, theirs: Point) -> bytes:
        return theirs.times(self.secret).shared()


class Curve(ABC):
    """y² = x³ + ax + b over p, in the short Weierstrass form; the generator has the prime order n."""

    def __init__(self, name: str, parameter: int, *, p: int, a: int, b: int, n: int, g: tuple[int, int]) -> None:
        self.name = name
        self.parameter = parameter
        """Doc 9303-11 9.5.1: the number of the standardized domain parameters."""
        self.p, self.a, self.b, self.n = p, a, b, n
        self.g = Point(self, self._place(*g))

    def pair(self, dice: Dice, generator: Point | None = None) -> Pair:
        secret = 1 + dice.below(self.n - 1)
        return Pair(secret, (generator or self.g).times(secret))

    def read(self, raw: bytes) -> Point:
        """Doc 9303-11 9.4.1: uncompressed, and checked before any secret comes near it (BSI TR-03111 4.3.1.1)."""
        if len(raw) != 1 + 2 * SIZE or raw[0] != 4:
            raise Refused(Code.CHIP_REFUSED, "a point is not in its uncompressed form")
        x, y = int.from_bytes(raw[1 : 1 + SIZE], "big"), int.from_bytes(raw[1 + SIZE :], "big")
        if x >= self.p or y >= self.p or (y * y - x * (x * x + self.a) - self.b) % self.p:
            raise Refused(Code.CHIP_REFUSED, "a point is not on the curve")
        return Point(self, self._place(x, y))

    @abstractmethod
    def _place(self, x: int, y: int) -> Any: ...

    @abstractmethod
    def _times(self, place: Any, scalar: int) -> Any:
        """By 1 to n-1: never infinity, because n is prime."""

    @abstractmethod
    def _plus(self, one: Any, other: Any) -> Any:
        """None at infinity."""

    @abstractmethod
    def _xy(self, place: Any) -> tuple[int, int]: ...


class _InC(Curve):
    def _place(self, x: int, y: int) -> EccPoint:
        return EccPoint(x, y, "p256")

    def _times(self, place: EccPoint, scalar: int) -> EccPoint:
        return place * scalar

    def _plus(self, one: EccPoint, other: EccPoint) -> EccPoint | None:
        both = one + other
        return None if both.is_point_at_infinity() else both

    def _xy(self, place: EccPoint) -> tuple[int, int]:
        x, y = place.xy
        return int(x), int(y)


class _InPython(Curve):
    """For vectors only: affine, and in no way blind to who watches the clock."""

    def _place(self, x: int, y: int) -> tuple[int, int]:
        return x, y

    def _times(self, place: tuple[int, int], scalar: int) -> tuple[int, int] | None:
        found: tuple[int, int] | None = None
        for bit in f"{scalar:b}":
            found = found and self._plus(found, found)
            if bit == "1":
                found = self._plus(found, place) if found else place
        return found

    def _plus(self, one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int] | None:
        (x1, y1), (x2, y2), p = one, other, self.p
        if x1 == x2 and (y1 + y2) % p == 0:
            return None
        rise, run = (3 * x1 * x1 + self.a, 2 * y1) if one == other else (y2 - y1, x2 - x1)
        slope = rise * pow(run, -1, p)
        x3 = (slope * slope - x1 - x2) % p
        return x3, (slope * (x1 - x3) - y1) % p

    def _xy(self, place: tuple[int, int]) -> tuple[int, int]:
        return place


# SEC 2 2.4.2
SECP256R1: Final = _InC(
    "secp256r1", 12, p=p256.P, a=p256.P - 3, b=p256.B, n=p256.N,
    g=(0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
       0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5),
)  # fmt: skip
# RFC 5639 3.4
BRAINPOOLP256R1: Final = _InPython(
    "brainpoolP256r1", 13,
    p=0xA9FB57DBA1EEA9BC3E660A909D838D726E3BF623D52620282013481D1F6E5377,
    a=0x7D5A0975FC2C3057EEF67530417AFFE7FB8055C126DC5C6CE94A4B44F330B5D9,
    b=0x26DC5C6CE94A4B44F330B5D9BBD77CBF958416295CF7E1CE6BCCDC18FF8C07B6,
    n=0xA9FB57DBA1EEA9BC3E660A909D838D718C397AA3B561A6F7901E0E82974856A7,
    g=(0x8BD2AEB9CB7E57CB2C4B482FFC81B7AFB9DE27E1E3BD23C23A4453BD9ACE3262,
       0x547EF835C3DAC4FD97F8461A14611DC9C27745132DED8E545C1D54C72F046997),
)  # fmt: skip
CURVES: Final = {curve.parameter: curve for curve in (SECP256R1, BRAINPOOLP256R1)}
