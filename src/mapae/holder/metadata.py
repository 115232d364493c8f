"""What an issuer and its authorization server say they can do. Pure, OpenID4VCI 1.0 section 12.2, RFC 8414, HAIP 1.0.

Promises: a `Configuration` is one this wallet can hold, a `ServerMetadata` one it can talk to. Trusts: nothing; every
member is checked for its type. Keeps: nothing. Refuses: metadata under another identifier, a configuration without an
algorithm or key binding we speak, encryption that is required and that we cannot do, and with `must_keep_haip` an
issuer that leaves out what HAIP 1.0 makes mandatory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from mapae.errors import Code, Refused, step
from mapae.formats.dcql import MDOC, SD_JWT
from mapae.formats.jose import Jws, check_times
from mapae.formats.jwe import ALG

from .sealing import DEFLATE, best_enc, usable_key
from .wire import must_be_safe

SIGNED_TYPE: Final = "openidvci-issuer-metadata+jwt"
MAX_BATCH: Final = 20
LIMIT: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Configuration:
    """One thing an issuer can issue, as far as this wallet uses it."""

    id: str
    format: str
    kind: str  # vct or doctype
    scope: str | None
    proof: str | None  # "jwt" or "attestation": how we prove our keys; None: the credential is bound to none
    attested: bool  # the jwt proof carries a key attestation
    name: dict[str, str]


@dataclass(frozen=True, slots=True)
class Encryption:
    """How requests and responses are encrypted (section 10). `response_enc` None: responses come in the open."""

    key: Mapping[str, Any]
    enc: str
    deflate: bool
    response_enc: str | None
    response_deflate: bool


@dataclass(frozen=True, slots=True)
class IssuerMetadata:
    issuer: str
    credential_endpoint: str
    nonce_endpoint: str | None
    deferred_endpoint: str | None
    notification_endpoint: str | None
    servers: tuple[str, ...]
    names_servers: bool  # authorization_servers is there: details need locations, scopes a resource
    batch_size: int
    encryption: Encryption | None
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
    authorization_endpoint: str | None
    par_endpoint: str | None
    challenge_endpoint: str | None
    binds_tokens: bool  # DPoP
    attests_clients: bool
    says_iss: bool  # RFC 9207 3
    anonymous: bool  # takes a pre-authorized code from whoever brings it


def well_known(identifier: str, name: str) -> str:
    """The well-known part goes between host and path (section 12.2.2, RFC 8414 section 3.1)."""
    parts = urlsplit(must_be_safe(identifier))
    if parts.query:
        raise Refused(Code.MALFORMED, "an identifier has no query")
    return f"{parts.scheme}://{parts.netloc}/.well-known/{name}{parts.path.rstrip('/')}"


def open_signed(raw: bytes, issuer: str) -> Jws:
    """Section 12.2.3: signed metadata, its signature still to be verified."""
    with step("metadata"):
        jws = Jws.parse(raw, typ=SIGNED_TYPE, limit=LIMIT)
        if jws.claims().get("sub") != issuer:
            raise Refused(Code.INVALID_REQUEST, "the metadata is about another issuer")
        return jws


def signed_claims(jws: Jws, now: datetime) -> Mapping[str, Any]:
    """The metadata inside, once the signature holds."""
    with step("metadata"):
        claims = jws.claims()
        check_times(claims, now, need=("iat",))
        return claims


def read_issuer(metadata: Mapping[str, Any], issuer: str) -> IssuerMetadata:
    if metadata.get("credential_issuer") != issuer:
        raise Refused(Code.INVALID_REQUEST, "the metadata belongs to another issuer")
    servers = metadata.get("authorization_servers", [issuer])
    if not isinstance(servers, list) or not servers or not all(isinstance(server, str) for server in servers):
        raise Refused(Code.MALFORMED, "authorization_servers is not a list of identifiers")
    configurations = metadata.get("credential_configurations_supported")
    if not isinstance(configurations, Mapping):
        raise Refused(Code.MALFORMED, "the metadata describes no credential")
    return IssuerMetadata(
        issuer,
        must_be_safe(_text(metadata, "credential_endpoint")),
        _endpoint(metadata, "nonce_endpoint"),
        _endpoint(metadata, "deferred_credential_endpoint"),
        _endpoint(metadata, "notification_endpoint"),
        tuple(servers),
        "authorization_servers" in metadata,
        _batch_size(metadata.get("batch_credential_issuance")),
        _encryption(metadata.get("credential_request_encryption"), metadata.get("credential_response_encryption")),
        configurations,
    )


def read_server(metadata: Mapping[str, Any], server: str) -> ServerMetadata:
    if metadata.get("issuer") != server:
        raise Refused(Code.INVALID_REQUEST, "the metadata belongs to another authorization server")
    methods = _list(metadata, "token_endpoint_auth_methods_supported")
    attests = "attest_jwt_client_auth" in methods
    if methods and not attests and "none" not in methods:
        raise Refused(Code.UNSUPPORTED, "the authorization server knows clients by ways this wallet does not have")
    challenges = _list(metadata, "code_challenge_methods_supported")
    if challenges and "S256" not in challenges:
        raise Refused(Code.UNSUPPORTED, "the authorization server does not take PKCE with S256")
    return ServerMetadata(
        server,
        must_be_safe(_text(metadata, "token_endpoint")),
        _endpoint(metadata, "authorization_endpoint"),
        _endpoint(metadata, "pushed_authorization_request_endpoint"),
        _endpoint(metadata, "challenge_endpoint"),
        "ES256" in _list(metadata, "dpop_signing_alg_values_supported"),
        attests,
        metadata.get("authorization_response_iss_parameter_supported") is True,
        metadata.get("pre-authorized_grant_anonymous_access_supported") is True,
    )


def must_keep_haip(metadata: IssuerMetadata, server: ServerMetadata, wanted: list[Configuration]) -> None:
    """What HAIP 1.0 section 4 makes mandatory for an issuer, and a wallet can see."""
    if not server.binds_tokens:  # section 4
        raise Refused(Code.UNSUPPORTED, "the authorization server does not bind tokens to keys")
    if not server.attests_clients:  # section 4.4.1
        raise Refused(Code.UNSUPPORTED, "the authorization server does not take wallet attestations")
    if any(one.scope is None for one in wanted):  # section 4.1
        raise Refused(Code.MALFORMED, "a configuration has no scope")
    if metadata.nonce_endpoint is None and any(one.proof is not None for one in wanted):  # section 4.1
        raise Refused(Code.MALFORMED, "keys are to be bound, and there is no nonce endpoint")
    if any(one.proof is None for one in wanted):  # ours: a country's cards are bound to the phone
        raise Refused(Code.UNSUPPORTED, "the credential is not bound to a key")


def _encryption(request: Any, response: Any) -> Encryption | None:
    """Section 12.2.4. We encrypt whenever we can; a response is encrypted only if the request is (section 8.2)."""
    ours = _request_encryption(request)
    needed = isinstance(response, Mapping) and response.get("encryption_required") is not False
    enc = None
    if isinstance(response, Mapping) and ALG in _list(response, "alg_values_supported"):
        enc = best_enc(response.get("enc_values_supported"))
    if needed and (enc is None or ours is None):
        raise Refused(Code.UNSUPPORTED, "this issuer insists on responses encrypted in a way this wallet cannot read")
    if ours is None:
        return None
    key, request_enc, deflate = ours
    return Encryption(key, request_enc, deflate, enc, enc is not None and _takes_deflate(response))


def _request_encryption(request: Any) -> tuple[Mapping[str, Any], str, bool] | None:
    if not isinstance(request, Mapping):
        return None
    key, enc = usable_key(request.get("jwks")), best_enc(request.get("enc_values_supported"))
    if key is not None and enc is not None and "kid" in key:  # section 12.2.4: each key must have a kid
        return key, enc, _takes_deflate(request)
    if request.get("encryption_required") is not False:
        raise Refused(Code.UNSUPPORTED, "this issuer insists on requests encrypted in a way this wallet cannot write")
    return None


def _takes_deflate(raw: Mapping[str, Any]) -> bool:
    return DEFLATE in _list(raw, "zip_values_supported")


def _batch_size(batch: Any) -> int:
    if batch is None:
        return 1
    size = batch.get("batch_size") if isinstance(batch, Mapping) else None
    if not isinstance(size, int) or isinstance(size, bool) or size < 2:
        raise Refused(Code.MALFORMED, "batch_size is 2 or more")
    return min(size, MAX_BATCH)


def _configuration(id: str, raw: Mapping[str, Any]) -> Configuration:
    """SD-JWT VC or mdoc, ES256, key binding by JWK or COSE key."""
    format_ = raw.get("format")
    if format_ == SD_JWT:
        kind, bindings = _text(raw, "vct"), {"jwk"}
        algorithms: set[str | int] = {"ES256"}
    elif format_ == MDOC:
        kind, bindings = _text(raw, "doctype"), {"cose_key"}
        algorithms = {-7, -9}  # ES256, and its fully specified name
    else:
        raise Refused(Code.UNSUPPORTED, "the credential has a format this wallet does not read")
    offered = raw.get("credential_signing_alg_values_supported")
    if offered is not None and not (isinstance(offered, list) and algorithms & {a for a in offered if _plain(a)}):
        raise Refused(Code.UNSUPPORTED, "the issuer signs with an algorithm this wallet does not check")
    scope = None if raw.get("scope") is None else _text(raw, "scope")
    if "cryptographic_binding_methods_supported" not in raw and "proof_types_supported" not in raw and format_ != MDOC:
        return Configuration(id, format_, kind, scope, None, False, _names(raw))
    if not bindings & {one for one in _list(raw, "cryptographic_binding_methods_supported") if isinstance(one, str)}:
        raise Refused(Code.UNSUPPORTED, "the credential is not bound to a key as this wallet binds it")
    proof, attested = _proof(raw.get("proof_types_supported"))
    return Configuration(id, format_, kind, scope, proof, attested, _names(raw))


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


def _endpoint(raw: Mapping[str, Any], name: str) -> str | None:
    return None if raw.get(name) is None else must_be_safe(_text(raw, name))


def _list(raw: Mapping[str, Any], name: str) -> list[Any]:
    value = raw.get(name)
    return value if isinstance(value, list) else []


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not value:
        raise Refused(Code.MALFORMED, f"{name} is missing")
    return value
