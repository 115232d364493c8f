"""Keys that sign a log's checkpoints, and witnesses' keys that cosign them.

Promises: a key signs in one way only, the one its verifier key names; no call gives the private key back. Trusts: the
secret it is handed. Keeps: the key, in memory. Refuses: a name C2SP signed-note does not allow.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from enum import IntEnum
from typing import Generic, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from mapae.errors import Code, Refused

V = TypeVar("V")


class NoteKind(IntEnum):
    """C2SP signed-note, "Signature types"."""

    LOG = 1  # Ed25519 over the note's text
    COSIGNER = 4  # Ed25519 cosignature, with its time
    COSIGNER_ML_DSA_44 = 6  # the same, also against quantum computers

    @property
    def ending(self) -> str:
        """Of its file. C2SP signed-note: a key should not be used for two signature types, so each has its own."""
        return self.name.lower().replace("_", "-")

    def new(self) -> bytes:
        """A private key's 32 bytes (RFC 8032 5.1.5; the seed of FIPS 204 algorithm 1)."""
        if self is NoteKind.COSIGNER_ML_DSA_44:
            return MLDSA44PrivateKey.generate().private_bytes_raw()
        return Ed25519PrivateKey.generate().private_bytes_raw()


class NoteSigner(Generic[V]):
    """One such key. `vkey` is its C2SP verifier key, as read by whoever asked for it."""

    __slots__ = ("_sign", "vkey")

    def __init__(self, name: str, kind: NoteKind, secret: bytes, read: Callable[[str], V]) -> None:
        if not name or "+" in name or any(letter.isspace() or letter < " " for letter in name):
            raise Refused(Code.BAD_CONFIG, "the name of a log or witness has no spaces and no +: id.example.org/log")
        key: Ed25519PrivateKey | MLDSA44PrivateKey
        if kind is NoteKind.COSIGNER_ML_DSA_44:
            key = MLDSA44PrivateKey.from_seed_bytes(secret)
        else:
            key = Ed25519PrivateKey.from_private_bytes(secret)
        self._sign = key.sign
        public = bytes([kind]) + key.public_key().public_bytes_raw()
        # C2SP signed-note, "Signatures": SHA-256(key name || 0x0A || signature type || public key)[:4]
        id = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]
        self.vkey: V = read(f"{name}+{id.hex()}+{base64.b64encode(public).decode()}")

    def sign(self, message: bytes) -> bytes:
        """The bare signature over `message`: 64 bytes, or 2,420 of ML-DSA-44 (FIPS 204 with no context)."""
        return self._sign(message)
