"""Keys and signatures on the curves of ISO/IEC 18013-5 Table 22 beside P-256."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from elsewhere import ALGORITHMS, FULLY_SPECIFIED, Writer
from hands import refuses
from mapae.errors import Code, Refused
from mapae.formats import brainpool320, cbor, cose
from mapae.formats.cose import Sign1
from mapae.formats.curves import CURVES, AnySign1, CurveEphemeralKey, CurveKey, key_from_cose, key_from_crypto
from mapae.formats.jose import PublicKey
from mapae.formats.proximity import EphemeralKey

SIGNING = list(ALGORITHMS)
OTHERS = SIGNING[1:]
BY_NAME = {curve.name: curve for curve in CURVES}


def signed(writer: Writer, algorithm: int | None = None) -> AnySign1:
    protected, signature = writer.sign1(b"content", algorithm)
    return AnySign1.parse([protected, {}, b"content", signature])


@pytest.mark.parametrize("curve", SIGNING)
def test_each_curve_signs_by_its_algorithm_under_both_of_its_names(curve: str) -> None:
    """ISO/IEC 18013-5 9.1.2.4; RFC 9864 2 for the second name."""
    writer = Writer(curve, "w")
    for algorithm in (ALGORITHMS[curve], FULLY_SPECIFIED[curve]):
        signed(writer, algorithm).verify(writer.public)
    with refuses(Code.BAD_SIGNATURE, "does not fit"):
        signed(writer).verify(Writer(curve, "another").public)


@pytest.mark.parametrize("curve", SIGNING)
def test_no_key_takes_another_algorithm_or_another_curves_name(curve: str) -> None:
    """The curve says the algorithm; a header that says another is refused before anything is computed."""
    writer = Writer(curve, "w")
    mine = {ALGORITHMS[curve], FULLY_SPECIFIED[curve]}
    for algorithm in {*ALGORITHMS.values(), *FULLY_SPECIFIED.values()} - mine:
        with refuses(Code.BAD_SIGNATURE, "not the one of the key's curve"):
            signed(writer, algorithm).verify(writer.public)


@pytest.mark.parametrize("algorithm", [5, -37, -257, -269, -47, -25, 0, "ES384", -35.0, True, None])
def test_macs_rsa_and_what_no_key_here_signs_with_are_refused(algorithm: object) -> None:
    with refuses(Code.UNSUPPORTED):
        AnySign1.parse([cbor.dumps({1: algorithm}), {}, b"x", b""])


def test_a_wide_signature_has_the_same_form_as_a_narrow_one() -> None:
    protected, signature = Writer("secp384r1", "w").sign1(b"x")
    for spoilt in ([protected, {1: -35}, b"x", signature], [protected, {2: [1]}, b"x", signature]):
        with refuses(Code.MALFORMED):
            AnySign1.parse(spoilt)
    with refuses(Code.UNSUPPORTED):
        AnySign1.parse([cbor.dumps({1: -35, 2: [1]}), {}, b"x", signature])


@pytest.mark.parametrize("curve", OTHERS)
def test_who_reads_es256_alone_reads_none_of_them(curve: str) -> None:
    writer = Writer(curve, "w")
    protected, signature = writer.sign1(b"x")
    if writer.algorithm != cose.ES256:
        with refuses(Code.UNSUPPORTED, "only ES256"):
            Sign1.parse([protected, {}, b"x", signature])
    for name in (cose.ES256, cose.ESP256):  # brainpoolP256r1 under the name that is also P-256's
        protected, signature = writer.sign1(b"x", name)
        with refuses(Code.BAD_SIGNATURE, "not the one of the key's curve"):
            Sign1.parse([protected, {}, b"x", signature]).verify(writer.public)
    with refuses(Code.UNSUPPORTED):
        cose.key_from_cose(writer.cose)


@pytest.mark.parametrize("curve", OTHERS)
def test_a_signature_that_is_short_long_zero_or_of_another_hash_is_refused(curve: str) -> None:
    writer = Writer(curve, "w")
    good = writer.sign(b"m")
    assert isinstance(writer.public, CurveKey) and len(good) == BY_NAME[curve].signature
    writer.public.verify(good, b"m")
    for spoilt in (b"", good[:-1], good + b"\0", good[: len(good) // 2]):
        with refuses(Code.BAD_SIGNATURE, "bytes"):
            writer.public.verify(spoilt, b"m")
    flipped = bytes((good[0] ^ 1,)) + good[1:]
    for spoilt in (bytes(len(good)), b"\xff" * len(good), flipped):
        with refuses(Code.BAD_SIGNATURE, "does not fit"):
            writer.public.verify(spoilt, b"m")
    if writer.public.curve.hash is not None:
        other = hashes.SHA224()
        with refuses(Code.BAD_SIGNATURE, "does not fit"):
            writer.public.verify(writer.sign(b"m", other), b"m")


@pytest.mark.parametrize("curve", [one for one in OTHERS if one not in ("Ed25519", "Ed448")])
def test_the_other_s_of_an_ecdsa_signature_fits_as_well(curve: str) -> None:
    """SEC 1 4.1.4 knows no low s; nothing here is told apart by its signature."""
    writer = Writer(curve, "w")
    assert isinstance(writer.public, CurveKey)
    weierstrass, size = writer.public.curve.weierstrass, writer.public.curve.size
    order = brainpool320.N if weierstrass is None else weierstrass.group_order
    good = writer.sign(b"m")
    other = order - int.from_bytes(good[size:], "big")
    writer.public.verify(good[:size] + other.to_bytes(size, "big"), b"m")
    for s in (0, order):
        with refuses(Code.BAD_SIGNATURE):
            writer.public.verify(good[:size] + s.to_bytes(size, "big"), b"m")


def test_an_ed25519_signature_with_s_beyond_the_order_is_refused() -> None:
    """RFC 8032 5.1.7: otherwise there would be a second signature for everybody who saw one."""
    writer = Writer("Ed25519", "w")
    good = writer.sign(b"m")
    order = 2**252 + 27742317777372353535851937790883648493
    beyond = int.from_bytes(good[32:], "little") + order
    with refuses(Code.BAD_SIGNATURE):
        writer.public.verify(good[:32] + beyond.to_bytes(32, "little"), b"m")


# The points of small order: RFC 7748's list in Edwards form, with sign bits and coordinates past p.
_P = 2**255 - 19
_Y8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
SMALL = {
    f"{name}{'-' if sign else ''}": (y | sign << 255).to_bytes(32, "little")
    for name, y in (("0", 0), ("1", 1), ("p-1", _P - 1), ("p", _P), ("p+1", _P + 1), ("y8", _Y8), ("p-y8", _P - _Y8))
    for sign in (0, 1)
}


@pytest.mark.parametrize("name", list(SMALL))
def test_an_ed25519_key_of_small_order_signs_for_everybody_and_is_none(name: str) -> None:
    with refuses(Code.MALFORMED, "not a point"):
        CurveKey(BY_NAME["Ed25519"], SMALL[name])


@pytest.mark.parametrize("y", [0, 1, 2**448 - 2**224 - 2, 2**448 - 2**224 - 1, 2**448], ids=["0", "1", "p-1", "p", "+"])
def test_an_ed448_key_of_small_order_is_none(y: int) -> None:
    for sign in (0, 0x80):
        raw = bytearray(y.to_bytes(57, "little"))
        raw[56] |= sign
        with refuses(Code.MALFORMED, "not a point"):
            CurveKey(BY_NAME["Ed448"], bytes(raw))


def test_half_of_all_bytes_are_no_point_of_an_edwards_curve() -> None:
    """RFC 8032 5.1.3 step 3, 5.2.3 step 3: the library would find out at the first signature only."""
    for name in ("Ed25519", "Ed448"):
        curve, none = BY_NAME[name], 0
        for number in range(2, 34):
            try:
                CurveKey(curve, number.to_bytes(curve.size, "little"))
            except Refused:
                none += 1
        assert 6 < none < 26


@pytest.mark.parametrize("curve", SIGNING)
def test_a_key_goes_there_and_back(curve: str) -> None:
    writer = Writer(curve, "w")
    assert key_from_cose(cbor.loads(cbor.dumps(writer.cose))) == writer.public
    assert key_from_cose(writer.cose | {3: ALGORITHMS[curve], 2: b"kid"}) == writer.public
    if -3 in writer.cose:
        assert key_from_cose(writer.cose | {-3: bool(writer.cose[-3][-1] & 1)}) == writer.public
    assert writer.public != Writer(curve, "v").public and len({writer.public, Writer(curve, "w").public}) == 1


@pytest.mark.parametrize("curve", OTHERS)
def test_a_key_outside_its_curve_is_refused(curve: str) -> None:
    good = Writer(curve, "w").cose
    for change in ({-4: b"d"}, {-2: good[-2][1:]}, {-2: good[-2] + b"\0"}, {-2: "x"}, {1.5: 1}, {-3: 1}, {-3: "y"}):
        with refuses(Code.MALFORMED):
            key_from_cose(good | change)
    for change in (
        {1: 4},
        {1: 1 if good[1] == 2 else 2},
        {1: float(good[1])},
        {-1: 260},
        {-1: 8},
        {-1: True},
        {3: -37},
    ):
        with refuses(Code.UNSUPPORTED):
            key_from_cose(good | change)
    if -3 in good:
        for change in ({-3: bytes(len(good[-3]))}, {-2: b"\xff" * len(good[-2])}, {-3: good[-3][1:]}):
            with refuses(Code.MALFORMED):
                key_from_cose(good | change)
        with refuses(Code.MALFORMED):
            key_from_cose({label: value for label, value in good.items() if label != -3})
    else:
        with refuses(Code.MALFORMED):
            key_from_cose(good | {-3: bytes(32)})
    for none in (None, [], b""):
        with refuses(Code.MALFORMED):
            key_from_cose(none)


def test_a_point_of_one_curve_is_none_of_another_of_the_same_size() -> None:
    for one, other in (("secp384r1", "brainpoolP384r1"), ("brainpoolP384r1", "secp384r1")):
        with refuses(Code.MALFORMED, "not a point"):
            key_from_cose(Writer(one, "w").cose | {-1: BY_NAME[other].number})
    with refuses(Code.MALFORMED, "not a point"):
        key_from_cose(Writer("secp256r1", "w").cose | {-1: 256})


def test_keys_of_other_kinds_in_a_certificate_are_refused() -> None:
    for key in (rsa.generate_private_key(65537, 1024), ec.derive_private_key(5, ec.SECP256K1())):
        with refuses(Code.UNSUPPORTED):
            key_from_crypto(key.public_key())


AGREEING = [curve for curve in CURVES if curve.name not in ("Ed25519", "Ed448", "brainpoolP320r1")]


@pytest.mark.parametrize("curve", AGREEING, ids=lambda curve: curve.name)
def test_two_keys_on_one_curve_agree_and_on_two_curves_do_not(curve) -> None:
    one, other = CurveEphemeralKey(curve, bytes(48)), CurveEphemeralKey(curve, b"\1" * 48)
    assert one.agree(other.public) == other.agree(one.public) and len(one.agree(other.public)) == curve.size
    assert key_from_cose(cbor.loads(one.cose)) == one.public
    stranger = EphemeralKey(bytes(48))
    with refuses(Code.UNSUPPORTED, "different curves"):
        one.agree(stranger.public)
    with refuses(Code.UNSUPPORTED, "different curves"):
        stranger.agree(one.public)
    with refuses(Code.MALFORMED):
        CurveEphemeralKey(curve, bytes(47))


def test_keys_that_sign_do_not_agree_and_keys_that_agree_do_not_sign() -> None:
    for name in ("Ed25519", "Ed448"):
        with refuses(Code.UNSUPPORTED, "do not agree"):
            CurveEphemeralKey(BY_NAME[name], bytes(48))
    with refuses(Code.UNSUPPORTED, "no session or MAC"):
        CurveEphemeralKey(BY_NAME["brainpoolP320r1"], bytes(48))
    for name in ("X25519", "X448"):
        own = CurveEphemeralKey(BY_NAME[name], bytes(48))
        with refuses(Code.BAD_SIGNATURE, "does not sign"):
            own.public.verify(bytes(64), b"m")
        with refuses(Code.MALFORMED, "no secret"):  # RFC 7748 6.1: a point of small order
            own.agree(CurveKey(BY_NAME[name], bytes(BY_NAME[name].size)))


def test_the_narrow_key_of_this_country_is_the_one_it_always_was() -> None:
    assert type(Writer("secp256r1", "w").public) is PublicKey
    assert cose.ES256_ONLY.sign1 == Sign1.parse and list(cose.ES256_ONLY.digests) == ["SHA-256"]
