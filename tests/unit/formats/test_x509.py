"""Certificate profiles and chains."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509 as c
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hands import NOW, Hand, public_vectors, refuses
from mapae.errors import Code, Refused
from mapae.formats import x509
from mapae.formats.x509 import Anchors, Profile, Subject

CA, DS = Hand("ca"), Hand("document signer")
EARLY, LATE = NOW - timedelta(days=10), NOW + timedelta(days=400)
ROOT_NAME = Subject("Root", "Ministry")
ROOT = x509.root(
    ROOT_NAME,
    CA,
    serial=x509.serial_number(bytes(16)),
    not_before=EARLY,
    not_after=LATE,
    contact="https://ca.example",
)


def leaf(
    profile=Profile.DOCUMENT_SIGNER, *, ca=CA, ca_der=ROOT, key=DS.key, not_before=EARLY, not_after=LATE, **more
) -> bytes:
    return x509.leaf(
        profile,
        Subject("Signer"),
        key,
        ca=ca,
        ca_der=ca_der,
        serial=77,
        not_before=not_before,
        not_after=not_after,
        **more,
    )


LEAF = leaf(dns=["issuer.example"])
ANCHORS = Anchors([ROOT])


def check(chain, anchors=ANCHORS, now=NOW, profile=Profile.DOCUMENT_SIGNER):
    return x509.check_chain(chain, anchors, now, profile)


@pytest.mark.parametrize("profile", list(Profile))
def test_each_profile_passes_as_itself_only(profile):
    chain = [leaf(profile)]
    assert check(chain, profile=profile).key == DS.key
    for other in set(Profile) - {profile}:
        with refuses(Code.BAD_CERTIFICATE, "another purpose"):
            check(chain, profile=other)


def test_the_chain_says_which_authorities_certified_it():
    """OpenID4VP 1.0 6.1.1.1: the KeyIdentifier of the AuthorityKeyIdentifier, RFC 5280 4.2.1.1."""
    [key_id] = x509.authority_key_ids((LEAF,))
    authority = c.load_der_x509_certificate(ROOT).extensions.get_extension_for_class(c.SubjectKeyIdentifier)
    assert key_id == authority.value.digest


def test_a_checked_chain_says_who_and_until_when():
    checked = check([LEAF])
    assert (checked.key, checked.leaf, checked.anchor) == (DS.key, LEAF, ROOT)
    assert (checked.subject, checked.dns) == ("Signer", ("issuer.example",))
    assert (checked.not_before, checked.not_after) == (EARLY, LATE)
    assert check([LEAF]) is checked  # remembered by its bytes


def test_dates_are_held_against_today_even_when_the_chain_is_remembered():
    check([LEAF])
    with refuses(Code.EXPIRED):
        check([LEAF], now=LATE + timedelta(seconds=1))
    with refuses(Code.NOT_YET_VALID):
        check([LEAF], now=EARLY - timedelta(seconds=1))
    with refuses(Code.EXPIRED):
        check([leaf(not_after=NOW - timedelta(days=1))])


def test_the_anchor_must_not_be_inside():
    with refuses(Code.BAD_CERTIFICATE, "contains its anchor"):
        check([LEAF, ROOT])
    with refuses(Code.BAD_CERTIFICATE, "contains its anchor"):
        check([ROOT])


def test_an_unknown_authority_is_not_trusted():
    impostor = Hand("impostor")
    fake_root = x509.root(Subject("Root", "Ministry"), impostor, serial=1, not_before=EARLY, not_after=LATE)
    fake = leaf(ca=impostor, ca_der=fake_root)
    with refuses(Code.UNTRUSTED_ISSUER):
        check([fake])
    with refuses(Code.UNTRUSTED_ISSUER):
        check([LEAF], anchors=Anchors([]))
    with refuses(Code.BAD_CERTIFICATE, "not an authority"):
        check([LEAF, fake])
    with refuses(Code.BAD_CERTIFICATE, "broken link"):
        check([LEAF, fake_root])


def test_a_self_signed_leaf_is_refused():
    alone = x509.root(Subject("Alone"), DS, serial=1, not_before=EARLY, not_after=LATE)
    with refuses(Code.BAD_CERTIFICATE, "self-signed"):
        check([alone])


def _made(
    *,
    issuer=CA,
    subject="Signer",
    issuer_name=ROOT_NAME,
    key=DS.public_key,
    extensions=(),
    until=LATE,
):
    builder = (
        c.CertificateBuilder()
        .issuer_name(issuer_name.name())
        .subject_name(Subject(subject).name())
        .public_key(key)
        .serial_number(5)
        .not_valid_before(EARLY)
        .not_valid_after(until)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return issuer.certify(builder).public_bytes(Encoding.DER)


SIGNS = (x509._key_usage(signs_certificates=False), True)
CERTIFIES = (x509._key_usage(signs_certificates=True), True)
FOR_DOCUMENTS = (c.ExtendedKeyUsage([Profile.DOCUMENT_SIGNER.value]), True)


@pytest.mark.parametrize(
    ("extensions", "words"),
    [
        ([FOR_DOCUMENTS], "not for signing"),
        ([SIGNS], "another purpose"),
        ([CERTIFIES, FOR_DOCUMENTS], "not for signing"),
        ([SIGNS, FOR_DOCUMENTS, (c.BasicConstraints(True, None), True)], "not for signing"),
        ([SIGNS, (c.ExtendedKeyUsage([c.ObjectIdentifier("2.5.29.37.0")]), True)], "another purpose"),
        (
            [SIGNS, FOR_DOCUMENTS, (c.UnrecognizedExtension(c.ObjectIdentifier("2.25.1"), b"\x05\x00"), True)],
            "critical",
        ),
        ([SIGNS, FOR_DOCUMENTS, (c.NameConstraints([c.DNSName("x.example")], None), True)], "critical"),
    ],
)
def test_a_leaf_outside_its_profile_is_refused(extensions, words):
    with refuses(Code.BAD_CERTIFICATE, words):
        check([_made(extensions=extensions)])


def test_a_wallet_providers_leaf_may_name_no_purpose_but_no_other():
    """HAIP 1.0 4.4.1 asks for a chain and names no extended key usage; RFC 5280 4.2.1.12: one that is there counts."""
    assert x509.check_chain([_made(extensions=[SIGNS])], ANCHORS, NOW, Profile.WALLET_PROVIDER)
    for purposes in ([SIGNS, FOR_DOCUMENTS], [SIGNS, (c.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), True)]):
        with refuses(Code.BAD_CERTIFICATE, "another purpose"):
            x509.check_chain([_made(extensions=purposes)], ANCHORS, NOW, Profile.WALLET_PROVIDER)


def test_a_leaf_with_another_curve_is_refused():
    p384 = ec.derive_private_key(12345, ec.SECP384R1()).public_key()
    with refuses(Code.UNSUPPORTED, "P-256"):
        check([_made(key=p384, extensions=[SIGNS, FOR_DOCUMENTS])])


def test_a_path_may_not_be_longer_than_the_anchor_allows():
    middle = Hand("middle")
    lower = leaf(
        ca=middle,
        ca_der=_made(
            key=middle.public_key, subject="Middle", extensions=[CERTIFIES, (c.BasicConstraints(True, 0), True)]
        ),
    )
    between = _made(
        key=middle.public_key, subject="Middle", extensions=[CERTIFIES, (c.BasicConstraints(True, 0), True)]
    )
    with refuses(Code.BAD_CERTIFICATE, "longer than its authority allows"):
        check([lower, between])
    wide_root = _made(
        subject="Wide",
        issuer_name=Subject("Wide"),
        key=CA.public_key,
        extensions=[CERTIFIES, (c.BasicConstraints(True, 1), True)],
    )
    between = _made(
        issuer_name=Subject("Wide"),
        key=middle.public_key,
        subject="Middle",
        extensions=[CERTIFIES, (c.BasicConstraints(True, 0), True)],
    )
    assert check([lower, between], anchors=Anchors([wide_root])).anchor == wide_root
    with refuses(Code.BAD_CERTIFICATE, "broken link"):
        check([LEAF, between], anchors=Anchors([wide_root]))
    with refuses(Code.BAD_CERTIFICATE, "too long"):
        check([lower] + [between] * 4, anchors=Anchors([wide_root]))
    with refuses(Code.BAD_CERTIFICATE, "too long"):
        check([])


def test_an_authority_key_identifier_that_points_elsewhere_is_refused():
    wrong = (c.AuthorityKeyIdentifier(b"x" * 20, None, None), False)
    with refuses(Code.UNTRUSTED_ISSUER):
        check([_made(extensions=[SIGNS, FOR_DOCUMENTS, wrong])])


@pytest.mark.parametrize("raw", [b"", b"\x30", LEAF + b"\x00", LEAF[:-1], b"\x00" * 100])
def test_bytes_that_are_no_certificate_are_refused(raw):
    with refuses(Code.BAD_CERTIFICATE, "read"):
        check([raw])


def test_a_huge_certificate_is_not_even_parsed():
    with refuses(Code.TOO_LARGE):
        check([bytes(10_000)])


def test_a_signature_bit_turned_is_refused():
    bent = bytearray(LEAF)
    bent[-1] ^= 1
    with refuses(Code.UNTRUSTED_ISSUER):
        check([bytes(bent)])


def test_the_signature_has_no_spare_bits():
    """One octet of a certificate is covered by no signature; it has one value all the same."""
    signature = c.load_der_x509_certificate(LEAF).signature
    bent = bytearray(LEAF)
    bent[-len(signature) - 1] = 1
    with refuses(Code.BAD_CERTIFICATE, "one encoding"):
        check([bytes(bent)])


@pytest.mark.filterwarnings("ignore:Parsed a serial number", "ignore:Attribute's length")
def test_no_certificate_with_one_bit_turned_is_taken():
    for at in range(len(LEAF)):
        bent = bytearray(LEAF)
        bent[at] ^= 1
        with pytest.raises(Refused):
            check([bytes(bent)])


def test_what_is_made_has_the_profile_of_the_standard():
    made = c.load_der_x509_certificate(ROOT)
    assert made.extensions.get_extension_for_class(c.BasicConstraints).value == c.BasicConstraints(True, 0)
    assert made.subject.get_attributes_for_oid(NameOID.COUNTRY_NAME)[0].value == "KR"
    signer = c.load_der_x509_certificate(LEAF)
    assert signer.extensions.get_extension_for_class(c.ExtendedKeyUsage).critical
    assert signer.extensions.get_extension_for_class(c.IssuerAlternativeName)
    assert x509.leaf_key(LEAF) == DS.key


def test_a_signer_says_where_its_authority_lists_what_it_revoked():
    """ISO/IEC 18013-5 B.1.2 and B.1.4: cRLDistributionPoints, a URI; here only where the authority has one."""
    uri = "https://ca.example/revoked.crl"
    options = {"serial": 1, "not_before": EARLY, "not_after": LATE}
    authority = x509.root(x509.Subject("With a list"), CA, crl=uri, **options)
    signer = x509.leaf(x509.Profile.DOCUMENT_SIGNER, x509.Subject("S"), DS.key, ca=CA, ca_der=authority, **options)
    for der in (authority, signer):
        [point] = c.load_der_x509_certificate(der).extensions.get_extension_for_class(c.CRLDistributionPoints).value
        assert point.full_name == [c.UniformResourceIdentifier(uri)]
    assert x509.check_chain([signer], Anchors([authority]), NOW, x509.Profile.DOCUMENT_SIGNER).key == DS.key
    with pytest.raises(c.ExtensionNotFound):
        c.load_der_x509_certificate(LEAF).extensions.get_extension_for_class(c.CRLDistributionPoints)


def test_an_authority_signs_only_with_its_own_certificate_and_within_its_life():
    with refuses(Code.BAD_CERTIFICATE, "another key"):
        leaf(ca=Hand("another"))
    with refuses(Code.BAD_CERTIFICATE, "outlive"):
        leaf(not_after=LATE + timedelta(days=1))
    with refuses(Code.MALFORMED, "entropy"):
        x509.serial_number(b"1234567")
    assert 0 < x509.serial_number(b"\xff" * 32) < 2**159


def test_the_anchors_remember_a_bounded_number_of_chains(monkeypatch):
    monkeypatch.setattr(x509, "MAX_CHECKED", 2)
    anchors = Anchors([ROOT])
    for number in range(4):
        check([leaf(key=Hand(str(number)).key)], anchors=anchors)
    assert len(anchors._checked) == 2


def test_the_document_signer_of_iso_18013_5_annex_d_is_read():
    vector = json.loads(public_vectors("iso-18013-5-annex-d/annex-d.json").read_text())["vectors"]
    der = bytes.fromhex(vector["ISO_18013_5_ANNEX_D_DS_CERT"])
    root = x509.root(Subject("x"), CA, serial=1, not_before=EARLY, not_after=LATE)
    with refuses(Code.UNTRUSTED_ISSUER):
        check([der], anchors=Anchors([root]), now=datetime(2021, 6, 1, tzinfo=UTC))


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_foreign_authorities_are_read_as_anchors_and_the_wrong_one_is_not_trusted():
    folder = public_vectors("mdoc-foreign/isomdl-certs")

    def der(name: str) -> bytes:
        return c.load_pem_x509_certificate((folder / name).read_bytes()).public_bytes(Encoding.DER)

    multipaz = Anchors([der("owf_multipaz_iaca_p384.pem")])  # a P-384 authority over a P-256 signer
    checked = check([der("owf_multipaz_ds_p384.pem")], anchors=multipaz, now=datetime(2026, 2, 1, tzinfo=UTC))
    assert checked.subject == "OWF Multipaz TEST DS"
    isomdl = Anchors([der("isomdl_iaca_root_cert.pem")])
    assert check([der("isomdl_iaca_signer.pem")], anchors=isomdl, now=datetime(2024, 6, 1, tzinfo=UTC))
    with refuses(Code.BAD_CERTIFICATE):
        check([der("isomdl_incorrect_iaca_signer.pem")], anchors=isomdl)


def test_a_stranger_has_a_profile_of_her_own():
    """HAIP 1.0 5, 4.4.1: certificate profiles are out of scope; a stranger may say any purpose or none."""
    for chain in ([leaf(Profile.ACCESS)], [leaf(Profile.DOCUMENT_SIGNER)], [_made()]):
        assert check(chain, profile=None).key
    with refuses(Code.BAD_CERTIFICATE, "not for signing"):
        check([_made(extensions=[CERTIFIES])], profile=None)
    with refuses(Code.BAD_CERTIFICATE, "not for signing"):
        check([_made(extensions=[(c.BasicConstraints(ca=True, path_length=None), True)])], profile=None)


def test_a_chain_that_leads_to_nobody_is_held_to_everything_else():
    said = x509.unvouched([LEAF], NOW)
    assert (said.key, said.anchor, said.subject, said.dns) == (DS.key, b"", "Signer", ("issuer.example",))
    with refuses(Code.BAD_CERTIFICATE, "self-signed"):
        x509.unvouched([ROOT], NOW)
    with refuses(Code.BAD_CERTIFICATE, "empty"):
        x509.unvouched([], NOW)
    with refuses(Code.BAD_CERTIFICATE, "not an authority"):
        x509.unvouched([LEAF, leaf()], NOW)
    with refuses(Code.EXPIRED):
        x509.unvouched([LEAF], LATE + timedelta(days=1))
    far = _made(until=datetime(2055, 1, 1, tzinfo=UTC), extensions=[SIGNS])
    assert x509.unvouched([far], NOW).not_after.year == 2055
    with refuses(Code.BAD_CERTIFICATE, "can read"):  # the library reads it, and objects when it is looked at
        x509.unvouched([far.replace(b"20550101", b"00000101")], NOW)
    with refuses(Code.NOT_YET_VALID):
        x509.unvouched([LEAF], EARLY - timedelta(days=1))
