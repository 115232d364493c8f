"""A purpose of a shop's own on every screen it comes to: the till, the phone, and the page that works in a basement."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from playwright.sync_api import Page, expect, sync_playwright

from mapae.founding import governors
from mapae.trust import application
from mapae.trust.entries import RelyingParty
from soak import long
from stories.basement import Customer, Tablet
from stories.blackout import Blackout
from stories.conftest import Stage
from stories.look import Album
from stories.phone import PIN

BOTH = ("phone", "desktop")
OWN = "own_corner_bakery_area"
AREA: dict[str, Any] = {
    "id": "area", "document": "resident_card", "items": ["address"], "days": 0, "risk": "medium",
    "name": {"ko": "배달 지역 확인", "en": "Delivery area"},
    "why": {"ko": "빵을 배달하는 곳에 사시는지 확인합니다.", "en": "To see whether you live where we bring our bread."},
    "legal_basis": {"ko": "전자상거래법 제13조 (주소)", "en": "E-Commerce Act, article 13 (address)"},
}  # fmt: skip
BAKERY = {"id": "corner_bakery", "name": {"ko": "모퉁이 빵집", "en": "Corner Bakery"}, "number": "123-45-67890",
          "contact": "https://corner-bakery.example/", "purposes": [{"ready": "alcohol_tobacco"}, AREA]}  # fmt: skip


def registered(http: httpx.Client, page: Page, look: Callable[[], None] = lambda: None) -> str:
    """Applied for, and agreed to on the demo's page; a code that enrols a till."""
    link = f"/rp/applications/{http.post('/rp/applications', json=BAKERY).json()['token']}"
    assert http.post(f"{link}/submit", json={}).json()["stage"] == "waiting"
    page.goto("/rp/governors")
    look()
    for name in ("governor-1", "governor-2"):
        page.click(f'button[name="governor"][value="{name}"]')
    return str(http.post(f"{link}/till", json={}).raise_for_status().json()["till"])


@long
@pytest.mark.browser
def test_the_phone_says_whose_purpose_it_is_and_on_which_law(stage: Stage) -> None:
    who, album = stage.country.resident("jisoo"), stage.album("ko")
    page = stage.tab("ko")
    code = registered(stage.country.http, page, lambda: album.look(page, "own-governors", *BOTH, whole=True))
    phone = stage.phone("ko")
    phone.enrol(who)
    phone.obtain(stage.desk("ko").offer_for(who))
    page.goto(f"/checker/?code={code}")
    page.click("#enrol")
    expect(page.locator(f"#purpose-{OWN}")).to_contain_text("배달 지역 확인")
    album.look(page, "own-choose", *BOTH)
    page.click(f"#purpose-{OWN}")
    phone.paste(str(page.locator("#qr").get_attribute("data-request")))
    phone.sees("screen-ask")
    expect(phone["own-purpose"]).to_contain_text("모퉁이 빵집")
    expect(phone.page.locator("dl.facts").first).to_contain_text("전자상거래법 제13조")
    album.look(phone.page, "own-ask", whole=True)
    phone.tap("allow")
    phone.press(PIN)
    expect(phone.sees("result")).to_have_attribute("data-outcome", "sent")
    expect(page.locator("#verdict")).to_have_attribute("data-outcome", "accepted")
    album.look(page, "own-accepted", *BOTH)


def with_area(country: Blackout) -> str:
    """The guest house's registration, changed by the country's two governors."""
    registry, foundation = country.world.log.registry, country.world.log.foundation
    made = application.check({**BAKERY, "id": "guest_house", "purposes": [AREA]})
    [own] = application.entry(made, "A" * 43, country.world.country).purposes

    async def change() -> None:
        entries = await registry.entries()
        [house] = [one for one in entries if isinstance(one, RelyingParty) and one.id == "guest_house"]
        await registry.ensure([replace(house, purposes=(*house.purposes, own))], *governors(foundation))

    country._do(change)
    return own.id


@long
@pytest.mark.browser
def test_an_enrolled_till_asks_it_in_a_basement(tmp_path: Path, album: Callable[[str], Album]) -> None:
    country = Blackout(tmp_path)
    try:
        with sync_playwright() as playwright:
            customer, look = Customer(country, country.resident("jisoo")), album("en")
            tablet = Tablet(playwright.chromium, tmp_path, country, "en")
            own = with_area(country)
            for _ in range(2):
                country.live(minutes=6)
            tablet.set_clock()
            tablet.enrol("guest_house")
            tablet.open()
            tablet.ready()
            expect(tablet[f"purpose-{own}"]).to_contain_text("Delivery area")
            expect(tablet[f"purpose-{own}"]).to_contain_text("Address")
            tablet.down()
            look.look(tablet.page, "own-basement", "phone", whole=True)
            tablet.page.click(f"#purpose-{own}")
            expect(tablet["ask"]).to_be_visible()
            look.look(tablet.page, "own-basement-ask", "phone")
            frames, asker = customer.answer(tablet["qr"].get_attribute("data-ask") or "")
            assert asker["en"] == "Pine guest house"
            tablet.hold_answer(frames)
            tablet.verdict("accepted")
            expect(tablet["shown-address"]).not_to_be_empty()
            tablet.close()
    finally:
        country.close()
