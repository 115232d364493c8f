"""Every write between a push and the deferred card that comes of it fails, once lost and once kept. Whatever was half
done, the holder begins again and ends with one wallet that holds one live batch."""

from __future__ import annotations

import pytest

from authorizing import Holder, waiting
from faults.test_issue_power_cuts import Flaky, cut, house
from issuing import Hall, Phone, live_batches, must_be_whole
from mapae.db import Db
from mapae.keys import Signer

__all__ = ["house"]


async def from_push_to_card(hall: Hall, phone: Phone, state: dict[str, str]) -> None:
    await phone.c_nonce()
    assert (await phone.exchange(await Holder(hall, phone).code(**state))).status_code == 200
    answer = await phone.fetch(keys=[Signer.ephemeral() for _ in range(2)])
    if answer.status_code == 202:
        hall.clock.advance(seconds=30)
        message = {"transaction_id": answer.json()["transaction_id"]}
        headers = phone.dpop("/issuer/deferred", phone.access)
        answer = await hall.http.post("/issuer/deferred", json=message, headers=headers)
    assert answer.status_code == 200, answer.text
    assert (await phone.tell(answer.json()["notification_id"])).status_code == 204


@pytest.mark.parametrize("kept", [False, True], ids=["lost", "kept"])
@pytest.mark.parametrize("nth", range(1, 11))
async def test_each_write_fails_once(house: Db, nth: int, kept: bool) -> None:
    flaky = Flaky(house)
    hall = Hall(flaky)
    phone, state = Phone(hall, "jisoo"), await waiting(hall, second_look=30)
    flaky.fail_at, flaky.kept = flaky.writes + nth, kept
    assert await cut(lambda: from_push_to_card(hall, phone, state)), "the story has fewer writes than this test thinks"
    hall.opened(flaky)
    await hall.issuer.recover()
    await must_be_whole(hall, house)
    await from_push_to_card(hall, phone, state)
    await must_be_whole(hall, house)
    assert await live_batches(house) == 1
    sessions = [row["state"] for row in await house.all("SELECT state FROM wallet_session")]
    assert sessions.count("live") == 1
    assert [row["state"] for row in await house.all("SELECT state FROM deferred")].count("waiting") <= 1
