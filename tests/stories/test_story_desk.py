"""The officer's screen by keyboard alone, with a passkey of her own, and in a browser that runs no script."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from stories.conftest import Stage
from stories.counter import Desk, Till, portal_sign_in, send, tab_to

pytestmark = pytest.mark.browser


def test_an_officer_issues_a_card_by_keyboard_alone(stage: Stage) -> None:
    who = stage.country.resident("sunhee")
    receive = stage.country.register_phone(who)
    page = stage.tab("en")
    keys = page.keyboard
    page.goto("/desk/sign-in")
    tab_to(page, "#officer")
    for _ in range(40):
        if page.locator("#officer").input_value() == "officer-sejong_hansol":
            break
        keys.press("ArrowDown")
    tab_to(page, "#demo-sign-in button")
    keys.press("Enter")
    expect(page).to_have_url(re.compile(r"/desk/$"))

    tab_to(page, "nav a[href='/desk/search']")
    keys.press("Enter")
    expect(page).to_have_url(re.compile(r"/desk/search$"))
    tab_to(page, "#resident_number")
    keys.type(who.number)
    keys.press("Enter")
    tab_to(page, "a[data-person]")
    keys.press("Enter")
    expect(page).to_have_url(re.compile(r"/desk/people/"))
    tab_to(page, "form:has(input[name=task][value=issue]) button")
    keys.press("Enter")

    for name in ("number", "photo", "undamaged"):
        tab_to(page, f"input[name={name}][value=yes]")
        keys.press("Space")
    keys.press("Enter")  # in a form, Enter sends it
    expect(page.locator('form[action$="/card"]')).to_have_count(0)
    tab_to(page, "a[href*='route=officers']")
    keys.press("Enter")
    tab_to(page, "#two-officers-demo input[name=same][value=yes]")
    keys.press("Space")
    keys.press("Enter")
    tab_to(page, "#file-application button")
    keys.press("Enter")
    tab_to(page, "#open-offer button")
    keys.press("Enter")
    expect(page.locator("[data-qr] img")).to_be_visible()
    assert receive(page.locator("#offer-uri").input_value()) == 2
    Desk(page).stage("arrived")


def test_an_officer_signs_in_with_a_passkey_of_her_own(stage: Stage) -> None:
    album, desk = stage.album("en"), stage.desk("en", "hongcheon_eup")
    page = desk.page
    finger = page.context.new_cdp_session(page)
    finger.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2", "transport": "usb", "hasResidentKey": True, "hasUserVerification": True,
        "automaticPresenceSimulation": True, "isUserVerified": True,
    }  # fmt: skip
    finger.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    page.goto("/desk/passkeys")
    page.fill("#label", "Security key")
    page.click("#passkey-add button")
    expect(page.locator(".desk-key-name", has_text="Security key")).to_be_visible()
    album.look(page, "desk-passkeys", "phone", "desktop")
    send(page, "/desk/sign-out")
    expect(page).to_have_url(re.compile(r"/desk/sign-in"))
    page.click("#passkey-sign-in button")
    expect(page).to_have_url(re.compile(r"/desk/$"))


def test_desk_checker_and_portal_work_without_script(stage: Stage) -> None:
    who = stage.country.resident("movedin")
    receive = stage.country.register_phone(who)
    desk = stage.desk("en", script=False)
    offer = desk.offer_for(who)
    expect(desk.page.locator("[data-qr] img")).to_be_visible()
    assert receive(offer) == 2
    desk.page.reload()
    desk.stage("arrived")

    till = Till(stage.tab("en", script=False), stage.country)
    till.enrol("corner_store")
    stage.country.show(who, till.ask("alcohol_tobacco"))
    till.verdict("accepted")  # the page asks again by itself, every two seconds
    till.page.click("#next")

    portal = stage.tab("en", script=False)
    portal_sign_in(portal, stage.country, who)
    portal.goto("/portal/lost")
    portal.check("#sure")
    send(portal, "/portal/lost")
    expect(portal.locator("#locked-since")).to_be_visible()
