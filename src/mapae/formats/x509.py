"""Certificate profiles of the country, and the check of a chain that arrives in x5c or x5chain.

Promises: `check_chain` answers with a key only when the chain ends at an anchor we hold, every certificate is in date
and the leaf is of the profile asked for. Trusts: the anchors it is given. Keeps: inside `Anchors`, a bounded cache of
chains already checked, keyed by their bytes; dates are compared again on every use. Refuses: an anchor inside the
chain and a self-signed leaf (HAIP 1.0 6.1.1), critical extensions it does not know, keys and hashes off the list,
paths longer than the anchor allows. Revocation of a certificate is done by removing its anchor or by the trust list,
not here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import lru_cache
from typing import Any, Final, Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, NameOID, SignatureAlgorithmOID

from mapae.errors import Code, Refused
from mapae.formats import brainpool320
from mapae.formats.cose import ES256_ONLY, Algorithms, Key
from mapae.formats.jose import MAX_CHAIN, PublicKey, b64u

MAX_CERTIFICATE: Final = 8_192
MAX_CHECKED: Final = 1_024  # chains remembered; only chains that passed get in
UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What the library raises of a certificate or a revocation list it cannot read; half of them are no ValueErrors."""
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)  # for CA keys (ISO/IEC 18013-5 B.1.1); `Algorithms` for leaves
_ECDSA = frozenset({
    SignatureAlgorithmOID.ECDSA_WITH_SHA256, SignatureAlgorithmOID.ECDSA_WITH_SHA384,
    SignatureAlgorithmOID.ECDSA_WITH_SHA512,
})  # fmt: skip
# SubjectPublicKeyInfo on brainpoolP320r1 up to its two coordinates: a named curve, a point that is not compressed
# (RFC 5480 2.1.1, RFC 5639 4.1).
_P320 = bytes.fromhex("306a301406072a8648ce3d020106092b240303020801010903520004")
_EDDSA = frozenset({SignatureAlgorithmOID.ED25519, SignatureAlgorithmOID.ED448})  # RFC 8410 6
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_UNDERSTOOD = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    }
)


class Profile(Enum):
    """What a leaf may sign; the value is the extended key usage that says so."""

    DOCUMENT_SIGNER = x509.ObjectIdentifier("1.0.18013.5.1.2")  # ISO/IEC 18013-5 B.1.4, mdlDS
    ACCESS = x509.ObjectIdentifier("1.0.18013.5.1.6")  # ISO/IEC 18013-5 B.1.7, mdlReaderAuth
    # Two of our own, from UUIDs (ITU-T X.667): Token Status List draft-21 10 still says "id-kp TBD", and nobody has
    # defined one for wallet providers.
    STATUS_SIGNER = x509.ObjectIdentifier("2.25.121034632688233021906781599036449318154")
    WALLET_PROVIDER = x509.ObjectIdentifier("2.25.121034632688233021906781599036449318155")


class Certifying(Protocol):
    """A certification authority's key, as mapae.keys.Signer offers it."""

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey: ...

    def certify(self, builder: x509.CertificateBuilder) -> x509.Certificate: ...


@dataclass(frozen=True, slots=True)
class Subject:
    common_name: str
    organization: str = ""
    country: str = "KR"

    def name(self) -> x509.Name:
        parts = [x509.NameAttribute(NameOID.COUNTRY_NAME, self.country)]
        if self.organization:
            parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, self.organization))
        return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, self.common_name)])


@dataclass(frozen=True, slots=True)
class Checked:
    """A chain that passed, and until when it would."""

    signer: Key
    leaf: bytes
    anchor: bytes  # empty: nobody vouches for it
    subject: str
    dns: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    country: str = ""  # of the signer's subject, as its state or province
    state: str = ""

    @property
    def key(self) -> PublicKey:
        """The signer's key, for who knows ES256 alone."""
        if not isinstance(self.signer, PublicKey):
            raise Refused(Code.UNSUPPORTED, "the key is not on P-256")
        return self.signer


# --- making -------------------------------------------------------------------------------------------------------


def serial_number(entropy: bytes) -> int:
    """RFC 5280 4.1.2.2 and ISO/IEC 18013-5 B.1: positive, unpredictable, at most 20 octets."""
    if len(entropy) < 8:
        raise Refused(Code.MALFORMED, "a serial number needs 64 bits of entropy")
    return int.from_bytes(entropy[:19], "big") | 1 << (8 * min(len(entropy), 19) - 1)


def root(
    subject: Subject,
    ca: Certifying,
    *,
    serial: int,
    not_before: datetime,
    not_after: datetime,
    contact: str = "",
    crl: str = "",
) -> bytes:
    """A self-signed authority that signs leaves and nothing below them (ISO/IEC 18013-5 B.1.2, IACA). `contact` and
    `crl`, the address of its revocation list, go into its leaves as well (B.1.4)."""
    key_id = x509.SubjectKeyIdentifier.from_public_key(ca.public_key)
    builder = (
        _builder(subject.name(), subject.name(), ca.public_key, serial, not_before, not_after)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(key_id, critical=False)
    )
    if contact:
        builder = builder.add_extension(
            x509.IssuerAlternativeName([x509.UniformResourceIdentifier(contact)]), critical=False
        )
    if crl:
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(crl)], None, None, None)
        builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
    return ca.certify(builder).public_bytes(Encoding.DER)


def leaf(
    profile: Profile,
    subject: Subject,
    public_key: PublicKey,
    *,
    ca: Certifying,
    ca_der: bytes,
    serial: int,
    not_before: datetime,
    not_after: datetime,
    dns: Sequence[str] = (),
) -> bytes:
    authority = _Certificate(ca_der)
    if authority.x509.public_key() != ca.public_key:
        raise Refused(Code.BAD_CERTIFICATE, "the authority's certificate is of another key")
    if not_after > authority.x509.not_valid_after_utc:
        raise Refused(Code.BAD_CERTIFICATE, "a certificate cannot outlive its authority")
    key_id = x509.SubjectKeyIdentifier.from_public_key
    builder = (
        _builder(authority.x509.subject, subject.name(), public_key.crypto, serial, not_before, not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([profile.value]), critical=True)
        .add_extension(key_id(public_key.crypto), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id(ca.public_key)), False)
    )
    for kind in (x509.IssuerAlternativeName, x509.CRLDistributionPoints):
        if (shared := authority.extension(kind)) is not None:
            builder = builder.add_extension(shared, critical=False)
    if dns:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in dns]), False)
    return ca.certify(builder).public_bytes(Encoding.DER)


def _builder(
    issuer: x509.Name,
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey,
    serial: int,
    not_before: datetime,
    not_after: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


# --- reading ------------------------------------------------------------------------------------------------------


class _Certificate:
    """One parsed certificate; nothing about it is trusted yet."""

    __slots__ = ("algorithms", "der", "extensions", "issuer", "key", "life", "subject", "x509")

    def __init__(self, der: bytes, algorithms: Algorithms = ES256_ONLY) -> None:
        if len(der) > MAX_CERTIFICATE:
            raise Refused(Code.TOO_LARGE, "a certificate is too large")
        try:
            self.x509 = x509.load_der_x509_certificate(der)
            self.extensions: dict[x509.ObjectIdentifier, x509.Extension[Any]] = {
                one.oid: one for one in self.x509.extensions
            }
            self.issuer, self.subject = self.x509.issuer.public_bytes(), self.x509.subject.public_bytes()
            self.key = _public_key(self.x509, algorithms)
            self.life = self.x509.not_valid_before_utc, self.x509.not_valid_after_utc  # it may be of the year 0
            hash_ = self.x509.signature_hash_algorithm
            by_eddsa = self.x509.signature_algorithm_oid in _EDDSA and "EdDSA" in algorithms.jws
        except UNREADABLE:
            raise Refused(Code.BAD_CERTIFICATE, "not a certificate we can read") from None
        # Serial numbers that are not positive exist in the field; RFC 5280 4.1.2.2 asks us to bear them.
        if self.x509.version is not x509.Version.v3 or not (isinstance(hash_, _HASHES) or by_eddsa):
            raise Refused(Code.BAD_CERTIFICATE, "a certificate is of an old make")
        # X.690 11.2.1: the signature is whole bytes. The library overlooks this octet, which no signature covers.
        if not der.endswith(b"\x00" + self.x509.signature):
            raise Refused(Code.BAD_CERTIFICATE, "a certificate is not in its one encoding")
        if any(one.critical and one.oid not in _UNDERSTOOD for one in self.extensions.values()):
            raise Refused(Code.BAD_CERTIFICATE, "a certificate has a critical extension we do not know")
        self.der, self.algorithms = der, algorithms

    def extension(self, kind: type[Any]) -> Any:
        found = self.extensions.get(kind.oid)
        return found.value if found else None

    def must_be_authority(self, below: int) -> None:
        """RFC 5280 6.1.4 (k) to (n): a CA, allowed to sign, with `below` authorities between it and the leaf."""
        basic, usage = self.extension(x509.BasicConstraints), self.extension(x509.KeyUsage)
        if basic is None or not basic.ca or usage is None or not usage.key_cert_sign:
            raise Refused(Code.BAD_CERTIFICATE, "a certificate in the chain is not an authority")
        if basic.path_length is not None and basic.path_length < below:
            raise Refused(Code.BAD_CERTIFICATE, "the chain is longer than its authority allows")
        if not isinstance(self.key, ec.EllipticCurvePublicKey) or not isinstance(self.key.curve, _CURVES):
            try:
                self.algorithms.certified(self.key)
            except Refused:
                raise Refused(Code.BAD_CERTIFICATE, "an authority's key is not on an accepted curve") from None

    def must_be_leaf(self, profile: Profile | None) -> Key:
        basic, usage = self.extension(x509.BasicConstraints), self.extension(x509.KeyUsage)
        purposes = self.extension(x509.ExtendedKeyUsage)
        if self.issuer == self.subject:
            raise Refused(Code.BAD_CERTIFICATE, "the signer's certificate is self-signed")
        if usage is None and profile is None:  # RFC 5280 4.2.1.3: without the extension a key may be used for anything
            signs = True
        else:
            signs = usage is not None and usage.digital_signature and not usage.key_cert_sign
        if (basic is not None and basic.ca) or not signs:
            raise Refused(Code.BAD_CERTIFICATE, "the signer's certificate is not for signing")
        # Nobody has defined a purpose for wallet providers: one who names none may still be one, who names others not.
        unnamed = purposes is None and profile is Profile.WALLET_PROVIDER
        if profile is not None and not unnamed and (purposes is None or profile.value not in purposes):
            raise Refused(Code.BAD_CERTIFICATE, "the signer's certificate is for another purpose")
        return self.algorithms.certified(self.key)

    def issued(self, lower: _Certificate) -> bool:
        """Name, key identifiers and signature all say that this certificate issued `lower`."""
        if lower.issuer != self.subject:
            return False
        said, ours = lower.extension(x509.AuthorityKeyIdentifier), self.extension(x509.SubjectKeyIdentifier)
        if (
            said is not None
            and said.key_identifier is not None
            and ours is not None
            and said.key_identifier != ours.digest
        ):
            return False
        try:
            if isinstance(self.key, brainpool320.Point):
                return _signed_by(self.key, lower.x509)
            lower.x509.verify_directly_issued_by(self.x509)
        except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
            return False
        return True


def _public_key(read: x509.Certificate, algorithms: Algorithms) -> object:
    try:
        return read.public_key()
    except UnsupportedAlgorithm:
        if algorithms is ES256_ONLY or read.version is not x509.Version.v3:  # `_p320` counts the fields of a v3
            raise
        return _p320(read.tbs_certificate_bytes)


def _p320(tbs: bytes) -> brainpool320.Point:
    """The subject's key on brainpoolP320r1, of what the library has read but for the key (RFC 5280 4.1). Raises
    ValueError."""
    at = _inside(tbs, 0)
    for _ in range(6):  # version, serial number, signature, issuer, validity, subject
        at = _after(tbs, at)
    key = tbs[at : _after(tbs, at)]
    if not key.startswith(_P320) or len(key) != len(_P320) + 80:
        raise ValueError
    return brainpool320.Point(key[-80:-40], key[-40:])


def _inside(der: bytes, at: int) -> int:
    return at + 2 + (der[at + 1] & 0x7F if der[at + 1] > 0x7F else 0)


def _after(der: bytes, at: int) -> int:
    inside = _inside(der, at)
    return inside + (int.from_bytes(der[at + 2 : inside], "big") if inside > at + 2 else der[at + 1])


def _signed_by(key: brainpool320.Point, lower: x509.Certificate) -> bool:
    """RFC 5758 3.2, by the one curve that the library cannot verify on."""
    hash_ = lower.signature_hash_algorithm
    if hash_ is None or lower.signature_algorithm_oid not in _ECDSA:
        return False
    digest = hashlib.new(hash_.name, lower.tbs_certificate_bytes).digest()
    return key.fits(*decode_dss_signature(lower.signature), digest)


class Anchors:
    """The authorities trusted for one purpose, parsed once. A changed trust list makes a new `Anchors`. `algorithms`:
    what they and those they certify may sign with: `curves.NIST`, or `curves.ISO` for authorities of elsewhere."""

    def __init__(self, ders: Iterable[bytes], algorithms: Algorithms = ES256_ONLY) -> None:
        self.ders, self.algorithms = frozenset(ders), algorithms
        self._by_subject: dict[bytes, list[_Certificate]] = {}
        for der in sorted(self.ders):
            anchor = _Certificate(der, algorithms)
            anchor.must_be_authority(0)
            self._by_subject.setdefault(anchor.subject, []).append(anchor)
        self._checked: dict[tuple[tuple[bytes, ...], Profile | None], Checked] = {}

    def check(self, chain: tuple[bytes, ...], profile: Profile | None) -> Checked:
        """Everything about the chain except today's date."""
        key = (chain, profile)
        known = self._checked.get(key)
        if known is None:
            known = self._check(chain, profile)
            if len(self._checked) >= MAX_CHECKED:
                self._checked.pop(next(iter(self._checked)))
            self._checked[key] = known
        return known

    def _check(self, chain: tuple[bytes, ...], profile: Profile | None) -> Checked:
        if not self.ders.isdisjoint(chain):
            raise Refused(Code.BAD_CERTIFICATE, "the chain contains its anchor")
        path, key = _path(chain, profile, self.algorithms)
        anchor = next((a for a in self._by_subject.get(path[-1].issuer, ()) if a.issued(path[-1])), None)
        if anchor is None:
            raise Refused(Code.UNTRUSTED_ISSUER, "no authority we trust issued this certificate")
        anchor.must_be_authority(len(path) - 1)
        return _checked(path, key, anchor)


def by_authority(ders: Iterable[bytes], algorithms: Algorithms) -> dict[str, Anchors]:
    """Each authority apart, by its name; one that has a new key has kept its name."""
    found: dict[str, list[bytes]] = {}
    for der in ders:
        found.setdefault(_Certificate(der, algorithms).x509.subject.rfc4514_string(), []).append(der)
    return {name: Anchors(some, algorithms) for name, some in found.items()}


def check_chain(x5c_der: Sequence[bytes], anchors: Anchors, now: datetime, profile: Profile | None) -> Checked:
    """The signer behind x5c: leaf first, anchor left out; by `anchors`, on this day, for this purpose.

    `profile` None: any leaf that may sign. HAIP 1.0 leaves profiles to each ecosystem, so strangers have their own.
    """
    checked = anchors.check(tuple(x5c_der), profile)
    _must_be_in_date(checked, now)
    return checked


def unvouched(x5c_der: Sequence[bytes], now: datetime) -> Checked:
    """The signer behind a chain that leads to nobody we know: sound, in date, and called what it calls itself."""
    checked = _checked(*_path(tuple(x5c_der), None), None)
    _must_be_in_date(checked, now)
    return checked


def _path(
    chain: tuple[bytes, ...], profile: Profile | None, algorithms: Algorithms = ES256_ONLY
) -> tuple[list[_Certificate], Key]:
    if not 1 <= len(chain) <= MAX_CHAIN:
        raise Refused(Code.BAD_CERTIFICATE, "the chain is empty or too long")
    path = [_Certificate(der, algorithms) for der in chain]
    key = path[0].must_be_leaf(profile)
    for below, upper in enumerate(path[1:]):
        upper.must_be_authority(below)
        if upper.issuer == upper.subject or not upper.issued(path[below]):
            raise Refused(Code.BAD_CERTIFICATE, "the chain has a broken link")
    return path, key


def _checked(path: list[_Certificate], key: Key, anchor: _Certificate | None) -> Checked:
    every = [one.life for one in (path if anchor is None else [*path, anchor])]
    return Checked(
        signer=key,
        leaf=path[0].der,
        anchor=b"" if anchor is None else anchor.der,
        subject=_named(path[0].x509, NameOID.COMMON_NAME),
        dns=_dns(path[0]),
        not_before=max(begin for begin, _ in every),
        not_after=min(end for _, end in every),
        country=_named(path[0].x509, NameOID.COUNTRY_NAME),
        state=_named(path[0].x509, NameOID.STATE_OR_PROVINCE_NAME),
    )


def _must_be_in_date(checked: Checked, now: datetime) -> None:
    if now < checked.not_before:
        raise Refused(Code.NOT_YET_VALID, "a certificate in the chain is not valid yet")
    if now > checked.not_after:
        raise Refused(Code.EXPIRED, "a certificate in the chain has expired")


def x509_hash(der: bytes) -> str:
    """OpenID4VP 1.0 5.9.3: the client identifier after the prefix `x509_hash:`."""
    return b64u(hashlib.sha256(der).digest())


@lru_cache(maxsize=256)
def dns_names(der: bytes) -> tuple[str, ...]:
    """The names in a certificate of our own: RFC 5280 4.2.1.6, dNSName."""
    return _dns(_Certificate(der))


@lru_cache(maxsize=256)
def authority_key_ids(chain: tuple[bytes, ...], algorithms: Algorithms = ES256_ONLY) -> frozenset[bytes]:
    """RFC 5280 4.2.1.1: who says to have certified whom along the chain, as OpenID4VP 1.0 6.1.1.1 compares it."""
    said = (_Certificate(der, algorithms).extension(x509.AuthorityKeyIdentifier) for der in chain)
    return frozenset(one.key_identifier for one in said if one is not None and one.key_identifier is not None)


def is_authority(der: bytes) -> bool:
    """Whether this certificate may stand behind others (RFC 5280 4.2.1.9)."""
    basic = _Certificate(der).extension(x509.BasicConstraints)
    return basic is not None and bool(basic.ca)


def life_of(der: bytes) -> tuple[datetime, datetime]:
    """From when until when a certificate says it is valid."""
    return _Certificate(der).life


def is_for(der: bytes, subject: Subject, dns: Sequence[str]) -> bool:
    """Whether a certificate of our own says just this of whose it is."""
    read = _Certificate(der)
    return read.x509.subject == subject.name() and set(_dns(read)) == set(dns)


def leaf_key(der: bytes) -> PublicKey:
    """The key in a certificate nobody has vouched for."""
    return PublicKey.from_crypto(_Certificate(der).x509.public_key())


def _named(certificate: x509.Certificate, part: x509.ObjectIdentifier) -> str:
    names = certificate.subject.get_attributes_for_oid(part)
    return str(names[0].value) if names else ""


def _dns(certificate: _Certificate) -> tuple[str, ...]:
    names = certificate.extension(x509.SubjectAlternativeName)
    return tuple(names.get_values_for_type(x509.DNSName)) if names is not None else ()
