"""How one role calls another: a signed message over plain HTTP, in process or across the network.

Promises: `Peers.call` POSTs JSON with a bearer JWT that covers the path and the very bytes of the body; a peer's
refusal arrives as the same `Refused`. `Gate.admit` says which role is calling. Trusts: the public keys it was given,
one a role. Keeps: nothing. Refuses: unknown roles, messages for another path or with another body, tokens older than a
minute, an answer over `LIMIT` while it still arrives. Within that minute a copy of the very same message is let through
again, so peer doors are idempotent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import httpx
import msgspec

from .bodies import ACCEPTED, body_within
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


Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class Inside:
    """Roles of this very process: the same message to the same door (ASGI 3.0), with no HTTP client in between, which
    would cost more than the door does."""

    def __init__(self, base: str, app: App) -> None:
        self._app = app
        self.base = base

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and body of the answer."""
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 0), "server": ("localhost", 0),
        }  # fmt: skip
        request: list[MutableMapping[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]
        status, parts = 500, []

        async def receive() -> MutableMapping[str, Any]:
            return request.pop() if request else {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                parts.append(message.get("body", b""))

        await self._app(scope, receive, send)
        return status, b"".join(parts)


class Peers:
    """The other roles as `me` reaches them. Those under the address of `inside` are in this process."""

    def __init__(
        self,
        me: str,
        signer: Signing,
        url_of: Callable[[str], str],
        http: httpx.AsyncClient,
        clock: Clock,
        inside: Inside | None = None,
    ) -> None:
        self._me = me
        self._signer = signer
        self._url_of = url_of
        self._http = http
        self._clock = clock
        self._inside = inside

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
        base = self._url_of(role)
        if self._inside is not None and base == self._inside.base:
            return _read(role, *await self._inside.post(path, body, headers))
        try:
            async with self._http.stream("POST", base + path, content=body, headers={**headers, **ACCEPTED}) as answer:
                content = await body_within(answer, LIMIT)
        except httpx.HTTPError:
            raise Refused(Code.UNAVAILABLE, f"{role} does not answer; nothing was lost, try again") from None
        except Refused:
            raise _unreadable(role) from None
        return _read(role, answer.status_code, content)


def _read(role: str, status: int, content: bytes) -> dict[str, Any]:
    try:
        if len(content) > LIMIT:
            raise ValueError("too large")
        if 200 <= status < 300:
            return msgspec.json.decode(content, type=dict[str, Any])
        refusal = msgspec.json.decode(content, type=_Refusal)
        code = Code(refusal.error)
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError):
        raise _unreadable(role) from None
    if code is Code.NOT_SIGNED_IN:  # about us two (a key, a clock), not about the person whose request we serve
        raise Refused(Code.UNAVAILABLE, f"{role} does not know us: look at keys and clocks")
    raise Refused(code, refusal.detail, step=refusal.step)


def _unreadable(role: str) -> Refused:
    return Refused(Code.UNAVAILABLE, f"{role} answered something unreadable; try again")


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
