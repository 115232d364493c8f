"""A P-256 key that signs, and the leave to sign once.

Promises: a private key signs and certifies, and no call gives it back. Trusts: the engine of `formats.p256`. Keeps: the
key, in memory. Refuses: a second signature for one ticket.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from mapae.errors import Code, Refused
from mapae.formats import p256


class Ticket:
    """Leave to sign one thing. Its id names the intent that is already on disk."""

    __slots__ = ("_spent", "id")

    def __init__(self, id: str) -> None:
        self.id = id
        self._spent = False

    def spend(self) -> None:
        if self._spent:
            raise Refused(Code.KEY_SPENT, "this ticket has been signed for already")
        self._spent = True


class Signer:
    """A P-256 key that signs ES256.

    `jwk` is the public key (kty, crv, x, y), `kid` its RFC 7638 thumbprint, `public_key` the library's object.
    """

    __slots__ = ("_key", "_sign", "jwk", "kid", "public_key")

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self._known(key.public_key(), p256.signing(key))

    def _known(self, public_key: ec.EllipticCurvePublicKey, sign: Callable[[bytes], bytes]) -> None:
        self._sign = sign
        self.public_key = public_key
        numbers = self.public_key.public_numbers()
        x, y = (_b64(value.to_bytes(32, "big")) for value in (numbers.x, numbers.y))
        self.jwk: dict[str, str] = {"kty": "EC", "crv": "P-256", "x": x, "y": y}
        canonical = f'{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}'
        self.kid = _b64(hashlib.sha256(canonical.encode()).digest())

    @classmethod
    def ephemeral(cls) -> Signer:
        """A new key that lives as long as this object."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    def sign(self, message: bytes) -> bytes:
        """ES256 over `message`: raw r||s, 64 bytes (RFC 7518 section 3.4)."""
        return self._sign(message)

    def sign_once(self, ticket: Ticket, message: bytes) -> bytes:
        """Sign for a ticket. Raises Refused(KEY_SPENT) the second time."""
        ticket.spend()
        return self.sign(message)

    def certify(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return builder.sign(self._key, SHA256())


class GatedSigner(Signer):
    """Another signer's key, which signs while `may` does not refuse. It certifies nobody."""

    __slots__ = ()

    def __init__(self, signer: Signer, may: Callable[[], None]) -> None:
        def sign(message: bytes) -> bytes:
            may()
            return signer.sign(message)

        self._known(signer.public_key, sign)

    def certify(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        raise Refused(Code.NOT_ALLOWED, "this key is no authority's")


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
