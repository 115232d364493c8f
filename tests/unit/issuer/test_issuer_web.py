"""The issuer's doors: metadata, documents, and whatever a stranger throws at them."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from issuing import BASE, MDOC, SD_JWT, Hall, Phone
from mapae.db import Db
from mapae.formats.jose import Jws
from mapae.formats.x509 import Anchors, Profile, check_chain
from mapae.issuer.metadata import issuer_metadata
from mapae.issuer.web import routes
from mapae.keys import Signer
from mapae.ui.http import doors, preferred


@pytest.fixture
def hall(issuer_db: Db) -> Hall:
    return Hall(issuer_db)


async def test_the_issuer_says_what_it_offers(hall: Hall) -> None:
    """OpenID4VCI 12.2: the well-known part comes before the path, and every configuration has a scope."""
    answer = await hall.http.get("/.well-known/openid-credential-issuer/issuer")
    said = answer.json()
    assert said["credential_issuer"] == f"{BASE}/issuer"
    assert said["batch_credential_issuance"] == {"batch_size": 10}
    offered = {f"{kind}_{form}" for kind in ("resident_card", "driving_licence", "guardian_card")
               for form in ("sd_jwt", "mdoc")}  # fmt: skip
    assert {SD_JWT, MDOC} < set(said["credential_configurations_supported"]) == offered
    for id, one in said["credential_configurations_supported"].items():
        assert one["scope"] == id
        assert set(one["proof_types_supported"]) == {"jwt", "attestation"}
        for proof in one["proof_types_supported"].values():
            assert "iso_18045_basic" in proof["key_attestations_required"]["key_storage"]
        assert {display["locale"] for display in one["credential_metadata"]["display"]} == {"ko", "en"}
    sd, mso = (said["credential_configurations_supported"][id] for id in (SD_JWT, MDOC))
    assert (sd["format"], sd["vct"]) == ("dc+sd-jwt", "urn:mapae:kr:resident-card:1")
    assert (mso["format"], mso["credential_signing_alg_values_supported"]) == ("mso_mdoc", [-7])
    assert {"path": ["name"]}.items() <= sd["credential_metadata"]["claims"][0].items()
    assert mso["credential_metadata"]["claims"][0]["path"] == ["kr.mapae.resident.1", "name"]
    assert "display" not in sd and "claims" not in sd  # moved under credential_metadata in the final text


async def test_metadata_says_honestly_which_documents_need_no_key_attestation(hall: Hall) -> None:
    """12.2.4: key_attestations_required must not be there where none is required."""
    document = msgspec.structs.replace(hall.country.documents["resident_card"], key_attestation=False)
    country = msgspec.structs.replace(hall.country, documents={"resident_card": document})
    for said, needed in ((issuer_metadata(country, BASE, {}), False), (issuer_metadata(hall.country, BASE, {}), True)):
        for one in said["credential_configurations_supported"].values():
            assert ("key_attestations_required" in one["proof_types_supported"]["jwt"]) is needed


async def test_signed_metadata_says_the_same_under_our_seal(hall: Hall) -> None:
    """OpenID4VCI 12.2.3, HAIP 1.0 4.1: typ, sub, iat; x5c without the anchor, by an authority of the trust list."""
    address = "/.well-known/openid-credential-issuer/issuer"
    plain = await hall.http.get(address)
    signed = await hall.http.get(address, headers={"Accept": "application/jwt"})
    assert signed.headers["content-type"] == "application/jwt" and "Accept" in signed.headers["vary"]
    jws = Jws.parse(signed.text, typ="openidvci-issuer-metadata+jwt")
    jws.verify(check_chain(jws.x5c, Anchors([hall.anchor]), hall.clock.now(), Profile.DOCUMENT_SIGNER).key)
    claims = jws.claims()
    assert claims["sub"] == claims["iss"] == f"{BASE}/issuer"
    assert claims["iat"] <= hall.clock.now().timestamp() < claims["exp"]
    assert {**claims, **plain.json()} == claims
    again = await hall.http.get(address, headers={"Accept": "application/jwt"})
    assert again.text == signed.text
    hall.clock.advance(hours=1)
    assert (await hall.http.get(address, headers={"Accept": "application/jwt"})).text != signed.text
    old = await hall.http.get("/issuer/.well-known/openid-credential-issuer")
    assert old.json() == plain.json()


@pytest.mark.parametrize(
    ("accept", "signed"),
    [
        ("", False), ("*/*", False), ("application/json", False), ("application/jwt", True), ("text/html", False),
        ("application/jwt;q=0.5, application/json", False), ("application/json;q=0.5, application/jwt", True),
        ("application/jwt, application/json", True), ("application/json, application/jwt", False),
        ("application/jwt;q=x", False), ("application/jwt; q=0", False), ("Application/JWT", True),
    ],
)  # fmt: skip
def test_json_is_sent_unless_a_jwt_is_preferred(accept: str, signed: bool) -> None:
    """OpenID4VCI 12.2.2, RFC 9110 12.5.1."""
    request = Request({"type": "http", "headers": [(b"accept", accept.encode())]})
    assert (preferred(request, "application/json", "application/jwt") == "application/jwt") is signed


async def test_the_authorization_server_says_how_to_ask(hall: Hall) -> None:
    said = (await hall.http.get("/.well-known/oauth-authorization-server/issuer")).json()
    assert said["issuer"] == f"{BASE}/issuer"
    assert said["token_endpoint_auth_methods_supported"] == ["attest_jwt_client_auth", "attest_jwt_client_auth_dpop"]
    assert said["dpop_signing_alg_values_supported"] == ["ES256"]
    assert said["pre-authorized_grant_anonymous_access_supported"] is False


async def test_a_nonce_is_never_cached_and_brings_a_dpop_nonce(hall: Hall) -> None:
    answer = await hall.http.post("/issuer/nonce")
    assert answer.headers["cache-control"] == "no-store" and answer.headers["dpop-nonce"]
    assert set(answer.json()) == {"c_nonce"}


async def test_a_first_try_without_nonce_is_told_which_to_use(hall: Hall) -> None:
    """RFC 9449 8 and 9: 400 at the token endpoint, 401 with a challenge at the others."""
    phone = Phone(hall, "jisoo")
    phone.nonce = "none yet"
    answer = await phone.ask_token({"grant_type": "refresh_token", "refresh_token": "x"})
    assert (answer.status_code, answer.json()["error"]) == (400, "use_dpop_nonce")
    assert answer.headers["dpop-nonce"]
    phone.access = "nothing"
    answer = await phone.fetch(body={"credential_configuration_id": SD_JWT})
    assert answer.status_code == 401 and 'error="use_dpop_nonce"' in answer.headers["www-authenticate"]
    phone.nonce = answer.headers["dpop-nonce"]
    answer = await phone.fetch(body={"credential_configuration_id": SD_JWT})
    assert answer.status_code == 401 and 'error="invalid_token"' in answer.headers["www-authenticate"]


async def test_the_exact_errors_of_the_credential_door(hall: Hall) -> None:
    phone = Phone(hall, "jisoo")
    await phone.redeem(await phone.scan(await hall.offer()))
    for body, error in (
        ({}, "invalid_credential_request"),
        ({"credential_configuration_id": "x"}, "unknown_credential_configuration"),
        ({"credential_identifier": "x"}, "unknown_credential_identifier"),
        ({"credential_configuration_id": SD_JWT}, "invalid_proof"),
        ({"credential_configuration_id": SD_JWT, "proofs": {"jwt": ["x"]}}, "invalid_proof"),
        ({"credential_configuration_id": SD_JWT, "proofs": []}, "invalid_credential_request"),
        ({"credential_configuration_id": 7}, "invalid_credential_request"),
    ):
        answer = await phone.fetch(body=body)
        assert (answer.status_code, answer.json()["error"]) == (400, error), body
        assert set(answer.json()) <= {"error", "error_description"}
    answer = await phone.fetch(body={"credential_configuration_id": SD_JWT, "x": "y" * 70000})
    assert answer.status_code == 413
    query = await hall.http.post("/issuer/credential?access_token=x", json={})
    assert (query.status_code, query.json()["error"]) == (400, "invalid_request")
    bare = await hall.http.post("/issuer/credential", json={})
    assert bare.status_code == 401 and bare.headers["www-authenticate"].startswith("DPoP")


async def test_unknown_members_of_a_request_are_ignored(hall: Hall) -> None:
    """OpenID4VCI 8.2 and 11.1: the issuer must ignore unrecognized parameters."""
    phone = Phone(hall, "jisoo")
    await phone.redeem(await phone.scan(await hall.offer()))
    body = {"credential_configuration_id": SD_JWT, "proofs": await phone.proofs([Signer.ephemeral()]), "new": 1}
    assert (await phone.fetch(body=body)).status_code == 200


async def documents(phone: Phone) -> dict[str, Any]:
    answer = await phone.hall.http.get("/issuer/documents", headers=phone.attestation())
    assert answer.status_code == 200, answer.text
    return {one["id"]: one for one in answer.json()["documents"]}


async def test_the_list_of_documents_says_where_and_why_not(hall: Hall) -> None:
    hall.register.add("young", "이어린", date(2012, 1, 1))
    card = (await documents(Phone(hall, "jisoo")))["resident_card"]
    assert card["state"] == "available" and card["where"]["ko"] and card["bring"]
    assert card["renewal_days"] == 90 and card["configurations"] == [SD_JWT, MDOC]
    assert card["paths"] == ["counter", "chip"]
    others = {id: one["state"] for id, one in (await documents(Phone(hall, "jisoo"))).items() if id != "resident_card"}
    no_record = {id for id, state in others.items() if state == "not_eligible"}
    assert no_record == {"driving_licence", "guardian_card"}  # the register knows of no licence and no ward
    assert {state for id, state in others.items() if id not in no_record} == {"elsewhere"}
    refused = (await documents(Phone(hall, "young")))["resident_card"]
    assert (refused["state"], refused["reason"]) == ("not_eligible", "too_young")
    assert (await documents(await hall.carded()))["resident_card"]["state"] == "held"
    new = Phone(hall, "jisoo", state="waiting", device="new-device")
    assert (await documents(new))["resident_card"]["state"] == "available"  # at the counter the binding moves
    locked = Phone(hall, "jisoo", state="suspended")
    answer = await hall.http.get("/issuer/documents", headers=locked.attestation())
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_every_door_declares_itself(hall: Hall) -> None:
    found = doors(routes(hall.issuer, hall.authorize))
    assert len(found) == 13
    assert all(one.cors and one.limit <= 65536 for one in found)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["credential_configuration_id", "proofs", "credential_identifier", "notification_id", "event"])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_nothing_a_stranger_sends_is_our_bug(hall: Hall, data: st.DataObject) -> None:
    """Random bytes, random JSON and random forms at every door: no answer is a 500."""
    hall.provider.phones.clear()
    phone = Phone(hall, "jisoo")
    await phone.c_nonce()
    path = data.draw(
        st.sampled_from(
            [
                "/issuer/token",
                "/issuer/nonce",
                "/issuer/credential",
                "/issuer/notification",
                "/issuer/par",
                "/issuer/deferred",
            ]
        )
    )
    body = data.draw(
        st.binary(max_size=200)
        | JSON.map(lambda value: json.dumps(value).encode())
        | st.dictionaries(NAMES, JSON, max_size=4).map(lambda value: json.dumps(value).encode())
    )
    kind = data.draw(st.sampled_from(["application/json", "application/x-www-form-urlencoded", "text/plain",
                                      "application/jwt"]))  # fmt: skip
    junk = data.draw(st.text("abc.{}[]-_=ABC", max_size=40))
    headers = {"Content-Type": kind, **data.draw(st.sampled_from([
        {}, {"DPoP": junk}, {"Authorization": f"DPoP {junk}"}, phone.dpop(path, "abc"), phone.attestation(),
        {"OAuth-Client-Attestation": junk, "OAuth-Client-Attestation-PoP": junk},
    ]))}  # fmt: skip
    answer = await hall.http.post(path, content=body, headers=headers)
    assert answer.status_code < 500, answer.text
    for door in (
        "/issuer/offers/",
        "/issuer/status/",
        "/issuer/authorize?request_uri=",
        "/issuer/authorize?client_id=",
    ):
        place = httpx.URL(BASE).join(door + data.draw(st.text("abc%0/?.-_", min_size=1, max_size=12)))
        assert (await hall.http.get(place)).status_code < 500
