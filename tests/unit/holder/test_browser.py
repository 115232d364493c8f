"""Requests of the Digital Credentials API (OpenID4VP 1.0 appendix A): each wrong one fails at its step."""

from __future__ import annotations

from typing import Any

import pytest

from mapae.errors import Code
from mapae.formats import jws_json
from mapae.formats.jose import sign_jws, x5c_header
from mapae.holder.browser import MULTISIGNED, SIGNED, UNSIGNED, open_request
from mapae.holder.request import Browser, Request
from mapae.holder.trusted import AnchorTrust
from mapae.keys import Signer
from unit.holder.test_request import NOW, Shop, refusal

ORIGIN = "https://shop.example"


def claims(shop: Shop, **changes: Any) -> dict[str, Any]:
    made = {"response_mode": "dc_api.jwt", "response_uri": None, "state": None, "expected_origins": [ORIGIN], **changes}
    return shop.claims(**made)


def signed(shop: Shop, typ: str = "oauth-authz-req+jwt", **changes: Any) -> dict[str, Any]:
    header = {"typ": typ, "x5c": x5c_header((shop.leaf,))}
    return {"request": sign_jws(shop.signer, header, claims(shop, **changes))}


def several(*shops: Shop, inside: bool = True, **changes: Any) -> dict[str, Any]:
    made = claims(shops[0], client_id=None, **changes)
    signers = [
        (one.signer, {"typ": "oauth-authz-req+jwt", "x5c": x5c_header((one.leaf,)), "client_id": one.client_id})
        for one in shops
    ]
    token = jws_json.write(made, signers)
    return {"request": token} if inside else token


def opened(shop: Shop, protocol: str, data: Any, origin: str = ORIGIN, view: Any = None) -> Request:
    return open_request(protocol, data, origin, view or shop.trusted(), NOW)


def test_a_signed_request_binds_to_the_origin_not_to_the_client() -> None:
    shop = Shop()
    request = opened(shop, SIGNED, signed(shop))
    assert (request.way, request.audience, request.party.id, request.enc) == (
        Browser(ORIGIN), f"origin:{ORIGIN}", "shop", "A256GCM",
    )  # fmt: skip


@pytest.mark.parametrize("inside", [True, False])
def test_of_several_signatures_one_by_somebody_we_know_is_enough(inside: bool) -> None:
    """A.3.2.2: the others are for other trust frameworks."""
    shop, stranger = Shop(), Shop()
    for order in ((shop, stranger), (stranger, shop)):
        assert opened(shop, MULTISIGNED, several(*order, inside=inside)).client_id == shop.client_id
    assert refusal(lambda: opened(shop, MULTISIGNED, several(stranger))) == (Code.UNKNOWN_RELYING_PARTY, "client")


def test_the_client_stands_in_the_protected_header_only() -> None:
    """A.3.2.2."""
    shop = Shop()
    token = several(shop)["request"]
    outside = jws_json.write(
        claims(shop), [(shop.signer, {"typ": "oauth-authz-req+jwt", "x5c": x5c_header((shop.leaf,))})]
    )
    assert refusal(lambda: opened(shop, MULTISIGNED, outside)) == (Code.MALFORMED, "client")
    moved = {
        **token,
        "signatures": [{**token["signatures"][0], "signature": token["signatures"][0]["signature"][::-1]}],
    }
    assert refusal(lambda: opened(shop, MULTISIGNED, moved))[0] in (Code.BAD_SIGNATURE, Code.MALFORMED)


@pytest.mark.parametrize(
    ("changes", "code", "step"),
    [
        ({"expected_origins": ["https://other.example"]}, Code.INVALID_REQUEST, "origin"),
        ({"expected_origins": [f"{ORIGIN}/"]}, Code.INVALID_REQUEST, "origin"),  # compared as a text
        ({"expected_origins": []}, Code.INVALID_REQUEST, "origin"),
        ({"expected_origins": ORIGIN}, Code.INVALID_REQUEST, "origin"),
        ({"expected_origins": None}, Code.INVALID_REQUEST, "origin"),
        ({"client_id": None}, Code.UNSUPPORTED, "client"),
        ({"client_id": f"origin:{ORIGIN}"}, Code.UNSUPPORTED, "client"),
        ({"client_id": "x509_hash:other"}, Code.BAD_CERTIFICATE, "client"),
        ({"aud": "https://other.example"}, Code.WRONG_AUDIENCE, "meant"),
        ({"exp": int(NOW.timestamp()) - 120}, Code.EXPIRED, "meant"),
        ({"response_mode": "direct_post.jwt"}, Code.UNSUPPORTED, "answer"),
        ({"response_mode": "dc_api"}, Code.UNSUPPORTED, "answer"),  # HAIP 1.0 5.2: encrypted
        ({"response_type": "code"}, Code.UNSUPPORTED, "answer"),
        ({"client_metadata": {}}, Code.UNSUPPORTED, "key"),
        ({"nonce": None}, Code.WRONG_NONCE, "nonce"),
        ({"dcql_query": None}, Code.UNSUPPORTED, "query"),
        ({"transaction_data": ["e30"]}, Code.INVALID_TRANSACTION_DATA, "transaction"),
        ({"mapae_purpose": None}, Code.OVER_ASKING, "purpose"),
    ],
)
def test_each_wrong_request_fails_at_its_step(changes: dict[str, Any], code: Code, step: str) -> None:
    shop = Shop()
    assert refusal(lambda: opened(shop, SIGNED, signed(shop, **changes))) == (code, step)


def test_a_forged_request_fails_at_the_seal() -> None:
    shop = Shop()
    token = sign_jws(Signer.ephemeral(), {"typ": "oauth-authz-req+jwt", "x5c": x5c_header((shop.leaf,))}, claims(shop))
    assert refusal(lambda: opened(shop, SIGNED, {"request": token})) == (Code.BAD_SIGNATURE, "seal")
    assert refusal(lambda: opened(shop, SIGNED, signed(shop, typ="JWT")))[0] is Code.MALFORMED  # section 5


@pytest.mark.parametrize(
    ("protocol", "data", "code"),
    [
        ("openid4vp", {}, Code.UNSUPPORTED), ("openid4vp-v2-signed", {}, Code.UNSUPPORTED), ("", {}, Code.UNSUPPORTED),
        (SIGNED, {}, Code.MALFORMED), (SIGNED, {"request": {}}, Code.MALFORMED),
        (MULTISIGNED, {"request": "a.b.c"}, Code.MALFORMED),
    ],
)  # fmt: skip
def test_another_protocol_is_not_spoken(protocol: str, data: Any, code: Code) -> None:
    shop = Shop()
    assert refusal(lambda: opened(shop, protocol, data)) == (code, "protocol")


@pytest.mark.parametrize("origin", ["", "shop.example", "http://shop.example", f"{ORIGIN}/", f"{ORIGIN}/path", "null"])
def test_what_is_no_origin_is_not_taken_for_one(origin: str) -> None:
    shop = Shop()
    assert refusal(lambda: opened(shop, SIGNED, signed(shop, expected_origins=[origin]), origin))[1] == "origin"


def test_who_does_not_sign_is_an_origin_and_no_more() -> None:
    """A.2: client_id and expected_origins of an unsigned request are ignored; the listed do not ask like this."""
    shop = Shop()
    data = claims(shop, client_id="x509_hash:whoever", expected_origins=["https://other.example"], mapae_purpose="age")
    assert refusal(lambda: opened(shop, UNSIGNED, data)) == (Code.UNKNOWN_RELYING_PARTY, "client")
    request = opened(shop, UNSIGNED, data, view=AnchorTrust(strangers=True))
    assert (request.client_id, request.party.standing, request.purpose) == ("", "unknown", None)
    assert refusal(lambda: opened(shop, UNSIGNED, data, view=AnchorTrust())) == (Code.UNKNOWN_RELYING_PARTY, "client")
