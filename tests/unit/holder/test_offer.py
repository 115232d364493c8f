"""Offers and metadata: what a wallet accepts before it sends anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from mapae.errors import Code, Refused
from mapae.holder import offer
from mapae.holder.offer import GRANT

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


def configuration(**changes: Any) -> dict[str, Any]:
    made = {
        "format": "dc+sd-jwt", "vct": "urn:card", "scope": "card", "cryptographic_binding_methods_supported": ["jwk"],
        "credential_signing_alg_values_supported": ["ES256"],
        "proof_types_supported": {"jwt": {"proof_signing_alg_values_supported": ["ES256"]}},
    } | changes  # fmt: skip
    return {name: value for name, value in made.items() if value is not None}


def metadata(**changes: Any) -> dict[str, Any]:
    made = {
        "credential_issuer": ISSUER, "credential_endpoint": f"{ISSUER}/credential", "nonce_endpoint": f"{ISSUER}/nonce",
        "credential_configurations_supported": {"card": configuration()},
    } | changes  # fmt: skip
    return {name: value for name, value in made.items() if value is not None}


def test_an_offer_by_value_and_by_reference() -> None:
    by_value = "openid-credential-offer://?credential_offer=" + quote(an_offer())
    form, value = offer.read_link(by_value)
    assert (form, offer.read_offer(value).code) == ("value", "code")
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
        (an_offer(grants=None), Code.UNSUPPORTED),
        (an_offer(grants={"authorization_code": {}}), Code.UNSUPPORTED),
        (an_offer(grant={}), Code.MALFORMED),
        (an_offer(grant={"pre-authorized_code": 1}), Code.MALFORMED),
        (an_offer(grant={"pre-authorized_code": "a", "tx_code": 1}), Code.MALFORMED),
        (an_offer(grant={"pre-authorized_code": "a", "authorization_server": 1}), Code.MALFORMED),
    ],
)
def test_a_broken_offer_is_refused(raw: str, code: Code) -> None:
    assert refused(lambda: offer.read_offer(raw)) is code


def test_a_transaction_code_is_needed_even_when_nothing_describes_it() -> None:
    assert offer.read_offer(an_offer(grant={"pre-authorized_code": "a", "tx_code": {}})).needs_tx_code
    assert offer.read_offer(an_offer(grant={"pre-authorized_code": "a", "tx_code": TX})).needs_tx_code
    assert not offer.read_offer(an_offer()).needs_tx_code


def test_the_well_known_part_goes_between_host_and_path() -> None:
    assert offer.well_known(ISSUER, "openid-credential-issuer") == (
        "https://issuer.example/.well-known/openid-credential-issuer/tenant"
    )
    assert offer.well_known("https://a.example", "oauth-authorization-server") == (
        "https://a.example/.well-known/oauth-authorization-server"
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"credential_issuer": "https://other.example"}, Code.INVALID_REQUEST),
        ({"credential_issuer": ISSUER + "/"}, Code.INVALID_REQUEST),
        ({"credential_endpoint": None}, Code.MALFORMED),
        ({"credential_endpoint": "http://issuer.example/c"}, Code.UNSUPPORTED),
        ({"nonce_endpoint": None}, Code.MALFORMED),
        ({"authorization_servers": []}, Code.MALFORMED),
        ({"credential_configurations_supported": None}, Code.MALFORMED),
        ({"batch_credential_issuance": {"batch_size": 1}}, Code.MALFORMED),
        ({"batch_credential_issuance": {}}, Code.MALFORMED),
        ({"credential_response_encryption": {"encryption_required": True}}, Code.UNSUPPORTED),
        ({"notification_endpoint": 7}, Code.MALFORMED),
    ],
)
def test_broken_issuer_metadata_is_refused(changes: dict[str, Any], code: Code) -> None:
    assert refused(lambda: offer.read_issuer(metadata(**changes), ISSUER)) is code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"format": "ldp_vc"}, Code.UNSUPPORTED),
        ({"vct": None}, Code.MALFORMED),
        ({"scope": None}, Code.MALFORMED),
        ({"cryptographic_binding_methods_supported": None}, Code.UNSUPPORTED),
        ({"cryptographic_binding_methods_supported": ["did:web"]}, Code.UNSUPPORTED),
        ({"credential_signing_alg_values_supported": ["EdDSA"]}, Code.UNSUPPORTED),
        ({"proof_types_supported": None}, Code.MALFORMED),
        ({"proof_types_supported": {"di_vp": {}}}, Code.UNSUPPORTED),
        (
            {"proof_types_supported": {"jwt": {"proof_signing_alg_values_supported": ["EdDSA"]}}},
            Code.UNSUPPORTED,
        ),
        ({"format": "mso_mdoc", "doctype": "kr.card"}, Code.UNSUPPORTED),
    ],
)
def test_a_configuration_we_cannot_use_is_refused(changes: dict[str, Any], code: Code) -> None:
    raw = metadata(credential_configurations_supported={"card": configuration(**changes)})
    assert refused(lambda: offer.read_issuer(raw, ISSUER).configuration("card")) is code


def test_how_keys_are_proved_follows_the_metadata() -> None:
    es256 = {"proof_signing_alg_values_supported": ["ES256"]}
    for types, expected in (
        ({"jwt": es256}, ("jwt", False)),
        ({"jwt": {**es256, "key_attestations_required": {}}}, ("jwt", True)),
        ({"attestation": es256}, ("attestation", False)),
    ):
        raw = metadata(credential_configurations_supported={"card": configuration(proof_types_supported=types)})
        read = offer.read_issuer(raw, ISSUER).configuration("card")
        assert (read.proof, read.attested) == expected


def test_a_batch_is_as_large_as_both_sides_allow() -> None:
    for size, expected in ((2, 2), (10, 10), (500, 20)):
        raw = metadata(batch_credential_issuance={"batch_size": size})
        assert offer.read_issuer(raw, ISSUER).batch_size == expected
    assert offer.read_issuer(metadata(), ISSUER).batch_size == 1


def test_the_offer_may_choose_only_among_the_issuers_servers() -> None:
    read = offer.read_issuer(metadata(authorization_servers=["https://a.example", "https://b.example"]), ISSUER)
    assert read.server("https://b.example") == "https://b.example"
    assert read.server(None) == "https://a.example"
    assert refused(lambda: read.server("https://c.example")) is Code.INVALID_REQUEST
    assert offer.read_issuer(metadata(), ISSUER).server(None) == ISSUER


def test_an_authorization_server_must_bind_tokens_and_know_wallets() -> None:
    good = {
        "issuer": ISSUER, "token_endpoint": f"{ISSUER}/token", "dpop_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["attest_jwt_client_auth"],
    }  # fmt: skip
    assert offer.read_server(good, ISSUER).token_endpoint == f"{ISSUER}/token"
    for changes, code in (
        ({"issuer": "https://other.example"}, Code.INVALID_REQUEST),
        ({"dpop_signing_alg_values_supported": []}, Code.UNSUPPORTED),
        ({"token_endpoint_auth_methods_supported": ["none"]}, Code.UNSUPPORTED),
        ({"token_endpoint": "http://issuer.example/token"}, Code.UNSUPPORTED),
    ):
        assert refused(lambda changes=changes: offer.read_server({**good, **changes}, ISSUER)) is code
