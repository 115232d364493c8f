"""The wallet's one way onto the network.

Promises: a body over the limit is dropped while it arrives; a refusal arrives as `Refused` with the code the other
side named. Trusts: TLS, and plain HTTP to this machine only. Keeps: nothing. Refuses: redirects (OpenID4VP 1.0
section 14.8: a request or response is not carried elsewhere), other schemes, answers that are not what was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from mapae.bodies import ACCEPTED, body_within
from mapae.errors import Code, Refused
from mapae.formats.jose import decode_json, encode_json

if TYPE_CHECKING:
    import httpx

LIMIT: Final = 4 * 1024 * 1024
_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_RENAMED: Final = {
    "temporarily_unavailable": Code.UNAVAILABLE,
    "server_error": Code.UNAVAILABLE,
    "incident": Code.UNAVAILABLE,
    "insufficient_scope": Code.INVALID_SCOPE,
}


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def kind(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> dict[str, Any]:
        """The object inside a success. Raises the other side's refusal otherwise."""
        self.must_be_ok()
        if self.kind != "application/json" and not self.kind.endswith("+json"):
            raise Refused(Code.UNSUPPORTED, "the answer is not JSON")
        return decode_json(self.body, limit=LIMIT)

    def must_be_ok(self) -> None:
        if not self.ok:
            raise self.refusal()

    @property
    def error(self) -> str:
        """The protocol's error code, or nothing."""
        try:
            value = decode_json(self.body, limit=65536).get("error")
        except Refused:
            return ""
        return value if isinstance(value, str) else ""

    def refusal(self) -> Refused:
        if 300 <= self.status < 400:
            return Refused(Code.UNSUPPORTED, "a redirect is not followed")
        error = self.error
        detail = ""
        if error:
            value = decode_json(self.body, limit=65536)
            said = value.get("error_description") or value.get("detail") or ""
            detail = "".join(c for c in str(said)[:200] if c.isprintable())
        if error in _RENAMED:
            return Refused(_RENAMED[error], detail)
        try:
            return Refused(Code(error), detail)
        except ValueError:
            by_status = {404: Code.NOT_FOUND, 413: Code.TOO_LARGE, 429: Code.TOO_OFTEN}
            code = by_status.get(self.status, Code.UNAVAILABLE if self.status >= 500 else Code.INVALID_REQUEST)
            return Refused(code, detail or f"answered {self.status}")


class Wire:
    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def get(self, url: str, headers: Mapping[str, str] | None = None, *, limit: int = LIMIT) -> Reply:
        return await self._send("GET", url, headers or {}, None, limit)

    async def post(
        self, url: str, body: bytes, kind: str, headers: Mapping[str, str] | None = None, *, limit: int = LIMIT
    ) -> Reply:
        return await self._send("POST", url, {"Content-Type": kind, **(headers or {})}, body, limit)

    async def put(self, url: str, headers: Mapping[str, str] | None = None) -> Reply:
        return await self._send("PUT", url, headers or {}, b"", LIMIT)

    async def delete(self, url: str, headers: Mapping[str, str] | None = None) -> Reply:
        return await self._send("DELETE", url, headers or {}, None, LIMIT)

    async def post_json(self, url: str, message: Any, headers: Mapping[str, str] | None = None) -> Reply:
        return await self.post(url, encode_json(message), "application/json", headers)

    async def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, limit: int) -> Reply:
        must_be_safe(url)
        import httpx  # late: formats and verifier.check do without it, and so does importing this package

        try:
            async with self._http.stream(
                method, url, headers={**ACCEPTED, **headers}, content=body, follow_redirects=False
            ) as answer:
                return Reply(answer.status_code, answer.headers, await body_within(answer, limit))
        except (httpx.HTTPError, httpx.InvalidURL):
            raise Refused(Code.UNAVAILABLE, "no answer; nothing was lost, try again") from None


def must_be_safe(url: str) -> str:
    """`url` itself: https anywhere, plain http on this machine only, no user name and no fragment."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise Refused(Code.MALFORMED, "not a URL") from None
    local = host in _HERE or host.endswith(".localhost")
    if not host or parts.username is not None or parts.fragment or not url.isascii():
        raise Refused(Code.MALFORMED, "not a plain URL")
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise Refused(Code.UNSUPPORTED, "only https is used")
    return url
