"""The authorization code flow: what is pushed, who may say yes, and what the code is worth (RFC 6749, 7636, 9126, 9207,
9449, FAPI 2.0, OpenID4VCI 1.0 section 5, HAIP 1.0 section 4)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from authorizing import JISOO, Holder, issuer_state, waiting
from issuing import BASE, MDOC, REDIRECT, SD_JWT, Hall, Phone, Provider, must_be_whole
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.issuer.authorization_request import answer_uri, form_target, must_be_redirect
from mapae.issuer.order import Bound, Order, Terms, Wallets, Way

BY_CODE = Terms(way=Way.AUTHORIZATION_CODE)


@pytest.fixture
def hall(issuer_db: Db) -> Hall:
    return Hall(issuer_db)


async def test_from_the_push_to_the_card(hall: Hall) -> None:
    """HAIP 1.0 4: PAR, PKCE, DPoP, `iss`, scope; the card, its notification, a renewal."""
    phone = Phone(hall, "jisoo")
    holder = Holder(hall, phone)
    page = await holder.open(**await waiting(hall))
    assert [page[id].name for id in ("name", "number", "phone", "send")] == ["input", "input", "input", "button"]
    consent = await holder.sign_in(page)
    assert "Mobile Resident Card" in consent.text and "Wallets" in consent.text
    assert consent["approve"].name == consent["refuse"].name == "button"
    answer = await holder.answer(consent)
    assert set(answer) == {"from", "code", "state", "iss"}
    assert (answer["state"], answer["iss"]) == ("s-1", f"{BASE}/issuer")  # RFC 9207
    token = (await phone.exchange(answer["code"])).json()
    assert (token["token_type"], token["scope"]) == ("DPoP", f"{SD_JWT} {MDOC}")
    for configuration in (SD_JWT, MDOC):
        fetched = await phone.fetch(configuration)
        assert fetched.status_code == 200, fetched.text
        assert (await phone.tell(fetched.json()["notification_id"])).status_code == 204
    assert (await phone.renew()).status_code == 200
    assert {"opened", "scanned", "redeemed", "issued", "accepted"} <= set(await hall.told())
    await must_be_whole(hall, hall.db)


async def test_pages_are_korean_too_and_hold_forms_to_the_wallets_address(hall: Hall) -> None:
    holder = Holder(hall, Phone(hall, "jisoo"), "ko")
    page = await holder.open(**await waiting(hall))
    assert "본인확인" in page.text
    asked = await holder.browser.post(page, "/check", **JISOO)
    form = asked.form("/code")
    answer = await holder.browser._send("POST", form.action, {**form.fields, "code": "123456"})
    assert "form-action 'self' https://wallet.test;" in answer.headers["content-security-policy"]
    assert "홍지수" in answer.text and "010309" not in answer.text


# --- what is pushed ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"client_id": None}, "invalid_request"),
        ({"client_id": "another"}, "invalid_client"),
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"redirect_uri": "http://wallet.test/cb"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"request_uri": "urn:x"}, "invalid_request"),  # RFC 9126 2.1
        ({"request": "eyJ"}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "unknown"}, "invalid_scope"),
        ({"authorization_details": "[]"}, "invalid_authorization_details"),
        ({"dpop_jkt": "short"}, "invalid_request"),
        ({"issuer_state": "nobody's"}, "invalid_request"),
        ({"state": "s" * 2001}, "invalid_request"),
    ],
)
async def test_each_thing_wrong_with_a_push_has_its_error(hall: Hall, form: dict[str, Any], error: str) -> None:
    answer = await Phone(hall, "jisoo").push(form)
    assert answer.json()["error"] == error, answer.text
    assert set(answer.json()) <= {"error", "error_description"}


async def test_only_an_attested_wallet_may_push(hall: Hall) -> None:
    """HAIP 1.0 4.3: client authentication at the PAR endpoint; its proof is good once."""
    phone = Phone(hall, "jisoo")
    bare = await hall.http.post("/issuer/par", data={"client_id": phone.provider.client_id})
    assert (bare.status_code, bare.json()["error"]) == (401, "invalid_client")
    stranger = Phone(hall, "jisoo", provider=Provider(hall.clock, id="stranger"))
    assert (await stranger.push({})).json()["error"] == "invalid_client"
    headers = phone.attestation()
    assert (await phone.push({}, **headers)).status_code == 201
    assert (await phone.push({}, **headers)).json()["error"] == "invalid_client"


async def test_unknown_parameters_and_scopes_are_ignored(hall: Hall) -> None:
    """OpenID4VCI 5.1.2, 5.1.3."""
    answer = await Phone(hall, "jisoo").push({"scope": f"openid {SD_JWT} other", "resource": "x", "new": "y"})
    assert answer.status_code == 201
    assert set(answer.json()) == {"request_uri", "expires_in"} and 5 < answer.json()["expires_in"] < 600
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "uri",
    ["https://wallet.test/cb", "https://wallet.test:8443/cb?x=1", "http://127.0.0.1:41234/cb", "http://[::1]:9/cb",
     "http://localhost:8080/wallet/", "org.example.wallet:/cb", "eudi-openid4ci://authorize", "haip-vci://cb"],
)  # fmt: skip
def test_where_a_wallet_may_be_sent_back_to(uri: str) -> None:
    """FAPI 2.0 5.3.2.2, RFC 8252 7: https, loopback, or a scheme of its own."""
    must_be_redirect(uri)
    assert answer_uri(uri, {"code": "a b"}).startswith(uri) and answer_uri(uri, {"code": "a b"}).endswith("code=a+b")
    assert form_target(uri).partition(":")[0] == uri.partition(":")[0]


@pytest.mark.parametrize(
    "uri",
    ["", "https://", "http://wallet.test/cb", "http://127.0.0.1.evil.test/", "https://wallet.test/cb#fragment",
     "https://user@wallet.test/cb", "https://wallet.test\\@evil.test/", "javascript:alert(1)", "data:text/html,x",
     "file:///etc/passwd", "intent://x", "//wallet.test/cb", "/cb", "wallet.test/cb", "https://wallet.test/c b",
     "https://wallet.test/\r\nSet-Cookie:x", "https://[broken/", "https://wallet.test:99999/cb",
     "https://wallet.test/" + "x" * 2000, "view-source:https://x", "한://cb",
     # The host stands in the consent page's policy: no second directive, no second policy, no wildcard.
     "https://wallet.test;sandbox/cb", "https://wallet.test,https://evil.test/cb", "https://*/cb", "https://'self'/cb",
     # RFC 6749 3.1: what the answer says is said once.
     "https://wallet.test/cb?iss=https://evil.test", "https://wallet.test/cb?x=1&code=stolen",
     "org.wallet:/cb?%73tate"],
)  # fmt: skip
def test_where_no_browser_is_sent(uri: str) -> None:
    with pytest.raises(Refused) as refused:
        must_be_redirect(uri)
    assert refused.value.code is Code.INVALID_REQUEST


# --- the browser ------------------------------------------------------------------------------------------------------


async def test_a_request_uri_opens_in_one_browser_and_for_its_own_client(hall: Hall) -> None:
    """RFC 9126 4: used once; the same browser may load the page again. RFC 9126 2.2: bound to the client."""
    phone = Phone(hall, "jisoo")
    holder, other = Holder(hall, phone), Holder(hall, phone)
    uri = (await phone.push(await waiting(hall))).json()["request_uri"]
    assert (await holder.browser.get(holder.address(uri, "https://another.test"))).status == 400
    page = await holder.browser.get(holder.address(uri))
    assert page.status == 200 and (await holder.browser.get(holder.address(uri))).status == 200
    assert (await other.browser.get(other.address(uri))).status == 410
    assert (await other.browser.get(other.address("urn:ietf:params:oauth:request_uri:none"))).status == 404
    assert (await other.browser.get("/issuer/authorize")).status == 404
    stolen = page.form("/check")
    theirs = await other.browser.get(other.address((await phone.push({})).json()["request_uri"]))
    theirs.form("/check").fields["flow"] = stolen.fields["flow"]
    assert (await other.browser.post(theirs, "/check", **JISOO)).status == 410
    await holder.answer(await holder.sign_in(page))
    assert (await holder.browser.get(holder.address(uri))).status == 410


async def test_a_request_is_over_after_its_time(hall: Hall) -> None:
    phone = Phone(hall, "jisoo")
    holder = Holder(hall, phone)
    uri = (await phone.push(await waiting(hall))).json()["request_uri"]
    hall.clock.advance(seconds=90)
    assert (await holder.browser.get(holder.address(uri))).status == 410
    page = await holder.open()
    hall.clock.advance(minutes=15)
    assert (await holder.browser.post(page, "/check", **JISOO)).status == 410
    hall.clock.advance(hours=2)
    assert await hall.authorize.prune() == 2


async def test_a_form_of_another_site_or_page_is_refused(hall: Hall) -> None:
    holder = Holder(hall, Phone(hall, "jisoo"))
    page = await holder.open(**await waiting(hall))
    fields = page.form("/check").fields
    assert (await holder.browser._send("POST", "/issuer/authorize/check", {**fields, "csrf": "x"})).status_code == 403
    consent = await holder.sign_in(page)
    approve = consent.form("/approve")
    assert (await holder.browser._send("POST", approve.action, {"flow": approve.fields["flow"]})).status_code == 403
    holder.browser.cookies.pop("mapae_authorize")
    assert (await holder.browser._send("POST", approve.action, approve.fields)).status_code == 401


async def test_what_was_mistyped_is_said_and_the_number_is_never_sent_back(hall: Hall) -> None:
    holder = Holder(hall, Phone(hall, "jisoo"))
    page = await holder.open(**await waiting(hall))
    empty = await holder.browser.post(page, "/check", name="홍지수", number="", phone="")
    assert empty.status == 400 and empty["number-error"] and empty["name"].attributes["value"] == "홍지수"
    wrong = await holder.browser.post(page, "/check", **{**JISOO, "number": "010309-9999999"})
    assert wrong.status == 403 and wrong["number"].attributes["value"] == "" and "9999999" not in wrong.html
    asked = await holder.browser.post(page, "/check", **JISOO)
    again = await holder.browser.post(asked, "/code", code="000000")
    assert again.status == 403 and "4" in again.text
    assert (await holder.browser.post(again, "/code", code="123456"))["approve"]


async def test_nobody_says_yes_before_signing_in_or_after_saying_no(hall: Hall) -> None:
    holder = Holder(hall, Phone(hall, "jisoo"))
    page = await holder.open(**await waiting(hall))
    fields = page.form("/check").fields
    assert (await holder.browser._send("POST", "/issuer/authorize/approve", fields)).status_code == 401
    consent = await holder.sign_in(page)
    answer = await holder.answer(consent, "/refuse")
    assert (answer["error"], answer["state"], answer["iss"]) == ("access_denied", "s-1", f"{BASE}/issuer")
    form = consent.form("/approve")
    assert (await holder.browser._send("POST", form.action, form.fields)).status_code == 410


# --- who is waited for ------------------------------------------------------------------------------------------------


async def denied(holder: Holder, **form: Any) -> None:
    page = await holder.sign_in(await holder.open(**form))
    assert page.status == 403 and page["denied"] and page.find("approve") is None
    assert (await holder.answer(page, "/refuse"))["error"] == "access_denied"


async def test_somebody_without_an_application_is_told_and_the_wallet_hears_access_denied(hall: Hall) -> None:
    """The officer's evidence is the gate; signing in alone gives nobody a card."""
    await denied(Holder(hall, Phone(hall, "jisoo")))


async def test_somebody_elses_offer_is_worth_nothing(hall: Hall) -> None:
    """OpenID4VCI 5.1.3: issuer_state may have been injected."""
    state = await issuer_state(hall, await hall.offer("minho", "case-2", BY_CODE))
    await denied(Holder(hall, Phone(hall, "jisoo")), issuer_state=state)


async def test_a_wallet_that_began_may_come_without_an_offer_while_one_waits(hall: Hall) -> None:
    """HAIP 1.0 4: wallet-initiated issuance."""
    await hall.offer()
    phone = Phone(hall, "jisoo")
    assert (await phone.exchange(await Holder(hall, phone).code())).status_code == 200
    assert (await phone.fetch()).status_code == 200


async def test_the_officers_evidence_is_over_after_an_hour_and_when_the_officer_withdraws(hall: Hall) -> None:
    phone = Phone(hall, "jisoo")
    await hall.offer()
    await hall.issuer.cancel_offer("case-1")
    await denied(Holder(hall, phone))
    state = await waiting(hall)
    hall.clock.advance(hours=1)
    assert (await phone.push(state)).json()["error"] == "invalid_request"
    await denied(Holder(hall, phone))


async def test_a_phone_of_somebody_else_or_locked_is_not_waited_for(hall: Hall) -> None:
    await hall.offer()
    for phone in (Phone(hall, "minho"), Phone(hall, "jisoo", state="suspended"), Phone(hall, "jisoo", state="waiting")):
        await denied(Holder(hall, phone))
    unknown = Phone(hall, "jisoo")
    hall.provider.phones.clear()
    await denied(Holder(hall, unknown))


async def test_a_wallet_of_another_provider_comes_where_the_order_allows_it(hall: Hall) -> None:
    abroad = Provider(hall.clock, id="abroad")
    hall.trusted.append(abroad.entry)
    phone = Phone(hall, "nobody", provider=abroad)
    await hall.offer()
    await denied(Holder(hall, phone))
    state = await waiting(hall, wallets=Wallets.ATTESTED)
    assert (await phone.exchange(await Holder(hall, phone).code(**state))).status_code == 200
    assert (await phone.fetch()).status_code == 200


async def test_who_holds_the_card_on_this_phone_may_ask_again_without_a_visit(hall: Hall) -> None:
    """A wallet that lost its tokens. Another phone of the same person may not."""
    phone = await hall.carded()
    hall.clock.advance(days=3)
    await phone.c_nonce()
    assert (await phone.exchange(await Holder(hall, phone).code())).status_code == 200
    assert (await phone.fetch()).status_code == 200
    await denied(Holder(hall, Phone(hall, "jisoo", device="another phone")))
    await hall.issuer.lock("jisoo", "lost", "portal")
    await denied(Holder(hall, phone))


# --- the code ---------------------------------------------------------------------------------------------------------


async def test_a_code_is_for_one_use_and_a_second_one_ends_what_came_from_it(hall: Hall) -> None:
    """RFC 6749 4.1.2, FAPI 2.0 5.3.2.1: whoever comes second, also with another key."""
    phone, thief = Phone(hall, "jisoo"), Phone(hall, "jisoo")
    code = await Holder(hall, phone).code(**await waiting(hall))
    assert (await phone.exchange(code)).status_code == 200
    thief.verifier = phone.verifier
    assert (await thief.exchange(code)).json()["error"] == "invalid_grant"
    assert (await phone.fetch()).json()["error"] == "invalid_token"
    assert (await phone.renew()).json()["error"] == "invalid_grant"
    assert (await phone.exchange(code)).json()["error"] == "invalid_grant"
    assert (await phone.exchange(await Holder(hall, phone).code())).status_code == 200  # the order still waits


async def test_of_two_at_the_same_moment_at_most_one_gets_a_token(hall: Hall) -> None:
    phone = Phone(hall, "jisoo")
    code = await Holder(hall, phone).code(**await waiting(hall))
    await phone.c_nonce()
    answers = await asyncio.gather(*(phone.exchange(code) for _ in range(3)))
    assert [answer.status_code for answer in answers].count(200) <= 1


async def test_a_code_lives_a_minute(hall: Hall) -> None:
    phone = Phone(hall, "jisoo")
    code = await Holder(hall, phone).code(**await waiting(hall))
    hall.clock.advance(seconds=60)
    assert (await phone.exchange(code)).json()["error"] == "invalid_grant"


async def test_a_code_is_bound_to_wallet_address_verifier_and_key(hall: Hall) -> None:
    phone, other = Phone(hall, "jisoo"), Phone(hall, "jisoo")
    code = await Holder(hall, phone).code(dpop_jkt=phone.dpop_key.kid, **await waiting(hall))
    for changed in ({"redirect_uri": REDIRECT + "&"}, {"code_verifier": "v" * 43}, {"code_verifier": "short"}):
        assert (await phone.exchange(code, **changed)).json()["error"] == "invalid_grant"
    other.verifier = phone.verifier
    assert (await other.exchange(code)).json()["error"] == "invalid_grant"
    other.client, other.standing = phone.client, phone.standing
    assert (await other.exchange(code)).json()["error"] == "invalid_grant"  # its DPoP key is another (RFC 9449 10)
    assert (await phone.exchange(code)).status_code == 200


async def test_a_proof_with_the_push_binds_the_code_as_well(hall: Hall) -> None:
    """RFC 9449 10.1; a dpop_jkt beside it must be the same."""
    phone = Phone(hall, "jisoo")
    await phone.c_nonce()
    wrong = await phone.push({"dpop_jkt": phone.client.kid}, **phone.dpop("/issuer/par"))
    assert wrong.json()["error"] == "invalid_dpop_proof"
    missing = await phone.push({}, **phone.dpop("/issuer/par", nonce="old"))
    assert missing.json()["error"] == "use_dpop_nonce" and missing.headers["dpop-nonce"]
    pushed = await phone.push(await waiting(hall), **phone.dpop("/issuer/par"))
    holder = Holder(hall, phone)
    page = await holder.browser.get(holder.address(pushed.json()["request_uri"]))
    code = (await holder.answer(await holder.sign_in(page)))["code"]
    other = Phone(hall, "jisoo")
    other.client, other.standing, other.verifier = phone.client, phone.standing, phone.verifier
    assert (await other.exchange(code)).json()["error"] == "invalid_grant"
    assert (await phone.exchange(code)).status_code == 200


async def test_what_was_approved_is_worth_nothing_once_it_is_withdrawn_or_locked(hall: Hall) -> None:
    phone = Phone(hall, "jisoo")
    code = await Holder(hall, phone).code(**await waiting(hall))
    await hall.issuer.cancel_offer("case-1")
    assert (await phone.exchange(code)).json()["error"] == "invalid_grant"
    code = await Holder(hall, phone).code(**await waiting(hall))
    await hall.issuer.lock("jisoo", "lost", "portal")
    assert (await phone.exchange(code)).json()["error"] == "invalid_grant"


async def test_who_signs_in_gets_no_card_that_was_opened_for_another_wallets_keys(hall: Hall) -> None:
    """What a physical card was tapped for is bound to the phone that asked, whichever grant is used."""
    order = Order("case-1", "jisoo", "resident_card", "office-1", "officer-1", hall.evidence())
    await hall.issuer.open_offer(order, Terms(bound=Bound("the DPoP key", "and the client key of the tap")))
    phone = Phone(hall, "jisoo")
    code = await Holder(hall, phone).code()
    assert (await phone.exchange(code)).json()["error"] == "invalid_grant"


async def test_details_give_identifiers_and_scope_alone_does_not(hall: Hall) -> None:
    """OpenID4VCI 5.1.2, 6.2: where details and scope name the same credential, the details are followed."""
    phone = Phone(hall, "jisoo")
    asked = json.dumps([{"type": "openid_credential", "credential_configuration_id": SD_JWT,
                         "locations": [f"{BASE}/issuer"]}])  # fmt: skip
    code = await Holder(hall, phone).code(authorization_details=asked, scope=SD_JWT, **await waiting(hall))
    token = (await phone.exchange(code)).json()
    assert "scope" not in token
    (one,) = token["authorization_details"]
    assert (await phone.fetch()).json()["error"] == "invalid_credential_request"
    assert (await phone.fetch_identified(one["credential_identifiers"][0])).status_code == 200


async def test_a_scope_of_one_format_gives_that_format_only(hall: Hall) -> None:
    """HAIP 1.0 4.3: the scope maps to one kind of credential."""
    phone = Phone(hall, "jisoo")
    code = await Holder(hall, phone).code(scope=MDOC, **await waiting(hall))
    assert (await phone.exchange(code)).json()["scope"] == MDOC
    assert (await phone.fetch(SD_JWT)).json()["error"] == "unknown_credential_configuration"
    assert (await phone.fetch(MDOC)).status_code == 200
    code = await Holder(hall, phone).code(scope=MDOC)
    wider = json.dumps([{"type": "openid_credential", "credential_configuration_id": SD_JWT}])
    assert (await phone.exchange(code, authorization_details=wider)).json()["error"] == "invalid_authorization_details"


async def test_a_code_uses_up_the_offer_it_came_from(hall: Hall) -> None:
    """One wallet fetches an order: the QR on the desk is redeemed by whoever signed in."""
    phone, second = Phone(hall, "jisoo"), Phone(hall, "jisoo")
    offer = await hall.offer()
    scanned = await second.scan(offer)
    assert (await phone.exchange(await Holder(hall, phone).code())).status_code == 200
    assert (await second.redeem(scanned)).json()["error"] == "invalid_grant"
    assert (await phone.fetch()).status_code == 200


async def test_no_secret_and_no_name_of_the_flow_is_at_rest(hall: Hall) -> None:
    phone = Phone(hall, "jisoo")
    holder = Holder(hall, phone)
    pushed = (await phone.push(await waiting(hall))).json()["request_uri"]
    page = await holder.browser.get(holder.address(pushed))
    consent = await holder.sign_in(page)
    code = (await holder.answer(consent))["code"]
    rows = await hall.db.all("SELECT * FROM authorization_request")
    everything = b"".join(
        bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
        for row in rows
        for value in tuple(row)
    )
    for secret in (pushed, holder.browser.cookies["mapae_authorize"], "홍지수", JISOO["number"], code):
        assert secret.encode() not in everything
