"""Codes between a phone and a shop that have no network: shown unasked, and shown as the answer to the shop's own code.

The other side is `verifier/checking/kit.py` with the country's offline pack, reading the phone's screen as a camera
would.
"""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import zxingcpp
from anyio.from_thread import start_blocking_portal
from PIL import Image
from playwright.sync_api import expect

from mapae.errors import Code
from mapae.formats.qr import Ask
from mapae.trust.pack.keep import Keeper
from mapae.verifier.checking import kit
from mapae.verifier.checking.spent import Remembered
from soak import long
from stories.blackout import Blackout
from stories.conftest import Stage
from stories.country import until
from stories.look import Album
from stories.phone import PIN, Phone

pytestmark = pytest.mark.browser
ADULT, NAMED = "alcohol_tobacco", "name_birth_date"
TINY = {"width": 320, "height": 568}


@pytest.fixture
def country(blackout: Blackout) -> Blackout:
    return blackout


class Shop:
    """A till in a basement. What it knows of the country it fetched before."""

    def __init__(self, country: Blackout, folder: Path, id: str = "guest_house") -> None:
        self.country = country
        f = country.world.rest.foundation
        self.key = f.signer("verifier", f"access-{id}")
        self.certificate = (f.certificates.usable(f"access-{id}", self.key) or (b"",))[0]

        async def fetch() -> None:
            async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
                await Keeper(folder, None).fetch(http, country.base)

        with start_blocking_portal() as portal:  # the browser's driver has a loop in this thread
            portal.call(fetch)
        self.pack = kit.open_pack(folder)
        self.seen = Remembered()

    def ask(self, purpose: str, name: str = "") -> kit.AskCode:
        """Its code: of somebody unknown who calls itself so, or its own, signed."""
        wanted, now = kit.purpose("kr", purpose), self.country.now
        if name:
            return kit.ask_code(wanted, name=name, now=now)
        return kit.ask_code(wanted, key=self.key, certificate=self.certificate, now=now)

    def check(self, texts: list[str], ask: kit.Ask, after: int = 0) -> kit.Verdict:
        """`after`: by the clock of another till, which has seen nothing."""
        now, seen = self.country.now + timedelta(seconds=after), Remembered() if after else self.seen
        return kit.verify(texts, ask, self.pack, now=now, spent=seen)


def film(phone: Phone) -> list[str]:
    """The texts of the codes on the phone's screen, each frame once."""
    count = int(phone.sees("big-code").get_attribute("data-frames") or "0")
    seen: dict[str, None] = {}

    def look() -> list[str] | None:
        picture = Image.open(io.BytesIO(phone["code-qr"].screenshot()))
        for found in zxingcpp.read_barcodes(picture, formats=zxingcpp.BarcodeFormat.QRCode):
            seen[found.text] = None
        return list(seen) if len(seen) == count else None

    return until(look, 20, f"{count} codes on the screen")


def _ready(stage: Stage, country: Blackout, key: str, language: str = "en") -> Phone:
    """A phone with a card that the newest offline pack has heard of, and then without a network."""
    who, phone = country.resident(key), stage.phone(language)
    phone.enrol(who)
    phone.obtain(country.offer(who))
    phone.ready_offline()
    country.live(minutes=6)
    phone.context.clock.set_system_time(country.now)
    phone.tap("tab-home")
    phone.context.set_offline(True)
    return phone


def _show(phone: Phone, purpose: str) -> list[str]:
    phone.tap("show-code")
    phone.tap(f"code-{purpose}")
    phone.tap("allow")
    phone.press(PIN)
    return film(phone)


@long
def test_a_phone_without_a_network_proves_age_by_a_code_that_counts_once(
    stage: Stage, country: Blackout, tmp_path: Path
) -> None:
    phone = _ready(stage, country, "longname")
    shop, adult = Shop(country, tmp_path / "pack"), kit.purpose("kr", ADULT)
    texts = _show(phone, ADULT)

    verdict = shop.check(texts, adult)
    assert (verdict.outcome, dict(verdict.items)) == ("accepted", {"adult_by_year": True}), verdict
    assert shop.check(texts, adult).code is Code.PRESENTATION_SPENT
    phone.tap("hide-code")
    phone.tap("see-record")
    expect(phone.sees("record-result")).to_have_attribute("data-result", "sent")


@long
@pytest.mark.parametrize("language", ["ko", "en"])
def test_a_code_shows_what_was_chosen_and_is_gone_after_thirty_seconds(
    stage: Stage, country: Blackout, tmp_path: Path, language: str
) -> None:
    album = stage.album(language)
    phone = _ready(stage, country, "jisoo", language)
    shop = Shop(country, tmp_path / "pack")
    album.look(phone.page, "wallet-home-code")
    phone.tap("show-code")
    phone.sees(f"code-{ADULT}")
    album.look(phone.page, "wallet-code-choose")
    phone.tap(f"code-{NAMED}")
    expect(phone["items"].locator("li")).to_have_count(2)
    album.look(phone.page, "wallet-code-ask", whole=True)
    phone.tap("allow")
    phone.sees("confirm")
    phone.press(PIN)
    texts = film(phone)
    expect(phone.page.locator("#announce")).to_contain_text("30")
    album.look(phone.page, "wallet-code-shown")
    assert shop.check(texts, kit.purpose("kr", NAMED)).items["name"] == country.resident("jisoo").name
    assert shop.check(texts, kit.purpose("kr", NAMED), after=40).code is Code.PRESENTATION_STALE

    expect(phone["code-again"]).to_be_visible(timeout=35_000)
    expect(phone["big-code"]).to_have_count(0)
    album.look(phone.page, "wallet-code-over")
    phone.tap("code-again")
    phone.press(PIN)
    phone.page.set_viewport_size(TINY)
    phone.page.emulate_media(reduced_motion="reduce")
    again = film(phone)
    assert not set(again) & set(texts)
    album.look(phone.page, "wallet-code-tiny")


@long
@pytest.mark.parametrize("language", ["ko", "en"])
def test_the_wallet_tells_who_is_registered_from_who_is_not(
    stage: Stage, country: Blackout, tmp_path: Path, language: str
) -> None:
    album = stage.album(language)
    phone = _ready(stage, country, "jisoo", language)
    shop = Shop(country, tmp_path / "pack")
    name = {"ko": "구멍가게", "en": "Corner shop"}[language]

    known = shop.ask(NAMED)
    phone.paste(known.text)
    expect(phone.sees("asker")).to_have_attribute("data-kind", "registered")
    album.look(phone.page, "wallet-answer-registered")
    phone.tap("allow")
    phone.press(PIN)
    texts = film(phone)
    assert shop.check(texts, shop.ask(NAMED)).code is Code.WRONG_NONCE
    assert shop.check(texts, known).outcome == "accepted"
    phone.tap("hide-code")
    phone.tap("done")

    anyone = shop.ask(ADULT, name)
    phone.hold_before(anyone.text)
    expect(phone.sees("asker")).to_have_attribute("data-kind", "anyone")
    expect(phone["asker-name"]).to_contain_text(name)
    album.look(phone.page, "wallet-answer-anyone")
    phone.tap("allow")
    phone.press(PIN)
    assert shop.check(film(phone), anyone).outcome == "accepted"
    phone.tap("hide-code")
    phone.tap("done")

    _wants_too_much(phone, name, album)


def _wants_too_much(phone: Phone, name: str, album: Album) -> None:
    """Somebody unregistered asks for a name: nothing is asked of the holder, and it is in the history."""
    wants = Ask(nonce=bytes(16), purpose=NAMED, items=("name", "birth_date"), name=name)
    phone.hold_before(wants.encode())
    expect(phone.sees("problem")).to_have_attribute("data-code", "registration_required")
    expect(phone["too-much"]).to_contain_text(name)
    album.look(phone.page, "wallet-answer-refused")
    phone.tap("tab-history")
    expect(phone["record"].first).to_have_attribute("data-result", "refused")


@long
def test_copies_that_run_out_are_said_to_and_come_back_with_the_network(stage: Stage, country: Blackout) -> None:
    phone, album = _ready(stage, country, "minorbyyear"), stage.album("en")
    phone.tap("show-code")
    left = int(phone.sees("left").first.get_attribute("data-count") or "0")
    phone.tap("back")
    for _ in range(left):
        _show(phone, ADULT)
        phone.tap("hide-code")
        phone.tap("done")
    phone.tap("show-code")
    phone.sees("codes-spent")
    expect(phone[f"code-{ADULT}"]).to_be_disabled()
    album.look(phone.page, "wallet-code-spent")
    phone.tap("back")
    phone.context.set_offline(False)
    expect(phone["offline"]).to_have_count(0)
    phone.context.route("**/relay/**", lambda route: route.abort())
    phone.tap("show-code")  # a network that does not reach the relay: the wallet finds out by itself
    phone.sees(f"code-{ADULT}")
    phone.tap("back")
    phone.context.unroute_all()
    phone.tap("show-code")
    phone.tap("meet-offline")
    phone.tap(f"code-{ADULT}")
    phone.tap("allow")
    phone.press(PIN)
    phone.sees("big-code")
