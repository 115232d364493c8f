"""What a registration says of a purpose, in the one spelling that the log names."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from mapae.errors import Code, Refused
from mapae.rules import Words
from mapae.trust.entries import AskedOf, Purpose, RelyingParty, document, must_be_sound, read_document

WORDS = Words(ko="말", en="Words")
SAID = b'{"en":"Words","ko":"\xeb\xa7\x90"}'
CARD = AskedOf(vct="urn:card", doctype="org.card.1", namespace="org.card.1")
BEFORE = Purpose(id="age", name=WORDS, why=WORDS, legal_basis=WORDS, items=("adult",), retention=WORDS)
OWN = replace(BEFORE, id="own_shop_age", document=CARD, risk="low")


def party(purpose: Purpose) -> RelyingParty:
    return RelyingParty(id="shop", name=WORDS, x509_hash="A" * 43, purposes=(purpose,))


def test_a_registration_of_before_has_the_bytes_it_had() -> None:
    """The log knows each by the digest of its document: not a byte of those that are there may change."""
    assert document(party(BEFORE), "c1") == (
        b'{"change":"c1","entry":{"id":"shop","name":' + SAID + b',"purposes":[{"id":"age","items":["adult"],'
        b'"legal_basis":' + SAID + b',"name":' + SAID + b',"retention":' + SAID + b',"why":' + SAID + b"}],"
        b'"x509_hash":"' + b"A" * 43 + b'"},"kind":"relying_party"}'
    )


@pytest.mark.parametrize("purpose", [BEFORE, OWN, replace(OWN, document=AskedOf(vct="urn:card"))],
                         ids=["before", "own", "one-format"])  # fmt: skip
def test_what_is_written_is_read_back_and_nothing_else_says_the_same(purpose: Purpose) -> None:
    raw = document(party(purpose), "c1")
    assert read_document(raw) == party(purpose)
    for more in (b'"document":null,', b'"risk":"",', b'"risk":"low","risk":"low",'):
        with pytest.raises(Refused):
            read_document(raw.replace(b'"items"', more + b'"items"'))


@pytest.mark.parametrize("of", [
    AskedOf(), AskedOf(vct="urn:a card"), AskedOf(doctype="org.card.1"), AskedOf(vct="urn:card", namespace="org"),
    AskedOf(vct="urn:\u202ecard"), AskedOf(vct="u" * 257),
], ids=["none", "space", "no-namespace", "no-doctype", "unseen", "long"])  # fmt: skip
def test_a_document_that_is_none_is_unsound(of: AskedOf) -> None:
    with pytest.raises(Refused) as refused:
        must_be_sound(party(replace(OWN, document=of)))
    assert refused.value.code is Code.MALFORMED


def test_a_risk_is_one_of_three() -> None:
    raw = document(party(OWN), "c1").replace(b'"risk":"low"', b'"risk":"none"')
    with pytest.raises(Refused):
        read_document(raw)
    assert msgspec.json.decode(raw)["entry"]["purposes"][0]["document"] == {
        "doctype": "org.card.1", "namespace": "org.card.1", "vct": "urn:card",
    }  # fmt: skip
