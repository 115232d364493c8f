"""A physical card over the country's own pages: from the application to the citizen's hand, with the simulated factory,
post, payment company, fingerprint reader and PIN pad."""

from __future__ import annotations

import hashlib
import io
import json
import re
from datetime import date
from typing import Any

import pytest
from PIL import Image

from browserless import Browser, Page
from mapae.audit import events_about
from mapae.clock import SystemDice
from mapae.issuer.authenticator_client import DemoAuthenticator
from mapae.issuer.cards import store
from mapae.issuer.cards.life import State
from mapae.issuer.ic_card import infos, passive
from mapae.issuer.ic_card.card import Card
from mapae.issuer.ic_card.memory import FileMemory
from mapae.issuer.ic_card.pace import Password
from mapae.issuer.ic_card.passive import Anchors
from mapae.issuer.ic_card.profile import PROFILE_A
from mapae.issuer.ic_card.reader import SimulatedReader, drive
from mapae.issuer.ic_card.terminal import pace, read_card_access, read_file, select_application
from scanning import scanned
from town import BASE, Citizen, Officer, Town

pytestmark = pytest.mark.parametrize("town", ["sqlite"], indirect=True)  # both engines: test_card_races.py


def _turn(town: Town, **later: float) -> None:
    """Time passes; what runs every few seconds has run."""
    for step in ({"seconds": 1}, later, {"minutes": 10}):
        town.clock.advance(**step)
        town.call(town.house.turn)


def _card(town: Town) -> Any:
    async def newest() -> Any:
        db = await town.house.foundation.database("issuer")
        row = await db.one("SELECT card_id FROM card_life ORDER BY opened DESC, card_id LIMIT 1")
        return await store.card(db, row["card_id"])

    return town.call(newest)


def _pay(town: Town, url: str) -> None:
    """On the payment company's own page, as whoever has the link."""
    browser = town.browser()
    page = town.call(browser.get, url)
    number = next(iter(re.findall(r"\d{4} \d{4} \d{4} \d{4}", page.text)))
    paid = town.call(lambda: browser.post(page, url.rsplit("/", 1)[-1], card=number))
    assert paid.status == 200, paid.text[:500]


def _checked(town: Town, code: str) -> dict[str, str]:
    """What the checker's page says of a temporary certificate."""
    browser = town.browser()
    page = town.call(browser.get, "/checker/paper")
    return town.call(lambda: browser.post(page, "/checker/paper", code=code))["verdict"].attributes


def _portrait(shade: int = 200) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (480, 620), (shade, shade, shade)).save(out, "JPEG")
    return out.getvalue()


def _enter(town: Town, citizen: Citizen) -> tuple[Browser, Page]:
    """The portal, identity checked."""
    town.clock.advance(seconds=2)
    browser, who = town.browser(), citizen.named.resident
    start = town.call(browser.get, "/portal/check")
    typed = {"name": who.name, "resident_number": who.number.written, "phone": citizen.number}
    sent = town.call(lambda: browser.post(start, "/portal/check", **typed))
    code = town.code_sent_to(citizen.number)
    return browser, town.call(lambda: browser.post(sent, "/portal/code", code=code))


def _person(town: Town, citizen: Citizen) -> str:
    found = town.call(lambda: town.house.population.search(resident_number=citizen.named.resident.number.written))
    return str(found.hits[0].person)


def _apply_at_desk(town: Town, officer: Officer, citizen: Citizen, **fields: str) -> Page:
    officer.find(citizen)
    assert officer.page is not None
    look = officer.page.url.rsplit("/", 1)[-1]
    page = officer.go(f"/desk/cards/new/{look}")
    if page.find("apply-card") is None:  # the photo on record is too old
        today = town.house.country.today(town.clock.now()).isoformat()
        seen = page
        officer.page = page = town.call(
            lambda: officer.browser.upload(seen, "/photo", {"photo": _portrait()}, taken=today)
        )
        if page.find("agree-demo") is not None:
            second = re.findall(r'value="(officer-[^"]+)"', page.html)
            page = officer.do("/agree/demo", officer=second[0])
    return officer.do(f"/new/{look}", same="yes", **fields)


def test_a_card_from_the_counter_to_the_citizens_hand(town: Town) -> None:
    citizen = town.citizen("jisoo")
    office = town.office_of(citizen)
    officer = town.officer(office)
    page = _apply_at_desk(town, officer, citizen, why="reissue", handed_in="yes", pickup=office)
    assert page.find(data_state="applied"), page.text[:800]
    _pay(town, page["pay"].attributes["href"].removeprefix(BASE))
    assert officer.case().find(data_state="paid")
    receipt = officer.go(f"/desk/cards/{_card(town).id}/receipt")
    assert "KRW" in receipt.text or "10,000" in receipt.text
    officer.go(f"/desk/cards/{_card(town).id}")
    officer.do("/paper")
    paper = scanned(town.call(town.house.papers.page, _card(town).id).pdf)
    assert _checked(town, paper)["data-outcome"] == "accepted"

    _turn(town, days=1)
    card = _card(town)
    assert card.state is State.ORDERED and card.sod is not None, (card.state, card.trouble)
    _turn(town, days=22)
    _turn(town, days=5)
    card = _card(town)
    assert card.state is State.AT_OFFICE, (card.state, card.trouble)

    page = officer.sign_in() and officer.go(f"/desk/cards/{card.id}")
    officer.do("/fingerprint")
    page = officer.do("/hand-over", same="yes")
    assert page.find(data_state="handed_over")

    letter = town.call(town.house.simulators.factory.letter, card.number)
    pad_browser = town.browser()
    pad = town.call(pad_browser.get, page["pin-pad"].attributes["href"])
    guess = "0000" if letter.pin != "0000" else "1111"
    wrong = town.call(lambda: pad_browser.post(pad, card.number, pin=guess, new="2468", again="2468"))
    assert wrong.status == 422
    done = town.call(lambda: pad_browser.post(wrong, card.number, pin=letter.pin, new="2468", again="2468"))
    assert done.find("pin-set"), done.text[:600]
    page = officer.do("/activate", pin_set="yes")
    assert page.find(data_state="active")
    town.call(town.house.turn)
    town.clock.advance(seconds=6)
    assert _checked(town, paper)["data-code"] == "revoked"
    assert officer.go(f"/desk/papers/{card.id}").status == 404
    held = town.call(town.house.population.get, card.person).card
    assert held is not None and (held.number, held.kind, held.state) == (card.number, "chip", "valid")
    _chip_is_genuine(town, card.number, "2468")


def _chip_is_genuine(town: Town, number: str, pin: str) -> None:
    """The finished chip opens with the citizen's PIN, and what is on it is what the country signed."""
    memory = FileMemory(town.house.simulators.factory.memory_of(number))
    reader = SimulatedReader(Card(memory, SystemDice()), memory.close)

    def talk() -> Any:
        access = yield from read_card_access()
        channel = (yield from pace(Password.PIN, pin, access, SystemDice())).channel
        yield from select_application(channel)
        sod = yield from read_file(channel, PROFILE_A.sod_fid)
        groups = {}
        for group in PROFILE_A.groups:
            groups[group] = yield from read_file(channel, PROFILE_A.fid(group))
        return sod, groups

    sod, groups = drive(talk(), reader)
    reader.close()

    async def anchors() -> Anchors:
        return Anchors(await town.house.chips.authorities(), await town.house.chips.lists())

    passive.check(sod, groups, town.call(anchors), town.clock.now())
    found = town.call(town.house.issued_cards.by_sod, hashlib.sha256(sod).digest())
    assert found is not None and (found.number, found.state) == (number, "active")
    assert found.chip_key_hash == hashlib.sha256(infos.read_dg14(groups[14]).encode()).digest()


def test_a_citizen_applies_online_pays_follows_and_may_cancel(town: Town) -> None:
    citizen = town.citizen("minjae")
    browser, _ = _enter(town, citizen)
    page = town.call(browser.get, "/portal/cards")
    page = town.call(browser.get, "/portal/cards/new")
    assert page.find("apply-card") is None  # the photo on record is two years old
    today = town.house.country.today(town.clock.now())
    seen = page
    page = town.call(lambda: browser.upload(seen, "/photo", {"photo": _portrait()}, taken=today.isoformat()))
    assert page.find("apply-card") is None and page.find(data_flaw="no-face"), page.text[:800]
    town.call(town.house.population.put_photo, _person(town, citizen), _portrait(), today)  # at a counter, meanwhile
    page = town.call(browser.get, "/portal/cards/new")
    page = town.call(lambda: browser.post(page, "/cards/new", why="reissue", pickup=""))
    assert page.find(data_state="applied"), page.text[:800]
    _pay(town, page["pay"].attributes["href"].removeprefix(BASE))
    card = _card(town)
    page = town.call(browser.get, f"/portal/cards/{card.id}")
    assert page.find(data_state="paid") and page.find(data_stop="paid")
    page = town.call(lambda: browser.post(page, "/cancel"))
    assert page.find(data_state="cancelled")
    _turn(town, seconds=10)
    assert _card(town).payment_state == "refunded"


def test_a_citizen_reports_the_physical_card_lost(town: Town) -> None:
    citizen = town.citizen("jisoo")
    browser, _ = _enter(town, citizen)
    page = town.call(browser.get, "/portal/cards/lost")
    again = town.call(lambda: browser.post(page, "/cards/lost"))
    assert again.status == 400
    town.call(lambda: browser.post(again, "/cards/lost", sure="yes"))
    town.settle()
    held = town.call(town.house.population.get, _person(town, citizen)).card
    assert held is not None and held.state == "lost"


def test_another_citizens_card_and_another_offices_card_are_out_of_reach(town: Town) -> None:
    citizen = town.citizen("jisoo")
    officer = town.officer(town.office_of(citizen))
    town.call(town.house.population.put_photo, _person(town, citizen), _portrait(), _today(town))
    page = _apply_at_desk(town, officer, citizen, why="reissue", handed_in="yes", pickup=officer.office)
    card = page.url.rsplit("/", 1)[-1]
    browser, _ = _enter(town, town.citizen("minjae"))
    for path in (f"/portal/cards/{card}", f"/portal/cards/{card}/receipt"):
        assert town.call(browser.get, path).status == 404
    looked = [
        seen.event for seen in town.call(lambda: _seen(town, citizen)) if seen.event.facts.get("reason") == "card"
    ]
    assert [(event.action, event.actor) for event in looked] == [("looked_at", f"officer-{officer.office}")]
    elsewhere = next(office for office in town.house.country.offices if office != officer.office)
    stranger = town.officer(elsewhere)
    for path in (f"/desk/cards/{card}", f"/desk/cards/{card}/receipt"):
        assert stranger.go(path).status == 403


def test_the_chips_authority_is_anybodys_to_have(town: Town) -> None:
    town.call(town.house.chips.authorities)
    for kind, media in (("cer", "application/pkix-cert"), ("crl", "application/pkix-crl")):
        answer = town.call(town.house.foundation.http.get, f"{BASE}/issuer/chips/csca.{kind}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, media)
    assert town.call(town.house.foundation.http.get, f"{BASE}/issuer/chips/csca.pem").status_code == 404
    assert date.fromisoformat("2026-03-02") == town.house.country.today(town.clock.now())


def test_who_begins_with_a_chip_card_has_a_real_one(town: Town) -> None:
    shown = next(person for person in town.get_json("/demo.json")["people"] if person["key"] == "chip")
    assert shown["chip"]["pin"] == "1234"
    _chip_is_genuine(town, shown["chip"]["card"], "1234")
    page = town.call(town.browser().get, f"/factory/letters/{shown['chip']['card']}")
    assert page["pin"].text == "1234" and len(page["can"].text) == 6 and len(page["puk"].text) == 10


def test_a_visitor_lets_the_weeks_pass_for_cards_alone(town: Town) -> None:
    citizen = town.citizen("jisoo")
    office = town.office_of(citizen)
    officer = town.officer(office)
    town.call(town.house.population.put_photo, _person(town, citizen), _portrait(), _today(town))
    page = _apply_at_desk(town, officer, citizen, why="reissue", handed_in="yes", pickup=office)
    _pay(town, page["pay"].attributes["href"].removeprefix(BASE))
    officer.case()
    page = officer.do("/later", days="26")
    assert page.find(data_state="at_office"), page.text[:600]
    assert page.find(id="later") is None
    before = town.clock.now()
    answer = town.call(lambda: town.house.foundation.http.post(f"{BASE}/simulators/later/days", json={"days": 2}))
    assert answer.json()["ahead"] == 28 and town.clock.now() == before
    for days in (0, 61, -1):
        answer = town.call(
            lambda days=days: town.house.foundation.http.post(f"{BASE}/simulators/later/days", json={"days": days})
        )
        assert answer.status_code == 400
    town.restart()
    assert town.house.card_clock is not None and town.house.card_clock.days == 28


def test_the_temporary_certificate_serves_until_the_card_is_active(town: Town) -> None:
    citizen = town.citizen("jisoo")
    office = town.office_of(citizen)
    officer = town.officer(office)
    town.call(town.house.population.put_photo, _person(town, citizen), _portrait(), _today(town))
    page = _apply_at_desk(town, officer, citizen, why="reissue", handed_in="yes", pickup=office)
    assert not any(form.action.endswith("/paper") for form in page.forms)  # not before the fee is paid
    _pay(town, page["pay"].attributes["href"].removeprefix(BASE))
    officer.case()
    card = _card(town)
    officer.do("/paper")
    file = town.call(officer.browser.fetch, f"/desk/papers/{card.id}")
    assert file.content.startswith(b"%PDF")
    officer.go(f"/desk/cards/{card.id}")
    officer.do("/cancel")
    town.settle()
    assert town.call(officer.browser.get, f"/desk/papers/{card.id}").status == 404


def _waiting(town: Town) -> tuple[Officer, Any]:
    """A card that waits at the office of its application, with whoever is at the desk."""
    citizen = town.citizen("jisoo")
    office = town.office_of(citizen)
    officer = town.officer(office)
    town.call(town.house.population.put_photo, _person(town, citizen), _portrait(), _today(town))
    page = _apply_at_desk(town, officer, citizen, why="reissue", handed_in="yes", pickup=office)
    _pay(town, page["pay"].attributes["href"].removeprefix(BASE))
    officer.case()
    officer.do("/later", days="26")
    return officer, _card(town)


def test_without_a_readable_print_two_officers_hand_out_and_destroy(town: Town) -> None:
    officer, card = _waiting(town)
    town.call(town.house.simulators.reader.service.misbehave, "unreadable")
    page = officer.do("/fingerprint")
    assert page.find("hand-over") is None and page.find("hand-two") is not None
    second = f"officer-{officer.office}-2"
    page = officer.do("/two/hand-over/demo", officer=second)
    assert page.find(data_state="handed_over"), page.text[:600]
    officer.do("/activate", pin_set="yes")
    page = officer.do("/two/destroy-old/demo", officer=second)
    assert page.find(data_step="old_destroyed")
    counts = officer.go("/desk/cards/counts")
    row = counts.find(data_office=officer.office)
    assert row is not None and row.text.endswith("01")  # photos none, hand-overs one
    steps = town.call(lambda: _steps(town, card.id))
    assert [(step.actor, step.second) for step in steps if step.act == "hand_over"] == [
        (f"officer-{officer.office}", second)
    ]


def test_a_colleague_who_agreed_to_destroy_a_card_has_not_agreed_to_hand_one_out(town: Town) -> None:
    """What the second officer's passkey signed was asked for one act; kept back, it serves no other of this card."""
    officer, card = _waiting(town)
    page = officer.go(f"/desk/cards/{card.id}")
    options = next(tag for tag in page.tags if tag.attributes.get("id") == "destroy-old").attributes["data-options"]
    authenticator = DemoAuthenticator(f"{BASE}/demo/authenticator", town.house.foundation.http)
    answer = town.call(authenticator.assert_, f"officer-{officer.office}-2", json.loads(options), BASE)
    asked = dict(officer.browser.cookies)
    town.call(town.house.simulators.reader.service.misbehave, "unreadable")
    officer.do("/fingerprint")
    officer.browser.cookies = asked
    page = officer.do("/two/hand-over", answer=answer)
    assert (page.status, "bad_passkey" in page.html) == (403, True), page.text[:600]
    assert _card(town).state.value == "at_office"
    assert officer.go(f"/desk/cards/{card.id}").find("destroy-old") is None  # one question at a time


async def _seen(town: Town, citizen: Citizen) -> list[Any]:
    found = await town.house.population.search(resident_number=citizen.named.resident.number.written)
    return list(await events_about(await town.house.foundation.database("issuer"), found.hits[0].person))


async def _steps(town: Town, card_id: str) -> list[Any]:
    return list(await store.steps(await town.house.foundation.database("issuer"), card_id))


def test_a_declined_payment_is_said_and_tried_again(town: Town) -> None:
    citizen = town.citizen("jisoo")
    officer = town.officer(town.office_of(citizen))
    town.call(town.house.population.put_photo, _person(town, citizen), _portrait(), _today(town))
    page = _apply_at_desk(town, officer, citizen, why="reissue", handed_in="yes", pickup=officer.office)
    town.call(town.house.simulators.payments.service.misbehave, "decline")
    _pay(town, page["pay"].attributes["href"].removeprefix(BASE))
    page = officer.case()
    assert page.find(data_state="applied") and page.find("pay") is None
    page = officer.do("/pay-again")
    _pay(town, page["pay"].attributes["href"].removeprefix(BASE))
    assert officer.case().find(data_state="paid")


def test_a_photo_brought_online_waits_for_an_officers_look(town: Town) -> None:
    citizen = town.citizen("minjae")
    office = town.office_of(citizen)
    browser, _ = _enter(town, citizen)
    applications = town.house.cards.applications if town.house.cards is not None else None
    assert applications is not None

    async def bring() -> str:  # as if the machine had found it good
        person = await town.house.population.get(who)
        db = await town.house.foundation.database("issuer")
        judged = await applications.bring_photo(person.person, _portrait(), applications.today(), "citizen")
        await db.run("UPDATE card_photo SET verdict = 'good' WHERE photo_id = $1", judged.id)
        return judged.id

    who = _person(town, citizen)
    photo = town.call(bring)
    page = town.call(browser.get, f"/portal/cards/new?photo={photo}")
    page = town.call(lambda: browser.post(page, "/cards/new", why="reissue", pickup=office))
    _pay(town, page["pay"].attributes["href"].removeprefix(BASE))
    town.call(browser.get, page.url.removeprefix(BASE))
    officer = town.officer(office)
    page = officer.go("/desk/cards")
    assert page.find("photos")
    officer.go(f"/desk/cards/{_card(town).id}")
    page = officer.do("/confirm-photo", same="yes")
    assert page.find(data_step="photo_judged")
    town.settle()
    assert town.call(town.house.population.get, who).photo.startswith(b"\xff\xd8")


def _today(town: Town) -> date:
    return town.house.country.today(town.clock.now())
