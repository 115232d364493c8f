"""The simulated carrier: one message an id, an inbox for people and for scripts, faults on demand."""

from __future__ import annotations

from typing import Any

import httpx

from .conftest import KEY, Office

HEADERS = {"Authorization": f"Bearer {KEY}"}


async def send(office: Office, id: str, to: str = "010-0000-0001", text: str = "code 123456") -> httpx.Response:
    return await office.http.post("/carrier/messages", json={"id": id, "to": to, "text": text}, headers=HEADERS)


async def inbox(office: Office, **params: str) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = (await office.http.get("/carrier/inbox.json", params=params)).json()["messages"]
    return messages


async def test_messages_arrive_newest_first_and_by_phone(office: Office) -> None:
    await send(office, "a")
    office.clock.advance(seconds=1)
    await send(office, "b", to="010-0000-0002", text="two")
    assert [message["id"] for message in await inbox(office)] == ["b", "a"]
    for spelling in ("010-0000-0002", "01000000002", "010 0000 0002"):
        found = await inbox(office, phone=spelling)
        assert [(message["to"], message["text"]) for message in found] == [("010-0000-0002", "two")]
    assert found[0]["at"] == int(office.clock.now().timestamp())


async def test_the_same_message_twice_is_one(office: Office) -> None:
    assert (await send(office, "a")).json() == (await send(office, "a")).json() == {"message": "a"}
    assert len(await inbox(office)) == 1


async def test_messages_are_erased_after_a_day(office: Office) -> None:
    await send(office, "a")
    office.clock.advance(days=1, seconds=1)
    assert await inbox(office) == []


async def test_it_fails_as_often_as_it_is_told(office: Office) -> None:
    fault = {"mode": "fail", "count": 2}
    assert (await office.http.post("/carrier/faults", json=fault, headers=HEADERS)).status_code == 200
    assert [(await send(office, id)).status_code for id in "abc"] == [503, 503, 202]
    assert [message["id"] for message in await inbox(office)] == ["c"]


async def test_it_delays_and_loses(office: Office) -> None:
    await office.carrier.misbehave("delay", 60, 1)
    assert (await send(office, "late")).status_code == 202
    assert await inbox(office) == []
    office.clock.advance(seconds=60)
    assert [message["id"] for message in await inbox(office)] == ["late"]
    await office.carrier.misbehave("lose", 0, 1)
    assert (await send(office, "lost")).status_code == 202
    assert [message["id"] for message in await inbox(office)] == ["late"]


async def test_a_fault_can_be_called_off(office: Office) -> None:
    await office.carrier.misbehave("fail", 0, 100)
    await office.carrier.misbehave("none", 0, 100)
    assert (await send(office, "a")).status_code == 202


async def test_strangers_and_odd_shapes_are_refused(office: Office) -> None:
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic x"}):
        for path in ("/carrier/messages", "/carrier/faults"):
            assert (await office.http.post(path, json={}, headers=headers)).status_code == 401
    for message in ({}, {"id": "", "to": "1", "text": "x"}, {"id": "1", "to": "", "text": "x"},
                    {"id": "1", "to": "1", "text": "x" * 1001}):  # fmt: skip
        assert (await office.http.post("/carrier/messages", json=message, headers=HEADERS)).status_code == 400
    for fault in ({"mode": "explode"}, {"mode": "delay", "seconds": -1}, {"mode": "fail", "count": 10**6}):
        assert (await office.http.post("/carrier/faults", json=fault, headers=HEADERS)).status_code == 400


async def test_the_inbox_page_says_it_is_a_simulator_in_both_languages(office: Office) -> None:
    await send(office, "a", text="<b>코드</b> 123456")
    for lang, words in (("ko", "시뮬레이터"), ("en", "simulator")):
        answer = await office.http.get("/carrier/inbox", params={"lang": lang})
        assert answer.status_code == 200 and words in answer.text
        assert "&lt;b&gt;코드" in answer.text and 'data-message="a"' in answer.text
    part = await office.http.get("/carrier/inbox", headers={"HX-Request": "true"})
    assert "<html" not in part.text and "123456" in part.text
    empty = await office.http.get("/carrier/inbox", params={"phone": '010-9999-9999"><script>'})
    assert empty.status_code == 200 and "<script>" not in empty.text.replace("<script src", "")
