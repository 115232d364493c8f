"""Proofs and requests of OpenID4VCI 1.0: what passes, and the exact error of what does not."""

from __future__ import annotations

from typing import Any

import pytest

from issuing import BASE, START, Provider
from mapae.clock import MovableClock
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey, sign_jws
from mapae.issuer.authorization import Attesters
from mapae.issuer.oid4vci import CredentialRequest, ProofRules, check_proofs, offer_uri
from mapae.keys import Signer

ISSUER = f"{BASE}/issuer"
KEYS = [Signer.ephemeral() for _ in range(11)]
NOW = int(START.timestamp())


@pytest.fixture
def provider() -> Provider:
    return Provider(MovableClock(START))


def rules(provider: Provider, *, attested: bool = True) -> ProofRules:
    return ProofRules(
        ISSUER, "client", 10, attested, Attesters([provider.entry], provider.entry.id), "good".__eq__, START
    )


def jwt(
    provider: Provider, keys: list[Signer], header: dict[str, Any] | None = None, by: Signer | None = None,
    attestation: dict[str, Any] | None = None, **changed: Any,
) -> str:  # fmt: skip
    """A proof by the first key over all of them."""
    extra = dict(attestation or {})
    attested = provider.attest_keys(keys, extra.pop("nonce", "good"), **extra)
    head = {"typ": "openid4vci-proof+jwt", "jwk": keys[0].jwk, "key_attestation": attested} | (header or {})
    head = {name: value for name, value in head.items() if value is not None}
    claims = {"aud": ISSUER, "iss": "client", "iat": NOW, "nonce": "good"} | changed
    return sign_jws(by or keys[0], head, {name: value for name, value in claims.items() if value is not None})


def refusal(provider: Provider, proofs: Any) -> tuple[Code, str | None]:
    with pytest.raises(Refused) as refused:
        check_proofs(proofs, rules(provider))
    return refused.value.code, refused.value.step


def test_one_proof_stands_for_all_attested_keys_in_order(provider: Provider) -> None:
    proven = check_proofs({"jwt": [jwt(provider, KEYS[:10])]}, rules(provider))
    assert proven.keys == tuple(PublicKey.from_jwk(key.jwk) for key in KEYS[:10])
    assert proven.nonces == ("good",)


def test_a_key_attestation_alone_is_a_proof(provider: Provider) -> None:
    proven = check_proofs({"attestation": [provider.attest_keys(KEYS[:3], "good")]}, rules(provider))
    assert len(proven.keys) == 3
    without_end = provider.sign("key-attestation+jwt", {
        "attested_keys": [KEYS[0].jwk], "key_storage": ["iso_18045_high"],
        "user_authentication": ["iso_18045_basic"], "iat": NOW, "nonce": "good",
    })  # fmt: skip
    assert len(check_proofs({"attestation": [without_end]}, rules(provider)).keys) == 1


def test_several_proofs_stand_for_their_own_keys(provider: Provider) -> None:
    proofs = [jwt(provider, [key]) for key in KEYS[:4]]
    assert [key.thumbprint for key in check_proofs({"jwt": proofs}, rules(provider)).keys] == [k.kid for k in KEYS[:4]]


@pytest.mark.parametrize("kid", ["0", KEYS[0].kid], ids=["place", "thumbprint"])
def test_the_proof_may_name_its_key_by_place_or_thumbprint(provider: Provider, kid: str) -> None:
    proof = jwt(provider, KEYS[:2], {"jwk": None, "kid": kid})
    assert len(check_proofs({"jwt": [proof]}, rules(provider)).keys) == 2


@pytest.mark.parametrize(
    ("changed", "code", "where"),
    [
        ({"header": {"key_attestation": None}}, Code.INVALID_PROOF, "proof_shape"),
        ({"header": {"typ": "jwt"}}, Code.INVALID_PROOF, "proof_shape"),
        ({"header": {"jwk": None}}, Code.INVALID_PROOF, "proof_seal"),
        ({"header": {"kid": "0"}}, Code.INVALID_PROOF, "proof_seal"),
        ({"header": {"jwk": KEYS[9].jwk}}, Code.INVALID_PROOF, "proof_seal"),
        ({"header": {"jwk": {**KEYS[0].jwk, "d": "AA"}}}, Code.INVALID_PROOF, "proof_seal"),
        ({"header": {"jwk": None, "x5c": ["AA=="]}}, Code.INVALID_PROOF, "proof_seal"),
        ({"by": KEYS[1]}, Code.INVALID_PROOF, "proof_seal"),
        ({"aud": "https://elsewhere.test"}, Code.INVALID_PROOF, "proof_fresh"),
        ({"iss": "another"}, Code.INVALID_PROOF, "proof_fresh"),
        ({"iat": NOW - 3600}, Code.INVALID_PROOF, "proof_fresh"),
        ({"iat": None}, Code.INVALID_PROOF, "proof_fresh"),
        ({"nonce": None}, Code.INVALID_PROOF, "proof_fresh"),
        ({"nonce": "old"}, Code.INVALID_NONCE, "proof_fresh"),
        ({"attestation": {"nonce": "old"}}, Code.INVALID_NONCE, "proof_attestation"),
        ({"attestation": {"exp": NOW - 61}}, Code.INVALID_PROOF, "proof_attestation"),
        ({"attestation": {"exp": None}}, Code.INVALID_PROOF, "proof_attestation"),
        ({"attestation": {"key_storage": ["none"]}}, Code.INVALID_PROOF, "proof_attestation"),
        ({"attestation": {"user_authentication": None}}, Code.INVALID_PROOF, "proof_attestation"),
        ({"attestation": {"attested_keys": []}}, Code.INVALID_PROOF, "proof_attestation"),
        ({"attestation": {"attested_keys": [7]}}, Code.INVALID_PROOF, "proof_attestation"),
    ],
)
def test_each_step_of_the_proof_check_refuses(
    provider: Provider, changed: dict[str, Any], code: Code, where: str
) -> None:
    assert refusal(provider, {"jwt": [jwt(provider, KEYS[:2], **changed)]}) == (code, where)


def test_too_many_keys_twice_the_same_key_and_wrong_shapes(provider: Provider) -> None:
    assert refusal(provider, {"jwt": [jwt(provider, KEYS)]}) == (Code.INVALID_PROOF, "proof_attestation")
    assert refusal(provider, {"jwt": [jwt(provider, [KEYS[0], KEYS[0]])]}) == (Code.INVALID_PROOF, "proof_keys")
    both = provider.attest_keys(KEYS[:1], "good")
    shape: Any
    for shape in (None, {}, {"jwt": []}, {"jwt": "x"}, {"jwt": [7]}, {"jwt": ["x"], "attestation": [both]},
                  {"jwt": ["x"] * 11}):  # fmt: skip
        assert refusal(provider, shape) == (Code.INVALID_PROOF, "proof_shape")
    assert refusal(provider, {"attestation": [both, both]})[0] is Code.INVALID_PROOF
    assert refusal(provider, {"di_vp": ["x"]})[0] is Code.INVALID_PROOF


def test_a_key_attestation_of_an_unknown_provider_is_refused(provider: Provider) -> None:
    stranger = Provider(MovableClock(START))
    proofs = {"attestation": [stranger.attest_keys(KEYS[:1], "good")]}
    assert refusal(provider, proofs) == (Code.INVALID_PROOF, "proof_attestation")


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (CredentialRequest(), Code.INVALID_CREDENTIAL_REQUEST),
        (CredentialRequest(credential_configuration_id="other"), Code.UNKNOWN_CREDENTIAL_CONFIGURATION),
        (CredentialRequest(credential_identifier="any"), Code.UNKNOWN_CREDENTIAL_IDENTIFIER),
        (CredentialRequest("card", "any"), Code.INVALID_CREDENTIAL_REQUEST),
    ],
)
def test_credential_requests_that_name_the_wrong_thing(request_: CredentialRequest, code: Code) -> None:
    with pytest.raises(Refused) as refused:
        request_.configuration(("card",), {})
    assert refused.value.code is code
    assert CredentialRequest("card").configuration(("card",), {}) == "card"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (CredentialRequest("card"), Code.INVALID_CREDENTIAL_REQUEST),
        (CredentialRequest(), Code.INVALID_CREDENTIAL_REQUEST),
        (CredentialRequest("card", "card.1"), Code.INVALID_CREDENTIAL_REQUEST),
        (CredentialRequest(credential_identifier="card.2"), Code.UNKNOWN_CREDENTIAL_IDENTIFIER),
    ],
)
def test_where_identifiers_were_given_they_are_asked_for(request_: CredentialRequest, code: Code) -> None:
    """OpenID4VCI 8.2: credential_identifier is required then, and credential_configuration_id must not be used."""
    with pytest.raises(Refused) as refused:
        request_.configuration(("card",), {"card.1": "card"})
    assert refused.value.code is code
    named = CredentialRequest(credential_identifier="card.1")
    assert named.configuration(("card",), {"card.1": "card"}) == "card"


def test_plain_proofs_stand_for_their_own_keys_where_the_document_needs_no_attestation(provider: Provider) -> None:
    """OpenID4VCI F.1 and F.4: each proof is verified with the key it names; an attestation still counts."""
    loose = rules(provider, attested=False)
    proofs = [jwt(provider, [key], {"key_attestation": None}) for key in KEYS[:3]]
    assert [key.thumbprint for key in check_proofs({"jwt": proofs}, loose).keys] == [key.kid for key in KEYS[:3]]
    forged = jwt(provider, KEYS[:1], {"key_attestation": None}, by=KEYS[1])
    for wrong in ([proofs[0], forged], [proofs[0], proofs[0]], [jwt(provider, KEYS[:1], {"key_attestation": 7})]):
        with pytest.raises(Refused) as refused:
            check_proofs({"jwt": wrong}, loose)
        assert refused.value.code is Code.INVALID_PROOF
    assert len(check_proofs({"jwt": [jwt(provider, KEYS[:3])]}, loose).keys) == 3


def test_the_qr_carries_the_address_of_the_offer_and_no_code() -> None:
    assert offer_uri(BASE, "abc") == (
        "openid-credential-offer://?credential_offer_uri=http%3A%2F%2Fmapae.test%2Fissuer%2Foffers%2Fabc"
    )
