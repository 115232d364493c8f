"""Reading who asks for what: an OpenID4VP 1.0 request as HAIP 1.0 wants it. Pure.

Promises: a `Request` was signed by a relying party of the trust list, for this wallet, now, and asks for no more than
one of that party's registered purposes. Trusts: the trust list. Keeps: nothing. Refuses: unsigned requests, other
client identifier prefixes, transaction data, keys we cannot encrypt to, over-asking. The steps are `link client seal
meant answer key nonce query purpose`, in this order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from mapae.errors import Code, Refused, step
from mapae.formats import dcql
from mapae.formats.dcql import Dcql
from mapae.formats.jose import Jws, PublicKey, check_times
from mapae.formats.x509 import Profile, check_chain, x509_hash
from mapae.trust.publish import Purpose, RelyingParty

from .trusted import Trusted
from .wire import must_be_safe

TYPE: Final = "oauth-authz-req+jwt"
SELF_ISSUED: Final = "https://self-issued.me/v2"
PREFIX: Final = "x509_hash:"
SCHEMES: Final = frozenset({"openid4vp", "haip-vp", "https", "http"})
MAX_AGE: Final = 600  # seconds a request object may be old
ENCS: Final = ("A256GCM", "A128GCM")  # HAIP 1.0: prefer the former


@dataclass(frozen=True, slots=True)
class Link:
    """What a QR code says: who will ask, and where the request lies."""

    client_id: str
    request_uri: str
    by_post: bool


@dataclass(frozen=True, slots=True)
class Request:
    client_id: str
    party: RelyingParty
    purpose: Purpose
    response_uri: str
    nonce: str
    state: str | None
    query: Dcql
    key: Mapping[str, Any]
    enc: str


def read_link(text: str) -> Link:
    if len(text) > 16384:
        raise Refused(Code.TOO_LARGE, "the request is too long")
    with step("link"):
        try:
            parts = urlsplit(text.strip())
            fields = parse_qs(parts.query, keep_blank_values=True, strict_parsing=True, max_num_fields=40)
        except ValueError:
            raise Refused(Code.MALFORMED, "this is not a presentation request") from None
        if parts.scheme not in SCHEMES:
            raise Refused(Code.UNSUPPORTED, "this is not a presentation request")
        if any(len(values) != 1 for values in fields.values()):
            raise Refused(Code.MALFORMED, "a parameter appears twice")
        if "request_uri" not in fields or "client_id" not in fields:
            raise Refused(Code.UNSUPPORTED, "only signed requests by reference are answered")
        method = fields.get("request_uri_method", ["get"])[0]
        if method not in ("get", "post"):
            raise Refused(Code.UNSUPPORTED, "request_uri_method is get or post")
        return Link(fields["client_id"][0], must_be_safe(fields["request_uri"][0]), method == "post")


def open_request(raw: bytes, link: Link, wallet_nonce: str | None, trusted: Trusted, now: datetime) -> Request:
    """Check a fetched request object against the link that led to it."""
    jws = Jws.parse(raw, typ=TYPE)
    claims = jws.claims()
    with step("client"):
        leaf = _client(claims, link, jws)
        party = trusted.party(x509_hash(leaf))
    with step("seal"):
        signer = check_chain(jws.x5c, trusted.access, now, Profile.ACCESS)
        jws.verify(signer.key)
    with step("meant"):
        _meant_for_us(claims, wallet_nonce, now)
    with step("answer"):
        response_uri = _response_uri(claims)
    with step("key"):
        key, enc = _encryption(claims.get("client_metadata"))
    with step("nonce"):
        nonce, state = claims.get("nonce"), claims.get("state")
        if not isinstance(nonce, str) or len(nonce) < 22 or not nonce.isascii():  # section 5.2: 128 bits
            raise Refused(Code.WRONG_NONCE, "the request has no fresh nonce")
        if state is not None and not isinstance(state, str):
            raise Refused(Code.MALFORMED, "state is not a text")
    with step("query"):
        if "transaction_data" in claims:  # section 8.4: an unknown type must be refused, and we know none
            raise Refused(Code.UNSUPPORTED, "transaction data is not supported")
        if "dcql_query" not in claims or "scope" in claims:
            raise Refused(Code.UNSUPPORTED, "the request holds exactly one dcql_query")
        query = dcql.parse(claims["dcql_query"])
    with step("purpose"):
        purpose = _purpose(claims.get("mapae_purpose"), party, query)
    return Request(link.client_id, party, purpose, response_uri, nonce, state, query, key, enc)


def _client(claims: Mapping[str, Any], link: Link, jws: Jws) -> bytes:
    """Sections 5 and 5.9.3: the same client in the link, the request and the certificate."""
    if claims.get("client_id") != link.client_id:
        raise Refused(Code.BAD_SIGNATURE, "the request comes from another client than the code said")
    if not link.client_id.startswith(PREFIX):
        raise Refused(Code.UNSUPPORTED, "only x509_hash clients are answered")
    leaf = jws.x5c[0]
    if link.client_id.removeprefix(PREFIX) != x509_hash(leaf):
        raise Refused(Code.BAD_CERTIFICATE, "the certificate is not the client's")
    return leaf


def _meant_for_us(claims: Mapping[str, Any], wallet_nonce: str | None, now: datetime) -> None:
    if claims.get("aud") != SELF_ISSUED:  # section 5.8
        raise Refused(Code.WRONG_AUDIENCE, "the request is meant for somebody else")
    if wallet_nonce is not None and claims.get("wallet_nonce") != wallet_nonce:  # section 5.10.1
        raise Refused(Code.WRONG_NONCE, "the request does not carry our nonce")
    check_times(claims, now, max_age=MAX_AGE if "iat" in claims else None)


def _response_uri(claims: Mapping[str, Any]) -> str:
    if claims.get("response_type") != "vp_token" or claims.get("response_mode") != "direct_post.jwt":
        raise Refused(Code.UNSUPPORTED, "only encrypted answers by direct post are given")
    uri = claims.get("response_uri")
    if "redirect_uri" in claims or not isinstance(uri, str):  # section 8.2
        raise Refused(Code.INVALID_REQUEST, "the request says response_uri and no redirect_uri")
    return must_be_safe(uri)


def _encryption(metadata: Any) -> tuple[Mapping[str, Any], str]:
    """Section 8.3: the first key we can use, the strongest cipher both know. Keys of other kinds are passed over."""
    metadata = metadata if isinstance(metadata, Mapping) else {}
    jwks = metadata.get("jwks")
    keys = jwks.get("keys") if isinstance(jwks, Mapping) else None
    supported = metadata.get("encrypted_response_enc_values_supported", ["A128GCM"])
    enc = next((enc for enc in ENCS if isinstance(supported, list) and enc in supported), None)
    if enc is None:
        raise Refused(Code.UNSUPPORTED, "no cipher in common")
    for jwk in keys if isinstance(keys, list) else []:
        if isinstance(jwk, Mapping) and jwk.get("alg") == "ECDH-ES" and jwk.get("use", "enc") == "enc":
            try:
                PublicKey.from_jwk(jwk)
            except Refused:
                continue  # another curve, or no key at all: perhaps the next one
            return jwk, enc
    raise Refused(Code.UNSUPPORTED, "no key the answer could be encrypted to")


def _purpose(id: Any, party: RelyingParty, query: Dcql) -> Purpose:
    """Everything the query could fetch must be registered for the purpose it names."""
    purpose = next((purpose for purpose in party.purposes if purpose.id == id), None)
    if purpose is None:
        raise Refused(Code.OVER_ASKING, "whoever asks has not registered this purpose")
    allowed = set(purpose.items)
    for asked in query.queries:
        if not all(name in allowed for name in asked.names):
            raise Refused(Code.OVER_ASKING, "more is asked than this purpose allows")
    return purpose
