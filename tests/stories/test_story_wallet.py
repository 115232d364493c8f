"""What a phone must stand: no network, a forgotten PIN, a death in the middle, a strange code, a finger."""

from __future__ import annotations

import pytest
from playwright.sync_api import Route, expect

from soak import long
from stories.conftest import Stage
from stories.phone import PIN, Phone

pytestmark = pytest.mark.browser


def test_the_wallet_opens_the_card_without_a_network_once_it_has_been_loaded(stage: Stage) -> None:
    who, album = stage.country.resident("chip"), stage.album("en")
    phone = stage.phone("en")
    phone.enrol(who)
    phone.obtain(stage.desk("en").offer_for(who))
    phone.ready_offline()

    phone.context.set_offline(True)
    phone.page.reload()
    phone.unlock()
    expect(phone["offline"]).to_be_visible()
    phone.tap("open-card")
    expect(phone.sees("card-name")).to_have_text(who.name)
    phone.wait_for_standing("valid")
    expect(phone["portrait"]).to_be_visible()
    album.look(phone.page, "wallet-offline")
    phone.tap("tab-history")
    phone.sees("history-empty")

    phone.context.set_offline(False)
    expect(phone["offline"]).to_have_count(0)


@long
def test_five_wrong_pins_lock_the_wallet_and_a_new_check_opens_an_empty_one(stage: Stage) -> None:
    who, album = stage.country.resident("birthday19today"), stage.album("en")
    phone = stage.phone("en")
    phone.enrol(who)
    phone.page.reload()
    phone.sees("screen-unlock")
    album.look(phone.page, "wallet-unlock")
    for left in (4, 3, 2, 1):
        phone.press("111222")
        expect(phone["tries"]).to_have_attribute("data-left", str(left))
    expect(phone["problem-code"]).to_have_text("wrong_pin")
    phone.press("111222")
    expect(phone.sees("blocked")).to_have_attribute("data-why", "pin")
    album.look(phone.page, "wallet-pin-locked")

    phone.page.reload()
    expect(phone.sees("blocked")).to_have_attribute("data-why", "pin")
    phone.tap("restart")
    seen = len(phone.country.messages(who.phone))
    phone.identify(who)
    phone.enter_code(phone.country.code(who.phone, seen))
    phone.choose_pin()
    phone.sees("no-cards")


def _die_at(phone: Phone, path: str) -> None:
    """The issuer does what it is asked at this address; the phone is gone before it hears the answer."""

    def answer_nobody(route: Route) -> None:
        route.fetch()
        phone.page.close()

    phone.page.route(f"**{path}", answer_nobody, times=1)


@long
def test_a_wallet_killed_in_the_middle_of_the_issuance_finishes_it_when_it_is_opened_again(stage: Stage) -> None:
    who = stage.country.resident("samename1")
    phone, desk = stage.phone("en"), stage.desk("en")
    phone.enrol(who)
    phone.paste(desk.offer_for(who))
    phone.sees("accept")
    _die_at(phone, "/issuer/token")
    with phone.page.expect_event("close"):
        phone.tap("accept")
    for path in ("/issuer/credential", "/issuer/notification"):
        phone.open()
        _die_at(phone, path)
        phone.sees("screen-unlock")
        with phone.page.expect_event("close"):
            phone.press(PIN)

    phone.open()
    phone.unlock()
    expect(phone["open-card"]).to_have_count(1)
    expect(phone["pending"]).to_have_count(0)
    phone.tap("open-card")
    expect(phone["copies"]).to_have_attribute("data-count", "10")
    desk.stage("arrived")


def test_a_code_that_is_not_for_the_wallet_is_refused_in_words(stage: Stage) -> None:
    who, album = stage.country.resident("leap"), stage.album("en")
    phone = stage.phone("en")
    phone.enrol(who)
    phone.hold_before("https://prize.example/win?you=1")
    expect(phone.sees("problem")).to_have_attribute("data-code", "bad_link")
    album.look(phone.page, "wallet-strange-code")
    phone.tap("language")
    expect(phone.page.locator("html")).to_have_attribute("lang", "ko")
    expect(phone["problem"]).to_contain_text("지갑")
    phone.tap("scan-again")
    expect(phone.sees("problem")).to_have_attribute("data-code", "bad_link")


@long
def test_a_finger_opens_the_wallet_and_confirms_what_is_shown(stage: Stage) -> None:
    who = stage.country.resident("renamed")
    phone = stage.phone("en")
    authenticator = {
        "protocol": "ctap2", "ctap2Version": "ctap2_1", "transport": "internal", "hasResidentKey": True,
        "hasUserVerification": True, "hasPrf": True, "automaticPresenceSimulation": True, "isUserVerified": True,
    }  # fmt: skip
    finger = phone.context.new_cdp_session(phone.page)
    finger.send("WebAuthn.enable")
    finger.send("WebAuthn.addVirtualAuthenticator", {"options": authenticator})
    phone.enrol(who, passkey=True)
    phone.obtain(stage.desk("en").offer_for(who))
    phone.tap("tab-settings")
    phone.tap("lock")
    phone.tap("unlock-passkey")
    phone.sees("open-card")

    till = stage.till("en")
    phone.paste(till.ask("adult_contract"))
    phone.tap("allow")
    phone.tap("confirm-passkey")
    phone.sees("result")
    till.verdict("accepted")
