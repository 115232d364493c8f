"""What this issuer says about itself, ready to send: plain, or signed on request (OpenID4VCI 12.2.2, 12.2.3).

Promises: encoded once a key period, signed at most once an hour. Trusts: the seal of the documents: who accepts our
cards has its authority already. Keeps: the two texts. Refuses: nothing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from mapae.catalog import Country
from mapae.clock import Clock
from mapae.formats.jose import encode_json, sign_jws, x5c_header
from mapae.issuer.encryption import RequestKeys
from mapae.issuer.metadata import authorization_metadata, issuer_metadata
from mapae.issuer.status import Seal

TYPE: Final = "openidvci-issuer-metadata+jwt"
LIFE: Final = timedelta(days=1)
AGAIN: Final = timedelta(hours=1)


class Publication:
    def __init__(self, country: Country, base: str, keys: RequestKeys, seal: Seal, clock: Clock) -> None:
        self._country = country
        self._base = base
        self._keys = keys
        self._seal = seal
        self._clock = clock
        self._plain: tuple[int, bytes] | None = None
        self._signed: tuple[int, int, str] | None = None
        self.authorization_server = encode_json(authorization_metadata(country, base))

    @property
    def plain(self) -> bytes:
        period = self._keys.period
        if self._plain is None or self._plain[0] != period:
            self._plain = period, encode_json(issuer_metadata(self._country, self._base, self._keys.public))
        return self._plain[1]

    @property
    def signed(self) -> str:
        """`x5c` without the anchor (HAIP 1.0 4.1)."""
        period, at = self._keys.period, int(self._clock.now().timestamp())
        kept = self._signed
        if kept is None or kept[0] != period or not 0 <= at - kept[1] < AGAIN.total_seconds():
            said = issuer_metadata(self._country, self._base, self._keys.public)
            claims = {**said, "iss": said["credential_issuer"], "sub": said["credential_issuer"], "iat": at}
            claims["exp"] = at + int(LIFE.total_seconds())
            header = {"typ": TYPE, "x5c": x5c_header(self._seal.x5c)}
            kept = self._signed = period, at, sign_jws(self._seal.signer, header, claims)
        return kept[2]
