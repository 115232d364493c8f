"""Requests for the Digital Credentials API and their answers: OpenID4VP 1.0 Appendix A, HAIP 1.0 5.2."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mapae.errors import Code, Refused
from mapae.formats import jose, jwe, jws_json, mdoc
from mapae.formats.x509 import Anchors, Profile, check_chain
from mapae.verifier.asking import dcapi
from mapae.verifier.asking.ask import Form, question
from mapae.verifier.asking.oid4vp import Declined, Token, client_id
from mapae.verifier.asking.questions import asker_of
from mapae.verifier.asking.store import Outcome, Till
from mapae.verifier.checking.check import ByBrowser, Format
from unit.verifier.shop import ACCESS, BASE, Shop
from unit.verifier.world import AUTHORITY, DOCTYPE, ENCRYPTION, NOW, Card, country

TYP = "oauth-authz-req+jwt"
ORIGIN = "https://shop.example"
ASKED = question(country(), country().purposes["alcohol_tobacco"], Form.EITHER)
KEY = jwe.DecryptionKey.from_jwk(ENCRYPTION)
MART, RENTAL = ACCESS["mart"], ACCESS["rental"]
CLIENT = dcapi.Client(client_id(MART.x5c[0]), MART.signer, MART.x5c)
NAMED = dcapi.Client(client_id(RENTAL.x5c[0], "x509_san_dns", "mapae.test"), RENTAL.signer, RENTAL.x5c)


def requested(key: Any = ENCRYPTION) -> dcapi.Requested:
    return dcapi.Requested(ASKED, "a-nonce", jwe.public_jwk(key) if key else None, (ORIGIN,))


def test_an_unsigned_request_names_neither_client_nor_origin() -> None:
    """A.2: client_id must be omitted in unsigned requests, expected_origins is not for use in them."""
    request = dcapi.unsigned(requested())
    assert request["protocol"] == "openid4vp-v1-unsigned"
    data = request["data"]
    assert (data["response_type"], data["response_mode"], data["nonce"]) == ("vp_token", "dc_api.jwt", "a-nonce")
    assert not {"client_id", "expected_origins", "response_uri", "state", "redirect_uri", "aud"} & data.keys()
    assert set(data["client_metadata"]["encrypted_response_enc_values_supported"]) == {"A128GCM", "A256GCM"}
    assert "d" not in data["client_metadata"]["jwks"]["keys"][0]


def test_a_signed_request_names_its_client_and_the_origins_it_is_for() -> None:
    """A.2, A.3.2.1: JWS compact in `request`."""
    request = dcapi.signed(requested(), CLIENT)
    assert request["protocol"] == "openid4vp-v1-signed"
    jws = jose.Jws.parse(request["data"]["request"], typ=TYP)
    jws.verify(check_chain(jws.x5c, Anchors([AUTHORITY.root]), NOW, Profile.ACCESS).key)
    claims = jws.claims()
    assert (claims["client_id"], claims["expected_origins"]) == (CLIENT.client_id, [ORIGIN])
    assert "client_id" not in jws.header


def test_a_multisigned_request_names_each_client_in_its_own_header() -> None:
    """A.3.2.2: client_id only in the protected headers, everything else only in the payload."""
    request = dcapi.multisigned(requested(), (CLIENT, NAMED))
    assert request["protocol"] == "openid4vp-v1-multisigned"
    signed = jws_json.read(request["data"]["request"], typ=TYP)
    assert [one.jws.header["client_id"] for one in signed] == [CLIENT.client_id, "x509_san_dns:mapae.test"]
    for one in signed:
        one.jws.verify(check_chain(one.jws.x5c, Anchors([AUTHORITY.root]), NOW, Profile.ACCESS).key)
        assert "client_id" not in one.jws.claims()
        assert one.jws.claims()["expected_origins"] == [ORIGIN]


def test_an_answer_in_the_clear_is_read_only_where_it_was_asked_so() -> None:
    """A.2: response_mode dc_api or dc_api.jwt."""
    assert dcapi.unsigned(requested(None))["data"]["response_mode"] == "dc_api"
    assert "jwks" not in dcapi.unsigned(requested(None))["data"]["client_metadata"]
    assert dcapi.read_answer({"vp_token": {"a": ["x"]}}, None) == Token({"a": ["x"]})
    sealed = {"response": jwe.encrypt(msgspec.json.encode({"vp_token": {"a": ["x"]}}), jwe.public_jwk(ENCRYPTION))}
    assert dcapi.read_answer(sealed, KEY) == Token({"a": ["x"]})
    for data, key in (({"vp_token": {}}, KEY), (sealed, None), ({"response": 1}, KEY), ([], KEY), ({}, KEY)):
        with pytest.raises(Refused) as refused:
            dcapi.read_answer(data, key)
        assert (refused.value.code, refused.value.step) == (Code.MALFORMED, None)


def test_a_wallets_error_comes_as_one_word() -> None:
    """A.4: an object with a single property `error`."""
    assert dcapi.read_answer({"error": "access_denied"}, KEY) == Declined("access_denied")
    assert dcapi.read_answer({"error": "<b>"}, KEY) == Declined("wallet_error")
    with pytest.raises(Refused):
        dcapi.read_answer({"error": 1}, KEY)


# --- through the verifier ---------------------------------------------------------------------------------------------

VISITOR = Till(asker_of("a visitor"), "mart", NOW)


def sealed(data: dict[str, Any], format: Format, origin: str) -> dict[str, str]:
    """The wallet's answer to an unsigned request from this origin."""
    jwk = data["client_metadata"]["jwks"]["keys"][0]
    tie = ByBrowser(origin, data["nonce"], jose.PublicKey.from_jwk(jwk).thumbprint_raw)
    card = Card()
    if format is Format.SD_JWT:
        disclosed = card.sd_jwt().disclose([["adult_by_year"]])
        shown = disclosed.bind(card.holder, nonce=tie.nonce, audience=f"origin:{origin}", now=NOW)
    else:
        issued = card.mdoc().disclose({DOCTYPE: ["adult_by_year"]})
        shown = jose.b64u(mdoc.present(issued, session_transcript=tie.transcript, holder=card.holder))
    return {"response": jwe.encrypt(msgspec.json.encode({"vp_token": {format.value: [shown]}}), jwk)}


async def asked(shop: Shop) -> tuple[str, dict[str, Any]]:
    id = await shop.verifier.open(VISITOR, "alcohol_tobacco")
    requests = await shop.verifier.questions.browser_requests(VISITOR.id, id)
    assert [request["protocol"].rsplit("-", 1)[1] for request in requests] == ["multisigned", "signed", "unsigned"]
    return id, requests[-1]["data"]


@pytest.mark.parametrize("format", list(Format))
async def test_an_answer_through_the_browser_is_bound_to_our_origin(shop: Shop, format: Format) -> None:
    """A.4 and B.2.6.2."""
    for origin, outcome in ((BASE, Outcome.ACCEPTED), ("https://evil.example", Outcome.REFUSED)):
        id, data = await asked(shop)
        await shop.verifier.questions.answer_from_browser(VISITOR.id, id, sealed(data, format, origin))
        verdict = (await shop.verifier.questions.of(VISITOR.id, id)).verdict
        assert verdict is not None and verdict.outcome is outcome
        if outcome is Outcome.REFUSED:
            assert verdict.step == "holder"
            assert verdict.code == ("wrong_audience" if format is Format.SD_JWT else "bad_holder_proof")


async def test_only_the_browser_that_asked_hands_in_an_answer(shop: Shop) -> None:
    id, data = await asked(shop)
    answer = sealed(data, Format.SD_JWT, BASE)
    for attempt in (shop.verifier.questions.browser_requests(asker_of("other"), id),
                    shop.verifier.questions.answer_from_browser(asker_of("other"), id, answer)):  # fmt: skip
        with pytest.raises(Refused) as refused:
            await attempt
        assert refused.value.code is Code.NOT_FOUND
    await shop.verifier.questions.answer_from_browser(VISITOR.id, id, answer)
    for again in (shop.verifier.questions.browser_requests(VISITOR.id, id),
                  shop.verifier.questions.answer_from_browser(VISITOR.id, id, answer)):  # fmt: skip
        with pytest.raises(Refused) as refused:
            await again
        assert refused.value.code is Code.SESSION_SPENT


async def test_rubbish_from_a_browser_changes_nothing(shop: Shop) -> None:
    id, data = await asked(shop)
    for wrong in (None, [], {}, {"response": "a.b"}, {"vp_token": {}}, {"response": "x" * 300_000}):
        with pytest.raises(Refused) as refused:
            await shop.verifier.questions.answer_from_browser(VISITOR.id, id, wrong)
        assert refused.value.step is None
    await shop.verifier.questions.answer_from_browser(VISITOR.id, id, {"error": "access_denied"})
    verdict = (await shop.verifier.questions.of(VISITOR.id, id)).verdict
    assert verdict is not None and (verdict.outcome, verdict.code) == (Outcome.DECLINED, "access_denied")
    assert data["nonce"]
