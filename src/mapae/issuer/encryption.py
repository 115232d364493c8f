"""Credential requests and responses under encryption of their own (OpenID4VCI 1.0 section 10).

Promises: a request opens with the key we publish or the one before it; a response is sealed with what the request asked
for and nothing weaker. Trusts: the vault, from which every process of the role derives the same keys. Keeps: the keys
of two periods in memory; nothing at rest but the vault's secret. Refuses: everything wrong with it as
INVALID_ENCRYPTION_PARAMETERS; to seal a response to a request that was not sealed itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from mapae.clock import Clock
from mapae.errors import Code, Refused, step
from mapae.formats.jose import PublicKey, b64u
from mapae.formats.jwe import ALG, ENCS, DecryptionKey, decrypt, encrypt, private_jwk, public_jwk
from mapae.issuer.authorization import as_code
from mapae.keys import Vault

PERIOD: Final = timedelta(days=30)  # of one key; it opens requests for as long again
ZIP: Final = "DEF"
LIMIT: Final = 65_536  # of a request, and of what unfolds from it


class RequestKeys:
    """What requests are encrypted to. A new key each period, the same in every process and after every restart."""

    def __init__(self, vault: Vault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock
        self._made: dict[int, tuple[dict[str, str], DecryptionKey]] = {}

    @property
    def period(self) -> int:
        return int(self._clock.now().timestamp()) // int(PERIOD.total_seconds())

    @property
    def public(self) -> dict[str, str]:
        """The one to use from now on."""
        return self._of(self.period)[0]

    def open(self, raw: bytes) -> bytes:
        """The request inside (a JWE, `zip` allowed)."""
        with as_code(Code.INVALID_ENCRYPTION_PARAMETERS), step("request_encryption"):
            try:
                token = raw.decode("ascii")
            except UnicodeDecodeError:
                raise Refused(Code.INVALID_ENCRYPTION_PARAMETERS, "the encrypted request is not text") from None
            period = self.period
            keys = [self._of(period)[1], self._of(period - 1)[1]]
            return decrypt(token, keys, limit=LIMIT, inflate=True).payload

    def _of(self, period: int) -> tuple[dict[str, str], DecryptionKey]:
        if period not in self._made:
            if len(self._made) >= 4:
                self._made.clear()
            name = str(period)
            seed = self._vault.index(name, b"request key 1") + self._vault.index(name, b"request key 2")
            private = private_jwk(seed, b64u(self._vault.index(name, b"request key id")[:12]))
            self._made[period] = public_jwk(private), DecryptionKey.from_jwk(private)
        return self._made[period]


@dataclass(frozen=True, slots=True)
class Sealing:
    """How a response travels."""

    jwk: Mapping[str, Any]
    enc: str
    deflate: bool

    def seal(self, message: bytes) -> str:
        return encrypt(message, self.jwk, enc=self.enc, deflate=self.deflate)


def parse_sealing(asked: Any, *, request_was_sealed: bool) -> Sealing | None:
    """`credential_response_encryption` (section 8.2): 1 an encrypted request  2 key  3 enc  4 zip."""
    if asked is None:
        return None
    with as_code(Code.INVALID_ENCRYPTION_PARAMETERS), step("response_encryption"):
        if not request_was_sealed:  # section 8.2: an attacker could have put another key in
            raise Refused(Code.INVALID_ENCRYPTION_PARAMETERS, "an encrypted response needs an encrypted request")
        if not isinstance(asked, dict) or not isinstance(asked.get("jwk"), dict):
            raise Refused(Code.INVALID_ENCRYPTION_PARAMETERS, "jwk is missing")
        jwk = asked["jwk"]
        if jwk.get("alg") != ALG or jwk.get("use", "enc") != "enc" or not isinstance(jwk.get("kid", ""), str):
            raise Refused(Code.INVALID_ENCRYPTION_PARAMETERS, f"the key is not for {ALG}")
        PublicKey.from_jwk(jwk)
        if asked.get("enc") not in ENCS:
            raise Refused(Code.INVALID_ENCRYPTION_PARAMETERS, f"enc is one of {', '.join(ENCS)}")
        if asked.get("zip", ZIP) != ZIP:
            raise Refused(Code.INVALID_ENCRYPTION_PARAMETERS, f"the only zip is {ZIP}")
        return Sealing(jwk, asked["enc"], "zip" in asked)
