"""What this issuer offers and how to talk to it: OpenID4VCI 1.0 section 12 and RFC 8414, made from the country pack.

Promises: every document the pack issues here appears once a format, with what the endpoints really accept. Trusts: the
pack. Keeps: nothing. Refuses: nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mapae.catalog import Country, Document, MdocFormat, SdJwtFormat
from mapae.entitlements import WARD
from mapae.formats.jwe import ALG, ENCS
from mapae.issuer.oid4vci import AUTHORIZATION_CODE, LEVELS, PRE_AUTHORIZED

DETAILS = "openid_credential"  # the type of authorization details (OpenID4VCI 5.1.1)


@dataclass(frozen=True, slots=True)
class Configuration:
    """One document in one format."""

    id: str
    document: Document
    format: SdJwtFormat | MdocFormat


def configurations(country: Country) -> dict[str, Configuration]:
    found: dict[str, Configuration] = {}
    for document in country.documents.values():
        if not document.issued_here or document.formats is None:
            continue
        for one in (document.formats.sd_jwt, document.formats.mdoc):
            if one is not None:
                found[one.configuration_id] = Configuration(one.configuration_id, document, one)
    return found


def configuration_ids(country: Country, kind: str) -> tuple[str, ...]:
    return tuple(id for id, one in configurations(country).items() if one.document.id == kind)


def issuer_metadata(country: Country, base: str, request_key: Mapping[str, str]) -> dict[str, Any]:
    """`request_key`: the JWK that requests may be encrypted to."""
    issuer = f"{base}/issuer"
    sealed = {"enc_values_supported": list(ENCS), "zip_values_supported": ["DEF"], "encryption_required": False}
    return {
        "credential_issuer": issuer,
        "authorization_servers": [issuer],
        "credential_endpoint": f"{issuer}/credential",
        "nonce_endpoint": f"{issuer}/nonce",
        "deferred_credential_endpoint": f"{issuer}/deferred",
        "notification_endpoint": f"{issuer}/notification",
        "credential_request_encryption": {"jwks": {"keys": [dict(request_key)]}, **sealed},
        "credential_response_encryption": {"alg_values_supported": [ALG], **sealed},
        "batch_credential_issuance": {"batch_size": country.issuance.batch_size},
        "display": [{"name": country.name.pick(language), "locale": language} for language in country.languages],
        "credential_configurations_supported": {
            id: _configuration(country, one) for id, one in configurations(country).items()
        },
    }


def authorization_metadata(country: Country, base: str) -> dict[str, Any]:
    issuer = f"{base}/issuer"
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "pushed_authorization_request_endpoint": f"{issuer}/par",
        "require_pushed_authorization_requests": True,
        "token_endpoint": f"{issuer}/token",
        "grant_types_supported": [AUTHORIZATION_CODE, PRE_AUTHORIZED, "refresh_token"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "authorization_details_types_supported": [DETAILS],
        "scopes_supported": list(configurations(country)),
        # The second is the combined mode of later drafts: one key and one proof for both.
        "token_endpoint_auth_methods_supported": ["attest_jwt_client_auth", "attest_jwt_client_auth_dpop"],
        "client_attestation_signing_alg_values_supported": ["ES256"],
        "client_attestation_pop_signing_alg_values_supported": ["ES256"],
        "dpop_signing_alg_values_supported": ["ES256"],
        "pre-authorized_grant_anonymous_access_supported": False,
    }


def _configuration(country: Country, one: Configuration) -> dict[str, Any]:
    # Appendix D.2: the list names every level that is accepted.
    attested = {"key_storage": sorted(LEVELS), "user_authentication": sorted(LEVELS)}
    proof = {"proof_signing_alg_values_supported": ["ES256"], "key_attestations_required": attested}
    bare = proof if one.document.key_attestation else {"proof_signing_alg_values_supported": ["ES256"]}
    shared = {
        "scope": one.id,
        "proof_types_supported": {"jwt": bare, "attestation": proof},
        "credential_metadata": {
            "display": [_display(one.document, language) for language in country.languages],
            "claims": [_claim(country, one, name) for name in (claim.name for claim in one.document.claims)],
        },
    }
    match one.format:
        case SdJwtFormat():
            return {
                "format": "dc+sd-jwt",
                "vct": one.format.vct,
                "cryptographic_binding_methods_supported": ["jwk"],
                "credential_signing_alg_values_supported": ["ES256"],
                **shared,
            }
        case MdocFormat():
            return {
                "format": "mso_mdoc",
                "doctype": one.format.doctype,
                "cryptographic_binding_methods_supported": ["cose_key"],
                "credential_signing_alg_values_supported": [-7],  # COSE ES256, Appendix A.2.2
                **shared,
            }


def _display(document: Document, language: str) -> dict[str, Any]:
    return {
        "name": document.name.pick(language),
        "locale": language,
        "description": document.description.pick(language),
        "background_color": document.display.background_color,
        "text_color": document.display.text_color,
    }


def _claim(country: Country, one: Configuration, name: str) -> dict[str, Any]:
    path = [one.format.namespace, name] if isinstance(one.format, MdocFormat) else [name]
    claim = one.document.claim(name)
    said = {
        "path": path,
        "mandatory": True,  # every item of the document is in every copy; lint.py sees to it
        "display": [{"name": claim.label.pick(language), "locale": language} for language in country.languages],
    }
    # Our own word, for our own wallet: two cards that differ in this are two cards, and neither replaces the other.
    return said | ({"mapae_tells_apart": True} if claim.record.startswith(f"{WARD}.") else {})
