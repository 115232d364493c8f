"""A shop's own purpose at a till, also once it has ended while its question was on the screen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace

from mapae.clock import MovableClock
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.rules import Words
from mapae.trust.entries import AskedOf, Purpose
from mapae.trust.publish import TrustList
from mapae.verifier.asking.store import Outcome
from mapae.verifier.till.kiosk import Ended, Waiting
from unit.verifier.shop import opened, trust_list
from unit.verifier.world import DOCTYPE, NAMESPACE, NOW, VCT, Card

pytestmark = pytest.mark.parametrize("migrated", ["sqlite"], indirect=True)
Migrated = Callable[[str], Awaitable[Db]]
WORDS = Words(ko="배달", en="Delivery")
OWN = Purpose(
    id="own_mart_delivery", name=WORDS, why=WORDS, legal_basis=WORDS, items=("address",), retention=WORDS,
    document=AskedOf(vct=VCT, doctype=DOCTYPE, namespace=NAMESPACE), risk="medium",
)  # fmt: skip


def with_own() -> TrustList:
    before = trust_list()
    [mart, *others] = sorted(before.relying_parties, key=lambda one: one.id != "mart")
    return replace(before, relying_parties=(replace(mart, purposes=(*mart.purposes, OWN)), *others))


async def test_its_values_are_shown_by_the_documents_own_words(migrated: Migrated) -> None:
    async with opened(await migrated("verifier"), MovableClock(NOW)) as shop:
        shop.trust.append(with_own())
        till = await shop.till()
        assert [one.id for one in await shop.verifier.purposes(till)][-1] == OWN.id
        id = await shop.verifier.open(till, OWN.id)
        await shop.verifier.answer(id, await shop.reply(id, Card()))
        look = await shop.verifier.look(till, id)
        assert isinstance(look, Ended) and look.verdict.outcome is Outcome.ACCEPTED
        assert [(label.en, name) for label, name, _ in look.shown] == [("Address", "address")]
        with pytest.raises(Refused) as refused:
            await shop.verifier.open(await shop.till("rental"), OWN.id)
        assert refused.value.code is Code.NOT_FOUND


async def test_one_that_ended_meanwhile_is_still_called_something_and_takes_no_answer(migrated: Migrated) -> None:
    db, clock = await migrated("verifier"), MovableClock(NOW)
    async with opened(db, clock) as shop, opened(db, clock, seed="another process") as other:
        shop.trust.append(with_own())
        till = await shop.till()
        id = await shop.verifier.open(till, OWN.id)
        reply = await shop.reply(id, Card())
        shop.trust.append(trust_list())
        for process, name in ((shop, "Delivery"), (other, OWN.id)):  # the other one has never heard of it
            look = await process.verifier.look(till, id)
            assert isinstance(look, Waiting) and look.purpose.name.en == name
            with pytest.raises(Refused) as refused:
                await process.verifier.answer(id, reply)
            assert refused.value.code is Code.NOT_FOUND
        clock.advance(minutes=3)
        ended = await other.verifier.look(till, id)
        assert isinstance(ended, Ended) and ended.verdict.outcome is Outcome.EXPIRED
