"""In the sandbox city somebody answers for you, rightly or wrongly on purpose, and you see what you must see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from anyio.from_thread import start_blocking_portal

from mapae import demo_sandbox
from mapae.app import open_house
from mapae.demo import Demo
from mapae.demo_faults import MUST_SEE, SENT, Fault
from mapae.errors import Code, Refused
from town import BASE, Till, Town, Visitor

pytestmark = pytest.mark.parametrize("town", ["sqlite"], indirect=True)


def let(town: Town, link: str, person: str = "jisoo", fault: Fault = Fault.NONE) -> Any:
    http = town.house.foundation.http
    body = {"link": link, "person": person, "fault": fault.value}
    answer = town.call(lambda: http.post(f"{BASE}/sandbox/answers", json=body))
    return answer.json()


@pytest.fixture
def till(town: Town) -> Iterator[Till]:
    yield town.till("guest_house")


def test_every_fault_shows_a_right_verifier_just_what_the_page_says(town: Town, till: Till) -> None:
    for fault in SENT - {Fault.SLOW}:
        said = let(town, till.ask("alcohol_tobacco", "sd_jwt"), fault=fault)
        assert said["wallet"] == "sent", said
        seen = MUST_SEE[fault]
        expected = {"outcome": "accepted"} if fault is Fault.NONE else dict(seen._asdict())
        assert till.verdict() == expected, fault
        assert fault is Fault.NONE or said["must_see"] == expected
    visitor = Visitor(town, "ko")  # and without script, on the page
    visitor.go("/sandbox/")
    page = visitor.do("/sandbox/", link=till.ask("alcohol_tobacco", "sd_jwt"), person="jisoo", fault="wrong_nonce")
    assert page["must-see"].attributes["data-code"] == "wrong_nonce" == till.verdict()["code"]


def test_who_does_not_answer_is_seen_when_the_time_is_up(town: Town, till: Till) -> None:
    for fault, wallet in ((Fault.OUTAGE, "line_down"), (Fault.NOBODY, "silent")):
        said = let(town, till.ask("alcohol_tobacco"), fault=fault)
        assert said["wallet"] == wallet and said["must_see"]["outcome"] == "expired"
        town.clock.advance(minutes=3)
        assert till.verdict()["outcome"] in ("expired", "nobody")


def test_people_in_odd_states_answer_as_they_are(town: Town, till: Till) -> None:
    assert let(town, till.ask("adult_contract"), "birthday19tomorrow")["wallet"] == "sent"
    assert till.verdict()["outcome"] == "no"  # of age tomorrow
    for nobody in ("foreigner", "under17"):
        said = let(town, till.ask("alcohol_tobacco"), nobody)
        assert said["wallet"] == "no_card" and said["must_see"]["code"] == "access_denied"
        assert till.verdict()["outcome"] == "declined"
    assert let(town, till.ask("alcohol_tobacco"), "deceased")["wallet"] == "silent"
    town.citizen("minjae").obtain()  # has a phone of his own
    town.clock.advance(seconds=2)
    assert let(town, till.ask("alcohol_tobacco"), "minjae")["error"] == "phone_already_active"
    http = town.house.foundation.http
    for wrong in ({"prefix": "zzz"}, {"method": "PUT"}):
        asked = {"purpose": "alcohol_tobacco", **wrong}
        assert town.call(lambda asked=asked: http.post(f"{BASE}/demo/asks", json=asked)).status_code == 400
    put = town.call(lambda: http.post(f"{BASE}/demo/asks", json={"purpose": "alcohol_tobacco"})).json()
    assert let(town, put["request_uri"], "renamed")["wallet"] == "sent"
    look = town.call(lambda: http.post(f"{BASE}/demo/asks/{put['id']}/look", json={"token": put["token"]})).json()
    assert (look["outcome"], look["note"]) == ("accepted", "renew")  # accepted, and to be refreshed


def test_somebody_whose_first_answer_failed_gets_a_card_the_next_time(
    town: Town, till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A phone left half made would be handed out from then on, without a card."""

    async def trouble(sandbox: Any, named: Any, wallet: Any) -> None:
        (sandbox._folder / named.key).write_bytes(b"as far as a kill or a refusal let it come")
        raise Refused(Code.UNAVAILABLE, "the counter is closed for a moment")

    with monkeypatch.context() as closed:
        closed.setattr(demo_sandbox.Sandbox, "_register", trouble)
        assert let(town, till.ask("alcohol_tobacco"))["error"] == "unavailable"
    assert let(town, till.ask("alcohol_tobacco"))["wallet"] == "sent"
    assert till.verdict()["outcome"] == "accepted"


@pytest.mark.parametrize("link", [
    "openid4vp://?client_id=x509_hash%3Ax&request_uri=http%3A%2F%2F10.0.0.1%2Fadmin",
    "openid4vp://?client_id=x509_hash%3Ax&request_uri=http%3A%2F%2Flocalhost%3A8080.evil.example%2F",
    "openid4vp://?client_id=x509_hash%3Ax&request_uri=http%3A%2F%2Flocalhost%3A80801%2F",
    "openid4vp://?client_id=redirect_uri%3Ahttps%3A%2F%2Fevil.example%2F&response_uri=https%3A%2F%2Fevil.example%2F",
    "nothing of the kind", "", "http://[::1",
])  # fmt: skip
def test_nobody_has_it_fetch_another_address(town: Town, link: str) -> None:
    assert let(town, link)["error"] in ("not_allowed", "malformed")


def test_it_is_not_there_outside_the_demo(town: Town, tmp_path: Path) -> None:
    """The doors come from `Demo`, which no other settings may open."""
    assert "/sandbox/" in {door.path for door in Demo(town.house).routes()}
    settings = msgspec.structs.replace(town.house.settings, demo=False, data=str(tmp_path / "var"), relying_parties=())
    with start_blocking_portal() as portal:

        async def without() -> set[str]:
            house = await open_house(settings, rates=False)
            paths = {route.path for role in house.roles.values() for route in role.routes}
            await house.close()
            return {str(path) for path in paths}

        paths = portal.call(without)
    assert not [path for path in paths if path.startswith(("/sandbox", "/demo", "/rp/governors"))] and "/rp/" in paths
