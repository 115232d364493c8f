"""Keys by URI, used and never shown.

Promises: a private key signs, certifies or seals, and no call gives it back. `sign_once` signs a ticket one time.
Trusts: the operating system for the files' permissions, the caller for the passphrase. Keeps: one file a key, each
encrypted (`file.py`). Refuses: a URI of a kind it does not know, a damaged or foreign key file, a second signature for
one ticket.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from mapae.errors import Code, Refused
from mapae.keys.file import SecretFiles
from mapae.keys.notes import NoteKind, NoteSigner, V
from mapae.keys.signer import Signer, Ticket
from mapae.keys.vault import Vault

__all__ = ["KeyStore", "NoteKind", "NoteSigner", "Signer", "Ticket", "Vault"]


class KeyStore:
    """The keys of one role. URIs: `file:<name>`."""

    def __init__(self, folder: Path, passphrase: bytes) -> None:
        self._files = SecretFiles(folder, passphrase)
        self._signers: dict[str, Signer] = {}

    def create(self, uri: str) -> None:
        """Make a P-256 key unless the URI has one."""
        if not self._files.has(uri, "key"):
            key = ec.generate_private_key(ec.SECP256R1())
            self._files.keep(uri, "key", key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))

    def signer(self, uri: str) -> Signer:
        """Raises Refused(BAD_CONFIG) when there is no such key, or the passphrase is wrong."""
        if uri not in self._signers:
            key = load_der_private_key(self._files.open(uri, "key"), None)
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise Refused(Code.BAD_CONFIG, f"{uri} is not an elliptic-curve key")
            self._signers[uri] = Signer(key)
        return self._signers[uri]

    def note_signer(self, uri: str, name: str, kind: NoteKind, read: Callable[[str], V]) -> NoteSigner[V]:
        """A log's or a witness's key, made on first use. `read` parses its verifier key into the caller's type."""
        if not self._files.has(uri, kind.ending):
            self._files.keep(uri, kind.ending, kind.new())
        return NoteSigner(name, kind, self._files.open(uri, kind.ending), read)

    def vault(self, uri: str) -> Vault:
        """The vault of this URI; its secret is made on first use."""
        if not self._files.has(uri, "vault"):
            self._files.keep(uri, "vault", os.urandom(32))
        return Vault(self._files.open(uri, "vault"))
