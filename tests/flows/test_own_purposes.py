"""A party's own purposes, applied for, linted and agreed to, are asked wherever a ready one is; and nobody else's."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import typer
from msgspec.structs import replace

from mapae import cli_check
from mapae.cli_check import access_of
from mapae.errors import Code, Refused
from mapae.formats.jose import Jws, b64u
from mapae.founding import governors
from mapae.trust.entries import AskedOf, RelyingParty
from mapae.verifier.checking import kit
from town import BASE, Citizen, Till, Town, Visitor

BREAKFAST = "own_guest_house_breakfast"
OWN, THEIRS, FEWER = "own_corner_bakery_delivery", "own_parcel_house_pickup", "own_corner_bakery_regular"
RESIDENT = AskedOf(
    vct="urn:mapae:kr:resident-card:1", doctype="kr.mapae.resident.1", namespace="kr.mapae.resident.1"
)  # fmt: skip
DELIVERY: dict[str, Any] = {
    "id": "delivery", "document": "resident_card", "items": ["name", "address"], "days": 30, "risk": "medium",
    "name": {"ko": "빵 배달", "en": "Bread delivery"},
    "why": {"ko": "주문한 분에게 배달합니다.", "en": "To hand the bread to whoever ordered it."},
    "legal_basis": {"ko": "민법 제568조, 주소 포함", "en": "Civil Act, article 568, address included"},
}  # fmt: skip
REGULAR = {
    **DELIVERY,
    "id": "regular",
    "items": ["name"],
    "why": {"ko": "단골을 알아봅니다.", "en": "To know regulars."},
}
PICKUP = {**DELIVERY, "id": "pickup", "items": ["name"]}


@pytest.fixture(scope="module")
def town(shared_town: Town) -> Iterator[Town]:
    registered(shared_town, "corner_bakery", DELIVERY, REGULAR)
    registered(shared_town, "parcel_house", PICKUP)
    yield shared_town


def registered(town: Town, id: str, *own: dict[str, Any]) -> None:
    """By the doors for scripts, and the page on which governors agree."""
    http = town.house.foundation.http
    made = {"id": id, "name": id, "number": f"123-45-{len(id):05}", "contact": "https://shop.example/",
            "purposes": list(own)}  # fmt: skip
    begun = town.call(lambda: http.post(f"{BASE}/rp/applications", json=made)).json()
    sent = town.call(lambda: http.post(f"{BASE}/rp/applications/{begun['token']}/submit", json={}))
    assert sent.json()["stage"] == "waiting", sent.text
    page = Visitor(town, "en")
    case = re.search(r"/rp/governors/([0-9a-f]{12}\.[0-9]+)", page.go("/rp/governors").html)
    assert case is not None
    for name in ("governor-1", "governor-2"):
        page.do(f"/rp/governors/{case[1]}", governor=name)
    town.call(lambda: http.post(f"{BASE}/rp/applications/{begun['token']}/till", json={}))  # taken up at once


def entry(town: Town, id: str) -> RelyingParty:
    return next(one for one in town.call(town.house.registry.entries) if isinstance(one, RelyingParty) and one.id == id)


def till_of(town: Town, party: str, language: str = "en") -> Till:
    till = Till(town, language)
    code = town.call(town.house.verifier.invite, party).code
    till.go(f"/checker/?code={code}")
    till.do("/checker/till", code=code)
    return till


def server(town: Town, party: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {town.call(town.house.api.make_key, party, 'tests')[1]}"}


def posted(town: Town, path: str, body: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
    return town.call(lambda: town.house.foundation.http.post(BASE + path, json=body, headers=headers))


def test_the_registration_names_document_items_risk_and_law(town: Town) -> None:
    party = entry(town, "corner_bakery")
    assert [(one.id, one.items, one.document, one.risk) for one in party.purposes] == [
        (OWN, ("name", "address"), RESIDENT, "medium"), (FEWER, ("name",), RESIDENT, "medium"),
    ]  # fmt: skip
    shop = entry(town, "guest_house")  # a ready purpose's risk is the pack's to say
    assert {(one.document, one.risk) for one in shop.purposes if one.id != BREAKFAST} == {(RESIDENT, "")}


@pytest.mark.parametrize(("language", "name", "law"), [
    ("ko", "빵 배달", "민법 제568조"), ("en", "Bread delivery", "Civil Act, article 568"),
])  # fmt: skip
def test_a_till_asks_it_in_the_words_of_the_registration(
    town: Town, jisoo: Citizen, language: str, name: str, law: str
) -> None:
    till = till_of(town, "corner_bakery", language)
    start = till.go("/checker/")
    assert name in start.text and law in start.text
    link = till.ask(OWN)
    assert till.page is not None and name in till.page.text
    jisoo.show(link)
    assert till.verdict() == {"outcome": "accepted"}
    assert (
        till.page is not None
        and "한지수" in till.page.text
        and ("주소" if language == "ko" else "Address") in till.page.text
    )
    assert name in till.go("/checker/meet").text  # and to whom shows a code of her own


def test_the_wallet_is_told_who_asks_and_by_which_law(town: Town, jisoo: Citizen) -> None:
    asked = town.call(jisoo.wallet.open_request, till_of(town, "corner_bakery").ask(OWN))
    assert asked.request.party.id == "corner_bakery" and asked.standing == "listed"
    assert asked.request.purpose is not None and asked.request.purpose.legal_basis.en == DELIVERY["legal_basis"]["en"]


def test_a_server_asks_it_over_http(town: Town, jisoo: Citizen) -> None:
    key = server(town, "corner_bakery")
    put = posted(town, "/v1/checks", {"purpose": OWN}, key)
    assert put.status_code == 201, put.text
    assert put.json()["purpose"]["name"] == {"ko": "빵 배달", "en": "Bread delivery"}
    jisoo.show(put.json()["link"])
    http, id = town.house.foundation.http, put.json()["id"]
    seen = town.call(lambda: http.get(f"{BASE}/v1/checks/{id}", headers=key)).json()
    assert (seen["state"], seen["values"]["name"], set(seen["values"])) == ("accepted", "한지수", {"name", "address"})


def test_its_page_asks_it(town: Town, jisoo: Citizen) -> None:
    visitor = Visitor(town, "en")
    page = visitor.go("/shops/corner_bakery/")
    assert "Bread delivery" in page.text and "Address" in page.text
    page = visitor.do("/shops/corner_bakery/checks", purpose=OWN)
    here = next(tag.attributes["href"] for tag in page.tags if tag.attributes.get("href", "").startswith("openid4vp:"))
    shown = jisoo.show(here)
    assert "한지수" in visitor.go(shown.redirect_uri.removeprefix(BASE)).text


def test_the_message_family_asks_it(town: Town) -> None:
    key = server(town, "corner_bakery")

    def started(service: str) -> tuple[bool, bytes]:
        body = json.dumps({"mode": "direct", "svcCode": service, "branchName": "1", "deviceId": "1"}).encode()
        said = posted(town, "/gateway/qrmpm/start", {"data": b64u(body)}, key).json()
        return said["result"], base64.urlsafe_b64decode(said["data"] + "==")

    assert started(OWN)[0] is True
    result, said = started(THEIRS)
    assert result is False and b"svcCode" in said


def test_an_enrolled_till_takes_it_into_a_basement(town: Town, jisoo: Citizen) -> None:
    """The pack is the same for everybody, so it has no party's own purposes: the till's own door tells them."""
    offline = Offline(till_of(town, "corner_bakery"))
    about = offline.about()["till"]
    assert about["purposes"] == [OWN, FEWER] and [one["id"] for one in about["own"]] == [OWN, FEWER]
    told = about["own"][0]
    assert told["legal_basis"] == DELIVERY["legal_basis"] and told["vct"] == RESIDENT.vct
    assert [(one["name"], one["kind"]) for one in told["items"]] == [("name", "text"), ("address", "text")]
    assert (told["risk"], told["anyone"], told["by_holder"]) == ("medium", False, False)
    asks = offline.asks(OWN)
    assert asks.status_code == 200, asks.text
    question = town.call(jisoo.wallet.codes.open, asks.json()["asks"][0])
    assert question.purpose.legal_basis.en == DELIVERY["legal_basis"]["en"]
    assert question.party is not None and question.party.id == "corner_bakery"
    assert town.call(_made, jisoo, question).frames
    assert offline.asks(THEIRS).status_code == 403


def test_nobody_else_may_ask_it(town: Town) -> None:
    for party, purpose in (("parcel_house", OWN), ("corner_bakery", THEIRS), ("guest_house", OWN)):
        till = till_of(town, party)
        till.go("/checker/")
        page = till.do("/checker/checks", purpose=purpose, form="either")
        assert page.status == 404 and page.find("qr") is None
        said = posted(town, "/v1/checks", {"purpose": purpose}, server(town, party))
        assert (said.status_code, said.json()["error"]) == (404, Code.NOT_FOUND.value)
        visitor = Visitor(town, "en")
        assert purpose not in visitor.go("/shops/guest_house/").html
    for body in ({"purpose": OWN}, {"purpose": OWN, "session": "mine"}):  # by nobody at all
        assert posted(town, "/v1/anyone/checks", body, {}).status_code == 404


def test_a_site_cannot_be_made_to_ask_anothers(town: Town) -> None:
    visitor = Visitor(town, "en")
    visitor.go("/shops/guest_house/")
    assert visitor.do("/shops/guest_house/checks", purpose=OWN).status == 404


def test_a_request_to_erase_names_it_also_after_it_has_ended(town: Town) -> None:
    path, at = "/privacy/corner_bakery/requests", int(town.clock.now().timestamp())
    wish = {"kind": "erasure", "purpose": OWN, "items": ["name"], "shown_at": at, "words": "지워 주세요"}

    def sent(token: bytes, **more: Any) -> int:
        return posted(town, path, {**wish, **more}, {"Authorization": f"Bearer {b64u(token * 4)}"}).status_code

    assert (sent(b"one of a phone"), sent(b"other of one", items=["shoe_size"])) == (201, 400)
    assert sent(b"third of a one", purpose=THEIRS) == 400
    assert sent(b"fourth of one!", purpose="own_corner_bakery_before") == 201
    assert "Bread delivery" in till_of(town, "corner_bakery").go("/checker/requests").text


def test_one_that_has_ended_is_asked_no_more_not_even_where_it_was_put(town: Town, jisoo: Citizen) -> None:
    """Put on a screen, then ended by two governors: neither the question nor an answer goes through."""
    till, key = till_of(town, "corner_bakery"), server(town, "corner_bakery")
    offline = Offline(till)
    fetched, unfetched = till.ask(FEWER), posted(town, "/v1/checks", {"purpose": FEWER}, key).json()["link"]
    asked = town.call(jisoo.wallet.open_request, fetched)
    before = entry(town, "corner_bakery")
    less = replace(before, purposes=tuple(one for one in before.purposes if one.id != FEWER))
    town.call(town.house.registry.ensure, [less], *governors(town.house.foundation))
    town.clock.advance(seconds=40)
    for purpose, status in ((FEWER, 404), (OWN, 201)):
        assert posted(town, "/v1/checks", {"purpose": purpose}, key).status_code == status
    put = posted(town, "/v1/checks", {"purpose": OWN}, key).json()  # not over yet, as these two are
    assert put["purpose"]["name"]["en"] == "Bread delivery"
    with pytest.raises(Refused):
        town.call(jisoo.wallet.present, asked)
    assert till.page is not None and till.go(till.page.url.removeprefix(BASE)).find("verdict") is None  # still open
    uri = parse_qs(urlsplit(unfetched).query)["request_uri"][0]
    refused = town.call(lambda: town.house.foundation.http.get(uri))
    assert refused.status_code == 404 and "purpose" in refused.json()["error_description"], refused.text
    assert offline.about()["till"]["purposes"] == [OWN]
    assert offline.asks(FEWER).status_code == 403
    assert FEWER not in till.go("/checker/").html


def test_what_the_registration_does_not_name_is_not_asked(town: Town) -> None:
    """Governors may agree to anything: a purpose without its document, or with another's items, is asked by nobody
    here. Items that were added to a ready purpose are asked with it."""
    store, own = entry(town, "corner_store"), entry(town, "parcel_house").purposes[0]
    licence = AskedOf(
        vct="urn:mapae:kr:driving-licence:1", doctype="kr.mapae.driving.1", namespace="kr.mapae.driving.1"
    )  # fmt: skip
    unasked = {"own_corner_store_before": {"document": None}, "own_corner_store_elsewhere": {"document": licence},
               "own_corner_store_beyond": {"items": ("name", "licence_classes")}}  # fmt: skip
    more = replace(store.purposes[0], items=("adult_by_year", "name"))
    made = [replace(own, **{"id": id, "items": ("address",), **changes}) for id, changes in unasked.items()]
    town.call(
        town.house.registry.ensure, [replace(store, purposes=(more, *made))], *governors(town.house.foundation)
    )  # fmt: skip
    town.clock.advance(seconds=40)
    till, key = till_of(town, "corner_store"), server(town, "corner_store")
    offline, start = Offline(till), till.go("/checker/")
    for id in unasked:
        refused = posted(town, "/v1/checks", {"purpose": id}, key)
        assert (refused.status_code, refused.json()["error"]) == (403, Code.OVER_ASKING.value), id
        till.go("/checker/")
        assert till.do("/checker/checks", purpose=id, form="either").status == 403
        assert id not in start.html and offline.asks(id).status_code == 403
    told = offline.about()["till"]
    assert told["purposes"] == [one["id"] for one in told["own"]] == ["alcohol_tobacco"]
    assert [one["name"] for one in told["own"][0]["items"]] == ["adult_by_year", "name"]
    asked = posted(town, "/v1/checks", {"purpose": "alcohol_tobacco", "in_person": True}, key).json()
    assert [one["en"] for one in asked["purpose"]["items"]] == ["Adult (by calendar year)", "Name"]


def test_the_registration_certificate_says_the_same(town: Town) -> None:
    http = town.house.foundation.http
    token = town.call(lambda: http.get(f"{BASE}/trust/relying-parties/parcel_house/certificate")).text
    [purpose] = Jws.parse(token, typ="mapae-registration+jwt").claims()["purposes"]
    assert purpose["document"] == {"vct": RESIDENT.vct, "doctype": RESIDENT.doctype, "namespace": RESIDENT.namespace}
    assert (purpose["id"], purpose["items"], purpose["risk"]) == (THEIRS, ["name"], "medium")


def test_a_till_without_a_server_asks_it_by_its_registration(town: Town, jisoo: Citizen, tmp_path: Path) -> None:
    """`mapae check ask --shop guest_house --registration FILE`, and the library's one call."""
    house, bakery = entry(town, "guest_house"), entry(town, "corner_bakery")
    own = replace(next(one for one in bakery.purposes if one.id == OWN), id=BREAKFAST)
    town.call(
        town.house.registry.ensure, [replace(house, purposes=(*house.purposes, own))],
        *governors(town.house.foundation),
    )  # fmt: skip
    http, paper = town.house.foundation.http, tmp_path / "registration.jwt"
    path = f"{BASE}/trust/relying-parties/{{}}/certificate"
    paper.write_text(town.call(lambda: http.get(path.format("guest_house"))).text)
    access = access_of(town.house.settings, "guest_house", town.clock)
    pack = town.pack(tmp_path / "pack")
    till = cli_check.Till(pack, town.house.country, None, "en")  # type: ignore[arg-type]
    wanted = till.registered(BREAKFAST, paper, access)
    question = kit.ask_code(wanted, **access, now=town.clock.now())
    town.call(jisoo.wallet.renew_if_needed)
    made = town.call(_made, jisoo, town.call(jisoo.wallet.codes.open, question.text))
    verdict = kit.verify(made.frames, question, pack, now=town.clock.now())
    assert (verdict.outcome, set(verdict.items), verdict.detail) == ("accepted", {"name", "address"}, "")
    paper.write_text(town.call(lambda: http.get(path.format("parcel_house"))).text)
    with pytest.raises(typer.Exit):  # another party's paper
        till.registered(THEIRS, paper, access)


class Offline:
    """The installable checker's own doors, in an enrolled till's browser."""

    def __init__(self, till: Till) -> None:
        self.till, self.town = till, till.town

    def about(self) -> dict[str, Any]:
        return dict(self.town.call(self.till.browser.fetch, "/checker/offline/till").json())

    def asks(self, purpose: str) -> httpx.Response:
        token = self.about()["csrf"]
        cookies = "; ".join(f"{name}={value}" for name, value in self.till.browser.cookies.items())
        headers = {"X-CSRF-Token": token, "Cookie": cookies, "Origin": BASE}
        return posted(self.town, "/checker/offline/asks", {"purpose": purpose, "count": 2}, headers)


async def _made(citizen: Citizen, question: Any) -> Any:
    return citizen.wallet.codes.answer(question)
