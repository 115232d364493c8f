"""Who signs chips: the country's authority (CSCA), its document signers, their revocation list (Doc 9303-12 7).

Promises: certificates and lists of the profiles of Doc 9303-12, each signed by the key it names. Trusts: the key that
certifies, and the caller for dates, serial numbers and what was revoked. Keeps: nothing. Refuses: a document signer
that would outlive its authority, or sign after the authority may.

How long: a signer's key is used for weeks and what it signed is looked at for as long as the cards are good. So its
certificate lives longer than a card by that, and the authority's longer again by the time it certifies signers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey
from mapae.formats.x509 import Certifying, Subject
from mapae.issuer.ic_card import der, tlv

DOCUMENT_TYPES: Final = x509.ObjectIdentifier("2.23.136.1.1.6.2")  # Doc 9303-12 7.1.1.6
_CRL_NUMBER: Final = der.oid("2.5.29.20")
_AUTHORITY_KEY: Final = der.oid("2.5.29.35")


class Authority(Certifying, Protocol):
    """The CSCA's key: it certifies, and signs its list. `mapae.keys.Signer` is one."""

    def sign(self, message: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Periods:
    """Doc 9303-12 4.1: how long a key is used, and a certificate good."""

    signer_signs: timedelta = timedelta(days=90)
    """How long one document signer's key is used; at most three months are recommended (4.1.1.2)."""
    authority_signs: timedelta = timedelta(days=3 * 365)
    """Three to five years are recommended (4.1.4.2)."""
    cards: timedelta = timedelta(days=3653)
    """How long a card is good: ten years."""
    list: timedelta = timedelta(days=90)
    """A revocation list at least this often, also when nothing was revoked (4.1.5)."""

    @property
    def signer_lives(self) -> timedelta:
        return self.signer_signs + self.cards

    @property
    def authority_lives(self) -> timedelta:
        return self.authority_signs + self.signer_lives


@dataclass(frozen=True, slots=True)
class Places:
    """What every certificate of the country says (Doc 9303-12 7.1.1.2, 7.1.1.4)."""

    state: str
    """Three letters, as in the machine readable zone."""
    contact: str
    """An address of the web or of mail."""
    crl: str


def authority(
    subject: Subject, key: Authority, places: Places, *, serial: int, start: datetime, periods: Periods = Periods()
) -> bytes:
    """A CSCA's certificate, self-signed (Doc 9303-12 7.1.1, tables 5 and 6)."""
    start = start.replace(microsecond=0)
    signs = x509.PrivateKeyUsagePeriod(start, start + periods.authority_signs)
    builder = (
        _builder(subject.name(), subject.name(), key.public_key, serial, start, start + periods.authority_lives)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key), critical=False)
    )
    return key.certify(_shared(builder, places, signs)).public_bytes(Encoding.DER)


def document_signer(
    subject: Subject,
    public_key: PublicKey,
    places: Places,
    *,
    by: Authority,
    by_der: bytes,
    serial: int,
    start: datetime,
    document_types: tuple[str, ...] = ("I",),
    periods: Periods = Periods(),
) -> bytes:
    """A document signer's certificate (Doc 9303-12 7.1.1), for documents of these types of the MRZ."""
    start = start.replace(microsecond=0)
    above, until = x509.load_der_x509_certificate(by_der), start + periods.signer_lives
    may = above.extensions.get_extension_for_class(x509.PrivateKeyUsagePeriod).value.not_after
    if above.public_key() != by.public_key:
        raise Refused(Code.BAD_CERTIFICATE, "the authority's certificate is of another key")
    if until > above.not_valid_after_utc or may is None or start > _utc(may):
        raise Refused(
            Code.BAD_CERTIFICATE, "a document signer cannot outlive its authority, nor begin when that is old"
        )
    types = der.sequence(
        der.integer(0), der.set_of(tlv.encode(der.PRINTABLE, kind.encode()) for kind in document_types)
    )
    authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key)
    builder = (
        _builder(above.subject, subject.name(), public_key.crypto, serial, start, until)
        .add_extension(authority_key, critical=False)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.UnrecognizedExtension(DOCUMENT_TYPES, types), critical=False)
    )
    signs = x509.PrivateKeyUsagePeriod(start, start + periods.signer_signs)
    return by.certify(_shared(builder, places, signs)).public_bytes(Encoding.DER)


def revocation_list(
    by: Authority,
    by_der: bytes,
    revoked: Iterable[tuple[int, datetime]],
    *,
    number: int,
    at: datetime,
    periods: Periods = Periods(),
) -> bytes:
    """A CRL (Doc 9303-12 7.1, table 10; RFC 5280 5.1): serial numbers and since when. Without reasons."""
    above = x509.load_der_x509_certificate(by_der)
    key_id = x509.SubjectKeyIdentifier.from_public_key(by.public_key).digest
    entries = [der.sequence(der.integer(serial), der.time(since)) for serial, since in sorted(revoked)]
    extensions = der.sequence(
        der.sequence(_AUTHORITY_KEY, der.octets(der.sequence(tlv.encode(0x80, key_id)))),
        der.sequence(_CRL_NUMBER, der.octets(der.integer(number))),
    )
    signed = der.sequence(
        der.integer(1),  # version 2
        der.ECDSA_SHA256,
        above.subject.public_bytes(),
        der.time(at),
        der.time(at + periods.list),
        der.sequence(*entries) if entries else b"",  # RFC 5280 5.1.2.6: left out when there is none
        der.explicit(0, extensions),
    )
    return der.Outside(signed, by.sign(signed), ()).encode()


def _builder(
    issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePublicKey, serial: int, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(end)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    """A CSCA signs certificates and lists, a document signer documents (Doc 9303-12 7.1.1, table 6); nothing else."""
    return x509.KeyUsage(not authority, False, False, False, False, authority, authority, False, False)


def _shared(
    builder: x509.CertificateBuilder, places: Places, signs: x509.PrivateKeyUsagePeriod
) -> x509.CertificateBuilder:
    """Doc 9303-12 7.1.1.2: alternative names with the three letters of the state and a way to reach it; when the key is
    used; where the list is."""
    state = x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.LOCALITY_NAME, places.state)]))
    names = [x509.UniformResourceIdentifier(places.contact), state]
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(places.crl)], None, None, None)
    return (
        builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.IssuerAlternativeName(names), critical=False)
        .add_extension(signs, critical=False)
        .add_extension(x509.CRLDistributionPoints([point]), critical=False)
    )


def _utc(at: datetime) -> datetime:
    """The library gives this one without its zone."""
    return at if at.tzinfo else at.replace(tzinfo=UTC)
