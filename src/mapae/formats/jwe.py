"""JWE for OpenID4VP responses: compact, ECDH-ES on P-256 used directly, A128GCM or A256GCM.

Promises: what `decrypt` returns was encrypted to that key with an algorithm on the list. Trusts: joserfc for the key
agreement and the cipher. Keeps: nothing. Refuses: every other algorithm, compression (`zip`), extensions (`crit`),
keys off the curve, and any spelling that is not strict base64url. An encrypted message says nothing about who wrote
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey, b64u, decode_json, unb64u

MAX_JWE = 262_144
MAX_HEADER = 4_096
ALG = "ECDH-ES"
ENCS = ("A128GCM", "A256GCM")  # HAIP 1.0 5: a verifier lists both, a wallet supports one of them
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_MEMBERS = frozenset({"alg", "enc", "epk", "kid", "apu", "apv", "typ", "cty"})


@dataclass(frozen=True, slots=True)
class Opened:
    header: Mapping[str, Any]
    payload: bytes

    def claims(self) -> dict[str, Any]:
        return decode_json(self.payload, limit=len(self.payload))


def private_jwk(seed: bytes, kid: str) -> dict[str, str]:
    """A decryption key from 48 or more random bytes (FIPS 186-5 A.2.1: surplus bits make the remainder even)."""
    if len(seed) < 48:
        raise Refused(Code.MALFORMED, "a key needs 48 random bytes")
    secret = int.from_bytes(seed, "big") % (_ORDER - 1) + 1
    public = PublicKey.from_crypto(ec.derive_private_key(secret, ec.SECP256R1()).public_key())
    return {**public.jwk, "d": b64u(secret.to_bytes(32, "big")), "kid": kid, "use": "enc", "alg": ALG}


def public_jwk(private: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in private.items() if name != "d"}


def encrypt(
    payload: bytes,
    recipient: Mapping[str, Any],
    *,
    enc: str = "A256GCM",
    apu: bytes | None = None,
    apv: bytes | None = None,
) -> str:
    """To the holder of `recipient` (a public JWK); its kid goes into the header (OpenID4VP 1.0 8.3)."""
    if enc not in ENCS:
        raise Refused(Code.UNSUPPORTED, "only A128GCM and A256GCM are accepted")
    if recipient.get("alg", ALG) != ALG or recipient.get("use", "enc") != "enc":
        raise Refused(Code.UNSUPPORTED, "the key is not for ECDH-ES encryption")
    header = {"alg": ALG, "enc": enc}
    if "kid" in recipient:
        header["kid"] = recipient["kid"]
    if apu is not None:
        header["apu"] = b64u(apu)
    if apv is not None:
        header["apv"] = b64u(apv)
    from joserfc import jwe  # late: only those who encrypt pay for the import

    key = _joserfc_key(PublicKey.from_jwk(recipient).jwk)
    return jwe.encrypt_compact(header, payload, key, registry=_registry())


def jwe_header(token: str) -> Mapping[str, Any]:
    """The protected header, checked against the allow-list; unauthenticated until decrypted."""
    return _split(token, MAX_JWE)[0]


def decrypt(token: str, private: Mapping[str, Any], *, limit: int = MAX_JWE) -> Opened:
    header, parts = _split(token, limit)
    from joserfc import jwe
    from joserfc.errors import JoseError

    key = _joserfc_key({name: private[name] for name in ("kty", "crv", "x", "y", "d")})
    registry = _registry()
    registry.max_ciphertext_length = limit
    try:
        opened = jwe.decrypt_compact(".".join(parts), key, registry=registry)
    except (JoseError, ValueError, KeyError, TypeError):  # joserfc lets a few of cryptography's errors through
        raise Refused(Code.MALFORMED, "it cannot be decrypted") from None
    if opened.plaintext is None:
        raise Refused(Code.MALFORMED, "it cannot be decrypted")
    return Opened(header, opened.plaintext)


def _split(token: str, limit: int) -> tuple[Mapping[str, Any], list[str]]:
    if len(token) > limit:
        raise Refused(Code.TOO_LARGE, "the encrypted message is too large")
    parts = token.split(".")
    if len(parts) != 5:
        raise Refused(Code.MALFORMED, "an encrypted message has five parts")
    header = decode_json(unb64u(parts[0]), limit=MAX_HEADER)
    if header.get("alg") != ALG or header.get("enc") not in ENCS:
        raise Refused(Code.UNSUPPORTED, "only ECDH-ES with A128GCM or A256GCM is accepted")
    if surplus := header.keys() - _MEMBERS:  # zip, crit, p2c, x5c and whatever comes next
        raise Refused(Code.UNSUPPORTED, f"header member {min(surplus)[:20]} is not accepted")
    epk = header.get("epk")
    PublicKey.from_jwk(epk)  # on the curve (RFC 7518 C: an invalid point would leak the private key)
    if parts[1] or len(unb64u(parts[2])) != 12 or len(unb64u(parts[4])) != 16:
        raise Refused(Code.MALFORMED, "the encrypted message is not built for direct AES-GCM")
    unb64u(parts[3])
    return header, parts


def _joserfc_key(jwk: Mapping[str, str]) -> Any:
    from joserfc.jwk import ECKey

    try:
        return ECKey.import_key({**jwk})
    except ValueError:
        raise Refused(Code.MALFORMED, "the key is not a P-256 key") from None


def _registry() -> Any:
    from joserfc.jwe import JWERegistry

    registry = JWERegistry(algorithms=[ALG, *ENCS])
    registry.max_protected_header_length = MAX_HEADER
    return registry
