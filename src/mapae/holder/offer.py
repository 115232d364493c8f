"""What an issuer says before it issues: the offer and the two metadata documents. Pure, OpenID4VCI 1.0 and HAIP 1.0.

Promises: a `Plan` names everything the wallet needs and nothing it cannot do. Trusts: nothing; every member is checked
for its type. Keeps: nothing. Refuses: an offer with both forms or neither, metadata under another identifier, a
configuration without scope, key binding or an algorithm we speak, an issuer that insists on encrypted responses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from mapae.errors import Code, Refused
from mapae.formats.jose import decode_json

from .wire import must_be_safe

GRANT: Final = "urn:ietf:params:oauth:grant-type:pre-authorized_code"
SCHEMES: Final = frozenset({"openid-credential-offer", "haip-vci", "https", "http"})
SD_JWT: Final = "dc+sd-jwt"
MDOC: Final = "mso_mdoc"
MAX_BATCH: Final = 20


@dataclass(frozen=True, slots=True)
class Offer:
    issuer: str
    configurations: tuple[str, ...]
    code: str
    needs_tx_code: bool
    server: str | None  # the authorization server the offer names


@dataclass(frozen=True, slots=True)
class Configuration:
    """One thing an issuer can issue, as far as this wallet uses it."""

    id: str
    format: str
    kind: str  # vct or doctype
    scope: str
    proof: str  # "jwt", or "attestation": how we prove our keys
    attested: bool  # the jwt proof carries a key attestation
    name: dict[str, str]


@dataclass(frozen=True, slots=True)
class IssuerMetadata:
    issuer: str
    credential_endpoint: str
    nonce_endpoint: str
    notification_endpoint: str | None
    servers: tuple[str, ...]
    batch_size: int
    configurations: Mapping[str, Any]

    def configuration(self, id: str) -> Configuration:
        """Raises UNKNOWN_CREDENTIAL_CONFIGURATION or UNSUPPORTED."""
        raw = self.configurations.get(id)
        if not isinstance(raw, Mapping):
            raise Refused(Code.UNKNOWN_CREDENTIAL_CONFIGURATION, "the issuer does not describe what it offers")
        return _configuration(id, raw)

    def server(self, named: str | None) -> str:
        """Which authorization server to use (section 12.2.4: the offer may choose only among several)."""
        if named is None:
            return self.servers[0]
        if named not in self.servers:
            raise Refused(Code.INVALID_REQUEST, "the offer names an authorization server the issuer does not use")
        return named


@dataclass(frozen=True, slots=True)
class ServerMetadata:
    issuer: str
    token_endpoint: str


def read_link(text: str) -> tuple[str, str]:
    """("value", json) or ("reference", url) of an offer's QR text or link. Exactly one of the two forms."""
    if len(text) > 16384:
        raise Refused(Code.TOO_LARGE, "the offer is too long")
    try:
        parts = urlsplit(text.strip())
        fields = parse_qs(parts.query, keep_blank_values=True, strict_parsing=True, max_num_fields=20)
    except ValueError:
        raise Refused(Code.MALFORMED, "this is not a credential offer") from None
    if parts.scheme not in SCHEMES:
        raise Refused(Code.UNSUPPORTED, "this is not a credential offer")
    found = [(name, values) for name, values in fields.items() if name in ("credential_offer", "credential_offer_uri")]
    if len(found) != 1 or len(found[0][1]) != 1:
        raise Refused(Code.MALFORMED, "an offer holds exactly one of credential_offer and credential_offer_uri")
    name, values = found[0]
    if name == "credential_offer":
        return "value", values[0]
    return "reference", must_be_safe(values[0])


def read_offer(raw: bytes | str) -> Offer:
    offer = decode_json(raw)
    ids = offer.get("credential_configuration_ids")
    if not isinstance(ids, list) or not 1 <= len(ids) <= 16 or not all(isinstance(id, str) and id for id in ids):
        raise Refused(Code.MALFORMED, "the offer names no credential configuration")
    if len(set(ids)) != len(ids):
        raise Refused(Code.MALFORMED, "the offer names a configuration twice")
    grants = offer.get("grants")
    grant = grants.get(GRANT) if isinstance(grants, Mapping) else None
    if not isinstance(grant, Mapping):
        raise Refused(Code.UNSUPPORTED, "the offer has no pre-authorized code")
    tx_code = grant.get("tx_code")
    if tx_code is not None and not isinstance(tx_code, Mapping):
        raise Refused(Code.MALFORMED, "tx_code is not an object")
    server = grant.get("authorization_server")
    if server is not None and not isinstance(server, str):
        raise Refused(Code.MALFORMED, "authorization_server is not a text")
    issuer = must_be_safe(_text(offer, "credential_issuer"))
    return Offer(issuer, tuple(ids), _text(grant, "pre-authorized_code"), tx_code is not None, server)


def well_known(identifier: str, name: str) -> str:
    """The well-known part goes between host and path (section 12.2.2, RFC 8414 section 3.1)."""
    parts = urlsplit(must_be_safe(identifier))
    if parts.query:
        raise Refused(Code.MALFORMED, "an identifier has no query")
    return f"{parts.scheme}://{parts.netloc}/.well-known/{name}{parts.path.rstrip('/')}"


def read_issuer(metadata: Mapping[str, Any], issuer: str) -> IssuerMetadata:
    if metadata.get("credential_issuer") != issuer:
        raise Refused(Code.INVALID_REQUEST, "the metadata belongs to another issuer")
    encryption = metadata.get("credential_response_encryption")
    if isinstance(encryption, Mapping) and encryption.get("encryption_required") is not False:
        raise Refused(Code.UNSUPPORTED, "this issuer insists on encrypted responses")
    servers = metadata.get("authorization_servers", [issuer])
    if not isinstance(servers, list) or not servers or not all(isinstance(server, str) for server in servers):
        raise Refused(Code.MALFORMED, "authorization_servers is not a list of identifiers")
    configurations = metadata.get("credential_configurations_supported")
    if not isinstance(configurations, Mapping):
        raise Refused(Code.MALFORMED, "the metadata describes no credential")
    notification = metadata.get("notification_endpoint")
    return IssuerMetadata(
        issuer,
        must_be_safe(_text(metadata, "credential_endpoint")),
        must_be_safe(_text(metadata, "nonce_endpoint")),  # HAIP 1.0 section 4.1: required with key binding
        None if notification is None else must_be_safe(_text(metadata, "notification_endpoint")),
        tuple(servers),
        _batch_size(metadata.get("batch_credential_issuance")),
        configurations,
    )


def read_server(metadata: Mapping[str, Any], server: str) -> ServerMetadata:
    if metadata.get("issuer") != server:
        raise Refused(Code.INVALID_REQUEST, "the metadata belongs to another authorization server")
    if "ES256" not in _list(metadata, "dpop_signing_alg_values_supported"):
        raise Refused(Code.UNSUPPORTED, "the authorization server does not bind tokens to keys")
    if "attest_jwt_client_auth" not in _list(metadata, "token_endpoint_auth_methods_supported"):
        raise Refused(Code.UNSUPPORTED, "the authorization server does not take wallet attestations")
    return ServerMetadata(server, must_be_safe(_text(metadata, "token_endpoint")))


def _batch_size(batch: Any) -> int:
    if batch is None:
        return 1
    size = batch.get("batch_size") if isinstance(batch, Mapping) else None
    if not isinstance(size, int) or isinstance(size, bool) or size < 2:
        raise Refused(Code.MALFORMED, "batch_size is 2 or more")
    return min(size, MAX_BATCH)


def _configuration(id: str, raw: Mapping[str, Any]) -> Configuration:
    """HAIP 1.0: SD-JWT VC or mdoc, ES256, a scope, key binding by JWK or COSE key."""
    format_ = raw.get("format")
    if format_ == SD_JWT:
        kind, binding = _text(raw, "vct"), "jwk"
        algorithms: set[str | int] = {"ES256"}
    elif format_ == MDOC:
        kind, binding = _text(raw, "doctype"), "cose_key"
        algorithms = {-7, -9}  # ES256, and its fully specified name
    else:
        raise Refused(Code.UNSUPPORTED, "the credential has a format this wallet does not read")
    if binding not in _list(raw, "cryptographic_binding_methods_supported"):
        raise Refused(Code.UNSUPPORTED, "the credential is not bound to a key as this wallet binds it")
    offered = raw.get("credential_signing_alg_values_supported")
    if offered is not None and not (isinstance(offered, list) and algorithms & {a for a in offered if _plain(a)}):
        raise Refused(Code.UNSUPPORTED, "the issuer signs with an algorithm this wallet does not check")
    proof, attested = _proof(raw.get("proof_types_supported"))
    return Configuration(id, format_, kind, _text(raw, "scope"), proof, attested, _names(raw))


def _proof(types: Any) -> tuple[str, bool]:
    if not isinstance(types, Mapping):
        raise Refused(Code.MALFORMED, "proof_types_supported is missing")
    for name in ("jwt", "attestation"):
        type_ = types.get(name)
        if isinstance(type_, Mapping) and "ES256" in _list(type_, "proof_signing_alg_values_supported"):
            return name, name == "jwt" and "key_attestations_required" in type_
    raise Refused(Code.UNSUPPORTED, "the issuer takes no proof of keys this wallet can make")


def _names(raw: Mapping[str, Any]) -> dict[str, str]:
    metadata = raw.get("credential_metadata")
    display = metadata.get("display") if isinstance(metadata, Mapping) else None
    names: dict[str, str] = {}
    for item in display if isinstance(display, list) else []:
        if isinstance(item, Mapping) and isinstance(item.get("name"), str):
            locale = item.get("locale")
            language = locale.partition("-")[0].lower() if isinstance(locale, str) else ""
            names.setdefault(language, item["name"])
    return names


def _plain(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _list(raw: Mapping[str, Any], name: str) -> list[Any]:
    value = raw.get(name)
    return value if isinstance(value, list) else []


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not value:
        raise Refused(Code.MALFORMED, f"{name} is missing")
    return value
