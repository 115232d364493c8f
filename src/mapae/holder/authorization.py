"""The authorization code flow's messages: what is pushed, where the person goes, what comes back. Pure.

Promises: a code is taken only from the server it was asked of, for the request that was made (RFC 9207 2.4, RFC 6749
10.12). Trusts: nothing in the redirect. Keeps: nothing. Refuses: a redirect without our state, with another issuer or
without one where one must be, a parameter that comes twice, a server's error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from mapae.errors import Code, Refused, step
from mapae.formats.jose import b64u, encode_json

from .metadata import Configuration, IssuerMetadata, ServerMetadata
from .offer import CODE, MAX_TEXT
from .store import Order

_ERRORS = {"temporarily_unavailable": Code.UNAVAILABLE, "server_error": Code.UNAVAILABLE}


def challenge(verifier: str) -> str:
    """PKCE S256 (RFC 7636 4.2)."""
    return b64u(hashlib.sha256(verifier.encode()).digest())


def request_fields(
    order: Order,
    wanted: Sequence[Configuration],
    metadata: IssuerMetadata,
    client_id: str,
    jkt: str | None,
    details: bool,
) -> dict[str, str]:
    """OpenID4VCI 1.0 5.1. Scopes as HAIP 1.0 4.3 wants; authorization details for what has none, or when asked for."""
    fields = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": order.redirect_uri or "",
        "state": order.state or "",
        "code_challenge": challenge(order.verifier or ""),
        "code_challenge_method": "S256",
    }
    scopes = dict.fromkeys(one.scope for one in wanted if one.scope is not None and not details)
    if scopes:
        fields["scope"] = " ".join(scopes)
        if metadata.names_servers:
            fields["resource"] = metadata.issuer
    described = [one.id for one in wanted if one.scope is None or details]
    if described:
        fields["authorization_details"] = encode_json([_detail(id, metadata) for id in described]).decode()
    if order.issuer_state is not None:
        fields["issuer_state"] = order.issuer_state
    if jkt is not None:
        fields["dpop_jkt"] = jkt  # RFC 9449 10: the code is good for this key only
    return fields


def _detail(configuration: str, metadata: IssuerMetadata) -> dict[str, Any]:
    detail: dict[str, Any] = {"type": "openid_credential", "credential_configuration_id": configuration}
    if metadata.names_servers:
        detail["locations"] = [metadata.issuer]
    return detail


def address(server: ServerMetadata, fields: Mapping[str, str]) -> str:
    """Where the person's browser goes."""
    if server.authorization_endpoint is None:
        raise Refused(Code.UNSUPPORTED, "the authorization server has no page to sign in on")
    joint = "&" if urlsplit(server.authorization_endpoint).query else "?"
    return f"{server.authorization_endpoint}{joint}{urlencode(fields)}"


def read_redirect(text: str) -> dict[str, str]:
    """The parameters the browser brought back."""
    with step("redirect"):
        if len(text) > MAX_TEXT:
            raise Refused(Code.TOO_LARGE, "the redirect is too long")
        try:
            query = urlsplit(text.strip()).query
            pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, max_num_fields=20)
        except ValueError:
            raise Refused(Code.MALFORMED, "this is not a redirect from an authorization server") from None
        fields = dict(pairs)
        if len(fields) != len(pairs):  # RFC 6749 3.1
            raise Refused(Code.MALFORMED, "a parameter appears twice")
        if not fields.get("state"):
            raise Refused(Code.INVALID_REQUEST, "the redirect does not say which request it answers")
        return fields


def code_of(fields: Mapping[str, str], order: Order, server: ServerMetadata, *, strict: bool) -> str:
    """The code for this order, or the server's refusal."""
    with step("issuer"):
        said = fields.get("iss")
        if said is None and (server.says_iss or strict):  # RFC 9207 2.4, HAIP 1.0 4
            raise Refused(Code.INVALID_REQUEST, "the redirect does not say which server it comes from")
        if said is not None and said != order.server:
            raise Refused(Code.INVALID_REQUEST, "the redirect comes from another authorization server")
    with step("redirect"):
        if "error" in fields:
            raise _refusal(fields)
        code = fields.get("code")
        if not code:
            raise Refused(Code.MALFORMED, "the redirect has no code")
        return code


def _refusal(fields: Mapping[str, str]) -> Refused:
    error = fields["error"]
    detail = "".join(c for c in fields.get("error_description", "")[:200] if c.isprintable())
    if error in _ERRORS:
        return Refused(_ERRORS[error], detail)
    try:
        return Refused(Code(error), detail)
    except ValueError:
        return Refused(Code.INVALID_REQUEST, detail or "the authorization server refused")


def token_fields(order: Order, code: str) -> dict[str, str]:
    return {
        "grant_type": CODE,
        "code": code,
        "redirect_uri": order.redirect_uri or "",
        "code_verifier": order.verifier or "",
    }
