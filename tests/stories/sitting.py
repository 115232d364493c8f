"""Somebody in front of a phone's camera for the face check, and what goes over the line meanwhile."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Page, Request, Route, expect

from stories.indoors import Indoors
from stories.phone import Phone

BURST = re.compile(r"/issuer/face/challenges/[^/]+/burst$")
CHALLENGES = re.compile(r"/issuer/face/challenges$")


def sit(phone: Phone, film: Path) -> None:
    """From the next time the camera opens, it sees this."""
    beside = phone.film.with_suffix(".next")
    beside.unlink(missing_ok=True)
    beside.symlink_to(film)
    beside.replace(phone.film)


def look(phone: Phone, film: Path) -> tuple[str, int]:
    """One face check before this film, from "turn the camera on" or "try again"; the reason and the tries left."""
    sit(phone, film)
    begin = phone.page.locator("#face-start, #face-again")
    phone.taps += 2
    begin.first.tap()
    phone.page.locator("#face-now").tap()
    # A countdown and the burst; what was on the screen before is gone.
    expect(phone["face"]).to_have_attribute("data-stage", re.compile("deciding|result"), timeout=60_000)
    expect(phone["face-result"]).to_be_visible(timeout=60_000)
    left = re.search(r"\d+", phone["face-tries"].inner_text()) if phone["face-tries"].count() else None
    return phone["face-result"].get_attribute("data-reason") or "", int(left[0]) if left else 0


def blur(page: Page) -> None:
    """Whoever is on this page is not to be known from a picture of it."""
    page.evaluate(
        "() => document.querySelectorAll('main img, main video').forEach((one) => one.style.filter = 'blur(5px)')"
    )


_AHEAD = """(() => {
  const Real = Date, ahead = %d;
  globalThis.Date = class extends Real {
    constructor(...given) { given.length ? super(...given) : super(Real.now() + ahead); }
    static now() { return Real.now() + ahead; }
  };
})()"""


def tomorrow(phone: Phone, country: Indoors) -> None:
    """The phone's clock shows the country's time from its next page on; this one is loaded again."""
    ahead = country.now - datetime.now(UTC)
    phone.context.add_init_script(_AHEAD % round(ahead.total_seconds() * 1000))
    phone.page.reload()


class Line:
    """What browsers ask of anybody, and the pictures that went out; an upload can be exchanged on the way."""

    def __init__(self, base: str) -> None:
        self._base = base
        self.elsewhere: list[str] = []
        self.bursts: list[bytes] = []
        self.instead: bytes | None = None
        """Goes out once, in the place of the next burst."""
        self.keep = False
        """The next burst gets no farther than here."""
        self.hurried = False
        """Phones that do not look as long as they are asked to: what is told of challenges is shortened on the way."""

    def watch(self, context: BrowserContext) -> None:
        context.on("request", self._asked)
        context.route(BURST, self._burst)
        context.route(CHALLENGES, self._challenge)

    def _asked(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme in ("http", "https", "ws", "wss") and not request.url.startswith(self._base + "/"):
            self.elsewhere.append(request.url)

    def _challenge(self, route: Route) -> None:
        if not self.hurried:
            route.continue_()
            return
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "length_ms": 400, "prompts_ms": [100]})

    def _burst(self, route: Route) -> None:
        body = route.request.post_data_buffer
        assert body, "a burst without pictures"
        if self.instead is not None:
            kept, self.instead = self.instead, None
            route.continue_(post_data=kept)
            return
        self.bursts.append(body)
        if self.keep:
            self.keep = False
            route.abort()
            return
        route.continue_()


_COUNTS = "addEventListener('click', (seen) => seen.isTrusted && window.counted(), true)"


class Watch:
    """Seconds that a story's people and machines take, without those of looking at pages; and clicks on a page."""

    def __init__(self, page: Page | None = None) -> None:
        self.clicks = 0
        self._apart = 0.0
        if page is not None:
            page.expose_function("counted", self._click)
            page.add_init_script(_COUNTS)
        self._began = time.monotonic()

    def _click(self) -> None:
        self.clicks += 1

    @contextlib.contextmanager
    def apart(self) -> Iterator[None]:
        before, clicks = time.monotonic(), self.clicks
        yield
        self._apart += time.monotonic() - before
        self.clicks = clicks

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began - self._apart
