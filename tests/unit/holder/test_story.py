"""The whole story with a Python wallet: register, receive, show, lose."""

from __future__ import annotations

from typing import Any

import pytest

from mapae.errors import Code, Refused
from mapae.formats.jose import unb64u
from mapae.formats.mdoc import DeviceResponse
from mapae.formats.sd_jwt import SdJwt
from mapae.verifier.asking.ask import Form
from unit.holder.conftest import MDOC, SD_JWT


async def test_a_phone_is_registered_once_and_the_next_one_waits(country: Any) -> None:
    first = await country.citizen()
    assert (await first.wallet.standing()).state == "active"
    second = await country.citizen()
    assert (await second.wallet.standing()).state == "waiting"
    assert second.person == first.person


async def test_a_batch_of_both_formats_arrives_and_is_acknowledged(country: Any) -> None:
    citizen = await country.carded()
    wallet = citizen.wallet
    assert sorted(card.configuration for card in wallet.cards) == [MDOC, SD_JWT]
    for configuration in (MDOC, SD_JWT):
        card = wallet.card(configuration)
        assert wallet.copies_left(card) == 10
        claims = wallet.claims(card)
        assert claims["name"] == citizen.resident.name
        assert claims["age_over_19"] is True
        assert card.name["en"] and card.name["ko"]
    held = await country.house.issuer.holdings(citizen.person)
    assert [holding.state for holding in held] == ["valid"]
    assert [event.what for event in await country.house.issuer.offer_events("case-1")][-1] == "accepted"


@pytest.mark.parametrize(("form", "configuration"), [(Form.SD_JWT, SD_JWT), (Form.MDOC, MDOC)])
async def test_the_shop_sees_an_adult_and_nothing_else(country: Any, form: Form, configuration: str) -> None:
    wallet = (await country.carded()).wallet
    qr, id = await country.asks("alcohol_tobacco", form)
    asked = await wallet.open_request(qr)
    assert asked.who == {"ko": "마트", "en": "Mart"}
    assert asked.items == ["adult_by_year"]
    shown = await wallet.present(asked)
    assert (shown.outcome, shown.items) == ("sent", ["adult_by_year"])
    assert (await country.verdict(id)).outcome.value == "accepted"
    assert wallet.copies_left(wallet.card(configuration)) == 9
    assert [line.outcome for line in wallet.history] == ["sent"]


async def test_name_and_birth_date_on_request(country: Any) -> None:
    citizen = await country.carded()
    qr, id = await country.asks("name_birth_date")
    asked = await citizen.wallet.open_request(qr)
    assert sorted(asked.items) == ["birth_date", "name"]
    await citizen.wallet.present(asked)
    ended = await country.house.verifier.look(country.tills["mart"], id)
    assert citizen.resident.name in [value for _, _, value in ended.shown]


async def test_the_holder_says_no(country: Any) -> None:
    wallet = (await country.carded()).wallet
    qr, id = await country.asks()
    await wallet.refuse(await wallet.open_request(qr))
    assert (await country.verdict(id)).outcome.value == "declined"
    assert [line.outcome for line in wallet.history] == ["refused"]
    assert wallet.copies_left(wallet.card(SD_JWT)) == 10


async def test_a_lost_phone_is_refused_and_erases_its_cards(country: Any) -> None:
    citizen = await country.carded()
    await country.house.issuer.lock(citizen.person, "lost", "officer-1")
    for outbox in country.house.outboxes.values():
        await outbox.run_once()
    country.clock.advance(seconds=6)
    assert await citizen.wallet.check_status(citizen.wallet.card(SD_JWT)) == "suspended"
    qr, id = await country.asks()
    await citizen.wallet.present(await citizen.wallet.open_request(qr))
    verdict = await country.verdict(id)
    assert (verdict.outcome.value, verdict.code) == ("refused", "suspended")
    standing = await citizen.wallet.standing()
    assert standing.must_erase
    assert citizen.wallet.cards == ()


async def test_copies_run_out_and_are_renewed(country: Any) -> None:
    citizen = await country.carded()
    wallet = citizen.wallet
    raws = {copy.raw for copy in wallet.card(SD_JWT).copies}
    for _ in range(8):
        qr, _ = await country.asks("alcohol_tobacco", Form.SD_JWT)
        await wallet.present(await wallet.open_request(qr))
    assert wallet.copies_left(wallet.card(SD_JWT)) == 2
    assert await wallet.renew_if_needed() == 1
    assert wallet.copies_left(wallet.card(SD_JWT)) == 10
    assert raws.isdisjoint(copy.raw for copy in wallet.card(SD_JWT).copies)
    assert await wallet.renew_if_needed() == 0
    qr, id = await country.asks("alcohol_tobacco", Form.SD_JWT)
    await wallet.present(await wallet.open_request(qr))
    assert (await country.verdict(id)).outcome.value == "accepted"


async def test_a_copy_is_never_shown_twice(country: Any) -> None:
    wallet = (await country.carded()).wallet
    for _ in range(10):
        qr, _ = await country.asks("alcohol_tobacco", Form.SD_JWT)
        await wallet.present(await wallet.open_request(qr))
    qr, _ = await country.asks("alcohol_tobacco", Form.SD_JWT)
    with pytest.raises(Refused) as refused:
        await wallet.present(await wallet.open_request(qr))
    assert refused.value.code is Code.EXPIRED


async def test_another_persons_wallet_cannot_use_the_offer(country: Any) -> None:
    owner, thief = await country.citizen(0), await country.citizen(1)
    offer = await country.offer(owner.person)
    with pytest.raises(Refused):
        await thief.wallet.receive(offer)
    assert thief.wallet.cards == ()


async def test_what_could_be_issued(country: Any) -> None:
    citizen = await country.citizen()
    documents = await citizen.wallet.documents()
    assert documents


async def test_only_what_was_asked_leaves_the_wallet(country: Any) -> None:
    wallet = (await country.carded()).wallet
    for form in (Form.SD_JWT, Form.MDOC):
        qr, _ = await country.asks("alcohol_tobacco", form)
        asked = await wallet.open_request(qr)
        match = asked.options[0][0]
        copy = next(card for card in wallet.cards if card.id == match.card).copies[0]
        shown = wallet._presentation._present(asked.request, match, copy, ())
        if form is Form.SD_JWT:
            assert list(SdJwt.parse(shown).paths()) == [("adult_by_year",)]
        else:
            (document,) = DeviceResponse.parse(unb64u(shown)).documents
            assert document.issuer_signed.names == {"kr.mapae.resident.1": ("adult_by_year",)}


async def test_cards_of_a_person_are_not_linkable_by_what_is_in_them(country: Any) -> None:
    """Each copy has its own key, salts, status index and signature."""
    wallet = (await country.carded()).wallet
    for card in wallet.cards:
        for part in ("key", "raw", "status_index"):
            assert len({getattr(copy, part) for copy in card.copies}) == 10
