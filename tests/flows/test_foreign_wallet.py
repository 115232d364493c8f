"""A wallet that is not ours gets a card of this country, and what it may not have it does not get.

HAIP 1.0 section 4 from end to end, without script, with the pages a browser would use: the wallet is of a provider that
the demo's hook put on the trust list, and speaks nothing but the protocol.
"""

from __future__ import annotations

import json

import pytest

from foreign import knock, read, redeem, sign_in, wallet
from issuing import MDOC, SD_JWT, Phone
from mapae import demo_offer
from mapae.formats.jose import Jws
from mapae.formats.sd_jwt import SdJwt
from mapae.formats.status import StatusToken
from town import BASE, Town


def _fetch_both(town: Town, phone: Phone) -> list[str]:
    got = []
    for configuration in (SD_JWT, MDOC):
        answer = town.call(phone.fetch, configuration, 3)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["credentials"]) == 3
        assert town.call(phone.tell, answer.json()["notification_id"]).status_code == 204
        got.append(answer.json()["credentials"][0]["credential"])
    return got


def test_a_pre_authorized_offer_is_fetched_by_any_trusted_wallet(town: Town) -> None:
    phone = wallet(town)
    offer = knock(town, "/demo/offers", person=town.first)
    assert town.call(redeem, phone, offer["offer"]).status_code == 200
    sd_jwt, _ = _fetch_both(town, phone)
    assert SdJwt.parse(sd_jwt).jws.header["typ"] == "dc+sd-jwt"
    assert town.call(phone.renew).status_code == 200
    assert town.call(phone.fetch).status_code == 200


def test_a_card_by_authorization_code_and_plain_forms(town: Town) -> None:
    phone = wallet(town)
    offer = knock(town, "/demo/offers", person=town.first, grant="authorization-code")
    answer = town.call(sign_in, phone, offer)
    assert (answer["state"], answer["iss"]) == ("s-1", "http://localhost:8080/issuer")
    assert town.call(phone.exchange, answer["code"]).status_code == 200
    _fetch_both(town, phone)


def test_with_authorization_details_it_asks_by_identifier(town: Town) -> None:
    phone = wallet(town)
    offer = knock(town, "/demo/offers", person=town.first, grant="authorization-code")
    details = json.dumps([{"type": "openid_credential", "credential_configuration_id": SD_JWT}])
    answer = town.call(lambda: sign_in(phone, offer, scope=None, authorization_details=details))
    token = town.call(phone.exchange, answer["code"]).json()
    (identifier,) = token["authorization_details"][0]["credential_identifiers"]
    assert town.call(phone.fetch_identified, identifier).status_code == 200


@pytest.mark.parametrize("town", ["sqlite"], indirect=True)
def test_a_mother_of_two_is_offered_a_card_about_one_of_them(town: Town) -> None:
    phone = wallet(town)
    offer = knock(town, "/demo/offers", person="parent", document="guardian_card")
    assert town.call(redeem, phone, offer["offer"]).status_code == 200
    answer = town.call(phone.fetch, "guardian_card_sd_jwt", 1)
    assert answer.status_code == 200, answer.text


def test_a_transaction_code_is_needed_where_the_offer_says_so(town: Town) -> None:
    phone = wallet(town)
    offer = knock(town, "/demo/offers", person=town.first, tx_code=True)
    assert town.call(redeem, phone, offer["offer"]).json()["error"] == "invalid_request"
    assert town.call(lambda: redeem(phone, offer["offer"], tx_code=offer["tx_code"])).status_code == 200


def test_a_foreign_card_ends_with_the_report_of_the_lost_phone(town: Town) -> None:
    """The citizen's own page stops cards wherever they are."""
    phone, jisoo = wallet(town), town.citizen()
    offer = knock(town, "/demo/offers", person=town.first)
    town.call(redeem, phone, offer["offer"])
    sd_jwt, _ = _fetch_both(town, phone)
    jisoo.report_phone_lost()
    claims = Jws.parse(sd_jwt.split("~")[0], typ="dc+sd-jwt").claims()["status"]["status_list"]
    list_ = town.call(town.house.issuer.lists.token, claims["uri"].rsplit("/", 1)[-1])
    assert StatusToken.parse(list_.token).list.read(claims["idx"]) == 2
    assert town.call(phone.fetch).json()["error"] == "invalid_token"


def test_a_provider_counts_from_the_moment_it_is_named(town: Town) -> None:
    """Also where the issuer has looked at the trust list a second ago."""
    for name in ("acme", "other"):
        offer = knock(town, "/demo/offers", person=town.first)
        assert town.call(redeem, wallet(town, name), offer["offer"]).status_code == 200


def test_no_more_than_so_many_wallet_providers_are_made_for_strangers(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each makes the trust list longer, and past its limit nobody reads it any more."""
    named = knock(town, "/demo/wallet-providers", name="acme")
    monkeypatch.setattr(demo_offer, "MOST_PROVIDERS", 1)
    post = town.house.foundation.http.post
    full = town.call(lambda: post(f"{BASE}/demo/wallet-providers", json={"name": "one-more"}))
    assert (full.status_code, full.json()["error"]) == (429, "too_often")
    assert knock(town, "/demo/wallet-providers", name="acme") == named


def test_the_country_knows_a_provider_by_its_name_and_another_by_none(town: Town) -> None:
    first, again = (knock(town, "/demo/wallet-providers", name="acme") for _ in range(2))
    assert first == again
    assert knock(town, "/demo/wallet-providers", name="other")["private_jwk"] != first["private_jwk"]
    said = town.get_json("/demo.json")
    assert set(said["roles"]["wallet_provider"]["anchors"]) == {"wallet-provider", "demo:acme", "demo:other"}
    endpoints = said["roles"]["issuer"]["endpoints"]
    assert endpoints["pushed_authorization_request_endpoint"] == "http://localhost:8080/issuer/par"
    assert said["roles"]["issuer"]["anchors"][0]["pem"].startswith("-----BEGIN CERTIFICATE-----")


@pytest.mark.parametrize(
    ("message", "status", "code"),
    [
        ({"person": "nobody"}, 404, "not_found"),
        ({"person": "under17"}, 403, "too_young"),
        ({"person": "deceased"}, 403, "deceased"),
        ({"grant": "password"}, 400, "malformed"),
        ({"grant": "authorization-code", "tx_code": True}, 400, "malformed"),
        ({"deferred": -1}, 400, "malformed"),
        ({"new": 1}, 400, "malformed"),
    ],
)
def test_the_offer_hook_refuses_what_a_desk_would(
    town: Town, message: dict[str, object], status: int, code: str
) -> None:
    answer = town.call(lambda: town.house.foundation.http.post("http://localhost:8080/demo/offers", json=message))
    assert (answer.status_code, answer.json()["error"]) == (status, code)


def test_the_software_officer_is_named_in_the_audit(town: Town) -> None:
    offer = knock(town, "/demo/offers", person=town.first, grant="authorization-code")
    phone = wallet(town)
    assert set(town.call(read, phone, offer["offer"])["grants"]) == {"authorization_code"}
    rows = town.call(
        town.house.foundation.databases["issuer"].all, "SELECT actor FROM audit_event WHERE action = 'offered'"
    )
    assert [row["actor"] for row in rows] == ["software-officer"]
