"""An existing relying party of the Korean message family against our gateway, and a citizen on the other side.

`Front` is the relying party's front end, written from the published messages alone: standard library, nothing of ours.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from mapae.errors import Code, Refused
from mapae.formats import mip
from mapae.holder.family import FamilyAsked
from mapae.tapping import Inside
from mapae.verifier.relay.gateway import LIFE
from unit.holder.conftest import BASE, Country, opened

pytestmark = pytest.mark.asyncio(loop_scope="module")
HOST = f"{BASE}/gateway"
SERVICE = "alcohol_tobacco"


def b64(message: dict[str, Any]) -> str:
    """As the published Java 8 example does it."""
    return base64.urlsafe_b64encode(json.dumps(message).encode()).decode().rstrip("=")


def unb64(text: str) -> dict[str, Any]:
    found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    assert isinstance(found, dict)
    return found


@dataclass
class Front:
    """A till, a web shop or a service app that has used the open sample's server until yesterday."""

    http: Any
    key: str
    server: str = HOST

    async def call(self, path: str, message: Any, **headers: str) -> dict[str, Any]:
        sent = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json; charset=UTF-8"}
        answer = await self.http.post(f"{self.server}{path}", json={"data": b64(message)}, headers=sent | headers)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert isinstance(found, dict)
        return found

    async def start(self, interface: str, **members: Any) -> dict[str, Any]:
        said = await self.call(f"/{interface}/start", members)
        assert said["result"] is True, unb64(said["data"])
        return unb64(said["data"])

    async def standing(self, trxcode: str) -> dict[str, Any]:
        said = await self.call("/mip/trxsts", {"trxcode": trxcode})
        assert said["result"] is True, unb64(said["data"])
        return unb64(said["data"])

    async def values(self, trxcode: str) -> dict[str, Any]:
        return await self.call("/mip/vpdata", {"trxcode": trxcode})


@dataclass
class Land(Country):
    holder: Any = None
    front: Any = None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def country(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Land]:
    async with opened(tmp_path_factory.mktemp("family") / "var") as made:
        _, key = await made.house.api.make_key("mart", "the old front end")
        yield Land(**vars(made), holder=(await made.carded()).wallet, front=Front(made.http, key))


TILL = {"cmd": "510", "mode": "direct", "svcCode": SERVICE, "branchName": "세종점", "deviceId": "till-1"}


async def fault(country: Land, path: str, message: Any, *, raw: bytes | None = None) -> tuple[int, str]:
    """The published number and words with which a phone's message is refused."""
    content = raw if raw is not None else json.dumps({"data": b64(message)}).encode()
    answer = await country.http.post(f"/gateway{path}", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200
    said = answer.json()
    assert said["result"] is False
    m900 = unb64(said["data"])
    assert {"type": "mip", "version": "1.0.0", "cmd": "900"}.items() <= m900.items()
    return m900["errcode"], m900["errmsg"]


def m310(trxcode: str, **changes: Any) -> dict[str, Any]:
    whole = {"type": "mip", "version": "1.0.0", "cmd": "310", "request": "profile", "trxcode": trxcode} | changes
    return {name: value for name, value in whole.items() if value is not None}


def m400(trxcode: str, vp: Any = None, **changes: Any) -> dict[str, Any]:
    whole = {"type": "mip", "version": "1.0.0", "cmd": "400", "request": "presentation", "trxcode": trxcode, "vp": vp}
    return {name: value for name, value in (whole | changes).items() if value is not None}


VP = {
    "presentType": 1, "encryptType": 2, "keyType": 1, "authType": ["pin"], "nonce": "n", "type": "VERIFY", "data": "00",
}  # fmt: skip


# --- the four interfaces ----------------------------------------------------------------------------------------------


async def test_qr_mpm_a_till_shows_a_code(country: Any) -> None:
    """2.2.2.1 and the example of chapter 5, literally."""
    started = await country.front.start("qrmpm", **TILL)
    assert {name: started[name] for name in TILL} == TILL
    m200 = unb64(started["m200Base64"])
    trxcode = m200.pop("trxcode")
    assert m200 == {"type": "mip", "version": "1.0.0", "cmd": "200", "mode": "direct", "ci": False, "host": HOST}
    assert re.fullmatch(r"20270302\d{9}[0-9A-F]{16}", trxcode)
    assert (await country.front.standing(trxcode))["trxStsCode"] == "0001"
    asked = await country.holder.family.open(started["m200Base64"])
    assert (asked.asked.who["en"], asked.asked.items, asked.asked.registered) == ("Mart", ["adult_by_year"], True)
    assert (await country.front.standing(trxcode))["trxStsCode"] == "0002"
    shown = await country.holder.family.answer(asked)
    assert shown.outcome == "sent"
    standing = await country.front.standing(trxcode)
    assert (standing["trxStsCode"], standing["vpVerifyResult"], standing["branchName"]) == ("0004", "Y", "세종점")
    assert standing["profileSendDt"] and standing["vpReceptDt"]
    assert unb64((await country.front.values(trxcode))["data"]) == {"adult_by_year": True}


async def test_qr_cpm_a_till_reads_a_phones_code(country: Any) -> None:
    """2.1.1 and T520: over the proxy, which says the relay's published messages."""
    phone = await Inside.open(country.house.site, "/gateway/proxy")
    await phone.say({"msg": "start_cpm", "type": "mip", "version": "1.0.0"})
    trxcode = json.loads(await phone.hear())["trxcode"]
    code = mip.M120(trxcode, country.house.gateway.proxy)
    assert unb64(code.encode()) == {
        "type": "mip", "version": "1.0.0", "cmd": "120", "trxcode": trxcode, "mode": "proxy",
        "host": "ws://localhost:8080/gateway/proxy",
    }  # fmt: skip
    read = asyncio.create_task(country.front.start("qrcpm", cmd="520", svcCode=SERVICE, m120Base64=code.encode()))
    vp_sent = await proxied(country, phone, trxcode)
    assert json.loads(await phone.hear()) == {"msg": "finish", "trxcode": trxcode}
    standing = await read
    assert (standing["trxcode"], standing["trxStsCode"], standing["vpVerifyResult"]) == (trxcode, "0004", "Y")
    assert vp_sent["presentType"] == 1
    # The code works once: another till, and the same again.
    again = await country.front.call("/qrcpm/start", {"svcCode": SERVICE, "m120Base64": code.encode()})
    assert unb64(again["data"])["errcode"] == 10201


async def proxied(country: Land, phone: Inside, trxcode: str) -> dict[str, Any]:
    profile = json.loads(await phone.hear())
    assert (profile["msg"], profile["trxcode"], profile["ci"], profile["image"]) == ("profile", trxcode, False, None)
    asked = await country.holder.family.read(trxcode, profile["profile"])
    _, vp = await country.holder.family.carry(asked)
    await phone.say({"msg": "vp", "request": "presentation", "trxcode": trxcode, "vp": vp})
    return dict(vp)


async def test_qr_mpm_by_proxy(country: Any) -> None:
    started = await country.front.start("qrmpm", **(TILL | {"mode": "proxy"}))
    m200 = unb64(started["m200Base64"])
    assert (m200["mode"], m200["host"]) == ("proxy", "ws://localhost:8080/gateway/proxy")
    phone = await Inside.open(country.house.site, "/gateway/proxy")
    await phone.say({"msg": "join", "type": "mip", "version": "1.0.0", "trxcode": m200["trxcode"]})
    await proxied(country, phone, m200["trxcode"])
    assert json.loads(await phone.hear())["msg"] == "finish"
    assert (await country.front.standing(m200["trxcode"]))["trxStsCode"] == "0004"


@pytest.mark.parametrize("mode", ["direct", "indirect"])
async def test_app_to_app(country: Any, mode: str) -> None:
    """T530: directly to the server; or the service's app carries the VP, and its server hands in the M400 (1.2.2)."""
    started = await country.front.start("app2app", cmd="530", mode=mode, svcCode=SERVICE, includeProfile=True)
    m200 = unb64(started["m200Base64"])
    assert m200["mode"] == mode and m200["profile"]
    asked = await country.holder.family.open(started["m200Base64"])
    if mode == "direct":
        await country.holder.family.answer(asked)
    else:
        _, vp = await country.holder.family.carry(asked)
        handed = await country.front.call("/mip/vp", m400(m200["trxcode"], vp))
        assert handed == {"result": True}
    assert (await country.front.standing(m200["trxcode"]))["trxStsCode"] == "0004"


async def test_no_app_far_away_asks_for_a_purpose_of_high_risk(country: Any) -> None:
    """The messages bind an answer to no session of a browser or an app: a code passed on to somebody else's phone would
    log a thief in. The bank's counter may ask."""
    app = {"cmd": "530", "mode": "direct", "svcCode": "bank_account"}
    said = await country.front.call("/app2app/start", app)
    assert (said["result"], unb64(said["data"])["errcode"]) == (False, 10100)
    await country.front.start("qrmpm", **(TILL | {"svcCode": "bank_account"}))


async def test_push_to_a_named_persons_phone(country: Any) -> None:
    """T540, and 2.2.2.2 for the push server's own door."""
    arrived: list[str] = []

    async def push(name: str, birth: str, telno: str, data: str) -> bool:
        if telno != "01012345678":
            return False
        arrived.append(data)
        return True

    country.house.gateway.push = push
    named = {"cmd": "540", "mode": "direct", "svcCode": SERVICE, "name": "홍길동", "birth": "20010801"}
    started = await country.front.start("push", telno="01012345678", **named)
    assert arrived == [started["m200Base64"]]
    asked = await country.holder.family.open(arrived[0])
    await country.holder.family.answer(asked)
    assert (await country.front.standing(asked.trxcode))["trxStsCode"] == "0004"
    nobody = await country.front.call("/push/start", {**named, "telno": "01000000000"})
    assert unb64(nobody["data"])["errcode"] == 10305
    message = {"mscode": country.front.key, "pushType": "MIP-USP-001", "telno": "01012345678", "data": arrived[0]}
    said = await country.front.call("/api/sendVPAPI.do", message)
    assert said == {"key": 1, "result": True, "resultMsg": "SUCCESS", "errcode": 0, "errmsg": "success"}
    for changes, number in (
        ({"mscode": ""}, 10301), ({"mscode": "somebody's"}, 10301), ({"pushType": ""}, 10302),
        ({"pushType": "OTHER"}, 10302), ({"telno": ""}, 10303), ({"data": ""}, 10304), ({"telno": "010"}, 10305),
        ({"data": "AAAA"}, 10399),
    ):  # fmt: skip
        said = await country.front.call("/api/sendVPAPI.do", message | changes)
        assert (said["key"], said["result"], said["errcode"]) == (0, False, number), changes
    told = len(arrived)
    for party, data in (("somebody-else", arrived[0]), ("mart", mip.M200("A" * 33, "direct", HOST).encode())):
        assert not await country.house.gateway.pushed(party, "홍길동", "20010801", "01012345678", data)
    assert len(arrived) == told  # nobody has another party's question sent to a person of his choice
    country.house.gateway.push = None


# --- what is shown ----------------------------------------------------------------------------------------------------


async def test_the_profile_has_the_published_members(country: Any) -> None:
    started = await country.front.start("qrmpm", **(TILL | {"svcCode": "name_birth_date"}))
    trxcode = unb64(started["m200Base64"])["trxcode"]
    said = await country.front.call("/mip/profile", m310(trxcode))
    answer = unb64(said["data"])
    profile = unb64(answer.pop("profile"))
    assert answer == {"trxcode": trxcode}
    assert set(profile) == {"encoding", "id", "language", "profile", "proof", "timezone", "version"}
    assert (profile["language"], profile["timezone"], profile["version"]) == ("KR", "UTC+9", "3.0")
    inner = profile["profile"]
    assert set(inner) == {
        "authType", "callBackUrl", "encryptType", "filter", "keyType", "name", "nonce", "presentType", "publicKey",
        "spCode", "svcCode", "type",
    }  # fmt: skip
    assert inner["filter"]["requiredPrivacyList"] == ["name", "birth_date"]
    assert (inner["name"], inner["type"], inner["callBackUrl"]) == ("마트-세종점", "VERIFY", f"{HOST}/mip/vp")
    again = await country.front.call("/mip/profile", m310(trxcode))
    assert unb64(unb64(again["data"])["profile"])["profile"] == inner  # a lost answer is given again


async def test_values_are_read_once_and_by_their_own_relying_party(country: Any) -> None:
    started = await country.front.start("qrmpm", **(TILL | {"svcCode": "name_birth_date"}))
    asked = await country.holder.family.open(started["m200Base64"])
    await country.holder.family.answer(asked)
    first, second = await country.front.values(asked.trxcode), await country.front.values(asked.trxcode)
    assert set(unb64(first["data"])) == {"name", "birth_date"}
    assert unb64(second["data"])["errcode"] == 10201
    assert (await country.front.standing(asked.trxcode))["trxStsCode"] == "0004"


async def test_a_no_of_the_holder_ends_the_transaction(country: Any) -> None:
    started = await country.front.start("qrmpm", **TILL)
    asked = await country.holder.family.open(started["m200Base64"])
    await country.holder.family.refuse(asked)
    standing = await country.front.standing(asked.trxcode)
    assert (standing["trxStsCode"], standing["errorCn"]) == ("0005", "20901 cancel by user")
    assert (await fault(country, "/mip/vp", m400(asked.trxcode, VP | {"nonce": asked.nonce})))[0] == 10201


# --- who may call what ------------------------------------------------------------------------------------------------


async def test_a_front_end_needs_its_key(country: Any) -> None:
    for path in ("/qrmpm/start", "/qrcpm/start", "/app2app/start", "/push/start", "/mip/trxsts", "/mip/vpdata"):
        for headers in ({}, {"Authorization": "Bearer mapae_" + "x" * 43}):
            answer = await country.http.post(f"/gateway{path}", json={"data": b64(TILL)}, headers=headers)
            assert (answer.status_code, answer.json()["error"]) == (401, "not_signed_in")


async def test_another_relying_party_sees_nothing(country: Any) -> None:
    started = await country.front.start("qrmpm", **TILL)
    trxcode = unb64(started["m200Base64"])["trxcode"]
    with pytest.raises(Refused) as raised:
        await country.house.gateway.status("somebody-else", trxcode)
    assert raised.value.step == "trxcode"


# --- error families ---------------------------------------------------------------------------------------------------


async def begun(country: Land) -> tuple[str, str]:
    """A transaction whose profile has been fetched, and its nonce."""
    started = await country.front.start("qrmpm", **TILL)
    trxcode = unb64(started["m200Base64"])["trxcode"]
    said = await country.front.call("/mip/profile", m310(trxcode))
    return trxcode, unb64(unb64(said["data"])["profile"])["profile"]["nonce"]


async def test_errors_of_form(country: Any) -> None:
    """3.1, 10001 to 10003."""
    for path in ("/mip/profile", "/mip/image", "/mip/vp", "/mip/error"):
        assert (await fault(country, path, None, raw=b"not JSON"))[0] == 10001
        assert (await fault(country, path, None, raw=b'{"result":true}'))[0] == 10002
        assert (await fault(country, path, None, raw=b'{"data":"!!!"}'))[0] == 10003
        assert (await fault(country, path, None, raw=b'{"data":"bm90IEpTT04"}'))[0] == 10001
        assert (await fault(country, path, {}))[0] == 10002
    for name in ("type", "version", "cmd", "request", "trxcode"):
        left = {key: value for key, value in m310("A" * 25).items() if key != name}
        number, words = await fault(country, "/mip/profile", left)
        assert (number, words) == (10002, f"missing mandatory item: {name}")


async def test_errors_of_data(country: Any) -> None:
    """3.1, 10100 to 10104, for each message of a phone."""
    m320 = {"cmd": "320", "request": "image"}
    m900 = {"cmd": "900", "errcode": 20001, "errmsg": "x"}
    for path, message in (
        ("/mip/profile", m310("A" * 25)), ("/mip/image", m310("A" * 25, **m320)), ("/mip/vp", m400("A" * 25, VP)),
        ("/mip/error", m310("A" * 25, **m900)),
    ):  # fmt: skip
        assert (await fault(country, path, message | {"type": "other"}))[0] == 10101
        assert (await fault(country, path, message | {"version": "2.0.0"}))[0] == 10102
        assert (await fault(country, path, message | {"cmd": "999"}))[0] == 10103
        assert (await fault(country, path, message))[0] == 10104
        assert (await fault(country, path, message | {"trxcode": "no code"}))[0] == 10104
        if path != "/mip/error":
            assert (await fault(country, path, message | {"request": "other"}))[0] == 10100


async def test_errors_of_a_vp(country: Any) -> None:
    """3.1, 10106 to 10112; none of them costs the transaction."""
    trxcode, nonce = await begun(country)
    vp = VP | {"nonce": nonce}
    for changes, number in (
        ({"presentType": 0}, 10106), ({"presentType": 2}, 10106), ({"presentType": 7}, 10100),
        ({"encryptType": 0}, 10107), ({"encryptType": 1}, 10107), ({"keyType": 0}, 10108), ({"keyType": 2}, 10108),
        ({"type": "OTHER"}, 10109), ({"authType": ["iris"]}, 10110), ({"authType": ["face"]}, 10112),
        ({"nonce": nonce.swapcase()}, 10111), ({"nonce": nonce + "A"}, 10111), ({"data": "zz"}, 10100),
        ({"data": "00ff"}, 10100), ({"presentType": "1"}, 10100),
    ):  # fmt: skip
        assert (await fault(country, "/mip/vp", m400(trxcode, vp | changes)))[0] == number, changes
    for name in ("presentType", "encryptType", "keyType", "authType", "nonce", "type", "data"):
        left = {key: value for key, value in vp.items() if key != name}
        assert await fault(country, "/mip/vp", m400(trxcode, left)) == (10002, f"missing mandatory item: vp.{name}")
    assert (await fault(country, "/mip/vp", m400(trxcode)))[0] == 10002
    assert (await country.front.standing(trxcode))["trxStsCode"] == "0002"


async def test_errors_of_procedure(country: Any) -> None:
    """3.1, 10201 and 10202: no VP before its profile, none twice, none after its time."""
    started = await country.front.start("qrmpm", **TILL)
    trxcode = unb64(started["m200Base64"])["trxcode"]
    session = await country.house.foundation.databases["verifier"].one(
        "SELECT nonce FROM mip_transaction WHERE trxcode = $1", trxcode
    )
    assert (await fault(country, "/mip/vp", m400(trxcode, VP | {"nonce": session["nonce"]})))[0] == 10201
    asked = await country.holder.family.open(started["m200Base64"])
    _, vp = await country.holder.family.carry(asked)
    won = await country.http.post("/gateway/mip/vp", json={"data": b64(m400(trxcode, vp))})
    assert won.json() == {"result": True}
    assert (await fault(country, "/mip/vp", m400(trxcode, vp)))[0] == 10201
    assert (await fault(country, "/mip/profile", m310(trxcode)))[0] == 10201
    late, nonce = await begun(country)
    country.clock.advance(LIFE)
    assert (await fault(country, "/mip/profile", m310(late)))[0] == 10202
    assert (await fault(country, "/mip/vp", m400(late, VP | {"nonce": nonce})))[0] in (10201, 10202)
    standing = await country.front.standing(late)
    assert (standing["trxStsCode"], standing["errorCn"]) == ("0005", "10202 timeout error")


async def test_two_phones_that_scanned_the_same_code(country: Any) -> None:
    """Both get the profile; the first VP counts, at whatever moment the second comes."""
    started = await country.front.start("qrmpm", **TILL)
    answers = []
    for _ in range(2):
        asked = await country.holder.family.open(started["m200Base64"])
        _, vp = await country.holder.family.carry(asked)
        answers.append(country.http.post("/gateway/mip/vp", json={"data": b64(m400(asked.trxcode, vp))}))
    said = [answer.json() for answer in await asyncio.gather(*answers)]
    assert sorted(one["result"] for one in said) == [False, True]
    assert unb64(next(one for one in said if not one["result"])["data"])["errcode"] == 10201


async def test_another_transactions_answer_does_not_count(country: Any) -> None:
    """Replayed into a transaction with another nonce, with that nonce written over it: the step `holder` of the six."""
    one = await country.holder.family.open((await country.front.start("qrmpm", **TILL))["m200Base64"])
    trxcode, nonce = await begun(country)
    _, vp = await country.holder.family.carry(one)
    assert (await fault(country, "/mip/vp", m400(trxcode, vp)))[0] == 10111
    assert (await fault(country, "/mip/vp", m400(trxcode, vp | {"nonce": nonce})))[0] == 10100
    assert (await country.front.standing(trxcode))["trxStsCode"] in ("0002", "0005")


async def test_errors_of_front_ends(country: Any) -> None:
    for path, message, number in (
        ("/qrmpm/start", TILL | {"mode": ""}, 10002), ("/qrmpm/start", TILL | {"svcCode": ""}, 10002),
        ("/qrmpm/start", TILL | {"branchName": ""}, 10002), ("/qrmpm/start", TILL | {"deviceId": ""}, 10002),
        ("/qrmpm/start", TILL | {"mode": "indirect"}, 10100), ("/qrmpm/start", TILL | {"svcCode": "no_such"}, 10100),
        ("/qrmpm/start", TILL | {"branchName": "x" * 61}, 10100),
        ("/qrcpm/start", {"svcCode": SERVICE}, 10002), ("/qrcpm/start", {"svcCode": SERVICE, "m120Base64": "!"}, 10003),
        ("/qrcpm/start", {"svcCode": SERVICE, "m120Base64": mip.M120("A" * 25, "wss://other").encode()}, 10100),
        ("/app2app/start", {"mode": "proxy", "svcCode": SERVICE}, 10100),
        ("/push/start", {"mode": "direct", "svcCode": SERVICE}, 10002),
        ("/push/start", {"mode": "direct", "svcCode": SERVICE, "telno": "010"}, 10305),
        ("/mip/trxsts", {"trxcode": "A" * 25}, 10104), ("/mip/ci", {"vp": "{}"}, 10100), ("/mip/revp", {}, 10201),
    ):  # fmt: skip
        said = await country.front.call(path, message)
        assert (said["result"], unb64(said["data"])["errcode"]) == (False, number), (path, message)


async def test_errors_of_the_proxy(country: Any) -> None:
    """The relay's own family of numbers."""
    hello = {"msg": "join", "type": "mip", "version": "1.0.0", "trxcode": "A" * 25}
    for first, number in (
        (hello, 1014), (hello | {"version": "9"}, 1013), (hello | {"msg": "other"}, 1011), (hello | {"msg": ""}, 1002),
        (hello | {"type": "x"}, 1010), (hello | {"more": 1}, 1001),
    ):  # fmt: skip
        phone = await Inside.open(country.house.site, "/gateway/proxy")
        await phone.say(first)
        said = json.loads(await phone.hear())
        assert (said["msg"], said["errcode"]) == ("error", number), first
    started = await country.front.start("qrmpm", **(TILL | {"mode": "proxy"}))
    trxcode = unb64(started["m200Base64"])["trxcode"]
    phone = await Inside.open(country.house.site, "/gateway/proxy")
    await phone.say(hello | {"trxcode": trxcode})
    await phone.hear()
    await phone.say({"msg": "vp", "request": "presentation", "trxcode": trxcode, "vp": VP})
    assert json.loads(await phone.hear())["errcode"] == 2004
    phone = await Inside.open(country.house.site, "/gateway/proxy")
    await phone.say(hello | {"trxcode": trxcode})
    await phone.hear()
    await phone.say({"msg": "error", "trxcode": trxcode, "errcode": 20901, "errmsg": "cancel by user"})
    await phone.close()
    assert (await country.front.standing(trxcode))["errorCn"] == "20901 cancel by user"


# --- kills ------------------------------------------------------------------------------------------------------------


async def test_killed_between_the_answer_and_the_state(country: Any) -> None:
    """The question has its verdict, the transaction does not say so yet: the next look writes it down."""
    started = await country.front.start("qrmpm", **TILL)
    asked: FamilyAsked = await country.holder.family.open(started["m200Base64"])
    _, vp = await country.holder.family.carry(asked)
    db = country.house.foundation.databases["verifier"]
    row = await db.one("SELECT question FROM mip_transaction WHERE trxcode = $1", asked.trxcode)
    response = bytes.fromhex(vp["data"]).decode()
    await country.house.verifier.questions.answer(row["question"], {"response": response})
    row = await db.one("SELECT state FROM mip_transaction WHERE trxcode = $1", asked.trxcode)
    assert row["state"] == "0002"
    assert (await country.front.standing(asked.trxcode))["trxStsCode"] == "0004"


async def test_a_phone_that_was_cut_off_may_come_again(country: Any) -> None:
    started = await country.front.start("qrmpm", **(TILL | {"mode": "proxy"}))
    trxcode = unb64(started["m200Base64"])["trxcode"]
    hello = {"msg": "join", "type": "mip", "version": "1.0.0", "trxcode": trxcode}
    for _ in range(2):
        phone = await Inside.open(country.house.site, "/gateway/proxy")
        await phone.say(hello)
        await phone.hear()
        await phone.close()
    phone = await Inside.open(country.house.site, "/gateway/proxy")
    await phone.say(hello)
    await proxied(country, phone, trxcode)
    assert json.loads(await phone.hear())["msg"] == "finish"


async def test_a_profile_without_its_proof_is_not_believed(country: Any) -> None:
    started = await country.front.start("qrmpm", **TILL)
    said = await country.front.call("/mip/profile", m310(unb64(started["m200Base64"])["trxcode"]))
    profile = unb64(unb64(said["data"])["profile"])
    inner = profile["profile"]
    for bent in (
        profile | {"proof": {}}, profile | {"id": "x509_hash:other"}, profile | {"profile": inner | {"nonce": "other"}},
        profile | {"proof": profile["proof"] | {"signatureValue": "a.b.c"}},
    ):  # fmt: skip
        with pytest.raises(Refused):
            await country.holder.family.read("A" * 25, b64(bent))
    with pytest.raises(Refused) as raised:
        await country.holder.family.open(b64(unb64(started["m200Base64"]) | {"ci": True}))
    assert raised.value.code is Code.UNSUPPORTED


@pytest.mark.parametrize(
    "members", [{"mode": []}, {"mode": {}}, {"mode": 1}, {"ci": 1}, {"ci": 0}, {"ci": "no"}, {"ci": []}]
)
async def test_a_code_of_a_strangers_making_is_refused_by_its_number(members: dict[str, Any]) -> None:
    """Members of another type than the published one: 10100, whatever the type."""
    whole = {"type": "mip", "version": "1.0.0", "cmd": "200", "trxcode": "A" * 25, "mode": "direct", "host": HOST}
    with pytest.raises(Refused) as refused:
        mip.M200.parse(b64(whole | members))
    assert (refused.value.code, refused.value.step) == (Code.MALFORMED, "data")


async def test_a_code_whose_host_is_no_address_is_refused(country: Any) -> None:
    """With a good profile in it, so that nothing has to be fetched from there first."""
    started = await country.front.start("app2app", cmd="530", mode="direct", svcCode=SERVICE, includeProfile=True)
    m200 = unb64(started["m200Base64"])
    for host in ("https://[", "https://a.example:x", "nonsense", "https://u@localhost", "ws://localhost:8080/gateway"):
        with pytest.raises(Refused):
            await country.holder.family.open(b64(m200 | {"host": host}))
