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
from mapae.verifier import oid4vp
from mapae.verifier.ask import Form, question
from unit.verifier.world import AUTHORITY, ENCRYPTION, NOW, country

KEY = jwe.DecryptionKey.from_jwk(ENCRYPTION)


def requested(form: Form = Form.EITHER, client_id: str = "x509_hash:shop") -> oid4vp.Requested:
    asked = question(country(), {"alcohol_tobacco": ("adult_by_year",)}, "alcohol_tobacco", form)
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
