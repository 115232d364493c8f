"""A clerk's tablet that goes down to the basement, and a customer whose phone has no screen but the right codes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import httpx
import zxingcpp
from anyio.from_thread import start_blocking_portal
from PIL import Image
from playwright.sync_api import BrowserType, Locator, Page, expect

from mapae.formats.dcql import SD_JWT
from mapae.holder import MemoryStore, Person, Wallet
from stories.blackout import Blackout
from stories.camera import film, film_sequence
from stories.country import Resident, until
from stories.look import SIZES
from stories.phone import LOCALES, QUIET, Phone, chromium

T = TypeVar("T")
PAGE = "/checker/offline/"
BAR, WHO = "alcohol_tobacco", "name_birth_date"


class Customer:
    """Her wallet in Python, on the country's clock: cards from the counter, then codes with what it has kept."""

    def __init__(self, country: Blackout, who: Resident) -> None:
        self._country, self._store = country, MemoryStore()
        seen = len(country.messages(who.phone))

        async def read_code(_: Any) -> str:
            return country.code(who.phone, seen)

        async def begin(wallet: Wallet) -> None:
            await wallet.identify(Person(who.name, who.number, who.phone), read_code)
            await wallet.receive(country.offer(who))
            await wallet.codes.purposes()
            # Any question makes it keep the trust list.
            with_name = [one for one in (await wallet.codes.purposes()).purposes if one.id == WHO]
            assert with_name

        self._with(begin)

    def show(self, purpose: str = BAR, format: str = SD_JWT) -> tuple[str, ...]:
        """The texts of a code that nobody asked for."""

        async def unasked(wallet: Wallet) -> tuple[str, ...]:
            listed = (await wallet.codes.purposes()).purpose(purpose)
            chosen = next(one for one in wallet.codes.options(listed) if one.format == format)
            return wallet.codes.unasked(listed, chosen).frames

        return self._with(unasked)

    def answer(self, ask: str) -> tuple[tuple[str, ...], dict[str, str]]:
        """The texts of her answer to the shop's code, and who her phone says is asking."""

        async def answer(wallet: Wallet) -> tuple[tuple[str, ...], dict[str, str]]:
            question = await wallet.codes.open(ask)
            return wallet.codes.answer(question).frames, question.who

        return self._with(answer)

    def _with(self, deed: Callable[[Wallet], Coroutine[Any, Any, T]]) -> T:
        async def run() -> T:
            async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
                return await deed(Wallet(http, self._country.base, store=self._store, clock=self._country.world.clock))

        with start_blocking_portal() as portal:
            return portal.call(run)


def on_screen(phone: Phone) -> tuple[str, ...]:
    """The texts of the codes on a wallet's screen, each frame once, read as a camera reads them."""
    count = int(phone.sees("big-code").get_attribute("data-frames") or "0")
    seen: dict[str, None] = {}

    def look() -> tuple[str, ...] | None:
        picture = Image.open(io.BytesIO(phone["code-qr"].screenshot()))
        seen.update({found.text: None for found in zxingcpp.read_barcodes(picture)})
        return tuple(seen) if len(seen) == count else None

    return until(look, 20, f"{count} codes on the screen")


class Tablet:
    """One browser process, whose camera films what is held before it; its clock is the country's."""

    def __init__(
        self, engine: BrowserType, folder: Path, country: Blackout, language: str, *, size: str = "phone",
        dark: bool = False,
    ) -> None:  # fmt: skip
        self.country, self.language, self.film = country, language, folder / f"tablet-{language}.y4m"
        film(self.film, None)
        camera = [
            "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-video-capture={self.film}",
        ]  # fmt: skip
        self.browser = engine.launch(executable_path=chromium(), args=[*QUIET, *camera])
        self.context = self.browser.new_context(
            base_url=country.base, viewport=SIZES[size], locale=LOCALES[language], timezone_id="Asia/Seoul",
            permissions=["camera"], color_scheme="dark" if dark else "light",
        )  # fmt: skip
        self.set_clock()
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(20_000)

    def close(self) -> None:
        self.browser.close()

    def __getitem__(self, id: str) -> Locator:
        return self.page.locator(f"#{id}")

    def set_clock(self) -> None:
        """As the country's; the browser's goes on from there."""
        self.context.clock.set_system_time(self.country.now)

    def open(self) -> None:
        self.page.goto(f"{PAGE}{self.language}/")

    def enrol(self, shop: str) -> None:
        self.page.goto(self.country.till_link(shop))
        self.page.click("#enrol")
        expect(self.page).to_have_url(re.compile(r"/checker/$"))

    def ready(self, light: str = "fresh") -> None:
        expect(self["ready"]).to_have_attribute("data-state", "ready", timeout=30_000)
        expect(self["ready"]).to_have_attribute("data-light", light)

    def down(self) -> None:
        """No network from here on, and the page begins anew."""
        self.context.set_offline(True)
        self.page.reload()

    def up(self) -> None:
        self.context.set_offline(False)

    def hold(self, texts: tuple[str, ...], purpose: str = BAR) -> None:
        """Choose, and look at the customer's phone."""
        film_sequence(self.film, texts)
        self.page.click(f"#purpose-{purpose}")

    def ask(self, purpose: str = BAR) -> str:
        """Choose, and turn the screen to the customer: what her camera reads."""
        self.page.click(f"#purpose-{purpose}")
        self.page.click("#to-ask")
        expect(self["ask"]).to_be_visible()
        return self["qr"].get_attribute("data-ask") or ""

    def choose(self, purpose: str = BAR) -> None:
        """The camera sees an empty desk."""
        film(self.film, None)
        self.page.click(f"#purpose-{purpose}")
        expect(self["scan"]).to_be_visible()

    def hold_answer(self, texts: tuple[str, ...]) -> None:
        film_sequence(self.film, texts)
        self.page.click("#to-answer")

    def verdict(self, outcome: str, step: str = "", code: str = "") -> None:
        said = self["verdict"]
        expect(said).to_be_visible()
        expect(said).to_have_attribute("data-outcome", outcome)
        expect(said).to_have_attribute("data-step", step)
        expect(said).to_have_attribute("data-code", code)

    def stay(self) -> None:
        """Keep the verdict on the screen, to look at it."""
        if self["keep"].is_visible():
            self.page.click("#keep")

    def next(self) -> None:
        self.page.click("#next")
        expect(self["home"]).to_be_visible()

    def kept(self) -> str:
        """Every entry of every store this origin has in the browser, as text."""
        return str(self.page.evaluate(_EVERYTHING))


_EVERYTHING = """async () => {
  const text = (value) => value instanceof Uint8Array ? new TextDecoder('latin1').decode(value)
    : JSON.stringify(value, (_, one) => one instanceof Uint8Array ? new TextDecoder('latin1').decode(one) : one);
  const found = [JSON.stringify({ ...localStorage }), JSON.stringify({ ...sessionStorage }), document.cookie];
  for (const { name } of await indexedDB.databases()) {
    const db = await new Promise((done, no) => {
      const asked = indexedDB.open(name); asked.onsuccess = () => done(asked.result); asked.onerror = no; });
    for (const store of db.objectStoreNames) {
      const rows = db.transaction(store).objectStore(store);
      for (const all of [rows.getAllKeys(), rows.getAll()]) {
        found.push(store, ...(await new Promise((done) => { all.onsuccess = () => done(all.result); })).map(text));
      }
    }
    db.close();
  }
  for (const name of await caches.keys()) {
    for (const kept of await (await caches.open(name)).keys()) found.push('cache', kept.url);
  }
  return found.join('\\n');
}"""
