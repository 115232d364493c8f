"""Path A: the officer looks at the card, the phone at the face, and nothing is signed before both agree."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

import facing
from facing import FAR, NEARLY, PICTURE
from mapae.errors import Code, Refused
from mapae.issuer.face.values import Reason
from mapae.issuer.face.wire import MOST_BYTES
from town import BASE, Citizen, Officer, Town

LICENCE = "11-21-004512-60"


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as running:
        yield running


@pytest.fixture
def town(portal: BlockingPortal, tmp_path: Path) -> Iterator[Town]:
    """A country whose verifier does as it is told."""
    facing.STAGE.__init__()  # type: ignore[misc]
    made = Town.open(portal, tmp_path / "var", face_verifier="facing:scripted")
    yield made
    made.close()


def seen_by(town: Town) -> Citizen:
    """Jisoo with a phone, whose camera works."""
    jisoo = town.citizen()
    jisoo.camera = facing.camera
    jisoo.restart()
    assert jisoo.enrol() == "active"
    return jisoo


def at_the_counter(town: Town) -> tuple[Citizen, Officer, str]:
    jisoo = seen_by(town)
    officer = town.officer(town.office_of(jisoo))
    return jisoo, officer, officer.offer_before_the_face(jisoo)


def test_card_then_qr_then_face_then_officer_then_the_card_arrives(town: Town) -> None:
    jisoo, officer, offer = at_the_counter(town)
    assert officer.page is not None
    assert officer.page["face-check"].attributes["data-tries"] == "5"
    assert jisoo.receive(offer) == []
    page = officer.case()
    assert "the same face" in page["face-check"].text
    assert "Distance 0.310; the same person up to 0.50" in page["face-check"].text
    assert "scripted 1 Reference, not accredited" in " ".join(page["face-check"].text.split())
    assert page.find(data_event="face_matched") is not None
    assert jisoo.resume() == ()  # the machine alone is not enough
    page = officer.do("/face", same="yes")
    assert page.find("compare") is None
    assert {card.format for card in jisoo.resume()} == {"dc+sd-jwt", "mso_mdoc"}
    assert officer.case().find(data_stage="arrived") is not None
    assert town.till().check(jisoo, "alcohol_tobacco")["outcome"] == "accepted"


def test_nearly_alike_is_settled_by_the_number_of_a_licence(town: Town) -> None:
    facing.STAGE.says = [NEARLY]
    jisoo, officer, offer = at_the_counter(town)
    jisoo.receive(offer)
    page = officer.case()
    assert "Nearly alike" in page["face-check"].text
    page = officer.do("/document", kind="driving_licence", document_number="11-21-004512-61")
    assert "not this person's" in page["face-check"].text
    officer.do("/document", kind="driving_licence", document_number=LICENCE.replace("-", ""))
    officer.do("/face", same="yes")
    assert jisoo.resume()
    assert LICENCE not in officer.case().html
    for role in ("issuer", "registers"):
        for path in Path(town.house.settings.data).glob(f"{role}.db*"):
            assert LICENCE.encode() not in path.read_bytes()


def test_three_wrong_numbers_are_enough(town: Town) -> None:
    facing.STAGE.says = [NEARLY]
    jisoo, officer, offer = at_the_counter(town)
    jisoo.receive(offer)
    officer.case()
    for serial in range(3):
        officer.do("/document", kind="driving_licence", document_number=f"11-21-00000{serial}-00")
    page = officer.do("/document", kind="driving_licence", document_number=LICENCE)
    assert (page.status, "two officers decide" in page.html) == (409, True)


def test_after_five_failures_two_officers_go_on_and_it_is_counted_as_an_override(town: Town) -> None:
    facing.STAGE.says = [FAR]
    jisoo, officer, offer = at_the_counter(town)
    assert jisoo.receive(offer) == []
    assert len(facing.STAGE.seen) == 5
    page = officer.case()
    assert page["face-check"].attributes["data-tries"] == "0"
    assert "No tries are left" in page["face-check"].text
    case = officer.case().url.removeprefix(BASE)
    page = officer.second_officer("failed")
    assert "Against the machine's no" in page.text
    assert jisoo.resume()
    page = officer.go("/desk/counts")
    row = {tag.attributes["data-count"]: tag.text for tag in page.tags if "data-count" in tag.attributes}
    assert (row["second_officer.override"], row["second_officer.failed"], row["face.refused"]) == ("1", "0", "1")
    assert officer.go(case).find(data_stage="arrived") is not None


def test_a_photo_the_machine_cannot_read_is_said_before_the_qr(town: Town) -> None:
    facing.STAGE.unread = Reason.RECORD_NO_FACE
    jisoo, officer, offer = at_the_counter(town)
    page = officer.case()
    assert page["face-check"].attributes["data-route"] == "officers"
    assert jisoo.receive(offer) == []
    assert facing.STAGE.seen == []
    standing = town.call(jisoo.wallet.face_standing, offer)
    assert standing.needs == ("second_officer", "officer")
    officer.second_officer("unavailable")
    assert jisoo.resume()


@pytest.mark.parametrize("second", ["same", "other office"])
def test_the_second_officer_is_somebody_else_of_the_same_office(town: Town, second: str) -> None:
    jisoo, officer, offer = at_the_counter(town)
    offices = [office for office in town.house.country.offices if office != officer.office]
    who = f"officer-{officer.office}" if second == "same" else f"officer-{offices[0]}-2"
    page = officer.second_officer(second=who)
    assert page.status in (403, 409)
    officer.go("/desk/cases/" + _case(town))
    assert jisoo.receive(offer) == []  # the face was checked, and nobody has confirmed
    assert jisoo.resume() == ()


def test_evidence_older_than_an_hour_signs_nothing(town: Town) -> None:
    jisoo, officer, offer = at_the_counter(town)
    jisoo.receive(offer)
    town.clock.advance(minutes=61)
    officer.sign_in()
    officer.go("/desk/cases/" + _case(town))
    officer.second_officer()
    assert jisoo.resume() == ()
    officer.do("/card", number="yes", photo="yes", undamaged="yes")
    assert jisoo.resume()


def test_an_officers_no_while_the_wallet_waits_stops_the_card(town: Town) -> None:
    jisoo, officer, offer = at_the_counter(town)
    jisoo.receive(offer)
    officer.case()
    officer.do("/face", same="no")
    assert jisoo.resume() == ()
    officer.do("/face", same="yes")  # and takes it back
    assert jisoo.resume()


def test_whoever_confirms_while_requests_are_in_flight_signs_each_card_once(town: Town) -> None:
    jisoo, officer, offer = at_the_counter(town)
    jisoo.receive(offer)
    officer.case()
    desk, office = town.house.desk, officer.office

    async def at_once() -> None:
        first = next(one for one in await town.house.officers.all() if one.id == f"officer-{office}")
        town.clock.advance(seconds=5)
        await asyncio.gather(
            jisoo.wallet.resume(), desk.record_face(first, _case_id(officer), same_person=True), return_exceptions=True
        )

    town.call(at_once)
    assert len(jisoo.resume()) == 2
    rows = town.call(town.house.foundation.databases["issuer"].all, "SELECT * FROM batch")
    assert len(rows) == 2


def test_the_doors_take_what_a_wallet_sends_and_nothing_else(town: Town) -> None:
    jisoo, _, offer = at_the_counter(town)
    jisoo.camera = None
    jisoo.restart()
    jisoo.receive(offer)
    subject = "offer:" + offer.rpartition("%2F")[2]
    http = town.house.foundation.http
    faces = town.call(jisoo.wallet._faces)

    async def send(path: str, body: bytes, kind: str, proved: bool = True) -> int:
        headers = {"Content-Type": kind} | (dict(await faces._proof()) if proved else {})
        return (await http.post(f"{BASE}/issuer/face/{path}", content=body, headers=headers)).status_code

    asked = town.call(faces.challenge, subject)
    burst = f"challenges/{asked.challenge}/burst"
    raw, bytes_ = facing.burst(asked.challenge), "application/octet-stream"
    assert town.call(send, burst, raw, bytes_, False) == 401
    assert town.call(send, burst, raw, "multipart/form-data; boundary=x") == 400
    assert town.call(send, burst, b"x" * (MOST_BYTES + 1), bytes_) == 413
    assert town.call(send, burst, raw[:-1], bytes_) == 400
    assert town.call(send, "challenges", b'{"subject":"offer:nobodys"}', "application/json") == 404
    assert town.call(send, "challenges", b'{"subject":1}', "application/json") == 400
    assert town.call(send, "standing", b"{}", "application/json") == 400
    assert facing.STAGE.seen == []

    async def twice() -> list[int]:
        headers = {"Content-Type": bytes_} | dict(await faces._proof())
        url = f"{BASE}/issuer/face/{burst}"
        return [(await http.post(url, content=raw, headers=headers)).status_code for _ in range(2)]

    assert town.call(twice) == [200, 401]  # the very same proof does not open a door twice
    assert town.call(send, burst, raw, bytes_) == 410


def test_another_persons_wallet_learns_nothing_of_the_order(town: Town) -> None:
    _, _, offer = at_the_counter(town)
    minjae = town.citizen("minjae")
    minjae.enrol()
    for work in (minjae.wallet.face_standing, lambda o: minjae.wallet.prove_face(o, facing.camera)):
        with pytest.raises(Refused) as refused:
            town.call(work, offer)
        assert refused.value.code is Code.NOT_FOUND


def test_nothing_of_a_picture_is_left_anywhere(town: Town) -> None:
    facing.STAGE.says = [FAR, Reason.MATCH]
    jisoo, officer, offer = at_the_counter(town)
    jisoo.receive(offer)
    officer.case()
    officer.do("/face", same="yes")
    assert jisoo.resume()
    assert facing.STAGE.seen
    for path in Path(town.house.settings.data).rglob("*"):
        assert not path.is_file() or PICTURE[4:30] not in path.read_bytes(), path


def test_a_record_photo_that_is_too_old_leads_to_a_new_physical_card(town: Town) -> None:
    page = town.officer(town.office_of(town.citizen("oldphoto"))).open_case(town.citizen("oldphoto"))
    assert "photo taken within 6 months" in page.text
    assert page.form("/reissue")


def test_a_flood_of_bursts_is_slowed_down(portal: BlockingPortal, tmp_path: Path) -> None:
    """Sixty a minute from one address, whoever they say they are."""
    from mapae.app import open_house
    from mapae.clock import MovableClock
    from mapae.demo import demo_settings, found

    clock = MovableClock(datetime(2026, 3, 2, 3, 0, tzinfo=UTC))

    async def flood() -> list[int]:
        house = await open_house(demo_settings(base_url=BASE, data=str(tmp_path / "var")), clock=clock, founding=found)
        url = f"{BASE}/issuer/face/challenges/x/burst"
        headers = {"Content-Type": "application/octet-stream"}
        seen = [(await house.foundation.http.post(url, content=b"", headers=headers)).status_code for _ in range(61)]
        await house.close()
        return seen

    assert portal.call(flood) == [401] * 60 + [429]


def _case(town: Town) -> str:
    [row] = town.call(town.house.foundation.databases["issuer"].all, "SELECT case_id FROM desk_case")
    return str(row["case_id"])


def _case_id(officer: Officer) -> str:
    assert officer.page is not None
    return officer.page.url.rpartition("/")[2].split("?")[0]
