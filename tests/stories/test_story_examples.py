"""Every example runs as it stands against a demo country: a page's button, a shop's own server, a shell."""

from __future__ import annotations

import http.server
import io
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Page, expect

from running import free_port
from soak import long
from stories.conftest import Stage
from stories.country import Country, Resident, until
from stories.phone import PIN

pytestmark = pytest.mark.browser
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SHOP = "guest_house"


def key_of(country: Country, folder: Path) -> str:
    """As examples/README.md says."""
    settings = folder / "shops.toml"
    settings.write_text(f'data = "{country.log.parent / "var"}"\nrelying_parties = ["{SHOP}"]\n')
    command = [sys.executable, "-m", "mapae", "api", "key", "add", SHOP, "--config", str(settings)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def holder(country: Country) -> Resident:
    """A resident with a card on a phone without a screen."""
    who = country.resident("moved")
    receive = country.register_phone(who)
    offer = country.http.post("/demo/offers", json={"person": who.key, "document": "resident_card"}).json()
    assert receive(offer["offer"]) > 0
    return who


@pytest.fixture
def shop(country: Country, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """examples/python_site under uvicorn: its address, and the key it asks with."""
    port, key = free_port(), key_of(country, tmp_path)
    here = f"http://localhost:{port}"
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES / "python_site"), "shop:app"]
    names = {"MAPAE": country.base, "MAPAE_KEY": key, "HERE": here}
    server = subprocess.Popen([*command, "--port", str(port), "--log-level", "error"], env={**os.environ, **names})
    until(lambda: answers(here), 20, "the shop to open")
    yield here, key
    server.terminate()
    server.wait(10)


@pytest.fixture
def bar(country: Country, tmp_path: Path) -> Iterator[str]:
    """examples/age_gate.html on a server that knows nothing but files."""
    text = (EXAMPLES / "age_gate.html").read_text("utf-8").replace("http://localhost:8080", country.base)
    (tmp_path / "index.html").write_text(text, "utf-8")
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}/"
    server.shutdown()


def answers(url: str) -> bool | None:
    try:
        return httpx.get(url, trust_env=False).status_code == 200 or None
    except httpx.TransportError:
        return None


def link(page: Page) -> str:
    """What the other device's camera reads off this screen."""
    picture = Image.open(io.BytesIO(page.locator("dialog").screenshot()))
    [read] = zxingcpp.read_barcodes(picture, formats=zxingcpp.BarcodeFormat.QRCode)
    return str(read.text)


HOSTILE = {
    "id": "../x", "page": "\r\nX: y", "link": "javascript:document.title='link'", "expires_at": 1,
    "wallet_link": "javascript:document.title='wallet'", "__proto__": {"polluted": 1},
    "purpose": {"name": {"en": "<img src=x onerror=\"document.title='name'\">"}, "items": [{"en": "<b>item</b>"}, 7]},
    "qr": "data:image/svg+xml,<svg width='9' onload='x()'><path transform='scale(4)' class='qrline' d='M0\"/>'/>",
}  # fmt: skip
CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*", "Content-Type": "application/json"}
SEEN = {"state": "open", "seconds_left": "<i>9</i>", "words": None}


def test_the_examples_run(stage: Stage, country: Country, holder: Resident, shop: tuple[str, str], bar: str) -> None:
    """The button of anybody's page, the button of a shop with a key, and a shell; each answered by the same phone."""
    here, key = shop
    for language, start in (("en", bar), ("ko", f"{here}/?lang=ko")):
        album, page = stage.album(language), stage.tab(language)
        page.goto(start)
        page.locator("button").press("Enter")
        expect(page.locator(".mapae-qr")).to_be_visible()
        album.look(page, f"button-{'bar' if start == bar else 'shop'}", "phone", "desktop")
        country.show(holder, link(page))
        expect(page.locator(".mapae-verdict")).to_have_attribute("data-state", "accepted")
        album.look(page, f"button-{'bar' if start == bar else 'shop'}-done", "phone", "desktop")
        page.keyboard.press("Enter")
        expect(page.locator("dialog")).to_have_count(0)
        expect(page.locator("button")).to_be_focused()
        page.reload()
        expect(page.locator("body")).to_contain_text("beer" if start == bar else holder.name)

    hostile_server(stage.tab("en"), bar)
    script = subprocess.Popen(
        ["sh", str(EXAMPLES / "curl.sh")], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "MAPAE": country.base, "MAPAE_KEY": key},
    )  # fmt: skip
    assert script.stdout is not None
    shown = re.search(r"openid4vp://\S+", script.stdout.readline())
    assert shown is not None
    country.show(holder, shown[0])
    assert holder.name in script.communicate(timeout=30)[0]
    assert script.returncode == 0


def hostile_server(page: Page, bar: str) -> None:
    """Whatever a server says, the button makes no element, no script and no link of it."""
    page.route("**/v1/anyone/checks", lambda route: route.fulfill(body=json.dumps(HOSTILE), headers=CORS, status=201))
    page.route("**/v1/pages/**", lambda route: route.fulfill(body=json.dumps(SEEN), headers=CORS))
    page.goto(bar)
    page.locator("button").click()
    expect(page.locator(".mapae-title")).to_contain_text("<img src=x")
    expect(page.locator("dialog").locator("img, b, i, a, script, [onload]")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    assert page.evaluate("() => [document.title, ({}).polluted ?? null]") == ["Bar", None]


@long
@pytest.mark.parametrize("language", ["ko", "en"])
def test_the_wallet_says_who_is_not_registered(stage: Stage, country: Country, bar: str, language: str) -> None:
    """The screen of a question for anyone: the host and nothing else is known, and yes or no is all that goes."""
    who = country.resident({"ko": "turned17today", "en": "minorbyyear"}[language])
    phone, album = stage.phone(language), stage.album(language)
    phone.enrol(who)
    phone.obtain(
        country.http.post("/demo/offers", json={"person": who.key, "document": "resident_card"}).json()["offer"]
    )
    page = stage.tab(language)
    page.goto(bar)
    page.locator("button").click()
    expect(page.locator(".mapae-qr")).to_be_visible()
    phone.tap("back")
    phone.paste(link(page))
    expect(phone["asker"]).to_have_attribute("data-kind", "anyone")
    expect(phone["asker-host"]).to_have_text(country.base.removeprefix("http://"))
    album.look(phone.page, "wallet-ask-anyone")
    phone.tap("allow")
    phone.press(PIN)
    phone.sees("result")
    expect(page.locator(".mapae-verdict")).to_be_visible()
