"""Proof of possession on the way to an issuer: DPoP (RFC 9449) and the client attestation's PoP (draft-07).

Promises: each proof is fresh and for one request; a server's nonce is used from its first answer on. Trusts: nothing.
Keeps: the last nonce of each origin, in memory. Refuses: to repeat more than once when a server keeps asking.
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


class Dpop:
    """Sends requests with a proof and, once, again with the nonce the server asked for (RFC 9449 sections 8 and 9)."""

    def __init__(self, pocket: Pocket, wire: Wire) -> None:
        self._pocket = pocket
        self._wire = wire
        self._nonces: dict[str, str] = {}

    async def post(
        self,
        url: str,
        body: bytes,
        kind: str,
        key: Signing,
        *,
        token: str | None = None,
        headers: Callable[[], Mapping[str, str]] = dict,
    ) -> Reply:
        """`headers` is called for each attempt, because a client attestation PoP is good for one request too."""
        for attempt in (1, 2):
            extra = {**headers(), "DPoP": self._proof("POST", url, key, token)}
            if token is not None:
                extra["Authorization"] = f"DPoP {token}"
            reply = await self._wire.post(url, body, kind, extra)
            self.note(url, reply)
            if attempt == 1 and reply.status in (400, 401) and _asks_for_nonce(reply):
                continue
            return reply
        raise AssertionError("unreachable")

    def note(self, url: str, reply: Reply) -> None:
        """Any answer may carry the next nonce, the nonce endpoint's too (OpenID4VCI 1.0 section 7.2)."""
        nonce = reply.headers.get("dpop-nonce")
        if nonce:
            self._nonces[_origin(url)] = nonce

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


def client_headers(pocket: Pocket, key: Signing, attestation: str, client_id: str, server: str) -> dict[str, str]:
    """Who we are to the authorization server `server`."""
    pop = sign_jws(
        key,
        {"typ": POP_TYPE},
        {"iss": client_id, "aud": server, "jti": pocket.dice.token(16), "iat": pocket.at()},
    )
    return {"OAuth-Client-Attestation": attestation, "OAuth-Client-Attestation-PoP": pop}


def _asks_for_nonce(reply: Reply) -> bool:
    return reply.error == "use_dpop_nonce" or 'error="use_dpop_nonce"' in reply.headers.get("www-authenticate", "")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
