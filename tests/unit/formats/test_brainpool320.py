"""brainpoolP320r1, computed here: held to RFC 5639 and to another implementation."""

from __future__ import annotations

import hashlib

import ecdsa
import pytest
from asn1crypto import x509 as asn1

from elsewhere import P320, Elsewhere, Writer
from hands import refuses
from mapae.errors import Code
from mapae.formats.brainpool320 import A, B, G, N, P, Point, _both
from mapae.formats.cose import Algorithms
from mapae.formats.curves import ISO, NIST
from mapae.formats.x509 import by_authority

KEY = Writer(P320, "w")
X, Y = KEY.cose[-2], KEY.cose[-3]


def grown(seed: int) -> int:
    """RFC 5639 2.1, find_integer_2 for 320 bits: 159 bits of the seed's SHA-1, then all of the next seed's."""
    first, second = (
        int.from_bytes(hashlib.sha1(((seed + at) % 2**160).to_bytes(20, "big"), usedforsecurity=False).digest(), "big")
        for at in range(2)
    )
    return (first & ((1 << 159) - 1)) << 160 | second


def test_the_coefficients_are_those_that_grow_from_the_published_seed() -> None:
    """RFC 5639 5: A is a number that grows from a seed some steps after Seed_ab_320, B the next that is no square."""
    seed = 0xED55C4D79FD5F24D6613C31C3839A2DDF8A9A276 + 2222
    assert grown(seed) == A
    squares = [pow(grown(seed + step), (P - 1) // 2, P) == 1 for step in range(1, 6)]
    assert squares == [True, True, True, True, False] and grown(seed + 5) == B


def test_the_generator_is_on_the_curve_and_its_order_is_prime() -> None:
    assert (G[0] ** 3 + A * G[0] + B - G[1] ** 2) % P == 0
    assert all(pow(base, number - 1, number) == 1 for number in (N, P) for base in (2, 3, 5, 7))
    assert not _both(N, 0, G)[2] and _both(N - 1, 1, G)[2] == 0  # infinity
    assert abs(P + 1 - N) < 2 * int(P**0.5)  # Hasse: so the cofactor is one


@pytest.mark.parametrize("word", ["a", "b", "c", "d"])
def test_another_implementation_signs_and_this_one_reads(word: str) -> None:
    writer = Writer(P320, word)
    point = Point(writer.cose[-2], writer.cose[-3])
    for message in (b"", b"content", bytes(1000)):
        signature = writer.sign(message)
        writer.private.verifying_key.verify(signature, message, hashlib.sha384)
        assert point.verify(signature, message)
        assert not point.verify(signature, message + b"x")
        assert not Point(X, Y).verify(signature, message)


@pytest.mark.parametrize("r, s", [(0, 1), (1, 0), (N, 1), (1, N), (N + 1, 1), (1, 1), (N - 1, N - 1), (P - 1, 1)])
def test_halves_outside_the_order_fit_nothing(r: int, s: int) -> None:
    assert not Point(X, Y).fits(r, s, hashlib.sha384(b"m").digest())


def test_sums_that_meet_at_one_point_or_at_infinity_come_out_as_elsewhere() -> None:
    """Doubling inside an addition, and a point with its opposite: a key that is the generator, or its opposite."""
    generator = ecdsa.BRAINPOOLP320r1.generator
    for sign in (1, -1):
        q = (G[0], sign * G[1] % P, 1)
        for u, v in ((1, 1), (2, 1), (5, 5), (N - 1, 1), (7, N - 7), (3, 2**200 + 1)):
            x, _, z = _both(u, v, q)
            expected = generator * ((u + sign * v) % N)
            if expected == ecdsa.ellipticcurve.INFINITY:
                assert z == 0
            else:
                assert x * pow(z, -2, P) % P == expected.to_affine().x()


def test_what_is_no_point_is_none() -> None:
    spoilt = [
        (X, X),
        (P.to_bytes(40, "big"), Y),
        (X, (int.from_bytes(Y, "big") + P).to_bytes(41, "big")),
        (b"\xff" * 40, True),
    ]
    for x, y in spoilt:
        with pytest.raises(ValueError):
            Point(x, y)
    assert [Point(X, odd).y.to_bytes(40, "big") == Y for odd in (bool(Y[-1] & 1), not Y[-1] & 1)] == [True, False]


@pytest.mark.parametrize("algorithms", [NIST, ISO])
def test_a_certificate_of_version_one_with_such_a_key_is_refused_like_any_other(algorithms: Algorithms) -> None:
    """RFC 5280 4.1: without a version the key is a field earlier, and the certificate ends where it is looked for."""
    old = asn1.Certificate.load(Elsewhere(P320).leaf)
    for name in ("version", "extensions"):
        del old["tbs_certificate"][name]
    with refuses(Code.BAD_CERTIFICATE):
        by_authority([old.dump(force=True)], algorithms)
