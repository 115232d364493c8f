"""Path A: the officer looks at the card, the phone at the face, and nothing is signed before both agree."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

import facing
from crowd import eligible
from facing import FAR, NEARLY, PICTURE
from mapae.errors import Code, Refused
from mapae.issuer.face.values import Reason
from mapae.issuer.face.wire import MOST_BYTES
from mapae.registers.people import Named
from town import BASE, Citizen, Officer, Town

LICENCE = "11-21-004512-60"  # Jisoo's


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as running:
        yield running


@pytest.fixture(scope="module")
def country(portal: BlockingPortal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Town, Iterator[Named]]]:
    """A country whose verifier does as it is told, and people who have not been to a counter yet."""
    town = Town.open(portal, tmp_path_factory.mktemp("faces") / "var", face_verifier="facing:scripted")

    async def move_in() -> int:
        return await town.demo.more_people(100, "faces", lambda done: None)

    town.call(move_in)
    today = town.house.country.today(town.clock.now())
    yield town, eligible(town.house.country, "kr", today, count=100, seed="faces")
    town.close()


@pytest.fixture
def town(country: tuple[Town, Iterator[Named]]) -> Town:
    facing.STAGE.__init__()  # type: ignore[misc]
    return country[0]


AtTheCounter = Callable[..., tuple[Citizen, Officer, str]]


@pytest.fixture
def at_the_counter(town: Town, country: tuple[Town, Iterator[Named]]) -> AtTheCounter:
    """Somebody with a phone whose camera works, an officer, and a QR from before the face."""

    def come(key: str = "") -> tuple[Citizen, Officer, str]:
        town.clock.advance(seconds=2)
        citizen = town.citizen(key) if key else Citizen(town, next(country[1]))
        citizen.camera = facing.camera
        citizen.restart()
        assert citizen.enrol() == "active"
        officer = town.officer(town.office_of(citizen))
        return citizen, officer, officer.offer_before_the_face(citizen)

    return come


def test_card_then_qr_then_face_then_officer_then_the_card_arrives(at_the_counter: AtTheCounter, town: Town) -> None:
    jisoo, officer, offer = at_the_counter()
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


def test_a_face_shown_to_one_phone_gives_no_card_to_another(at_the_counter: AtTheCounter, town: Town) -> None:
    """Everything was said for one phone, which is given up; whoever registers another in that name has to show the face
    to it, and the officer to confirm after it."""
    old, officer, offer = at_the_counter()
    old.receive(offer)
    case = officer.case().url.removeprefix(BASE)
    assert officer.do("/face", same="yes").find("compare") is None
    town.call(old.wallet.give_up)
    new = old.new_phone()
    new.restart()
    town.clock.advance(seconds=2)
    assert new.enrol() == "active"
    officer.go(case)
    offer = officer.offer()
    assert new.receive(offer) == []
    assert new.resume() == ()
    assert town.call(new.wallet.face_standing, offer).needs == ("face", "officer")
    town.call(new.wallet.prove_face, offer, facing.camera)
    assert new.resume() == ()
    assert officer.go(case).find("compare") is not None
    officer.do("/face", same="yes")
    assert new.resume()


def test_nearly_alike_is_settled_by_the_number_of_a_licence(at_the_counter: AtTheCounter, town: Town) -> None:
    facing.STAGE.says = [NEARLY]
    jisoo, officer, offer = at_the_counter("jisoo")
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


def test_three_wrong_numbers_are_enough(at_the_counter: AtTheCounter, town: Town) -> None:
    facing.STAGE.says = [NEARLY]
    jisoo, officer, offer = at_the_counter("minjae")
    jisoo.receive(offer)
    officer.case()
    for serial in range(3):
        officer.do("/document", kind="driving_licence", document_number=f"11-21-00000{serial}-00")
    page = officer.do("/document", kind="driving_licence", document_number=LICENCE)
    assert (page.status, "two officers decide" in page.html) == (409, True)


def test_after_five_failures_two_officers_go_on_and_are_counted_apart(at_the_counter: AtTheCounter, town: Town) -> None:
    facing.STAGE.says = [FAR]
    jisoo, officer, offer = at_the_counter()
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
    counts = [tag for tag in page.tags if "data-count" in tag.attributes or "data-office" in tag.attributes]
    here = next(at for at, tag in enumerate(counts) if tag.attributes.get("data-office") == officer.office)
    row = {tag.attributes["data-count"]: tag.text for tag in counts[here + 1 : here + 12]}
    assert (row["second_officer.override"], row["second_officer.failed"]) == ("1", "0")
    assert officer.go(case).find(data_stage="arrived") is not None


def test_a_photo_the_machine_cannot_read_is_said_before_the_qr(at_the_counter: AtTheCounter, town: Town) -> None:
    facing.STAGE.unread = Reason.RECORD_NO_FACE
    jisoo, officer, offer = at_the_counter()
    page = officer.case()
    assert page["face-check"].attributes["data-route"] == "officers"
    assert jisoo.receive(offer) == []
    assert facing.STAGE.seen == []
    standing = town.call(jisoo.wallet.face_standing, offer)
    assert standing.needs == ("second_officer", "officer")
    officer.second_officer("unavailable")
    assert jisoo.resume()


@pytest.mark.parametrize("second", ["same", "other office"])
def test_the_second_officer_is_another_of_the_same_office(
    at_the_counter: AtTheCounter, town: Town, second: str
) -> None:
    jisoo, officer, offer = at_the_counter()
    offices = [office for office in town.house.country.offices if office != officer.office]
    who = f"officer-{officer.office}" if second == "same" else f"officer-{offices[0]}-2"
    case = _case_id(officer)
    page = officer.second_officer(second=who)
    assert page.status in (403, 409)
    officer.go("/desk/cases/" + case)
    assert jisoo.receive(offer) == []  # the face was checked, and nobody has confirmed
    assert jisoo.resume() == ()


def test_evidence_older_than_an_hour_signs_nothing(at_the_counter: AtTheCounter, town: Town) -> None:
    jisoo, officer, offer = at_the_counter()
    jisoo.receive(offer)
    case = _case_id(officer)
    town.clock.advance(minutes=61)
    officer.sign_in()
    officer.go("/desk/cases/" + case)
    officer.second_officer()
    assert jisoo.resume() == ()
    officer.do("/card", number="yes", photo="yes", undamaged="yes")
    assert jisoo.resume()


def test_an_officers_no_while_the_wallet_waits_stops_the_card(at_the_counter: AtTheCounter, town: Town) -> None:
    jisoo, officer, offer = at_the_counter()
    jisoo.receive(offer)
    officer.case()
    officer.do("/face", same="no")
    assert jisoo.resume() == ()
    officer.do("/face", same="yes")  # and takes it back
    assert jisoo.resume()


def test_confirming_while_requests_are_in_flight_signs_each_card_once(at_the_counter: AtTheCounter, town: Town) -> None:
    jisoo, officer, offer = at_the_counter()
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
    held = town.call(town.house.issuer.holdings, _person(town, jisoo))
    batches = town.call(
        town.house.foundation.databases["issuer"].all, "SELECT state FROM batch WHERE order_id = $1", held[0].order_id
    )
    assert [row["state"] for row in batches] == ["acknowledged", "acknowledged"]


def test_the_doors_take_what_a_wallet_sends_and_nothing_else(at_the_counter: AtTheCounter, town: Town) -> None:
    jisoo, _, offer = at_the_counter()
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


def test_another_persons_wallet_learns_nothing_of_the_order(at_the_counter: AtTheCounter, town: Town) -> None:
    _, _, offer = at_the_counter()
    other = town.citizen("sunhee")
    other.enrol()
    for work in (other.wallet.face_standing, lambda o: other.wallet.prove_face(o, facing.camera)):
        with pytest.raises(Refused) as refused:
            town.call(work, offer)
        assert refused.value.code is Code.NOT_FOUND


def test_nothing_of_a_picture_is_left_anywhere(at_the_counter: AtTheCounter, town: Town) -> None:
    facing.STAGE.says = [FAR, Reason.MATCH]
    jisoo, officer, offer = at_the_counter()
    jisoo.receive(offer)
    officer.case()
    officer.do("/face", same="yes")
    assert jisoo.resume()
    assert facing.STAGE.seen
    for path in Path(town.house.settings.data).rglob("*"):
        assert not path.is_file() or PICTURE[4:30] not in path.read_bytes(), path


def test_a_record_photo_that_is_too_old_leads_to_a_new_physical_card(town: Town) -> None:
    officer = town.officer(town.office_of(town.citizen("oldphoto")))
    page = officer.open_case(town.citizen("oldphoto"))
    assert "photo taken within 6 months" in page.text
    assert page.form("/reissue")
    page = officer.do("/reissue")
    assert page.status == 200
    assert "/desk/cards/new/" in page.url


def _case_id(officer: Officer) -> str:
    assert officer.page is not None
    return officer.page.url.rpartition("/")[2].split("?")[0]


def _person(town: Town, citizen: Citizen) -> str:
    number = citizen.named.resident.number.written

    async def find() -> str:
        return (await town.house.population.search(resident_number=number)).hits[0].person

    return town.call(find)
