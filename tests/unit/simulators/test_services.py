"""What the four services have in common: a key, faults that survive, pages that say what they are."""

from __future__ import annotations

import pytest

from mapae.errors import Code, Refused
from mapae.issuer.cards.partners import Fingerprint

from .conftest import KEY, Outskirts

# Races are run on both engines with the payments.
pytestmark = pytest.mark.parametrize("migrated", ["sqlite"], indirect=True)
SERVICES = ("factory", "post", "payment", "fingerprint")


async def test_the_reader_says_one_word_and_keeps_nothing(outskirts: Outskirts) -> None:
    compare = outskirts.fingerprint.compare
    assert await compare("person-1", "sejong") is Fingerprint.MATCHED
    for mode, said in (("not_matched", Fingerprint.NOT_MATCHED), ("unreadable", Fingerprint.UNREADABLE),
                       ("error", Fingerprint.UNAVAILABLE), ("lost_answer", Fingerprint.UNAVAILABLE)):  # fmt: skip
        await outskirts.tell("fingerprint", mode)
        assert await compare("person-1", "sejong") is said
        assert await compare("person-1", "sejong") is Fingerprint.MATCHED


async def test_strangers_are_refused_at_every_door(outskirts: Outskirts) -> None:
    doors = ["/factory/orders", "/factory/orders/x/sod", "/factory/orders/x/cancel", "/post/parcels",
             "/payment/payments", "/payment/payments/x/refund", "/fingerprint/comparisons"]  # fmt: skip
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {KEY}"}):
        for path in [*doors, *(f"/{name}/faults" for name in SERVICES)]:
            assert (await outskirts.http.post(path, json={}, headers=headers)).status_code == 401
        for path in ("/factory/orders/x", "/post/parcels/1", "/payment/payments/x"):
            assert (await outskirts.http.get(path, headers=headers)).status_code == 401


async def test_a_fault_is_for_the_next_requests_of_one_service_and_survives_a_kill(outskirts: Outskirts) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    told = await outskirts.http.post("/payment/faults", json={"mode": "error", "count": 2}, headers=headers)
    assert told.status_code == 200
    again = outskirts.killed()
    assert await again.fingerprint.compare("person-1", "sejong") is Fingerprint.MATCHED
    for _ in range(2):
        with pytest.raises(Refused, match="unavailable"):
            await again.payment.start(1, "KRW", "r")
    await again.payment.start(1, "KRW", "r")
    await again.http.aclose()


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_knows_only_its_own_faults(outskirts: Outskirts, service: str) -> None:
    for mode, count, seconds in (("explode", 1, 0), ("error", -1, 0), ("slow", 1, 10_000), ("error", 10**6, 0)):
        with pytest.raises(Refused) as refused:
            await outskirts.tell(service, mode, count, seconds)
        assert refused.value.code is Code.MALFORMED
    if service != "post":
        with pytest.raises(Refused):
            await outskirts.tell(service, "lose")


async def test_whoever_shows_the_demo_can_tell_a_service_to_fail_and_to_stop(outskirts: Outskirts) -> None:
    for language, words in (("en", "simulator"), ("ko", "시뮬레이터")):
        browser = outskirts.browser(language)
        page = await browser.get("/simulators/")
        assert page.status == 200 and words in page.text
        page = await browser.post(page, "/fingerprint/faults", mode="unreadable", count="3")
        assert page["told-fingerprint"].attributes["data-mode"] == "unreadable"
        page = await browser.post(page, "/fingerprint/faults", mode="none")
        assert page["told-fingerprint"].attributes["data-mode"] == "none"
    assert (await outskirts.http.post("/simulators/post/faults", data={"mode": "lose"})).status_code == 403
