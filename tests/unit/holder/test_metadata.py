"""Metadata: what an issuer and its authorization server must be able to do, OpenID4VCI 1.0 section 12.2, HAIP 1.0 4."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hands import Hand
from mapae.errors import Code, Refused
from mapae.formats.jose import sign_jws
from mapae.holder import metadata as described

ISSUER = "https://issuer.example/tenant"
NOW = datetime(2027, 3, 2, tzinfo=UTC)
KEY = {**Hand("issuer's encryption").jwk, "kid": "k1", "alg": "ECDH-ES", "use": "enc"}


def refused(do: Callable[[], Any]) -> Code:
    with pytest.raises(Refused) as caught:
        do()
    return caught.value.code


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


def test_the_well_known_part_goes_between_host_and_path() -> None:
    assert described.well_known(ISSUER, "openid-credential-issuer") == (
        "https://issuer.example/.well-known/openid-credential-issuer/tenant"
    )
    assert described.well_known("https://a.example", "oauth-authorization-server") == (
        "https://a.example/.well-known/oauth-authorization-server"
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"credential_issuer": "https://other.example"}, Code.INVALID_REQUEST),
        ({"credential_issuer": ISSUER + "/"}, Code.INVALID_REQUEST),
        ({"credential_endpoint": None}, Code.MALFORMED),
        ({"credential_endpoint": "http://issuer.example/c"}, Code.UNSUPPORTED),
        ({"nonce_endpoint": ""}, Code.MALFORMED),
        ({"deferred_credential_endpoint": "http://issuer.example/d"}, Code.UNSUPPORTED),
        ({"authorization_servers": []}, Code.MALFORMED),
        ({"credential_configurations_supported": None}, Code.MALFORMED),
        ({"batch_credential_issuance": {"batch_size": 1}}, Code.MALFORMED),
        ({"batch_credential_issuance": {}}, Code.MALFORMED),
        ({"credential_response_encryption": {"encryption_required": True}}, Code.UNSUPPORTED),
        ({"notification_endpoint": 7}, Code.MALFORMED),
    ],
)
def test_broken_issuer_metadata_is_refused(changes: dict[str, Any], code: Code) -> None:
    assert refused(lambda: described.read_issuer(metadata(**changes), ISSUER)) is code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"format": "ldp_vc"}, Code.UNSUPPORTED),
        ({"vct": None}, Code.MALFORMED),
        ({"scope": 1}, Code.MALFORMED),
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
    assert refused(lambda: described.read_issuer(raw, ISSUER).configuration("card")) is code


def test_how_keys_are_proved_follows_the_metadata() -> None:
    es256 = {"proof_signing_alg_values_supported": ["ES256"]}
    for types, expected in (
        ({"jwt": es256}, ("jwt", False)),
        ({"jwt": {**es256, "key_attestations_required": {}}}, ("jwt", True)),
        ({"attestation": es256}, ("attestation", False)),
    ):
        raw = metadata(credential_configurations_supported={"card": configuration(proof_types_supported=types)})
        read = described.read_issuer(raw, ISSUER).configuration("card")
        assert (read.proof, read.attested) == expected


def test_a_batch_is_as_large_as_both_sides_allow() -> None:
    for size, expected in ((2, 2), (10, 10), (500, 20)):
        raw = metadata(batch_credential_issuance={"batch_size": size})
        assert described.read_issuer(raw, ISSUER).batch_size == expected
    assert described.read_issuer(metadata(), ISSUER).batch_size == 1


def test_the_offer_may_choose_only_among_the_issuers_servers() -> None:
    read = described.read_issuer(metadata(authorization_servers=["https://a.example", "https://b.example"]), ISSUER)
    assert read.server("https://b.example") == "https://b.example"
    assert read.server(None) == "https://a.example"
    assert refused(lambda: read.server("https://c.example")) is Code.INVALID_REQUEST
    assert described.read_issuer(metadata(), ISSUER).server(None) == ISSUER


SERVER = {
    "issuer": ISSUER, "token_endpoint": f"{ISSUER}/token", "dpop_signing_alg_values_supported": ["ES256"],
    "token_endpoint_auth_methods_supported": ["attest_jwt_client_auth"],
    "authorization_endpoint": f"{ISSUER}/authorize", "pushed_authorization_request_endpoint": f"{ISSUER}/par",
    "code_challenge_methods_supported": ["S256"], "authorization_response_iss_parameter_supported": True,
}  # fmt: skip


def server(**changes: Any) -> described.ServerMetadata:
    return described.read_server({**SERVER, **changes}, ISSUER)


def test_an_authorization_server_is_read() -> None:
    read = server()
    assert (read.token_endpoint, read.par_endpoint) == (f"{ISSUER}/token", f"{ISSUER}/par")
    assert (read.binds_tokens, read.attests_clients, read.says_iss, read.anonymous) == (True, True, True, False)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"issuer": "https://other.example"}, Code.INVALID_REQUEST),
        ({"token_endpoint_auth_methods_supported": ["private_key_jwt"]}, Code.UNSUPPORTED),
        ({"code_challenge_methods_supported": ["plain"]}, Code.UNSUPPORTED),
        ({"token_endpoint": "http://issuer.example/token"}, Code.UNSUPPORTED),
        ({"token_endpoint": None}, Code.MALFORMED),
        ({"pushed_authorization_request_endpoint": 1}, Code.MALFORMED),
        ({"challenge_endpoint": "http://issuer.example/challenge"}, Code.UNSUPPORTED),
    ],
)
def test_a_server_this_wallet_cannot_talk_to_is_refused(changes: dict[str, Any], code: Code) -> None:
    assert refused(lambda: server(**changes)) is code


def haip(configured: dict[str, Any] | None = None, *, of: dict[str, Any] | None = None, **changes: Any) -> None:
    read = described.read_issuer(
        metadata(credential_configurations_supported={"card": configured or configuration()}, **changes), ISSUER
    )
    described.must_keep_haip(read, server(**(of or {})), [read.configuration("card")])


def test_an_issuer_on_the_list_keeps_haip() -> None:
    haip()
    assert refused(lambda: haip(of={"dpop_signing_alg_values_supported": []})) is Code.UNSUPPORTED
    assert refused(lambda: haip(of={"token_endpoint_auth_methods_supported": ["none"]})) is Code.UNSUPPORTED
    assert refused(lambda: haip(configuration(scope=None))) is Code.MALFORMED
    assert refused(lambda: haip(nonce_endpoint=None)) is Code.MALFORMED
    unbound = configuration(cryptographic_binding_methods_supported=None, proof_types_supported=None)
    assert refused(lambda: haip(unbound)) is Code.UNSUPPORTED


# --- encryption, section 12.2.4 and 10 --------------------------------------------------------------------------------

REQUESTS = {"jwks": {"keys": [KEY]}, "enc_values_supported": ["A128GCM", "A256GCM"], "encryption_required": False}
RESPONSES = {
    "alg_values_supported": ["ECDH-ES"], "enc_values_supported": ["A256GCM"], "encryption_required": False,
    "zip_values_supported": ["DEF"],
}  # fmt: skip


def encryption(request: Any, response: Any) -> described.Encryption | None:
    return described.read_issuer(
        metadata(credential_request_encryption=request, credential_response_encryption=response), ISSUER
    ).encryption


def test_what_can_be_encrypted_is() -> None:
    assert encryption(REQUESTS, RESPONSES) == described.Encryption(KEY, "A256GCM", False, "A256GCM", True)
    assert encryption(REQUESTS, None) == described.Encryption(KEY, "A256GCM", False, None, False)
    assert encryption({**REQUESTS, "zip_values_supported": ["DEF"]}, None) == described.Encryption(
        KEY, "A256GCM", True, None, False
    )
    assert encryption(None, None) is None


def test_a_response_is_not_encrypted_when_the_request_is_not() -> None:
    """Section 8.2: otherwise the key for it could be exchanged on the way."""
    assert encryption(None, RESPONSES) is None
    assert refused(lambda: encryption(None, {**RESPONSES, "encryption_required": True})) is Code.UNSUPPORTED


@pytest.mark.parametrize(
    "changes",
    [
        {"jwks": {"keys": []}}, {"jwks": {"keys": [{**KEY, "use": "sig"}]}},
        {"jwks": {"keys": [{**KEY, "alg": "RSA-OAEP"}]}},
        {"jwks": {"keys": [{name: value for name, value in KEY.items() if name != "kid"}]}}, {"jwks": None},
        {"enc_values_supported": ["A128CBC-HS256"]}, {"enc_values_supported": None},
    ],
)  # fmt: skip
def test_encryption_that_is_required_and_impossible_is_refused(changes: dict[str, Any]) -> None:
    assert encryption({**REQUESTS, **changes}, None) is None
    assert refused(lambda: encryption({**REQUESTS, **changes, "encryption_required": True}, None)) is Code.UNSUPPORTED


def test_the_first_key_that_can_be_used_is_taken() -> None:
    keys = [{"kty": "OKP", "crv": "X25519", "x": "a", "alg": "ECDH-ES", "kid": "1"}, {**KEY, "crv": "P-384"}, KEY]
    read = encryption({**REQUESTS, "jwks": {"keys": keys}}, None)
    assert read is not None and read.key == KEY


# --- signed metadata, section 12.2.3 ----------------------------------------------------------------------------------


def signed(typ: str = described.SIGNED_TYPE, **changes: Any) -> bytes:
    claims = {**metadata(), "sub": ISSUER, "iat": int(NOW.timestamp()), **changes}
    kept = {name: value for name, value in claims.items() if value is not None}
    return sign_jws(Hand("issuer"), {"typ": typ}, kept).encode()


def read_signed(raw: bytes, now: datetime = NOW) -> Any:
    return described.signed_claims(described.open_signed(raw, ISSUER), now)


def test_signed_metadata_says_whom_it_is_about_and_since_when() -> None:
    assert described.read_issuer(read_signed(signed()), ISSUER).issuer == ISSUER
    for raw, code in (
        (signed(typ="JWT"), Code.MALFORMED),
        (signed(sub="https://other.example"), Code.INVALID_REQUEST),
        (signed(sub=None), Code.INVALID_REQUEST),
        (signed(iat=None), Code.MALFORMED),
        (signed(iat=int(NOW.timestamp()) + 3600), Code.NOT_YET_VALID),
        (signed(exp=int(NOW.timestamp()) - 3600), Code.EXPIRED),
    ):
        assert refused(lambda raw=raw: read_signed(raw)) is code
    assert read_signed(signed(exp=int(NOW.timestamp()) + 60), NOW + timedelta(seconds=30))
