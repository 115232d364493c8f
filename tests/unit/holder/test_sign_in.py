"""The authorization code flow and deferred issuance, with the country's real issuer and a browser without script."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from browserless import Browser
from mapae.errors import Code, Refused
from mapae.holder import MemoryStore, SignIn
from mapae.issuer.order import Way
from unit.holder.conftest import BASE, MDOC, SD_JWT, Citizen, Country, Killed
from unit.holder.test_resume import fresh, kill_at, must_be_whole, restarted

BACK = "https://wallet.example/back"
BY_CODE = {"way": Way.AUTHORIZATION_CODE}


async def goes_through(country: Country, citizen: Citizen, sign_in: SignIn, action: str = "/approve") -> str:
    """The person signs in on the issuer's pages; the address her browser is sent back to."""
    browser = Browser(country.http, BASE)
    typed = country.typed(citizen.resident)
    page = await browser.get(sign_in.url.removeprefix(BASE))
    country.clock.advance(minutes=2)  # the newest message is the one on top
    asked = await browser.post(page, "/check", name=typed.name, number=typed.resident_number, phone=typed.phone)
    consent = await browser.post(asked, "/code", code=await country.read_code({}))
    form = consent.form(action)
    sent = await browser._send("POST", form.action, form.fields)
    assert sent.status_code == 303, sent.text
    return str(sent.headers["location"])


async def begun(country: Country, which: int = 0, **how: Any) -> tuple[Citizen, SignIn]:
    citizen = await country.citizen(which)
    offer = await country.offered(citizen.person, **BY_CODE)
    return citizen, await citizen.wallet.authorize(offer.uri, BACK, **how)


def changed(redirect: str, **changes: str | None) -> str:
    parts = urlsplit(redirect)
    fields = {**dict(parse_qsl(parts.query)), **changes}
    return parts._replace(query=urlencode({k: v for k, v in fields.items() if v is not None})).geturl()


@pytest.mark.parametrize("details", [False, True], ids=["scope", "authorization_details"])
async def test_a_card_by_signing_in(country: Any, details: bool) -> None:
    """HAIP 1.0 4: pushed request, scope or details, PKCE, DPoP, wallet attestation, iss; both formats; renewal."""
    citizen, sign_in = await begun(country, details=details)
    assert dict(parse_qsl(urlsplit(sign_in.url).query)).keys() == {"client_id", "request_uri"}  # RFC 9126: nothing else
    await citizen.wallet.redeem(await goes_through(country, citizen, sign_in))
    await must_be_whole(country, citizen)
    await citizen.wallet.renew(citizen.wallet.card(SD_JWT))
    assert citizen.wallet.copies_left(citizen.wallet.card(SD_JWT)) == 10


async def test_a_wallet_may_ask_without_an_offer(country: Any) -> None:
    """OpenID4VCI 1.0 5: wallet-initiated; the order of the counter waits for whoever signs in."""
    citizen = await country.citizen()
    await country.offered(citizen.person, **BY_CODE)
    sign_in = await citizen.wallet.apply(f"{BASE}/issuer", [SD_JWT], BACK)
    (card,) = await citizen.wallet.redeem(await goes_through(country, citizen, sign_in))
    assert (card.configuration, card.standing) == (SD_JWT, "listed")


async def test_the_wallet_may_end_between_the_page_and_the_redirect(country: Any) -> None:
    citizen, sign_in = await begun(country)
    citizen = await restarted(country, citizen)
    assert citizen.wallet.sign_ins == [sign_in]
    redirect = await goes_through(country, citizen, sign_in)
    citizen = await restarted(country, citizen)
    await citizen.wallet.redeem(redirect)
    await must_be_whole(country, citizen)
    assert citizen.wallet.sign_ins == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_at_each_request_of_a_sign_in(country: Any, after: bool) -> None:
    """Until the page is opened a new start costs nothing; once the code is there, nothing is lost but in one place: a
    code is redeemed once (RFC 6749 4.1.2), so when the answer with the tokens is lost the person signs in again."""
    citizen, sign_in = await begun(country, 1)
    redirect = await goes_through(country, citizen, sign_in)
    country.line.sent.clear()
    await citizen.wallet.redeem(redirect)
    total = len(country.line.sent)
    citizen, again = await country.citizen(0), []
    for number in range(1, total + 1):
        await country.house.issuer.end(citizen.person, "test", "officer-1")
        offer = await country.offered(citizen.person, **BY_CODE)
        kill_at(country, 4, after)
        with pytest.raises(Killed):
            await citizen.wallet.authorize(offer.uri, BACK)
        citizen = await restarted(country, citizen)
        await citizen.wallet.resume()
        sign_in = await citizen.wallet.authorize(offer.uri, BACK)
        redirect = await goes_through(country, citizen, sign_in)
        before = {card.id for card in citizen.wallet.cards}
        kill_at(country, number, after)
        with pytest.raises(Killed):
            await citizen.wallet.redeem(redirect)
        citizen = await restarted(country, citizen)
        try:
            await citizen.wallet.resume()
        except Refused as refused:
            assert refused.code is Code.INVALID_GRANT
            again.append(number)
            sign_in = await citizen.wallet.authorize(offer.uri, BACK)
            redirect = await goes_through(country, citizen, sign_in)
        if {card.id for card in citizen.wallet.cards} == before:  # it died before the code was on disk
            await citizen.wallet.redeem(redirect)
        new = [card for card in citizen.wallet.cards if card.id not in before]
        assert sorted(card.configuration for card in new) == [MDOC, SD_JWT], number
        for card in new:
            assert await citizen.wallet.check_status(card) == "valid"
    assert len(again) == (1 if after else 0)


@pytest.mark.parametrize(
    ("changes", "code", "step"),
    [
        ({"state": "another"}, Code.INVALID_REQUEST, "state"),
        ({"state": None}, Code.INVALID_REQUEST, "redirect"),
        ({"iss": "https://evil.example"}, Code.INVALID_REQUEST, "issuer"),  # RFC 9207 2.4: mix-up
        ({"iss": None}, Code.INVALID_REQUEST, "issuer"),
    ],
)
async def test_a_redirect_from_elsewhere_is_refused_and_ends_nothing(
    country: Any, changes: dict[str, str | None], code: Code, step: str
) -> None:
    citizen, sign_in = await begun(country)
    redirect = await goes_through(country, citizen, sign_in)
    country.line.sent.clear()
    with pytest.raises(Refused) as refused:
        await citizen.wallet.redeem(changed(redirect, **changes))
    assert (refused.value.code, refused.value.step) == (code, step)
    assert "POST /issuer/token" not in country.line.sent
    assert len(await citizen.wallet.redeem(redirect)) == 2


async def test_a_redirect_is_redeemed_once(country: Any) -> None:
    """RFC 6749 10.5, 10.12: the state answers one request."""
    citizen, sign_in = await begun(country)
    redirect = await goes_through(country, citizen, sign_in)
    await citizen.wallet.redeem(redirect)
    with pytest.raises(Refused) as refused:
        await citizen.wallet.redeem(redirect)
    assert (refused.value.code, refused.value.step) == (Code.INVALID_REQUEST, "state")


async def test_the_person_says_no_to_the_issuer(country: Any) -> None:
    citizen, sign_in = await begun(country)
    with pytest.raises(Refused) as refused:
        await citizen.wallet.redeem(await goes_through(country, citizen, sign_in, "/refuse"))
    assert (refused.value.code, refused.value.step) == (Code.ACCESS_DENIED, "redirect")
    assert citizen.wallet.sign_ins == []


async def test_a_code_for_one_wallet_is_worth_nothing_to_another(country: Any) -> None:
    """PKCE, DPoP and client attestation: a stolen redirect does not help."""
    citizen, sign_in = await begun(country)
    redirect = await goes_through(country, citizen, sign_in)
    thief = await country.citizen(1)
    with pytest.raises(Refused) as refused:
        await thief.wallet.redeem(redirect)
    assert refused.value.step == "state"


async def test_an_offer_to_sign_in_is_not_received_and_one_with_a_code_not_signed_in_for(country: Any) -> None:
    citizen = await country.citizen()
    by_code = await country.offered(citizen.person, **BY_CODE)
    assert (await citizen.wallet.offer(by_code.uri)).by_code is not None
    with pytest.raises(Refused) as refused:
        await citizen.wallet.receive(by_code.uri)
    assert refused.value.code is Code.UNSUPPORTED
    with pytest.raises(Refused) as refused:
        await citizen.wallet.authorize(await country.offer(citizen.person), BACK)
    assert refused.value.code is Code.UNSUPPORTED


# --- transaction code, deferral, encryption ---------------------------------------------------------------------------


async def test_a_transaction_code_travels_some_other_way(country: Any) -> None:
    """OpenID4VCI 1.0 4.1.1, 6.1: asked for before anything is spent, and the wrong one may be corrected."""
    citizen = await country.citizen()
    offer = await country.offered(citizen.person, tx_code=True)
    made = (await citizen.wallet.offer(offer.uri)).pre_authorized
    assert made is not None and made.tx_code is not None and made.tx_code.length == len(offer.tx_code)
    with pytest.raises(Refused) as refused:
        await citizen.wallet.receive(offer.uri)
    assert refused.value.code is Code.INVALID_REQUEST
    wrong = "".join(str((int(digit) + 1) % 10) for digit in offer.tx_code)
    with pytest.raises(Refused) as refused:
        await citizen.wallet.receive(offer.uri, wrong)
    assert refused.value.code is Code.INVALID_GRANT
    await citizen.wallet.receive(offer.uri, offer.tx_code)
    await must_be_whole(country, citizen)


@pytest.mark.parametrize("restart", [False, True], ids=["at once", "after a restart"])
async def test_a_card_that_comes_later_is_asked_for_when_it_is_due(country: Any, restart: bool) -> None:
    """OpenID4VCI 1.0 9: the interval is kept, the transaction survives a restart, and the keys stay the same."""
    citizen = await country.citizen()
    offer = await country.offered(citizen.person, second_look=600)
    assert await citizen.wallet.receive(offer.uri) == []
    due = citizen.wallet.ask_again_at
    assert due is not None
    country.line.sent.clear()
    await citizen.wallet.resume()
    assert country.line.sent == []  # not before the interval is over
    if restart:
        citizen = await restarted(country, citizen)
    await until_it_comes(country, citizen)
    await must_be_whole(country, citizen)


async def until_it_comes(country: Country, citizen: Citizen) -> None:
    for _ in range(40):
        due = citizen.wallet.ask_again_at
        if due is None:
            return
        country.clock.set(max(country.clock.now(), datetime.fromtimestamp(due, UTC)))
        await citizen.wallet.resume()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_at_each_request_of_a_deferred_issuance(country: Any, after: bool) -> None:
    """OpenID4VCI 1.0 9: wherever the wallet dies, the card comes once, and the issuer has one card on its books."""
    counting = await country.citizen(1)
    offer = await country.offered(counting.person, second_look=60)
    country.line.sent.clear()
    await counting.wallet.receive(offer.uri)
    await until_it_comes(country, counting)
    total = len(country.line.sent)
    citizen = await country.citizen(0)
    registered = citizen.store.load()
    for number in range(1, total + 1):
        citizen = await fresh(country, citizen, registered, MemoryStore())
        offer = await country.offered(citizen.person, second_look=60)
        kill_at(country, number, after)
        with pytest.raises(Killed):
            await citizen.wallet.receive(offer.uri)
            await until_it_comes(country, citizen)
        citizen = await restarted(country, citizen)
        await citizen.wallet.resume()
        await until_it_comes(country, citizen)
        if not citizen.wallet.cards:  # it died before the offer was on disk: the QR is still good
            await citizen.wallet.receive(offer.uri)
            await until_it_comes(country, citizen)
        assert sorted(card.configuration for card in citizen.wallet.cards) == [MDOC, SD_JWT], number
        for card in citizen.wallet.cards:
            assert citizen.wallet.copies_left(card) == 10
            assert await citizen.wallet.check_status(card) == "valid"
    await must_be_whole(country, citizen)


async def test_what_the_issuer_lets_us_sign_and_encrypt_is_signed_and_encrypted(country: Any) -> None:
    """OpenID4VCI 1.0 10, 12.2.3: our own issuer offers both, and our wallet takes them."""
    kinds: dict[str, set[str]] = {}

    async def watch(request: httpx.Request, send: Any) -> httpx.Response:
        answer: httpx.Response = await send(request)
        sent = request.headers.get("content-type", "")
        kinds.setdefault(request.url.path, set()).update((sent, answer.headers.get("content-type", "")))
        return answer

    citizen = await country.citizen()
    offer = await country.offer(citizen.person)
    country.line.watch = watch
    await citizen.wallet.receive(offer)
    assert kinds["/issuer/credential"] == {"application/jwt"}
    assert kinds["/.well-known/openid-credential-issuer/issuer"] == {"", "application/jwt"}
