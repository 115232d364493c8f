"""Keys by URI, used and never shown.

Promises: a private key signs, certifies or seals, and no call gives it back. `sign_once` signs a ticket one time.
Trusts: the operating system for the files' permissions, the caller for the passphrase. Keeps: one file a key, each
encrypted with AES-256-GCM under a key derived from the passphrase by scrypt. Refuses: a URI of a kind it does not
know, a damaged or foreign key file, a second signature for one ticket.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from .errors import Code, Refused
from .formats import p256

_NAME: Final = re.compile(r"file:([a-z0-9][a-z0-9_-]{0,62})")


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
        self._sign = p256.signing(key)
        self.public_key = key.public_key()
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


class Vault:
    """Seals data at rest (AES-256-GCM) and makes blind indexes (HMAC-SHA-256), each under its own derived key."""

    __slots__ = ("_aead", "_index_key")

    def __init__(self, secret: bytes) -> None:
        self._aead = AESGCM(_derive(secret, b"mapae seal"))
        self._index_key = _derive(secret, b"mapae index")

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """Encrypt; `context` (table, column, row) must be given again to open, so a value cannot be moved elsewhere."""
        nonce = os.urandom(12)
        return nonce + self._aead.encrypt(nonce, plain, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Raises Refused(BAD_CONFIG) when the value was sealed under another key or context, or was changed."""
        try:
            return self._aead.decrypt(sealed[:12], sealed[12:], context)
        except (InvalidTag, ValueError):
            raise Refused(Code.BAD_CONFIG, "a sealed value does not open: wrong key, or it was changed") from None

    def index(self, value: str, context: bytes) -> bytes:
        """32 bytes that are the same for the same value and say nothing about it without the key."""
        return hmac.digest(self._index_key, len(context).to_bytes(2, "big") + context + value.encode(), "sha256")


class KeyStore:
    """The keys of one role. URIs: `file:<name>`."""

    def __init__(self, folder: Path, passphrase: bytes) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._cipher = AESGCM(Scrypt(self._salt(), length=32, n=2**15, r=8, p=1).derive(passphrase))
        self._signers: dict[str, Signer] = {}

    def create(self, uri: str) -> None:
        """Make a P-256 key unless the URI has one."""
        if not self._path(uri, "key").exists():
            key = ec.generate_private_key(ec.SECP256R1())
            self._store(uri, "key", key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))

    def signer(self, uri: str) -> Signer:
        """Raises Refused(BAD_CONFIG) when there is no such key, or the passphrase is wrong."""
        if uri not in self._signers:
            key = load_der_private_key(self._load(uri, "key"), None)
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise Refused(Code.BAD_CONFIG, f"{uri} is not an elliptic-curve key")
            self._signers[uri] = Signer(key)
        return self._signers[uri]

    def vault(self, uri: str) -> Vault:
        """The vault of this URI; its secret is made on first use."""
        if not self._path(uri, "vault").exists():
            self._store(uri, "vault", os.urandom(32))
        return Vault(self._load(uri, "vault"))

    def _salt(self) -> bytes:
        path = self._folder / "salt"
        if not path.exists():
            _write_new(path, os.urandom(16))
        return path.read_bytes()

    def _path(self, uri: str, kind: str) -> Path:
        match = _NAME.fullmatch(uri)
        if match is None:
            raise Refused(Code.BAD_CONFIG, "a key URI looks like file:name (lower-case letters, digits, _ and -)")
        return self._folder / f"{match[1]}.{kind}"

    def _store(self, uri: str, kind: str, secret: bytes) -> None:
        nonce = os.urandom(12)
        context = f"{kind} {uri}".encode()
        _write_new(self._path(uri, kind), nonce + self._cipher.encrypt(nonce, secret, context))

    def _load(self, uri: str, kind: str) -> bytes:
        try:
            sealed = self._path(uri, kind).read_bytes()
            return self._cipher.decrypt(sealed[:12], sealed[12:], f"{kind} {uri}".encode())
        except FileNotFoundError:
            raise Refused(Code.BAD_CONFIG, f"there is no key {uri}") from None
        except (InvalidTag, ValueError):
            raise Refused(Code.BAD_CONFIG, f"key {uri} does not open: wrong passphrase or damaged file") from None


def _write_new(path: Path, content: bytes) -> None:
    """Write whole or not at all; the first of two writers wins."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _derive(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=purpose).derive(secret)


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
