"""The messages of OpenID4VP 1.0, as values."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mapae.errors import Code, Refused
from mapae.formats import jose, jwe
from mapae.formats.x509 import Anchors, Profile, check_chain, x509_hash
from mapae.verifier.asking import oid4vp
from mapae.verifier.asking.ask import Form, question
from unit.verifier.world import AUTHORITY, ENCRYPTION, NOW, country

KEY = jwe.DecryptionKey.from_jwk(ENCRYPTION)


def requested(form: Form = Form.EITHER, client_id: str = "x509_hash:shop") -> oid4vp.Requested:
    asked = question(country(), country().purposes["alcohol_tobacco"], form)
    return oid4vp.Requested(
        asked, client_id, "a-nonce", "a-state", "http://mapae.test/verifier/responses/1", jwe.public_jwk(ENCRYPTION),
        NOW, NOW + timedelta(minutes=2),
    )  # fmt: skip


def answer(payload: Any) -> dict[str, str]:
    return {"response": jwe.encrypt(msgspec.json.encode(payload), jwe.public_jwk(ENCRYPTION))}


def test_a_request_is_signed_under_an_access_anchor_that_stays_at_home() -> None:
    token = oid4vp.request_object(requested(), AUTHORITY.access_signer, (AUTHORITY.access_leaf,))
    jws = jose.Jws.parse(token, typ="oauth-authz-req+jwt")
    checked = check_chain(jws.x5c, Anchors([AUTHORITY.root]), NOW, Profile.ACCESS)
    jws.verify(checked.key)
    assert AUTHORITY.root not in jws.x5c


def test_the_client_id_is_the_hash_of_the_signing_certificate() -> None:
    assert oid4vp.client_id(AUTHORITY.access_leaf) == f"x509_hash:{x509_hash(AUTHORITY.access_leaf)}"


def test_a_request_says_what_haip_asks_for() -> None:
    token = oid4vp.request_object(requested(), AUTHORITY.access_signer, (AUTHORITY.access_leaf,))
    claims = jose.Jws.parse(token, typ="oauth-authz-req+jwt").claims()
    assert claims["response_mode"] == "direct_post.jwt"
    assert claims["response_type"] == "vp_token"
    assert "redirect_uri" not in claims
    metadata = claims["client_metadata"]
    assert set(metadata["encrypted_response_enc_values_supported"]) == {"A128GCM", "A256GCM"}
    assert metadata["vp_formats_supported"].keys() == {"dc+sd-jwt", "mso_mdoc"}
    [key] = metadata["jwks"]["keys"]
    assert (key["use"], key["alg"], key["kid"]) == ("enc", "ECDH-ES", ENCRYPTION["kid"])
    assert "d" not in key


def test_metadata_names_only_the_formats_that_are_asked() -> None:
    assert oid4vp.client_metadata(requested(Form.MDOC).question.query, None)["vp_formats_supported"].keys() == {
        "mso_mdoc"
    }


@pytest.mark.parametrize("nonce", ["", "a b", "x" * 513, "ñ", "a\x00"])
def test_a_wallet_nonce_is_printable_and_short(nonce: str) -> None:
    with pytest.raises(Refused) as refused:
        oid4vp.request_object(requested(), AUTHORITY.access_signer, (AUTHORITY.access_leaf,), nonce)
    assert refused.value.code is Code.MALFORMED


def test_an_answer_is_its_token_and_nothing_else() -> None:
    read = oid4vp.read_answer(answer({"vp_token": {"mdoc": ["abc"]}, "state": "a-state"}), KEY, state="a-state")
    assert read == oid4vp.Token({"mdoc": ["abc"]})


def test_unknown_members_of_an_answer_are_ignored() -> None:
    """OpenID4VP 1.0 section 8.1: the client must ignore unrecognized response parameters."""
    payload = {"vp_token": {"mdoc": ["abc"]}, "state": "a-state", "presentation_submission": {}}
    assert isinstance(oid4vp.read_answer(answer(payload), KEY, state="a-state"), oid4vp.Token)


def test_an_answer_under_another_requests_key_does_not_open() -> None:
    other = jwe.private_jwk(bytes(range(48)), "key-1")
    fields = {"response": jwe.encrypt(b"{}", jwe.public_jwk(other))}
    with pytest.raises(Refused) as refused:
        oid4vp.read_answer(fields, KEY, state="a-state")
    assert refused.value.step is None


def test_an_answer_that_names_another_key_is_malformed() -> None:
    renamed = {**jwe.public_jwk(ENCRYPTION), "kid": "another"}
    with pytest.raises(Refused):
        oid4vp.read_answer({"response": jwe.encrypt(b"{}", renamed)}, KEY, state="a-state")


def test_an_answer_with_a_member_twice_is_malformed() -> None:
    raw = b'{"state":"a-state","vp_token":{"mdoc":["a"]},"vp_token":{"mdoc":["b"]}}'
    fields = {"response": jwe.encrypt(raw, jwe.public_jwk(ENCRYPTION))}
    with pytest.raises(Refused) as refused:
        oid4vp.read_answer(fields, KEY, state="a-state")
    assert refused.value.code is Code.MALFORMED


def test_the_specifications_encrypted_response_opens(vectors: Path) -> None:
    """OpenID4VP 1.0 section 8.3: the example's key, header and payload."""
    example = json.loads((vectors / "openid4vp" / "encrypted-response.json").read_text())
    opened = jwe.decrypt(example["jwe"], jwe.DecryptionKey.from_jwk(example["private_jwk"]))
    assert opened.header["kid"] == example["expected_header"]["kid"]
    assert jose.decode_json(opened.payload).keys() == example["expected_payload_shape"].keys()


# --- who asks, and of which wallet ------------------------------------------------------------------------------------

NAMED = AUTHORITY.certify(Profile.ACCESS, AUTHORITY.access_signer, dns=("shop.example", "mapae.test"))


def test_a_client_may_be_known_by_a_name_its_certificate_proves() -> None:
    """Section 5.9.3, x509_san_dns: a dNSName of the leaf, and the host of response_uri."""
    assert oid4vp.client_id(NAMED, "x509_san_dns", "mapae.test") == "x509_san_dns:mapae.test"
    for leaf, host in ((NAMED, "other.example"), (NAMED, "example"), (AUTHORITY.access_leaf, "mapae.test")):
        with pytest.raises(Refused) as refused:
            oid4vp.client_id(leaf, "x509_san_dns", host)
        assert refused.value.code is Code.UNSUPPORTED


def test_a_link_says_post_only_where_it_is_meant() -> None:
    """Section 5.1: request_uri_method is get unless it is there."""
    assert (
        oid4vp.link("x509_hash:a", "https://a/b")
        == "openid4vp://?client_id=x509_hash%3Aa&request_uri=https%3A%2F%2Fa%2Fb"
    )
    assert oid4vp.link("x509_hash:a", "https://a/b", "post").endswith("&request_uri_method=post")


def made(metadata: dict[str, Any] | str, form: Form = Form.EITHER, client_id: str = "x509_hash:shop") -> str:
    text = metadata if isinstance(metadata, str) else json.dumps(metadata)
    return oid4vp.request_object(
        requested(form, client_id), AUTHORITY.access_signer, (AUTHORITY.access_leaf,), "n", text
    )  # fmt: skip


CAN = {
    "vp_formats_supported": {
        "dc+sd-jwt": {"sd-jwt_alg_values": ["ES384", "ES256"], "kb-jwt_alg_values": ["ES256"]},
        "mso_mdoc": {"issuerauth_alg_values": [-9], "deviceauth_alg_values": [-7, -65537]},
    },
    "client_id_prefixes_supported": ["redirect_uri", "x509_hash"],
    "request_object_signing_alg_values_supported": ["ES256"],
    "response_types_supported": ["vp_token"], "response_modes_supported": ["direct_post.jwt"],
    "authorization_encryption_alg_values_supported": ["ECDH-ES"],
    "authorization_encryption_enc_values_supported": ["A128GCM"], "something_new": {"x": 1},
}  # fmt: skip


@pytest.mark.parametrize("metadata", [{}, CAN, {"vp_formats_supported": {"mso_mdoc": {}}}])
def test_a_wallet_that_can_answer_is_asked_as_every_other(metadata: dict[str, Any]) -> None:
    """Section 5.10 and 10.1. HAIP 1.0 5: both ciphers are listed whatever the wallet says."""
    claims = jose.Jws.parse(made(metadata), typ="oauth-authz-req+jwt").claims()
    assert claims["dcql_query"] == requested().question.dcql
    assert claims["client_metadata"]["encrypted_response_enc_values_supported"] == ["A256GCM", "A128GCM"]
    assert claims["wallet_nonce"] == "n"


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ({"client_id_prefixes_supported": ["x509_san_dns"]}, Code.UNSUPPORTED),
        ({"request_object_signing_alg_values_supported": ["ES384"]}, Code.UNSUPPORTED),
        ({"response_types_supported": ["code"]}, Code.UNSUPPORTED),
        ({"response_modes_supported": ["fragment", "direct_post"]}, Code.UNSUPPORTED),
        ({"authorization_encryption_alg_values_supported": ["RSA-OAEP"]}, Code.UNSUPPORTED),
        ({"authorization_encryption_enc_values_supported": ["A128CBC-HS256"]}, Code.UNSUPPORTED),
        ({"vp_formats_supported": {"jwt_vc_json": {}}}, Code.UNSUPPORTED),
        ({"vp_formats_supported": {"dc+sd-jwt": {"kb-jwt_alg_values": ["EdDSA"]}}}, Code.UNSUPPORTED),
        ({"vp_formats_supported": {"mso_mdoc": {"deviceauth_alg_values": [-65537]}}}, Code.UNSUPPORTED),
        ({"vp_formats_supported": []}, Code.MALFORMED), ({"response_types_supported": "vp_token"}, Code.MALFORMED),
        ({"jwks": {"keys": []}}, Code.UNSUPPORTED), ({"jwks": []}, Code.UNSUPPORTED),
        ("[]", Code.MALFORMED), ("", Code.MALFORMED), ('{"a":1,"a":2}', Code.MALFORMED),
        ('{"a":"' + "x" * 13_000 + '"}', Code.TOO_LARGE),
    ],
)  # fmt: skip
def test_a_wallet_that_could_not_answer_is_told_at_once(metadata: Any, code: Code) -> None:
    with pytest.raises(Refused) as refused:
        made(metadata)
    assert (refused.value.code, refused.value.step) == (code, None)


def test_both_formats_are_needed_where_one_alone_was_asked() -> None:
    only = {"vp_formats_supported": {"mso_mdoc": {}}}
    assert made(only, Form.MDOC)
    with pytest.raises(Refused):
        made(only, Form.SD_JWT)


def test_a_wallet_that_brings_a_key_gets_the_request_encrypted_to_it() -> None:
    """Section 5.10: a wallet that requires it passes `jwks`; RFC 9101 section 6.1: signed, then encrypted."""
    mine = jwe.private_jwk(bytes(range(48)), "wallet-1")
    keys = [{"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}, {"kty": "oct"}, jwe.public_jwk(mine)]
    opened = jwe.decrypt(made({"jwks": {"keys": keys}}), jwe.DecryptionKey.from_jwk(mine))
    jws = jose.Jws.parse(opened.payload.decode(), typ="oauth-authz-req+jwt")
    assert jws.claims()["wallet_nonce"] == "n"
