"""Encrypted responses: ECDH-ES on P-256, AES-GCM, nothing else."""

from __future__ import annotations

import json

import pytest

from hands import Hand, public_vectors, refuses
from mapae.clock import SeededDice
from mapae.errors import Code
from mapae.formats import jose, jwe

PRIVATE = jwe.private_jwk(SeededDice("jwe").bytes(48), "k1")
PUBLIC = jwe.public_jwk(PRIVATE)


@pytest.mark.parametrize("enc", ["A128GCM", "A256GCM"])
def test_an_encrypted_response_opens(enc):
    token = jwe.encrypt(b'{"vp_token":{}}', PUBLIC, enc=enc, apu=b"u", apv=b"v")
    opened = jwe.decrypt(token, PRIVATE)
    assert opened.claims() == {"vp_token": {}}
    assert (opened.header["kid"], opened.header["enc"]) == ("k1", enc)
    assert jwe.jwe_header(token) == opened.header


def test_a_large_portrait_fits():
    payload = b'"' + b"x" * 150_000 + b'"'
    assert jwe.decrypt(jwe.encrypt(payload, PUBLIC), PRIVATE).payload == payload


def test_the_example_of_openid4vp_8_3_opens():
    vector = json.loads(public_vectors("openid4vp/encrypted-response.json").read_text())
    opened = jwe.decrypt(vector["jwe"], vector["private_jwk"])
    assert opened.claims() == vector["expected_payload_shape"]
    assert vector["expected_header"].items() <= opened.header.items()


def test_the_public_half_has_no_secret():
    assert "d" in PRIVATE
    assert "d" not in PUBLIC
    assert jose.PublicKey.from_jwk(PUBLIC).jwk == {name: PUBLIC[name] for name in ("kty", "crv", "x", "y")}


def _with_header(**change: object) -> str:
    head, *rest = jwe.encrypt(b"{}", PUBLIC).split(".")
    header = json.loads(jose.unb64u(head)) | change
    return ".".join([jose.b64u(json.dumps(header).encode()), *rest])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"alg": "ECDH-ES+A128KW"}, Code.UNSUPPORTED),
        ({"alg": "dir"}, Code.UNSUPPORTED),
        ({"alg": "RSA-OAEP"}, Code.UNSUPPORTED),
        ({"enc": "A128CBC-HS256"}, Code.UNSUPPORTED),
        ({"zip": "DEF"}, Code.UNSUPPORTED),
        ({"crit": ["exp"]}, Code.UNSUPPORTED),
        ({"epk": None}, Code.MALFORMED),
        ({"epk": PUBLIC | {"y": "A" * 43}}, Code.MALFORMED),
        ({"epk": PUBLIC | {"crv": "P-384"}}, Code.UNSUPPORTED),
        ({"epk": Hand("another").jwk}, Code.MALFORMED),
        ({"kid": "k2"}, Code.MALFORMED),
        ({"apu": 7}, Code.MALFORMED),
    ],
)
def test_a_header_outside_the_profile_is_refused(change, code):
    with refuses(code):
        jwe.decrypt(_with_header(**change), PRIVATE)


def test_a_message_for_another_key_or_cut_or_bent_is_refused():
    token = jwe.encrypt(b"{}", PUBLIC)
    with refuses(Code.MALFORMED, "decrypted"):
        jwe.decrypt(token, jwe.private_jwk(bytes(48), "k1"))
    head, key, iv, text, tag = token.split(".")
    for bent in (
        [head, key, iv, text, jose.b64u(bytes(16))],
        [head, key, iv, text, jose.b64u(bytes(12))],
        [head, "AAAA", iv, text, tag],
        [head, key, "", text, tag],
        [head, key, iv, "A", tag],
        [head, key, iv, text],
    ):
        with refuses(Code.MALFORMED):
            jwe.decrypt(".".join(bent), PRIVATE)
    with refuses(Code.TOO_LARGE):
        jwe.decrypt("x" * 300_000, PRIVATE)


def test_only_keys_and_ciphers_of_the_profile_encrypt():
    for recipient, enc in [
        (PUBLIC, "A128CBC-HS256"),
        (PUBLIC | {"use": "sig"}, "A256GCM"),
        (PUBLIC | {"alg": "x"}, "A256GCM"),
    ]:
        with refuses(Code.UNSUPPORTED):
            jwe.encrypt(b"{}", recipient, enc=enc)
    with refuses(Code.MALFORMED, "48 random bytes"):
        jwe.private_jwk(bytes(32), "k")
