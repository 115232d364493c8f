"""JWE for OpenID4VP answers and OpenID4VCI requests and credentials: compact, ECDH-ES on P-256 used directly, AES-GCM.

Promises: what `decrypt` returns was encrypted to that key with an algorithm on the list. Trusts: `cryptography` for the
key agreement and the cipher. Keeps: nothing. Refuses: every other algorithm, extensions (`crit`), keys off the curve,
a message for another key than those given, any spelling that is not strict base64url, and compression (`zip`) unless
the caller allows it: only OpenID4VCI 1.0 10 does, and what unfolds is bounded. An encrypted message says nothing about
who wrote it.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey, b64u, decode_json, encode_json, unb64u

MAX_JWE = 262_144
MAX_HEADER = 4_096
ALG = "ECDH-ES"
ENCS = ("A128GCM", "A256GCM")  # HAIP 1.0 5: a verifier lists both, a wallet supports one of them
_KEY_BYTES = {"A128GCM": 16, "A256GCM": 32}
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_MEMBERS = frozenset({"alg", "enc", "epk", "kid", "apu", "apv", "typ", "cty"})
_ECDH = ec.ECDH()


@dataclass(frozen=True, slots=True)
class Opened:
    header: Mapping[str, Any]
    payload: bytes

    def claims(self) -> dict[str, Any]:
        return decode_json(self.payload, limit=len(self.payload))


@dataclass(frozen=True, slots=True)
class DecryptionKey:
    """A private key to decrypt with, parsed once. `kid` is how the sender names it."""

    kid: str | None
    public: PublicKey
    _private: ec.EllipticCurvePrivateKey = field(repr=False, compare=False)

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any]) -> DecryptionKey:
        public = PublicKey.from_jwk({name: value for name, value in jwk.items() if name != "d"})
        d, kid = jwk.get("d"), jwk.get("kid")
        secret = unb64u(d) if isinstance(d, str) else b""
        if len(secret) != 32 or not (kid is None or isinstance(kid, str)):
            raise Refused(Code.MALFORMED, "the key is not a private P-256 key")
        try:
            private = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())
        except ValueError:
            raise Refused(Code.MALFORMED, "the key is not a private P-256 key") from None
        if PublicKey.from_crypto(private.public_key()) != public:
            raise Refused(Code.MALFORMED, "the key's halves do not belong together")
        return cls(kid, public, private)

    def agree(self, other: PublicKey) -> bytes:
        return self._private.exchange(_ECDH, other.crypto)


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
    deflate: bool = False,
) -> str:
    """To the holder of `recipient` (a public JWK); its kid goes into the header (OpenID4VP 1.0 8.3, OpenID4VCI 1.0 10).

    The ephemeral key and the nonce are `cryptography`'s own chance, never an argument: a key that came twice would give
    the message away. `deflate` compresses first, for a recipient that said it takes that.
    """
    if enc not in ENCS:
        raise Refused(Code.UNSUPPORTED, "only A128GCM and A256GCM are accepted")
    if recipient.get("alg", ALG) != ALG or recipient.get("use", "enc") != "enc":
        raise Refused(Code.UNSUPPORTED, "the key is not for ECDH-ES encryption")
    theirs = PublicKey.from_jwk(recipient)
    ephemeral = ec.generate_private_key(ec.SECP256R1())
    header: dict[str, Any] = {"alg": ALG, "enc": enc, "epk": PublicKey.from_crypto(ephemeral.public_key()).jwk}
    if "kid" in recipient:
        if not isinstance(recipient["kid"], str):
            raise Refused(Code.MALFORMED, "kid is not a string")
        header["kid"] = recipient["kid"]
    if apu is not None:
        header["apu"] = b64u(apu)
    if apv is not None:
        header["apv"] = b64u(apv)
    if deflate:
        header["zip"] = "DEF"
        # Level 2: what repeats here are whole pictures, which any level finds; looking harder takes twice as long.
        squeeze = zlib.compressobj(2, wbits=-15)
        payload = squeeze.compress(payload) + squeeze.flush()
    protected = b64u(encode_json(header))
    key = _derive(ephemeral.exchange(_ECDH, theirs.crypto), enc, apu or b"", apv or b"")
    nonce = AESGCM.generate_key(128)[:12]
    sealed = AESGCM(key).encrypt(nonce, payload, protected.encode())
    return f"{protected}..{b64u(nonce)}.{b64u(sealed[:-16])}.{b64u(sealed[-16:])}"


def decrypt(
    token: str, keys: DecryptionKey | Sequence[DecryptionKey], *, limit: int = MAX_JWE, inflate: bool = False
) -> Opened:
    """With the key that the header names. `inflate` allows `zip: DEF`; `limit` then bounds the plaintext, too."""
    header, parts = _split(token, limit, inflate=inflate)
    key = _chosen(header.get("kid"), [keys] if isinstance(keys, DecryptionKey) else keys)
    epk = PublicKey.from_jwk(header.get("epk"))  # on the curve (RFC 7518 C: an invalid point would leak our key)
    apu, apv = _party(header, "apu"), _party(header, "apv")
    nonce, text, tag = unb64u(parts[2]), unb64u(parts[3]), unb64u(parts[4])
    if parts[1] or len(nonce) != 12 or len(tag) != 16:
        raise Refused(Code.MALFORMED, "the encrypted message is not built for direct AES-GCM")
    cipher = AESGCM(_derive(key.agree(epk), header["enc"], apu, apv))
    try:
        plain = cipher.decrypt(nonce, text + tag, parts[0].encode())
    except InvalidTag:
        raise Refused(Code.MALFORMED, "it cannot be decrypted") from None
    return Opened(header, _inflated(plain, limit) if "zip" in header else plain)


def _split(token: str, limit: int, *, inflate: bool) -> tuple[Mapping[str, Any], list[str]]:
    if len(token) > limit:
        raise Refused(Code.TOO_LARGE, "the encrypted message is too large")
    parts = token.split(".")
    if len(parts) != 5:
        raise Refused(Code.MALFORMED, "an encrypted message has five parts")
    header = decode_json(unb64u(parts[0]), limit=MAX_HEADER)
    if header.get("alg") != ALG or header.get("enc") not in ENCS:
        raise Refused(Code.UNSUPPORTED, "only ECDH-ES with A128GCM or A256GCM is accepted")
    surplus = header.keys() - _MEMBERS  # crit, p2c, x5c and whatever comes next
    if inflate and header.get("zip") == "DEF":
        surplus.discard("zip")
    if surplus:
        raise Refused(Code.UNSUPPORTED, f"header member {min(surplus)[:20]} is not accepted")
    return header, parts


def _chosen(kid: Any, keys: Sequence[DecryptionKey]) -> DecryptionKey:
    """The key the sender named: a key that has a kid must be named by it (OpenID4VP 1.0 8.3, OpenID4VCI 1.0 10)."""
    for key in keys:
        if key.kid == kid:
            return key
    raise Refused(Code.MALFORMED, "it does not name a key of ours")


def _party(header: Mapping[str, Any], name: str) -> bytes:
    value = header.get(name, "")
    if not isinstance(value, str):
        raise Refused(Code.MALFORMED, f"{name} is not base64url")
    return unb64u(value)


def _derive(shared: bytes, enc: str, apu: bytes, apv: bytes) -> bytes:
    """RFC 7518 4.6.2: Concat KDF with SHA-256. Both key lengths fit in one round."""
    size = _KEY_BYTES[enc]
    said = b"".join([len(part).to_bytes(4, "big") + part for part in (enc.encode(), apu, apv)])
    return hashlib.sha256(b"\0\0\0\1" + shared + said + (size * 8).to_bytes(4, "big")).digest()[:size]


def _inflated(plain: bytes, limit: int) -> bytes:
    inflate = zlib.decompressobj(wbits=-15)  # RFC 7516 4.1.3: raw DEFLATE, without zlib's frame
    try:
        whole = inflate.decompress(plain, limit + 1)
    except zlib.error:
        raise Refused(Code.MALFORMED, "what was compressed cannot be unfolded") from None
    if len(whole) > limit:
        raise Refused(Code.TOO_LARGE, "what was compressed is too large")
    if not inflate.eof or inflate.unused_data:
        raise Refused(Code.MALFORMED, "what was compressed is cut or has something after it")
    return whole
