"""Requests that come through the Digital Credentials API: OpenID4VP 1.0 appendix A. Pure.

Promises: a `Request` for exactly the origin the platform named; of several signatures the first by somebody the trust
policy knows. Trusts: the platform for the origin, the policy for the rest. Keeps: nothing. Refuses: another protocol, a
signed request that does not expect this origin, `client_id` outside the protected header of its signature, an open
answer to a party of the country's list. The steps are `protocol client seal origin meant answer key nonce query
transaction purpose`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from mapae.errors import Code, Refused, step
from mapae.formats import jws_json
from mapae.formats.jose import Jws

from .request import (
    SELF_ISSUED,
    TYPE,
    Authentic,
    Browser,
    Request,
    client_metadata,
    encryption,
    fresh_nonce,
    identify,
    must_be_new,
    wanted,
)
from .trusted import View
from .wire import must_be_safe

UNSIGNED: Final = "openid4vp-v1-unsigned"
SIGNED: Final = "openid4vp-v1-signed"
MULTISIGNED: Final = "openid4vp-v1-multisigned"
_ONLY_PROTECTED: Final = ("client_id", "verifier_info", "trust_chain")  # A.3.2.2


def open_request(protocol: str, data: Mapping[str, Any], origin: str, view: View, now: datetime) -> Request:
    return read(authenticate(protocol, data, origin, view, now), origin)


def authenticate(protocol: str, data: Mapping[str, Any], origin: str, view: View, now: datetime) -> Authentic:
    """Who asks, by the platform's word for the origin and, where there are any, by signatures."""
    with step("origin"):
        parts = urlsplit(must_be_safe(origin))
        if origin != f"{parts.scheme}://{parts.netloc}":
            raise Refused(Code.MALFORMED, "an origin is a scheme, a host and a port")
    match protocol:
        case "openid4vp-v1-unsigned":  # A.2: client_id and expected_origins are ignored when nobody signed
            with step("client"):
                return Authentic(data, "", view.origin(origin))
        case "openid4vp-v1-signed":
            token = data.get("request")
            if not isinstance(token, str):
                raise Refused(Code.MALFORMED, "the request is not a signed text", step="protocol")
            jws = Jws.parse(token, typ=TYPE)
            asked = _signed(jws, jws.claims().get("client_id"), view, now)
        case "openid4vp-v1-multisigned":
            asked = _several(data, view, now)
        case _:
            raise Refused(Code.UNSUPPORTED, "the request speaks another protocol", step="protocol")
    with step("origin"):  # A.2: compared as a text; else it is a request meant for another site
        expected = asked.claims.get("expected_origins")
        if not isinstance(expected, list) or origin not in expected:
            raise Refused(Code.INVALID_REQUEST, "the request was made for another site")
    with step("meant"):
        if asked.claims.get("aud", SELF_ISSUED) != SELF_ISSUED:
            raise Refused(Code.WRONG_AUDIENCE, "the request is meant for somebody else")
        must_be_new(asked.claims, now)
    return asked


def read(asked: Authentic, origin: str) -> Request:
    claims = asked.claims
    with step("answer"):
        mode = claims.get("response_mode")
        if claims.get("response_type") != "vp_token" or mode not in ("dc_api", "dc_api.jwt"):
            raise Refused(Code.UNSUPPORTED, "the answer is not to go back through the browser")
        if mode == "dc_api" and asked.party.standing == "listed":  # HAIP 1.0 5.2
            raise Refused(Code.UNSUPPORTED, "only encrypted answers are given")
    with step("key"):
        metadata = client_metadata(claims)
        key, enc = encryption(metadata) if mode == "dc_api.jwt" else (None, "")
    with step("nonce"):
        nonce = fresh_nonce(asked)
    query, transactions, purpose = wanted(asked, metadata)
    way = Browser(origin)  # A.2: there is no state here
    return Request(asked.client_id, asked.party, purpose, way, nonce, None, query, key, enc, transactions)


def _signed(jws: Jws, client_id: Any, view: View, now: datetime) -> Authentic:
    with step("client"):
        party = identify(client_id, jws, view, now)
    with step("seal"):
        jws.verify(view.asker(jws.x5c, now).key)
    return Authentic(jws.claims(), str(client_id), party)


def _several(data: Mapping[str, Any], view: View, now: datetime) -> Authentic:
    """A.3.2.2: one payload, a signature for each trust framework. One by somebody we know is enough."""
    token = data.get("request", data)
    if not isinstance(token, Mapping):
        raise Refused(Code.MALFORMED, "the request is not a JWS in JSON", step="protocol")
    first: Refused | None = None
    for signed in jws_json.read(token, typ=TYPE):
        if any(name in signed.jws.claims() for name in _ONLY_PROTECTED):
            raise Refused(Code.MALFORMED, "the client is named outside its signature's header", step="client")
        try:
            return _signed(signed.jws, signed.jws.header.get("client_id"), view, now)
        except Refused as refused:
            first = first or refused
    raise first or Refused(Code.UNSUPPORTED, "nobody we know signed the request", step="client")
