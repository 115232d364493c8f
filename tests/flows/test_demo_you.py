"""The demo's person "You": a portrait of one's own on record, a real face check at the counter, and out of the register
again. The verifier is the real one, in its process; photographs and films are made from the archives'."""

from __future__ import annotations

import shutil
from base64 import b64decode
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from anyio.from_thread import start_blocking_portal
from PIL import Image

from clips import card_photo, photograph, sitter
from mapae.holder import FaceAsked
from mapae.holder.face import Frames
from mapae.issuer.face import clips
from mapae.issuer.face.clips import Kind
from mapae.issuer.face.values import Challenge
from mapae.registers.population import PopulationClient
from mapae.registers.values import Person
from town import BASE, Town

YOU = "/demo/you"


@pytest.fixture(scope="module")
def town(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    data = tmp_path_factory.mktemp("you") / "var"
    shutil.copytree(template, data)
    with start_blocking_portal() as portal:
        opened = Town.open(portal, data)
        yield opened
        opened.close()


def send(town: Town, path: str, body: bytes, kind: str = "image/jpeg") -> httpx.Response:
    def post() -> Any:
        headers = {"Content-Type": kind, "Accept-Language": "en"}
        return town.house.foundation.http.post(f"{BASE}{YOU}/{path}", content=body, headers=headers)

    return town.call(post)  # type: ignore[no-any-return]


def on_record(town: Town) -> Person:
    register = PopulationClient(town.house.foundation.peers("issuer"))

    async def look() -> Person:
        hits = await register.search(resident_number=town.named("you").resident.number.written)
        return await register.get(hits.hits[0].person)

    return town.call(look)


def before(name: str, kind: Kind = Kind.LIVE) -> Any:
    """A phone's camera before this person."""

    async def camera(asked: FaceAsked) -> Frames:
        challenge = Challenge(asked.challenge, "", asked.blinks, asked.prompts_ms, asked.length_ms)
        frames = clips.burst(sitter(name), kind, challenge, every_ms=130)
        return [(frame.at_ms, frame.jpeg) for frame in frames]

    return camera


def test_the_page_asks_for_consent_and_the_start_page_leads_to_it(town: Town) -> None:
    browser = town.browser()
    start = town.call(browser.get, "/")
    assert f"{BASE}{YOU}" in [tag.attributes.get("href") for tag in start.tags]
    answer = town.call(town.house.foundation.http.get, f"{BASE}{YOU}?lang=en")
    town.house.foundation.http.cookies.clear()  # the house's own client is nobody's browser
    assert answer.status_code == 200 and "camera=(self)" in answer.headers["permissions-policy"]
    assert "no accreditation body has approved" in answer.text and "remove it" in answer.text
    assert 'data-own="no"' in answer.text


def test_a_portrait_becomes_the_photo_on_record_gets_a_card_by_face_and_is_removed(town: Town) -> None:
    drawn = on_record(town)
    assert send(town, "photo", card_photo("p01_b")).status_code == 201
    mine = on_record(town)
    assert mine.photo_taken == town.house.country.today(town.clock.now()) and len(mine.photo) < 32 * 1024
    assert Image.open(BytesIO(mine.photo)).size == (360, 480)

    you = town.citizen("you")
    you.camera = before("p01_a")
    you.restart()
    assert you.enrol() == "active"
    officer = town.officer(town.office_of(you))
    assert you.receive(officer.offer_before_the_face(you)) == []
    page = officer.case()
    assert "dlib-resnet-v1" in page["face-check"].text and "not accredited" in page["face-check"].text
    officer.do("/face", same="yes")
    assert {card.format for card in you.resume()} == {"dc+sd-jwt", "mso_mdoc"}

    assert send(town, "remove", b"{}", "application/json").status_code == 200
    assert on_record(town).photo == drawn.photo


def test_a_picture_taken_while_the_clock_was_ahead_can_be_removed(town: Town) -> None:
    """The register takes no photo that is older than the one it has, and this one is of somebody real."""
    drawn = on_record(town)
    town.clock.advance(days=30)
    assert send(town, "photo", card_photo("p01_b")).status_code == 201
    town.clock.advance(days=-30)
    assert send(town, "remove", b"{}", "application/json").status_code == 200
    assert on_record(town).photo == drawn.photo


def test_what_is_wrong_is_said_and_drawn_before_anything_is_kept(town: Town) -> None:
    before = on_record(town).photo
    said = msgspec.json.decode(send(town, "judge", photograph("p01_a")).content)
    assert (said["ok"], said["usable"]) == (False, True)  # a flag behind is advice at home
    assert said["findings"] == [
        {"code": "background", "advice": True, "words": "The background is not plain and bright."}
    ]
    assert Image.open(BytesIO(b64decode(said["picture"]))).format == "JPEG"
    assert on_record(town).photo == before


@pytest.mark.parametrize(
    ("body", "kind", "status", "step"),
    [
        ("coffee", "image/jpeg", 400, "no-face"),
        (b"\xff\xd8\xffjunk", "image/jpeg", 400, "unreadable"),
        ("p01_b", "text/plain", 400, None),
        (bytes(3 << 20), "image/jpeg", 413, None),
    ],
    ids=["no face", "junk", "another site's form", "too large"],
)
def test_what_cannot_be_compared_later_is_not_taken(town: Town, body: Any, kind: str, status: int, step: Any) -> None:
    before = on_record(town).photo
    answer = send(town, "photo", photograph(body) if isinstance(body, str) else body, kind)
    assert answer.status_code // 100 == status // 100
    assert msgspec.json.decode(answer.content).get("step") == step
    assert on_record(town).photo == before


def test_a_country_without_face_rules_has_no_such_page(tmp_path: Path) -> None:
    with start_blocking_portal() as portal:
        maru = Town.open(portal, tmp_path / "var", country="demo")
        answer = maru.call(maru.house.foundation.http.get, f"{BASE}{YOU}")
        start = maru.call(maru.house.foundation.http.get, f"{BASE}/")
        maru.close()
    assert answer.status_code == 404 and YOU not in start.text
