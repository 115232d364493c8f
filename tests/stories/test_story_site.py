"""A shop's website: whole in both languages and at every size, and usable without script and without a mouse."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from soak import KOREAN_TOO
from stories.conftest import Stage

pytestmark = pytest.mark.browser
BOTH = ("phone", "desktop")


@pytest.mark.parametrize("language", KOREAN_TOO)
def test_a_shops_website_is_whole(stage: Stage, language: str) -> None:
    album, page = stage.album(language), stage.tab(language)
    page.goto("/shops/")
    album.look(page, "shop-list", *BOTH)
    page.locator('a[href="/shops/online_shop/"]').click()
    expect(page.locator("html")).to_have_attribute("lang", language)
    album.look(page, "shop-start", *BOTH)
    page.locator("summary").click()
    page.locator("#amount").fill("12,500")
    page.locator("#purpose-confirm_payment").click()
    expect(page.locator("#amount-error")).to_be_visible()
    album.look(page, "shop-wrong", *BOTH)
    page.locator("#amount").fill("12500")
    page.locator("#purpose-confirm_payment").click()
    expect(page.locator("#payment")).to_contain_text("12500 KRW")
    can_ask = page.evaluate("() => typeof DigitalCredential !== 'undefined'")  # the Digital Credentials API
    expect(page.locator("#ask-browser")).to_be_visible(visible=can_ask)
    album.look(page, "shop-wait", *BOTH)
    page.locator("#cancel").click()
    expect(page).to_have_url(re.compile("/shops/online_shop/$"))
    page.go_back()
    expect(page.locator("#verdict")).to_have_attribute("data-outcome", "cancelled")
    album.look(page, "shop-cancelled", *BOTH)


def test_a_shops_website_needs_neither_script_nor_mouse(stage: Stage) -> None:
    page = stage.tab("en", script=False)
    page.goto("/shops/guest_house/")
    page.locator("#purpose-alcohol_tobacco").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#open-wallet")).to_have_attribute("href", re.compile(r"^/wallet/#request=openid4vp%3A"))
    expect(page.locator("#ask-browser")).to_be_hidden()
    page.keyboard.press("Tab")
    page.locator("#again").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_attribute("data-phase", "waiting")
    page.locator("#cancel").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#purpose-alcohol_tobacco")).to_be_visible()
