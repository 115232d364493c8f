"""A citizen's phone: Chromium of its own, at phone size, whose camera films what is held before it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from playwright.sync_api import BrowserContext, BrowserType, Locator, Page, expect

from stories.camera import film
from stories.country import Country, Resident
from stories.look import SIZES

PIN = "274918"
LOCALES = {"ko": "ko-KR", "en": "en-US"}
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def chromium() -> str:
    found = shutil.which("chromium")
    assert found, "Chromium is not installed; `make setup` installs it or says how (apt-get install chromium)"
    return found


class Phone:
    """One browser process, because the camera is the process's. `page` is the wallet."""

    def __init__(self, engine: BrowserType, folder: Path, country: Country, language: str) -> None:
        self.country, self.language = country, language
        self.taps = 0
        self.film = folder / "camera.y4m"
        film(self.film, None)
        camera = [
            "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-video-capture={self.film}",
        ]  # fmt: skip
        self.browser = engine.launch(executable_path=chromium(), args=[*QUIET, *camera])
        self.context: BrowserContext = self.browser.new_context(
            base_url=country.base, viewport=SIZES["phone"], device_scale_factor=2, is_mobile=True, has_touch=True,
            locale=LOCALES[language], timezone_id="Asia/Seoul", permissions=["camera"],
        )  # fmt: skip
        self.page: Page = self.open()

    def open(self) -> Page:
        """The wallet in a new tab."""
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.goto("/wallet/")
        return self.page

    def close(self) -> None:
        self.browser.close()

    def __getitem__(self, test_id: str) -> Locator:
        return self.page.get_by_test_id(test_id)

    def sees(self, test_id: str) -> Locator:
        """Waits until it is on the screen."""
        found = self[test_id]
        try:
            expect(found).to_be_visible(timeout=20_000)
        except AssertionError as missing:
            said = self.page.locator("#problem").first
            if said.is_visible():
                code, detail = said.get_attribute("data-code"), said.get_attribute("data-detail")
                missing.add_note(f"the wallet says {code}: {detail}")
            raise
        return found

    def tap(self, test_id: str) -> None:
        self.taps += 1
        self[test_id].tap()

    def press(self, pin: str) -> None:
        """Six taps on the number pad."""
        for digit in pin:
            self.tap(f"pin-{digit}")

    # --- the steps of the story -----------------------------------------------------------------------------------

    def identify(self, who: Resident) -> None:
        """The form of the identity check, up to the code."""
        self["name"].fill(who.name)
        front, back = who.number.split("-")
        self["number-front"].fill(front)
        self["number-back"].fill(back)
        self["phone"].fill(who.phone)
        self.tap("send-code")

    def enter_code(self, code: str) -> None:
        self["code"].fill(code)
        self.tap("check-code")

    def choose_pin(self, *, passkey: bool = False) -> None:
        for stage in ("first", "again"):
            expect(self["pin-stage"]).to_have_attribute("data-stage", stage)
            self.press(PIN)
        self.tap("passkey-on" if passkey else "passkey-skip")
        if passkey:
            self.press(PIN)
        self.sees("screen-home")

    def enrol(self, who: Resident, *, passkey: bool = False) -> None:
        """First start to the empty wallet, the code taken straight from the carrier."""
        self.tap("start")
        seen = len(self.country.messages(who.phone))
        self.identify(who)
        self.sees("code")
        self.enter_code(self.country.code(who.phone, seen))
        self.choose_pin(passkey=passkey)

    def unlock(self, pin: str = PIN) -> None:
        self.sees("screen-unlock")
        self.press(pin)

    def next_contact_blocks(self) -> Locator:
        """Starts the wallet until it has heard that it is blocked: the issuer's message to the wallet provider is
        promised with the lock and delivered a moment later."""
        blocked = self["blocked"]
        for _ in range(10):
            try:
                expect(blocked).to_be_visible(timeout=3_000)
            except AssertionError:
                self.page.reload()
            else:
                return blocked
        return self.sees("blocked")

    def hold_before(self, text: str) -> None:
        """The camera opens on this QR code."""
        film(self.film, text)
        self.tap("tab-scan")

    def paste(self, text: str) -> None:
        """The same without a camera."""
        self.tap("tab-scan")
        self.tap("paste")
        self["link"].fill(text)
        self.tap("open-link")

    def obtain(self, offer: str) -> None:
        """From the offer's text to the open card."""
        self.paste(offer)
        self.tap("accept")
        self.tap("open-arrived")
        self.sees("screen-card")

    def ready_offline(self) -> None:
        """Waits until the service worker has every file."""
        self.page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")

    def wait_for_standing(self, standing: str) -> None:
        expect(self["card-face"].first).to_have_attribute("data-standing", re.compile(standing))
