"""https for the demo country on one machine: an authority of its own, and a certificate for this run.

Promises: the authority is made once a data folder and its certificate is a file anybody may import; it can vouch for
this installation's own host name and this machine, and for nobody else (name constraints). The server's key is new at
every start. Trusts: nothing. Keeps: the authority's key with the demo's other keys; the server's key in memory only.
Refuses: nothing. A real installation ends TLS in front of mapae with a certificate the world knows.
"""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .formats.x509 import UNREADABLE, serial_number
from .house import Foundation
from .keys import Signer

_CA: Final = "tls-ca"
_LIFE: Final = timedelta(days=825)  # of the authority; the longest some browsers bear for what they were told to trust
_RUN: Final = timedelta(days=30)
_MACHINE: Final = ("localhost", "127.0.0.1", "::1")


def authority_file(data: str) -> Path:
    """Where a browser or `curl --cacert` finds the authority's certificate (PEM)."""
    return Path(data) / "certificates" / f"{_CA}.pem"


def server_context(foundation: Foundation) -> ssl.SSLContext:
    """What a server of this installation's base URL presents."""
    names = tuple(dict.fromkeys((urlsplit(foundation.settings.base_url).hostname or "localhost", *_MACHINE)))
    ca = foundation.signer("demo", _CA)
    authority = _authority(foundation, ca, names)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(foundation, ca, authority, key, names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # The standard library reads keys from files only: one that nobody else may open, and gone before we serve.
    with tempfile.NamedTemporaryFile(dir=foundation.data, prefix=".tls-") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.write(certificate.public_bytes(Encoding.PEM))
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _authority(foundation: Foundation, ca: Signer, names: tuple[str, ...]) -> x509.Certificate:
    path, now = authority_file(foundation.settings.data), foundation.clock.now().replace(microsecond=0)
    try:
        kept = x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, *UNREADABLE):
        kept = None
    constraints = x509.NameConstraints(_general(names), excluded_subtrees=None)
    if (
        kept is not None
        and kept.public_key() == ca.public_key
        and kept.extensions.get_extension_for_class(x509.NameConstraints).value == constraints
        and kept.not_valid_after_utc > now + _RUN
    ):
        return kept
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mapae demo: https on this machine only")])
    builder = (
        x509.CertificateBuilder().issuer_name(name).subject_name(name).public_key(ca.public_key)
        .serial_number(serial_number(foundation.dice.bytes(16)))
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + _LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(constraints, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca.public_key), critical=False)
    )  # fmt: skip
    made = ca.certify(builder)
    draft = path.with_name(f".{path.name}.{foundation.dice.token(6)}")
    draft.write_bytes(made.public_bytes(Encoding.PEM))
    draft.replace(path)
    return made


def _certificate(
    foundation: Foundation, ca: Signer, authority: x509.Certificate, key: ec.EllipticCurvePrivateKey,
    names: tuple[str, ...],
) -> x509.Certificate:  # fmt: skip
    now = foundation.clock.now().replace(microsecond=0)
    key_id = x509.SubjectKeyIdentifier.from_public_key
    builder = (
        x509.CertificateBuilder().issuer_name(authority.subject)
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])).public_key(key.public_key())
        .serial_number(serial_number(foundation.dice.bytes(16)))
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + _RUN)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_alternative(names)), critical=False)
        .add_extension(key_id(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id(ca.public_key)), False)
    )  # fmt: skip
    return ca.certify(builder)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _alternative(names: tuple[str, ...]) -> list[x509.GeneralName]:
    """Each name as a certificate holds it: an address as an address, all else as a DNS name."""
    return [_name(name) for name in names]


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _general(names: tuple[str, ...]) -> list[x509.GeneralName]:
    """The same as constraints, where an address is a network of one (RFC 5280 4.2.1.10)."""
    found: list[x509.GeneralName] = []
    for name in _alternative(names):
        found.append(x509.IPAddress(ipaddress.ip_network(name.value)) if isinstance(name, x509.IPAddress) else name)
    return found
