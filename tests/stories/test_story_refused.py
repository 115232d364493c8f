"""People who may not, and codes that are not theirs: refused in words, on both sides of the counter."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from playwright.sync_api import expect

import mapae
from soak import KOREAN_TOO, long
from stories.conftest import Stage

pytestmark = pytest.mark.browser
BOTH = ("phone", "desktop")

WHY = {
    "under17": "too_young",
    "cardlost": "physical_card_lost",
    "deceased": "deceased",
    "foreigner": "not_a_citizen",
    "oldphoto": "record_photo_too_old",
    "elderly": "no_phone",
}


def _sentence(language: str, code: str) -> str:
    """How the desk says this code, up to the first thing filled in."""
    words = Path(mapae.__file__).parent / "ui" / "words" / f"desk.{language}.toml"
    return str(tomllib.loads(words.read_text(encoding="utf-8"))["why"][code]).split("{")[0]


@pytest.mark.parametrize("language", KOREAN_TOO)
def test_the_desk_says_in_words_why_somebody_may_not_have_a_card(stage: Stage, language: str) -> None:
    album, desk = stage.album(language), stage.desk(language)
    for key, code in WHY.items():
        desk.find(stage.country.resident(key))
        said = desk.page.locator(".alert-warn, .alert-refused").first
        expect(said).to_contain_text(_sentence(language, code))
        album.look(desk.page, f"desk-refused-{key}", "desktop")
    desk.page.locator('form:has(input[name="kind"][value="resident_card"]):has(input[value="issue"]) button').click()
    expect(desk.page.locator(".panel-refused")).to_be_visible()
    expect(desk.page.locator("#file-application")).to_have_count(0)
    album.look(desk.page, "desk-refused", *BOTH)


def test_the_wallet_says_in_words_why_its_holder_may_not_have_a_card(stage: Stage) -> None:
    album, phone = stage.album("ko"), stage.phone("ko")
    phone.enrol(stage.country.resident("under17"))
    phone.tap("open-documents")
    card = phone.sees("document-resident_card")
    expect(card).to_have_attribute("data-state", "not_eligible")
    expect(card.locator("[data-code]")).to_have_attribute("data-code", "too_young")
    expect(card.locator("[data-code]")).not_to_be_empty()
    album.look(phone.page, "wallet-too-young")


@long
def test_another_persons_wallet_gets_nothing_and_the_officer_sees_who_knocked(stage: Stage) -> None:
    mother, stranger = stage.country.resident("parent"), stage.country.resident("guardian")
    stage.country.register_phone(mother)
    album, phone = stage.album("ko"), stage.phone("ko")
    phone.enrol(stranger)
    desk = stage.desk("ko", "sejong_hansol")
    phone.hold_before(desk.offer_for(mother))
    phone.tap("accept")
    phone.sees("problem")
    expect(phone["arrived"]).to_have_count(0)
    album.look(phone.page, "wallet-not-mine")
    expect(desk.page.locator('[data-event="refused_other_wallet"]')).to_be_visible()
    album.look(desk.page, "desk-stranger", *BOTH)


@long
def test_a_shop_hears_no_when_the_citizen_says_no(stage: Stage) -> None:
    who = stage.country.resident("firstholder")
    album, phone = stage.album("en"), stage.phone("en")
    phone.enrol(who)
    phone.obtain(stage.desk("en", "sejong_hansol").offer_for(who))
    till = stage.till("en")
    phone.paste(till.ask("adult_contract"))
    phone.tap("allow")
    phone.press("274918")
    phone.sees("result")
    till.verdict("no")  # seventeen: a true card with a true no
    till.keep()
    album.look(till.page, "checker-no", *BOTH)
    phone.tap("done")
    phone.paste(till.ask("name_birth_date"))
    phone.tap("deny")
    expect(phone.sees("result")).to_have_attribute("data-outcome", "declined")
    album.look(phone.page, "wallet-declined")
    till.verdict("declined")
    till.keep()
    album.look(till.page, "checker-declined", *BOTH)
