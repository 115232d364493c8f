"""Our CMS, read by pyHanko: somebody else's reading of RFC 5652."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from asn1crypto import cms as asn1
from pyhanko.sign.validation import async_validate_cms_signature, async_validate_detached_cms
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko_certvalidator import ValidationContext

from hands import Hand
from mapae.errors import Refused
from mapae.formats import x509
from mapae.formats.jose import PublicKey
from mapae.formats.x509 import Profile, Subject
from mapae.issuer.ic_card import cms, der, tlv

NOW = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
CA, SIGNER = Hand("cms authority"), Hand("cms signer")
# pyHanko asks for non-repudiation unless told; a document signer has digitalSignature alone (ISO/IEC 18013-5 B.1.4).
SIGNS = KeyUsageConstraints(key_usage={"digital_signature"})


def certificates() -> tuple[bytes, bytes]:
    day = timedelta(days=1)
    root = x509.root(Subject("Root"), CA, serial=7, not_before=NOW - day, not_after=NOW + 9 * day)
    leaf = x509.leaf(
        Profile.DOCUMENT_SIGNER, Subject("Signer"), PublicKey.from_crypto(SIGNER.public_key), ca=CA, ca_der=root,
        serial=0x80_00_00_00_01, not_before=NOW - day, not_after=NOW + day,
    )  # fmt: skip
    return root, leaf


def trusting(root: bytes) -> ValidationContext:
    return ValidationContext(trust_roots=[asn1.Certificate.load(root)], moment=NOW, allow_fetching=False)


def signed(content: bytes, *, detached: bool) -> tuple[bytes, bytes]:
    root, leaf = certificates()
    made = cms.signed_data(
        content, cms.DATA, leaf, sign=SIGNER.sign, signing_time=NOW, detached=detached, names_signer=True,
        more_certificates=(root,),
    )  # fmt: skip
    return root, made


@pytest.mark.parametrize("content", [b"", b"a page", bytes(1000)], ids=["nothing", "little", "much"])
async def test_a_detached_signature_holds_for_its_content_and_no_other(content):
    root, made = signed(content, detached=True)
    info = asn1.ContentInfo.load(made, strict=True)
    for shown, good in ((content, True), (content + b"x", False)):
        status = await async_validate_detached_cms(
            shown, info["content"], trusting(root), key_usage_settings=SIGNS
        )  # fmt: skip
        assert (status.intact and status.valid) is good
        if good:
            assert status.trusted and status.signer_reported_dt == NOW


async def test_a_signature_with_its_content_inside_holds():
    root, made = signed(b"a page", detached=False)
    data = asn1.ContentInfo.load(made, strict=True)["content"]
    status = await async_validate_cms_signature(data, validation_context=trusting(root), key_usage_settings=SIGNS)
    assert status.intact and status.valid and status.trusted
    assert data["encap_content_info"]["content"].native == b"a page"


def test_the_encoding_is_der_as_asn1crypto_writes_it_again():
    _, made = signed(b"a page", detached=False)
    info = asn1.ContentInfo.load(made, strict=True)
    assert info.native and info.dump(force=True) == made


@pytest.mark.parametrize("dotted", ["1.2.840.113549.1.7.2", "2.23.136.1.1.1", "0.4.0.127.0.7.2.2.4.2.2", "2.999.3"])
def test_object_identifiers_are_encoded_as_asn1crypto_encodes_them(dotted):
    from asn1crypto.core import ObjectIdentifier

    assert der.oid(dotted) == ObjectIdentifier(dotted).dump()


@pytest.mark.parametrize("value", [0, 1, 127, 128, 255, 256, 2**64 - 1, 2**159])
def test_integers_are_the_shortest(value):
    from asn1crypto.core import Integer

    assert der.integer(value) == Integer(value).dump()


@pytest.mark.parametrize("year", [1950, 1999, 2000, 2049, 2050, 2100])
def test_times_are_written_and_read_the_one_way(year):
    at = datetime(year, 2, 28, 23, 59, 59, tzinfo=UTC)
    ((tag, value),) = tlv.read(der.time(at))
    assert der.read_time(tag, value) == at


@pytest.mark.parametrize(
    ("tag", "value"),
    [(0x17, b"261126090000"), (0x17, b"261126090000+0000"), (0x17, b"261326090000Z"), (0x18, b"20261126090000Z"),
     (0x18, b"20261126090000.5Z"), (0x17, b"\xff61126090000Z"), (0x16, b"261126090000Z"), (0x17, b"")],
)  # fmt: skip
def test_times_in_another_way_are_refused(tag, value):
    with pytest.raises(Refused):
        der.read_time(tag, value)


BAD_SIGNATURES = {
    "a longer number": "3007020200010201AA",
    "a negative number": "3006020180020101",
    "nought": "3006020100020101",
    "three numbers": "3009020101020101020101",
    "one number": "3003020101",
    "text": "300604010102010F",
    "no numbers": "020101",
    "a number above the order": "30260221" + "00" + "FF" * 32 + "020101",
}


@pytest.mark.parametrize("raw", BAD_SIGNATURES.values(), ids=BAD_SIGNATURES.keys())
def test_a_signature_in_another_way_is_refused(raw):
    assert der.read_signature(bytes.fromhex("3006020101020102")) == bytes(31) + b"\1" + bytes(31) + b"\2"
    with pytest.raises(Refused):
        der.read_signature(bytes.fromhex(raw))


def test_a_certificate_is_taken_in_one_encoding_only():
    """No signature covers a certificate's outside; a flip there changes what the file is and not what it says."""
    _, leaf = certificates()
    assert der.Outside.parse(leaf).encode() == leaf
    begins = len(leaf) - 82  # the algorithm and the signature
    for at in range(8 * begins, 8 * len(leaf)):
        bent = bytearray(leaf)
        bent[at // 8] ^= 1 << at % 8
        try:
            found = der.Outside.parse(bytes(bent))
        except Refused:
            continue
        assert not SIGNER.key.fits(found.signature, found.signed)  # numbers changed: the signature is another one
        assert not CA.key.fits(found.signature, found.signed)
