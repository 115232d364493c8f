"""Data sealed at rest, and indexes that say nothing.

Promises: a sealed value opens only under its key, whole and in its place. Trusts: the secret it is handed. Keeps: two
keys derived from it. Refuses: a value that was changed, moved or sealed under another key.
"""

from __future__ import annotations

import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mapae.errors import Code, Refused


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


def _derive(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=purpose).derive(secret)
