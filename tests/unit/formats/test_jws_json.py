"""JWS in JSON: RFC 7515 7.2, flattened and general, several signatures (OpenID4VP 1.0 A.3.2.2)."""

from __future__ import annotations

import json

import pytest

from hands import Hand, refuses
from mapae.errors import Code
from mapae.formats import jose, jws_json

ONE, TWO = Hand("one"), Hand("two")
TYP = "oauth-authz-req+jwt"
FIRST = (ONE, {"typ": TYP, "client_id": "x509_hash:one"})
SECOND = (TWO, {"typ": TYP, "client_id": "x509_san_dns:two.example"})


def written(*signers, general=True):
    return jws_json.write({"nonce": "n"}, signers, general=general)


@pytest.mark.parametrize("raw", [written(FIRST, SECOND), json.dumps(written(FIRST, SECOND))])
def test_a_request_signed_for_two_trust_frameworks_is_read(raw):
    one, two = jws_json.read(raw, typ=TYP)
    one.jws.verify(ONE.key)
    two.jws.verify(TWO.key)
    assert (one.jws.header["client_id"], two.jws.header["client_id"]) == ("x509_hash:one", "x509_san_dns:two.example")
    assert one.jws.claims() == two.jws.claims() == {"nonce": "n"}
    with refuses(Code.BAD_SIGNATURE):
        one.jws.verify(TWO.key)


def test_the_flattened_form_is_one_signature():
    """RFC 7515 7.2.2."""
    flat = written(FIRST, general=False)
    assert set(flat) == {"payload", "protected", "signature"}
    (signed,) = jws_json.read(flat | {"header": {"disclosures": []}}, typ=TYP)
    signed.jws.verify(ONE.key)
    assert signed.unprotected == {"disclosures": []}
    assert signed.jws.encode() == f"{flat['protected']}.{flat['payload']}.{flat['signature']}"


def test_members_nobody_defined_are_ignored():
    """RFC 7515 7.2.1: additional members MUST be ignored."""
    raw = written(FIRST) | {"surplus": 1}
    raw["signatures"][0]["surplus"] = 2
    assert len(jws_json.read(raw, typ=TYP)) == 1


def foreign(alg: str) -> dict[str, str]:
    protected = jose.b64u(jose.encode_json({"alg": alg, "typ": TYP}))
    return {"protected": protected, "signature": jose.b64u(bytes(64))}


def test_a_signature_for_somebody_else_is_passed_over():
    """RFC 7515 5.2: which signatures must hold is the application's choice; ours needs one it can verify."""
    raw = written(FIRST)
    raw["signatures"].insert(0, foreign("EdDSA"))
    (signed,) = jws_json.read(raw, typ=TYP)
    signed.jws.verify(ONE.key)
    with refuses(Code.UNSUPPORTED, "ES256"):
        jws_json.read(raw | {"signatures": [foreign("EdDSA"), foreign("none")]}, typ=TYP)


GOOD = written(FIRST)
ENTRY = GOOD["signatures"][0]


@pytest.mark.parametrize(
    "raw",
    [
        {"signatures": [ENTRY]},
        GOOD | {"payload": {"nonce": "n"}},
        GOOD | {"payload": GOOD["payload"] + "="},
        GOOD | {"payload": "e30.e30"},
        GOOD | {"signature": ENTRY["signature"]},
        GOOD | {"protected": ENTRY["protected"]},
        GOOD | {"header": {"kid": "1"}},
        GOOD | {"signatures": []},
        GOOD | {"signatures": ENTRY},
        GOOD | {"signatures": ["x"]},
        GOOD | {"signatures": [{"signature": ENTRY["signature"]}]},
        GOOD | {"signatures": [{"protected": ENTRY["protected"]}]},
        GOOD | {"signatures": [ENTRY | {"protected": ""}]},
        GOOD | {"signatures": [ENTRY | {"header": {}}]},
        GOOD | {"signatures": [ENTRY | {"header": []}]},
        GOOD | {"signatures": [ENTRY | {"header": None}]},
        GOOD | {"signatures": [ENTRY | {"header": {"client_id": "x509_hash:one"}}]},
        GOOD | {"signatures": [ENTRY | {"header": {"crit": ["x"]}}]},
        GOOD | {"signatures": [ENTRY | {"header": {"alg": "ES256"}}]},
        GOOD | {"signatures": [ENTRY, ENTRY | {"protected": "e30"}, {}]},
        {"payload": GOOD["payload"], "protected": ENTRY["protected"]},
        "[]",
        '{"payload":"e30","payload":"e30"}',
    ],
)
def test_what_rfc_7515_7_2_does_not_allow_is_refused(raw):
    with refuses(Code.MALFORMED):
        jws_json.read(raw, typ=TYP)


def test_type_number_and_size_are_bounded():
    with refuses(Code.MALFORMED, "another type"):
        jws_json.read(GOOD, typ="other+jwt")
    with refuses(Code.TOO_LARGE, "too many"):
        jws_json.read(GOOD | {"signatures": [ENTRY] * 9}, typ=TYP)
    with refuses(Code.TOO_LARGE):
        jws_json.read(GOOD, typ=TYP, limit=100)
    with refuses(Code.TOO_LARGE):
        jws_json.read(json.dumps(GOOD | {"surplus": "x" * 70_000}), typ=TYP)
    for signers, general in [((), True), ((FIRST, SECOND), False), ((FIRST,) * 9, True)]:
        with refuses(Code.LINT):
            written(*signers, general=general)
