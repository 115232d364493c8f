"""Strict base64url and JSON, P-256 keys, ES256 JWS."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hands import NOW, Hand, public_vectors, refuses
from mapae.errors import Code
from mapae.formats import jose, x509
from mapae.formats.jose import Jws, PublicKey

ISSUER = Hand("issuer")


@pytest.mark.parametrize("text", ["QQ==", "QQ=", "QR", "QUJ", "Q Q", "QQ\n", "+/", "Q", "é", "-_=="])
def test_base64url_has_one_spelling(text):
    with refuses(Code.MALFORMED, "base64url"):
        jose.unb64u(text)


@pytest.mark.parametrize("raw", [b"", b"A", b"AB", b"ABC", b"\xfb\xff\xfe" * 50])
def test_base64url_goes_there_and_back(raw):
    assert jose.unb64u(jose.b64u(raw)) == raw


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b'{"a":1,"a":1}', Code.MALFORMED),
        (b'{"a":1,"\\u0061":1}', Code.MALFORMED),
        (b'{"a":{"b":1,"b":2}}', Code.MALFORMED),
        (b'[{"a":1}]', Code.MALFORMED),
        (b'{"a":NaN}', Code.MALFORMED),
        (b'{"a":"\\ud800"}', Code.MALFORMED),
        (b'{"a":"\xff"}', Code.MALFORMED),
        (b"\xef\xbb\xbf{}", Code.MALFORMED),
        (b"{}x", Code.MALFORMED),
        (b"", Code.MALFORMED),
        (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", Code.TOO_LARGE),
        (b'{"a":"' + b"x" * 70_000 + b'"}', Code.TOO_LARGE),
    ],
)
def test_json_that_could_be_read_two_ways_is_refused(raw, code):
    with refuses(code):
        jose.decode_json(raw)


def test_a_colon_inside_a_string_is_not_a_second_member():
    assert jose.decode_json(b'{"u\\"r:l":"https://a:1/\\\\","b":[{"c":":"}]}') == {
        'u"r:l': "https://a:1/\\",
        "b": [{"c": ":"}],
    }


def test_a_key_thumbprint_is_that_of_rfc_7638():
    jwk = json.loads(public_vectors("openid4vp/session-transcript.json").read_text())["redirect"]["jwk"]
    assert PublicKey.from_jwk(jwk).thumbprint_raw.hex() == (
        "4283ec927ae0f208daaa2d026a814f2b22dca52cf85ffa8f3f8626c6bd669047"
    )


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"kty": "OKP"}, Code.UNSUPPORTED),
        ({"crv": "P-384"}, Code.UNSUPPORTED),
        ({"alg": "ES384"}, Code.UNSUPPORTED),
        ({"d": ISSUER.jwk["x"]}, Code.MALFORMED),
        ({"x": ISSUER.jwk["x"] + "AA"}, Code.MALFORMED),
        ({"x": 7}, Code.MALFORMED),
        ({"y": ISSUER.jwk["x"]}, Code.MALFORMED),
        ({"y": "A" * 43}, Code.MALFORMED),
    ],
)
def test_a_key_that_is_not_a_plain_p256_public_key_is_refused(change, code):
    with refuses(code):
        PublicKey.from_jwk(ISSUER.jwk | change)


def test_keys_are_equal_by_their_point_and_survive_each_form():
    key = ISSUER.key
    compressed = bytes([2 + (key.y[-1] & 1)]) + key.x
    for other in (
        PublicKey.from_jwk(ISSUER.jwk),
        PublicKey.from_point(b"\x04" + key.x + key.y),
        PublicKey.from_point(compressed),
    ):
        assert other == key
        assert hash(other) == hash(key)


def test_what_is_not_a_point_is_refused():
    for point in (b"", b"\x04" + bytes(64), b"\x05" + bytes(32), bytes(33)):
        with refuses(Code.MALFORMED, "point"):
            PublicKey.from_point(point)


def test_a_signed_token_reads_back():
    token = jose.sign_jws(ISSUER, {"typ": "a+jwt", "kid": "k1", "jwk": ISSUER.jwk}, {"iss": "x"})
    jws = Jws.parse(token, typ=("a+jwt", "b+jwt"))
    jws.verify(ISSUER.key)
    assert jws.encode() == token
    assert jws.claims() == {"iss": "x"}
    assert (jws.kid, jws.jwk) == ("k1", ISSUER.key)
    assert Jws.parse(token.encode(), typ="a+jwt") == jws


def test_another_key_or_a_changed_byte_is_refused():
    token = jose.sign_jws(ISSUER, {"typ": "a+jwt"}, {"iss": "x"})
    with refuses(Code.BAD_SIGNATURE):
        Jws.parse(token, typ="a+jwt").verify(Hand("another").key)
    head, _, signature = token.split(".")
    with refuses(Code.BAD_SIGNATURE):
        Jws.parse(f"{head}.{jose.b64u(b'{}')}.{signature}", typ="a+jwt").verify(ISSUER.key)
    for short in (b"", bytes(63), bytes(64), b"\xff" * 64):
        with refuses(Code.BAD_SIGNATURE):
            ISSUER.key.verify(short, b"message")


def _token(header: dict, payload: bytes = b"{}", signature: bytes = bytes(64)) -> str:
    return ".".join(jose.b64u(part) for part in (json.dumps(header).encode(), payload, signature))


@pytest.mark.parametrize(
    ("token", "code", "words"),
    [
        (_token({"alg": "none", "typ": "t"}), Code.UNSUPPORTED, "ES256"),
        (_token({"alg": "HS256", "typ": "t"}), Code.UNSUPPORTED, "ES256"),
        (_token({"typ": "t"}), Code.UNSUPPORTED, "ES256"),
        (_token({"alg": "ES256", "typ": "T"}), Code.MALFORMED, "type"),
        (_token({"alg": "ES256"}), Code.MALFORMED, "type"),
        (_token({"alg": "ES256", "typ": ["t"]}), Code.MALFORMED, "type"),
        (_token({"alg": "ES256", "typ": "t", "crit": ["exp"]}), Code.UNSUPPORTED, "extension"),
        (_token({"alg": "ES256", "typ": "t", "b64": False}), Code.UNSUPPORTED, "extension"),
        (_token({"alg": "ES256", "typ": "t"}) + ".", Code.MALFORMED, "three parts"),
        ("", Code.MALFORMED, "three parts"),
        ("é..", Code.MALFORMED, "foreign"),
        ("x" * 70_000, Code.TOO_LARGE, "token"),
        ("x" * 20_000 + "..", Code.TOO_LARGE, "header"),
    ],
)
def test_a_token_outside_the_profile_is_refused(token, code, words):
    with refuses(code, words):
        Jws.parse(token, typ="t")


def test_payload_types_are_checked():
    class Proof(msgspec.Struct):
        aud: str

    jws = Jws.parse(_token({"alg": "ES256", "typ": "t"}, b'{"aud":"x"}'), typ="t")
    assert jws.typed(Proof).aud == "x"
    for payload in (b'{"aud":1}', b"{}", b'{"aud":"x","aud":"x"}', b"[]", b"\xff"):
        with refuses(Code.MALFORMED):
            Jws.parse(_token({"alg": "ES256", "typ": "t"}, payload), typ="t").typed(Proof)


@pytest.mark.parametrize("x5c", [None, [], "AA==", [1], ["AA"], ["AB=="], ["A-=="], ["AA==\n"], ["AA=="] * 5])
def test_a_certificate_chain_in_a_header_has_one_spelling(x5c):
    with refuses(Code.MALFORMED, "x5c"):
        _ = Jws.parse(_token({"alg": "ES256", "typ": "t", "x5c": x5c}), typ="t").x5c


def test_a_certificate_chain_in_a_header_reads_back():
    chain = (b"\x30\x03abc", b"\x30\x04abcd")
    token = _token({"alg": "ES256", "typ": "t", "x5c": jose.x5c_header(chain)})
    assert Jws.parse(token, typ="t").x5c == chain


def test_the_wallet_attestation_of_openid4vci_reads_and_its_self_signed_chain_does_not_pass():
    """Its signature fits the certificate in x5c; HAIP 1.0 4.4.1 would not take that certificate."""
    text = public_vectors("openid4vci/examples/wallet_attestation.jwt.txt").read_text()
    jws = Jws.parse("".join(text.split()), typ="oauth-client-attestation+jwt")
    jws.verify(x509.leaf_key(jws.x5c[0]))
    assert jws.claims()["sub"] == "https://wallet.example.com"
    with refuses(Code.BAD_CERTIFICATE, "self-signed"):
        x509.check_chain(jws.x5c, x509.Anchors([]), NOW, x509.Profile.WALLET_PROVIDER)


def test_times_are_held_against_the_clock():
    at = int(NOW.timestamp())
    jose.check_times({"exp": at + 1, "nbf": at, "iat": at}, NOW, skew=0, need=("exp",), max_age=300)
    jose.check_times({}, NOW)
    for claims, code in [
        ({"exp": at}, Code.EXPIRED),
        ({"nbf": at + 1}, Code.NOT_YET_VALID),
        ({"iat": at + 1}, Code.NOT_YET_VALID),
        ({"exp": "soon"}, Code.MALFORMED),
        ({"exp": True}, Code.MALFORMED),
        ({"exp": None}, Code.MALFORMED),
    ]:
        with refuses(code):
            jose.check_times(claims, NOW, skew=0)
    with refuses(Code.MALFORMED, "exp is missing"):
        jose.check_times({}, NOW, need=("exp",))
    with refuses(Code.MALFORMED, "iat is missing"):
        jose.check_times({}, NOW, max_age=300)
    with refuses(Code.EXPIRED, "too long ago"):
        jose.check_times({"iat": at}, NOW + timedelta(seconds=301), skew=0, max_age=300)


_WORDS = st.text(alphabet='a:" \\', max_size=3)
_VALUES = st.recursive(
    st.one_of(_WORDS.map(lambda word: ("text", word)), st.just(("number", 1))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda some: ("list", some)),
        st.lists(st.tuples(_WORDS, inner), max_size=3).map(lambda some: ("object", some)),
    ),
    max_leaves=6,
)


def _spelt(value: Any, spaces: Callable[[], str]) -> str:
    """JSON as somebody might write it: members may come twice, white space may stand where it may."""
    kind, inside = value
    match kind:
        case "text":
            return spaces() + json.dumps(inside) + spaces()
        case "list":
            return spaces() + "[" + ",".join([_spelt(one, spaces) for one in inside]) + "]" + spaces()
        case "object":
            rows = [spaces() + json.dumps(name) + spaces() + ":" + _spelt(one, spaces) for name, one in inside]
            return spaces() + "{" + ",".join(rows) + "}" + spaces()
        case _:
            return spaces() + "1" + spaces()


def _twice(value: Any) -> bool:
    kind, inside = value
    if kind == "object":
        names = [name for name, _ in inside]
        return len(set(names)) < len(names) or any(_twice(one) for _, one in inside)
    return kind == "list" and any(_twice(one) for one in inside)


@given(_VALUES, st.data())
def test_a_member_that_comes_twice_is_found_however_it_is_spelt(value: Any, data: st.DataObject) -> None:
    text = _spelt(value, lambda: data.draw(st.sampled_from(["", "", " ", "\n"])))
    if _twice(value):
        with refuses(Code.MALFORMED, "twice"):
            jose.decode_json_value(text)
    else:
        assert jose.decode_json_value(text) == json.loads(text)
