"""The button of a site, in a browser: what a server says stays text, whoever cannot see is told once, nothing is left
open."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Page, Route, expect, sync_playwright

from mapae.ui.files import STATIC
from stories.phone import QUIET, chromium

SHOP, GATE = "https://shop.example/", "https://gate.example/v1/"
HTML = f'<!doctype html><html lang="en"><script src="{GATE}button.js"></script><button data-mapae-purpose="adult">Go'
STARTED = {
    "id": "c1", "page": "p1", "typed_back": True, "link": "javascript:alert(1)", "wallet_link": "javascript:alert(1)",
    "purpose": {"name": {"en": "<img src=x onerror=alert(1)>"}, "items": [{"en": "<b>adult</b>"}]},
}  # fmt: skip


class Gate:
    """What the site's page and the gate answer; nothing else is reachable."""

    def __init__(self, page: Page) -> None:
        self.page, self.state, self.cancelled, self.slow = page, "open", 0, list[Route]()
        tried: list[tuple[int, dict[str, object]]] = [(400, {}), (503, {}), (200, {"tries_left": 4})]
        self.codes = iter([*tried, (200, {"tries_left": 0})])
        page.route("**/*", self.answer)
        page.goto(SHOP)

    def answer(self, route: Route) -> None:
        url, method = route.request.url, route.request.method
        head = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*"}
        if url == SHOP:
            return route.fulfill(body=HTML, content_type="text/html")
        if url.startswith(f"{GATE}button."):
            return route.fulfill(path=Path(STATIC) / url.rsplit("/")[-1])
        if method == "OPTIONS":
            return route.fulfill(headers=head)
        status, said = 200, dict[str, object]()
        if url.endswith("/checks"):
            if self.state == "slow":
                return self.slow.append(route)
            said = STARTED
        elif url.endswith("/code"):
            status, said = next(self.codes)
            if said.get("tries_left") == 0:
                self.state = "accepted"
        elif url.endswith("/cancel"):
            self.cancelled += 1
        else:
            said = {"state": self.state, "seconds_left": 99, "words": {"en": "<i>Confirmed</i>"}}
        return route.fulfill(status=status, body=json.dumps(said), headers=head)


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium(), args=list(QUIET))
        page = browser.new_page(locale="en-GB")
        page.set_default_timeout(10_000)
        yield page
        browser.close()


@pytest.mark.browser
def test_a_button_shows_text_tells_each_thing_once_and_leaves_nothing_open(page: Page) -> None:
    gate = Gate(page)
    dialogs: list[str] = []

    def ran(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", ran)
    page.click("[data-mapae-purpose]")
    expect(page.locator("#mapae-title")).to_have_text("<img src=x onerror=alert(1)>")
    expect(page.locator(".mapae-items li")).to_have_text("<b>adult</b>")
    assert page.locator(".mapae-dialog a").count() == 0
    expect(page.locator(".mapae-dialog")).to_contain_text("99 seconds left")
    expect(page.get_by_role("status")).to_have_text("")  # not read aloud at every look

    gate.state = "answered"
    field, error = page.locator("#mapae-code"), page.get_by_role("alert")
    expect(field).to_be_focused()
    for words in ("Six letters and digits.", "This did not work. Please try again.", "Tries left: 4"):
        field.fill("ABC123")
        field.press("Enter")
        expect(error).to_contain_text(words)
        expect(field).to_be_focused()
    field.press("Enter")
    expect(page.locator(".mapae-verdict")).to_have_text("<i>Confirmed</i>")
    expect(page.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("[data-mapae-purpose]")).to_be_focused()

    gate.state = "slow"
    page.click("[data-mapae-purpose]")
    page.keyboard.press("Escape")  # before the gate has answered at all
    expect(page.locator("dialog")).to_have_count(0)
    assert gate.cancelled == 0
    with page.expect_request("**/cancel"):
        gate.slow[0].fulfill(body=json.dumps(STARTED), headers={"Access-Control-Allow-Origin": "*"})
    assert dialogs == []
