"""The identity check: the three belong together, the code is right, in time, and works once."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from mapae.audit import events_about
from mapae.catalog import parse_country
from mapae.clock import SeededDice
from mapae.config import country_tree
from mapae.errors import Code, Refused
from mapae.formats.jose import Jws, PublicKey
from mapae.registers.identity import (
    Ask,
    Carrier,
    Form,
    IdentityCheck,
    NumberForm,
    PhoneForm,
    WrongCode,
    parse_phone,
    phone_hint,
)

from .conftest import KEY, Office

CLIENT = "192.0.2.7"


def ask_of(office: Office, key: str = "jisoo", **changes: Any) -> Ask:
    resident = office.named[key].resident
    ask = Ask(resident.name, resident.number.written, resident.phones[0], "wallet_provider")
    return replace(ask, **changes)


async def refusal(work: Any) -> Refused:
    with pytest.raises(Refused) as refused:
        await work
    return refused.value


async def test_whoever_holds_the_phone_gets_an_assertion(office: Office) -> None:
    started = await office.identity.start(ask_of(office), CLIENT)
    assert (started.expires_in, started.tries, started.phone_hint) == (180, 5, "010-****-0001")
    confirmed = await office.identity.confirm(started.check_id, await office.code_for("010-0000-0001"))
    assert confirmed.person_name == "한지수"
    jws = Jws.parse(confirmed.assertion, typ="mapae-identity+jwt")
    jws.verify(PublicKey.from_jwk(office.signer.jwk))
    claims = jws.claims()
    assert claims.pop("jti")
    assert claims == {
        "iss": "registers", "aud": "wallet_provider", "sub": office.ids["jisoo"], "name": "한지수",
        "phone_hint": "010-****-0001", "iat": int(office.clock.now().timestamp()),
        "exp": int(office.clock.now().timestamp()) + 300,
    }  # fmt: skip
    actions = [recorded.event.action for recorded in await events_about(office.db, office.ids["jisoo"])]
    assert actions == ["checked"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "한지우"},
        {"resident_number": "010309-4683192"},
        {"phone": "010-0000-0002"},
        {"phone": "010-0999-9999"},
    ],
)
async def test_which_of_the_three_is_wrong_is_not_said(office: Office, wrong: dict[str, str]) -> None:
    refused = await refusal(office.identity.start(ask_of(office, **wrong), CLIENT))
    assert (refused.code, refused.detail) == (
        Code.NO_SUCH_PERSON, "name, resident number and phone do not belong together",
    )  # fmt: skip
    assert await office.carrier.inbox() == []


async def test_the_dead_are_nobody(office: Office) -> None:
    assert (await refusal(office.identity.start(ask_of(office, "deceased"), CLIENT))).code is Code.NO_SUCH_PERSON


async def test_spelling_of_name_number_and_phone_is_forgiven(office: Office) -> None:
    ask = ask_of(office, "foreigner", name=" nguyen thi  lan ", phone="010 0000 0027")
    ask = replace(ask, resident_number=ask.resident_number.replace("-", ""))
    assert (await office.identity.start(ask, CLIENT)).check_id


@pytest.mark.parametrize(
    "wrong",
    [{"audience": "verifier"}, {"name": " "}, {"name": "가" * 101}, {"resident_number": "1"}, {"phone": "112"},
     {"phone": "０10-0000-0001"}],
)  # fmt: skip
async def test_what_cannot_be_right_is_malformed(office: Office, wrong: dict[str, str]) -> None:
    assert (await refusal(office.identity.start(ask_of(office, **wrong), CLIENT))).code is Code.MALFORMED


async def test_five_wrong_tries_end_the_check(office: Office) -> None:
    started = await office.identity.start(ask_of(office), CLIENT)
    code = await office.code_for("010-0000-0001")
    wrong = f"{(int(code) + 1) % 10**6:06d}"
    for left in (4, 3, 2, 1, 0):
        refused = await refusal(office.identity.confirm(started.check_id, wrong))
        assert isinstance(refused, WrongCode) and refused.tries_left == left
    assert (await refusal(office.identity.confirm(started.check_id, code))).code is Code.CODE_SPENT


async def test_a_try_that_is_no_code_costs_nothing(office: Office) -> None:
    started = await office.identity.start(ask_of(office), CLIENT)
    for shape in ("", "12345", "1234567", "12345a", "１２３４５６"):
        assert (await refusal(office.identity.confirm(started.check_id, shape))).code is Code.MALFORMED
    assert await office.identity.confirm(started.check_id, await office.code_for("010-0000-0001"))


async def test_a_code_lives_three_minutes(office: Office) -> None:
    in_time, late = await office.identity.start(ask_of(office), CLIENT), None
    code = await office.code_for("010-0000-0001")
    office.clock.advance(seconds=179)
    assert await office.identity.confirm(in_time.check_id, code)
    late = await office.identity.start(ask_of(office), CLIENT)
    code = await office.code_for("010-0000-0001")
    office.clock.advance(seconds=180)
    assert (await refusal(office.identity.confirm(late.check_id, code))).code is Code.CODE_EXPIRED


async def test_a_code_works_once_even_for_two_at_the_same_moment(office: Office) -> None:
    started = await office.identity.start(ask_of(office), CLIENT)
    code = await office.code_for("010-0000-0001")
    results = await asyncio.gather(
        *(office.identity.confirm(started.check_id, code) for _ in range(4)), return_exceptions=True
    )
    refusals = [result for result in results if isinstance(result, Refused)]
    assert len(refusals) == 3 and all(refused.code is Code.CODE_SPENT for refused in refusals)


async def test_wrong_tries_at_the_same_moment_are_all_counted(office: Office) -> None:
    started = await office.identity.start(ask_of(office), CLIENT)
    code = await office.code_for("010-0000-0001")
    wrong = f"{(int(code) + 1) % 10**6:06d}"
    results = await asyncio.gather(
        *(office.identity.confirm(started.check_id, wrong) for _ in range(9)), return_exceptions=True
    )
    lefts = sorted(result.tries_left for result in results if isinstance(result, WrongCode))
    assert lefts == [0, 1, 2, 3, 4]
    assert (await refusal(office.identity.confirm(started.check_id, code))).code is Code.CODE_SPENT


async def test_a_new_code_ends_the_old_one(office: Office) -> None:
    first = await office.identity.start(ask_of(office), CLIENT)
    old = await office.code_for("010-0000-0001")
    office.clock.advance(seconds=1)
    second = await office.identity.start(ask_of(office), CLIENT)
    assert (await refusal(office.identity.confirm(first.check_id, old))).code is Code.CODE_SPENT
    assert await office.identity.confirm(second.check_id, await office.code_for("010-0000-0001"))


async def test_of_checks_begun_at_the_same_moment_one_waits(office: Office) -> None:
    """Otherwise each further one would give five more tries."""
    await asyncio.gather(*(office.identity.start(ask_of(office), CLIENT) for _ in range(5)))
    waiting = await office.db.all("SELECT id FROM identity_check WHERE state = 'waiting'")
    assert len(waiting) == 1


async def test_an_unknown_check_is_not_found(office: Office) -> None:
    assert (await refusal(office.identity.confirm("nothing", "123456"))).code is Code.NOT_FOUND


@pytest.mark.parametrize("subject", ["person", "phone"])
async def test_knocks_are_counted_right_or_wrong(office: Office, subject: str) -> None:
    wrong = {"person": {"phone": "010-0000-0002"}, "phone": {"resident_number": "910101-1234567"}}[subject]
    for _ in range(10):
        assert (await refusal(office.identity.start(ask_of(office, **wrong), CLIENT))).code is Code.NO_SUCH_PERSON
    refused = await refusal(office.identity.start(ask_of(office), CLIENT))
    assert refused.code is Code.TOO_OFTEN and "try again in" in refused.detail
    office.clock.advance(minutes=10)
    assert await office.identity.start(ask_of(office), CLIENT)


async def test_knocks_are_not_forgotten_by_a_clock_ahead_for_a_moment(office: Office) -> None:
    for _ in range(10):
        await refusal(office.identity.start(ask_of(office, phone="010-0000-0002"), CLIENT))
    office.clock.leap(days=3)
    await refusal(office.identity.start(ask_of(office, resident_number="910101-1234567"), "192.0.2.77"))
    office.clock.leap(days=-3)
    assert (await refusal(office.identity.start(ask_of(office), CLIENT))).code is Code.TOO_OFTEN


async def test_one_address_cannot_knock_at_every_door(office: Office) -> None:
    async def knock(at: int) -> Code:
        ask = ask_of(office, resident_number=f"91010{at % 9 + 1}-1{at:06d}", phone=f"010-0{at:03d}-0000")
        return (await refusal(office.identity.start(ask, "198.51.100.1"))).code

    codes = [await knock(at) for at in range(301)]
    assert codes[:300] == [Code.NO_SUCH_PERSON] * 300 and codes[300] is Code.TOO_OFTEN
    assert await office.identity.start(ask_of(office), "198.51.100.2")


async def test_an_address_over_its_limit_uses_up_nobodys_knocks(office: Office) -> None:
    """Nor does it fill the table: what it asks for after its limit leaves no trace but its own count."""

    async def rows() -> int:
        return len(await office.db.all("SELECT subject FROM identity_knock"))

    async def knock(at: int) -> Code:
        ask = ask_of(office, resident_number=f"91010{at % 9 + 1}-1{at:06d}", phone=f"010-0{at:03d}-0000")
        return (await refusal(office.identity.start(ask, "198.51.100.1"))).code

    assert [await knock(at) for at in range(301)][-1] is Code.TOO_OFTEN
    before = await rows()
    assert {await knock(at) for at in range(301, 401)} == {Code.TOO_OFTEN}
    for _ in range(11):
        assert (await refusal(office.identity.start(ask_of(office), "198.51.100.1"))).code is Code.TOO_OFTEN
    assert await rows() == before
    assert await office.identity.start(ask_of(office), "198.51.100.2")


async def test_an_address_that_knocks_without_end_is_stopped_at_the_door(office: Office) -> None:
    """Before anything of it is read or counted."""
    answers = [await office.http.post("/identity/checks", json={}) for _ in range(301)]
    assert [answer.status_code for answer in answers] == [400] * 300 + [429]


async def test_whoever_tries_ids_of_checks_keeps_no_writer_busy(office: Office) -> None:
    """None that there is not, none that is used up, none that is too old."""
    too_old = await office.identity.start(ask_of(office, "minjae"), CLIENT)
    office.clock.advance(minutes=3)
    spent = await office.identity.start(ask_of(office), CLIENT)
    wrong = f"{(int(await office.code_for('010-0000-0001')) + 1) % 10**6:06d}"
    for _ in range(5):
        await refusal(office.identity.confirm(spent.check_id, wrong))

    class ReadOnly:
        """The database, without its writer."""

        one = staticmethod(office.db.one)

    reading = IdentityCheck(
        ReadOnly(), office.vault, office.clock, SeededDice(8), scheme=office.country.number,  # type: ignore[arg-type]
        rules=office.country.identity, signer=office.signer, carrier=None,  # type: ignore[arg-type]
    )  # fmt: skip
    codes = [(await refusal(reading.confirm(id, wrong))).code for id in ("none", spent.check_id, too_old.check_id)]
    assert codes == [Code.NOT_FOUND, Code.CODE_SPENT, Code.CODE_EXPIRED]


async def test_a_carrier_that_fails_loses_nothing_but_the_code(office: Office) -> None:
    await office.carrier.misbehave("fail", 0, 1)
    assert (await refusal(office.identity.start(ask_of(office), CLIENT))).code is Code.UNAVAILABLE
    rows = await office.db.all("SELECT state FROM identity_check")
    assert [row["state"] for row in rows] == ["not_sent"]
    started = await office.identity.start(ask_of(office), CLIENT)
    assert await office.identity.confirm(started.check_id, await office.code_for("010-0000-0001"))


async def test_the_code_and_the_number_stand_in_no_row(office: Office) -> None:
    await office.identity.start(ask_of(office), CLIENT)
    code = await office.code_for("010-0000-0001")
    for table in ("identity_check", "identity_knock"):
        for row in await office.db.all(f"SELECT * FROM {table}"):
            whole = b"|".join(value if isinstance(value, bytes) else str(value).encode() for value in tuple(row))
            assert b"4683191" not in whole and b"0000-0001" not in whole
            assert code.encode() not in bytes(row["code_hash"] if table == "identity_check" else b"")


async def test_old_checks_and_knocks_are_forgotten(office: Office) -> None:
    await office.identity.start(ask_of(office), CLIENT)
    office.clock.advance(days=3)
    await office.identity.start(ask_of(office, "minjae"), "192.0.2.8")
    assert len(await office.db.all("SELECT id FROM identity_check")) == 1
    assert len(await office.db.all("SELECT starts_at FROM identity_knock")) == len(office.country.identity.limits)


async def test_the_text_message_speaks_the_language_of_the_page(office: Office) -> None:
    await office.identity.start(ask_of(office, language="en"), CLIENT)
    assert "Never tell it to anyone" in (await office.carrier.inbox())[0].body
    office.clock.advance(seconds=1)
    await office.identity.start(ask_of(office, language="ko"), CLIENT)
    assert "인증번호" in (await office.carrier.inbox())[0].body


# --- the doors --------------------------------------------------------------------------------------------------------


async def test_a_wallet_learns_how_the_country_writes_its_numbers(office: Office) -> None:
    answer = await office.http.get("/identity/form", headers={"origin": "https://elsewhere.example"})
    assert answer.status_code == 200 and answer.json() == {
        "number": {"layout": "dddddd-ddddddd", "shown": 7},
        "phone": {"layout": "ddd-dddd-dddd"},
        "code_digits": 6,
    }
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert (await office.http.post("/identity/form", json={})).json()["error"] == "wrong_method"


async def test_the_form_is_the_packs(office: Office) -> None:
    maru = parse_country(country_tree("demo"))
    identity = IdentityCheck(
        office.db, office.vault, office.clock, SeededDice(1), scheme=maru.number, rules=maru.identity,
        signer=office.signer, carrier=Carrier(office.http, "/carrier/messages", KEY),
    )  # fmt: skip
    assert identity.form() == Form(NumberForm("ddddddddd/dddd", 9), PhoneForm("dddd ddd"), 5)


async def test_the_whole_check_over_http(office: Office) -> None:
    resident = office.named["minjae"].resident
    sent = {
        "name": resident.name, "resident_number": resident.number.written, "phone": resident.phones[0],
        "audience": "issuer",
    }  # fmt: skip
    answer = await office.http.post("/identity/checks", json=sent)
    assert answer.status_code == 201
    assert answer.headers["access-control-allow-origin"] == "*" and answer.headers["cache-control"] == "no-store"
    started = answer.json()
    assert set(started) == {"check_id", "expires_in", "tries", "phone_hint"}
    door = f"/identity/checks/{started['check_id']}/code"
    code = await office.code_for(resident.phones[0])
    wrong = await office.http.post(door, json={"code": f"{(int(code) + 1) % 10**6:06d}"})
    assert wrong.status_code == 403
    assert wrong.json() == {"error": "wrong_code", "detail": "tries left: 4", "tries_left": 4}
    right = await office.http.post(door, json={"code": code})
    assert right.status_code == 200 and set(right.json()) == {"assertion", "person_name"}
    again = await office.http.post(door, json={"code": code})
    assert (again.status_code, again.json()["error"]) == (410, "code_spent")


async def test_knocks_at_the_portal_count_for_the_citizen_and_not_for_the_portal(office: Office) -> None:
    """One visitor who fills the page with nonsense must not close the report of lost phones to the country."""
    resident = office.named["minjae"].resident
    sent = {
        "name": resident.name, "resident_number": resident.number.written, "phone": resident.phones[0],
        "language": "ko",
    }  # fmt: skip
    stranger, citizen = {"client": "2001:db8:0:1::5"}, {"client": "198.51.100.9"}
    for at in range(300):
        nobody = {"resident_number": f"91010{at % 9 + 1}-1{at:06d}", "phone": f"010-0{at:03d}-0000"}
        assert (await office.http.post("/registers/checks", json=sent | nobody | stranger)).status_code == 403
    again = sent | {"client": "2001:db8:0:1:ffff::1"}  # one customer's network
    assert (await office.http.post("/registers/checks", json=again)).json()["error"] == "too_often"
    started = await office.http.post("/registers/checks", json=sent | citizen)
    assert started.status_code == 201
    door = f"/identity/checks/{started.json()['check_id']}/code"
    right = await office.http.post(door, json={"code": await office.code_for(resident.phones[0])})
    assert Jws.parse(right.json()["assertion"], typ="mapae-identity+jwt").claims()["aud"] == "issuer"
    office.role[0] = "verifier"
    assert (await office.http.post("/registers/checks", json=sent | citizen)).status_code == 403


async def test_a_wrong_number_is_not_repeated_in_the_answer(office: Office) -> None:
    secret = "000101-3999999"
    for number in (secret, secret + "9", "001301-3999999"):
        answer = await office.http.post(
            "/identity/checks",
            json={"name": "아무개", "resident_number": number, "phone": "010-0000-0001", "audience": "issuer"},
        )
        assert answer.status_code in (400, 403) and number[-7:] not in answer.text


async def test_bodies_too_large_or_of_other_shape_are_refused(office: Office) -> None:
    headers = {"content-type": "application/json"}
    large = await office.http.post("/identity/checks", content=b"{" + b" " * 5000, headers=headers)
    assert large.status_code == 413
    for body in (b"", b"{}", b"[]", b'{"code": 123456}', json.dumps({"code": "1", "more": 1}).encode()):
        answer = await office.http.post("/identity/checks/abc/code", content=body, headers=headers)
        assert answer.status_code == 400 and answer.json()["error"] == "malformed"


def test_a_phone_has_one_spelling() -> None:
    for raw in ("01000000001", "010-0000-0001", "010 0000 0001", "010.0000.0001"):
        assert parse_phone("ddd-dddd-dddd", raw) == "010-0000-0001"
    assert phone_hint("010-0000-0001") == "010-****-0001"
    assert phone_hint("0000 001") == "**** 001"


async def test_the_carrier_is_asked_with_its_key(office: Office) -> None:
    answer = await office.http.post("/carrier/messages", json={"id": "1", "to": "010-1", "text": "hi"})
    assert answer.status_code == 401
    answer = await office.http.post(
        "/carrier/messages", json={"id": "1", "to": "010-1", "text": "hi"}, headers={"Authorization": f"Bearer {KEY}"}
    )
    assert answer.status_code == 202
