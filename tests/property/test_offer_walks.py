"""Any order of events at the counter: whatever officers, phones, strangers, the clock and the loss report do, the rules
hold after every step and the store is whole in the end."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from issuing import SD_JWT, Hall, Phone, must_be_whole
from mapae.db import Db, connect, migrate
from mapae.errors import Code, Refused
from mapae.issuer.order import Offer

ACTS = [
    "open", "cancel", "scan", "redeem", "redeem_twin", "redeem_stranger", "wait",
    "fetch", "accept", "renew", "lock", "release", "end",
]  # fmt: skip
_serial = itertools.count()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Db]:
    opened = await connect(f"sqlite:///{tmp_path}/issuer.db")
    await migrate(opened, "issuer")
    yield opened
    await opened.close()


class Walk:
    """One person, one case, two own phones and a stranger's; and a small model of what must be true."""

    def __init__(self, hall: Hall) -> None:
        n = next(_serial)
        self.hall, self.person, self.case = hall, f"person-{n}", f"case-{n}"
        hall.register.add(self.person, "홍지수", date(2001, 3, 9))
        self.phone, self.twin = (Phone(hall, self.person) for _ in range(2))
        self.stranger = Phone(hall, "minho")
        self.offer: Offer | None = None
        self.code = self.notification = ""
        self.redeemed_by: set[str] = set()
        self.locked = self.over = False

    async def act(self, name: str) -> None:
        hall = self.hall
        for phone in (self.phone, self.twin, self.stranger):
            phone.nonce = ""  # the clock may have moved on
        match name:
            case "open":
                try:
                    self.offer = await hall.issuer.open_offer(hall.order(self.person, self.case))
                    self.redeemed_by = set()
                except Refused as refused:
                    assert refused.code is Code.CASE_CLOSED
            case "cancel":
                await hall.issuer.cancel_offer(self.case)
            case "scan" if self.offer is not None:
                answer = await hall.http.get(f"/issuer/offers/{self.offer.id}")
                assert answer.status_code in (200, 404, 410)
                if answer.status_code == 200:
                    self.code = next(iter(answer.json()["grants"].values()))["pre-authorized_code"]
            case "redeem" | "redeem_twin" | "redeem_stranger" if self.code:
                phone = {"redeem": self.phone, "redeem_twin": self.twin, "redeem_stranger": self.stranger}[name]
                answer = await phone.redeem(self.code)
                assert answer.status_code in (200, 400)
                if answer.status_code == 200:
                    assert name != "redeem_stranger", "a stranger got somebody's card"
                    assert self.offer is not None and hall.clock.now() < self.offer.expires
                    self.redeemed_by.add(name)
                    assert len(self.redeemed_by) == 1, "an offer was redeemed by two phones"
            case "wait":
                hall.clock.advance(seconds=100)
            case "fetch" if self.phone.access:
                await self.phone.c_nonce()
                answer = await self.phone.fetch(SD_JWT, 2)
                assert answer.status_code in (200, 400, 401)
                if answer.status_code == 200:
                    assert not self.locked and not self.over, "a locked card was issued"
                    self.notification = answer.json()["notification_id"]
            case "accept" if self.notification:
                await self.phone.c_nonce()
                assert (await self.phone.tell(self.notification)).status_code in (204, 400, 401)
            case "renew" if self.phone.refresh:
                answer = await self.phone.renew()
                assert answer.status_code in (200, 400)
                assert answer.status_code == 400 or not (self.locked or self.over)
            case "lock":
                await hall.issuer.lock(self.person, "lost", "citizen")
                self.locked = bool(await hall.issuer.holdings(self.person)) and not self.over
            case "release":
                await hall.issuer.release(self.person, "officer-1", hall.evidence())
                self.locked = False
            case "end":
                await hall.issuer.end(self.person, "wiped", "officer-1")
                self.over = bool(await hall.issuer.holdings(self.person))

    async def must_hold(self) -> None:
        held = [one.state for one in await self.hall.issuer.holdings(self.person)]
        assert len(held) <= 1
        if held:
            assert held[0] == ("ended" if self.over else "suspended" if self.locked else "valid")
        live = await self.hall.db.all(
            "SELECT DISTINCT t.status FROM ticket t JOIN issue_order o ON o.id = t.order_id"
            " WHERE o.person = $1 AND t.status <> 1", self.person,
        )  # fmt: skip
        assert {row["status"] for row in live} <= ({2} if self.locked else set() if self.over else {0})


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    begin=st.sampled_from([[], ["redeem"], ["redeem", "fetch"], ["redeem", "fetch", "accept", "renew"]]),
    acts=st.lists(st.sampled_from(ACTS), min_size=4, max_size=25),
)
async def test_any_walk_at_the_counter_keeps_the_rules(house: Db, begin: list[str], acts: list[str]) -> None:
    hall = Hall(house, seed=next(_serial))
    walk = Walk(hall)
    for name in ["open", "scan", *begin, *acts]:
        await walk.act(name)
        await walk.must_hold()
    await must_be_whole(hall, house)
