"""The pages beside the way: empty, wrong, refused, lost. They too are whole in both languages and at every size."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from soak import KOREAN_TOO
from stories.camera import film
from stories.conftest import Stage
from stories.counter import send

pytestmark = pytest.mark.browser
BOTH = ("phone", "desktop")
TWO_PHONES = {"ko": "twophones", "en": "held"}  # the Korean one has two phones waiting
ODD = {"ko": "elderly", "en": "longname"}


@pytest.mark.parametrize("language", ["ko", "en"])
def test_pages_beside_the_way_are_whole(stage: Stage, language: str) -> None:
    album, page = stage.album(language), stage.tab(language)
    places = {
        "trust": "/trust/", "not-found": "/nowhere", "simulators": "/simulators/", "checker-paper": "/checker/paper",
        "checker-closed": "/checker/",
    }  # fmt: skip
    for name, path in places.items():
        page.goto(path)
        expect(page.locator("html")).to_have_attribute("lang", language)
        album.look(page, name, *BOTH)
    page.fill("#till-code", "AAAA-AAAA-AA")
    page.click("#enrol")
    expect(page.locator("#till-code-error")).to_be_visible()
    album.look(page, "checker-wrong-code", *BOTH)


@pytest.mark.parametrize("language", ["ko", "en"])
def test_a_code_that_is_no_certificate_is_read_by_the_camera_and_refused(stage: Stage, language: str) -> None:
    album, phone = stage.album(language), stage.phone(language)
    film(phone.film, "MAPAE-PAPER:BB8")
    phone.page.goto("/checker/paper")
    phone.page.locator("#camera").tap()
    expect(phone.page.locator("#verdict")).to_have_attribute("data-code", "malformed", timeout=20_000)
    album.look(phone.page, "checker-paper-refused")


@pytest.mark.parametrize("language", ["ko", "en"])
def test_the_portal_says_what_is_wrong_with_what_was_typed(stage: Stage, language: str) -> None:
    album, page, who = stage.album(language), stage.tab(language), stage.country.resident(ODD[language])
    page.goto("/portal/check")
    send(page, "/portal/check")
    expect(page.locator("[aria-invalid=true]").first).to_be_visible()
    album.look(page, "portal-wrong", *BOTH)
    page.fill("#name", who.name)
    page.fill("#resident_number", who.number)
    page.fill("#phone", who.phone)
    seen = len(stage.country.messages(who.phone))
    send(page, "/portal/check")
    expect(page.locator("#code")).to_be_visible()
    album.look(page, "portal-code", *BOTH)
    right = stage.country.code(who.phone, seen)
    page.fill("#code", f"{(int(right) + 1) % 1_000_000:06}")
    send(page, "/portal/code")
    expect(page.locator(".alert-refused")).to_be_visible()
    expect(page.locator(".alert-refused")).to_contain_text("4")  # tries left
    album.look(page, "portal-wrong-code", *BOTH)
    page.fill("#code", right)
    send(page, "/portal/code")
    expect(page).to_have_url(re.compile(r"/portal/$"))
    album.look(page, "portal-empty", *BOTH)


@pytest.mark.parametrize("language", KOREAN_TOO)
def test_the_desk_moves_a_person_to_a_new_phone_after_two_confirmations(stage: Stage, language: str) -> None:
    who = stage.country.resident(TWO_PHONES[language])
    album, phone = stage.album(language), stage.phone(language)
    phone.enrol(who)
    expect(phone["waiting"]).to_be_visible()
    album.look(phone.page, "wallet-waiting")

    desk = stage.desk(language)
    page = desk.page
    page.goto("/desk/search")
    page.locator("form:has(#birth_date) button[type=submit]").click()
    expect(page.locator("[aria-invalid=true]").first).to_be_visible()
    album.look(page, "desk-search-wrong", *BOTH)
    desk.open_case(who)
    album.look(page, "desk-two-phones", *BOTH)
    desk.two_officers()
    page.locator('a[href*="/move?device="]').last.click()  # the phone that came last
    expect(page.locator("#asked")).to_be_visible()
    album.look(page, "desk-move", *BOTH)
    page.check("#asked")
    page.check("#ends")
    send(page, "/move")
    expect(page).to_have_url(re.compile(r"/desk/cases/[^/]+$"))
    album.look(page, "desk-moved", *BOTH)

    phone.page.reload()
    phone.unlock()
    phone.sees("screen-home")
    expect(phone["waiting"]).to_have_count(0)
