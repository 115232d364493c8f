"""The device's side of an mdoc: MAC, elements of its own, several documents, errors; and what readers ask."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import pytest

from hands import NOW, Hand, refuses
from mapae.clock import SeededDice
from mapae.errors import Code
from mapae.formats import cbor, cose, mdoc, x509
from mapae.formats.cbor import Tag
from mapae.formats.mdoc import DeviceRequest, DeviceResponse, IssuerSigned, KeyAuthorizations, MacKey, Validity
from mapae.formats.proximity import EphemeralKey

ISSUER, DEVICE, CA = Hand("issuer"), Hand("device"), Hand("ca")
MAC_DEVICE, READER = EphemeralKey(bytes(range(48))), EphemeralKey(bytes(range(48, 96)))
NS, OWN = "kr.mapae.resident.1", "kr.mapae.device.1"
ALLOWED = KeyAuthorizations(frozenset({OWN}), {NS: frozenset({"location"})})
TRANSCRIPT = mdoc.qr_transcript(engagement=b"\xa0", reader_key=READER.cose)


def issue(doctype: str = NS, device: Any = DEVICE.key, authorized: KeyAuthorizations | None = ALLOWED) -> IssuerSigned:
    draft = mdoc.draft(
        doctype, {NS: {"name": "지수", "age_over_19": True}}, device_key=device, x5chain=[b"\x30\x00"], status=None,
        validity=Validity(NOW, NOW, NOW + timedelta(days=30)), entropy=SeededDice(1).bytes, authorized=authorized,
    )  # fmt: skip
    return IssuerSigned.parse(draft.complete(ISSUER.sign(draft.signing_input)))


def shown(card: IssuerSigned | None = None, holder: Any = DEVICE, **more: Any) -> mdoc.Document:
    one = mdoc.show(card or issue(), session_transcript=TRANSCRIPT, holder=holder, **more)
    return DeviceResponse.parse(mdoc.respond([one])).one()


# --- MAC ----------------------------------------------------------------------------------------------------------


def test_a_device_that_agrees_on_a_key_need_not_sign():
    """ISO/IEC 18013-5 9.1.3.5: both sides derive EMacKey, each with its own private key."""
    card = issue(device=MAC_DEVICE.public)
    ours = MacKey.between(MAC_DEVICE, READER.public, TRANSCRIPT)
    document = shown(card, ours)
    assert document.check_device(TRANSCRIPT, READER) == {}
    assert "secret" not in repr(ours)
    raw = mdoc.present(card, session_transcript=TRANSCRIPT, holder=ours)
    assert cbor.loads(raw, deterministic=True)
    assert DeviceResponse.parse(raw).encode() == raw


def test_a_mac_is_for_one_reader_one_session_and_one_device():
    document = shown(issue(device=MAC_DEVICE.public), MacKey.between(MAC_DEVICE, READER.public, TRANSCRIPT))
    with refuses(Code.BAD_HOLDER_PROOF, "reader with a key"):
        document.check_device(TRANSCRIPT)
    with refuses(Code.BAD_HOLDER_PROOF, "does not fit"):
        document.check_device(TRANSCRIPT, EphemeralKey(bytes(48)))
    with refuses(Code.BAD_HOLDER_PROOF, "does not fit"):
        document.check_device(mdoc.qr_transcript(engagement=b"\xa0", reader_key=b"\xa0"), READER)
    thief = EphemeralKey(bytes(range(1, 49)))
    with refuses(Code.BAD_HOLDER_PROOF, "does not fit"):
        stolen = shown(issue(device=MAC_DEVICE.public), MacKey.between(thief, READER.public, TRANSCRIPT))
        stolen.check_device(TRANSCRIPT, READER)


# --- what the device says itself ----------------------------------------------------------------------------------


def test_what_the_device_says_itself_comes_back_apart():
    """ISO/IEC 18013-5 9.1.2.4: a whole namespace, or single elements, as the issuer allowed."""
    said = {OWN: {"battery": 5, "since": date(2026, 1, 2)}, NS: {"location": "here"}}
    document = shown(asserted=said)
    assert document.check_device(TRANSCRIPT) == said
    assert document.issuer_signed.open(ISSUER.key) == {NS: {"name": "지수", "age_over_19": True}}
    assert document.issuer_signed.mso.authorized == ALLOWED


@pytest.mark.parametrize("said", [{"other": {"x": 1}}, {NS: {"name": "Mallory"}}, {NS: {"location": 1, "sex": 2}}])
@pytest.mark.parametrize("authorized", [ALLOWED, None])
def test_what_the_issuer_did_not_allow_is_not_believed(said, authorized):
    """ISO/IEC 18013-5 9.1.2.4: the reader refuses what keyAuthorizations do not cover; our wallet does not say it."""
    card = issue(authorized=authorized)
    with refuses(Code.LINT):
        shown(card, asserted=said)
    allowed_all = KeyAuthorizations(frozenset(said))
    forged = IssuerSigned(card.items, card.auth, mdoc.Mso(*[getattr(card.mso, n) for n in FIELDS], allowed_all))
    with refuses(Code.BAD_HOLDER_PROOF, "may not say"):
        shown(forged, asserted=said).check_device(TRANSCRIPT)


FIELDS = ("doctype", "digests", "device_key", "validity", "status")


def test_elements_added_on_the_way_are_not_what_the_device_signed():
    whole = cbor.loads(mdoc.present(issue(), session_transcript=TRANSCRIPT, holder=DEVICE))
    whole["documents"][0]["deviceSigned"]["nameSpaces"] = Tag(24, cbor.dumps({OWN: {"x": 1}}))
    with refuses(Code.BAD_HOLDER_PROOF, "does not fit"):
        DeviceResponse.parse(cbor.dumps(whole)).one().check_device(TRANSCRIPT)


@pytest.mark.parametrize(
    "raw",
    [b"\x80", b"\xa1\x01\xa1\x61a\x01", b"\xa1\x61a\xa0", b"\xa1\x61a\x80", b"\xa1\x61a\xa1\x01\x01", b"\xa0\xa0", b""],
)
def test_namespaces_of_the_device_that_are_none_are_refused(raw):
    whole = cbor.loads(mdoc.present(issue(), session_transcript=TRANSCRIPT, holder=DEVICE))
    whole["documents"][0]["deviceSigned"]["nameSpaces"] = Tag(24, raw)
    with refuses(Code.MALFORMED):
        DeviceResponse.parse(cbor.dumps(whole))


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"nameSpaces": []},
        {"nameSpaces": [1]},
        {"nameSpaces": "x"},
        {"dataElements": []},
        {"dataElements": {NS: []}},
        {"dataElements": {NS: {}}},
        {"dataElements": {5: ["x"]}},
        {"nameSpaces": [NS], "dataElements": {NS: ["x"]}},
        {"surplus": 1},
    ],
)
def test_authorizations_outside_the_standard_are_refused(value):
    """ISO/IEC 18013-5 9.1.2.4: lists of names; a namespace allowed whole is not named again."""
    with refuses(Code.MALFORMED):
        KeyAuthorizations.parse(value)


# --- several documents, errors ------------------------------------------------------------------------------------


def test_a_response_may_hold_several_documents_and_say_what_is_missing():
    """ISO/IEC 18013-5 8.3.2.1.2.2: documentErrors by docType, errors by namespace and element, 0 is not returned."""
    errors = {NS: {"address": 0}}
    raw = mdoc.respond(
        [
            mdoc.show(issue(), session_transcript=TRANSCRIPT, holder=DEVICE, errors=errors),
            mdoc.show(issue("other.1"), session_transcript=TRANSCRIPT, holder=DEVICE),
        ],
        document_errors=[("third.1", 0)],
    )
    assert cbor.loads(raw, deterministic=True)
    response = DeviceResponse.parse(raw)
    assert response.encode() == raw
    assert [document.doctype for document in response.documents] == [NS, "other.1"]
    assert (response.documents[0].errors, response.documents[1].errors) == (errors, {})
    assert response.document_errors == (("third.1", 0),)
    for document in response.documents:
        document.check_device(TRANSCRIPT)
    with refuses(Code.MALFORMED, "one document"):
        response.one()


def test_a_response_may_report_an_error_and_hold_nothing():
    """ISO/IEC 18013-5 8.3.2.1.2.3: 10 general, 11 decoding, 12 validation."""
    for status in (10, 11, 12):
        response = DeviceResponse.parse(mdoc.respond([], status=status))
        assert (response.status, response.documents) == (status, ())
        with refuses(Code.MALFORMED, "reports an error"):
            response.one()
    with refuses(Code.MALFORMED, "one document"):
        DeviceResponse.parse(mdoc.respond([])).one()
    one = mdoc.show(issue(), session_transcript=TRANSCRIPT, holder=DEVICE)
    with refuses(Code.MALFORMED, "reports an error"):
        DeviceResponse.parse(mdoc.respond([one], status=10)).one()


# --- requests -----------------------------------------------------------------------------------------------------

OPTIONS = {"not_before": NOW - timedelta(days=1), "not_after": NOW + timedelta(days=90)}
ROOT = x509.root(x509.Subject("Readers"), CA, serial=1, **OPTIONS)
SHOP = Hand("shop")
CERTIFICATE = x509.leaf(x509.Profile.ACCESS, x509.Subject("Shop"), SHOP.key, ca=CA, ca_der=ROOT, serial=2, **OPTIONS)
ASKED = {NS: {"name": False, "age_over_19": True}}


def asked(info: Mapping[str, Any] | None = None) -> bytes:
    items = mdoc.items_request(NS, ASKED, info=info)
    return mdoc.doc_request(items, session_transcript=TRANSCRIPT, reader=SHOP, x5chain=[CERTIFICATE])


def test_a_request_says_what_is_asked_and_by_whom():
    """ISO/IEC 18013-5 9.1.4: each document request carries its own signature over this session."""
    unsigned = mdoc.doc_request(mdoc.items_request("other.1", {"o": {"x": True}}), session_transcript=TRANSCRIPT)
    raw = mdoc.device_request([asked({"purpose": "rent"}), unsigned])
    assert cbor.loads(raw, deterministic=True)
    request = DeviceRequest.parse(raw)
    assert request.encode() == raw
    signed, other = request.requests
    assert (signed.doctype, signed.elements, signed.info) == (NS, ASKED, {"purpose": "rent"})
    assert (other.x5chain, other.info) == (None, {})
    checked = x509.check_chain(signed.x5chain, x509.Anchors([ROOT]), NOW, x509.Profile.ACCESS)
    assert checked.subject == "Shop"
    signed.check_reader(checked.key, TRANSCRIPT)
    with refuses(Code.BAD_SIGNATURE, "has not signed"):
        other.check_reader(checked.key, TRANSCRIPT)


def test_a_reader_is_who_signed_this_request_in_this_session():
    [one] = DeviceRequest.parse(mdoc.device_request([asked()])).requests
    with refuses(Code.BAD_SIGNATURE):
        one.check_reader(SHOP.key, mdoc.qr_transcript(engagement=b"\xa0", reader_key=b"\xa0"))
    with refuses(Code.BAD_SIGNATURE):
        one.check_reader(CA.key, TRANSCRIPT)
    parts = cbor.loads(asked())
    parts["itemsRequest"] = Tag(24, mdoc.items_request(NS, {NS: {"portrait": True}}))
    [more] = DeviceRequest.parse(mdoc.device_request([cbor.dumps(parts)])).requests
    with refuses(Code.BAD_SIGNATURE):
        more.check_reader(SHOP.key, TRANSCRIPT)


def requested(items: Any = None, **change: Any) -> bytes:
    said = {"docType": NS, "nameSpaces": ASKED} if items is None else items
    one = {"itemsRequest": Tag(24, cbor.dumps(said))} | change
    return cbor.dumps({"version": "1.0", "docRequests": [one]})


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", Code.MALFORMED),
        (bytes(70_000), Code.TOO_LARGE),
        (cbor.dumps({"version": "1.0"}), Code.MALFORMED),
        (cbor.dumps({"version": "1.1", "docRequests": [], "deviceRequestInfo": b""}), Code.UNSUPPORTED),
        (cbor.dumps({"version": "1.0", "docRequests": []}), Code.MALFORMED),
        (cbor.dumps({"version": "1.0", "docRequests": [1] * 9}), Code.MALFORMED),
        (cbor.dumps({"version": "1.0", "docRequests": [1]}), Code.MALFORMED),
        (requested(surplus=1), Code.MALFORMED),
        (requested(itemsRequest=b""), Code.MALFORMED),
        (requested(readerAuth=[]), Code.MALFORMED),
        (requested(readerAuth=[b"\xa1\x01\x38\x22", {}, None, b""]), Code.UNSUPPORTED),
        (requested({"docType": 1, "nameSpaces": ASKED}), Code.MALFORMED),
        (requested({"docType": NS}), Code.MALFORMED),
        (requested({"docType": NS, "nameSpaces": {}}), Code.MALFORMED),
        (requested({"docType": NS, "nameSpaces": {NS: {}}}), Code.MALFORMED),
        (requested({"docType": NS, "nameSpaces": {NS: {"x": 1}}}), Code.MALFORMED),
        (requested({"docType": NS, "nameSpaces": {NS: {1: True}}}), Code.MALFORMED),
        (requested({"docType": NS, "nameSpaces": {1: {"x": True}}}), Code.MALFORMED),
        (requested({"docType": NS, "nameSpaces": ASKED, "requestInfo": []}), Code.MALFORMED),
        (requested({"docType": NS, "nameSpaces": ASKED, "requestInfo": {1: 1}}), Code.MALFORMED),
        (requested({"docType": NS, "nameSpaces": ASKED, "surplus": 1}), Code.MALFORMED),
    ],
)
def test_a_request_outside_the_standard_is_refused(raw, code):
    with refuses(code):
        DeviceRequest.parse(raw)


# --- COSE_Mac0 ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ([cose.PROTECTED, {}, None, bytes(32)], Code.UNSUPPORTED),
        ([b"\xa1\x01\x04", {}, None, bytes(32)], Code.UNSUPPORTED),
        ([b"\xa2\x01\x05\x02\x81\x04", {}, None, bytes(32)], Code.UNSUPPORTED),
        ([cose.PROTECTED_MAC, {}, None, bytes(31)], Code.MALFORMED),
        ([cose.PROTECTED_MAC, {1: 5}, None, bytes(32)], Code.MALFORMED),
        (Tag(17, []), Code.MALFORMED),
    ],
)
def test_a_mac_outside_the_profile_is_refused(value, code):
    """RFC 9053 3.1: HMAC 256/256 with its whole tag, and nothing shorter."""
    with refuses(code):
        cose.Mac0.parse(value)


def test_a_mac_goes_there_and_back():
    mac0 = cose.Mac0.parse([cose.PROTECTED_MAC, {}, b"x", cose.mac(b"secret", b"x")])
    mac0.check(b"secret")
    assert mac0.encode() == [cose.PROTECTED_MAC, {}, b"x", mac0.signature]
    with refuses(Code.BAD_SIGNATURE):
        mac0.check(b"other")
