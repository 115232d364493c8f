"""Encryption as both protocols do it (OpenID4VP 1.0 8.3, OpenID4VCI 1.0 10): which key and cipher to take. Pure.

Promises: the first key that can be used, the stronger cipher both know. Trusts: nothing; keys on other curves, of other
algorithms or for signing are passed over, as the texts want. Keeps: nothing. Refuses: nothing; None means that there is
no way to encrypt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mapae.errors import Refused
from mapae.formats.jose import PublicKey
from mapae.formats.jwe import ALG

ENCS: Final = ("A256GCM", "A128GCM")  # HAIP 1.0 5: prefer the former
DEFLATE: Final = "DEF"


def usable_key(jwks: Any) -> Mapping[str, Any] | None:
    """OpenID4VP 1.0 8.3: `alg` must be there, a `use` that is absent or `enc` is for encryption."""
    keys = jwks.get("keys") if isinstance(jwks, Mapping) else None
    for jwk in keys if isinstance(keys, list) else []:
        if not isinstance(jwk, Mapping) or jwk.get("alg") != ALG or jwk.get("use", "enc") != "enc":
            continue
        if not isinstance(jwk.get("kid", ""), str):
            continue
        try:
            PublicKey.from_jwk(jwk)
        except Refused:
            continue  # another curve, or no key at all: perhaps the next one
        return jwk
    return None


def best_enc(supported: Any) -> str | None:
    return next((enc for enc in ENCS if isinstance(supported, list) and enc in supported), None)
