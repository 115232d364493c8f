"""A wallet of somebody else's sends its holder to our sign-in pages, in a real browser, and gets the code back.

What only a browser can tell: the pages' policy lets the form lead back to the wallet's own address and nowhere else.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from playwright.sync_api import Page, expect

from foreign import Abroad, Given, read
from issuing import Phone
from mapae.clock import MovableClock
from soak import KOREAN_TOO
from stories.conftest import Stage

pytestmark = pytest.mark.browser
BOTH = ("phone", "desktop")
WHO = {"ko": "elderly", "en": "longname"}


@contextmanager
def wallets_own_address() -> Iterator[tuple[str, list[str]]]:
    """A native wallet listens on its own machine (RFC 8252 7.3)."""
    seen: list[str] = []

    class Back(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/cb"):
                seen.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(b"<p id=back>back in the wallet</p>")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Back)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/cb", seen
    finally:
        server.shutdown()
        server.server_close()


def pushed(stage: Stage, person: str, redirect_uri: str) -> tuple[dict[str, Any], str]:
    """What the demo says of the offer, and the address that a foreign wallet opens for it."""
    country = stage.country
    provider = country.http.post("/demo/wallet-providers", json={"name": "acme"}).json()
    message = {"person": person, "grant": "authorization-code"}
    offer: dict[str, Any] = country.http.post("/demo/offers", json=message).json()

    async def push() -> str:
        async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
            given = Given(provider, MovableClock(running=True), "https://wallet.acme.test")
            phone = Phone(Abroad(http, given.clock, given, country.base), "nobody")
            grant = (await read(phone, offer["offer"]))["grants"]["authorization_code"]
            answer = await phone.push({"issuer_state": grant["issuer_state"], "redirect_uri": redirect_uri})
            assert answer.status_code == 201, answer.text
            query = httpx.QueryParams({"client_id": given.client_id, "request_uri": answer.json()["request_uri"]})
            return f"/issuer/authorize?{query}"

    with start_blocking_portal() as portal:  # a thread of its own: the browser's driver has a loop in this one
        return offer, portal.call(push)


def sign_in(stage: Stage, page: Page, who: dict[str, str]) -> None:
    before = len(stage.country.messages(who["phone"]))
    page.fill("#name", who["name"])
    page.fill("#number", who["number"])
    page.fill("#phone", who["phone"])
    page.click("#send")
    page.fill("#code", stage.country.code(who["phone"], before))
    page.click("#go")


@pytest.mark.parametrize("language", KOREAN_TOO)
def test_from_somebody_elses_wallet_to_the_sign_in_and_back(stage: Stage, language: str) -> None:
    album, page = stage.album(language), stage.tab(language)
    with wallets_own_address() as (address, seen):
        offer, url = pushed(stage, WHO[language], address)
        page.goto(url)
        album.look(page, "authorize-check", *BOTH)
        page.click("#send")
        expect(page.locator("[aria-invalid=true]").first).to_be_visible()
        sign_in(stage, page, offer["sign_in"])
        expect(page.locator("#approve")).to_be_visible()
        album.look(page, "authorize-consent", *BOTH)
        page.click("#approve")
        expect(page.locator("#back")).to_be_visible()
    (path,) = seen
    answer = parse_qs(urlsplit(path).query)
    assert answer["code"] and answer["state"] == ["s-1"]
    assert answer["iss"] == [f"{stage.country.base}/issuer"]


def test_without_script_and_with_nothing_waiting_the_way_back_is_open(stage: Stage) -> None:
    page = stage.tab("en", script=False)
    with wallets_own_address() as (address, seen):
        _, url = pushed(stage, WHO["en"], address)
        other = stage.country.http.post("/demo/offers", json={"person": WHO["ko"]}).json()["sign_in"]
        page.goto(url)
        sign_in(stage, page, other)
        expect(page.locator("#denied")).to_be_visible()
        page.click("#refuse")
        expect(page.locator("#back")).to_be_visible()
    assert parse_qs(urlsplit(seen[0]).query)["error"] == ["access_denied"]
