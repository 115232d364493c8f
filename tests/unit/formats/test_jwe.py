"""Encrypted responses: ECDH-ES on P-256, AES-GCM, nothing else."""

from __future__ import annotations

import json
import zlib

import pytest
from joserfc import jwe as peer
from joserfc.jwe import JWERegistry
from joserfc.jwk import ECKey

from hands import Hand, public_vectors, refuses
from mapae.clock import SeededDice
from mapae.errors import Code
from mapae.formats import jose, jwe

PRIVATE = jwe.private_jwk(SeededDice("jwe").bytes(48), "k1")
PUBLIC = jwe.public_jwk(PRIVATE)
KEY = jwe.DecryptionKey.from_jwk(PRIVATE)


@pytest.mark.parametrize("enc", ["A128GCM", "A256GCM"])
def test_an_encrypted_response_opens(enc):
    token = jwe.encrypt(b'{"vp_token":{}}', PUBLIC, enc=enc, apu=b"u", apv=b"v")
    opened = jwe.decrypt(token, KEY)
    assert opened.claims() == {"vp_token": {}}
    assert (opened.header["kid"], opened.header["enc"]) == ("k1", enc)


def test_a_large_portrait_fits():
    payload = b'"' + b"x" * 150_000 + b'"'
    assert jwe.decrypt(jwe.encrypt(payload, PUBLIC), KEY).payload == payload


def test_the_example_of_openid4vp_8_3_opens():
    vector = json.loads(public_vectors("openid4vp/encrypted-response.json").read_text())
    opened = jwe.decrypt(vector["jwe"], jwe.DecryptionKey.from_jwk(vector["private_jwk"]))
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
        jwe.decrypt(_with_header(**change), KEY)


def test_a_message_for_another_key_or_cut_or_bent_is_refused():
    token = jwe.encrypt(b"{}", PUBLIC)
    with refuses(Code.MALFORMED, "decrypted"):
        jwe.decrypt(token, jwe.DecryptionKey.from_jwk(jwe.private_jwk(bytes(48), "k1")))
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
            jwe.decrypt(".".join(bent), KEY)
    with refuses(Code.TOO_LARGE):
        jwe.decrypt("x" * 300_000, KEY)


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


@pytest.mark.parametrize(
    "change",
    [
        {"d": None},
        {"d": "A" * 43},
        {"d": PRIVATE["d"][:-2]},
        {"d": jose.b64u(b"\xff" * 32)},
        {"d": jwe.private_jwk(bytes(48), "k")["d"]},
        {"kid": 7},
    ],
)
def test_half_a_key_or_two_halves_of_two_is_no_key(change):
    with refuses(Code.MALFORMED):
        jwe.DecryptionKey.from_jwk(PRIVATE | change)


def test_the_message_says_which_of_several_keys_opens_it():
    """OpenID4VCI 1.0 12.2.4: each key of the issuer has a kid; section 10 and OpenID4VP 1.0 8.3: the JWE names it."""
    other = jwe.private_jwk(SeededDice("other").bytes(48), "k2")
    keys = [KEY, jwe.DecryptionKey.from_jwk(other)]
    for jwk in (PRIVATE, other):
        assert jwe.decrypt(jwe.encrypt(b"{}", jwe.public_jwk(jwk)), keys).header["kid"] == jwk["kid"]
    unnamed = {name: value for name, value in PUBLIC.items() if name != "kid"}
    stranger = jwe.public_jwk(jwe.private_jwk(bytes(48), "k3"))
    for recipient, ours in [(unnamed, keys), (unnamed, KEY), (stranger, keys), (PUBLIC, [])]:
        with refuses(Code.MALFORMED, "name a key of ours"):
            jwe.decrypt(jwe.encrypt(b"{}", recipient), ours)
    nameless = jwe.DecryptionKey.from_jwk({name: value for name, value in PRIVATE.items() if name != "kid"})
    assert jwe.decrypt(jwe.encrypt(b"{}", unnamed), nameless).payload == b"{}"


def test_compression_is_taken_where_it_is_allowed_and_is_bounded():
    """OpenID4VCI 1.0 10 with RFC 7516 4.1.3: raw DEFLATE before encryption. Nowhere else, and never a bomb."""
    payload = b'{"credentials":[]}' * 1000
    token = jwe.encrypt(payload, PUBLIC, deflate=True)
    assert len(token) < 1000
    assert jwe.decrypt(token, KEY, inflate=True).payload == payload
    with refuses(Code.UNSUPPORTED, "zip"):
        jwe.decrypt(token, KEY)
    assert jwe.decrypt(jwe.encrypt(b"{}", PUBLIC), KEY, inflate=True).payload == b"{}"
    bomb = jwe.encrypt(bytes(jwe.MAX_JWE + 1), PUBLIC, deflate=True)
    with refuses(Code.TOO_LARGE, "compressed"):
        jwe.decrypt(bomb, KEY, inflate=True)
    assert len(jwe.decrypt(jwe.encrypt(bytes(jwe.MAX_JWE), PUBLIC, deflate=True), KEY, inflate=True).payload)


def _peer_encrypts(payload: bytes, **header: str) -> str:
    key = ECKey.import_key({name: PUBLIC[name] for name in ("kty", "crv", "x", "y")})
    registry = JWERegistry(algorithms=["ECDH-ES", "A128GCM", "A256GCM", "DEF"])
    return peer.encrypt_compact({"alg": "ECDH-ES", "kid": "k1", **header}, payload, key, registry=registry)


@pytest.mark.parametrize("enc", ["A128GCM", "A256GCM"])
@pytest.mark.parametrize("more", [{}, {"apu": "QWxpY2U", "apv": "Qm9i"}, {"zip": "DEF"}])
def test_joserfc_and_we_open_each_others_messages(enc, more):
    opened = jwe.decrypt(_peer_encrypts(b'{"a":1}', enc=enc, **more), KEY, inflate=True)
    assert opened.claims() == {"a": 1}
    options = {name: jose.unb64u(value) for name, value in more.items() if name != "zip"}
    token = jwe.encrypt(b'{"b":2}', PUBLIC, enc=enc, deflate="zip" in more, **options)
    private = ECKey.import_key({name: PRIVATE[name] for name in ("kty", "crv", "x", "y", "d")})
    registry = JWERegistry(algorithms=["ECDH-ES", "A128GCM", "A256GCM", "DEF"])
    assert peer.decrypt_compact(token, private, registry=registry).plaintext == b'{"b":2}'


def test_what_was_compressed_may_not_be_cut_or_go_on():
    whole = zlib.compress(b"x" * 100, wbits=-15)
    for bent in (whole[:-1], whole + b"y", b"\xff\xff", b""):
        with refuses(Code.MALFORMED, "compressed"):
            jwe._inflated(bent, 1000)


def test_the_key_derivation_is_that_of_rfc_7518_c():
    """The example of RFC 7518 appendix C, whose shared secret and derived key are printed there."""
    z = bytes.fromhex("9e56d91d817135d372834283bf84269cfb316ea3da806a48f6daa7798cfe90c4")
    assert jose.b64u(jwe._derive(z, "A128GCM", b"Alice", b"Bob")) == "VqqN6vgjbSBcIijNcacQGg"


def test_the_parties_named_in_the_header_are_part_of_the_key():
    """RFC 7518 4.6.1.2: apu and apv enter the derivation, so a message re-labelled is not read."""
    token = jwe.encrypt(b"{}", PUBLIC, apu=b"wallet", apv=b"nonce")
    head, *rest = token.split(".")
    header = json.loads(jose.unb64u(head)) | {"apv": jose.b64u(b"other")}
    with refuses(Code.MALFORMED, "decrypted"):
        jwe.decrypt(".".join([jose.b64u(json.dumps(header).encode()), *rest]), KEY)
