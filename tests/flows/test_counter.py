"""At the counter: who may get a card, and what happens to the one-time QR."""

from __future__ import annotations

import asyncio
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

import mapae
from mapae.errors import Code, Refused
from town import Citizen, Officer, Town

WORDS = Path(mapae.__file__).parent / "ui" / "words" / "desk.en.toml"


def _says(town: Town, citizen: Citizen, code: str) -> None:
    """The desk refuses in words: the sentence for this code, and no way to file."""
    page = town.officer(town.office_of(citizen)).open_case(citizen)
    sentence = tomllib.loads(WORDS.read_text(encoding="utf-8"))["why"][code].split("{")[0]
    assert sentence in page.text, page.text[:2000]
    assert page.find("file-application") is None


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("under17", "too_young"),
        ("turns17tomorrow", "too_young"),
        ("nocard", "no_physical_card"),
        ("nocard17", "no_physical_card"),
        ("cardlost", "physical_card_lost"),
        ("deceased", "deceased"),
        ("oldphoto", "record_photo_too_old"),
        ("foreigner", "not_a_citizen"),
    ],
)
def test_who_may_not_have_a_card_is_told_why(town: Town, key: str, code: str) -> None:
    _says(town, town.citizen(key), code)


@pytest.mark.parametrize("key", ["turned17today", "photoedge", "firstholder", "renamed", "chip", "oldest", "longname"])
def test_who_just_may_gets_one(town: Town, key: str) -> None:
    citizen = town.citizen(key)
    assert {card.format for card in citizen.obtain()} == {"dc+sd-jwt", "mso_mdoc"}


def test_without_a_registered_phone_there_is_no_qr(town: Town) -> None:
    _says(town, town.citizen(), "no_phone")


def test_a_second_card_on_the_same_phone_is_refused_by_name(town: Town) -> None:
    jisoo = town.citizen()
    jisoo.obtain()
    _says(town, jisoo, "already_holds")


class TestPilot:
    """27 December 2024 to 7 February 2025: nine municipalities, each at its own centres."""

    @pytest.fixture
    def town(self, tmp_path: Path) -> object:
        with start_blocking_portal() as portal:
            opened = Town.open(portal, tmp_path / "var", start=datetime(2025, 1, 6, 3, tzinfo=UTC))
            yield opened
            opened.close()

    def test_a_resident_of_a_pilot_town_gets_a_card_there(self, town: Town) -> None:
        assert town.citizen().obtain()

    def test_a_resident_of_another_town_is_refused(self, town: Town) -> None:
        outside = town.citizen("outside")
        outside.enrol()
        _says(town, outside, "outside_pilot")

    def test_another_pilot_towns_centre_is_the_wrong_office(self, town: Town) -> None:
        jisoo = town.citizen()
        jisoo.enrol()
        own = jisoo.named.resident.municipality
        elsewhere = next(o.id for o in town.house.country.offices.values() if o.municipality != own)
        page = town.officer(elsewhere).open_case(jisoo)
        assert page.find("file-application") is None

    def test_the_day_after_the_pilot_everybody_may(self, town: Town) -> None:
        town.clock.set(datetime(2025, 2, 8, 3, tzinfo=UTC))
        assert town.citizen("outside").obtain()


def _events(officer: Officer) -> list[str]:
    return [tag.attributes["data-event"] for tag in officer.case().tags if "data-event" in tag.attributes]


def test_the_officer_sees_the_card_arrive(town: Town) -> None:
    jisoo = town.citizen()
    jisoo.enrol()
    officer = town.officer(town.office_of(jisoo))
    jisoo.receive(officer.offer_for(jisoo))
    assert {"scanned", "redeemed", "issued", "accepted"} <= set(_events(officer))


def test_an_expired_qr_is_refused_and_a_new_one_works(town: Town) -> None:
    jisoo = town.citizen()
    jisoo.enrol()
    officer = town.officer(town.office_of(jisoo))
    offer = officer.offer_for(jisoo)
    town.clock.advance(seconds=181)
    with pytest.raises(Refused):
        jisoo.receive(offer)
    assert "refused_expired" in _events(officer)
    assert jisoo.receive(officer.offer())


def test_a_second_scan_is_refused_and_shown(town: Town) -> None:
    """The same QR, photographed over the shoulder, after the right phone has redeemed it."""
    jisoo, minjae = town.citizen(), town.citizen("minjae")
    jisoo.enrol(), minjae.enrol()
    officer = town.officer(town.office_of(jisoo))
    offer = officer.offer_for(jisoo)
    jisoo.receive(offer)
    with pytest.raises(Refused):
        minjae.receive(offer)
    assert "refused_second_scan" in _events(officer)


def test_a_second_scan_by_the_same_phone_is_refused_once_the_card_has_arrived(town: Town) -> None:
    jisoo = town.citizen()
    jisoo.enrol()
    officer = town.officer(town.office_of(jisoo))
    offer = officer.offer_for(jisoo)
    jisoo.receive(offer)
    with pytest.raises(Refused):
        jisoo.receive(offer)
    assert "refused_second_scan" in _events(officer)
    assert town.till().check(jisoo, "alcohol_tobacco")["outcome"] == "accepted"


def test_another_persons_wallet_is_refused_shown_and_does_not_spend_the_qr(town: Town) -> None:
    jisoo, minjae = town.citizen(), town.citizen("minjae")
    jisoo.enrol(), minjae.enrol()
    officer = town.officer(town.office_of(jisoo))
    offer = officer.offer_for(jisoo)
    with pytest.raises(Refused):
        minjae.receive(offer)
    assert "refused_other_wallet" in _events(officer)
    assert jisoo.receive(offer)


def test_an_officer_sees_only_the_own_offices_cases(town: Town) -> None:
    jisoo = town.citizen()
    officer = town.officer(town.office_of(jisoo))
    case = officer.open_case(jisoo).url
    elsewhere = next(o.id for o in town.house.country.offices.values() if o.id != officer.office)
    other = town.officer(elsewhere)
    page = other.go(case.removeprefix("http://localhost:8080"))
    assert page.status == 403
    assert jisoo.named.resident.name not in page.text
    assert jisoo.named.resident.name not in other.go("/desk/").text


def test_two_desks_at_the_same_second_cannot_both_bind(town: Town) -> None:
    jisoo = town.citizen()
    jisoo.enrol()
    office = town.office_of(jisoo)
    desks = [town.officer(office), town.officer(office)]
    for desk in desks:
        desk.find(jisoo)
    pages = [desk.page for desk in desks]

    async def both() -> list[object]:
        return await asyncio.gather(
            *(
                desk.browser.post(page, "/desk/cases", task="issue", kind="resident_card")
                for desk, page in zip(desks, pages, strict=True)
                if page is not None
            )
        )

    answers = town.call(both)
    cases = {page.url for page in answers if "/desk/cases/" in page.url}  # type: ignore[attr-defined]
    assert len(cases) == 1


def test_a_second_phone_of_the_same_person_waits(town: Town) -> None:
    first, second = town.citizen("twophones"), town.citizen("twophones", phone=1)
    states = []
    for citizen in (first, second):
        states.append(citizen.enrol())
    assert sorted(states) == ["active", "waiting"]


def test_the_officer_moves_the_binding_to_the_new_phone_and_the_old_one_ends(town: Town) -> None:
    old = town.citizen()
    old.obtain()
    new = old.new_phone()
    town.clock.advance(seconds=2)
    assert new.enrol() == "waiting"
    officer = town.officer(town.office_of(old))
    officer.open_case(old)
    assert officer.page is not None
    officer.second_officer()
    assert officer.page is not None
    move = next(tag for tag in officer.page.tags if "/move?" in tag.attributes.get("href", ""))
    officer.go(move.attributes["href"])
    officer.do("/move", asked="yes", ends="yes")
    officer.do("/card", number="yes", photo="yes", undamaged="yes")
    officer.do("/file")
    assert new.receive(officer.offer())
    town.settle()
    texts = [one["text"] for one in town.get_json(f"/carrier/inbox.json?phone={old.number}")["messages"]]
    assert any("at a counter" in text and "/stop/" in text for text in texts), "the old phone's owner is told"
    town.call(town.house.issuer.follow_devices)
    assert town.till().check(old, "alcohol_tobacco")["code"] == "revoked"
    assert town.till().check(new, "alcohol_tobacco")["outcome"] == "accepted"
    assert str(town.call(old.wallet.standing).state) == "ended"
    assert old.wallet.cards == ()


def test_a_look_at_a_person_leaves_a_trace(town: Town) -> None:
    jisoo = town.citizen()
    town.officer().find(jisoo)
    rows = town.call(town.house.foundation.databases["issuer"].all, "SELECT object, action FROM audit_event")
    assert {("record", "found"), ("record", "looked_at")} <= {(row["object"], row["action"]) for row in rows}


def test_no_number_of_a_resident_is_in_any_database_in_clear(town: Town) -> None:
    jisoo = town.citizen()
    jisoo.obtain()
    number = jisoo.named.resident.number.written
    for form in (number, number.replace("-", ""), number[-7:]):
        for folder in (town.house.foundation.data,):
            for path in folder.rglob("*"):
                if path.is_file():
                    assert form.encode() not in path.read_bytes(), path.name


def test_refusals_keep_their_code(town: Town) -> None:
    with pytest.raises(Refused) as refused:
        town.citizen().receive(
            "openid-credential-offer://?credential_offer_uri=http://localhost:8080/issuer/offers/none"
        )
    assert refused.value.code is Code.NOT_FOUND
