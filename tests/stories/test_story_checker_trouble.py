"""The checker page that works offline, where something goes wrong around it; and in a country that has just begun."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Playwright, expect

from soak import long
from stories.basement import BAR, Customer, Tablet
from stories.blackout import Blackout

_HIDDEN = """(hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
_LIVE = "() => document.querySelector('#video').srcObject?.active === true"
_FULL = """() => {
  window.put = IDBObjectStore.prototype.put;
  IDBObjectStore.prototype.put = () => { throw new DOMException("full", "QuotaExceededError"); };
}"""


@pytest.fixture
def country(blackout: Blackout) -> Blackout:
    return blackout


@long
@pytest.mark.browser
def test_a_tablet_says_that_nobody_holds_a_card_yet_and_whose_fault_a_failure_is(
    country: Blackout, playwright: Playwright, tmp_path: Path
) -> None:
    for _ in range(2):
        country.live(minutes=6)
    tablet = Tablet(playwright.chromium, tmp_path, country, "en")
    page = tablet.page
    # The server's first seconds: it has no pack yet.
    page.route("**/checker/offline/pack", lambda route: route.fulfill(status=503, json={"error": "unavailable"}))
    tablet.open()
    expect(tablet["ready-light"]).to_contain_text("has just started")
    expect(tablet["trouble"]).to_be_hidden()
    page.unroute("**/checker/offline/pack")  # it looks again by itself
    expect(tablet["ready"]).to_have_attribute("data-state", "nobody", timeout=30_000)
    expect(tablet["ready-title"]).to_contain_text("nobody holds a card")
    customer = Customer(country, country.resident("jisoo"))
    for _ in range(2):
        country.live(minutes=6)
    tablet.set_clock()
    tablet.ready()  # by itself

    # A reader keeps its place, whatever is fetched.
    page.focus(f"#purpose-{BAR}")
    country.live(minutes=6)
    tablet.set_clock()
    with page.expect_response("**/checker/offline/pack"):
        page.evaluate("() => document.querySelector('#sync').click()")
    page.wait_for_timeout(500)
    expect(tablet[f"purpose-{BAR}"]).to_be_focused()

    # A hotel's sign-in page in place of the server.
    page.route("**/checker/offline/till", lambda route: route.fulfill(body="<html>Welcome", content_type="text/html"))
    page.click("#sync")
    expect(tablet["trouble"]).to_contain_text("not with our server")
    page.unroute("**/checker/offline/till")
    page.click("#sync")
    expect(tablet["trouble"]).to_be_hidden()

    # Nobody looks: no camera.
    tablet.choose()
    page.wait_for_function(_LIVE)
    page.evaluate(_HIDDEN, True)
    assert not page.evaluate(_LIVE)
    page.evaluate(_HIDDEN, False)
    page.wait_for_function(_LIVE)
    page.click("#scan [data-home]")
    assert not page.evaluate(_LIVE)

    # Down in the basement, by the address that people remember.
    tablet.context.set_offline(True)
    page.goto("/checker/offline/")
    tablet.ready()
    tablet.up()

    # A full disk is not the card's fault, and nothing counts that could not be written down.
    page.evaluate(_FULL)
    tablet.hold(customer.show())
    tablet.verdict("refused", "", "storage")
    expect(tablet["verdict-reason"]).to_contain_text("not the card's fault")
    page.evaluate("() => { IDBObjectStore.prototype.put = window.put; }")
    page.click("#keep")
    expect(tablet["next"]).to_be_focused()
    tablet.next()
    tablet.hold(customer.show())
    tablet.verdict("accepted")
    tablet.close()
