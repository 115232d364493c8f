"""The simulated payments: one charge a reference, whatever is repeated, raced, lost or undone."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from browserless import Page
from mapae.errors import Code, Refused
from mapae.issuer.cards.calls import LIMIT, Outside
from mapae.issuer.cards.partners import Payment, Started
from mapae.issuer.cards.payment_client import PaymentClient
from mapae.simulators.payment import DEMO, Card, digits_of

from .conftest import BASE, KEY, Outskirts

NUMBER = {card: number for number, card in DEMO.items()}


async def started(outskirts: Outskirts, reference: str = "fee-1") -> Started:
    return await outskirts.payment.start(10_000, "KRW", reference)


async def paid_with(outskirts: Outskirts, payment: Started, card: Card) -> Page:
    browser = outskirts.browser()
    page = await browser.get(payment.url.removeprefix(BASE))
    return await browser.post(page, f"/pay/{payment.id}", card=NUMBER[card])


async def test_a_card_pays_on_the_hosted_page(outskirts: Outskirts) -> None:
    payment = await started(outskirts)
    assert await outskirts.payment.state(payment.id) is Payment.OPEN
    page = await paid_with(outskirts, payment, Card.PAYS)
    assert page["payment"].attributes["data-state"] == "paid" and "simulator" in page.text
    assert await outskirts.payment.state(payment.id) is Payment.PAID


async def test_a_declined_card_takes_nothing(outskirts: Outskirts) -> None:
    payment = await started(outskirts)
    page = await paid_with(outskirts, payment, Card.DECLINES)
    assert page["payment"].attributes["data-state"] == "declined"
    assert await outskirts.payment.state(payment.id) is Payment.DECLINED


@pytest.mark.parametrize(("says", "ends"), [("yes", Payment.PAID), ("no", Payment.DECLINED)])
async def test_the_bank_asks_the_cardholder(outskirts: Outskirts, says: str, ends: Payment) -> None:
    payment = await started(outskirts)
    browser = outskirts.browser()
    page = await browser.get(f"/payment/pay/{payment.id}")
    page = await browser.post(page, f"/pay/{payment.id}", card=NUMBER[Card.ASKS])
    assert page["payment"].attributes["data-state"] == "confirming"
    assert await outskirts.payment.state(payment.id) is Payment.OPEN
    await browser.post(page, "/confirm", yes=says)
    assert await outskirts.payment.state(payment.id) is ends


async def test_a_lost_answer_after_charging_is_found_out_by_asking(outskirts: Outskirts) -> None:
    payment = await started(outskirts)
    page = await paid_with(outskirts, payment, Card.LOSES)
    assert page.status == 503
    assert await outskirts.payment.state(payment.id) is Payment.PAID
    assert await started(outskirts) == payment


async def test_no_answer_is_unknown_and_starting_again_is_the_same_payment(outskirts: Outskirts) -> None:
    await outskirts.tell("payment", "lost_answer")
    with pytest.raises(Refused) as refused:
        await started(outskirts)
    assert refused.value.code is Code.UNAVAILABLE
    payment = await started(outskirts)
    await outskirts.tell("payment", "error", count=2)
    assert await outskirts.payment.state(payment.id) is Payment.UNKNOWN
    assert await outskirts.payment.refund(payment.id) is Payment.UNKNOWN
    rows = await outskirts.db.all("SELECT * FROM simulated_payment")
    assert [(row["id"], row["state"]) for row in rows] == [(payment.id, "open")]


async def test_payments_raced_are_charged_once(outskirts: Outskirts) -> None:
    begun = await asyncio.gather(*(started(outskirts) for _ in range(8)))
    assert len(set(begun)) == 1
    payments = outskirts.simulators.payments
    cards = [Card.PAYS, Card.DECLINES, Card.PAYS, Card.LOSES] * 3
    await asyncio.gather(*(payments.pay(begun[0].id, NUMBER[card]) for card in cards), return_exceptions=True)
    first = await outskirts.payment.state(begun[0].id)
    assert first in (Payment.PAID, Payment.DECLINED)
    await asyncio.gather(*(payments.pay(begun[0].id, NUMBER[card]) for card in cards), return_exceptions=True)
    assert await outskirts.payment.state(begun[0].id) is first


async def test_a_refund_twice_is_one_and_is_final(outskirts: Outskirts) -> None:
    payment = await started(outskirts)
    await paid_with(outskirts, payment, Card.PAYS)
    await outskirts.tell("payment", "lost_answer")
    assert await outskirts.payment.refund(payment.id) is Payment.UNKNOWN
    assert await outskirts.payment.refund(payment.id) is Payment.REFUNDED
    await outskirts.simulators.payments.pay(payment.id, NUMBER[Card.PAYS])
    assert await outskirts.payment.state(payment.id) is Payment.REFUNDED


async def test_a_payment_that_was_never_paid_is_ended_by_a_refund(outskirts: Outskirts) -> None:
    payment = await started(outskirts)
    assert await outskirts.payment.refund(payment.id) is Payment.DECLINED
    await outskirts.simulators.payments.pay(payment.id, NUMBER[Card.PAYS])
    assert await outskirts.payment.state(payment.id) is Payment.DECLINED


async def test_the_payer_gets_back_to_the_page_that_sent_him(outskirts: Outskirts) -> None:
    payment = await started(outskirts)
    for referer in ("https://elsewhere.test/portal/x", f"{BASE}/checker/", f"{BASE}/portal/cards/c1", f"{BASE}/desk/x"):
        await outskirts.http.get(f"/payment/pay/{payment.id}", headers={"Referer": referer})
    outskirts.http.cookies.clear()
    page = await paid_with(outskirts, payment, Card.PAYS)
    assert 'href="/portal/cards/c1"' in page.html


async def test_one_reference_is_one_amount(outskirts: Outskirts) -> None:
    await started(outskirts)
    with pytest.raises(Refused) as refused:
        await outskirts.payment.start(5_000, "KRW", "fee-1")
    assert refused.value.code is Code.CONFLICT


async def test_a_number_with_a_wrong_digit_is_no_card(outskirts: Outskirts) -> None:
    payment = await started(outskirts)
    browser = outskirts.browser("ko")
    page = await browser.get(f"/payment/pay/{payment.id}")
    page = await browser.post(page, f"/pay/{payment.id}", card=NUMBER[Card.PAYS][:-1] + "9")
    assert page.status == 422 and await outskirts.payment.state(payment.id) is Payment.OPEN
    assert digits_of("4111 1111-1111 1111") == "4111111111111111"
    for typed in ("", "4111 1111 1111 1112", "４111111111111111", "1" * 40):
        with pytest.raises(Refused):
            digits_of(typed)


RIGHT = {"id": "p", "reference": "r", "amount": 1, "currency": "KRW", "state": "open", "url": "https://x.test/"}
WRONG = {
    "large": httpx.Response(200, content=b"{" + b" " * LIMIT + b"}"), "html": httpx.Response(200, content=b"<html>"),
    "redirect": httpx.Response(302, headers={"Location": "http://elsewhere.test/"}),
    "lacking": httpx.Response(200, json={"id": "p"}), "twice": httpx.Response(200, content=b'{"id":"p","id":"q"}'),
    "error": httpx.Response(500, json={"error": "conflict"}),
    "reference": httpx.Response(200, json=RIGHT | {"reference": "other"}),
    "page": httpx.Response(200, json=RIGHT | {"url": "javascript:alert(1)"}),
    "amount": httpx.Response(200, json=RIGHT | {"amount": 2}),
}  # fmt: skip


@pytest.mark.parametrize("answer", list(WRONG.values()), ids=list(WRONG))
async def test_an_answer_that_cannot_be_right_is_no_answer(answer: httpx.Response) -> None:
    http = httpx.AsyncClient(transport=httpx.MockTransport(lambda request: answer))
    client = PaymentClient(Outside("payment", http, "http://pay.test", KEY))
    with pytest.raises(Refused) as refused:
        await client.start(1, "KRW", "r")
    assert refused.value.code is Code.UNAVAILABLE
    assert await client.state("another") is Payment.UNKNOWN


async def test_whoever_takes_too_long_has_not_answered() -> None:
    async def slow(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(5)
        raise AssertionError("nobody waits for this")

    http = httpx.AsyncClient(transport=httpx.MockTransport(slow))
    client = PaymentClient(Outside("payment", http, "http://pay.test", KEY, patience=0.05))
    assert await client.state("p") is Payment.UNKNOWN
