"""Whoever signs in the format tests: a key made from a word, so that a test can name it and repeat it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey, b64u

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
PUBLIC_VECTORS = Path(__file__).resolve().parents[2] / "shared" / "vectors"
OUR_VECTORS = Path(__file__).resolve().parents[1] / "vectors"

_REPEATABLE = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)  # RFC 6979: the same vector every time


class Hand:
    def __init__(self, word: str) -> None:
        secret = int.from_bytes(hashlib.sha256(word.encode()).digest(), "big") >> 1
        self._private = ec.derive_private_key(secret, ec.SECP256R1())
        self.kid = word
        self.public_key = self._private.public_key()
        self.key = PublicKey.from_crypto(self.public_key)
        self.jwk = self.key.jwk

    def sign(self, message: bytes) -> bytes:
        r, s = decode_dss_signature(self._private.sign(message, _REPEATABLE))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def certify(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return builder.sign(self._private, hashes.SHA256(), ecdsa_deterministic=True)


class Wide:
    """The same on P-384 or P-521: what it signs is called ES384 or ES512, and hashed so unless told otherwise."""

    _KINDS: ClassVar[dict[str, Any]] = {
        "P-384": (ec.SECP384R1(), hashes.SHA384(), "ES384", -35, 2),
        "P-521": (ec.SECP521R1(), hashes.SHA512(), "ES512", -36, 3),
    }

    def __init__(self, word: str, crv: str) -> None:
        curve, self._hash, self.alg, self.label, number = self._KINDS[crv]
        self._private = ec.derive_private_key(int.from_bytes(hashlib.sha256(word.encode()).digest(), "big"), curve)
        self.kid, self.public_key, self._size = word, self._private.public_key(), (curve.key_size + 7) // 8
        at = self.public_key.public_numbers()
        x, y = (one.to_bytes(self._size, "big") for one in (at.x, at.y))
        self.jwk = {"kty": "EC", "crv": crv, "x": b64u(x), "y": b64u(y)}
        self.cose = {1: 2, -1: number, -2: x, -3: y}

    def sign(self, message: bytes, hash_: hashes.HashAlgorithm | None = None) -> bytes:
        made = self._private.sign(message, ec.ECDSA(hash_ or self._hash, deterministic_signing=True))
        return b"".join(half.to_bytes(self._size, "big") for half in decode_dss_signature(made))

    def certify(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return builder.sign(self._private, self._hash, ecdsa_deterministic=True)


class By:
    """An authority that signs its certificates with another hash than is usual on its curve."""

    def __init__(self, hand: Hand | Wide, hash_: hashes.HashAlgorithm) -> None:
        self._hand, self._hash = hand, hash_

    def certify(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return builder.sign(self._hand._private, self._hash, ecdsa_deterministic=True)


def public_vectors(path: str) -> Path:
    """A file of the public vectors, which live beside the repository and are not copied into it."""
    found = PUBLIC_VECTORS / path
    if not found.exists():
        pytest.skip(f"public vectors are not here: {found}")
    return found


class Refusal:
    """`with refuses(Code.MALFORMED, "twice"):` the code, and a part of the sentence that says why."""

    def __init__(self, code: Code, words: str = "") -> None:
        self._code, self._words = code, words

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if error is None:
            raise AssertionError(f"not refused, expected {self._code}")
        if not isinstance(error, Refused):
            return False
        assert error.code is self._code, f"{error.code}: {error.detail}"
        assert self._words in error.detail, error.detail
        return True


refuses = Refusal
