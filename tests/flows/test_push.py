"""A site that knows a name, a birthday and a phone number asks that phone; and what it does not learn by asking."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from flows.test_api import HERE, HIGH, Server, refused
from mapae.errors import Code
from mapae.formats.jose import b64u
from mapae.formats.mip import ERRORS, M200
from pushed import UserAgent
from town import BASE, Citizen, Town

PAGE = "https://guest.example/check-in"


@pytest.fixture(scope="module")
def town(shared_town: Town) -> Town:
    return shared_town


@pytest.fixture(scope="module")
def jisoo(town: Town) -> Citizen:
    citizen = town.citizen()
    citizen.obtain()
    return citizen


@pytest.fixture
def shop(town: Town) -> Server:
    town.clock.advance(hours=2)  # so that no test meets the limits of the one before
    return Server(town, "guest_house")


def named(citizen: Citizen, **changes: Any) -> dict[str, Any]:
    resident = citizen.named.resident
    return {
        "purpose": "name_birth_date", "name": resident.name, "birth_date": resident.number.birth_date.isoformat(),
        "phone": citizen.number, "session": HERE, "return_to": PAGE,
    } | changes  # fmt: skip


def push(shop: Server, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    answer = shop.call("POST", "/v1/pushes", body, **headers)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_a_named_person_is_asked_and_answers_where_it_was_asked(town: Town, shop: Server, jisoo: Citizen) -> None:
    """Woken without a word, the phone finds the request, and its code typed into the page makes the answer count."""
    agent, service = UserAgent(), town.house.push_service
    name = service.subscribe()
    town.call(jisoo.wallet.mailbox.wake_at, service.address(name), agent.p256dh, b64u(agent.auth))
    started = push(shop, named(jisoo))
    assert started["typed_back"] is True
    assert "link" not in started
    town.settle()
    assert [agent.open(message.body) for message in service.take(name)] == [b"mapae"]
    [waiting] = town.call(jisoo.wallet.mailbox.look).requests
    assert (waiting.party, waiting.purpose) == ("guest_house", "name_birth_date")
    shown = jisoo.show(waiting.text)
    town.call(jisoo.wallet.mailbox.put_aside, waiting.id)
    assert shop.watch(started).json()["state"] == "answered"
    page = town.call(town.browser().get, shown.redirect_uri.removeprefix(BASE))
    code = page["to-type"].attributes["data-code"]
    assert "guest.example" in page.text
    path, door = f"/v1/pages/{started['id']}/code", "/v1/pages/{id}/code"
    assert shop.call("POST", path, {"code": code}, door=door, token=started["page"]).json() == {"tries_left": 0}
    result = shop.watch(started).json()["result_code"]
    assert shop.redeem(started["id"], result).json()["values"]["name"] == jisoo.named.resident.name
    assert town.call(jisoo.wallet.mailbox.look).requests == ()


def test_whoever_types_somebody_elses_name_gets_no_answer(town: Town, shop: Server, jisoo: Citizen) -> None:
    """A stranger names Jisoo, and Jisoo, tired of it, says yes: without the code off her phone nothing counts."""
    started = push(shop, named(jisoo, session="a-stranger"))
    town.settle()
    [waiting] = town.call(jisoo.wallet.mailbox.look).requests
    jisoo.show(waiting.text)
    watched = shop.watch(started).json()
    assert (watched["state"], watched["result_code"]) == ("answered", None)
    path, door = f"/v1/pages/{started['id']}/code", "/v1/pages/{id}/code"
    for guess in ("000000", "111111", "222222"):
        shop.call("POST", path, {"code": guess}, door=door, token=started["page"])
    assert shop.watch(started).json()["state"] == "refused"


@pytest.mark.parametrize("case", ["looks", "says_no", "muted", "nobody", "other_birthday", "no_phone"])
def test_a_site_cannot_tell_who_has_a_phone(town: Town, shop: Server, jisoo: Citizen, case: str) -> None:
    """The same answer, the same work before it, and the same look afterwards, to the end of its time."""
    other = town.citizen(town.demo.people[1].key)
    body = {
        "nobody": named(jisoo, name="Nobody Atall"), "other_birthday": named(jisoo, birth_date="1999-12-31"),
        "no_phone": named(other),
    }.get(case, named(jisoo))  # fmt: skip
    if case == "muted":
        town.call(jisoo.wallet.mailbox.mute, ["guest_house"])
    started = push(shop, body)
    town.settle()
    looked = town.call(jisoo.wallet.mailbox.look)
    assert len(looked.requests) == (case in ("looks", "says_no"))
    if case == "muted":
        assert ("guest_house", True) in [(one.party, one.muted) for one in looked.tried]
        town.call(jisoo.wallet.mailbox.mute, [])
    for waiting in looked.requests:
        asked = town.call(jisoo.wallet.open_request, waiting.text)
        if case == "says_no":
            town.call(jisoo.wallet.refuse, asked)
    watched = shop.watch(started).json()
    assert (set(started), watched["state"], watched["result_code"]) == (
        {"id", "purpose", "expires_at", "page", "typed_back"}, "open", None,
    )  # fmt: skip
    town.clock.advance(seconds=121)
    assert shop.watch(started).json()["state"] == "expired"


def test_the_answer_is_there_before_anybody_is_looked_for(town: Town, shop: Server, jisoo: Citizen) -> None:
    """So that no clock tells either: the register has not been asked when the site has its answer."""

    async def asked() -> int:
        db = await town.house.foundation.database("registers")
        row = await db.one("SELECT count(*) AS n FROM audit_event WHERE action = 'named'")
        return int(row["n"]) if row else 0

    before = town.call(asked)
    push(shop, named(jisoo))
    assert town.call(asked) == before
    town.settle()
    assert town.call(asked) == before + 1


def test_of_the_person_nothing_stays_at_the_verifier(town: Town, shop: Server, jisoo: Citizen) -> None:
    started = push(shop, named(jisoo))

    async def kept() -> str:
        db = await town.house.foundation.database("verifier")
        tables = ("push_out", "api_check", "check_session", "outbox_item")
        return repr([[dict(row) for row in await db.all(f"SELECT * FROM {table}")] for table in tables])

    async def on_its_way() -> int:
        db = await town.house.foundation.database("verifier")
        return len(await db.all("SELECT id FROM push_out WHERE id = $1", started["id"]))

    resident = jisoo.named.resident
    assert town.call(on_its_way) == 1
    assert not any(
        word in town.call(kept) for word in (resident.name, jisoo.number, resident.number.birth_date.isoformat())
    )
    town.settle()
    assert town.call(on_its_way) == 0


def test_the_same_call_again_asks_once(town: Town, shop: Server, jisoo: Citizen) -> None:
    first, again = [push(shop, named(jisoo), Idempotency_Key="desk-7") for _ in range(2)]
    town.settle()
    assert first == again
    assert len(town.call(jisoo.wallet.mailbox.look).requests) == 1
    other = shop.call("POST", "/v1/pushes", named(jisoo, name="Somebody Else"), Idempotency_Key="desk-7")
    assert refused(other, Code.CONFLICT)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"purpose": "no_such_thing"}, Code.NOT_FOUND), ({"session": ""}, Code.NOT_ALLOWED),
        ({"return_to": ""}, Code.MALFORMED), ({"return_to": "http://evil.example"}, Code.MALFORMED),
        ({"phone": "010"}, Code.MALFORMED), ({"birth_date": "2001-02-30"}, Code.MALFORMED),
        ({"name": " "}, Code.MALFORMED), ({"name": "x" * 101}, Code.MALFORMED), ({"more": 1}, Code.MALFORMED),
    ],
    ids=["purpose", "session", "page", "http", "phone", "birthday", "name", "long", "more"],
)  # fmt: skip
def test_a_push_has_its_form(shop: Server, jisoo: Citizen, changes: dict[str, Any], code: Code) -> None:
    assert refused(shop.call("POST", "/v1/pushes", named(jisoo, **changes)), code)


def test_a_party_pushes_for_its_own_purposes_only(town: Town, jisoo: Citizen) -> None:
    corner = Server(town, "corner_store")
    assert refused(corner.call("POST", "/v1/pushes", named(jisoo)), Code.OVER_ASKING)
    answer = town.call(lambda: town.house.foundation.http.post(f"{BASE}/v1/pushes", json=named(jisoo)))
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_whoever_stands_at_the_counter_types_nothing(town: Town, shop: Server, jisoo: Citizen) -> None:
    started = push(shop, named(jisoo, in_person=True, session="", return_to=""))
    assert (started["typed_back"], started["page"]) == (False, None)
    town.settle()
    [waiting] = town.call(jisoo.wallet.mailbox.look).requests
    jisoo.show(waiting.text)
    assert shop.look(started["id"]).json()["values"]["name"] == jisoo.named.resident.name


# --- the Korean message family ----------------------------------------------------------------------------------------


def family(shop: Server, path: str, message: dict[str, Any]) -> dict[str, Any]:
    """A message in its envelope, there and back."""
    data = base64.urlsafe_b64encode(json.dumps(message).encode()).decode()
    headers = {"Authorization": f"Bearer {shop.key}"}
    http = shop.town.house.foundation.http
    answer = shop.town.call(lambda: http.post(f"{BASE}/gateway{path}", json={"data": data}, headers=headers)).json()
    inside = answer.get("data") or "e30"
    return {"result": answer["result"], **json.loads(base64.urlsafe_b64decode(inside + "=" * (-len(inside) % 4)))}


def t540(citizen: Citizen, **changes: Any) -> dict[str, Any]:
    resident = citizen.named.resident
    return {
        "cmd": "540", "mode": "direct", "svcCode": "name_birth_date", "name": resident.name,
        "birth": f"{resident.number.birth_date:%Y%m%d}", "telno": citizen.number,
    } | changes  # fmt: skip


def trxcode_of(started: dict[str, Any]) -> str:
    return str(M200.parse(started["m200Base64"]).trxcode)


def test_an_existing_korean_server_pushes_and_reads_the_state(town: Town, shop: Server, jisoo: Citizen) -> None:
    """T540; the phone gets the question itself, so that not even its first look shows in `trxsts`."""
    started = family(shop, "/push/start", t540(jisoo))
    assert started["result"] is True
    town.settle()
    [waiting] = town.call(jisoo.wallet.mailbox.look).requests
    status = {"trxcode": trxcode_of(started)}
    asked = town.call(jisoo.wallet.open_request, waiting.text)
    assert family(shop, "/mip/trxsts", status)["trxStsCode"] == "0001"
    town.call(jisoo.wallet.present, asked)
    said = family(shop, "/mip/trxsts", status)
    assert (said["trxStsCode"], said["vpVerifyResult"]) == ("0004", "Y")


def test_nor_does_a_korean_server_learn_who_has_a_phone(town: Town, shop: Server, jisoo: Citizen) -> None:
    states = []
    for changes in ({}, {"name": "Nobody"}, {"birth": "19991231"}, {"telno": "010-0000-0000"}):
        started = family(shop, "/push/start", t540(jisoo, **changes))
        town.settle()
        for waiting in town.call(jisoo.wallet.mailbox.look).requests:
            asked = town.call(jisoo.wallet.open_request, waiting.text)
            town.call(jisoo.wallet.refuse, asked)
            town.call(jisoo.wallet.mailbox.put_aside, waiting.id)
        states.append((started["result"], family(shop, "/mip/trxsts", {"trxcode": trxcode_of(started)})["trxStsCode"]))
    assert states == [(True, "0001")] * 4
    for wrong in ({"telno": "010"}, {"birth": "20010230"}, {"birth": ""}):
        assert family(shop, "/push/start", t540(jisoo, **wrong))["errcode"] == 10305


def test_where_much_is_at_stake_the_family_does_not_push(town: Town, jisoo: Citizen) -> None:
    """It has neither a session in which an answer counts nor a place to type a code."""
    shop = Server(town, "online_shop")
    assert town.house.country.purposes[HIGH].risk == "high"
    refused = family(shop, "/push/start", t540(jisoo, svcCode=HIGH))
    assert (refused["result"], refused["errcode"]) == (False, ERRORS["data"][0])
    scanned = family(shop, "/qrmpm/start", {
        "cmd": "510", "mode": "direct", "svcCode": HIGH, "branchName": "a", "deviceId": "b",
    })  # fmt: skip
    named = t540(jisoo)
    assert not town.call(
        town.house.gateway.push, named["name"], named["birth"], named["telno"], scanned["m200Base64"]
    )  # fmt: skip
