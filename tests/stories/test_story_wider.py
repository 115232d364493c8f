"""Cards by signing in, by a code on paper and after a while; paying on the same phone; and somebody nobody knows."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from soak import long
from stories.abroad import HOST, Abroad
from stories.conftest import Stage
from stories.phone import PIN, Phone

pytestmark = [pytest.mark.browser, long]


def _offer(phone: Phone, person: str, **wanted: Any) -> dict[str, Any]:
    """What `mapae demo offer` asks for."""
    answer = phone.country.http.post("/demo/offers", json={"person": person, **wanted})
    assert answer.status_code == 201, answer.text
    said: dict[str, Any] = answer.json()
    return said


def test_a_card_by_signing_in_then_a_payment_on_the_same_phone(stage: Stage) -> None:
    """OpenID4VCI 1.0 section 5 and HAIP 1.0 section 5.1: the browser goes to the issuer, and to the shop, and back."""
    who, album = stage.country.resident("twin1"), stage.album("en")
    phone = stage.phone("en")
    phone.enrol(who)
    phone.paste(_offer(phone, who.key, grant="authorization-code")["offer"])
    expect(phone.sees("offer-sign-in")).to_contain_text("localhost")
    album.look(phone.page, "wallet-offer-sign-in")
    phone.tap("accept")

    phone.page.wait_for_url("**/issuer/authorize?**")
    seen = len(phone.country.messages(who.phone))
    for field, value in (("name", who.name), ("number", who.number), ("phone", who.phone)):
        phone.page.locator(f"#{field}").fill(value)
    phone.page.locator("#send").click()
    phone.page.locator("#code").fill(phone.country.code(who.phone, seen))
    phone.page.locator("#go").click()
    phone.page.locator("#approve").click()

    phone.sees("screen-unlock")  # the wallet was left: it is locked, and remembers what came back
    assert "code=" not in phone.page.url
    phone.unlock()
    phone.sees("open-arrived")
    phone.tap("open-arrived")
    expect(phone.sees("card-name")).to_have_text(who.name)

    phone.page.goto("/shops/online_shop/")
    phone.page.locator("summary").click()
    phone.page.locator("#amount").fill("12500")
    phone.page.locator("#purpose-confirm_payment").click()
    phone.page.locator("#open-wallet").click()
    phone.unlock()
    expect(phone.sees("pay-amount")).to_have_text(re.compile("KRW\\W12,500"))
    album.look(phone.page, "wallet-payment", whole=True)
    phone.tap("allow")
    phone.press(PIN)
    expect(phone.sees("paid")).to_contain_text("12,500")
    phone.page.wait_for_url("**/shop/checks/**")  # by itself
    expect(phone.page.locator("#verdict")).to_have_attribute("data-outcome", "accepted")
    expect(phone.page.locator("#payment")).to_contain_text("12500 KRW")


def test_a_code_on_paper_a_card_that_takes_its_time_and_a_stranger_who_asks(stage: Stage) -> None:
    """OpenID4VCI 1.0 sections 4.1.1 (tx_code) and 9 (deferred); a verifier on no list is said to be one."""
    who, album = stage.country.resident("twin2"), stage.album("ko")
    phone = stage.phone("ko")
    phone.enrol(who)
    offer = _offer(phone, who.key, tx_code=True, deferred=6)
    phone.paste(offer["offer"])
    phone.tap("accept")
    code, wrong = offer["tx_code"], "".join(str(9 - int(digit)) for digit in offer["tx_code"])
    phone.sees("tx-code").fill(wrong)
    album.look(phone.page, "wallet-tx-code")
    phone.tap("tx-send")
    expect(phone.sees("problem")).to_have_attribute("data-code", "wrong_tx_code")
    phone["tx-code"].fill(code)
    phone.tap("tx-send")
    phone.sees("deferred")
    album.look(phone.page, "wallet-deferred")
    phone.tap("open-arrived")  # it comes by itself

    issuer = phone.country.http.get("/.well-known/openid-credential-issuer/issuer").json()
    configurations = issuer["credential_configurations_supported"].values()
    asked = next(one["vct"] for one in configurations if "resident" in one.get("vct", ""))
    claims = [{"path": ["name"]}, {"path": ["birth_date"]}]
    query = {"credentials": [{"id": "a", "format": "dc+sd-jwt", "meta": {"vct_values": [asked]}, "claims": claims}]}
    stranger = Abroad(phone.context, query)
    for answer in ("deny", "allow"):
        phone.paste(stranger.link)
        expect(phone.sees("asker-host")).to_have_text(HOST)
        expect(phone["asker-certificate"]).to_contain_text("Corner Shop")
        expect(phone["deny"]).to_be_focused()
        if answer == "deny":
            album.look(phone.page, "wallet-stranger", whole=True)
        phone.tap(answer)
        if answer == "allow":
            phone.press(PIN)
        phone.sees("result")
        phone.tap("done")
    assert stranger.answers[0] == "error=access_denied"
    assert stranger.answers[1].startswith("response=")
