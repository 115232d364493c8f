"""Reading who asks for what: an OpenID4VP 1.0 request as HAIP 1.0 wants it. Pure.

Promises: a `Request` was signed by somebody the trust policy knows, for this wallet, now; a party on the country's list
asks for no more than one of its registered purposes. Trusts: that policy. Keeps: nothing. Refuses: what is not
encrypted in the redirect flow, other client identifier prefixes, transactions of another type, keys we cannot encrypt
to, over-asking. The steps are `link client seal meant answer key nonce query transaction purpose`, in this order. What
nobody signed is in `unsigned.py`, the browser's own way of asking (appendix A) in `browser.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from mapae.errors import Code, Refused, step
from mapae.formats import dcql
from mapae.formats.dcql import MDOC, SD_JWT, Dcql
from mapae.formats.jose import Jws, check_times
from mapae.formats.x509 import x509_hash
from mapae.trust.publish import Purpose
from mapae.trust.registration import TYPE as REGISTRATION

from .sealing import best_enc, usable_key
from .transaction import Transaction, read_all
from .trusted import Party, View
from .wire import must_be_safe

TYPE: Final = "oauth-authz-req+jwt"
SELF_ISSUED: Final = "https://self-issued.me/v2"
X509_HASH: Final = "x509_hash:"
X509_SAN_DNS: Final = "x509_san_dns:"
REDIRECT_URI: Final = "redirect_uri:"
PREFIXES: Final = (X509_HASH, X509_SAN_DNS)
SCHEMES: Final = frozenset({"openid4vp", "haip-vp", "https", "http"})
MAX_AGE: Final = 600  # seconds a request object may be old
MOST_INFO: Final = 8  # statements about whoever asks that are looked at
MIN_NONCE: Final = 22  # section 5.2: 128 bits in base64url
_URL_SAFE: Final = re.compile(r"[A-Za-z0-9._~-]+")
_OURS: Final[Mapping[str, Mapping[str, frozenset[str | int]]]] = {
    SD_JWT: {"sd-jwt_alg_values": frozenset({"ES256"}), "kb-jwt_alg_values": frozenset({"ES256"})},
    MDOC: {"issuerauth_alg_values": frozenset({-7, -9}), "deviceauth_alg_values": frozenset({-7, -9})},
}


@dataclass(frozen=True, slots=True)
class Link:
    """What a QR code says: who will ask, and where the request lies."""

    client_id: str
    request_uri: str
    by_post: bool


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A whole request in a link, by somebody who names no one but the address of the answer (`unsigned.py`)."""

    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DirectPost:
    """The answer goes to the verifier over our own connection (section 8.2). `relayed`: through somebody who carries it
    and is to learn nothing, not even that it is a no."""

    uri: str
    relayed: bool = False


@dataclass(frozen=True, slots=True)
class Browser:
    """The answer goes back through the Digital Credentials API, to this origin (appendix A)."""

    origin: str


@dataclass(frozen=True, slots=True)
class Authentic:
    """Who asks is known, and that it asks us, now. What it asks is still to be read."""

    claims: Mapping[str, Any]
    client_id: str
    party: Party


@dataclass(frozen=True, slots=True)
class Request:
    client_id: str  # with its prefix; empty when nobody signed
    party: Party
    purpose: Purpose | None  # None: whoever asks has registered none
    way: DirectPost | Browser
    nonce: str
    state: str | None
    query: Dcql
    key: Mapping[str, Any] | None  # None: the answer is not encrypted, which only a browser's may be
    enc: str
    transactions: tuple[Transaction, ...]

    @property
    def audience(self) -> str:
        """Appendix B.3.6 and A.4: whom the holder's signature is for."""
        return f"origin:{self.way.origin}" if isinstance(self.way, Browser) else self.client_id


def read_link(text: str) -> Link | Unsigned:
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
        first = {name: values[0] for name, values in fields.items()}
        if first.get("client_id", "").startswith(REDIRECT_URI) and "request_uri" not in fields:
            if "request" in fields:  # section 5.9.3: it must not be signed
                raise Refused(Code.UNSUPPORTED, "a client that is an address asks in the link itself")
            return Unsigned(first)
        if "request_uri" not in fields or "client_id" not in fields:  # HAIP 1.0 5.1
            raise Refused(Code.UNSUPPORTED, "only signed requests by reference are answered")
        method = fields.get("request_uri_method", ["get"])[0]
        if method not in ("get", "post"):  # section 5.1, in this very spelling
            raise Refused(Code.UNSUPPORTED, "request_uri_method is get or post")
        return Link(fields["client_id"][0], must_be_safe(fields["request_uri"][0]), method == "post")


def open_request(raw: bytes, link: Link, wallet_nonce: str | None, view: View, now: datetime) -> Request:
    """Check a fetched request object against the link that led to it."""
    return read(authenticate(raw, link, wallet_nonce, view, now))


def authenticate(raw: bytes, link: Link, wallet_nonce: str | None, view: View, now: datetime) -> Authentic:
    """The steps `client seal meant`. Until they are done nothing is sent to anybody, not even an error."""
    jws = Jws.parse(raw, typ=TYPE)
    claims = jws.claims()
    with step("client"):
        if claims.get("client_id") != link.client_id:  # section 5.10.1
            raise Refused(Code.BAD_SIGNATURE, "the request comes from another client than the code said")
        party = identify(link.client_id, jws, view, now)
    with step("seal"):
        signer = view.asker(jws.x5c, now)
        jws.verify(signer.key)
    with step("meant"):
        if claims.get("aud") != SELF_ISSUED:  # section 5.8
            raise Refused(Code.WRONG_AUDIENCE, "the request is meant for somebody else")
        if wallet_nonce is not None and claims.get("wallet_nonce") != wallet_nonce:  # section 5.10.1
            raise Refused(Code.WRONG_NONCE, "the request does not carry our nonce")
        must_be_new(claims, now)
    return Authentic(claims, link.client_id, party)


def identify(client_id: Any, jws: Jws, view: View, now: datetime) -> Party:
    """Section 5.9.3: the client in the request is the one of the certificate, and somebody we know."""
    if not isinstance(client_id, str) or not client_id.startswith(PREFIXES):
        raise Refused(Code.UNSUPPORTED, "only x509_hash and x509_san_dns clients are answered")
    leaf = jws.x5c[0]
    if client_id.startswith(X509_HASH) and client_id.removeprefix(X509_HASH) != x509_hash(leaf):
        raise Refused(Code.BAD_CERTIFICATE, "the certificate is not the client's")
    party = _party(jws, view, now)
    if client_id.startswith(X509_SAN_DNS) and client_id.removeprefix(X509_SAN_DNS) not in view.asker(jws.x5c, now).dns:
        raise Refused(Code.BAD_CERTIFICATE, "the certificate does not name the client")
    return party


def _party(jws: Jws, view: View, now: datetime) -> Party:
    """By the list; one that is too new for ours brings its registration along (section 5.11)."""
    try:
        return view.party(jws.x5c, now)
    except Refused as refused:
        info = jws.header.get("verifier_info", jws.claims().get("verifier_info"))  # A.3.2.2: of several, in the header
        if refused.code is not Code.UNKNOWN_RELYING_PARTY or not isinstance(info, list):
            raise
        for one in info[:MOST_INFO]:
            if isinstance(one, Mapping) and one.get("format") == REGISTRATION and isinstance(one.get("data"), str):
                return view.introduced(one["data"], jws.x5c, now)
        raise


def must_be_new(claims: Mapping[str, Any], now: datetime) -> None:
    check_times(claims, now, max_age=MAX_AGE if "iat" in claims else None)


def read(asked: Authentic) -> Request:
    """The steps from `answer` on, for a request that came by redirect."""
    with step("answer"):
        uri = response_uri(asked)
    with step("key"):
        metadata = client_metadata(asked.claims)
        key, enc = encryption(metadata)
    with step("nonce"):
        nonce, state = fresh_nonce(asked), state_of(asked.claims)
    query, transactions, purpose = wanted(asked, metadata)
    if state is None and not all(one.must_be_bound for one in query.queries):  # section 5.4
        raise Refused(Code.MALFORMED, "a request for a card without a proof needs a state", step="nonce")
    return Request(
        asked.client_id, asked.party, purpose, DirectPost(uri), nonce, state, query, key, enc, transactions
    )  # fmt: skip


def response_uri(asked: Authentic) -> str:
    claims = asked.claims
    if claims.get("response_type") != "vp_token" or claims.get("response_mode") != "direct_post.jwt":
        raise Refused(Code.UNSUPPORTED, "only encrypted answers by direct post are given")
    uri = claims.get("response_uri")
    if "redirect_uri" in claims or not isinstance(uri, str):  # section 8.2
        raise Refused(Code.INVALID_REQUEST, "the request says response_uri and no redirect_uri")
    must_be_safe(uri)
    if asked.client_id.startswith(X509_SAN_DNS) and urlsplit(uri).hostname != asked.client_id.removeprefix(
        X509_SAN_DNS
    ):
        raise Refused(Code.INVALID_REQUEST, "the answer would go to another host than the client's")  # section 5.9.3
    return uri


def client_metadata(claims: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = claims.get("client_metadata", {})
    if not isinstance(metadata, Mapping):
        raise Refused(Code.MALFORMED, "client_metadata is not an object")
    return metadata


def encryption(metadata: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """Section 8.3: the first key we can use, the strongest cipher both know."""
    enc = best_enc(metadata.get("encrypted_response_enc_values_supported", ["A128GCM"]))
    if enc is None:
        raise Refused(Code.UNSUPPORTED, "no cipher in common")
    key = usable_key(metadata.get("jwks"))
    if key is None:
        raise Refused(Code.UNSUPPORTED, "no key the answer could be encrypted to")
    return key, enc


def fresh_nonce(asked: Authentic) -> str:
    """Section 5.3. That 128 bits SHOULD be in it we demand of those our country has listed."""
    nonce = asked.claims.get("nonce")
    if not isinstance(nonce, str) or not _URL_SAFE.fullmatch(nonce):
        raise Refused(Code.WRONG_NONCE, "the request has no nonce of URL-safe characters")
    if asked.party.standing == "listed" and len(nonce) < MIN_NONCE:
        raise Refused(Code.WRONG_NONCE, "the request has no fresh nonce")
    return nonce


def state_of(claims: Mapping[str, Any]) -> str | None:
    state = claims.get("state")
    if state is not None and not (isinstance(state, str) and _URL_SAFE.fullmatch(state)):  # section 5.3
        raise Refused(Code.MALFORMED, "state is not a text of URL-safe characters")
    return state


def wanted(asked: Authentic, metadata: Mapping[str, Any]) -> tuple[Dcql, tuple[Transaction, ...], Purpose | None]:
    """The steps `query transaction purpose`."""
    claims = asked.claims
    with step("query"):
        if "dcql_query" not in claims or "scope" in claims:  # section 5.1: one of them, and we know no scopes
            raise Refused(Code.UNSUPPORTED, "the request holds exactly one dcql_query")
        query = dcql.parse(claims["dcql_query"])
        _must_be_readable(query, metadata.get("vp_formats_supported"))
    with step("transaction"):
        transactions = read_all(claims["transaction_data"], query) if "transaction_data" in claims else ()
    with step("purpose"):
        purpose = _purpose(claims.get("mapae_purpose"), asked.party, query)
    return query, transactions, purpose


def _must_be_readable(query: Dcql, supported: Any) -> None:
    """Section 8.5, vp_formats_not_supported: no format we have, or none of our algorithms."""
    if not any(one.format in _OURS for one in query.queries):
        raise Refused(Code.UNSUPPORTED, "no format this wallet has is asked for", step="formats")
    for name in {one.format for one in query.queries} & _OURS.keys():
        said = supported.get(name) if isinstance(supported, Mapping) else None
        for member, ours in _OURS[name].items():
            values = said.get(member) if isinstance(said, Mapping) else None
            if isinstance(values, list) and not any(type(value) in (str, int) and value in ours for value in values):
                raise Refused(Code.UNSUPPORTED, "the verifier cannot check our signatures", step="formats")


def _purpose(id: Any, party: Party, query: Dcql) -> Purpose | None:
    """Everything the query could fetch must be registered for the purpose it names. Strangers have registered none."""
    if party.standing != "listed":
        return None
    purpose = next((purpose for purpose in party.purposes if purpose.id == id), None)
    if purpose is None:
        raise Refused(Code.OVER_ASKING, "whoever asks has not registered this purpose")
    allowed = set(purpose.items)
    for asked in query.queries:
        if not all(name in allowed for name in asked.names):
            raise Refused(Code.OVER_ASKING, "more is asked than this purpose allows")
        if asked.format in _OURS and not purpose.covers(asked):
            raise Refused(Code.OVER_ASKING, "another document is asked for than this purpose is about")
    return purpose
