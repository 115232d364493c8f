"""The physical card's way when the world around it fails: a factory that lies, a post that brings it back."""

from __future__ import annotations

import pytest

from flows.test_card_life import _apply_at_desk, _card, _pay, _turn
from mapae.issuer.cards.life import State
from town import BASE, Officer, Town

pytestmark = pytest.mark.parametrize("town", ["sqlite"], indirect=True)


def _paid(town: Town, **fields: str) -> Officer:
    citizen = town.citizen("jisoo")
    officer = town.officer(town.office_of(citizen))
    page = _apply_at_desk(town, officer, citizen, why="reissue", handed_in="yes", **fields)
    _pay(town, page["pay"].attributes["href"].removeprefix(BASE))
    _turn(town, minutes=1)  # paid today; orders go out in the night after
    return officer


def _tell(town: Town, service: str, mode: str, count: int = 1) -> None:
    town.call(town.house.simulators.services[service].misbehave, mode, 0, count)


def test_hashes_of_another_chip_are_never_signed(town: Town) -> None:
    _tell(town, "factory", "wrong_hashes")
    _paid(town, pickup=town.office_of(town.citizen("jisoo")))
    _turn(town, days=1)
    card = _card(town)
    assert card.sod is None and card.trouble, card
    _turn(town, days=30)
    assert _card(town).sod is None


def test_answers_that_get_lost_cost_nothing_twice(town: Town) -> None:
    """Payment, factory and post each lose an answer after the work; the card comes all the same, once."""
    before = _counts(town)
    _tell(town, "payment", "lost_answer")
    officer = town.officer(town.office_of(town.citizen("jisoo")))
    page = _apply_at_desk(town, officer, town.citizen("jisoo"), why="reissue", handed_in="yes", pickup=officer.office)
    _turn(town, minutes=1)
    page = officer.case()
    _pay(town, page["pay"].attributes["href"].removeprefix(BASE))
    _turn(town, minutes=1)
    for _ in range(2):  # of the order, and of the signature
        _tell(town, "factory", "lost_answer")
        _turn(town, days=1)
    _tell(town, "post", "lost_answer")
    _turn(town, days=23)
    _turn(town, days=6)
    card = _card(town)
    assert card.state is State.AT_OFFICE, (card.state, card.trouble)
    assert [after - there for there, after in zip(before, _counts(town), strict=True)] == [1, 1, 1]


def _counts(town: Town) -> list[int]:
    """Payments, orders and parcels there are: the demo's own people have chips as well."""
    db = town.house.foundation.databases["simulators"]
    counts = []
    for table in ("simulated_payment", "simulated_order", "simulated_parcel"):
        row = town.call(db.one, f"SELECT count(*) AS n FROM {table}")
        assert row is not None
        counts.append(row["n"])
    return counts


def test_a_letter_nobody_signs_for_comes_back_to_the_office(town: Town) -> None:
    _paid(town, pickup="")
    _turn(town, days=1)
    _tell(town, "post", "return")
    _turn(town, days=22)
    _turn(town, days=12)
    card = _card(town)
    assert card.state is State.RETURNED, (card.state, card.trouble)
