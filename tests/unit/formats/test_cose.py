"""COSE_Sign1 with ES256, and P-256 keys."""

from __future__ import annotations

import json

import pytest

from hands import Hand, public_vectors, refuses
from mapae.errors import Code
from mapae.formats import cbor, cose
from mapae.formats.cose import Sign1
from mapae.formats.jose import PublicKey

SIGNER = Hand("signer")


def signed(payload: bytes = b"content") -> list:
    return [cose.PROTECTED, {}, payload, SIGNER.sign(cose.to_be_signed(payload))]


def test_a_signature_goes_there_and_back():
    sign1 = Sign1.parse(cbor.loads(cbor.dumps(signed())))
    sign1.verify(SIGNER.key)
    assert sign1.encode() == [*signed()[:3], sign1.signature]
    with refuses(Code.BAD_SIGNATURE):
        sign1.verify(Hand("another").key)


def test_a_detached_payload_is_given_once():
    sign1 = Sign1.parse([*signed()[:2], None, SIGNER.sign(cose.to_be_signed(b"content"))])
    sign1.verify(SIGNER.key, payload=b"content")
    with refuses(Code.BAD_SIGNATURE):
        sign1.verify(SIGNER.key, payload=b"other")
    with refuses(Code.MALFORMED, "missing"):
        sign1.verify(SIGNER.key)
    with refuses(Code.MALFORMED, "twice"):
        Sign1.parse(signed()).verify(SIGNER.key, payload=b"content")


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, Code.MALFORMED),
        ([], Code.MALFORMED),
        (cbor.Tag(18, signed()), Code.MALFORMED),
        ([{}, {}, b"", b""], Code.MALFORMED),
        ([cose.PROTECTED, [], b"", b""], Code.MALFORMED),
        ([cose.PROTECTED, {}, "x", b""], Code.MALFORMED),
        ([cose.PROTECTED, {}, b"", "x"], Code.MALFORMED),
        ([b"", {}, b"", b""], Code.MALFORMED),
        ([b"\xa0", {}, b"", b""], Code.UNSUPPORTED),
        ([b"\xa0", {1: -7}, b"", b""], Code.MALFORMED),
        ([b"\xa1\x01\x38\x22", {}, b"", b""], Code.UNSUPPORTED),
        ([b"\xa1\x01\x05", {}, b"", b""], Code.UNSUPPORTED),
        ([b"\xa2\x01\x26\x02\x81\x04", {}, b"", b""], Code.UNSUPPORTED),
        ([b"\x80", {}, b"", b""], Code.UNSUPPORTED),
        ([cose.PROTECTED, {1: -7}, b"", b""], Code.MALFORMED),
        ([cose.PROTECTED, {2: [4]}, b"", b""], Code.MALFORMED),
        ([cose.PROTECTED, {1.0: 5}, b"", b""], Code.MALFORMED),
        ([cose.PROTECTED, {b"x": 5}, b"", b""], Code.MALFORMED),
        ([b"\xa2\x01\x26\x04\x41a", {4: b"b"}, b"", b""], Code.MALFORMED),
        ([b"\xa1\x01\xf9\xc7\x00", {}, b"", b""], Code.UNSUPPORTED),
    ],
)
def test_a_signature_outside_the_profile_is_refused(value, code):
    with refuses(code):
        Sign1.parse(value)


def test_a_longer_protected_header_still_says_es256():
    protected = b"\xa2\x01\x26\x04\x41a"
    Sign1.parse([protected, {}, b"x", SIGNER.sign(cose.to_be_signed(b"x", protected))]).verify(SIGNER.key)


def test_the_algorithm_that_names_its_curve_is_the_same_signature():
    """RFC 9864 2.1: ESP256 (-9) is ES256 on P-256; OpenID4VP 1.0 B.2.2 lets a verifier ask for either."""
    protected = b"\xa1\x01\x28"
    Sign1.parse([protected, {}, b"x", SIGNER.sign(cose.to_be_signed(b"x", protected))]).verify(SIGNER.key)


@pytest.mark.parametrize("chain", [(b"a",), (b"a", b"b")])
def test_a_certificate_chain_has_one_spelling(chain):
    sign1 = Sign1.parse([cose.PROTECTED, {33: cose.x5chain_value(chain)}, b"", b""])
    assert sign1.x5chain == chain


@pytest.mark.parametrize("value", [None, [], [b"a"], "a", [b"a", 1], [b"a"] * 5])
def test_any_other_certificate_chain_is_refused(value):
    with refuses(Code.MALFORMED, "x5chain"):
        _ = Sign1.parse([cose.PROTECTED, {33: value}, b"", b""]).x5chain


def test_a_key_goes_there_and_back():
    key = SIGNER.key
    assert cose.key_from_cose(cbor.loads(cbor.dumps(cose.key_to_cose(key)))) == key
    assert cose.key_bytes(key) == cbor.dumps(cose.key_to_cose(key))
    assert cose.key_from_cose({1: 2, -1: 1, -2: key.x, -3: bool(key.y[-1] & 1)}) == key


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({1: 1}, Code.UNSUPPORTED),
        ({-1: 2}, Code.UNSUPPORTED),
        ({3: -35}, Code.UNSUPPORTED),
        ({3: -7.0}, Code.UNSUPPORTED),
        ({1: 2.0}, Code.UNSUPPORTED),
        ({-1: True}, Code.UNSUPPORTED),
        ({1.5: 1}, Code.MALFORMED),
        ({-4: b"d"}, Code.MALFORMED),
        ({-2: b"short"}, Code.MALFORMED),
        ({-2: bytes(32)}, Code.MALFORMED),
        ({-3: "y"}, Code.MALFORMED),
        ({-3: 1}, Code.MALFORMED),
    ],
)
def test_a_key_outside_the_profile_is_refused(change, code):
    with refuses(code):
        cose.key_from_cose(cose.key_to_cose(SIGNER.key) | change)
    with refuses(Code.MALFORMED):
        cose.key_from_cose(b"")


@pytest.mark.parametrize("alg", [-7, -9, -25])
def test_a_key_may_say_what_it_is_for(alg):
    assert cose.key_from_cose(cose.key_to_cose(SIGNER.key) | {3: alg, 2: b"kid"}) == SIGNER.key


def test_the_signature_and_key_of_isomdl_are_read():
    definitions = json.loads(public_vectors("mdoc-foreign/isomdl-definitions.json").read_text())["definitions"]
    raw = bytes.fromhex(definitions["cose/sign1/serialized.cbor"])
    secret = int.from_bytes(bytes.fromhex(definitions["cose/sign1/secret_key"]), "big")
    from cryptography.hazmat.primitives.asymmetric import ec

    key = PublicKey.from_crypto(ec.derive_private_key(secret, ec.SECP256R1()).public_key())
    Sign1.parse(cbor.loads(raw)).verify(key)
    cose.key_from_cose(cbor.loads(bytes.fromhex(definitions["cose_key/ec_p256.cbor"])))
