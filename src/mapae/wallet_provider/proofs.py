"""What a phone sends to prove itself: identity assertion, device proof, signed request. Pure.

Promises: a value from here was signed by the key it names, for this wallet provider, in time. Trusts: the registers
role's key for who the person is. Keeps: nothing; single use is `store.py`'s part. Refuses: another audience, another
type of token, a clock outside the window, a body or address other than the signed one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from mapae.errors import Code, Refused, step
from mapae.formats.jose import Jws, PublicKey, b64u, check_times

ASSERTION_TYPE: Final = "mapae-identity+jwt"
PROOF_TYPE: Final = "mapae-device-proof+jwt"
REQUEST_TYPE: Final = "mapae-device-request+jwt"
AUDIENCE_ROLE: Final = "wallet_provider"
WINDOW: Final = 300  # seconds a signed request is good for
SKEW: Final = 60

IdentityKeys = Callable[[str | None], Mapping[str, Any] | None]
"""The public JWK that signs identity assertions under this kid, or None."""


@dataclass(frozen=True, slots=True)
class Identity:
    """An opened identity assertion: this person sat behind the telephone number on record a moment ago."""

    person: str
    jti: str
    expires: int


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What arrived with a `Mapae-Device` header: the token, and the request it has to fit."""

    token: str
    method: str
    url: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Proven:
    """The phone key that signed, and the request's one-time id."""

    jkt: str
    jti: str
    issued_at: int


def open_assertion(raw: str, keys: IdentityKeys, now: datetime) -> Identity:
    """1 the registers' seal  2 for us  3 in time. A late one is CODE_EXPIRED: the person asks for a new code."""
    jws = Jws.parse(raw, typ=ASSERTION_TYPE, limit=8192)
    with step("seal"):
        jwk = keys(jws.kid)
        if jwk is None:
            raise Refused(Code.BAD_SIGNATURE, "the identity assertion is signed by a key we do not know")
        jws.verify(PublicKey.from_jwk(jwk))
    claims = jws.claims()
    with step("audience"):
        if claims.get("iss") != "registers" or claims.get("aud") != AUDIENCE_ROLE:
            raise Refused(Code.WRONG_AUDIENCE, "the identity assertion is meant for somebody else")
    with step("time"):
        try:
            check_times(claims, now, skew=SKEW, need=("iat", "exp"))
        except Refused as refused:
            if refused.code is Code.EXPIRED:
                raise Refused(Code.CODE_EXPIRED, "the identity check is too old; do it again") from None
            raise
    return Identity(_text(claims, "sub"), _text(claims, "jti"), int(claims["exp"]))


def open_device_proof(raw: str, assertion: str, audience: str, now: datetime) -> str:
    """The thumbprint of the phone key that proves itself for this assertion."""
    jws = Jws.parse(raw, typ=PROOF_TYPE, limit=8192)
    key = _signed_by_itself(jws)
    claims = jws.claims()
    _must_be_for(claims, audience)
    with step("time"):
        check_times(claims, now, skew=SKEW, need=("iat",), max_age=WINDOW)
    _text(claims, "jti")
    with step("binding"):
        if claims.get("ath") != b64u(hashlib.sha256(assertion.encode()).digest()):
            raise Refused(Code.INVALID_PROOF, "the device proof belongs to another identity assertion")
    return key.thumbprint


def open_request(request: SignedRequest, audience: str, now: datetime) -> Proven:
    """1 signed by the key it names  2 for us  3 in the window  4 this method, address and body."""
    jws = Jws.parse(request.token, typ=REQUEST_TYPE, limit=8192)
    key = _signed_by_itself(jws)
    claims = jws.claims()
    _must_be_for(claims, audience)
    with step("time"):
        check_times(claims, now, skew=SKEW, need=("iat",), max_age=WINDOW)
    with step("request"):
        if claims.get("htm") != request.method or claims.get("htu") != request.url:
            raise Refused(Code.INVALID_PROOF, "the signature is for another request")
        if claims.get("bod") != b64u(hashlib.sha256(request.body).digest()):
            raise Refused(Code.INVALID_PROOF, "the signature is for another body")
    return Proven(key.thumbprint, _text(claims, "jti"), int(claims["iat"]))


def _signed_by_itself(jws: Jws) -> PublicKey:
    with step("seal"):
        key = jws.jwk
        jws.verify(key)
        return key


def _must_be_for(claims: Mapping[str, Any], audience: str) -> None:
    with step("audience"):
        if claims.get("aud") != audience:
            raise Refused(Code.WRONG_AUDIENCE, "signed for somebody else")


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 8 <= len(value) <= 128 or not (value.isascii() and value.isprintable()):
        raise Refused(Code.MALFORMED, f"{name} is missing or has a wrong shape")
    return value
