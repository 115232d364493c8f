"""Proof of possession on the way to an issuer: DPoP (RFC 9449) and the client attestation's PoP (draft-07).

Promises: each proof is fresh and for one request; a server's nonce or challenge is used from its first answer on.
Trusts: nothing. Keeps: the last nonce and the last challenge of each origin, in memory. Refuses: to repeat more than
once for each when a server keeps asking.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from mapae.formats.jose import Signing, b64u, sign_jws

from .pocket import Pocket
from .wire import Reply, Wire

POP_TYPE: Final = "oauth-client-attestation-pop+jwt"
ClientHeaders = Callable[[str | None], Mapping[str, str]]
"""Client authentication for one request, with the server's challenge if it gave one."""


class Dpop:
    """Sends requests with a proof and again with the nonce or challenge the server asked for (RFC 9449 8 and 9)."""

    def __init__(self, pocket: Pocket, wire: Wire) -> None:
        self._pocket = pocket
        self._wire = wire
        self._nonces: dict[str, str] = {}
        self._challenges: dict[str, str] = {}

    async def post(
        self,
        url: str,
        body: bytes,
        kind: str,
        key: Signing | None,
        *,
        token: str | None = None,
        client: ClientHeaders | None = None,
        accept: str = "application/json",
    ) -> Reply:
        """`client` is called for each attempt, because a PoP is good for one request too. No `key`: a bearer token."""
        left = {"use_dpop_nonce", "use_attestation_challenge"}
        while True:
            extra = {"Accept": accept}
            if client is not None:
                extra.update(client(self._challenges.get(_origin(url))))
            if key is not None:
                extra["DPoP"] = self._proof("POST", url, key, token)
            if token is not None:
                extra["Authorization"] = f"{'Bearer' if key is None else 'DPoP'} {token}"
            reply = await self._wire.post(url, body, kind, extra)
            self.note(url, reply)
            wanted = _asks_for(reply) if reply.status in (400, 401) else ""
            if wanted not in left:
                return reply
            left.remove(wanted)

    def note(self, url: str, reply: Reply) -> None:
        """Any answer may carry the next nonce, the nonce endpoint's too (OpenID4VCI 1.0 7.2); draft-07 8.1 likewise."""
        nonce = reply.headers.get("dpop-nonce")
        if nonce:
            self._nonces[_origin(url)] = nonce
        challenge = reply.headers.get("oauth-client-attestation-challenge")
        if challenge:
            self.challenged(url, challenge)

    def challenged(self, url: str, challenge: str) -> None:
        self._challenges[_origin(url)] = challenge

    def _proof(self, method: str, url: str, key: Signing, token: str | None) -> str:
        claims: dict[str, str | int] = {
            "jti": self._pocket.dice.token(16),
            "htm": method,
            "htu": url.partition("?")[0],
            "iat": self._pocket.at(),
        }
        if token is not None:
            claims["ath"] = b64u(hashlib.sha256(token.encode()).digest())
        nonce = self._nonces.get(_origin(url))
        if nonce is not None:
            claims["nonce"] = nonce
        return sign_jws(key, {"typ": "dpop+jwt", "jwk": dict(key.jwk)}, claims)


def _asks_for(reply: Reply) -> str:
    if 'error="use_dpop_nonce"' in reply.headers.get("www-authenticate", ""):
        return "use_dpop_nonce"
    return reply.error


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
