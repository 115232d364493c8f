"""An order that somebody still has to look at: the wallet's request is taken, and nothing is signed before its time."""

from __future__ import annotations

import asyncio

import pytest

from issuing import MDOC, SD_JWT, Hall, Phone, must_be_whole
from mapae.db import Db
from mapae.issuer.evidence import Evidence, FaceMatched, OfficerCompared
from mapae.issuer.order import Order
from mapae.registers.values import ClaimSet


@pytest.fixture
def hall(issuer_db: Db) -> Hall:
    return Hall(issuer_db)


def card_only(hall: Hall) -> tuple[Evidence, ...]:
    return hall.evidence()[:1]


def matched(hall: Hall) -> FaceMatched:
    return FaceMatched("c-1", hall.clock.now(), True, False, "match", "scripted 1")


async def waiting(hall: Hall) -> tuple[Phone, str]:
    """A phone that has asked, and its transaction."""
    order = Order("case-1", "jisoo", "resident_card", "office-1", "officer-1", card_only(hall))
    phone = Phone(hall, "jisoo")
    assert (await phone.redeem(await phone.scan(await hall.issuer.open_offer(order)))).status_code == 200
    answer = await phone.fetch()
    assert answer.status_code == 202, answer.text
    assert answer.json()["interval"] == 3
    return phone, answer.json()["transaction_id"]


async def collect(hall: Hall, phone: Phone, id: str) -> tuple[int, dict[str, object]]:
    headers = phone.dpop("/issuer/deferred", phone.access)
    answer = await hall.http.post(hall.base + "/issuer/deferred", json={"transaction_id": id}, headers=headers)
    return answer.status_code, answer.json()


async def settle(hall: Hall, *evidence: Evidence) -> None:
    await hall.db.write(lambda tx: hall.issuer.settle_needs(tx, "resident_card", "case-1", evidence))


async def test_while_needs_stand_the_same_transaction_waits_and_nothing_is_signed(hall: Hall) -> None:
    phone, id = await waiting(hall)
    for evidence in ((), (matched(hall),), hall.evidence()[1:2]):
        await settle(hall, *card_only(hall), *evidence)
        status, said = await collect(hall, phone, id)
        assert (status, said["transaction_id"], said["interval"]) == (202, id, 3)
    assert hall.pen.signed == []
    await must_be_whole(hall, hall.db)


async def test_when_nothing_is_missing_the_same_transaction_brings_the_card_once(hall: Hall) -> None:
    phone, id = await waiting(hall)
    await settle(hall, *card_only(hall), matched(hall), hall.evidence()[1])
    status, said = await collect(hall, phone, id)
    assert status == 200
    assert len(said["credentials"]) == 2  # type: ignore[arg-type]
    assert (await collect(hall, phone, id))[0] == 400
    assert (await phone.fetch(MDOC)).status_code == 200  # the other form needs no waiting any more
    await must_be_whole(hall, hall.db)


async def test_a_word_taken_back_while_the_copies_are_drafted_stops_the_signature(hall: Hall) -> None:
    """The needs are asked again in the transaction that writes down what is meant to be signed."""
    phone, id = await waiting(hall)
    good = (*card_only(hall), matched(hall), hall.evidence()[1])
    await settle(hall, *good)
    no = OfficerCompared("officer-1", "박주무관", hall.clock.now(), same_person=False)
    asked = hall.register.claims

    async def claims(person: str) -> ClaimSet:
        await settle(hall, *good, no)
        return await asked(person)

    hall.register.claims = claims  # type: ignore[method-assign]  # the register is the tests' own
    assert (await collect(hall, phone, id))[0] == 202
    assert (await phone.fetch(MDOC)).status_code == 202
    assert hall.pen.signed == []
    hall.register.claims = asked  # type: ignore[method-assign]
    await settle(hall, *good)
    assert (await collect(hall, phone, id))[0] == 200
    await must_be_whole(hall, hall.db)


async def test_settling_and_collecting_at_once_ends_with_each_copy_signed_once(hall: Hall) -> None:
    phone, id = await waiting(hall)
    good = (*card_only(hall), matched(hall), hall.evidence()[1])
    answers = await asyncio.gather(*(collect(hall, phone, id) for _ in range(3)), settle(hall, *good))
    if all(answer[0] == 202 for answer in answers[:3] if answer is not None):
        assert (await collect(hall, phone, id))[0] == 200
    await must_be_whole(hall, hall.db)
    assert len(hall.pen.signed) == 2


async def test_a_new_qr_of_a_case_asks_for_what_is_still_missing(hall: Hall) -> None:
    await waiting(hall)
    order = Order("case-1", "jisoo", "resident_card", "office-1", "officer-1", hall.evidence())
    phone = Phone(hall, "jisoo")
    assert (await phone.redeem(await phone.scan(await hall.issuer.open_offer(order)))).status_code == 200
    assert (await phone.fetch(SD_JWT)).status_code == 200


async def test_what_was_issued_is_not_undone_by_what_is_recorded_later(hall: Hall) -> None:
    """A doubt that comes after the card is a matter for a lock, not for a renewal that never ends."""
    phone = await hall.carded()
    await settle(hall, *card_only(hall))
    hall.clock.advance(minutes=1)
    assert (await phone.renew()).status_code == 200
    assert (await phone.fetch()).status_code == 200
