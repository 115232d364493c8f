"""What a wallet pushes before it sends its holder to sign in (RFC 9126): read, or refused, before anything is kept.

Promises: an `AuthorizationRequest` has S256, one exact address to come back to, and names configurations of one
document of ours. Trusts: nothing that arrives; who sent it is checked elsewhere. Keeps: nothing. Refuses:
request objects, plain PKCE, addresses a browser would act on itself, scopes of more than one document, details we do
not know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from mapae.errors import Code, Refused
from mapae.formats.jose import decode_json_value
from mapae.issuer.metadata import DETAILS, Configuration
from mapae.oauth import answer_uri, form_target, must_be_redirect, verifies

_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")  # RFC 7636 4.2: SHA-256 in base64url
_THUMBPRINT: Final = re.compile(r"[A-Za-z0-9_-]{43}")


__all__ = ["AuthorizationRequest", "answer_uri", "form_target", "must_be_redirect", "parse_details", "parse_pushed",
           "verifies"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """`identified`: by authorization_details, so that the token's answer names credential identifiers."""

    redirect_uri: str
    state: str
    challenge: str
    dpop_jkt: str
    issuer_state: str
    configurations: tuple[str, ...]
    identified: bool

    def bound_to(self, dpop_jkt: str) -> AuthorizationRequest:
        """RFC 9449 10.1: a proof with the push binds the code as `dpop_jkt` does."""
        return replace(self, dpop_jkt=dpop_jkt)


def parse_pushed(
    form: Mapping[str, str], issuer: str, client_id: str, known: Mapping[str, Configuration]
) -> AuthorizationRequest:
    """1 the client  2 plain parameters only  3 where to come back to  4 code and PKCE  5 what is asked for.

    RFC 9126 2.1: validated as at the authorization endpoint; unknown parameters are ignored (OpenID4VCI 5.1.3).
    """
    if not form.get("client_id"):
        raise Refused(Code.INVALID_REQUEST, "client_id is missing")
    if form["client_id"] != client_id:  # HAIP 1.0 4.4.1: client_id is the attestation's sub
        raise Refused(Code.INVALID_CLIENT, "client_id is not the attested one")
    if "request_uri" in form or "request" in form:
        raise Refused(Code.INVALID_REQUEST, "the request is pushed as plain parameters")
    redirect_uri = form.get("redirect_uri", "")
    must_be_redirect(redirect_uri)
    match form.get("response_type", ""):
        case "code":
            pass
        case "":
            raise Refused(Code.INVALID_REQUEST, "response_type is missing")
        case _:
            raise Refused(Code.UNSUPPORTED_RESPONSE_TYPE, "only response_type code is supported")
    if form.get("response_mode", "query") != "query":
        raise Refused(Code.INVALID_REQUEST, "only response_mode query is supported")
    challenge = form.get("code_challenge", "")
    if form.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
        raise Refused(Code.INVALID_REQUEST, "PKCE with S256 is required")
    dpop_jkt = form.get("dpop_jkt", "")
    if "dpop_jkt" in form and not _THUMBPRINT.fullmatch(dpop_jkt):
        raise Refused(Code.INVALID_REQUEST, "dpop_jkt is not a thumbprint")
    configurations, identified = _asked(form, issuer, known)
    return AuthorizationRequest(
        redirect_uri, _text(form, "state"), challenge, dpop_jkt, _text(form, "issuer_state"), configurations, identified
    )


def _text(form: Mapping[str, str], name: str) -> str:
    value = form.get(name, "")
    if len(value) > 2000:
        raise Refused(Code.INVALID_REQUEST, f"{name} is too long")
    return value


def _asked(form: Mapping[str, str], issuer: str, known: Mapping[str, Configuration]) -> tuple[tuple[str, ...], bool]:
    """OpenID4VCI 5.1.1 and 5.1.2. Unknown scopes are ignored, unknown details refused (RFC 9396 5)."""
    detailed = parse_details(form["authorization_details"], issuer, known) if "authorization_details" in form else ()
    scoped = [scope for scope in form.get("scope", "").split(" ") if scope in known]
    asked = tuple(dict.fromkeys((*detailed, *scoped)))
    if not asked:
        raise Refused(Code.INVALID_SCOPE, "no scope of this issuer is asked for")
    if len({known[id].document.id for id in asked}) != 1:
        raise Refused(Code.INVALID_SCOPE, "ask for one document at a time")
    return asked, bool(detailed)


def parse_details(raw: str, issuer: str, known: Mapping[str, Configuration]) -> tuple[str, ...]:
    """The configurations that `authorization_details` names."""
    try:
        details = decode_json_value(raw, limit=16_384)
    except Refused:
        raise Refused(Code.INVALID_REQUEST, "authorization_details is not JSON") from None
    if not isinstance(details, list) or not 1 <= len(details) <= 16:
        raise Refused(Code.INVALID_AUTHORIZATION_DETAILS, "authorization_details is not a short list")
    found = []
    for one in details:
        if not isinstance(one, dict) or one.get("type") != DETAILS:
            raise Refused(Code.INVALID_AUTHORIZATION_DETAILS, f"only details of type {DETAILS} are known")
        id = one.get("credential_configuration_id")
        if not isinstance(id, str) or id not in known:
            raise Refused(Code.INVALID_AUTHORIZATION_DETAILS, "credential_configuration_id is not one of ours")
        locations = one.get("locations", [issuer])
        if not isinstance(locations, list) or issuer not in locations:
            raise Refused(Code.INVALID_AUTHORIZATION_DETAILS, "locations does not name this issuer")
        found.append(id)
    return tuple(dict.fromkeys(found))
