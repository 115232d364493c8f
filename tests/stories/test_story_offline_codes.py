"""Codes between a phone and a shop that have no network: shown unasked, and shown as the answer to the shop's own code.

The other side is `mapae.verify` with the country's offline pack, reading the phone's screen as a camera would.
"""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import pytest
import zxingcpp
from anyio.from_thread import start_blocking_portal
from PIL import Image
from playwright.sync_api import expect

from mapae.trust.pack.keep import Keeper
from mapae.verifier import kit
from stories.conftest import Stage
from stories.country import Country, until
from stories.phone import PIN, Phone

pytestmark = pytest.mark.browser


def _pack(country: Country, folder: Path) -> kit.Pack:
    """What a shop fetched while it had a network."""

    async def fetch() -> None:
        async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
            await Keeper(folder, None).fetch(http, country.base)

    with start_blocking_portal() as portal:
        portal.call(fetch)
    return kit.open_pack(folder)


def film(phone: Phone) -> list[str]:
    """The texts of the codes on the phone's screen, each frame once."""
    code = phone.sees("big-code")
    count = int(code.get_attribute("data-frames") or "0")
    seen: dict[str, None] = {}

    def look() -> list[str] | None:
        picture = Image.open(io.BytesIO(phone["code-qr"].screenshot()))
        for found in zxingcpp.read_barcodes(picture, formats=zxingcpp.BarcodeFormat.QRCode):
            seen[found.text] = None
        return list(seen) if len(seen) == count else None

    return until(look, 20, f"{count} codes on the screen")


def _ready(stage: Stage, key: str, language: str = "en") -> Phone:
    """A phone with a card, and then without a network."""
    who, phone = stage.country.resident(key), stage.phone(language)
    phone.enrol(who)
    phone.obtain(stage.desk("en").offer_for(who))
    phone.ready_offline()
    phone.tap("tab-home")
    return phone


def test_a_phone_without_a_network_proves_age_by_a_code_that_counts_once(stage: Stage, tmp_path: Path) -> None:
    phone, album = _ready(stage, "longname"), stage.album("en")
    pack, bar = _pack(stage.country, tmp_path / "pack"), kit.purpose("kr", "alcohol_tobacco")
    phone.context.set_offline(True)
    phone.tap("show-code")
    phone.sees("code-alcohol_tobacco")
    album.look(phone.page, "wallet-code-choose")
    phone.tap("code-alcohol_tobacco")
    expect(phone["items"].locator("li")).to_have_count(1)
    album.look(phone.page, "wallet-code-ask")
    phone.tap("allow")
    phone.press(PIN)
    texts = film(phone)
    album.look(phone.page, "wallet-code")

    verdict = kit.verify(texts, bar, pack)
    assert (verdict.outcome, dict(verdict.items)) == ("accepted", {"adult_by_year": True}), verdict
    assert kit.verify(texts, bar, pack).code == "presentation_spent"
    phone.tap("hide-code")
    phone.sees("code-again")
    album.look(phone.page, "wallet-code-over")
    phone.tap("see-record")
    expect(phone.sees("record-result")).to_have_attribute("data-result", "sent")
