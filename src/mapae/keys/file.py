"""Secrets in files, each encrypted.

Promises: a secret is written whole or not at all, for its owner only, and of two writers the first one's stands.
Trusts: the operating system for the files' permissions, the caller for the passphrase. Keeps: one file a secret,
AES-256-GCM under a key derived from the passphrase by scrypt. Refuses: a damaged file, one put in another's place, a
wrong passphrase.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from mapae.errors import Code, Refused

_NAME: Final = re.compile(r"file:([a-z0-9][a-z0-9_-]{0,62})")


class SecretFiles:
    """The folder of one role. A secret is named by its URI, `file:<name>`, and its kind, the file's ending."""

    def __init__(self, folder: Path, passphrase: bytes) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise Refused(Code.BAD_CONFIG, f"{folder} cannot hold keys: {error.strerror}; choose another") from None
        self._folder = folder
        self._cipher = AESGCM(_derived(self._salt(), passphrase))

    def has(self, uri: str, kind: str) -> bool:
        return self._path(uri, kind).exists()

    def keep(self, uri: str, kind: str, secret: bytes) -> None:
        nonce = os.urandom(12)
        context = f"{kind} {uri}".encode()
        write_new(self._path(uri, kind), nonce + self._cipher.encrypt(nonce, secret, context))

    def open(self, uri: str, kind: str) -> bytes:
        """Raises Refused(BAD_CONFIG) when there is no such secret, or the passphrase is wrong."""
        try:
            sealed = self._path(uri, kind).read_bytes()
            return self._cipher.decrypt(sealed[:12], sealed[12:], f"{kind} {uri}".encode())
        except FileNotFoundError:
            raise Refused(Code.BAD_CONFIG, f"there is no key {uri}") from None
        except (InvalidTag, ValueError):
            raise Refused(Code.BAD_CONFIG, f"key {uri} does not open: wrong passphrase or damaged file") from None

    def forget(self, uri: str, kind: str) -> None:
        self._path(uri, kind).unlink(missing_ok=True)

    def _salt(self) -> bytes:
        path = self._folder / "salt"
        if not path.exists():
            write_new(path, os.urandom(16))
        return path.read_bytes()

    def _path(self, uri: str, kind: str) -> Path:
        match = _NAME.fullmatch(uri)
        if match is None:
            raise Refused(Code.BAD_CONFIG, "this key's URI looks like file:name (lower-case letters, digits, _ and -)")
        return self._folder / f"{match[1]}.{kind}"


@lru_cache(maxsize=16)
def _derived(salt: bytes, passphrase: bytes) -> bytes:
    """Meant to be slow, for whoever guesses; a process that opens the same folder again need not guess."""
    return Scrypt(salt, length=32, n=2**15, r=8, p=1).derive(passphrase)


def write_new(path: Path, content: bytes) -> None:
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


@contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Inside, no other process of this machine that asks the same is inside."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
