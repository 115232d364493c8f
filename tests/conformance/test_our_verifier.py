"""A wallet of oid4vc-ts with cards by @sd-jwt/sd-jwt-vc and @owf/mdoc, before our verifier over HTTP: right answers
are accepted, wrong ones refused by the step that is there for it. The cards come from an issuer of the test's own,
believed for these questions only, so that nothing of ours made them."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import httpx
import pytest
from cryptography import x509

from conformance.country import Asked, Country
from conformance.peers import Node, PeerRefused
from conformance.test_mdoc_crosswise import issued
from conformance.test_sd_jwt_crosswise import by_node, seconds
from conformance.world import AUTHORITY, HOLDER, NAMESPACE, PERSON, QUERY, STRANGER, open_claims
from mapae.formats.jose import Jws, PublicKey, b64u, decode_json, unb64u
from mapae.formats.x509 import x509_hash
from unit.verifier.world import DOCTYPE, VCT

ANCHORS = [b64encode(AUTHORITY.root).decode()]
SD, MDOC = ({"credentials": [one]} for one in QUERY["credentials"])
NAME = PERSON["name"]
SHOWN = {"sd": [{"name": NAME}], "mdoc": [{f"{NAMESPACE}.name": NAME}]}


@pytest.fixture(scope="module")
def cards(node: Node) -> list[dict[str, Any]]:
    sd, mdoc = by_node(node, open_claims(status=None)), issued("owf", node, status=None)
    return [
        {"format": "dc+sd-jwt", "type": VCT, "credential": sd, "key": HOLDER.private},
        {"format": "mso_mdoc", "type": DOCTYPE, "credential": mdoc, "key": HOLDER.private},
    ]


def put(country: Country, query: dict[str, Any], **manner: Any) -> Asked:
    return country.ask(query=query, anchors=ANCHORS, **manner)


def answer(node: Node, asked: Asked, cards: list[dict[str, Any]], **spoil: Any) -> dict[str, Any]:
    return dict(node.presenter.present(uri=asked.uri, cards=cards, spoil=spoil))


@pytest.mark.parametrize("manner", [{}, {"prefix": "x509_san_dns"}, {"method": "post"}], ids=str)
@pytest.mark.parametrize("query", [SD, MDOC, QUERY], ids=["sd", "mdoc", "both"])
def test_their_wallet_is_understood(
    query: dict[str, Any], manner: dict[str, str], node: Node, country: Country, cards: list[dict[str, Any]]
) -> None:
    """OpenID4VP 1.0 5, 8.2, 8.3; HAIP 1.0 5: both ways to name the client, to fetch the request, and both formats."""
    asked = put(country, query, **manner)
    sent = answer(node, asked, cards)
    assert (sent["status"], sent["type"]) == (200, "application/json")
    verdict = asked.verdict()
    assert verdict["outcome"] == "accepted", verdict
    assert verdict["claims"] == {one["id"]: SHOWN[one["id"]] for one in query["credentials"]}


@pytest.mark.parametrize("enc", ["A128GCM", "A256GCM"])
def test_both_content_encryptions_are_read(enc: str, node: Node, country: Country, cards: list[dict[str, Any]]) -> None:
    """HAIP 1.0 5: with agreement information in the header as well (RFC 7518 4.6.1)."""
    asked = put(country, SD)
    answer(node, asked, cards, server={"authorization_encryption_enc_values_supported": [enc]}, apu="a wallet's nonce")
    assert asked.verdict()["outcome"] == "accepted"


@pytest.mark.parametrize("more", [
    {"jwe": {"typ": "JWT", "cty": "json"}},
    {"claims": {"iss": "https://self-issued.me/v2", "aud": "a shop", "exp": 4_102_444_800}},
    {"fields": {"state": "beside the answer"}},
], ids=["header", "claims", "form fields"])  # fmt: skip
def test_what_wallets_add_does_no_harm(
    more: dict[str, Any], node: Node, country: Country, cards: list[dict[str, Any]]
) -> None:
    """RFC 7516 4.1, OpenID4VP 1.0 8.2 and 8.3: parameters that are not understood are ignored."""
    asked = put(country, SD)
    assert answer(node, asked, cards, **more)["status"] == 200
    assert asked.verdict()["outcome"] == "accepted"


def test_a_payment_is_authorized(node: Node, country: Country, cards: list[dict[str, Any]]) -> None:
    """OpenID4VP 1.0 8.4, B.3.3.1: the hashes in the key binding; none, or another's, authorizes nothing."""
    payment = {"payee": "A shop", "amount": "9.90", "currency": "KRW"}
    for hashes, outcome in ((None, "accepted"), ([b64u(bytes(32))], "refused"), ([], "refused")):
        asked = put(country, SD, transaction=payment)
        answer(node, asked, cards, **({} if hashes is None else {"transactions": hashes}))
        assert asked.verdict()["outcome"] == outcome


def test_on_the_same_device_only_the_browser_that_asked_sees_an_answer(
    node: Node, country: Country, cards: list[dict[str, Any]]
) -> None:
    """OpenID4VP 1.0 8.2, 13.3; HAIP 1.0 5.1: a fresh response code, good in the session that asked."""
    asked = put(country, SD, same_device=True)
    browser = httpx.Client(base_url=country.base, follow_redirects=True)
    assert browser.get(asked.browser).status_code == 200
    back = decode_json(answer(node, asked, cards)["body"].encode())["redirect_uri"]
    assert asked.look()["state"] != "ended"
    page = browser.get(back)
    assert page.status_code == 200
    assert page.url.path.endswith(asked.id)
    assert NAME not in page.text, "the page has no items to show: the query was not the shop's"
    assert asked.verdict()["outcome"] == "accepted"

    asked = put(country, SD, same_device=True)
    back = decode_json(answer(node, asked, cards)["body"].encode())["redirect_uri"]
    assert httpx.get(back).status_code == 403, "another browser comes back"
    assert asked.verdict()["outcome"] == "refused"


def test_declining_is_an_answer(node: Node, country: Country) -> None:
    """OpenID4VP 1.0 8.5."""
    asked = put(country, SD)
    assert node.presenter.decline(uri=asked.uri)["status"] == 200
    assert asked.verdict()["outcome"] == "declined"


# --- wrong answers ----------------------------------------------------------------------------------------------------

WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "another nonce": (SD, {"nonce": "another"}, "holder", "wrong_nonce"),
    "another audience": (SD, {"aud": "x509_hash:other"}, "holder", "wrong_audience"),
    "a proof of last week": (SD, {"iat": seconds(days=-7)}, "holder", "bad_holder_proof"),
    "another holder": (SD, {"holder": STRANGER.private}, "holder", "bad_holder_proof"),
    "more than was asked": (SD, {"more": ["birth_date"]}, "request", "not_what_was_asked"),
    "another session": (MDOC, {"nonce": "another"}, "holder", "bad_holder_proof"),
    "another address": (MDOC, {"responseUri": "http://localhost:1/"}, "holder", "bad_holder_proof"),
    "another device": (MDOC, {"holder": STRANGER.private}, "holder", "bad_holder_proof"),
    "more elements than were asked": (MDOC, {"more": ["birth_date"]}, "request", "not_what_was_asked"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_their_wrong_answer_is_refused_over_http(
    wrong: str, node: Node, country: Country, cards: list[dict[str, Any]]
) -> None:
    query, spoil, step, code = WRONG[wrong]
    asked = put(country, query)
    assert answer(node, asked, cards, **spoil)["status"] == 200, "a stranger learns nothing by trying"
    assert asked.verdict() == {"outcome": "refused", "step": step, "code": code, "claims": {}}


@pytest.mark.parametrize("spoil", [
    {"plain": True}, {"state": "another"}, {"key": STRANGER.public}, {"key": {"kid": "another"}},
], ids=["in the open", "another state", "to another key", "another kid"])  # fmt: skip
def test_what_is_no_answer_to_this_question_does_not_end_it(
    spoil: dict[str, Any], node: Node, country: Country, cards: list[dict[str, Any]]
) -> None:
    """OpenID4VP 1.0 8.2, 8.3: a stranger cannot end somebody else's question; the wallet can still answer."""
    asked = put(country, SD)
    assert answer(node, asked, cards, **spoil)["status"] == 400
    assert asked.look()["state"] != "ended"
    answer(node, asked, cards)
    assert asked.verdict()["outcome"] == "accepted"


def test_an_answer_counts_once(node: Node, country: Country, cards: list[dict[str, Any]]) -> None:
    """The same answer again, and the request after its answer."""
    asked = put(country, SD)
    sent = answer(node, asked, cards)
    again = country.http.post(sent["to"], data={"response": sent["sent"]})
    assert (again.status_code, again.json()["error"]) == (400, "invalid_request")
    with pytest.raises(PeerRefused):
        answer(node, asked, cards)
    assert asked.verdict()["outcome"] == "accepted"


# --- the request, as an OpenID conformance suite would look at it -----------------------------------------------------


def fetched(country: Country, asked: Asked) -> tuple[httpx.Response, Jws, dict[str, Any]]:
    uri = str(httpx.URL(asked.uri).params["request_uri"])
    got = country.http.get(uri, headers={"Origin": "https://wallet.example"})
    jws = Jws.parse(got.text, typ="oauth-authz-req+jwt")
    return got, jws, jws.claims()


def test_the_request_object_is_what_haip_wants(country: Country) -> None:
    """HAIP 1.0 5, 6.1.1: JAR by x509_hash, the anchor outside x5c, no self-signed leaf, a short life."""
    asked = put(country, SD)
    got, jws, claims = fetched(country, asked)
    assert got.headers["content-type"].partition(";")[0] == "application/oauth-authz-req+jwt"
    assert got.headers["cache-control"] == "no-store"
    assert got.headers["access-control-allow-origin"] == "*", "wallets in browsers exist"
    leaf = x509.load_der_x509_certificate(jws.x5c[0])
    assert leaf.issuer != leaf.subject
    jws.verify(PublicKey.from_crypto(leaf.public_key()))
    assert claims["client_id"] == f"x509_hash:{x509_hash(jws.x5c[0])}"
    assert claims["aud"] == "https://self-issued.me/v2"
    assert claims["response_mode"] == "direct_post.jwt"
    assert "redirect_uri" not in claims
    assert len(unb64u(claims["nonce"])) >= 16
    assert claims["exp"] - claims["iat"] <= 600
    (key,) = claims["client_metadata"]["jwks"]["keys"]
    assert (key["alg"], key["use"], key["crv"]) == ("ECDH-ES", "enc", "P-256")
    assert key["kid"]
    assert "d" not in key
    assert set(claims["client_metadata"]["encrypted_response_enc_values_supported"]) == {"A128GCM", "A256GCM"}


def test_a_request_may_be_fetched_twice_and_nothing_is_used_twice(country: Country) -> None:
    """A phone's browser may prefetch; nonce, state and encryption key belong to one question."""
    first, second = put(country, SD), put(country, SD)
    *_, once = fetched(country, first)
    *_, again = fetched(country, first)
    *_, other = fetched(country, second)
    assert once["nonce"] == again["nonce"]
    for name in ("nonce", "state", "response_uri"):
        assert once[name] != other[name], name
    assert once["client_metadata"]["jwks"] != other["client_metadata"]["jwks"]


def test_a_wallet_nonce_comes_back_signed(country: Country) -> None:
    """OpenID4VP 1.0 5.10."""
    asked = put(country, SD, method="post")
    uri = str(httpx.URL(asked.uri).params["request_uri"])
    posted = country.http.post(uri, data={"wallet_nonce": "qPmxiNFCR3QTm19POc8u", "wallet_metadata": "{}"})
    assert Jws.parse(posted.text, typ="oauth-authz-req+jwt").claims()["wallet_nonce"] == "qPmxiNFCR3QTm19POc8u"


def test_their_library_refuses_a_request_signed_for_nobody_they_trust(node: Node, country: Country) -> None:
    asked = put(country, SD)
    with pytest.raises(PeerRefused):
        node.presenter.resolve(uri=asked.uri, anchors=[b64u(AUTHORITY.root)])
