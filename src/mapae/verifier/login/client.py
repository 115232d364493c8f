"""A site's client: registered, and proving at the token endpoint that it is the one. Pure.

Promises: a client has exact addresses and one sector; a secret is compared in constant time, an assertion is good once.
Trusts: the operator who registers. Keeps: nothing. Refuses: two ways to prove oneself at once, an assertion that is
old, for somebody else, or signed with another algorithm than its key's: ES256 or RS256.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Any, Final
from urllib.parse import unquote_plus, urlsplit

from mapae.errors import Code, Refused
from mapae.formats import jose
from mapae.formats.jose import PublicKey
from mapae.oauth import must_be_redirect
from mapae.verifier.login.openid import Client
from mapae.verifier.login.rsa import RS256, RsaKey

JWT_BEARER: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"  # RFC 7523 2.2
LONGEST_ASSERTION: Final = timedelta(minutes=5)
_ID: Final = re.compile(r"[A-Za-z0-9_.-]{3,64}")
_ALGS: Final = jose.ES256_NAMES | {RS256}
_MOST: Final = 20  # redirect URIs of a client, and keys


@dataclass(frozen=True, slots=True)
class Credentials:
    """What came to the token endpoint: one way of proving who asks, or none."""

    client_id: str
    secret: str | None = None
    assertion: str | None = None


def credentials(authorization: str | None, form: Mapping[str, str]) -> Credentials:
    """RFC 6749 2.3: not more than one way in a request. Raises Refused(INVALID_CLIENT, INVALID_REQUEST)."""
    said = _said(authorization, form)
    if not _ID.fullmatch(said.client_id):  # it may come folded twice, where no door has looked at its letters
        raise Refused(Code.INVALID_CLIENT, "no client is called that")
    return said


def _said(authorization: str | None, form: Mapping[str, str]) -> Credentials:
    basic = _basic(authorization)
    ways = [basic is not None, "client_secret" in form, "client_assertion" in form]
    if sum(ways) > 1:
        raise Refused(Code.INVALID_REQUEST, "the client proves itself in two ways at once")
    if basic is not None:
        if form.get("client_id", basic.client_id) != basic.client_id:
            raise Refused(Code.INVALID_REQUEST, "client_id is not the one of the Authorization header")
        return basic
    if "client_assertion" in form:
        if form.get("client_assertion_type") != JWT_BEARER:
            raise Refused(Code.INVALID_REQUEST, "client_assertion_type is not the one of RFC 7523")
        assertion = form["client_assertion"]
        return Credentials(form.get("client_id") or _issuer_of(assertion), assertion=assertion)
    if not form.get("client_id"):
        raise Refused(Code.INVALID_CLIENT, "the client does not say who it is")
    return Credentials(form["client_id"], secret=form.get("client_secret"))


def _basic(authorization: str | None) -> Credentials | None:
    if authorization is None:
        return None
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise Refused(Code.INVALID_CLIENT, "clients prove themselves by Basic, in the form, or by an assertion")
    try:
        id, colon, secret = b64decode(value.strip(), validate=True).decode().partition(":")
    except ValueError:
        raise Refused(Code.INVALID_CLIENT, "the Authorization header cannot be read") from None
    if not colon:
        raise Refused(Code.INVALID_CLIENT, "the Authorization header cannot be read")
    return Credentials(unquote_plus(id), unquote_plus(secret))  # RFC 6749 2.3.1: each form-urlencoded before


def _issuer_of(assertion: str) -> str:
    try:
        issuer = _parsed(assertion).claims().get("iss")
    except Refused as refused:  # RFC 7523 3.2
        raise Refused(Code.INVALID_CLIENT, refused.detail) from None
    if not isinstance(issuer, str):
        raise Refused(Code.INVALID_CLIENT, "the assertion does not say who it is from")
    return issuer


def _parsed(text: str) -> jose.Jws:
    """RFC 7523 names no type for the header; what comes with one says JWT, or that of draft-ietf-oauth-rfc7523bis."""
    try:
        return jose.Jws.parse(text, typ=("JWT", "client-authentication+jwt"), limit=8192, algorithms=_ALGS)
    except Refused:
        return jose.Jws.parse(text, typ=None, limit=8192, algorithms=_ALGS)


def must_be_secret(client: Client, said: Credentials) -> None:
    """A public client proves nothing, and must not try: it would be confused with another."""
    if client.method == "none":
        if said.secret or said.assertion is not None:
            raise Refused(Code.INVALID_CLIENT, "this client is registered without a secret")
        return
    if client.method != "secret" or client.secret is None or said.secret is None:
        raise Refused(Code.INVALID_CLIENT, "the client must prove itself as it is registered")
    if not compare_digest(digest(said.secret), client.secret):
        raise Refused(Code.INVALID_CLIENT, "the client could not be confirmed")


@dataclass(frozen=True, slots=True)
class Assertion:
    """One that was checked; `digest` must be new."""

    digest: bytes
    expires_at: datetime


def assertion(client: Client, said: Credentials, audiences: Sequence[str], now: datetime) -> Assertion:
    """RFC 7523 3: issuer and subject are the client, the audience is ours, short-lived, with a jti.

    Raises Refused(INVALID_CLIENT)."""
    try:
        jws = _parsed(said.assertion or "")
        _verify(jws, _key(client, jws.kid))
        claims = jws.claims()
        jose.check_times(claims, now, need=("exp",))
    except Refused as refused:
        raise Refused(Code.INVALID_CLIENT, refused.detail) from None
    if claims.get("iss") != client.id or claims.get("sub") != client.id:
        raise Refused(Code.INVALID_CLIENT, "iss and sub of the assertion are the client")
    aud = claims.get("aud")
    named = aud if isinstance(aud, list) else [aud]
    if not named or any(one not in audiences for one in named):  # OpenID Connect Core 1.0 9: for us alone
        raise Refused(Code.INVALID_CLIENT, "the assertion is for somebody else")
    if claims["exp"] > now.timestamp() + LONGEST_ASSERTION.total_seconds() + 60:
        raise Refused(Code.INVALID_CLIENT, "the assertion lives too long")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= 256:
        raise Refused(Code.INVALID_CLIENT, "the assertion has no jti")
    return Assertion(digest(f"{client.id}|{jti}"), now + LONGEST_ASSERTION + timedelta(seconds=120))


def _verify(jws: jose.Jws, key: PublicKey | RsaKey) -> None:
    """RFC 8725 3.1: by the algorithm of the key that was registered, and only if the header names it."""
    if isinstance(key, PublicKey):
        jws.verify(key)
    elif jws.algorithm != RS256:
        raise Refused(Code.BAD_SIGNATURE, "the algorithm is not the one of the key")
    else:
        key.verify(jws.signature, jws.signing_input)


def _key(client: Client, kid: str | None) -> PublicKey | RsaKey:
    keys = read_keys(client.keys or "{}")
    found = keys.get(kid or "") or (next(iter(keys.values())) if kid is None and len(keys) == 1 else None)
    if found is None:
        raise Refused(Code.INVALID_CLIENT, "the client has no such key")
    return found


def read_keys(text: str) -> dict[str, PublicKey | RsaKey]:
    """A JWK Set by kid (RFC 7517 5), of P-256 and RSA keys. Raises Refused(MALFORMED, UNSUPPORTED)."""
    keys = jose.decode_json(text).get("keys")
    if not isinstance(keys, list) or not 1 <= len(keys) <= _MOST:
        raise Refused(Code.MALFORMED, "a JWK Set has a short list of keys")
    found: dict[str, PublicKey | RsaKey] = {}
    for one in keys:
        if not isinstance(one, dict):
            raise Refused(Code.MALFORMED, "a JWK is not an object")
        key = RsaKey.from_jwk(one) if one.get("kty") == "RSA" else _p256(one)
        kid = one.get("kid")
        found[kid if isinstance(kid, str) else key.thumbprint] = key
    return found


def _p256(jwk: dict[str, Any]) -> PublicKey:
    return PublicKey.from_jwk({name: value for name, value in jwk.items() if name != "alg"})


# --- registration -----------------------------------------------------------------------------------------------------


def registered(
    id: str, relying_party: str, redirect_uris: Sequence[str], *, logout_uris: Sequence[str] = (),
    secret: str | None = None, keys: str | None = None, alg: str = "RS256", sector_uri: str = "",
    listed: Any = None, pkce_optional: bool = False,
) -> Client:  # fmt: skip
    """A client as it may be registered. `listed`: what stands at `sector_uri`.

    Raises Refused(MALFORMED, UNSUPPORTED)."""
    if not _ID.fullmatch(id):
        raise Refused(Code.MALFORMED, "a client's id is 3 to 64 letters, digits, dots, hyphens and underscores")
    if not 1 <= len(redirect_uris) <= _MOST or len(logout_uris) > _MOST:
        raise Refused(Code.MALFORMED, f"a client has 1 to {_MOST} addresses to come back to")
    for uri in (*redirect_uris, *logout_uris):
        try:
            must_be_redirect(uri)
        except Refused as refused:
            raise Refused(Code.MALFORMED, refused.detail.replace("wallet's", "site's")) from None
    if secret is not None and keys is not None:
        raise Refused(Code.MALFORMED, "a client has a secret or keys, not both")
    if keys is not None:
        read_keys(keys)
    if pkce_optional and secret is None and keys is None:  # RFC 9700 2.1.1: public clients MUST use PKCE
        raise Refused(Code.MALFORMED, "a client without a secret cannot go without PKCE")
    match alg:
        case "RS256" | "ES256":
            pass
        case _:
            raise Refused(Code.UNSUPPORTED, "ID tokens are signed with RS256 or ES256")
    return Client(
        id, relying_party, "secret" if secret is not None else "keys" if keys is not None else "none",
        digest(secret) if secret is not None else None, keys, tuple(redirect_uris), tuple(logout_uris),
        sector(redirect_uris, sector_uri, listed), alg, pkce_optional=pkce_optional,
    )  # fmt: skip


def sector(redirect_uris: Sequence[str], sector_uri: str = "", listed: Any = None) -> str:
    """OpenID Connect Core 1.0 8.1: the one host of the addresses, else that of an address which lists them all."""
    if sector_uri:
        parts = urlsplit(sector_uri)
        if parts.scheme != "https" or not parts.hostname:
            raise Refused(Code.MALFORMED, "sector_identifier_uri is an https address")
        if not isinstance(listed, list) or not set(redirect_uris) <= {one for one in listed if isinstance(one, str)}:
            raise Refused(Code.MALFORMED, "sector_identifier_uri does not list every redirect URI of the client")
        return parts.hostname
    sectors = {parts.hostname or f"{parts.scheme}:" for parts in map(urlsplit, redirect_uris)}
    if len(sectors) != 1:
        raise Refused(Code.MALFORMED, "redirect URIs on several hosts need a sector_identifier_uri")
    return sectors.pop()


def digest(secret: str) -> bytes:
    """Of 256 random bits; a slow hash would guard nothing more."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
