"""A first IC card in real browsers: from the application on the portal to a card on the phone, and a new phone.

The weeks of factory and post pass on the movable clock. The one face in it is the astronaut's.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from clips import Studio, card_photo, jpeg
from mapae.simulators.payment import DEMO, Card
from scanning import scanned
from soak import long
from stories.conftest import Stage
from stories.counter import Desk, portal_sign_in, send, tab_to
from stories.country import Resident, until
from stories.indoors import Indoors
from stories.look import Album
from stories.phone import Phone
from stories.sitting import Line, Watch, blur, look, tomorrow

pytestmark = pytest.mark.browser

BOTH = ("phone", "desktop")
WEEKS = timedelta(days=28, hours=1)
PIN = "2468"
OFFICE = "goyang_haengsin"  # not the one nearest to the applicant


@pytest.fixture(scope="module")
def indoors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Indoors]:
    """Four weeks ago, so that the card is in its holder's hand today: browsers go by the real clock."""
    country = Indoors(tmp_path_factory.mktemp("chip"), behind=WEEKS)
    yield country
    country.close()


@long
def test_a_first_ic_card_from_the_application_to_the_phone_and_on_to_the_next_phone(
    scene: Stage, indoors: Indoors, line: Line, tmp_path: Path
) -> None:
    who, korean, english = indoors.resident("minjae"), scene.album("ko"), scene.album("en")
    portal = scene.tab("ko")
    line.watch(portal.context)
    portal_sign_in(portal, indoors, who)
    card = _apply(portal, korean)
    _pay(portal, card)
    _compare_photos(scene.desk("ko", OFFICE), card, korean)
    paper = _certificate(scene.tab("ko"), portal, card, korean)
    for days in (1, 22, 5):
        indoors.live(days=days)
        indoors.live(minutes=10)
    indoors.catch_up()
    portal_sign_in(portal, indoors, who)
    portal.goto(f"/portal/cards/{card}")
    expect(portal.locator("h1")).to_have_attribute("data-state", "at_office")
    korean.look(portal, "portal-card-steps", *BOTH)
    number = _hand_over(scene.desk("en", OFFICE), card, english)
    _paper_is_over(scene.tab("en"), paper, english)

    studio = Studio(tmp_path)
    phone = scene.phone("en")
    line.watch(phone.context)
    phone.enrol(who)
    phone.tap("open-documents")
    english.look(phone.page, "wallet-two-ways")
    phone.page.locator('[data-testid^="way-chip-"]').first.tap()
    _tap(phone, number, wrong="1357", album=english)
    _at_home(phone, studio)
    expect(phone.sees("card-name")).to_have_text(who.name)

    indoors.live(hours=25)  # a card is good for one issuance a day
    _to_the_next_phone(scene, indoors, line, who, phone, number, studio)


# --- the application ----------------------------------------------------------------------------------------------


def _apply(page: Page, album: Album) -> str:
    """A photo that will not do, said and drawn why; a better one; to be fetched at another office."""
    page.goto("/portal/cards")
    page.click('a[href="/portal/cards/new"]')
    dark = Image.open(BytesIO(card_photo("p03_a"))).point([round(at * 0.15) for at in range(256)] * 3)
    for photo in (jpeg(dark), card_photo("p03_a")):
        page.set_input_files("#photo", {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photo})
        page.click("#bring-photo button")
        if page.locator("[data-flaw]").count():
            expect(page.locator('[data-flaw="too-dark"]')).to_be_visible()
            expect(page.locator("#apply-card")).to_have_count(0)
            album.look(page, "portal-photo-refused", *BOTH)
    page.check('#why input[value="reissue"]')
    page.select_option("#pickup", OFFICE)
    album.look(page, "portal-apply", *BOTH)
    page.click("#apply-card button")
    expect(page.locator("h1")).to_have_attribute("data-state", "applied")
    return str(page.locator("h1").get_attribute("data-card"))


def _pay(page: Page, card: str) -> None:
    """On the payment company's page: one card is declined, another one pays."""
    numbers = {does: number for number, does in DEMO.items()}
    for does, state in ((Card.DECLINES, "declined"), (Card.PAYS, "paid")):
        with page.expect_popup() as opened:
            page.click("#pay")
        company = opened.value
        company.fill("#card", numbers[does])
        company.click("#pay")
        expect(company.locator("#payment")).to_have_attribute("data-state", state)
        company.close()
        if does is Card.DECLINES:
            again = page.locator('form[action$="/pay-again"] button')
            expect(again).to_be_visible(timeout=20_000)  # the page has heard by itself
            again.click()
    expect(page.locator("h1")).to_have_attribute("data-state", "paid", timeout=20_000)


def _compare_photos(desk: Desk, card: str, album: Album) -> None:
    """An officer looks at a photo that was brought online before the register has it."""
    page = desk.page
    page.goto("/desk/cards")
    page.click(f'#photos a[data-card="{card}"]')
    album.look(page, "desk-card-photos", *BOTH)
    page.check('form[action$="/confirm-photo"] input[value="yes"]')
    send(page, "/confirm-photo")
    expect(page.locator('form[action$="/confirm-photo"]')).to_have_count(0)


def _certificate(checker: Page, portal: Page, card: str, album: Album) -> str:
    """The temporary certificate: fetched as a signed page, and green at anybody's checker."""
    portal.goto(f"/portal/cards/{card}")
    send(portal, "/paper")
    file = portal.context.request.get(f"/portal/papers/{card}")
    assert file.body().startswith(b"%PDF")
    code = scanned(file.body())
    _check(checker, code, "accepted")
    album.look(checker, "checker-paper", *BOTH)
    return code


def _paper_is_over(checker: Page, code: str, album: Album) -> None:
    """The card it stood for is in its holder's hand."""
    _check(checker, code, "refused")
    expect(checker.locator("#verdict")).to_have_attribute("data-code", "revoked")
    album.look(checker, "checker-paper-over", *BOTH)


def _check(page: Page, code: str, outcome: str) -> None:
    for _ in range(10):  # a status list may be a few seconds old
        page.goto("/checker/paper")
        page.fill("#code", code)
        page.click("#check")
        if page.locator("#verdict").get_attribute("data-outcome") == outcome:
            break
        page.wait_for_timeout(1000)
    expect(page.locator("#verdict")).to_have_attribute("data-outcome", outcome)
    if page.locator("#keep").is_visible():
        page.click("#keep")


# --- the hand-over ------------------------------------------------------------------------------------------------


def _hand_over(desk: Desk, card: str, album: Album) -> str:
    """Finger, face, the old card, all by keyboard, and a PIN that only its holder types; the card's number."""
    page, keys = desk.page, desk.page.keyboard
    for stop, key in (
        ("nav a[href='/desk/cards']", "Enter"),
        (f"#hand_out a[data-card='{card}']", "Enter"),
        ("form[action$='/fingerprint'] button", "Enter"),
        ("#hand-over input[value=yes]", "Space"),
        ("#old_card", "Space"),
    ):
        tab_to(page, stop)
        keys.press(key)
    blur(page)
    album.look(page, "desk-hand-over", *BOTH)
    tab_to(page, "#hand-over button")
    keys.press("Enter")
    expect(page.locator("[data-state]").first).to_have_attribute("data-state", "handed_over")
    with page.expect_popup() as opened:
        page.click("#pin-pad")
    pad = opened.value
    number = pad.url.rpartition("/")[2]
    letter = pad.context.new_page()
    letter.goto(f"/factory/letters/{number}")
    delivered = letter.locator("#pin").inner_text()
    letter.close()
    for pin in ("0000" if delivered != "0000" else "1111", delivered):
        for field, typed in (("pin", pin), ("new", PIN), ("again", PIN)):
            pad.fill(f"#{field}", typed)
        pad.click("main form button")
        if pin != delivered:
            expect(pad.locator(".alert-refused")).to_be_visible()
            album.look(pad, "pin-pad-wrong", *BOTH)
    expect(pad.locator("#pin-set")).to_be_visible()
    pad.close()
    page.check("#pin_set")
    page.click("#activate button")
    expect(page.locator("[data-state]").first).to_have_attribute("data-state", "active")
    return number


# --- the phones ---------------------------------------------------------------------------------------------------


def _tap(phone: Phone, number: str, wrong: str = "", album: Album | None = None) -> None:
    """From what the wallet says is needed to the end of the dialogue with the chip, at the demo's simulated reader."""
    phone.tap("tap-start")
    shown = phone.sees("tap-code").inner_text()
    if album is not None:
        album.look(phone.page, "wallet-tap-code")
    with phone.context.expect_page() as opened:
        phone.tap("tap-simulated")
    reader = opened.value
    reader.set_default_timeout(60_000)
    if album is not None:
        album.look(reader, "demo-tap-choose")
    reader.select_option("#card", number)
    reader.click("#put")
    expect(reader.locator("#code")).to_have_text(shown)
    for typed in filter(None, (wrong, PIN)):
        reader.fill("#typed", typed)
        if album is not None:
            album.look(reader, "demo-tap" if typed == wrong else "demo-tap-wrong")
        reader.click("#go")
        if typed == wrong:
            expect(reader.locator("#pin-wrong")).to_be_visible()
            expect(reader.locator("form.tap-pin")).to_contain_text("2")  # tries left
    expect(reader.locator("#tapped")).to_be_visible(timeout=30_000)
    reader.close()


def _at_home(phone: Phone, studio: Studio) -> None:
    """The face, the holder's yes, and the card is there."""
    phone.sees("face-start")
    assert look(phone, studio.of("p03_a"))[0] == "match"
    phone.tap("tap-confirm")
    phone.tap("open-arrived")
    phone.sees("screen-card")


def _to_the_next_phone(
    scene: Stage, indoors: Indoors, line: Line, who: Resident, old: Phone, number: str, studio: Studio
) -> None:
    album = scene.album("ko")
    seen = len(indoors.messages(who.phone))
    phone = scene.phone("ko")
    line.watch(phone.context)
    tomorrow(phone, indoors)
    phone.enrol(who)
    album.look(phone.page, "wallet-waiting-by-card")
    phone.tap("move-by-card")
    expect(phone.sees("tap-move")).to_be_visible()
    watch = Watch()
    _tap(phone, number)
    _at_home(phone, studio)
    took = watch.seconds
    print(f"\nIC path in the browser, from the wish to the open card: {took:.1f} s of machine time")
    assert took < 60, f"path B may take a minute of machine time, and took {took:.1f} s"

    tomorrow(old, indoors)
    expect(old.next_contact_blocks()).to_have_attribute("data-why", "moved")
    expect(old["not-you"]).to_be_visible()
    scene.album("en").look(old.page, "wallet-moved")
    told = until(lambda: _stop_link(indoors, who, seen), 20, "the text message with the stop link")
    stop = scene.tab("ko")
    line.watch(stop.context)
    stop.goto(told.removeprefix(indoors.base))
    album.look(stop, "stop-link", *BOTH)
    stop.click("#stop")
    expect(stop.locator("#stopped")).to_be_visible()
    album.look(stop, "stop-link-done", *BOTH)
    expect(phone.next_contact_blocks()).to_have_attribute("data-why", "lost")


def _stop_link(indoors: Indoors, who: Resident, seen: int) -> str | None:
    texts = [one["text"] for one in indoors.messages(who.phone)]
    new = texts[: len(texts) - seen]
    return next((word for text in new for word in text.split() if "/stop/" in word), None)
