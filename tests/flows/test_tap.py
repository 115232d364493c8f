"""Path B over the country's own doors: a card for whoever taps the chip of their own physical card, and a new phone
without a visit."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

import facing
from browserless import Page
from mapae.clock import SystemDice
from mapae.demo_card import CARDS, PATH
from mapae.errors import Code, Refused
from mapae.holder import TapBegun
from mapae.issuer.face.values import Reason
from mapae.issuer.ic_card.card import Card
from mapae.issuer.ic_card.memory import FileMemory
from mapae.issuer.ic_card.reader import SimulatedReader
from mapae.tapping import Inside, Link, tap
from tapped import Typing
from town import BASE, Citizen, Town

PIN = "1234"  # said on the start page


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as running:
        yield running


@pytest.fixture
def town(portal: BlockingPortal, template: Path, tmp_path: Path) -> Iterator[Town]:
    facing.STAGE.__init__()  # type: ignore[misc]
    shutil.copytree(template, tmp_path / "var")
    made = Town.open(portal, tmp_path / "var", face_verifier="facing:scripted")
    yield made
    made.close()


def holder(town: Town, *, phone: str = "active") -> Citizen:
    """Whoever holds a card with a chip, with a phone whose camera works."""
    citizen = town.citizen("chip")
    citizen.camera = facing.camera
    citizen.restart()
    assert citizen.enrol() == phone
    return citizen


def chip_file(town: Town, citizen: Citizen) -> Path:
    card = citizen.named.resident.card
    assert card is not None
    return Path(town.house.foundation.data) / CARDS / card.number


def at_a_reader(town: Town, citizen: Citizen, begun: TapBegun, *pins: str) -> int:
    """The helper at a simulated reader, on a line within this process."""

    async def work() -> int:
        memory = FileMemory(chip_file(town, citizen))
        reader = SimulatedReader(Card(memory, SystemDice()), memory.close)
        wire = await Inside.open(town.house.site)
        try:
            return await tap(wire, Link.parse(begun.link).secret, reader, Typing(*(pins or (PIN,))), SystemDice())
        finally:
            await wire.close()
            reader.close()

    return town.call(work)


def tapped(town: Town, citizen: Citizen) -> TapBegun:
    begun: TapBegun = town.call(citizen.wallet.begin_tap)
    at_a_reader(town, citizen, begun)
    assert town.call(citizen.wallet.tapped, begun).state == "confirm"
    return begun


def texts(town: Town, citizen: Citizen) -> list[str]:
    town.settle()
    return [one["text"] for one in town.get_json(f"/carrier/inbox.json?phone={citizen.number}")["messages"]]


def test_a_card_at_home_from_the_wish_to_the_shop(town: Town) -> None:
    """Nobody at a counter: the chip, its PIN, the face, the person's yes. How long the machines take, without them."""
    seyoung = holder(town)
    began = time.perf_counter()
    begun = town.call(seyoung.wallet.begin_tap)
    carried = at_a_reader(town, seyoung, begun)
    assert town.call(seyoung.wallet.tapped, begun).state == "confirm"
    cards = town.call(seyoung.wallet.receive_tapped, begun)
    took = time.perf_counter() - began
    assert cards and carried < 200
    assert took < 60, f"path B may take a minute of machine time, and took {took:.1f} s"
    assert town.till().check(seyoung, "alcohol_tobacco")["outcome"] == "accepted"
    assert town.call(seyoung.wallet.tapped, begun).state == "done"
    assert any("/stop/" in text for text in texts(town, seyoung))


def test_a_new_phone_at_home_ends_the_old_one(town: Town) -> None:
    """In the same act: the old binding ends, its cards are refused, and when the old wallet next appears it erases
    itself."""
    old = holder(town)
    town.call(old.wallet.receive_tapped, tapped(town, old))
    town.clock.advance(hours=25)
    new = old.new_phone()
    new.camera = facing.camera
    new.restart()
    assert new.enrol() == "waiting"
    assert town.call(new.wallet.receive_tapped, tapped(town, new))
    town.settle()
    standing = town.call(old.wallet.standing)
    assert standing.must_erase and standing.reason == "moved"
    assert old.wallet.cards == () or all(not card.copies for card in old.wallet.cards)
    assert town.till().check(new, "alcohol_tobacco")["outcome"] == "accepted"
    assert any("another phone" in text or "다른 휴대폰" in text for text in texts(town, new))


def test_another_face_gets_no_card_and_the_fifth_time_ends_it(town: Town) -> None:
    """Card, PIN and phone of somebody else are not enough: the thief has another face."""
    seyoung = holder(town)
    facing.STAGE.says = [Reason.NO_MATCH]
    begun = town.call(seyoung.wallet.begin_tap)
    at_a_reader(town, seyoung, begun)
    said = town.call(seyoung.wallet.tapped, begun)
    assert (said.state, said.reason) == ("failed", "face_spent")
    with pytest.raises(Refused):
        town.call(seyoung.wallet.receive_tapped, begun)
    with pytest.raises(Refused) as again:
        town.call(seyoung.wallet.begin_tap)
    assert again.value.code is Code.FACE_SPENT


def test_the_stop_link_of_the_text_message_locks_everything_at_once(town: Town) -> None:
    seyoung = holder(town)
    town.call(seyoung.wallet.receive_tapped, tapped(town, seyoung))
    till = town.till()
    assert till.check(seyoung, "alcohol_tobacco")["outcome"] == "accepted"
    link = next(word for text in texts(town, seyoung) for word in text.split() if "/stop/" in word)
    browser = town.browser()
    page: Page = town.call(browser.get, link.removeprefix(BASE))
    done = town.call(lambda: browser.post(page, link.rpartition("/")[2]))
    assert done.find("stopped")
    town.settle()
    town.clock.advance(minutes=10)
    with pytest.raises(Refused) as refused:
        town.call(seyoung.wallet.begin_tap)
    assert refused.value.code in (Code.NOT_ALLOWED, Code.DEVICE_SUSPENDED)
    assert town.call(seyoung.wallet.standing).state == "suspended"


def test_a_physical_card_reported_lost_on_the_portal_taps_nothing(town: Town) -> None:
    from flows.test_card_life import _enter

    seyoung = holder(town)
    browser, _ = _enter(town, seyoung)
    page = town.call(browser.get, "/portal/cards/lost")
    town.call(lambda: browser.post(page, "/cards/lost", sure="yes"))
    town.settle()
    with pytest.raises(Refused) as refused:
        begun = town.call(seyoung.wallet.begin_tap)
        at_a_reader(town, seyoung, begun)
    assert refused.value.code in (Code.CHIP_NOT_ACTIVE, Code.PHYSICAL_CARD_LOST)


# --- the demo's reader, as a page -------------------------------------------------------------------------------------


class AtTheReader:
    """Somebody in front of the page with the simulated reader."""

    def __init__(self, town: Town, citizen: Citizen) -> None:
        self.town, self.browser = town, town.browser()
        card = citizen.named.resident.card
        assert card is not None
        self.number = card.number
        self.page: Page | None = None

    def put(self, begun: TapBegun) -> Page:
        start = self.town.call(self.browser.get, PATH)
        assert start.find("put"), start.text[:500]
        secret = begun.link.partition("#")[2]
        self.page = self.town.call(lambda: self.browser.post(start, PATH, secret=secret, card=self.number))
        return self.page

    def type(self, digits: str) -> Page:
        assert self.page is not None
        page, id = self.page, self.page.url.rsplit("/", 1)[-1]
        self.page = self.town.call(lambda: self.browser.post(page, id, typed=digits))
        return self.page


def test_the_simulated_card_is_tapped_from_the_wallets_screen(town: Town) -> None:
    """Through the very same helper and line: who asks and the digits first, then the PIN, twice wrong, the printed
    number, and the PIN."""
    seyoung = holder(town)
    begun = town.call(seyoung.wallet.begin_tap)
    reader = AtTheReader(town, seyoung)
    page = reader.put(begun)
    assert page["code"].text.strip() == begun.code and page.find("who-asks")
    assert reader.type("0000").find("pin-wrong")
    page = reader.type("1111")
    assert page.find("suspended")
    page = reader.type(_can(town, seyoung))
    page = reader.type(PIN)
    assert page.find("tapped"), page.text[:800]
    assert town.call(seyoung.wallet.tapped, begun).state == "confirm"


def test_three_wrong_pins_block_and_the_puk_unblocks(town: Town) -> None:
    seyoung = holder(town)
    begun = town.call(seyoung.wallet.begin_tap)
    reader = AtTheReader(town, seyoung)
    reader.put(begun)
    for digits in ("0000", "1111", _can(town, seyoung), "2222"):
        page = reader.type(digits)
    assert page["tap-failed"].attributes["data-code"] == "chip_blocked"
    said = town.call(seyoung.wallet.tapped, begun)
    assert (said.state, said.reason) == ("failed", "chip_blocked")
    start = town.call(reader.browser.get, PATH)
    puk = _image(town, seyoung).puk
    done = town.call(lambda: reader.browser.post(start, f"{PATH}/unblock", card=reader.number, puk=puk))
    assert done.find("unblocked")
    begun = town.call(seyoung.wallet.begin_tap)
    reader.put(begun)
    assert reader.type(PIN).find("tapped")


def test_a_card_taken_away_from_the_reader_fails_the_session(town: Town) -> None:
    seyoung = holder(town)
    begun = town.call(seyoung.wallet.begin_tap)
    reader = AtTheReader(town, seyoung)
    page = reader.put(begun)
    gone = town.call(lambda: reader.browser.post(page, "/away"))
    assert gone["tap-failed"].attributes["data-code"] == "unavailable"
    assert town.call(seyoung.wallet.tapped, begun).state == "failed"


def test_a_card_left_on_the_reader_is_there_for_the_next_try(town: Town) -> None:
    """Somebody closed the page with the card on the reader and began anew in the wallet."""
    seyoung = holder(town)
    left = AtTheReader(town, seyoung)
    left.put(town.call(seyoung.wallet.begin_tap))
    begun = town.call(seyoung.wallet.begin_tap)
    again = AtTheReader(town, seyoung)
    assert again.put(begun)["code"].text.strip() == begun.code
    assert again.type(PIN).find("tapped")


def _image(town: Town, citizen: Citizen) -> Any:
    memory = FileMemory(chip_file(town, citizen))
    try:
        return memory.image
    finally:
        memory.close()


def _can(town: Town, citizen: Citizen) -> str:
    """Printed on the card. The reader holds its memory, so the page of the factory's letter says it."""
    number = citizen.named.resident.card
    assert number is not None
    return str(town.call(town.house.simulators.factory.letter, number.number).can)
