"""Signatures under keys on brainpoolP320r1, which `cryptography` does not have (RFC 5639 3.5; decision 23).

    Point(x, y).verify(signature, message)          # ECDSA with SHA-384 (RFC 9864 2.1, ESB320), 80 bytes

Promises: a `Point` that exists is on the curve, whose cofactor is one: it has the order of the group. Trusts: nothing
but Python's integers. Keeps: nothing. Refuses: to hold a secret: there is no multiplication by one here that nobody may
know, for Python's integers tell the time. It is slow, some milliseconds a signature.
"""

from __future__ import annotations

import hashlib
from typing import Final

Triple = tuple[int, int, int]  # Jacobian coordinates; z is zero at infinity

SIZE: Final = 40
P: Final = 0xD35E472036BC4FB7E13C785ED201E065F98FCFA6F6F40DEF4F92B9EC7893EC28FCD412B1F1B32E27
A: Final = 0x3EE30B568FBAB0F883CCEBD46D3F3BB8A2A73513F5EB79DA66190EB085FFA9F492F375A97D860EB4
B: Final = 0x520883949DFDBC42D3AD198640688A6FE13F41349554B49ACC31DCCD884539816F5EB4AC8FB1F1A6
N: Final = 0xD35E472036BC4FB7E13C785ED201E065F98FCFA5B68F12A32D482EC7EE8658E98691555B44C59311
G: Final = (
    0x43BD7E9AFB53D8B85289BCC48EE5BFE6F20137D10A087EB6E7871E2A10A599C710AF8D0D39E20611,
    0x14FDD05545EC1CC8AB4093247F77275E0743FFED117182EAA9C77877AAAC6AC7D35245D1692E8EE1,
    1,
)


class Point:
    __slots__ = ("x", "y")

    def __init__(self, x: bytes, y: bytes | bool) -> None:
        """`y` also by its sign (SEC 1 2.3.4). Raises ValueError."""
        self.x = int.from_bytes(x, "big")
        square = (self.x**3 + A * self.x + B) % P
        if type(y) is bool:
            root = pow(square, (P + 1) // 4, P)  # p leaves 3 when divided by 4
            self.y = root if root & 1 == y else P - root
        else:
            self.y = int.from_bytes(y, "big")
        if not (self.x < P and 0 <= self.y < P) or self.y * self.y % P != square:
            raise ValueError

    def verify(self, signature: bytes, message: bytes) -> bool:
        """`signature`: r and s, 40 bytes each."""
        r, s = (int.from_bytes(half, "big") for half in (signature[:SIZE], signature[SIZE:]))
        return self.fits(r, s, hashlib.sha384(message).digest())

    def fits(self, r: int, s: int, digest: bytes) -> bool:
        """SEC 1 4.1.4. Of a digest longer than the order only its first bits count."""
        if not (0 < r < N and 0 < s < N):
            return False
        inverse = pow(s, -1, N)
        found = _both(int.from_bytes(digest[:SIZE], "big") * inverse % N, r * inverse % N, (self.x, self.y, 1))
        # r is less than N, which is less than P: x may also be r and N.
        return bool(found[2]) and found[0] * pow(found[2], -2, P) % P % N == r


def _twice(one: Triple) -> Triple:
    x, y, z = one
    if not y:
        return 1, 1, 0
    yy, zz = y * y % P, z * z % P
    s, m = 4 * x * yy % P, (3 * x * x + A * zz * zz) % P
    xx = (m * m - 2 * s) % P
    return xx, (m * (s - xx) - 8 * yy * yy) % P, 2 * y * z % P


def _plus(one: Triple, other: Triple) -> Triple:
    if not one[2] or not other[2]:
        return other if not one[2] else one
    (x, y, z), (xo, yo, zo) = one, other
    zz, zzo = z * z % P, zo * zo % P
    u, v = x * zzo % P, y * zzo * zo % P
    h, r = (xo * zz - u) % P, (yo * zz * z - v) % P
    if not h:
        return (1, 1, 0) if r else _twice(one)
    hh = h * h % P
    hhh, uhh = hh * h % P, u * hh % P
    xx = (r * r - hhh - 2 * uhh) % P
    return xx, (r * (uhh - xx) - v * hhh) % P, h * z * zo % P


def _both(u: int, v: int, q: Triple) -> Triple:
    """u times the generator and v times q, bit by bit together."""
    steps = (None, G, q, _plus(G, q))
    found: Triple = (1, 1, 0)
    for bit in range(N.bit_length() - 1, -1, -1):
        found = _twice(found)
        step = steps[(u >> bit & 1) + 2 * (v >> bit & 1)]
        found = found if step is None else _plus(found, step)
    return found
