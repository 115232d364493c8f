"""Passive authentication, refused by name at each of its steps, and a SOD in which no bit is free."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from asn1crypto import cms as asn1
from asn1crypto.core import Null
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

import chips
from chips import START, State
from hands import Hand
from mapae.errors import Code, Refused
from mapae.formats import p256
from mapae.formats.x509 import Subject
from mapae.issuer.ic_card import cms, der, infos, lds, passive, pki, tlv
from mapae.issuer.ic_card.passive import Anchors
from mapae.issuer.ic_card.pki import Periods
from mapae.issuer.ic_card.sod import Sod, card_id, hashes, make_sod, sod_to_sign
from soak import SOAK

DAY = timedelta(days=1)
NOW = START + 30 * DAY
STATE = State()
PAIR = chips.chip_key()
FILES = chips.groups(PAIR)
SOD = STATE.sod(FILES)
ANCHORS = STATE.anchors()


def check(sod: bytes = SOD, files: dict[int, bytes] = FILES, anchors: Anchors = ANCHORS, now: datetime = NOW):
    return passive.check(sod, files, anchors, now)


class refused:
    """`with refused("dates"):` CHIP_REFUSED, at this step."""

    def __init__(self, step: str) -> None:
        self._step = step

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, trace) -> bool:
        assert isinstance(error, Refused), f"not refused: {error!r}"
        assert (error.code, error.step) == (Code.CHIP_REFUSED, self._step), error
        return True


# --- genuine ------------------------------------------------------------------------------------------------------


def test_what_a_state_signed_is_genuine():
    genuine = check()
    assert genuine.card == card_id(SOD)
    assert genuine.hashes == hashes(FILES)
    assert (genuine.signed_at, genuine.signer) == (START + DAY, 2)


def test_a_card_is_genuine_to_its_last_day_long_after_the_signer_stopped_signing():
    """Doc 9303-12 4: the signer's certificate outlives the cards; its key does not."""
    last = START + 90 * DAY + timedelta(days=3652)
    assert check(STATE.sod(FILES, START + 89 * DAY), anchors=STATE.anchors(at=last - DAY), now=last)


def test_the_sod_is_read_by_somebody_elses_cms():
    """asn1crypto reads the same hashes, and writes the same bytes."""
    info = asn1.ContentInfo.load(tlv.only(SOD, 0x77), strict=True)
    data = info["content"]
    assert info.native and info.dump(force=True) == tlv.only(SOD, 0x77)
    assert data["version"].native == "v3" and len(data["certificates"]) == len(data["signer_infos"]) == 1
    assert data["encap_content_info"]["content_type"].native == "2.23.136.1.1.1"
    assert data["encap_content_info"]["content"].parsed.native["0"] == 0
    signed = b"\x31" + data["signer_infos"][0]["signed_attrs"].dump()[1:]
    assert signed == sod_to_sign(hashes(FILES), START + DAY)


# --- no free bit --------------------------------------------------------------------------------------------------


def test_no_byte_of_the_sod_can_be_changed():
    """One bit of every byte, and all eight with MAPAE_SOAK=1: none is accepted, and each refusal names its step."""
    steps: dict[str | None, int] = {}
    for at in range(len(SOD)):
        for bit in range(8) if SOAK else (at * 5 % 8,):
            bent = bytearray(SOD)
            bent[at] ^= 1 << bit
            with pytest.raises(Refused) as found:
                check(bytes(bent))
            assert found.value.code is Code.CHIP_REFUSED
            steps[found.value.step] = steps.get(found.value.step, 0) + 1
    assert set(steps) == {"sod", "signer", "signature"}, steps


def test_a_signature_written_the_other_way_holds_and_is_of_no_card_we_know():
    """ECDSA takes s and n - s alike. So the SOD of a card can be written in two ways, and the register's digest, which
    is of the one that was signed, tells them apart."""
    sod = Sod.parse(SOD)
    s = int.from_bytes(sod.signature[32:], "big")
    other = replace(sod, signature=sod.signature[:32] + (p256.N - s).to_bytes(32, "big")).encode()
    assert check(other).card != check().card


@pytest.mark.parametrize("cut", [0, 1, 3, 4, 40, 300, len(SOD) - 1])
def test_a_cut_sod_is_refused(cut):
    with refused("sod"):
        check(SOD[:cut])


@pytest.mark.parametrize("more", [b"\x00", b"\x30\x00", SOD], ids=["a byte", "an object", "another SOD"])
def test_a_sod_with_something_behind_it_is_refused(more):
    with refused("sod"):
        check(SOD + more)


def test_a_sod_too_long_for_a_card_is_not_even_read():
    with refused("sod"):
        check(SOD + bytes(4096))


def rebuilt(*, certificates=(), signers: int = 1, hashed=None, kind: str = "2.23.136.1.1.1", when=START + DAY) -> bytes:
    """A SOD of another make, soundly signed."""
    hashed = hashed or hashes(FILES)
    attributes = sod_to_sign(hashed, when)
    made = Sod(hashed, when, STATE.ds, STATE.signer.sign(attributes)).encode()
    info = cms.assemble(_content(made), kind, (STATE.ds, *certificates), attributes, STATE.signer.sign(attributes))
    if signers == 2:
        data = asn1.ContentInfo.load(info)
        data["content"]["signer_infos"].append(data["content"]["signer_infos"][0].copy())
        info = data.dump(force=True)
    return tlv.encode(0x77, info)


def _content(sod: bytes) -> bytes:
    return asn1.ContentInfo.load(tlv.only(sod, 0x77))["content"]["encap_content_info"]["content"].contents


def test_a_sod_built_by_the_parts_is_the_sod():
    assert check(rebuilt())


def test_a_sod_with_a_second_certificate_a_second_signer_or_another_content_is_refused():
    for other in (rebuilt(certificates=(STATE.csca,)), rebuilt(signers=2), rebuilt(kind="1.2.840.113549.1.7.1")):
        with refused("sod"):
            check(other)


def test_a_sod_with_unused_parameters_is_refused():
    """NULL where an algorithm has no parameters means nothing, so nobody would have noticed it."""
    for where in (lambda data: data["digest_algorithms"][0], lambda data: data["signer_infos"][0]["digest_algorithm"],
                  lambda data: data["signer_infos"][0]["signature_algorithm"]):  # fmt: skip
        info = asn1.ContentInfo.load(tlv.only(SOD, 0x77))
        where(info["content"])["parameters"] = Null()
        other = tlv.encode(0x77, info.dump(force=True))
        assert len(other) > len(SOD)
        with refused("sod"):
            check(other)


@pytest.mark.parametrize("numbers", [(1, 2, 14), (1, 2, 11, 13, 14), (2, 1, 11, 14)], ids=str)
def test_a_sod_of_a_card_with_other_data_groups_is_refused(numbers):
    listed = {number: FILES.get(number, b"") for number in numbers}
    made = make_sod(hashes(listed), START + DAY, STATE.signer.sign, STATE.ds)
    if sorted(numbers) == sorted(FILES):
        assert check(made)  # the order is the encoder's business
        return
    with refused("sod"):
        check(made)


# --- each step ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", sorted(FILES))
def test_a_forged_data_group_is_refused(number):
    forged = dict(FILES)
    forged[number] = forged[number][:-1] + bytes([forged[number][-1] ^ 1])
    with refused("hashes"):
        check(files=forged)


def test_a_data_group_the_sod_does_not_know_is_refused():
    with refused("hashes"):
        check(files={**FILES, 3: b"fingerprints"})


def test_another_persons_details_soundly_written_are_refused():
    other = chips.groups(PAIR, replace(chips.MRZ, surname="LEE"))
    with refused("hashes"):
        check(files=other)


def test_an_unknown_authority_is_refused():
    with refused("signer"):
        check(State("elsewhere").sod(FILES))
    with refused("signer"):  # the same name, another key
        check(anchors=State("elsewhere").anchors())


def test_an_authority_that_signs_documents_itself_is_refused():
    made = make_sod(hashes(FILES), START + DAY, STATE.authority.sign, STATE.csca)
    with refused("signer"):
        check(made)


def test_a_signature_of_another_key_is_refused():
    made = make_sod(hashes(FILES), START + DAY, Hand("thief").sign, STATE.ds)
    with refused("signature"):
        check(made)


@pytest.mark.parametrize(
    ("signed", "now"),
    [(START + 91 * DAY, START + 92 * DAY), (START - DAY, NOW), (NOW + DAY, NOW), (START + DAY, START - DAY)],
    ids=["signed when the key was old", "signed before the certificate", "signed tomorrow", "looked at too early"],
)
def test_dates_that_do_not_fit_are_refused(signed, now):
    with refused("dates"):
        check(STATE.sod(FILES, signed), now=now)


def test_an_expired_signer_or_authority_is_refused():
    """And not one second later than said."""
    end = START + Periods().signer_lives
    good = STATE.anchors(at=end)
    assert check(anchors=good, now=end)
    with refused("dates"):
        check(anchors=good, now=end + timedelta(seconds=1))
    after = START + Periods().authority_lives + DAY
    with refused("dates"):
        check(anchors=STATE.anchors(at=after), now=after)


def test_a_signer_certified_when_the_authority_was_old_is_refused():
    with pytest.raises(Refused, match="nor begin when that is old"):
        STATE.certify(STATE.signer, start=START + Periods().authority_signs + DAY)
    with pytest.raises(Refused, match="another key"):
        pki.document_signer(
            Subject("x"), STATE.signer.key, chips.PLACES, by=Hand("x"), by_der=STATE.csca, serial=9, start=START
        )


def test_a_signer_certified_after_the_authoritys_time_is_refused_though_the_authority_did_it():
    """By its own certificate the authority's key signed for ten days; the signer is of the twentieth."""
    short, start = State("short", periods=Periods(authority_signs=10 * DAY)), START + 20 * DAY
    longer = pki.authority(Subject("CSCA", "State", "KR"), short.authority, chips.PLACES, serial=1, start=START)
    ds = pki.document_signer(
        Subject("Late"), short.signer.key, chips.PLACES, by=short.authority, by_der=longer, serial=2, start=start
    )
    made = make_sod(hashes(FILES), start + DAY, short.signer.sign, ds)
    assert check(made, anchors=Anchors([longer], [short.list()]))
    with refused("dates"):
        check(made, anchors=short.anchors())


def test_an_authority_of_another_name_is_another_authority_even_with_the_same_key():
    named = pki.authority(Subject("Another", "State", "KR"), STATE.authority, chips.PLACES, serial=1, start=START)
    with refused("signer"):
        check(anchors=Anchors([named], [pki.revocation_list(STATE.authority, named, [], number=1, at=START)]))


def test_a_revoked_signer_and_a_revoked_authority_are_refused():
    assert check(anchors=STATE.anchors(3, 77))
    for serial in (1, 2):
        with refused("revocation"):
            check(anchors=STATE.anchors(3, serial))


def test_without_a_list_of_today_nothing_is_genuine():
    """A stolen signer is only ever known by the list: no list, no answer."""
    for anchors in (Anchors([STATE.csca], []), STATE.anchors(at=START - 100 * DAY), STATE.anchors(at=NOW + DAY)):
        with refused("revocation"):
            check(anchors=anchors)


def test_the_newest_of_several_lists_counts():
    old, new = STATE.list(at=START), STATE.list(2, at=START + DAY)
    for lists in ([old, new], [new, old]):
        with refused("revocation"):
            check(anchors=Anchors([STATE.csca], lists))


def list_of(at: bytes, *extensions: bytes) -> bytes:
    """A list of nobody, signed by our authority."""
    name = x509.load_der_x509_certificate(STATE.csca).subject.public_bytes()
    extras = der.explicit(0, der.sequence(der.sequence(der.oid("2.5.29.20"), der.octets(der.integer(9))), *extensions))
    signed = der.sequence(der.integer(1), der.ECDSA_SHA256, name, at, der.time(NOW + DAY), extras)
    return der.Outside(signed, STATE.authority.sign(signed), ()).encode()


def critical(oid: str, value: bytes) -> bytes:
    return der.sequence(der.oid(oid), tlv.encode(0x01, b"\xff"), der.octets(value))


def test_a_list_that_is_not_whole_takes_nobody_off_the_whole_one():
    """RFC 5280 5.2: deltas, lists of a part only, and what is critical and unknown to us."""
    later = der.time(START + 2 * DAY)
    with refused("revocation"):
        check(anchors=Anchors([STATE.csca], [STATE.list(2), STATE.list(at=START - DAY)]))
    assert check(anchors=Anchors([STATE.csca], [STATE.list(2), list_of(later)]))
    delta, part = der.integer(8), der.sequence(tlv.encode(0x82, b"\xff"))
    for oid, value in (("2.5.29.27", delta), ("2.5.29.28", part), ("1.2.3.4", b"\x05\x00")):
        with pytest.raises(Refused, match="not a whole one"):
            Anchors([STATE.csca], [STATE.list(2), list_of(later, critical(oid, value))])
    bare = der.sequence(der.oid("2.5.29.27"), der.octets(delta))
    with pytest.raises(Refused, match="not a whole one"):
        Anchors([STATE.csca], [list_of(later, bare)])


def test_of_two_lists_of_one_moment_the_higher_number_counts():
    """RFC 5280 5.2.3. With one number there can be one list only."""
    for lists in ([STATE.list(2), list_of(der.time(START))], [list_of(der.time(START)), STATE.list(2)]):
        assert check(anchors=Anchors([STATE.csca], lists))
    with pytest.raises(Refused, match="of one moment"):
        Anchors([STATE.csca], [STATE.list(2), STATE.list()])
    assert check(anchors=Anchors([STATE.csca], [STATE.list(), STATE.list()]))


def test_a_list_from_the_beginning_of_time_is_merely_old():
    year_one = tlv.encode(0x18, b"00010101000000Z")
    assert check(anchors=Anchors([STATE.csca], [list_of(year_one)]))  # and good until tomorrow


def test_a_list_of_somebody_else_or_bent_is_no_list():
    theirs, ours = State("elsewhere").list(), STATE.list(5)
    for raw in (theirs, ours[:-1] + bytes([ours[-1] ^ 1]), ours[:40], b"", STATE.csca):
        with pytest.raises(Refused):
            Anchors([STATE.csca], [raw])


def test_an_authority_is_only_one_that_signed_itself():
    for raw in (STATE.ds, STATE.csca[:-1] + bytes([STATE.csca[-1] ^ 1]), STATE.csca[:100], b""):
        with pytest.raises(Refused):
            Anchors([raw], [])


def remade(raw: bytes, key: Hand, *left_out: type[x509.ExtensionType], **added: x509.ExtensionType) -> bytes:
    """This certificate once more by `key`, without some extensions and with others; `critical_..` ones are critical."""
    old = x509.load_der_x509_certificate(raw)
    builder = x509.CertificateBuilder(
        old.issuer, old.subject, old.public_key(), old.serial_number, old.not_valid_before_utc, old.not_valid_after_utc
    )
    gone = {kind.oid for kind in left_out} | {value.oid for value in added.values()}
    for one in old.extensions:
        if one.oid not in gone:
            builder = builder.add_extension(one.value, one.critical)
    for name, value in added.items():
        builder = builder.add_extension(value, name.startswith("critical_"))
    return key.certify(builder).public_bytes(Encoding.DER)


def usage(**yes: bool) -> x509.KeyUsage:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip
    return x509.KeyUsage(**{name: yes.get(name, False) for name in names})


class Types(x509.UnrecognizedExtension):
    """Stands for the list of document types, which the library does not know."""

    oid = pki.DOCUMENT_TYPES


TYPES = x509.UnrecognizedExtension(pki.DOCUMENT_TYPES, b"\x30\x03\x02\x01\x00")
CODE_SIGNING = x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.3")])
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
OTHER_MAKES = {
    "without a key usage": (x509.KeyUsage,), "without document types": (Types,),
    "without a state": (x509.SubjectAlternativeName,),
    "for signing code": {"more": CODE_SIGNING}, "an authority itself": {"critical_ca": x509.BasicConstraints(True, 0)},
    "for certificates as well": {"critical_use": usage(digital_signature=True, key_cert_sign=True)},
    "for agreeing on keys": {"critical_use": usage(key_agreement=True)},
    "with something critical nobody knows": {"critical_new": UNKNOWN}, "with types that are none": {"types": TYPES},
}  # fmt: skip


@pytest.mark.parametrize("how", OTHER_MAKES)
def test_a_signer_whose_certificate_is_of_another_make_is_refused(how):
    """Doc 9303-12 7.1.1, table 6; Doc 9303-11 5.1.1, best practice 1."""
    change = OTHER_MAKES[how]
    ds = remade(STATE.ds, STATE.authority, *change) if isinstance(change, tuple) else remade(
        STATE.ds, STATE.authority, **change)  # fmt: skip
    with refused("signer"):
        check(make_sod(hashes(FILES), START + DAY, STATE.signer.sign, ds))


def test_a_signer_remade_as_it_was_is_taken_and_one_that_never_ends_signing_is_not():
    same = remade(STATE.ds, STATE.authority)
    assert check(make_sod(hashes(FILES), START + DAY, STATE.signer.sign, same))
    endless = remade(STATE.ds, STATE.authority, x509.PrivateKeyUsagePeriod)
    with refused("dates"):
        check(make_sod(hashes(FILES), START + DAY, STATE.signer.sign, endless))


@pytest.mark.parametrize(
    "change", [{"critical_use": usage(digital_signature=True)}, {"critical_ca": x509.BasicConstraints(False, None)},
               {"critical_use": usage(key_cert_sign=True)}, {"critical_new": UNKNOWN}],
    ids=["signs documents", "no authority", "signs no lists", "something critical"],
)  # fmt: skip
def test_an_authority_of_another_make_is_no_anchor(change):
    with pytest.raises(Refused):
        Anchors([remade(STATE.csca, STATE.authority, **change)], [])
    with pytest.raises(Refused, match="has not signed itself"):
        Anchors([remade(STATE.csca, Hand("thief"))], [])


def test_a_signer_for_passports_does_not_sign_cards():
    state = State("passports", document_types=("P",))
    with refused("hashes"):
        check(state.sod(FILES), anchors=state.anchors())
    both = State("both", document_types=("P", "I"))
    assert check(both.sod(FILES), anchors=both.anchors())


def test_a_signer_for_all_cards_signs_each_kind_and_one_for_one_kind_no_other():
    """Doc 9303-12 7.1.1.6: I is ID as well; ID is not I."""
    files = chips.groups(PAIR, replace(chips.MRZ, code="ID"))
    assert check(STATE.sod(files), files)
    narrow = State("narrow", document_types=("ID",))
    assert check(narrow.sod(files), files, narrow.anchors())
    with refused("hashes"):
        check(narrow.sod(FILES), anchors=narrow.anchors())


def test_state_of_the_document_signer_and_authority_are_one():
    """Doc 9303-11 5.1.1, best practice 2."""
    files = chips.groups(PAIR, replace(chips.MRZ, state="UTO"))
    with refused("hashes"):
        check(STATE.sod(files), files)
    elsewhere = pki.document_signer(
        Subject("Document Signer"), STATE.signer.key, replace(chips.PLACES, state="UTO"), by=STATE.authority,
        by_der=STATE.csca, serial=9, start=START,
    )  # fmt: skip
    with refused("signer"):
        check(make_sod(hashes(FILES), START + DAY, STATE.signer.sign, elsewhere))


def test_the_list_of_the_newer_key_holds_for_the_older_one():
    """Doc 9303-12 4.1.5: after a change of keys one list, signed with the newest, names signers of both."""
    newer = Hand("csca 2")
    csca = pki.authority(Subject("CSCA", "State", "KR"), newer, chips.PLACES, serial=8, start=START + DAY)
    for serials, good in (((77,), True), ((2,), False)):
        revoked = [(serial, START) for serial in serials]
        anchors = Anchors([STATE.csca, csca], [pki.revocation_list(newer, csca, revoked, number=2, at=START + 2 * DAY)])
        if good:
            assert check(anchors=anchors)
        else:
            with refused("revocation"):
                check(anchors=anchors)


def test_the_list_of_an_older_key_says_nothing_of_the_newer_one():
    """Stolen and long out of use, it would clear everybody."""
    older = Hand("csca 0")
    csca = pki.authority(Subject("CSCA", "State", "KR"), older, chips.PLACES, serial=7, start=START - 300 * DAY)
    later = pki.revocation_list(older, csca, [], number=9, at=START + 2 * DAY)
    for lists in ([STATE.list(2), later], [later, STATE.list(2)]):
        with refused("revocation"):
            check(anchors=Anchors([STATE.csca, csca], lists))


# --- the certificates ---------------------------------------------------------------------------------------------


def test_certificates_and_list_are_those_of_doc_9303_12():
    csca, ds = (x509.load_der_x509_certificate(raw) for raw in (STATE.csca, STATE.ds))
    ds.verify_directly_issued_by(csca)
    csca.verify_directly_issued_by(csca)
    for certificate in (csca, ds):
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (state,) = names.get_values_for_type(x509.DirectoryName)
        assert state.rfc4514_string() == "L=KOR"
        assert certificate.extensions.get_extension_for_class(x509.PrivateKeyUsagePeriod).value.not_after
        assert certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints)
    usage = ds.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical and usage.value.digital_signature and not usage.value.key_cert_sign
    assert csca.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    assert ds.not_valid_after_utc <= csca.not_valid_after_utc
    crl = x509.load_der_x509_crl(STATE.list(2, 300))
    assert crl.is_signature_valid(csca.public_key()) and crl.issuer == csca.subject and len(crl) == 2
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 1
    key_id = crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert key_id == csca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert len(x509.load_der_x509_crl(STATE.list())) == 0


# --- EF.CardAccess against DG14 -----------------------------------------------------------------------------------


def test_what_the_card_offered_before_pace_is_what_was_signed():
    infos.must_match(infos.card_access(), FILES[14])


@pytest.mark.parametrize(
    "how", ["nothing", "left out", "another way added", "something unknown added", "cut", "too long"]
)
def test_a_downgrade_outside_is_found_inside(how):
    """EF.CardAccess is read before anything is protected: whoever stands between could have offered a weaker way."""
    ((_, ours),) = tlv.read(tlv.only(infos.card_access(), 0x31))
    weaker = tlv.encode(0x30, ours.replace(b"\x04\x02\x02", b"\x04\x02\x01"))  # 3DES in the place of AES
    unknown = tlv.encode(0x30, tlv.encode(6, b"\x2a\x03") + tlv.encode(2, b"\1"))
    bent = {
        "nothing": tlv.encode(0x31, b""),
        "left out": tlv.encode(0x31, weaker),
        "another way added": tlv.encode(0x31, weaker + tlv.encode(0x30, ours)),
        "something unknown added": tlv.encode(0x31, tlv.encode(0x30, ours) + unknown),
        "cut": infos.card_access()[:-1],
        "too long": tlv.encode(0x31, tlv.encode(0x30, ours) + unknown * 50),
    }[how]
    with pytest.raises(Refused) as found:
        infos.must_match(bent, FILES[14])
    assert found.value.code is Code.CHIP_REFUSED
    if how in ("nothing", "left out"):
        with pytest.raises(Refused, match="does not speak our PACE"):
            infos.read_card_access(bent)


def test_the_chips_key_is_read_from_dg14_and_from_no_bent_one():
    assert infos.read_dg14(FILES[14]).encode() == PAIR.public.encode()
    good = FILES[14]
    for at in range(8 * len(good)):
        bent = bytearray(good)
        bent[at // 8] ^= 1 << at % 8
        with pytest.raises(Refused):
            infos.read_dg14(bytes(bent))


def test_the_data_groups_that_are_signed_are_those_com_lists():
    present = tlv.exactly(tlv.only(lds.com(), 0x60), 0x5F01, 0x5F36, 0x5C)
    assert present == [b"0107", b"040000", bytes(FILES[number][0] for number in sorted(FILES))]
