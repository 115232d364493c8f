"""A person logs in to an ordinary site with the card: an unmodified Express application with express-openid-connect, a
real browser, and a wallet on the same device or on a phone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from running import free_port
from soak import long
from stories.conftest import Stage
from stories.country import Country, Resident, until
from stories.phone import PIN
from stories.test_story_examples import answers

pytestmark = [pytest.mark.browser, pytest.mark.node]
ROOT = Path(__file__).resolve().parents[2]
PARTY = "reading_club"
Site = Callable[..., str]


@pytest.fixture
def site(country: Country, tmp_path: Path) -> Iterator[Site]:
    """Starts the site, registered by the command line as docs say; its address."""
    settings = tmp_path / "club.toml"
    settings.write_text(f'data = "{country.log.parent / "var"}"\nrelying_parties = ["{PARTY}"]\n')
    running: list[subprocess.Popen[bytes]] = []

    def start(**given: str) -> str:
        port = free_port()
        here, id = f"http://localhost:{port}", f"club-{port}"
        command = [sys.executable, "-m", "mapae", "rp", "client", "add", id, "--party", PARTY]
        command += ["--redirect-uri", f"{here}/callback", "--logout-uri", here, "--config", str(settings)]
        secret = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        names = {
            "ISSUER": f"{country.base}/login",
            "PORT": str(port),
            "CLIENT_ID": id,
            "CLIENT_SECRET": secret,
            **given,
        }
        node = [str(ROOT / "tools/node"), "node", "tests/conformance/peers/site.mjs"]
        log = (tmp_path / "site.log").open("wb")
        running.append(subprocess.Popen(node, cwd=ROOT, env={**os.environ, **names}, stdout=log, stderr=log))
        until(lambda: answers(here), 20, "the site to open")
        return here

    yield start
    for one in running:
        one.terminate()
        one.wait(10)


@pytest.fixture(scope="module")
def holder(country: Country) -> Resident:
    """A resident with a card on a phone without a screen."""
    who = country.resident("justborn19")
    receive = country.register_phone(who)
    offer = country.http.post("/demo/offers", json={"person": who.key, "document": "resident_card"}).json()
    assert receive(offer["offer"]) > 0
    return who


def asked(page: Page) -> str:
    link = page.locator("#open-wallet").get_attribute("data-request")
    assert link is not None
    return link


def me(page: Page) -> dict[str, Any]:
    said: dict[str, Any] = page.evaluate("() => fetch('/me').then((answer) => answer.json())")
    return said


def test_an_unmodified_express_application_logs_a_person_in_by_phone_and_on_one_device(
    stage: Stage, country: Country, holder: Resident, site: Site
) -> None:
    here = site()
    album, page = stage.album("en"), stage.tab("en")
    page.goto(f"{here}/me")  # the site sends the browser to the bridge
    expect(page.locator("#learns")).to_contain_text("Saebom reading club")
    album.look(page, "login-ask", "phone", "desktop")

    back = country.answer(holder, asked(page))
    assert back is not None
    phone = stage.tab("en")
    phone.goto(back)
    code = phone.locator("#to-type").get_attribute("data-code")
    assert code is not None
    expect(phone.locator(".alert")).to_contain_text("close this page")
    album.look(phone, "login-code", "phone", "desktop")
    expect(page.locator("#code")).to_be_visible()  # the page has noticed by itself
    album.look(page, "login-typed", "phone", "desktop")
    page.locator("#code").fill("000000" if code != "000-000" else "111111")
    page.locator("#type-back-send").click()
    expect(page.locator("#code-error")).to_be_visible()
    page.locator("#code").fill(code.lower())
    page.keyboard.press("Enter")
    page.wait_for_url(f"{here}/me")
    by_phone = me(page)
    assert by_phone["told"] == {
        "sub": by_phone["claims"]["sub"], "name": holder.name, "birthdate": holder.born,
    }  # fmt: skip
    assert by_phone["claims"]["iss"] == f"{country.base}/login" and by_phone["claims"]["acr"].startswith(
        "urn:mapae:acr:"
    )

    page.goto(f"{here}/logout")
    expect(page.locator("body")).to_have_text("out")
    page.goto(f"{here}/me")
    back = country.answer(holder, asked(page))
    assert back is not None
    page.goto(back)  # the wallet is on this device: nothing is typed
    page.wait_for_url(f"{here}/me")
    assert me(page)["claims"]["sub"] == by_phone["claims"]["sub"]


@long
@pytest.mark.parametrize("language", ["ko", "en"])
def test_the_pages_of_the_log_in_are_whole(stage: Stage, language: str, country: Country, holder: Resident) -> None:
    """Every page in both languages and sizes, and by keyboard without script."""
    album, page = stage.album(language), stage.tab(language)
    start = "/login/authorize?" + str(
        httpx.QueryParams({
            "client_id": "sample-site", "redirect_uri": "http://localhost:3000/callback", "response_type": "code",
            "scope": "openid", "state": "s", "code_challenge": "x" * 43, "code_challenge_method": "S256",
        })
    )  # fmt: skip
    page.goto(start)
    album.look(page, "login-ask-bare", "phone", "desktop")
    page.goto(start.replace("sample-site", "nobody"))
    expect(page.locator("#why")).to_be_visible()
    album.look(page, "login-wrong", "phone", "desktop")
    page.goto(start)
    back = country.answer(holder, asked(page))
    assert back is not None
    phone = stage.tab(language)
    phone.goto(back)
    album.look(phone, "login-code", "phone", "desktop")
    for guess in ("000-000", "111-111", "222-222"):
        page.locator("#code").fill(guess)
        page.locator("#type-back-send").click()
    expect(page.locator("#verdict")).to_have_attribute("data-code", "wrong_code")
    album.look(page, "login-over", "phone", "desktop")
    phone.goto(back)
    album.look(phone, "login-code-over", "phone", "desktop")
    page.goto("/login/end")
    album.look(page, "login-off", "phone", "desktop")
    plain = stage.tab(language, script=False)
    plain.goto(start + "&response_mode=form_post")
    plain.locator("#refuse").focus()
    plain.keyboard.press("Enter")
    expect(plain.locator('input[name="error"]')).to_have_value("access_denied")


@long
def test_a_person_logs_in_with_the_wallet_of_the_country_on_one_phone(
    stage: Stage, country: Country, site: Site
) -> None:
    """The whole way a person goes: the site, the bridge, the wallet's own screen, and back to the site."""
    here = site(MODE="form_post", SCOPE="openid")
    who, phone = country.resident("oldest"), stage.phone("en")
    phone.enrol(who)
    offer = country.http.post("/demo/offers", json={"person": who.key, "document": "resident_card"}).json()
    phone.obtain(offer["offer"])
    phone.page.goto(f"{here}/me")
    phone.page.locator("#open-wallet").tap()
    phone.unlock()
    expect(phone.sees("item-login_id")).to_contain_text("value not shown")
    phone.tap("allow")
    phone.press(PIN)
    phone.page.wait_for_url(re.compile(re.escape(here)))
    assert me(phone.page)["told"].keys() == {"sub"}
