"""Files that commands are given: entries of the registry, keys, certificates.

Promises: what comes back was read whole and is what the command needs; an error names the file and what to give.
Trusts: the file system. Keeps: nothing. Refuses: a file that cannot be read, or that holds something else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from .errors import Code, Refused

ENTRY_HELP = 'JSON: {"kind": "relying_party", "entry": {...}}; a `ca` may be the path of a PEM file'
LIMIT = 256 * 1024


def read_entry(file: Path) -> Any:
    import base64
    import ssl

    from .formats.jose import decode_json
    from .trust.entries import KINDS

    try:
        said = decode_json(file.read_bytes(), limit=LIMIT)
    except OSError:
        raise Refused(Code.BAD_CONFIG, f"{file} cannot be read") from None
    kind, entry = said.get("kind"), said.get("entry")
    if (
        not isinstance(kind, str)
        or kind not in KINDS
        or not isinstance(entry, dict)
        or said.keys() != {"kind", "entry"}
    ):
        raise Refused(Code.BAD_CONFIG, f"{file.name}: {ENTRY_HELP}; the kinds are {', '.join(KINDS)}")
    if isinstance(entry.get("ca"), list):
        ders = []
        for one in entry["ca"]:
            path = file.parent / str(one)
            try:
                der = ssl.PEM_cert_to_DER_cert(path.read_text(encoding="ascii")) if path.is_file() else None
            except (OSError, ValueError):
                raise Refused(Code.BAD_CONFIG, f"{path} is no PEM certificate") from None
            ders.append(base64.b64encode(der).decode() if der is not None else one)
        entry = {**entry, "ca": ders}
    try:
        return msgspec.convert(entry, KINDS[kind])
    except msgspec.ValidationError as error:
        raise Refused(Code.BAD_CONFIG, f"{file.name}: {error}") from None


def read_key(file: Path) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    from .formats.jose import PublicKey, decode_json

    try:
        raw = file.read_bytes()
        return (
            PublicKey.from_crypto(load_pem_public_key(raw))
            if b"-----BEGIN" in raw
            else PublicKey.from_jwk(decode_json(raw))
        )
    except OSError:
        raise Refused(Code.BAD_CONFIG, f"{file} cannot be read") from None
    except ValueError:
        raise Refused(Code.BAD_CONFIG, f"{file} holds no public key: give PEM (BEGIN PUBLIC KEY) or a JWK") from None


def read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        raise Refused(Code.BAD_CONFIG, f"{file} cannot be read") from None


def read_certificate(file: Path) -> bytes:
    import ssl

    try:
        return ssl.PEM_cert_to_DER_cert(read_text(file).strip())
    except ValueError:
        raise Refused(Code.BAD_CONFIG, f"{file} is no PEM certificate") from None


def read_anchors(path: Path) -> tuple[bytes, ...]:
    """The certificates in a PEM file, DER."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from .formats.x509 import UNREADABLE

    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, *UNREADABLE):
        raise Refused(Code.BAD_CONFIG, f"{path} holds no certificate in PEM") from None
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in found)
