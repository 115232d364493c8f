"""Offers: what a wallet reads from a QR code, OpenID4VCI 1.0 section 4.1."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from hands import public_vectors
from mapae.errors import Code, Refused
from mapae.holder import offer
from mapae.holder.offer import CODE, GRANT

ISSUER = "https://issuer.example/tenant"
TX = {"input_mode": "numeric", "length": 6}


def refused(do: Callable[[], Any]) -> Code:
    with pytest.raises(Refused) as caught:
        do()
    return caught.value.code


def an_offer(**changes: Any) -> str:
    grant = changes.pop("grant", {"pre-authorized_code": "code"})
    made = {"credential_issuer": ISSUER, "credential_configuration_ids": ["card"], "grants": {GRANT: grant}} | changes
    return json.dumps({name: value for name, value in made.items() if value is not None})


def test_an_offer_by_value_and_by_reference() -> None:
    by_value = "openid-credential-offer://?credential_offer=" + quote(an_offer())
    form, value = offer.read_link(by_value)
    assert form == "value"
    assert offer.read_offer(value).pre_authorized == offer.PreAuthorized("code", None, None)
    url = "https://issuer.example/offers/1"
    assert offer.read_link(f"haip-vci://?credential_offer_uri={quote(url, safe='')}") == ("reference", url)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", Code.UNSUPPORTED),
        ("openid4vp://?client_id=x", Code.UNSUPPORTED),
        ("openid-credential-offer://?", Code.MALFORMED),
        ("openid-credential-offer://?credential_offer=a&credential_offer_uri=https%3A%2F%2Fb.example", Code.MALFORMED),
        ("openid-credential-offer://?credential_offer=a&credential_offer=b", Code.MALFORMED),
        ("openid-credential-offer://?credential_offer_uri=http%3A%2F%2Fb.example", Code.UNSUPPORTED),
        ("openid-credential-offer://?credential_offer=" + "x" * 20000, Code.TOO_LARGE),
    ],
)
def test_what_is_no_offer_is_refused(text: str, code: Code) -> None:
    assert refused(lambda: offer.read_link(text)) is code


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("[]", Code.MALFORMED),
        ("{", Code.MALFORMED),
        (an_offer(credential_issuer=None), Code.MALFORMED),
        (an_offer(credential_issuer="http://issuer.example"), Code.UNSUPPORTED),
        (an_offer(credential_configuration_ids=[]), Code.MALFORMED),
        (an_offer(credential_configuration_ids=["a", "a"]), Code.MALFORMED),
        (an_offer(credential_configuration_ids=[1]), Code.MALFORMED),
        (an_offer(grants=[]), Code.MALFORMED),
        (an_offer(grants={"urn:other": {}}), Code.UNSUPPORTED),
        (an_offer(grants={CODE: []}), Code.MALFORMED),
        (an_offer(grants={CODE: {"issuer_state": 1}}), Code.MALFORMED),
        (an_offer(grants={CODE: {"authorization_server": ""}}), Code.MALFORMED),
        (an_offer(grant={}), Code.MALFORMED),
        (an_offer(grant={"pre-authorized_code": 1}), Code.MALFORMED),
        (an_offer(grant={"pre-authorized_code": "a", "tx_code": 1}), Code.MALFORMED),
        (an_offer(grant={"pre-authorized_code": "a", "tx_code": {"input_mode": "voice"}}), Code.MALFORMED),
        (an_offer(grant={"pre-authorized_code": "a", "tx_code": {"length": "6"}}), Code.MALFORMED),
        (an_offer(grant={"pre-authorized_code": "a", "tx_code": {"length": True}}), Code.MALFORMED),
        (an_offer(grant={"pre-authorized_code": "a", "tx_code": {"description": "x" * 301}}), Code.MALFORMED),
        (an_offer(grant={"pre-authorized_code": "a", "authorization_server": 1}), Code.MALFORMED),
    ],
)
def test_a_broken_offer_is_refused(raw: str, code: Code) -> None:
    assert refused(lambda: offer.read_offer(raw)) is code


def test_a_transaction_code_is_needed_even_when_nothing_describes_it() -> None:
    """Section 4.1.1: required if the object is present, even if empty; digits unless it says otherwise."""
    read = [
        offer.read_offer(an_offer(grant={"pre-authorized_code": "a", **more})).pre_authorized
        for more in (
            {"tx_code": {}},
            {"tx_code": {**TX, "description": "by post"}},
            {"tx_code": {"input_mode": "text"}},
            {},
        )
    ]
    assert [one.tx_code for one in read if one] == [
        offer.TxCode(True, None, ""), offer.TxCode(True, 6, "by post"), offer.TxCode(False, None, ""), None,
    ]  # fmt: skip


def test_an_offer_to_sign_in() -> None:
    read = offer.read_offer(
        an_offer(grants={CODE: {"issuer_state": "s", "authorization_server": "https://as.example"}})
    )
    assert (read.pre_authorized, read.by_code) == (None, offer.ByCode("s", "https://as.example"))


def test_an_offer_with_both_grants_leaves_the_choice_to_the_wallet() -> None:
    read = offer.read_offer(an_offer(grants={CODE: {}, GRANT: {"pre-authorized_code": "a"}}))
    assert read.by_code is not None and read.pre_authorized is not None


@pytest.mark.parametrize("grants", [None, {}])
def test_without_grants_a_sign_in_is_what_is_left(grants: Any) -> None:
    """Section 4.1.1: then the server's metadata decides, and a pre-authorized code would have to be in the offer."""
    read = offer.read_offer(an_offer(grants=grants))
    assert (read.pre_authorized, read.by_code) == (None, offer.ByCode())


def test_the_offers_of_the_specification_are_read() -> None:
    """OpenID4VCI 1.0 4.1.2 and 4.1.3, HAIP 1.0: the examples."""
    folder = public_vectors("openid4vci/examples")
    read = [offer.read_offer(file.read_text()) for file in sorted(folder.glob("credential_offer*.json"))]
    assert len(read) >= 2
    for one in read:
        assert one.issuer == "https://credential-issuer.example.com"
