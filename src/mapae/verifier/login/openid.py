"""OpenID Connect, as pure values: what a site asks of the log-in bridge, what it may ask, and what it is told.

Promises: a request is read one way, by the steps of `read`; a person has another number (`sub`) in every sector and the
same one there for good; a site gets the items of one of its registered purposes and nothing else. Trusts: the catalogue
and the trust list. Keeps: nothing. Refuses: every flow but the code with PKCE S256 (from a server registered as too old
for it: with a nonce), an address that is not registered to the letter, scopes the site is not registered for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from mapae.catalog import Claim, Country, Document, Purpose
from mapae.errors import Code, Refused
from mapae.oauth import answer_uri, same_but_for_the_port

OPENID: Final = "openid"
# What the bridge knows of how somebody was proven (docs/identity-proofing.md): that the country's card was shown by the
# phone it was issued to, with a key that somebody vouched for, behind a PIN or a passkey; or with any key.
ACR_ATTESTED: Final = "urn:mapae:acr:card:attested"
ACR_BARE: Final = "urn:mapae:acr:card:bare"
ACR: Final = (ACR_ATTESTED, ACR_BARE)
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")  # RFC 7636 4.2: SHA-256 in base64url
_SECONDS: Final = re.compile(r"[0-9]{1,9}")
_MODES: Final = ("query", "form_post")
_LONG: Final = {"state": 2000, "nonce": 500, "scope": 1000, "ui_locales": 200, "acr_values": 1000, "prompt": 100}
# OpenID Connect Core 1.0 5.1 and 5.4: register field of the country -> scope and claim of a site.
_STANDARD: Final = {
    "name": ("profile", "name"), "birth_date": ("profile", "birthdate"), "sex": ("profile", "gender"),
    "address": ("address", "address"),
}  # fmt: skip
# Every parameter we read; OAuth knows more, which are ignored (RFC 6749 3.1).
KNOWN: Final = frozenset({
    "acr_values", "client_id", "code_challenge", "code_challenge_method", "id_token_hint", "max_age", "nonce", "prompt",
    "redirect_uri", "registration", "request", "request_uri", "response_mode", "response_type", "scope", "state",
    "ui_locales",
})  # fmt: skip


# --- who asks ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Client:
    """One site or app of a relying party. `secret` is a hash, `keys` a JWK Set; a public client has neither."""

    id: str
    relying_party: str
    method: Literal["secret", "keys", "none"]
    secret: bytes | None
    keys: str | None
    redirect_uris: tuple[str, ...]
    logout_uris: tuple[str, ...]
    sector: str
    alg: Literal["RS256", "ES256"]
    ended: bool = False
    pkce_optional: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """Where an answer goes, once it is certain that it may go there."""

    redirect_uri: str
    state: str | None
    mode: Literal["query", "form_post"]

    def answer(self, issuer: str, values: Mapping[str, str]) -> dict[str, str]:
        """RFC 9207 2: `iss` in every answer, so that no other server's answer passes for ours."""
        more = {"state": self.state} if self.state is not None else {}
        return {**values, **more, "iss": issuer}

    def address(self, answer: Mapping[str, str]) -> str:
        return answer_uri(self.redirect_uri, answer)


def way_back(parameters: Mapping[str, str], client: Client | None) -> Way:
    """Raises Refused(UNKNOWN_RELYING_PARTY, INVALID_REQUEST), on a page of ours: there is no address to trust yet."""
    if client is None or client.ended:
        raise Refused(Code.UNKNOWN_RELYING_PARTY, "no site is registered under this client_id")
    uri = parameters.get("redirect_uri", "")
    if uri not in client.redirect_uris and not _on_another_port(uri, client):  # RFC 9700 2.1: compared as text
        raise Refused(Code.INVALID_REQUEST, "redirect_uri is not one the site is registered with")
    mode = parameters.get("response_mode", "query")
    if mode not in _MODES:  # OpenID Connect Core 1.0 3.1.2.6: no telling how the site would read an answer
        raise Refused(Code.INVALID_REQUEST, "response_mode is query or form_post")
    return Way(uri, parameters.get("state"), "form_post" if mode == "form_post" else "query")


def _on_another_port(uri: str, client: Client) -> bool:
    """RFC 8252 7.3: an app takes whatever port its system gives it; only an app's, and only loopback by number."""
    return client.method == "none" and any(same_but_for_the_port(uri, one) for one in client.redirect_uris)


def present(parameters: Mapping[str, str]) -> dict[str, str]:
    """RFC 6749 3.1 and 3.2: a parameter without a value is treated as if it had been omitted."""
    return {name: value for name, value in parameters.items() if value}


# --- what is asked ----------------------------------------------------------------------------------------------------


class Asked(msgspec.Struct, frozen=True):
    """What one site asked, once it is certain that it may."""

    client: str
    redirect_uri: str
    state: str | None
    mode: Literal["query", "form_post"]
    nonce: str | None
    scope: tuple[str, ...]
    challenge: str
    purpose: str
    hint: str | None = None
    """The `sub` that id_token_hint named: nobody else may come back."""

    @property
    def way(self) -> Way:
        return Way(self.redirect_uri, self.state, self.mode)


class Wrong(msgspec.Struct, frozen=True):
    """What the site is told instead (RFC 6749 4.1.2.1, OpenID Connect Core 1.0 3.1.2.6)."""

    error: str
    description: str


def read(
    parameters: Mapping[str, str], twice: Collection[str], client: Client, offers: Mapping[frozenset[str], Purpose],
    scopes: frozenset[str],
) -> Asked | Wrong:  # fmt: skip
    """1 each parameter once  2 plain parameters  3 the code flow  4 PKCE  5 how it comes back  6 who is to log in
    7 scopes, within what the site is registered for. The client and its address were looked at before (`way_back`)."""
    for wrong in _complaints(parameters, twice, client):
        return wrong
    asked = tuple(dict.fromkeys(scope for scope in parameters["scope"].split(" ") if scope in scopes))
    purpose = offers.get(frozenset(asked))
    if purpose is None:
        return Wrong("invalid_scope", _registered_for(asked, offers))
    way = way_back(parameters, client)
    return Asked(
        client.id, way.redirect_uri, way.state, way.mode, parameters.get("nonce"), asked,
        parameters.get("code_challenge", ""), purpose.id,
    )  # fmt: skip


def _complaints(parameters: Mapping[str, str], twice: Collection[str], client: Client) -> Iterator[Wrong]:
    for name in sorted(KNOWN.intersection(twice)):  # RFC 6749 3.1
        yield Wrong("invalid_request", f"{name} appears twice")
    for name, limit in _LONG.items():
        if len(parameters.get(name, "")) > limit:
            yield Wrong("invalid_request", f"{name} is longer than {limit} characters")
    if "request" in parameters:  # OpenID Connect Core 1.0 6.1 and 6.2
        yield Wrong("request_not_supported", "send plain parameters")
    if "request_uri" in parameters:
        yield Wrong("request_uri_not_supported", "send plain parameters")
    if "registration" in parameters:  # 7.2.1
        yield Wrong("registration_not_supported", "sites are registered before they ask")
    if "response_type" not in parameters:
        yield Wrong("invalid_request", "response_type is missing")
    if parameters.get("response_type") != "code":
        yield Wrong("unsupported_response_type", "only response_type code is answered")
    yield from _against_injection(parameters, client)
    yield from _about_the_person(parameters)
    if OPENID not in parameters.get("scope", "").split(" "):  # OpenID Connect Core 1.0 3.1.2.1
        yield Wrong("invalid_scope", "scope must hold openid")


def _against_injection(parameters: Mapping[str, str], client: Client) -> Iterator[Wrong]:
    """RFC 9700 2.1.1 and 4.5.3: PKCE from confidential clients as well; in its place a nonce, where a server is
    registered as one that cannot do better."""
    method, challenge = parameters.get("code_challenge_method"), parameters.get("code_challenge")
    if client.pkce_optional and method is None and challenge is None:
        if "nonce" not in parameters:
            yield Wrong("invalid_request", "without PKCE a nonce is required")
    elif method != "S256" or not _CHALLENGE.fullmatch(challenge or ""):  # RFC 7636 4.4.1
        yield Wrong("invalid_request", "PKCE with code_challenge_method S256 is required")


def _about_the_person(parameters: Mapping[str, str]) -> Iterator[Wrong]:
    prompts = parameters.get("prompt", "").split(" ")
    if "none" in prompts:
        if len(prompts) > 1:
            yield Wrong("invalid_request", "prompt none stands alone")
        # Nobody is kept logged in here: each time the wallet asks its holder.
        yield Wrong("login_required", "the person must be asked each time")
    if not set(prompts) <= {"", "login", "consent", "select_account"}:
        yield Wrong("invalid_request", "prompt has a value we do not know")
    if "max_age" in parameters and not _SECONDS.fullmatch(parameters["max_age"]):
        yield Wrong("invalid_request", "max_age is not a number of seconds")


def _registered_for(asked: Collection[str], offers: Mapping[frozenset[str], Purpose]) -> str:
    """Over-asking is explained to whoever can mend it: the site's maker."""
    if not offers:
        return "this site is not registered for any purpose that logs people in"
    may = "; ".join(" ".join(sorted(scopes, key=lambda one: (one != OPENID, one))) for scopes in offers)
    return f"this site is not registered for scope {' '.join(asked)}; it may ask for: {may}"


# --- scopes and claims ------------------------------------------------------------------------------------------------


def standard(claim: Claim) -> tuple[str, str] | None:
    """Scope and claim of one item, or None: it has no place in OpenID Connect (a picture, a number of the card)."""
    if claim.kind == "yes_no":
        return "age", claim.name
    return _STANDARD.get(claim.register)


def scopes_of(country: Country, purpose: Purpose) -> frozenset[str] | None:
    """By which scopes a site asks for a purpose that logs in. None: it does not, or cannot this way."""
    if not country.logs_in(purpose):
        return None
    document = country.documents[purpose.document]
    found = {OPENID}
    for item in purpose.items:
        if item != document.login_item:
            place = standard(document.claim(item))
            if place is None:
                return None
            found.add(place[0])
    return frozenset(found)


def offers(country: Country, registered: Mapping[str, Collection[str]] | None = None) -> dict[frozenset[str], Purpose]:
    """For which scopes which purpose is asked: of all, or of those a relying party is registered for. Of two with the
    same scopes the one that asks less, then the first of the pack."""
    found: dict[frozenset[str], Purpose] = {}
    for purpose in sorted(country.purposes.values(), key=lambda one: len(one.items)):
        scopes = scopes_of(country, purpose)
        if scopes is None or scopes in found:
            continue
        if registered is None or set(purpose.items) <= set(registered.get(purpose.id, ())):
            found[scopes] = purpose
    return found


def all_scopes(country: Country) -> frozenset[str]:
    return frozenset().union(*offers(country))


def claims_of(document: Document, values: Mapping[str, Any]) -> dict[str, Any]:
    """The items shown, as OpenID Connect Core 1.0 5.1 writes them. The log-in number is not among them."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        place = standard(document.claim(name))
        if place is None or value in ("", None):  # 5.3.2: a claim without a value is not there
            continue
        found[place[1]] = (
            {"formatted": value} if place[1] == "address" else value == "True" if _yes_no(document, name) else value
        )
    return found


def _yes_no(document: Document, name: str) -> bool:
    return document.claim(name).kind == "yes_no"


# --- what is told -----------------------------------------------------------------------------------------------------


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the site learns of one log-in. Kept sealed, for minutes."""

    sub: str
    auth_time: int
    acr: str
    amr: tuple[str, ...]
    claims: dict[str, Any] = {}


def told(country: Country, purpose: Purpose, sub: str, values: Mapping[str, Any], auth_time: int) -> Told:
    document = country.documents[purpose.document]
    # RFC 8176 2: possession of a key, proven; behind something else only where the key's home was vouched for.
    amr = ("pop", "mfa") if document.key_attestation else ("pop",)
    acr = ACR_ATTESTED if document.key_attestation else ACR_BARE
    return Told(sub, auth_time, acr, amr, claims_of(document, values))


def discovery(issuer: str, country: Country) -> dict[str, Any]:
    """OpenID Connect Discovery 1.0 3, which is RFC 8414 2 as well."""
    claims = {"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash"}
    for purpose in offers(country).values():
        document = country.documents[purpose.document]
        places = [standard(document.claim(item)) for item in purpose.items if item != document.login_item]
        claims |= {place[1] for place in places if place is not None}
    methods = ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "userinfo_endpoint": f"{issuer}/userinfo",
        "pushed_authorization_request_endpoint": f"{issuer}/par",
        "jwks_uri": f"{issuer}/jwks",
        "end_session_endpoint": f"{issuer}/end",
        "scopes_supported": sorted(all_scopes(country), key=lambda one: (one != OPENID, one)),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "form_post"],
        "grant_types_supported": ["authorization_code"],
        "acr_values_supported": list(ACR),
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": ["RS256", "ES256"],
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "claims_supported": sorted(claims),
        "ui_locales_supported": list(country.languages),
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "authorization_response_iss_parameter_supported": True,
    }
