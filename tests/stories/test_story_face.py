"""Path A in real browsers, with photographs of people before the phone's camera and the verifier that ships.

The photographs lie in archives that `make setup` downloads. The White House's are in no picture this story takes: the
only face in them is the astronaut's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from clips import Studio, card_photo
from mapae.issuer.face.clips import Kind
from mapae.issuer.face.wire import Burst
from soak import long
from stories.conftest import Stage
from stories.counter import send
from stories.country import Resident
from stories.indoors import Indoors
from stories.look import SIZES, Album
from stories.phone import LOCALES, Phone
from stories.sitting import Line, Watch, blur, look, sit

pytestmark = pytest.mark.browser

BOTH = ("phone", "desktop")
JPEG = b"\xff\xd8\xff"


@pytest.fixture(scope="module")
def indoors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Indoors]:
    country = Indoors(tmp_path_factory.mktemp("face"))
    yield country
    country.close()


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(tmp_path_factory.mktemp("films"))


class Counter:
    """Somebody with a wallet before an officer: card looked at, application filed, QR on the desk's screen."""

    def __init__(
        self,
        scene: Stage,
        line: Line,
        who: Resident,
        language: str = "en",
        before: Callable[[Phone], None] | None = None,
    ) -> None:
        self.phone = scene.phone(language)
        line.watch(self.phone.context)
        if before is not None:
            before(self.phone)
        self.phone.enrol(who)
        self.desk = scene.desk(language)
        line.watch(self.desk.page.context)
        self.watch = Watch(self.desk.page)
        self.phone.taps = 0
        self.desk.open_case(who)
        self.desk.check_card()
        self.desk.file()
        self.offer = self.desk.show_qr()

    def scan(self) -> None:
        self.phone.hold_before(self.offer)
        self.phone.tap("accept")
        self.phone.sees("face-start")

    def told(self, event: str, words: str) -> None:
        """The officer's screen says so by itself."""
        seen = self.desk.page.locator(f'#offer-events [data-event="{event}"]').first
        expect(seen).to_contain_text(words, timeout=20_000)
        expect(self.desk.page.locator("#face-check")).to_contain_text(words)


@long
def test_a_portrait_from_the_webcam_then_the_card_with_a_real_face_check(
    scene: Stage, indoors: Indoors, line: Line, studio: Studio
) -> None:
    """The demo's "You", from taking the portrait to the open card."""
    who, album = indoors.resident("you"), scene.album("ko")
    counter = Counter(scene, line, who, "ko", before=lambda phone: _portrait(phone, line, studio, album))
    phone, desk, watch = counter.phone, counter.desk, counter.watch
    counter.scan()
    with watch.apart():
        taps = phone.taps
        album.look(phone.page, "wallet-face-consent")
        phone.tap("face-decline")
        album.look(phone.page, "wallet-face-declined")
        phone.tap("face-back")
        _framing(phone, studio, album)
        phone.taps = taps

    assert look(phone, studio.of("p03_a"))[0] == "match"
    counter.told("face_matched", "얼굴")
    with watch.apart():
        album.look(phone.page, "wallet-await-officer")
        blur(desk.page)
        album.look(desk.page, "desk-face", *BOTH)
    desk.check_face()
    phone.tap("open-arrived")  # it comes by itself
    expect(phone.sees("card-name")).to_have_text(who.name)
    desk.stage("arrived")
    _under_three_minutes(watch, phone.taps)


def _under_three_minutes(watch: Watch, taps: int) -> None:
    """The counter's path from the name typed in to the open card. What people take is an estimate: each click and tap
    four seconds with reading, and three times a quarter of a minute for typing, for the card, and for the face."""
    people = 4 * (watch.clicks + taps) + 3 * 15
    print(f"\nCounter: {watch.seconds:.1f} s of machine time, {watch.clicks} clicks, {taps} taps, people {people} s")
    assert watch.seconds + people < 180, (watch.seconds, watch.clicks, taps)


@long
def test_an_upload_kept_from_an_earlier_challenge_opens_nothing(
    scene: Stage, indoors: Indoors, line: Line, studio: Studio
) -> None:
    """The very pictures that would have passed are kept on the way, and sent later by the same phone, under its own
    proof. Photo on record and face before the camera are photographs of different years."""
    who = indoors.resident("jisoo")
    indoors.photographed(who, card_photo("p01_b"))
    counter = Counter(scene, line, who)
    phone = counter.phone
    counter.scan()
    line.keep = True
    assert look(phone, studio.of("p01_a"))[0] == "offline"
    line.instead, line.hurried = line.bursts[0], True
    assert look(phone, studio.of("p01_a"))[0] == "challenge_spent"
    line.hurried = False
    counter.desk.page.reload()
    expect(counter.desk.page.locator("#face-check")).to_have_attribute("data-tries", "5")  # nobody has looked at them

    assert look(phone, studio.of("p01_a"))[0] == "match"
    counter.told("face_matched", "face")
    counter.desk.check_face()
    phone.sees("open-arrived")
    _no_picture_is_left(indoors, line.bursts)


@long
def test_five_failures_lead_to_two_officers(scene: Stage, indoors: Indoors, line: Line, studio: Studio) -> None:
    """Another face, her photograph held up, and a phone that does not look long enough: each says why."""
    who, album = indoors.resident("leap"), scene.album("en")
    indoors.photographed(who, card_photo("p01_b"))
    counter = Counter(scene, line, who)
    phone, desk = counter.phone, counter.desk
    counter.scan()
    assert look(phone, studio.of("p02_a")) == ("no-match", 4)
    expect(phone["face-reason"]).to_have_text(
        "It could not be confirmed that you are the person in the photo on record."
    )
    counter.told("face_refused", "another face")
    album.look(phone.page, "wallet-face-failed")
    assert look(phone, studio.of("p01_a", Kind.STILL)) == ("not-live", 3)
    counter.told("face_refused", "no blink")
    line.hurried = True
    for left in (2, 1, 0):
        assert look(phone, studio.of("p01_a", Kind.STILL)) == ("burst-length", left)
    expect(phone["face-again"]).to_have_count(0)
    phone.tap("face-officers")
    expect(phone["await-officer"]).to_have_attribute("data-needs", re.compile("second_officer"))
    expect(desk.page.locator("#face-check")).to_have_attribute("data-tries", "0")
    desk.two_officers()
    phone.tap("open-arrived")
    expect(phone.sees("card-name")).to_have_text(who.name)


@long
def test_a_replay_on_a_good_screen_is_accepted_by_the_machine_which_is_its_known_limit(
    scene: Stage, indoors: Indoors, line: Line, studio: Studio
) -> None:
    """A film of her, blinking, on a screen held before the camera: the reference verifier takes it for her. That is why
    an officer looks too."""
    who = indoors.resident("minjae")
    indoors.photographed(who, card_photo("p01_b"))
    counter = Counter(scene, line, who)
    counter.scan()
    assert look(counter.phone, studio.of("p01_a", Kind.REPLAY))[0] == "match"
    counter.told("face_matched", "face")
    page = counter.desk.page
    page.check('#compare input[name="same"][value="no"]')
    send(page, "/face")
    expect(page.locator("#compare .alert-refused")).to_be_visible()
    expect(counter.phone["await-officer"]).to_have_attribute("data-needs", "officer")
    expect(counter.phone["arrived"]).to_have_count(0)


# --- scenes -------------------------------------------------------------------------------------------------------


def _portrait(phone: Phone, line: Line, studio: Studio, album: Album) -> None:
    """On the demo's page, with the webcam of a desktop."""
    context = phone.browser.new_context(
        base_url=phone.country.base, viewport=SIZES["desktop"], locale=LOCALES[phone.language], permissions=["camera"]
    )
    line.watch(context)
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto("/demo/you")
    album.look(page, "demo-you", *BOTH)
    sit(phone, studio.dark("p03_a"))
    page.click("#you-agree")
    expect(page.locator("#you-hint")).not_to_be_empty(timeout=20_000)  # judged while one looks
    page.click("#you-take")
    expect(page.locator('#you-findings li[data-code="too-dark"]')).to_be_visible(timeout=20_000)
    expect(page.locator("#you-picture")).to_be_visible()
    expect(page.locator("#you-use")).to_be_hidden()
    album.look(page, "demo-you-judged", *BOTH)
    sit(phone, studio.of("p03_a", Kind.STILL))
    page.click("#you-again")
    page.click("#you-take")
    expect(page.locator("#you-use")).to_be_visible(timeout=20_000)
    album.look(page, "demo-you-good", *BOTH)
    page.click("#you-use")
    expect(page.locator("#you-done")).to_be_visible()
    album.look(page, "demo-you-done", *BOTH)
    context.close()


def _framing(phone: Phone, studio: Studio, album: Album) -> None:
    """Too dark to begin: the screen says so, and waits."""
    sit(phone, studio.dark("p03_a"))
    phone.tap("face-start")
    expect(phone["face-words"]).to_have_attribute("data-hint", "dark", timeout=20_000)
    album.look(phone.page, "wallet-face-framing")
    phone.tap("face-cancel")
    phone.sees("face-start")


def _no_picture_is_left(country: Indoors, bursts: list[bytes]) -> None:
    """Nowhere on the country's disk is a piece of any picture that was uploaded, nor any picture at the issuer's."""
    frames = [frame.jpeg for burst in bursts for frame in Burst.parse(burst).frames[::8]]
    pieces = {jpeg[at : at + 24] for jpeg in frames for at in (len(jpeg) // 3, len(jpeg) // 2)}
    assert len(bursts) == 2 and pieces
    kept = country.files()
    assert any(path.name.startswith("registers.db") and JPEG in raw for path, raw in kept.items()), (
        "the photos on record"
    )
    for path, raw in kept.items():
        assert not any(piece in raw for piece in pieces), path
        assert not path.name.startswith(("issuer.db", "wallet_provider.db")) or JPEG not in raw, path
