"""A shop in a basement: a tablet that was on the network once checks phones by their codes, and keeps nobody."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import segno
from playwright.sync_api import Playwright, Route, expect

from mapae.formats.dcql import MDOC
from soak import long
from stories.basement import BAR, PAGE, WHO, Customer, Tablet, on_screen
from stories.blackout import Blackout
from stories.conftest import Stage
from stories.look import Album
from stories.phone import PIN

BOTH = ("phone", "desktop")


@pytest.fixture
def country(blackout: Blackout) -> Blackout:
    return blackout


def opened(country: Blackout, who: str = "jisoo") -> Customer:
    """A customer with her cards, and a pack that has everything in it."""
    customer = Customer(country, country.resident(who))
    for _ in range(2):
        country.live(minutes=6)
    return customer


@pytest.mark.browser
def test_a_tablet_in_a_basement_says_green_once_and_red_to_everything_else(
    country: Blackout, playwright: Playwright, tmp_path: Path, album: Callable[[str], Album]
) -> None:
    customer, look = opened(country), album("en")
    tablet = Tablet(playwright.chromium, tmp_path, country, "en")
    tablet.open()
    tablet.ready()
    tablet.down()
    tablet.ready()  # from what it has kept
    look.look(tablet.page, "basement-home", "phone", whole=True)

    code = customer.show()
    tablet.hold(code)
    tablet.verdict("accepted")
    tablet.stay()
    look.look(tablet.page, "basement-accepted", "phone")
    tablet.next()

    tablet.hold(code)  # photographed, and shown again at once
    tablet.verdict("refused", "holder", "presentation_spent")
    tablet.next()

    photographed = customer.show(format=MDOC)
    country.live(seconds=40)
    tablet.set_clock()
    tablet.hold(photographed)
    tablet.verdict("refused", "holder", "presentation_stale")
    tablet.next()

    assert country.lock(country.resident("jisoo")) > 0
    for _ in range(2):
        country.live(minutes=6)
    tablet.set_clock()
    tablet.hold(customer.show())
    tablet.verdict("accepted")  # nobody down here can know
    tablet.next()
    tablet.up()
    tablet.page.click("#sync")
    expect(tablet["line"]).to_have_text(re.compile("has a network"))
    tablet.down()
    tablet.hold(customer.show())
    tablet.verdict("refused", "standing", "suspended")
    tablet.close()


@long
@pytest.mark.browser
def test_an_enrolled_till_asks_for_a_name_in_the_basement_and_forgets_it(
    country: Blackout, playwright: Playwright, tmp_path: Path, album: Callable[[str], Album]
) -> None:
    customer, look = opened(country), album("ko")
    who = country.resident("jisoo")
    tablet = Tablet(playwright.chromium, tmp_path, country, "ko", size="desktop")
    tablet.enrol("guest_house")
    tablet.open()
    tablet.ready()
    expect(tablet["who"]).to_have_attribute("data-till", "enrolled")
    tablet.page.click("#to-settings")
    tablet.page.check("#set-receipts")
    tablet.page.click("#settings [data-home]")
    tablet.page.wait_for_function("async () => (await indexedDB.databases()).length > 0")
    expect(tablet["line"]).not_to_have_text(re.compile("받는 중"))
    country.cut()
    tablet.down()
    tablet.ready()
    look.look(tablet.page, "basement-enrolled", *BOTH, whole=True)

    # The customer's own code, which says who she is.
    tablet.hold(customer.show(WHO), WHO)
    tablet.verdict("accepted")
    expect(tablet["shown-name"]).to_have_text(who.name)
    look.look(tablet.page, "basement-name", *BOTH)
    expect(tablet["person"]).to_have_count(0, timeout=25_000)  # by itself, and back to the start
    expect(tablet["home"]).to_be_visible()
    assert who.name not in tablet.page.content()

    # The shop's code, signed beforehand: her phone knows whose it is, and her answer is for this till alone.
    ask = tablet.ask(WHO)
    look.look(tablet.page, "basement-ask", *BOTH)
    country.restore()  # her phone has a network; the till has none
    frames, asker = customer.answer(ask)
    assert asker["ko"] in (tablet["ask-ground"].text_content() or "") or "가게" not in asker["ko"]
    tablet.hold_answer(frames)
    tablet.verdict("accepted")
    expect(tablet["shown-birth_date"]).to_contain_text(str(int(who.born[:4])))
    tablet.next()
    assert tablet["person"].count() == 0
    tablet.hold(frames, WHO)  # her answer, as if she had shown it unasked
    tablet.verdict("refused", "holder", "presentation_spent")
    tablet.next()

    kept = tablet.kept()
    assert WHO in kept and "accepted" in kept, "the counter is there"
    for secret in (who.name, who.latin, who.born, who.number, who.number[:6], "eyJ", "status/list"):
        found = [line for line in kept.splitlines() if secret in line and '"publishers"' not in line]
        assert found == [] or secret == "status/list", (secret, found[:1])

    tablet.page.click("#to-settings")
    expect(tablet["counts"].locator("tr")).to_have_count(2)
    look.look(tablet.page, "basement-settings", *BOTH, whole=True)
    tablet.page.click("#settings [data-home]")
    tablet.up()
    tablet.page.click("#sync")
    tablet.page.click("#to-settings")
    tablet.page.click("#settings [data-home]")
    expect(tablet["line"]).to_have_text(re.compile("연결되어"))
    tablet.page.click("#to-settings")
    expect(tablet["receipts-ready"]).to_be_visible()
    with tablet.page.expect_download() as saved:
        tablet.page.click("#save-receipts")
    receipts = Path(saved.value.path()).read_text(encoding="ascii").split()
    assert len(receipts) == 3
    tablet.close()


@long
@pytest.mark.browser
def test_every_way_to_hold_a_code_before_it_and_every_light(
    country: Blackout, playwright: Playwright, tmp_path: Path, album: Callable[[str], Album]
) -> None:
    customer, ko, en = opened(country), album("ko"), album("en")
    tablet = Tablet(playwright.chromium, tmp_path, country, "en", size="desktop", dark=True)
    tablet.open()
    tablet.ready()
    devtools = tablet.context.new_cdp_session(tablet.page)
    errors = devtools.send("Page.getInstallabilityErrors")["installabilityErrors"]
    devtools.detach()
    assert [one["errorId"] for one in errors if one["errorId"] != "in-incognito"] == []
    tablet.down()
    page = tablet.page

    # Anybody's question, without an account; the phone says that nobody has approved the name.
    ask = tablet.ask()
    en.look(page, "basement-ask-dark", *BOTH)
    frames, asker = customer.answer(ask)
    assert asker == {"": "A shop"}
    tablet.hold_answer(frames)
    tablet.verdict("accepted")
    tablet.stay()
    en.look(page, "basement-accepted-dark", "desktop")
    tablet.next()

    # A scanner that types; pasted text; a picture.
    tablet.choose()
    for text in customer.show():
        page.keyboard.type(text)
        page.keyboard.press("Enter")
    tablet.verdict("accepted")
    tablet.next()
    tablet.choose()
    page.click("#other-ways summary")
    en.look(page, "basement-scan-dark", *BOTH, whole=True)
    page.fill("#typed", "\n".join(reversed(customer.show())))
    page.click("#check-typed")
    tablet.verdict("accepted")
    tablet.next()
    tablet.choose()
    page.click("#other-ways summary")
    pictures = []
    for n, text in enumerate(customer.show()):
        segno.make(text, error="l", micro=False).save(str(tmp_path / f"{n}.png"), scale=6)
        pictures.append(str(tmp_path / f"{n}.png"))
    page.set_input_files("#picture", pictures)
    tablet.verdict("accepted")
    tablet.next()
    tablet.choose()
    page.click("#other-ways summary")
    page.fill("#typed", "MAPAE-ASK:ABC")
    page.click("#check-typed")
    expect(tablet["scan-note"]).to_have_text(re.compile("another kind"))
    page.click("#scan [data-home]")

    # By keys alone.
    for id in ("to-how", "print"):
        page.locator(f"#{id}").focus()
        if id == "to-how":
            page.keyboard.press("Enter")
    en.look(page, "basement-how", *BOTH, whole=True)
    page.locator("#how [data-home]").press("Enter")

    # The light: hours, days, too old; a phone whose clock is wrong.
    country.live(hours=30)
    tablet.set_clock()
    page.reload()
    tablet.ready("days")
    tablet.hold(customer.show())
    tablet.verdict("accepted")
    expect(tablet["offline"]).to_have_attribute("data-tier", "marked")
    tablet.stay()
    en.look(page, "basement-marked-dark", "phone")
    tablet.next()
    code = customer.show()
    tablet.context.clock.set_system_time(country.now.replace(year=country.now.year + 3))
    page.reload()
    tablet.ready("too_old")
    tablet.hold(code)
    tablet.verdict("refused", "issuer", "stale_pack")
    tablet.stay()
    en.look(page, "basement-stale-dark", *BOTH)
    tablet.close()

    wall = Tablet(playwright.chromium, tmp_path, country, "ko")
    wall.open()
    wall.ready()
    wall.page.click("#to-how")
    ko.look(wall.page, "basement-how", *BOTH, whole=True)
    wall.page.locator("#how [data-home]").click()
    wall.context.clock.set_system_time(country.now + timedelta(minutes=12))
    wall.page.click("#sync")
    expect(wall["clock"]).to_contain_text("12분")
    wall.close()


@long
@pytest.mark.browser
def test_the_wallet_app_and_the_tablet_meet_with_no_network_on_either_side(
    country: Blackout, playwright: Playwright, tmp_path: Path, album: Callable[[str], Album]
) -> None:
    stage = Stage(playwright.chromium, country, tmp_path, album)
    who, phone = country.resident("longname"), stage.phone("en")
    phone.enrol(who)
    phone.obtain(country.offer(who))
    phone.ready_offline()
    for _ in range(2):
        country.live(minutes=6)
    phone.context.clock.set_system_time(country.now)
    phone.tap("tab-home")
    tablet = Tablet(playwright.chromium, tmp_path, country, "en")
    tablet.open()
    tablet.ready()
    phone.context.set_offline(True)
    tablet.down()
    country.cut()

    phone.tap("show-code")
    phone.tap(f"code-{BAR}")
    phone.tap("allow")
    phone.press(PIN)
    tablet.hold(on_screen(phone))
    tablet.verdict("accepted")
    tablet.next()
    phone.tap("hide-code")
    phone.tap("done")

    phone.paste(tablet.ask())
    phone.tap("allow")
    phone.press(PIN)
    tablet.hold_answer(on_screen(phone))
    tablet.verdict("accepted")
    tablet.close()
    stage.close()


@long
@pytest.mark.browser
def test_a_new_version_of_the_page_waits_until_the_clerk_uses_it(
    country: Blackout, playwright: Playwright, tmp_path: Path
) -> None:
    opened(country)  # a country in which nobody holds a card has no status to collect
    tablet = Tablet(playwright.chromium, tmp_path, country, "en")

    def former(route: Route) -> None:
        """The same files as the version before."""
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace('"version": "', '"version": "v0'))

    tablet.context.route("**/checker/offline/sw.js", former)
    tablet.open()
    tablet.ready()
    assert "mapae-checker-v0" in str(tablet.page.evaluate("() => caches.keys()"))
    tablet.context.unroute("**/checker/offline/sw.js")
    tablet.page.evaluate("async () => { await (await navigator.serviceWorker.getRegistration()).update(); }")
    expect(tablet["update"]).to_be_visible()
    assert "mapae-checker-v0" in str(tablet.page.evaluate("() => caches.keys()")), "the old one is in use, whole"
    with tablet.page.expect_navigation():
        tablet.page.click("#use-now")
    tablet.ready()
    kept = str(tablet.page.evaluate("() => caches.keys()"))
    assert kept.count("mapae-checker-") == 1 and "mapae-checker-v0" not in kept
    tablet.close()


@long
@pytest.mark.browser
def test_without_script_the_page_says_what_is_needed(
    country: Blackout, playwright: Playwright, album: Callable[[str], Album]
) -> None:
    browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
    for language in ("ko", "en"):
        page = browser.new_context(base_url=country.base, java_script_enabled=False).new_page()
        page.goto(f"{PAGE}{language}/")
        expect(page.locator('a[href="/checker/"]').first).to_be_visible()
        expect(page.locator("#how")).to_be_visible()
        expect(page.locator("#home")).to_be_hidden()
    browser.close()
