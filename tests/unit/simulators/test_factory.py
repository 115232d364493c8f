"""The simulated card factory, as the issuer's client sees it: one chip an order, days by the clock, hashes."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import pytest

from mapae.errors import Code, Refused
from mapae.issuer.cards.calls import Outside
from mapae.issuer.cards.factory_client import FactoryClient
from mapae.issuer.cards.partners import Production, Stage

from .conftest import KEY, Cut, CutPress, Outskirts, card, sod_over

# Races are run on both engines with the payments; here it is about the factory.
pytestmark = pytest.mark.parametrize("migrated", ["sqlite"], indirect=True)


async def ordered(outskirts: Outskirts, id: str = "order-1") -> Production:
    await outskirts.factory.order(id, card())
    found = await outskirts.factory.state(id)
    assert found is not None
    return found


async def test_a_chip_waits_for_its_signature_and_is_made_after_two_to_three_weeks(outskirts: Outskirts) -> None:
    found = await ordered(outskirts)
    assert found.stage is Stage.WAITING_FOR_SIGNATURE
    assert found.hashes[14] == hashlib.sha256(found.dg14).digest()
    await outskirts.factory.sign("order-1", sod_over(dict(found.hashes)))
    signed = await outskirts.factory.state("order-1")
    assert signed is not None and signed.stage is Stage.SIGNED
    days = 0
    while (now := await outskirts.factory.state("order-1")) is not None and now.stage is Stage.SIGNED:
        assert not (outskirts.folder / "M12345678").exists()
        outskirts.clock.advance(days=1)
        days += 1
    assert 14 <= days <= 21
    assert now is not None and now.stage is Stage.MADE and now.at == signed.at + timedelta(days=days)
    blank, sod, letter = msgspec.json.decode((outskirts.folder / "M12345678").read_bytes())
    assert blank and sod and [len(letter[name]) for name in ("pin", "can", "puk")] == [4, 6, 10]


async def test_the_holders_data_are_gone_once_the_chip_is_made(outskirts: Outskirts) -> None:
    found = await ordered(outskirts)
    await outskirts.factory.sign("order-1", sod_over(dict(found.hashes)))
    outskirts.clock.advance(days=30)
    assert await outskirts.simulators.factory.turn() == 1
    rows = await outskirts.db.all("SELECT * FROM simulated_order")
    assert rows[0]["blank"] is None and rows[0]["state"] == "made"


async def test_an_order_handed_in_twice_is_one_chip(outskirts: Outskirts) -> None:
    first = await ordered(outskirts)
    assert await ordered(outskirts) == first
    for id, data in (("order-1", card(name="임꺽정")), ("order-2", card())):  # other data; the number of another card
        with pytest.raises(Refused) as refused:
            await outskirts.factory.order(id, data)
        assert refused.value.code is Code.CONFLICT


async def test_a_signature_over_other_hashes_is_refused(outskirts: Outskirts) -> None:
    """The factory said what is on the chip; it takes no signature over anything else."""
    found = await ordered(outskirts)
    other = dict(found.hashes) | {1: bytes(32)}
    with pytest.raises(Refused) as refused:
        await outskirts.factory.sign("order-1", sod_over(other))
    assert refused.value.code is Code.CHIP_REFUSED
    assert (await outskirts.factory.state("order-1")) == found
    await outskirts.factory.sign("order-1", sod_over(dict(found.hashes)))
    with pytest.raises(Refused) as refused:
        await outskirts.factory.sign("order-1", b"another")
    assert refused.value.code is Code.CONFLICT


async def test_a_factory_can_be_told_to_report_the_hashes_of_another_chip(outskirts: Outskirts) -> None:
    """For the issuer to find out: it knows what data group 1 of this holder must be."""
    await outskirts.tell("factory", "wrong_hashes")
    wrong = await ordered(outskirts)
    assert wrong.hashes[1] != hashlib.sha256(b"M12345678").digest()


async def test_a_broken_chip_is_said_to_have_failed(outskirts: Outskirts) -> None:
    found = await ordered(outskirts)
    await outskirts.tell("factory", "break_chip")
    await outskirts.factory.sign("order-1", sod_over(dict(found.hashes)))
    broken = await outskirts.factory.state("order-1")
    assert broken is not None and broken.stage is Stage.FAILED
    outskirts.clock.advance(days=40)
    assert await outskirts.simulators.factory.turn() == 0


async def test_an_order_is_taken_back_until_it_is_signed(outskirts: Outskirts) -> None:
    found = await ordered(outskirts)
    assert await outskirts.factory.cancel("order-1") and await outskirts.factory.cancel("order-1")
    assert await outskirts.factory.state("order-1") is None
    with pytest.raises(Refused, match="conflict"):
        await outskirts.factory.order("order-1", card())
    await outskirts.factory.order("order-2", card("M99999999"))
    await outskirts.factory.sign("order-2", sod_over(dict((await outskirts.factory.state("order-2") or found).hashes)))
    assert not await outskirts.factory.cancel("order-2")


async def test_what_was_never_ordered_is_cancelled_for_good(outskirts: Outskirts) -> None:
    """The cancellation overtook the order."""
    assert await outskirts.factory.cancel("late") and await outskirts.factory.cancel("later")
    with pytest.raises(Refused, match="conflict"):
        await outskirts.factory.order("late", card())


async def test_a_lost_answer_is_one_chip_all_the_same(outskirts: Outskirts) -> None:
    await outskirts.tell("factory", "lost_answer")
    with pytest.raises(Refused, match="unavailable"):
        await outskirts.factory.order("order-1", card())
    found = await ordered(outskirts)
    await outskirts.tell("factory", "lost_answer")
    with pytest.raises(Refused, match="unavailable"):
        await outskirts.factory.sign("order-1", sod_over(dict(found.hashes)))
    await outskirts.factory.sign("order-1", sod_over(dict(found.hashes)))


async def test_a_killed_factory_goes_on_where_it_was(outskirts: Outskirts) -> None:
    found = await ordered(outskirts)
    again = outskirts.killed()
    assert await again.factory.state("order-1") == found
    await again.factory.sign("order-1", sod_over(dict(found.hashes)))
    again.clock.advance(days=21)
    dying = outskirts.killed(CutPress())
    with pytest.raises(Cut):
        await dying.simulators.factory.turn()  # the file is written, the record is not
    written = (outskirts.folder / "M12345678").read_bytes()
    last = await outskirts.killed().factory.state("order-1")
    assert last is not None and last.stage is Stage.MADE
    assert (outskirts.folder / "M12345678").read_bytes() == written


async def test_the_letter_is_there_when_the_card_is_and_says_it_is_a_simulators(outskirts: Outskirts) -> None:
    found = await ordered(outskirts)
    browser = outskirts.browser()
    assert (await browser.get("/factory/letters/M12345678")).status == 404
    await outskirts.factory.sign("order-1", sod_over(dict(found.hashes)))
    outskirts.clock.advance(days=21)
    for language, words in (("en", "simulator"), ("ko", "시뮬레이터")):
        page = await outskirts.browser(language).get("/factory/letters/M12345678")
        assert page.status == 200 and words in page.text and len(page["pin"].text) == 4
    assert (await browser.get("/factory/letters/..%2Ffactory-key")).status == 404


@pytest.mark.parametrize(
    "bent",
    [
        {"order": "another"}, {"state": "sold"}, {"at": 10**15}, {"at": -1}, {"hashes": {"1": "AA=="}},
        {"hashes": {"x": "A" * 43 + "="}}, {"hashes": {}}, {"dg14": "AA=="}, {"dg14": "A" * 8000}, {"at": "now"},
    ],
    ids=["order", "state", "far", "before", "short", "group", "none", "key", "long", "text"],
)  # fmt: skip
async def test_an_answer_that_cannot_be_right_is_no_answer(outskirts: Outskirts, bent: dict[str, object]) -> None:
    await ordered(outskirts)
    right = (await outskirts.http.get("/factory/orders/order-1", headers={"Authorization": f"Bearer {KEY}"})).json()
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=right | bent))
    client = FactoryClient(Outside("factory", httpx.AsyncClient(transport=transport), "http://f.test", KEY))
    with pytest.raises(Refused) as refused:
        await client.state("order-1")
    assert refused.value.code is Code.UNAVAILABLE
    assert datetime.fromtimestamp(right["at"], UTC) == outskirts.clock.now()
