"""The main job in real browsers: a card at the counter, shown in a shop; the phone is lost, and the shop refuses."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import Page, expect

from soak import KOREAN_TOO
from stories.conftest import Stage
from stories.counter import Desk, Till, portal_sign_in, send
from stories.country import Resident
from stories.look import Album
from stories.phone import PIN, Phone

BOTH = ("phone", "desktop")
PEOPLE = {"ko": "jisoo", "en": "minjae"}


@pytest.mark.browser
@pytest.mark.parametrize("language", KOREAN_TOO)
def test_a_card_from_the_counter_proves_age_in_a_shop_until_the_phone_is_lost(stage: Stage, language: str) -> None:
    who, album = stage.country.resident(PEOPLE[language]), stage.album(language)
    _start_page(stage.tab(language), album)
    phone = stage.phone(language)
    _first_start(phone, stage.tab(language), who, album)
    _documents(phone, album)

    _at_the_counter(Desk(stage.tab(language)), phone, who, album)
    phone.wait_for_standing("valid")

    till = Till(stage.tab(language), stage.country)
    _enrol_till(till, album)
    _prove_adult(till, phone, album)
    _history(phone, album)
    _name_and_birth_date_by_mdoc(till, phone, who, album)

    _lose_the_phone(stage, till, phone, who, album)


def _start_page(page: Page, album: Album) -> None:
    page.goto("/")
    album.look(page, "start", *BOTH)


def _first_start(phone: Phone, inbox: Page, who: Resident, album: Album) -> None:
    """Welcome, identity check with the code from the carrier's inbox, PIN, the offer of a passkey, the empty wallet."""
    phone.sees("screen-welcome")
    album.look(phone.page, "wallet-welcome")
    phone.tap("start")
    phone.sees("screen-identity")
    album.look(phone.page, "wallet-identity")
    phone.identify(who)
    phone.sees("code")
    inbox.goto("/carrier/inbox")
    inbox.fill("#phone", who.phone)
    inbox.locator("main form button").click()
    message = inbox.locator("#messages [data-message]").first
    expect(message).to_be_visible()
    album.look(inbox, "inbox", *BOTH)
    album.look(phone.page, "wallet-code")
    found = re.search(r"\b\d{6}\b", message.inner_text())
    assert found
    phone.enter_code(found[0])
    phone.sees("pin-stage")
    album.look(phone.page, "wallet-pin")
    phone.press("123456")
    expect(phone["problem-code"]).to_have_text("weak_pin")
    phone.press(PIN)
    expect(phone["pin-stage"]).to_have_attribute("data-stage", "again")
    phone.press(PIN)
    phone.sees("passkey-skip")
    album.look(phone.page, "wallet-passkey")
    phone.tap("passkey-skip")
    phone.sees("no-cards")
    album.look(phone.page, "wallet-empty")
    phone.tap("tab-scan")
    expect(phone.page.locator("m-scanner video")).to_have_js_property("paused", False)
    album.look(phone.page, "wallet-scan")
    phone.tap("tab-home")


def _documents(phone: Phone, album: Album) -> None:
    phone.tap("open-documents")
    expect(phone["document-resident_card"]).to_have_attribute("data-state", "available")
    album.look(phone.page, "wallet-documents")
    phone.tap("back")
    phone.sees("screen-home")


def _at_the_counter(desk: Desk, phone: Phone, who: Resident, album: Album) -> None:
    """Sign-in with the software authenticator, search, both checks, filing, the QR; the wallet's camera reads it."""
    page = desk.page
    page.goto("/desk/sign-in")
    album.look(page, "desk-sign-in", *BOTH)
    desk.sign_in("goyang_juyeop")
    page.goto("/desk/search")
    album.look(page, "desk-search", *BOTH)
    desk.find(who)
    album.look(page, "desk-person", *BOTH)
    page.locator('form:has(input[name="kind"][value="resident_card"]):has(input[value="issue"]) button').click()
    expect(page).to_have_url(re.compile(r"/desk/cases/[^/]+$"))
    expect(page.locator("h1")).to_be_visible()
    album.look(page, "desk-case", *BOTH, whole=True)
    desk.check_card()
    desk.two_officers()
    desk.file()
    album.look(page, "desk-filed", *BOTH)
    offer = desk.show_qr()
    album.look(page, "desk-qr", *BOTH)

    phone.hold_before(offer)
    phone.sees("screen-offer")
    album.look(phone.page, "wallet-offer")
    phone.tap("accept")
    phone.sees("arrived")
    album.look(phone.page, "wallet-arrived")
    desk.stage("arrived")
    album.look(page, "desk-done", *BOTH)
    page.goto("/desk/?show=closed")
    album.look(page, "desk-list", *BOTH)

    phone.tap("open-arrived")
    phone.sees("screen-card")
    album.look(phone.page, "wallet-card")
    phone.tap("details")
    expect(phone["claim-name"]).to_have_text(who.name)
    expect(phone["claim-resident_number"]).not_to_contain_text(who.number)
    album.look(phone.page, "wallet-details", whole=True)


def _enrol_till(till: Till, album: Album) -> None:
    till.page.goto(till.country.till_link("guest_house"))
    album.look(till.page, "checker-enrol", *BOTH)
    till.page.click("#enrol")
    expect(till.page.locator("#shop-name")).to_be_visible()
    album.look(till.page, "checker-choose", *BOTH)


def _prove_adult(till: Till, phone: Phone, album: Album) -> None:
    """The shop asks; the wallet says who asks, for what and for how long it is kept; PIN; green."""
    request = till.ask("alcohol_tobacco")
    album.look(till.page, "checker-waiting", *BOTH)
    phone.hold_before(request)
    phone.sees("screen-ask")
    expect(phone["item-adult_by_year"]).to_be_visible()
    expect(phone["items"].locator("li")).to_have_count(1)
    expect(phone["purpose"]).not_to_be_empty()
    expect(phone["retention"]).not_to_be_empty()
    album.look(phone.page, "wallet-ask")
    phone.tap("allow")
    phone.sees("confirm")
    album.look(phone.page, "wallet-confirm")
    phone.press(PIN)
    expect(phone.sees("result")).to_have_attribute("data-outcome", "sent")
    till.verdict("accepted")
    till.keep()
    album.look(till.page, "checker-accepted", *BOTH)
    album.look(phone.page, "wallet-shown")


def _history(phone: Phone, album: Album) -> None:
    phone.tap("see-record")
    expect(phone.sees("record-result")).to_have_attribute("data-result", "sent")
    expect(phone["item-adult_by_year"]).to_be_visible()
    album.look(phone.page, "wallet-record")
    phone.tap("tab-history")
    expect(phone["record"]).to_have_count(1)
    album.look(phone.page, "wallet-history")
    phone.tap("tab-settings")
    phone.sees("screen-settings")
    album.look(phone.page, "wallet-settings")


def _name_and_birth_date_by_mdoc(till: Till, phone: Phone, who: Resident, album: Album) -> None:
    phone.hold_before(till.ask("name_birth_date", "mdoc"))
    phone.sees("screen-ask")
    album.look(phone.page, "wallet-ask-name")
    phone.tap("allow")
    phone.press(PIN)
    verdict = till.verdict("accepted")
    expect(verdict).to_have_attribute("data-format", "mdoc")
    expect(till.page.locator("#shown-name")).to_have_text(who.name)
    expect(till.page.locator("#shown-birth_date")).to_contain_text(re.compile(who.born[:4]))
    album.look(till.page, "checker-name", *BOTH)
    till.page.click("#next")
    expect(till.page.locator("#purpose-name_birth_date")).to_be_visible()
    phone.tap("done")


def _lose_the_phone(stage: Stage, till: Till, phone: Phone, who: Resident, album: Album) -> None:
    """The thief has the PIN and a question open on the screen; within five seconds of the report the shop refuses."""
    portal = stage.tab(album.language)
    portal.goto("/portal/")
    album.look(portal, "portal-welcome", *BOTH)
    portal.goto("/portal/check")
    album.look(portal, "portal-check", *BOTH)
    portal_sign_in(portal, stage.country, who)
    album.look(portal, "portal-home", *BOTH)
    portal.goto("/portal/lost")
    album.look(portal, "portal-lost", *BOTH)

    phone.hold_before(till.ask("alcohol_tobacco"))
    phone.sees("allow").tap()
    phone.sees("confirm")
    phone.press(PIN[:-1])  # one digit away: what is measured is the country, not the typing
    portal.check("#sure")
    reported = time.monotonic()
    send(portal, "/portal/lost")
    expect(portal.locator("#locked-since")).to_be_visible()
    phone.press(PIN[-1])
    verdict = till.verdict("refused")
    assert time.monotonic() - reported < 5
    expect(verdict).to_have_attribute("data-step", "standing")
    expect(verdict).to_have_attribute("data-code", "suspended")
    till.keep()
    album.look(till.page, "checker-refused", *BOTH)
    album.look(portal, "portal-locked", *BOTH)

    # At its next contact the wallet hears of the report, and its cards are gone, also for the start after that.
    expect(phone.next_contact_blocks()).to_have_attribute("data-why", "lost")
    album.look(phone.page, "wallet-lost")
    phone.page.reload()
    expect(phone.sees("blocked")).to_have_attribute("data-why", "lost")
