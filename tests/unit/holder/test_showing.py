"""Showing cards to the country's real verifier in every way it asks: transactions, same device, browser API."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from mapae.errors import Code, Refused
from mapae.formats.jose import decode_json, unb64u
from mapae.holder.transaction import Payment
from mapae.verifier.asking.ask import Form, Manner
from mapae.verifier.checking.transaction import PAYMENT, Transaction
from unit.holder.conftest import BASE, MDOC, SD_JWT, Country

CAFE = {"payee": "Cafe Maru", "amount": "12.50", "currency": "KRW", "reference": "table 4"}


def paying(**more: Any) -> Manner:
    return Manner(transactions=(Transaction.make(PAYMENT, ["sd_jwt"], CAFE).text,), **more)


async def test_a_payment_is_shown_and_signed_with_the_card(country: Any) -> None:
    """OpenID4VP 1.0 8.4, B.3.3: on the consent screen, in the holder's signature, in the history."""
    wallet = (await country.carded()).wallet
    qr, id = await country.asks("alcohol_tobacco", Form.SD_JWT, manner=paying())
    asked = await wallet.open_request(qr)
    assert asked.payments == (Payment("Cafe Maru", "12.50", "KRW", "table 4"),)
    shown = await wallet.present(asked)
    assert shown.payments == ["12.50 KRW Cafe Maru"]
    assert (await country.verdict(id)).outcome.value == "accepted"


async def test_same_device_leads_back_to_the_site_that_asked(country: Any) -> None:
    """HAIP 1.0 5.1, OpenID4VP 1.0 8.2: the wallet hands on the fresh redirect_uri."""
    wallet = (await country.carded()).wallet
    qr, id = await country.asks("alcohol_tobacco", Form.SD_JWT, manner=Manner(same_device=True))
    shown = await wallet.present(await wallet.open_request(qr))
    assert shown.redirect_uri is not None
    assert shown.redirect_uri.startswith(f"{BASE}/shop/back/{id}?response_code=")


@pytest.mark.parametrize("method", ["get", "post"])
async def test_both_ways_to_fetch_a_request(country: Any, method: Any) -> None:
    wallet = (await country.carded()).wallet
    qr, id = await country.asks("alcohol_tobacco", Form.MDOC, manner=Manner(method=method))
    await wallet.present(await wallet.open_request(qr))
    assert (await country.verdict(id)).outcome.value == "accepted"


# --- the Digital Credentials API, appendix A --------------------------------------------------------------------------


async def requests(country: Country, form: Form) -> tuple[dict[str, Any], str]:
    """What the site hands to the browser, by protocol, and the question's id."""
    _, id = await country.asks("alcohol_tobacco", form)
    made = await country.house.verifier.questions.browser_requests(country.tills["mart"].id, id)
    return {one["protocol"].rsplit("-", 1)[-1]: one for one in made}, id


@pytest.mark.parametrize(("form", "card"), [(Form.SD_JWT, SD_JWT), (Form.MDOC, MDOC)])
@pytest.mark.parametrize("kind", ["signed", "multisigned"])
async def test_an_answer_through_the_browser(country: Any, kind: str, form: Form, card: str) -> None:
    """A.2 to A.4: audience origin:, the transcript of the API, encrypted; our registered purpose holds here too."""
    wallet = (await country.carded()).wallet
    made, id = await requests(country, form)
    asked = await wallet.open_browser_request(made[kind]["protocol"], made[kind]["data"], BASE)
    assert (asked.items, asked.registered, asked.request.audience) == (["adult_by_year"], True, f"origin:{BASE}")
    shown, data = wallet.present_in_browser(asked)
    assert (shown.outcome, set(data)) == ("sent", {"response"})
    await country.house.verifier.questions.answer_from_browser(country.tills["mart"].id, id, data)
    assert (await country.verdict(id)).outcome.value == "accepted"
    assert wallet.copies_left(wallet.card(card)) == 9


async def test_a_citizens_wallet_answers_no_site_that_does_not_sign(country: Any) -> None:
    wallet = (await country.carded()).wallet
    made, _ = await requests(country, Form.SD_JWT)
    with pytest.raises(Refused) as refused:
        await wallet.open_browser_request(made["unsigned"]["protocol"], made["unsigned"]["data"], BASE)
    assert (refused.value.code, refused.value.step) == (Code.UNKNOWN_RELYING_PARTY, "client")


async def test_another_sites_request_is_not_answered(country: Any) -> None:
    """A.2: a signed request taken to another origin is a replay."""
    wallet = (await country.carded()).wallet
    made, _ = await requests(country, Form.SD_JWT)
    for kind in ("signed", "multisigned"):
        with pytest.raises(Refused) as refused:
            await wallet.open_browser_request(made[kind]["protocol"], made[kind]["data"], "https://evil.example")
        assert (refused.value.code, refused.value.step) == (Code.INVALID_REQUEST, "origin")


async def test_an_answer_for_the_browser_goes_nowhere_else(country: Any) -> None:
    wallet = (await country.carded()).wallet
    made, _ = await requests(country, Form.SD_JWT)
    by_browser = await wallet.open_browser_request(made["signed"]["protocol"], made["signed"]["data"], BASE)
    with pytest.raises(Refused):
        await wallet.present(by_browser)
    qr, _ = await country.asks("alcohol_tobacco", Form.SD_JWT)
    with pytest.raises(Refused):
        wallet.present_in_browser(await wallet.open_request(qr))
    assert wallet.copies_left(wallet.card(SD_JWT)) == 10


async def test_two_requests_of_one_question_are_the_same_question(country: Any) -> None:
    made, _ = await requests(country, Form.SD_JWT)
    payload = decode_json(unb64u(made["multisigned"]["data"]["request"]["payload"]))
    assert payload["nonce"] == decode_json(unb64u(made["signed"]["data"]["request"].split(".")[1]))["nonce"]


async def test_a_card_is_shown_while_the_registry_is_silent_and_the_holder_is_told_since_when(country: Any) -> None:
    jisoo = await country.carded()
    at = int(country.clock.now().timestamp())

    async def nobody(request: httpx.Request, go_on: Any) -> httpx.Response:
        if request.url.path.startswith("/trust/"):
            raise httpx.ConnectError("no route to host", request=request)
        return await go_on(request)

    country.line.watch = nobody
    country.clock.advance(hours=23)
    qr, _ = await country.asks("alcohol_tobacco")
    assert (await jisoo.wallet.open_request(qr)).known_at is None
    country.clock.advance(days=6)
    qr, id = await country.asks("alcohol_tobacco")
    asked = await jisoo.wallet.open_request(qr)
    assert asked.known_at is not None and at - 3600 <= asked.known_at <= at
    await jisoo.wallet.present(asked)
    assert (await country.verdict(id)).outcome.value == "accepted"
    again = country.wallet(jisoo.store)  # the phone was switched off and on in the dark
    qr, id = await country.asks("alcohol_tobacco")
    await again.present(await again.open_request(qr))
    assert (await country.verdict(id)).outcome.value == "accepted"
    with pytest.raises(Refused) as refused:  # what is received must stand on a list in date
        await jisoo.wallet.receive(await country.offer(jisoo.person))
    assert refused.value.code is Code.UNAVAILABLE
    country.clock.advance(days=25)
    qr, _ = await country.asks("alcohol_tobacco")
    with pytest.raises(Refused) as refused:
        await jisoo.wallet.open_request(qr)
    assert refused.value.code is Code.UNAVAILABLE
