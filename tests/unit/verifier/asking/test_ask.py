"""What may be asked is decided before a citizen sees it."""

from __future__ import annotations

import msgspec
import pytest

from mapae.catalog import Country
from mapae.errors import Code, Refused
from mapae.rules import Words
from mapae.trust.entries import Purpose, RelyingParty
from mapae.verifier.asking import ask
from mapae.verifier.asking.ask import PLAIN, Form, Manner, Question
from mapae.verifier.asking.purposes import find
from mapae.verifier.checking.check import Format, Item
from unit.verifier.world import DOCTYPE, NAMESPACE, VCT, country

WORDS = Words(ko="말", en="Words")
REGISTERED = {"alcohol_tobacco": ("adult_by_year",), "name_birth_date": ("name", "birth_date")}


def question(
    land: Country, registered: dict[str, tuple[str, ...]], purpose: str, form: Form, manner: Manner = PLAIN
) -> Question:
    """Of a party that is registered for these items, before registrations named a document."""
    said = {"name": WORDS, "why": WORDS, "legal_basis": WORDS, "retention": WORDS}
    purposes = tuple(Purpose(id=id, items=items, **said) for id, items in registered.items())
    party = RelyingParty(id="mart", name=WORDS, x509_hash="A" * 43, purposes=purposes)
    return ask.question(land, find(land, party, purpose), form, manner)


def with_purpose(items: tuple[str, ...]) -> Country:
    """The country, with other items in `alcohol_tobacco`."""
    land = country()
    purpose = msgspec.structs.replace(land.purposes["alcohol_tobacco"], items=items)
    return msgspec.structs.replace(land, purposes={**land.purposes, "alcohol_tobacco": purpose})


def refusal(land: Country, registered: dict[str, tuple[str, ...]], purpose: str = "alcohol_tobacco") -> Code:
    with pytest.raises(Refused) as refused:
        question(land, registered, purpose, Form.EITHER)
    return refused.value.code


def test_a_purpose_asks_its_items_in_either_format() -> None:
    asked = question(country(), REGISTERED, "alcohol_tobacco", Form.EITHER)
    assert asked.items == (Item("adult_by_year", "yes_no"),)
    assert asked.yes_or_no
    assert asked.dcql == {
        "credentials": [
            {
                "id": "sd_jwt", "format": "dc+sd-jwt", "meta": {"vct_values": [VCT]},
                "claims": [{"path": ["adult_by_year"]}],
            },
            {
                "id": "mdoc", "format": "mso_mdoc", "meta": {"doctype_value": DOCTYPE},
                "claims": [{"path": [NAMESPACE, "adult_by_year"]}],
            },
        ],
        "credential_sets": [{"options": [["sd_jwt"], ["mdoc"]]}],
    }  # fmt: skip


@pytest.mark.parametrize(("form", "format"), [(Form.SD_JWT, Format.SD_JWT), (Form.MDOC, Format.MDOC)])
def test_one_format_alone_needs_no_sets(form: Form, format: Format) -> None:
    asked = question(country(), REGISTERED, "name_birth_date", form)
    assert [one.id for one in asked.query.queries] == [format.value]
    assert not asked.yes_or_no
    assert [query["id"] for query in asked.dcql["credentials"]] == [format.value]
    assert "credential_sets" not in asked.dcql


def test_a_purpose_that_is_not_registered_is_over_asking() -> None:
    assert refusal(country(), {}) is Code.OVER_ASKING


def test_an_item_more_than_registered_is_over_asking() -> None:
    assert refusal(with_purpose(("adult_by_year", "name")), REGISTERED) is Code.OVER_ASKING


def test_a_resident_number_is_over_asking_whoever_registered_it() -> None:
    items = ("resident_number",)
    assert refusal(with_purpose(items), {"alcohol_tobacco": items}) is Code.OVER_ASKING


def test_only_the_bridge_asks_for_the_log_in_number_and_nothing_else() -> None:
    """No till and no website learns the number by which all sites could compare notes."""
    registered = {**REGISTERED, "log_in": ("login_id",)}
    assert refusal(country(), registered, "log_in") is Code.OVER_ASKING
    asked = question(country(), registered, "log_in", Form.EITHER, Manner(log_in=True))
    assert asked.items == (Item("login_id", "text"),)
    with pytest.raises(Refused) as refused:
        question(country(), registered, "name_birth_date", Form.EITHER, Manner(log_in=True))
    assert refused.value.code is Code.OVER_ASKING


def test_a_purpose_without_items_asks_nothing() -> None:
    assert refusal(with_purpose(()), REGISTERED) is Code.OVER_ASKING


def test_a_purpose_nobody_knows_is_not_found() -> None:
    assert refusal(country(), REGISTERED, "curiosity") is Code.NOT_FOUND


def test_a_format_the_document_lacks_is_unsupported() -> None:
    land = country()
    card = land.documents["resident_card"]
    assert card.formats is not None
    plain = msgspec.structs.replace(card, formats=msgspec.structs.replace(card.formats, mdoc=None))
    land = msgspec.structs.replace(land, documents={**land.documents, "resident_card": plain})
    with pytest.raises(Refused) as refused:
        question(land, REGISTERED, "alcohol_tobacco", Form.MDOC)
    assert refused.value.code is Code.UNSUPPORTED
