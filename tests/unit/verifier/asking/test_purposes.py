"""What a party may ask is what its registration names, of what the country has."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from mapae.errors import Code, Refused
from mapae.rules import Words
from mapae.trust.application import as_registered
from mapae.trust.entries import AskedOf, Purpose, RelyingParty
from mapae.verifier.asking.purposes import find, of_party
from unit.verifier.world import DOCTYPE, NAMESPACE, VCT, country

LAND = country()
RESIDENT = AskedOf(vct=VCT, doctype=DOCTYPE, namespace=NAMESPACE)
LICENCE = AskedOf(vct="urn:mapae:kr:driving-licence:1", doctype="kr.mapae.driving.1", namespace="kr.mapae.driving.1")
DELIVERY = Words(ko="배달", en="Delivery")


def own(**changes: Any) -> Purpose:
    made = Purpose(
        id="own_mart_delivery", name=DELIVERY, why=DELIVERY, legal_basis=DELIVERY, items=("name", "address"),
        retention=DELIVERY, document=RESIDENT, risk="medium",
    )  # fmt: skip
    return replace(made, **changes)


def ready(id: str = "name_birth_date", **changes: Any) -> Purpose:
    return replace(as_registered(LAND.purposes[id], LAND), **changes)


def party(*purposes: Purpose) -> RelyingParty:
    return RelyingParty(id="mart", name=DELIVERY, x509_hash="A" * 43, purposes=purposes)


def refusal(of: RelyingParty, id: str) -> Code:
    with pytest.raises(Refused) as refused:
        find(LAND, of, id)
    return refused.value.code


def test_a_ready_purpose_is_the_packs_and_an_own_one_is_as_registered() -> None:
    found = of_party(LAND, party(own(), ready("adult_contract"), ready("alcohol_tobacco")))
    assert list(found) == ["alcohol_tobacco", "adult_contract", "own_mart_delivery"]  # the pack's order, then its own
    assert found["adult_contract"] is LAND.purposes["adult_contract"]
    made = found["own_mart_delivery"]
    assert (made.document, made.items, made.legal_basis, made.risk) == (
        "resident_card", ("name", "address"), DELIVERY, "medium",
    )  # fmt: skip
    assert not made.anyone and not made.by_holder


def test_where_no_risk_is_registered_the_worst_is_supposed() -> None:
    assert find(LAND, party(own(risk="")), "own_mart_delivery").risk == "high"


@pytest.mark.parametrize("spoiled", [
    {"document": None}, {"document": LICENCE}, {"document": replace(RESIDENT, vct="urn:other")},
    {"document": replace(RESIDENT, doctype="other")}, {"document": replace(RESIDENT, namespace="other")},
    {"document": AskedOf(vct=VCT)}, {"items": ("name", "resident_number")}, {"items": ("name", "licence_number")},
    {"items": ("login_id",)},
], ids=["none", "another", "vct", "doctype", "namespace", "half", "never", "elsewhere", "number"])  # fmt: skip
def test_what_is_not_named_or_may_not_be_asked_is_over_asking(spoiled: dict[str, Any]) -> None:
    assert refusal(party(own(**spoiled)), "own_mart_delivery") is Code.OVER_ASKING


def test_a_ready_purpose_registered_for_another_document_is_over_asking() -> None:
    assert refusal(party(ready(document=LICENCE)), "name_birth_date") is Code.OVER_ASKING
    before = party(ready(document=None))  # registered before registrations named a document
    assert find(LAND, before, "name_birth_date") is LAND.purposes["name_birth_date"]


def test_items_that_were_added_are_asked_and_it_is_no_plain_yes_or_no_any_more() -> None:
    law = Words(ko="법; 이름: 다른 법", en="Act; Name: another Act")
    added = ready("alcohol_tobacco", items=("adult_by_year", "name", "licence_number", "login_id"), legal_basis=law)
    found = find(LAND, party(added), "alcohol_tobacco")
    assert (found.items, found.legal_basis, found.risk) == (("adult_by_year", "name"), law, "high")
    assert not found.anyone and not found.by_holder
    log_in = ready("log_in", items=("login_id", "name"))  # by scopes, which are the pack's
    assert find(LAND, party(log_in), "log_in") is LAND.purposes["log_in"]


def test_nobody_asks_anothers_purpose() -> None:
    mart = party(own())
    assert refusal(mart, "own_hotel_delivery") is Code.NOT_FOUND
    assert refusal(mart, "name_birth_date") is Code.OVER_ASKING
