"""How one role calls another: a signed message over plain HTTP, in process or across the network.

Promises: `Peers.call` POSTs JSON with a bearer JWT that covers the path and the very bytes of the body; a peer's
refusal arrives as the same `Refused`. `Gate.admit` says which role is calling. Trusts: the public keys it was given,
one a role. Keeps: nothing. Refuses: unknown roles, messages for another path or with another body, tokens older than a
minute. Within that minute a copy of the very same message is let through again, so peer doors are idempotent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import msgspec

from .clock import Clock
from .errors import Code, Refused
from .formats.jose import Jws, PublicKey, Signing, b64u, check_times, sign_jws

TYP = "mapae-peer+jwt"
LIFE = 60
LIMIT = 4 * 1024 * 1024


class _Refusal(msgspec.Struct):
    error: str
    detail: str = ""
    step: str | None = None


class Peers:
    """The other roles as `me` reaches them."""

    def __init__(
        self,
        me: str,
        signer: Signing,
        url_of: Callable[[str], str],
        http: httpx.AsyncClient,
        clock: Clock,
    ) -> None:
        self._me = me
        self._signer = signer
        self._url_of = url_of
        self._http = http
        self._clock = clock

    async def call(self, role: str, path: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """POST `message` to `path` of `role` and return its JSON object.

        Raises the peer's own Refused, or Refused(UNAVAILABLE) when it did not answer properly or does not know us.
        """
        body = msgspec.json.encode(message)
        now = int(self._clock.now().timestamp())
        token = sign_jws(
            self._signer,
            {"typ": TYP, "kid": self._signer.kid},
            {"iss": self._me, "aud": role, "pth": path, "bod": _digest(body), "iat": now, "exp": now + LIFE},
        )
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            answer = await self._http.post(self._url_of(role) + path, content=body, headers=headers)
        except httpx.HTTPError:
            raise Refused(Code.UNAVAILABLE, f"{role} does not answer; nothing was lost, try again") from None
        return _read(role, answer)


def _read(role: str, answer: httpx.Response) -> dict[str, Any]:
    try:
        if len(answer.content) > LIMIT:
            raise ValueError("too large")
        if answer.is_success:
            return msgspec.json.decode(answer.content, type=dict[str, Any])
        refusal = msgspec.json.decode(answer.content, type=_Refusal)
        code = Code(refusal.error)
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError):
        raise Refused(Code.UNAVAILABLE, f"{role} answered something unreadable; try again") from None
    if code is Code.NOT_SIGNED_IN:  # about us two (a key, a clock), not about the person whose request we serve
        raise Refused(Code.UNAVAILABLE, f"{role} does not know us: look at keys and clocks")
    raise Refused(code, refusal.detail, step=refusal.step)


class Gate:
    """Decides which role is calling."""

    def __init__(self, me: str, key_of: Callable[[str], PublicKey | None], clock: Clock) -> None:
        self._me = me
        self._key_of = key_of
        self._clock = clock

    def admit(self, authorization: str | None, path: str, body: bytes) -> str:
        """The calling role. Raises Refused(NOT_SIGNED_IN) for anything but a fresh token over this path and body."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme != "Bearer":
            raise Refused(Code.NOT_SIGNED_IN, "this door is for other roles of the platform")
        try:
            jws = Jws.parse(token, typ=TYP, limit=4096)
            claims = jws.claims()
            key = self._key_of(str(claims.get("iss")))
            if key is None:
                raise Refused(Code.NOT_SIGNED_IN, "unknown role")
            jws.verify(key)
            check_times(claims, self._clock.now(), need=("iat", "exp"), max_age=LIFE)
        except Refused as refused:
            raise Refused(Code.NOT_SIGNED_IN, refused.detail) from None
        if (claims.get("aud"), claims.get("pth"), claims.get("bod")) != (self._me, path, _digest(body)):
            raise Refused(Code.NOT_SIGNED_IN, "the token is for another message")
        return str(claims["iss"])


def _digest(body: bytes) -> str:
    return b64u(hashlib.sha256(body).digest())
