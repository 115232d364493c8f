"""ECDSA on P-256: every engine says the same, and nobody's bytes get further than the seam (FIPS 186-5, SEC 1)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from hands import refuses
from mapae.config import Settings
from mapae.errors import Code, Refused
from mapae.formats import p256
from mapae.formats.jose import PublicKey
from mapae.formats.p256 import N, P, Point
from mapae.keys import Signer

KEY = ec.derive_private_key(0xC0FFEE, ec.SECP256R1())
POINT = Point.of(KEY.public_key())
MESSAGE = b"what was signed"
ENGINES = [("cryptography", ""), ("awslc", ""), ("cryptography", "crypto_mb"), ("awslc", "crypto_mb")]


@pytest.fixture(params=ENGINES, ids=lambda choice: "+".join(filter(None, choice)))
def engine(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Each engine in turn. The batch engine is the user's to install (docs/decisions/0008), so it may be away."""
    try:
        p256.use(*request.param)
    except Refused as refused:
        if request.param[1] and ("not installed" in refused.detail or "AVX-512" in refused.detail):
            pytest.skip(refused.detail)
        raise
    yield request.param
    p256.use()


def both(point: Point, signature: bytes, message: bytes) -> bool:
    """One by one and as the last of a batch: the answer, which must be the same."""
    alone = point.fits(signature, message)
    assert p256.fit([*[genuine(at) for at in range(4)], (point, signature, message)]) == [*[True] * 4, alone]
    return alone


def genuine(at: int) -> p256.Check:
    message = MESSAGE + bytes([at])
    return POINT, p256.signing(KEY)(message), message


def rs(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def digest(message: bytes) -> int:
    return int.from_bytes(hashlib.sha256(message).digest(), "big")


def test_what_an_engine_signs_fits_and_is_64_bytes(engine):
    """RFC 7518 3.4: r and s padded to 32 bytes each, also when they begin with zeros."""
    sign = p256.signing(KEY)
    for at in range(300):
        message = MESSAGE + at.to_bytes(2, "big")
        signature = sign(message)
        assert len(signature) == 64 and POINT.fits(signature, message)


@pytest.mark.parametrize("half", ["r", "s"])
@pytest.mark.parametrize("value", [0, N, N + 1, 2**256 - 1, P])
def test_r_and_s_are_from_1_to_n_minus_1(engine, half, value):
    """SEC 1 4.1.4 step 1."""
    signature = genuine(0)[1]
    bad = rs(value, 1)[:32] + signature[32:] if half == "r" else signature[:32] + rs(1, value)[32:]
    assert not both(POINT, bad, MESSAGE + b"\0")


def test_r_plus_n_is_another_signature(engine):
    """SEC 1 4.1.4 step 1: where r + n still has 32 bytes it is no second spelling of r. Nobody meets such an r by
    chance (once in 2^32), so the key is worked out from the signature: r Q = s R - e G."""
    x, y = near_the_axis()
    minus_e = public(N - digest(MESSAGE))
    q = times(pow(x, -1, N), plus((x, y), minus_e))
    point = Point(q[0].to_bytes(32, "big"), q[1].to_bytes(32, "big"))
    assert both(point, rs(x, 1), MESSAGE)
    assert not both(point, rs(x + N, 1), MESSAGE)


def near_the_axis() -> tuple[int, int]:
    """The first point with a small x."""
    squares = ((x, (x**3 - 3 * x + p256.B) % P) for x in range(2, 99))
    x, square = next(pair for pair in squares if pow(pair[1], (P - 1) // 2, P) == 1)
    return x, pow(square, (P + 1) // 4, P)


def public(scalar: int) -> tuple[int, int]:
    numbers = ec.derive_private_key(scalar, ec.SECP256R1()).public_key().public_numbers()
    return numbers.x, numbers.y


def plus(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    (x, y), (u, v) = one, other
    slope = (3 * x * x - 3) * pow(2 * y, -1, P) if one == other else (v - y) * pow(u - x, -1, P)
    across = (slope * slope - x - u) % P
    return across, (slope * (x - across) - y) % P


def times(scalar: int, point: tuple[int, int]) -> tuple[int, int]:
    sum_ = point
    for bit in bin(scalar)[3:]:
        sum_ = plus(sum_, sum_)
        if bit == "1":
            sum_ = plus(sum_, point)
    return sum_


def x_of(scalar: int) -> int:
    return public(scalar)[0] % N


def test_both_of_s_and_n_minus_s_fit(engine):
    """ECDSA has two values of s for every signature, and JOSE and COSE forbid neither."""
    _, signature, message = genuine(1)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    assert both(POINT, rs(r, s), message) and both(POINT, rs(r, N - s), message)


def test_one_changed_bit_anywhere_does_not_fit(engine):
    point, signature, message = genuine(2)
    whole = signature + message
    for bit in range(0, len(whole) * 8, 3):
        bent = bytearray(whole)
        bent[bit // 8] ^= 1 << bit % 8
        assert not both(point, bytes(bent[:64]), bytes(bent[64:])), bit


@pytest.mark.parametrize("length", [0, 1, 32, 63, 65, 70, 72, 128])
def test_a_signature_has_64_bytes(engine, length):
    signature = p256.signing(KEY)(MESSAGE)
    assert not both(POINT, (signature * 2)[:length], MESSAGE)


def test_der_is_not_read_where_64_bytes_are_due(engine):
    assert not both(POINT, KEY.sign(MESSAGE, ec.ECDSA(p256.hashes.SHA256())), MESSAGE)


def test_another_key_does_not_fit(engine):
    other = Point.of(ec.derive_private_key(2, ec.SECP256R1()).public_key())
    assert not both(other, p256.signing(KEY)(MESSAGE), MESSAGE)
    negative = Point(POINT.x, (P - int.from_bytes(POINT.y, "big")).to_bytes(32, "big"))
    assert not both(negative, p256.signing(KEY)(MESSAGE), MESSAGE)


@pytest.mark.parametrize("nonce", [1, 2, 3, 0xBEEF, N - 1])
def test_the_curves_own_corners_are_computed_right(engine, nonce):
    """u1 G and u2 Q are the same point (a doubling), or each other's negative (the sum is infinity, which never fits):
    where formulas for adding points go wrong."""
    e, r = digest(MESSAGE), x_of(nonce)
    doubling = e * pow(r, -1, N) % N  # then r d = e, so u1 = u2 d
    point = Point.of(ec.derive_private_key(doubling, ec.SECP256R1()).public_key())
    assert both(point, rs(r, 2 * e * pow(nonce, -1, N) % N), MESSAGE)
    opposite = Point.of(ec.derive_private_key(N - doubling, ec.SECP256R1()).public_key())
    for s in (1, 2, e % N, N - 1):
        assert not both(opposite, rs(r, s), MESSAGE)


@pytest.mark.parametrize("private", [1, 2, 3, N - 1, N - 2, (N - 1) // 2])
def test_keys_near_the_generator_are_computed_right(engine, private):
    key = ec.derive_private_key(private, ec.SECP256R1())
    point = Point.of(key.public_key())
    for at in range(20):
        message = MESSAGE + bytes([at])
        assert both(point, p256.signing(key)(message), message)
        assert not both(point, p256.signing(key)(message), MESSAGE)


@given(st.data())
def test_engines_agree_on_whatever_is_handed_in(data: st.DataObject) -> None:
    """Differential: genuine, bent and made-up signatures, each engine against OpenSSL's word."""
    message = data.draw(st.binary(max_size=40))
    key = ec.derive_private_key(data.draw(st.integers(1, N - 1)), ec.SECP256R1())
    signature = p256.signing(key)(message)
    kind = data.draw(st.sampled_from(["genuine", "other message", "bent", "made up"]))
    if kind == "other message":
        message += b"!"
    elif kind == "bent":
        at = data.draw(st.integers(0, 63))
        signature = signature[:at] + bytes([signature[at] ^ data.draw(st.integers(1, 255))]) + signature[at + 1 :]
    elif kind == "made up":
        signature = data.draw(st.binary(min_size=64, max_size=64))
    said = {}
    try:
        for choice in ENGINES:
            try:
                p256.use(*choice)
            except Refused as refused:
                assert choice[1], refused.detail
                continue
            said[choice] = both(PublicKey.of(key.public_key()), signature, message)
    finally:
        p256.use()
    assert len(said) >= 2 and set(said.values()) == {kind == "genuine"}


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 8, 9, 16, 21])
def test_a_forged_lane_is_found_and_only_it_is_refused(engine, size):
    """However many arrive together, and wherever the forgery stands."""
    checks = [genuine(at) for at in range(size)]
    assert p256.fit(checks) == [True] * size
    for forged in range(size):
        bad = list(checks)
        bad[forged] = (checks[forged][0], checks[forged][1], b"something else")
        assert p256.fit(bad) == [at != forged for at in range(size)]
        bad[forged] = (checks[forged][0], b"short", checks[forged][2])
        assert p256.fit(bad) == [at != forged for at in range(size)]


def test_together_believes_for_its_own_thread_only_and_ends():
    """What is written down is decided later; meanwhile everybody else verifies as always."""
    said: list[bool] = []
    with p256.together() as pile:
        assert POINT.fits(rs(1, 1), MESSAGE)
        assert not POINT.fits(rs(0, 1), MESSAGE)  # no signature by its form: nothing to decide later
        other = threading.Thread(target=lambda: said.append(POINT.fits(rs(1, 1), MESSAGE)))
        other.start()
        other.join()
    assert pile == [(POINT, rs(1, 1), MESSAGE)] and p256.fit(pile) == [False]
    assert said == [False] and not POINT.fits(rs(1, 1), MESSAGE)
    with pytest.raises(ZeroDivisionError), p256.together():
        raise ZeroDivisionError
    assert not POINT.fits(rs(1, 1), MESSAGE)


# --- keys at the door -------------------------------------------------------------------------------------------------


def test_a_point_off_the_curve_is_refused_when_it_is_made():
    """SEC 1 3.2.2.1: without this an engine could be led onto a weaker curve."""
    for x, y in [
        (POINT.x, POINT.y[:-1] + bytes([POINT.y[-1] ^ 1])),
        (POINT.y, POINT.x),
        (bytes(32), bytes(32)),
        (bytes(32), POINT.y),
        (b"\xff" * 32, b"\xff" * 32),
    ]:
        with refuses(Code.MALFORMED, "not a point on P-256"):
            Point(x, y)
        with refuses(Code.MALFORMED, "not a point on P-256"):
            PublicKey.from_point(b"\x04" + x + y)


def test_a_coordinate_is_below_p():
    """A point with a small x has a second spelling, x + p, that fits in 32 bytes and satisfies the equation mod p."""
    x, y = near_the_axis()
    Point(x.to_bytes(32, "big"), y.to_bytes(32, "big"))
    with refuses(Code.MALFORMED, "not a point on P-256"):
        Point((x + P).to_bytes(32, "big"), y.to_bytes(32, "big"))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_coordinate_is_32_bytes(length):
    with refuses(Code.MALFORMED, "a coordinate is not 32 bytes"):
        Point(bytes(length), POINT.y)
    with refuses(Code.MALFORMED, "a coordinate is not 32 bytes"):
        Point(POINT.x, bytes(length))


@pytest.mark.parametrize("point", [b"", b"\0", b"\0" * 65, b"\x02" + b"\xff" * 32, b"\x05" + POINT.x, b"\x06" * 65])
def test_infinity_and_other_encodings_are_no_keys(point):
    """SEC 1 2.3.4: one zero octet is the point at infinity; hybrid forms begin with 6 and 7."""
    with refuses(Code.MALFORMED, "not a point on P-256"):
        PublicKey.from_point(point)


def test_a_compressed_point_is_the_same_key():
    sign = b"\x03" if POINT.y[-1] & 1 else b"\x02"
    assert PublicKey.from_point(sign + POINT.x) == POINT
    assert PublicKey.from_point(b"\x04" + POINT.x + POINT.y).crypto == KEY.public_key()


def test_a_key_of_another_curve_is_refused():
    with refuses(Code.UNSUPPORTED, "not on P-256"):
        Point.of(ec.derive_private_key(7, ec.SECP384R1()).public_key())


# --- choosing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", [("openssl", ""), ("", ""), ("awslc", "sixteen")])
def test_an_engine_that_does_not_exist_stops_the_start(choice):
    before = p256.in_use()
    with refuses(Code.BAD_CONFIG, "engine"):
        p256.use(*choice)
    assert p256.in_use() == before


async def test_a_house_uses_the_engine_its_settings_name_or_does_not_open(tmp_path):
    from mapae.app import open_house

    with refuses(Code.BAD_CONFIG, "there is no engine quantum"):
        await open_house(Settings(data=str(tmp_path), engine="quantum"))
    try:
        house = await open_house(Settings(data=str(tmp_path), engine="awslc", roles=("trust",)))
        await house.close()
        assert p256.in_use() == ("awslc", "")
    finally:
        p256.use()


def test_a_signer_signs_by_the_engine_in_use(engine):
    signer = Signer(KEY)
    assert POINT.fits(signer.sign(MESSAGE), MESSAGE)


def test_a_loaded_key_is_loaded_again_for_another_engine():
    point, signature, message = genuine(3)
    try:
        for choice in ("cryptography", "awslc", "cryptography"):
            p256.use(choice)
            assert point.fits(signature, message) and not point.fits(signature, message + b"!")
    finally:
        p256.use()
