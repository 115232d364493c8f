"""Path A with the reference verifier, its weights, its process and real photographs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from clips import card_photo, sitter
from mapae.holder import FaceAsked
from mapae.holder.face import Camera, Frames
from mapae.issuer.face import clips
from mapae.issuer.face.clips import Kind
from mapae.issuer.face.values import Challenge
from town import Town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with start_blocking_portal() as portal:
        yield from _town(portal, tmp_path)


def _town(portal: BlockingPortal, folder: Path) -> Iterator[Town]:
    made = Town.open(portal, folder / "var")
    yield made
    made.close()


def before(name: str, kind: Kind = Kind.LIVE) -> Camera:
    async def look(asked: FaceAsked) -> Frames:
        challenge = Challenge(asked.challenge, "", asked.blinks, asked.prompts_ms, asked.length_ms)
        return [(frame.at_ms, frame.jpeg) for frame in clips.burst(sitter(name), kind, challenge)]

    return look


def test_a_face_of_flesh_passes_and_a_strangers_and_a_photograph_do_not(town: Town) -> None:
    """Jisoo's photo on record is one photograph of a person; another photograph of that person, made to blink, stands
    for her in front of the camera."""
    jisoo = town.citizen()
    town.call(town.house.population.put_photo, _person(town), card_photo("p01_a"), date(2026, 1, 15))
    tries = iter([before("p02_a"), before("p01_b", Kind.STILL), before("p01_b")])

    async def camera(asked: FaceAsked) -> Frames:
        return await next(tries)(asked)

    jisoo.camera = camera
    jisoo.restart()
    jisoo.enrol()
    officer = town.officer(town.office_of(jisoo))
    offer = officer.offer_before_the_face(jisoo)
    assert officer.case()["face-check"].attributes["data-route"] == "face"
    assert jisoo.receive(offer) == []
    page = officer.case()
    said = [tag.text for tag in page.tags if tag.attributes.get("data-event", "").startswith("face_")]
    assert ["the same face" in said[0], "no blink" in said[1], "another face" in said[2]] == [True] * 3, said
    assert "Reference, not accredited" in page["face-check"].text
    rows = town.call(
        town.house.foundation.databases["issuer"].all,
        "SELECT reason, distance_millionths AS d, model_name FROM face_check ORDER BY answered, id",
    )
    by_reason = {row["reason"]: row["d"] for row in rows}
    assert by_reason["no-match"] > 550_000 > 500_000 > by_reason["match"]
    assert {row["model_name"] for row in rows} == {"dlib-resnet-v1"}
    officer.do("/face", same="yes")
    assert len(jisoo.resume()) == 2

    # Most people of the demo country have drawn portraits, and no machine finds a face in a drawing: it is said before
    # anybody looks into a camera.
    minjae = town.citizen("minjae")
    minjae.enrol()
    officer.offer_before_the_face(minjae)
    assert officer.case()["face-check"].attributes["data-route"] == "officers"


def _person(town: Town) -> str:
    number = town.named(town.first).resident.number.written

    async def find() -> str:
        return (await town.house.population.search(resident_number=number)).hits[0].person

    return town.call(find)
