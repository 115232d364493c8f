"""Two at once: two wallets for one offer, two requests for one order, a lost report in the middle of an issuance."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from issuing import MDOC, SD_JWT, Hall, Phone, live_batches, must_be_whole
from mapae.db import Db
from mapae.formats.status import SUSPENDED


@pytest.fixture
async def house(migrated: Callable[[str], Awaitable[Db]]) -> Db:
    return await migrated("issuer")


async def test_of_two_wallets_with_one_code_one_gets_it(house: Db) -> None:
    """Two phones of the same person, so that nothing but the single use can refuse the second."""
    hall = Hall(house)
    phones = [Phone(hall, "jisoo") for _ in range(4)]
    code = await phones[0].scan(await hall.offer())
    for phone in phones:
        await phone.c_nonce()
    answers = await asyncio.gather(*(phone.redeem(code) for phone in phones))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400]
    assert (await hall.told()).count("refused_second_scan") == 3
    assert len(await house.all("SELECT id FROM wallet_session")) == 1


async def test_two_requests_for_one_order_leave_one_live_batch(house: Db) -> None:
    hall = Hall(house)
    phone = Phone(hall, "jisoo")
    await phone.redeem(await phone.scan(await hall.offer()))
    answers = await asyncio.gather(*(phone.fetch(SD_JWT) for _ in range(4)))
    assert 200 in [answer.status_code for answer in answers]
    assert {answer.status_code for answer in answers} <= {200, 503}
    await must_be_whole(hall, house)
    assert await live_batches(house) == 1


async def test_both_formats_at_once(house: Db) -> None:
    hall = Hall(house)
    phone = Phone(hall, "jisoo")
    await phone.redeem(await phone.scan(await hall.offer()))
    answers = await asyncio.gather(phone.fetch(SD_JWT), phone.fetch(MDOC))
    assert [answer.status_code for answer in answers] == [200, 200]
    await must_be_whole(hall, house)


@pytest.mark.parametrize("line", ["facts", "intended", "signed_1"])
async def test_a_lost_report_in_the_middle_of_an_issuance_wins(house: Db, line: str) -> None:
    """The report comes at this line; whatever the wallet gets, no copy of the person is valid afterwards."""
    hall = Hall(house)
    first = await hall.carded()
    await first.renew()
    reports: list[asyncio.Task[int]] = []

    def checkpoint(name: str) -> None:
        if name == line and not reports:
            reports.append(asyncio.get_running_loop().create_task(hall.issuer.lock("jisoo", "lost", "citizen")))

    hall.opened(house, checkpoint)
    await first.fetch()
    await asyncio.gather(*reports)
    await must_be_whole_but_locked(house)
    assert (await first.fetch()).status_code == 401


async def must_be_whole_but_locked(house: Db) -> None:
    tickets = await house.all("SELECT status FROM ticket")
    assert tickets and {row["status"] for row in tickets} <= {1, SUSPENDED}


async def test_two_desks_offering_one_case_leave_one_open_offer(house: Db) -> None:
    hall = Hall(house)
    await asyncio.gather(*(hall.offer() for _ in range(4)), return_exceptions=True)
    assert len(await house.all("SELECT id FROM issue_offer WHERE state = 'open'")) == 1
    assert len(await house.all("SELECT id FROM issue_order")) == 1


async def test_one_live_card_a_person_is_an_invariant_of_the_database(house: Db) -> None:
    """Two cases, two phones, fetched at the same moment: one card is live in the end."""
    hall = Hall(house)
    phones = []
    for case in ("case-1", "case-2"):
        phone = Phone(hall, "jisoo")
        assert (await phone.redeem(await phone.scan(await hall.offer(case=case)))).status_code == 200
        phones.append(phone)
    await asyncio.gather(*(phone.fetch() for phone in phones))
    held = [holding.state for holding in await hall.issuer.holdings("jisoo")]
    assert held.count("valid") == 1
    assert await live_batches(house) == 1
