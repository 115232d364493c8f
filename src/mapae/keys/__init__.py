"""Keys by URI, used and never shown.

Promises: a private key signs, certifies or seals, and no call gives it back. `sign_once` signs a ticket one time. A key
in a token that has been seen once is known by its public key while the token is away: only signing needs it.
Trusts: the operating system for the files' permissions, the caller for the passphrase, the token's maker. Keeps: one
file a key, each encrypted (`file.py`); of a key in a token (`pkcs11.py`) the public half. Refuses: a URI of a kind it
does not know, a damaged or foreign key file, a token that has another key than before, a second signature for one
ticket.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

from mapae.errors import Code, Refused
from mapae.keys.account import Account, new_secret
from mapae.keys.file import SecretFiles, one_writer, write_new
from mapae.keys.notes import NoteKind, NoteSigner, V
from mapae.keys.pkcs11 import TokenKey, TokenSigner
from mapae.keys.rsa import RsaSigner
from mapae.keys.rsa import new_secret as new_rsa
from mapae.keys.signer import GatedSigner, Signer, Ticket
from mapae.keys.vault import Vault

__all__ = ["Account", "GatedSigner", "KeyStore", "NoteKind", "NoteSigner", "RsaSigner", "Signer", "Ticket", "Vault"]


class KeyStore:
    """The keys of one role. URIs: `file:<name>`, and `pkcs11:...` (RFC 7512) for P-256 keys."""

    def __init__(self, folder: Path, passphrase: bytes) -> None:
        self._files = SecretFiles(folder, passphrase)
        self._folder = folder
        self._signers: dict[str, Signer] = {}

    def create(self, uri: str) -> None:
        """Make a P-256 key unless the URI has one."""
        if uri.startswith("pkcs11:"):
            self._create_in_token(TokenKey.parse(uri))
        elif not self._files.has(uri, "key"):
            key = ec.generate_private_key(ec.SECP256R1())
            self._files.keep(uri, "key", key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))

    def signer(self, uri: str) -> Signer:
        """Raises Refused(BAD_CONFIG) when there is no such key, or the passphrase or PIN is wrong."""
        if uri not in self._signers:
            in_token = uri.startswith("pkcs11:")
            self._signers[uri] = self._in_token(TokenKey.parse(uri)) if in_token else self._in_file(uri)
        return self._signers[uri]

    def forget(self, uri: str) -> None:
        """Destroy a key in a file; also when it is gone already. One in a token stays with whoever owns the token."""
        self._signers.pop(uri, None)
        self._files.forget(uri, "key")

    def _in_file(self, uri: str) -> Signer:
        key = load_der_private_key(self._files.open(uri, "key"), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise Refused(Code.BAD_CONFIG, f"{uri} is not an elliptic-curve key")
        return Signer(key)

    def _create_in_token(self, key: TokenKey) -> None:
        # A key that was there once is never made anew: an emptied token must be noticed, not become another authority.
        if not self._public_half(key).exists():
            with one_writer(self._folder):
                key.create()

    def _in_token(self, key: TokenKey) -> Signer:
        path = self._public_half(key)
        try:
            there = key.public_key()
        except Refused as refused:
            if refused.code is not Code.UNAVAILABLE or not path.exists():
                raise
            return TokenSigner(key, self._seen(path))
        write_new(path, there.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
        if self._seen(path) != there:
            raise Refused(
                Code.BAD_CONFIG,
                f"{key} is another key than before: put the right token back, or move {path.name} away to accept this",
            )
        return TokenSigner(key, there)

    def _public_half(self, key: TokenKey) -> Path:
        return self._folder / f"token-{hashlib.sha256(str(key).encode()).hexdigest()[:16]}.public"

    def _seen(self, path: Path) -> ec.EllipticCurvePublicKey:
        try:
            key = load_der_public_key(path.read_bytes())
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise Refused(Code.BAD_CONFIG, f"{path.name} is damaged: remove it while the token is there")
        return key

    def note_signer(self, uri: str, name: str, kind: NoteKind, read: Callable[[str], V]) -> NoteSigner[V]:
        """A log's or a witness's key, made on first use. `read` parses its verifier key into the caller's type."""
        if not self._files.has(uri, kind.ending):
            self._files.keep(uri, kind.ending, kind.new())
        return NoteSigner(name, kind, self._files.open(uri, kind.ending), read)

    def rsa(self, uri: str) -> RsaSigner:
        """The RSA key of this URI, made on first use: tenths of a second. In files only (`file:`)."""
        if not self._files.has(uri, "rsa"):
            self._files.keep(uri, "rsa", new_rsa())
        return RsaSigner(self._files.open(uri, "rsa"))

    def create_account(self, uri: str) -> None:
        """Make an account on an EVM network unless the URI has one."""
        if not self._files.has(uri, "account"):
            self._files.keep(uri, "account", new_secret())

    def account(self, uri: str) -> Account | None:
        """None when there is no such account here."""
        return Account(self._files.open(uri, "account")) if self._files.has(uri, "account") else None

    def vault(self, uri: str) -> Vault:
        """The vault of this URI; its secret is made on first use."""
        if not self._files.has(uri, "vault"):
            self._files.keep(uri, "vault", os.urandom(32))
        return Vault(self._files.open(uri, "vault"))
