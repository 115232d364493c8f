"""Passive authentication: are these files the ones a state signed (Doc 9303-11 5.1).

Promises: `check` comes back only when the SOD, the data groups, the document signer, its authority, the dates and the
revocation lists all agree; otherwise it is Refused(CHIP_REFUSED) and `step` says which did not. Trusts: the authorities
it is given, which come by configuration alone. Keeps: the authorities, parsed. Refuses: an authority without a
revocation list of today (nobody would notice a stolen signer), keys that are not on P-256. It proves nothing about the
chip: files can be copied, and that is what Chip Authentication is for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey
from mapae.formats.x509 import UNREADABLE
from mapae.issuer.ic_card import der, lds, tlv
from mapae.issuer.ic_card.mrz import Mrz
from mapae.issuer.ic_card.pki import DOCUMENT_TYPES
from mapae.issuer.ic_card.profile import MRZ, PROFILE_A, CardProfile
from mapae.issuer.ic_card.sod import Sod, card_id

SKEW: Final = timedelta(minutes=5)  # of the clock that signed
_OF_A_PART: Final = frozenset({ExtensionOID.DELTA_CRL_INDICATOR, ExtensionOID.ISSUING_DISTRIBUTION_POINT})
_UNDERSTOOD: Final = frozenset({ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE})


@dataclass(frozen=True, slots=True)
class Genuine:
    """What a state signed."""

    card: bytes
    """SHA-256 of the SOD: how a register of issued cards knows the card."""
    hashes: Mapping[int, bytes]
    signed_at: datetime
    signer: int
    """The document signer's serial number."""


@contextmanager
def chip_step(name: str) -> Iterator[None]:
    """Whatever is refused inside is this check of the chip's, by name."""
    try:
        yield
    except Refused as refused:
        raise Refused(Code.CHIP_REFUSED, refused.detail, step=refused.step or name) from None


class _Certificate:
    """One certificate in its one encoding; nothing about it is trusted yet."""

    def __init__(self, raw: bytes) -> None:
        self.outside = der.Outside.parse(raw)
        try:
            self.x509 = x509.load_der_x509_certificate(raw)
            self.extensions: dict[x509.ObjectIdentifier, x509.Extension[Any]] = {
                one.oid: one for one in self.x509.extensions
            }
            self.key = PublicKey.from_crypto(self.x509.public_key())
            self.serial = self.x509.serial_number
            self.issuer, self.subject = self.x509.issuer.public_bytes(), self.x509.subject.public_bytes()
            self.not_before, self.not_after = self.x509.not_valid_before_utc, self.x509.not_valid_after_utc
        except UNREADABLE:
            raise Refused(Code.BAD_CERTIFICATE, "not a certificate we can read") from None
        if any(one.critical and oid not in _UNDERSTOOD for oid, one in self.extensions.items()):
            raise Refused(Code.BAD_CERTIFICATE, "a certificate has a critical extension we do not know")

    def extension(self, kind: type[Any]) -> Any:
        found = self.extensions.get(kind.oid)
        return found.value if found else None

    def uses(self) -> set[str]:
        """What its key may do (RFC 5280 4.2.1.3); nothing when it does not say."""
        usage = self.extension(x509.KeyUsage)
        named = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
                 "key_cert_sign", "crl_sign")  # fmt: skip
        return {name for name in named if usage is not None and getattr(usage, name)}

    def signs_until(self) -> datetime:
        """The end of the key's use: privateKeyUsagePeriod, which Doc 9303-12 7.1.1 makes mandatory."""
        period = self.extension(x509.PrivateKeyUsagePeriod)
        if period is None or period.not_after is None:
            raise Refused(Code.BAD_CERTIFICATE, "a certificate does not say how long its key is used")
        until: datetime = period.not_after
        return until if until.tzinfo else until.replace(tzinfo=UTC)

    def state(self) -> str:
        """The three letters (Doc 9303-12 7.1.1.2): the locality of its alternative name."""
        names = self.extension(x509.SubjectAlternativeName)
        for name in names.get_values_for_type(x509.DirectoryName) if names is not None else ():
            for attribute in name.get_attributes_for_oid(NameOID.LOCALITY_NAME):
                return str(attribute.value)
        raise Refused(Code.BAD_CERTIFICATE, "a certificate does not say of which state it is")

    def document_types(self) -> set[str]:
        found = self.extensions.get(DOCUMENT_TYPES)
        if found is None:
            raise Refused(Code.BAD_CERTIFICATE, "a document signer does not say for which documents it signs")
        _, types = tlv.exactly(tlv.only(found.value.value, der.SEQUENCE), der.INTEGER, der.SET)
        return {value.decode("ascii", "replace") for tag, value in tlv.read(types) if tag == der.PRINTABLE}


class _Authority:
    """A CSCA we trust, with its newest list."""

    def __init__(self, raw: bytes) -> None:
        self.certificate = found = _Certificate(raw)
        basic = found.extension(x509.BasicConstraints)
        if basic is None or not basic.ca or found.uses() != {"key_cert_sign", "crl_sign"}:
            raise Refused(Code.BAD_CERTIFICATE, "a country's authority is not one by its certificate")
        if found.issuer != found.subject or not self.certified(found.outside):
            raise Refused(Code.BAD_CERTIFICATE, "a country's authority has not signed itself")
        self.list: x509.CertificateRevocationList | None = None

    def certified(self, outside: der.Outside) -> bool:
        return outside.issuer == self.certificate.outside.issuer and self._signed(outside)

    def _signed(self, outside: der.Outside) -> bool:
        return self.certificate.key.fits(outside.signature, outside.signed)

    def signed_list(self, raw: bytes) -> x509.CertificateRevocationList | None:
        """The list, when it is of this authority."""
        outside = der.Outside.parse(raw)
        try:
            found = x509.load_der_x509_crl(raw)
            ours = found.issuer.public_bytes() == self.certificate.subject and self._signed(outside)
            if ours and found.next_update_utc is None:
                raise ValueError
            # RFC 5280 5.2: what it changes or holds for a part only is not to be taken for the whole.
            if ours and any(one.critical or one.oid in _OF_A_PART for one in found.extensions):
                raise Refused(Code.BAD_CERTIFICATE, "a revocation list is not a whole one")
        except UNREADABLE:
            raise Refused(Code.BAD_CERTIFICATE, "not a revocation list we can read") from None
        return found if ours else None

    def keep(self, found: x509.CertificateRevocationList) -> None:
        """The newest. Raises Refused(BAD_CERTIFICATE) for two different ones of the same age."""
        if self.list is None or _age(found) > _age(self.list):
            self.list = found
        elif _age(found) == _age(self.list) and found.tbs_certlist_bytes != self.list.tbs_certlist_bytes:
            raise Refused(Code.BAD_CERTIFICATE, "there are two revocation lists of one moment and number")

    def must_not_have_revoked(self, serials: Iterable[int], now: datetime) -> None:
        listed = self.list
        if listed is None or listed.last_update_utc > now + SKEW or now > (listed.next_update_utc or now):
            raise Refused(Code.BAD_CERTIFICATE, "there is no revocation list of today for this country's authority")
        if any(listed.get_revoked_certificate_by_serial_number(serial) is not None for serial in serials):
            raise Refused(Code.BAD_CERTIFICATE, "the document signer or its authority was revoked")


def _age(found: x509.CertificateRevocationList) -> tuple[datetime, int]:
    """RFC 5280 5.2.3: of two lists of one moment the higher number is the newer one."""
    numbers = [one.value.crl_number for one in found.extensions if isinstance(one.value, x509.CRLNumber)]
    return found.last_update_utc, numbers[0] if numbers else -1


class Anchors:
    """The countries' authorities, with their revocation lists. Changed ones make a new `Anchors`."""

    def __init__(self, certificates: Iterable[bytes], lists: Iterable[bytes]) -> None:
        self._authorities = [_Authority(raw) for raw in certificates]
        for raw in lists:
            read = ((authority.certificate, authority.signed_list(raw)) for authority in self._authorities)
            # An empty list is false to Python, and a list all the same.
            by, found = next(((by, one) for by, one in read if one is not None), (None, None))
            if by is None or found is None:
                raise Refused(Code.BAD_CERTIFICATE, "a revocation list is of no authority we trust")
            # Doc 9303-12 4.1.5: signed with the newest key, it is the list for that authority's older keys as well;
            # an older key says nothing of what a newer one has certified.
            for authority in self._authorities:
                certificate = authority.certificate
                if certificate.subject == by.subject and certificate.not_before <= by.not_before:
                    authority.keep(found)

    def above(self, certificate: bytes) -> _Authority:
        """Who has certified it, before anything else of it is read."""
        outside = der.Outside.parse(certificate)
        for authority in self._authorities:
            if authority.certified(outside):
                return authority
        raise Refused(Code.UNTRUSTED_ISSUER, "no country's authority we trust has certified the document signer")


def check(
    raw: bytes, groups: Mapping[int, bytes], anchors: Anchors, now: datetime, profile: CardProfile = PROFILE_A
) -> Genuine:
    """1 sod: its form  2 signer: by an authority we trust, for documents  3 signature: of the signer
    4 dates: good at signing and now  5 revocation: neither was revoked  6 hashes: the data groups are those signed."""
    with chip_step("sod"):
        sod = Sod.parse(raw)
        if tuple(sod.hashes) != profile.groups:
            raise Refused(Code.CHIP_REFUSED, "the security object is of a card with other data groups")
    with chip_step("signer"):
        authority = anchors.above(sod.signer)
        signer = _Certificate(sod.signer)
        _must_sign_documents(signer, authority.certificate)
    with chip_step("signature"):
        if not signer.key.fits(sod.signature, sod.signed):
            raise Refused(Code.BAD_SIGNATURE, "the document signer has not signed this security object")
    with chip_step("dates"):
        _must_be_in_date(sod.signed_at, signer, authority.certificate, now)
    with chip_step("revocation"):
        authority.must_not_have_revoked((signer.serial, authority.certificate.serial), now)
    with chip_step("hashes"):
        for number, group in groups.items():
            if sod.hashes.get(number) != hashlib.sha256(group).digest():
                raise Refused(Code.BAD_DIGEST, f"data group {number} is not the one that was signed")
        if MRZ in groups:
            _must_be_its_document(lds.read_dg1(groups[MRZ]), signer)
    return Genuine(card_id(raw), sod.hashes, sod.signed_at, signer.serial)


def _must_sign_documents(signer: _Certificate, above: _Certificate) -> None:
    """Doc 9303-11 5.1.1, best practice 1 and 2."""
    basic, purposes = signer.extension(x509.BasicConstraints), signer.extension(x509.ExtendedKeyUsage)
    if signer.uses() != {"digital_signature"} or (basic is not None and basic.ca) or purposes is not None:
        raise Refused(Code.BAD_CERTIFICATE, "the document signer's certificate is not for signing documents")
    if signer.state() != above.state():
        raise Refused(Code.BAD_CERTIFICATE, "the document signer is of another state than its authority")
    signer.document_types()


def _must_be_its_document(mrz: Mrz, signer: _Certificate) -> None:
    """Doc 9303-12 7.1.1.6: a single letter stands for all types that begin with it."""
    if not {mrz.code, mrz.code[:1]} & signer.document_types():
        raise Refused(Code.BAD_CERTIFICATE, "the document signer does not sign documents of this type")
    if mrz.state != signer.state():
        raise Refused(Code.BAD_CERTIFICATE, "the document signer is of another state than the document")


def _must_be_in_date(signed_at: datetime, signer: _Certificate, above: _Certificate, now: datetime) -> None:
    """Today, and when it was signed: a key kept past its time signs nothing (Doc 9303-11 5.1.1, best practice 3)."""
    for certificate in (signer, above):
        if certificate.not_before > now + SKEW or now > certificate.not_after:
            raise Refused(Code.EXPIRED, "a certificate is not valid today")
    if signer.not_before - signed_at > SKEW or signed_at > min(signer.signs_until(), now + SKEW):
        raise Refused(Code.EXPIRED, "the document signer's key was not in use when this was signed")
    if not above.not_before <= signer.not_before <= above.signs_until():
        raise Refused(Code.EXPIRED, "the authority's key was not in use when it certified the document signer")
