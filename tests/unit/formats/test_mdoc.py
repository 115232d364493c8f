"""ISO mdoc: issue, disclose, present, open; and what ISO/IEC 18013-5 9.1 and 9.3 say must be refused."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from hands import NOW, Hand, public_vectors, refuses
from mapae.clock import SeededDice
from mapae.errors import Code
from mapae.formats import cbor, cose, mdoc, x509
from mapae.formats.cbor import Tag
from mapae.formats.jose import PublicKey
from mapae.formats.mdoc import DeviceResponse, IssuerSigned, Mso, Validity, shapes
from mapae.formats.status import StatusRef

ISSUER, DEVICE = Hand("issuer"), Hand("device")
NS = "kr.mapae.resident.1"
VALIDITY = Validity(NOW, NOW, NOW + timedelta(days=30))
STATUS = StatusRef("https://issuer.example/status/1", 7)
ELEMENTS = {
    "name": "지수",
    "birth_date": date(2001, 3, 9),
    "issued": NOW,
    "portrait": bytes(2000),
    "age_over_19": True,
    "number": 5,
    "rights": [{"class": "A", "since": date(2020, 1, 1)}],
}
TRANSCRIPT = mdoc.openid4vp_transcript(
    client_id="x509_hash:abc", nonce="n1", response_uri="https://v.example/r", thumbprint=bytes(32)
)


def issue(
    elements: dict[str, Any] = ELEMENTS, doctype: str = "kr.mapae.resident.1", seed: int = 1, **change: Any
) -> IssuerSigned:
    options = {"device_key": DEVICE.key, "validity": VALIDITY, "x5chain": [b"\x30\x00"], "status": STATUS}
    draft = mdoc.draft(doctype, {NS: elements}, entropy=SeededDice(seed).bytes, **(options | change))
    return IssuerSigned.parse(draft.complete(ISSUER.sign(draft.signing_input)))


def presented(card: IssuerSigned, transcript: bytes = TRANSCRIPT, holder: Hand = DEVICE) -> bytes:
    return mdoc.present(card, session_transcript=transcript, holder=holder)


def test_everything_issued_opens():
    card = issue()
    assert card.open(ISSUER.key) == {NS: ELEMENTS}
    assert card.mso.validity == VALIDITY
    assert card.mso.status == STATUS
    assert card.mso.device_key == DEVICE.key
    assert card.x5chain == (b"\x30\x00",)
    assert card.names == {NS: tuple(ELEMENTS)}
    assert issue(status=None).mso.status is None
    update = NOW + timedelta(days=20)
    assert issue(validity=Validity(NOW, NOW, update, update)).mso.validity.expected_update == update


def test_what_we_write_is_deterministic_cbor():
    card = issue()
    assert cbor.loads(card.encode(), deterministic=True)
    assert cbor.loads(cbor.embedded(cbor.loads(card.auth.payload)), deterministic=True)
    for item in card.items[NS]:
        assert cbor.loads(cbor.embedded(cbor.loads(item.raw)), deterministic=True)
    again = IssuerSigned(card.items, card.auth, card.mso)
    assert again.encode() == card.encode()
    assert cbor.loads(presented(card), deterministic=True)


def test_numbers_and_salts_say_nothing_about_elements():
    card = issue()
    numbers = [item.number for item in card.items[NS]]
    assert sorted(numbers) == list(range(len(ELEMENTS)))
    assert numbers != sorted(numbers)


def test_only_what_was_asked_is_disclosed():
    card = issue()
    shown = card.disclose({NS: ["age_over_19", "no such"], "other": ["name"]})
    assert IssuerSigned.parse(shown.encode()).open(ISSUER.key) == {NS: {"age_over_19": True}}
    nothing = IssuerSigned.parse(card.disclose({}).encode())
    assert nothing.open(ISSUER.key) == {}


def test_a_presentation_is_bound_to_its_session():
    raw = presented(issue().disclose({NS: ["name"]}))
    response = DeviceResponse.parse(raw)
    assert response.encode() == raw
    (document,) = response.documents
    assert document.doctype == "kr.mapae.resident.1"
    assert document.issuer_signed.open(ISSUER.key) == {NS: {"name": "지수"}}
    document.check_device(TRANSCRIPT)
    for change in (
        {"client_id": "x509_hash:abd"},
        {"nonce": "n2"},
        {"response_uri": "https://v.example/s"},
        {"thumbprint": None},
    ):
        options = {"client_id": "x509_hash:abc", "nonce": "n1", "response_uri": "https://v.example/r"}
        other = mdoc.openid4vp_transcript(**({"thumbprint": bytes(32)} | options | change))
        with refuses(Code.BAD_HOLDER_PROOF):
            document.check_device(other)
    (stolen,) = DeviceResponse.parse(presented(issue(), holder=Hand("thief"))).documents
    with refuses(Code.BAD_HOLDER_PROOF):
        stolen.check_device(TRANSCRIPT)


def test_another_issuer_is_not_the_issuer():
    with refuses(Code.BAD_SIGNATURE):
        issue().open(Hand("another").key)


def decoded(card: IssuerSigned | None = None) -> dict[str, Any]:
    return cbor.loads((card or issue()).encode())


def item(**change: Any) -> Tag:
    content = {"random": bytes(16), "digestID": 0, "elementValue": 1, "elementIdentifier": "x"} | change
    return Tag(24, cbor.dumps({name: value for name, value in content.items() if value is not None}))


@pytest.mark.parametrize(
    ("namespaces", "code", "words"),
    [
        ({NS: [item()]}, Code.BAD_DIGEST, "not covered"),
        ({NS: [item(digestID=99)]}, Code.BAD_DIGEST, "not covered"),
        ({"added.namespace": [item()]}, Code.BAD_DIGEST, "not covered"),
        ({NS: []}, Code.MALFORMED, "list of elements"),
        ({NS: {}}, Code.MALFORMED, "list of elements"),
        ({5: [item()]}, Code.MALFORMED, "list of elements"),
        ([], Code.MALFORMED, "nameSpaces"),
        ({NS: [item().value]}, Code.MALFORMED, "inside"),
        ({NS: [item(random=bytes(15))]}, Code.MALFORMED, "salt"),
        ({NS: [item(random="x" * 16)]}, Code.MALFORMED, "salt"),
        ({NS: [item(digestID="0")]}, Code.MALFORMED, "a number"),
        ({NS: [item(digestID=True)]}, Code.MALFORMED, "a number"),
        ({NS: [item(elementIdentifier=5)]}, Code.MALFORMED, "a number"),
        ({NS: [item(surplus=5)]}, Code.MALFORMED, "a number"),
        ({NS: [item(digestID=None)]}, Code.MALFORMED, "a number"),
        ({NS: [item(elementValue=Tag(1004, "20010309"))]}, Code.MALFORMED, "not a date"),
        ({NS: [item(elementValue=Tag(1004, "2001-W10-5"))]}, Code.MALFORMED, "not a date"),
        ({NS: [item(elementValue=Tag(1004, "2001W105"))]}, Code.MALFORMED, "not a date"),
        ({NS: [item(elementValue=Tag(1004, "2001-03-09 "))]}, Code.MALFORMED, "not a date"),
        ({NS: [item(elementValue=Tag(1004, 5))]}, Code.MALFORMED, "not a date"),
        ({NS: [item(elementValue=Tag(0, "2001-03-09"))]}, Code.MALFORMED, "date and time"),
        ({NS: [item(elementValue=Tag(0, "2001-03-09T00:00:00+00:00"))]}, Code.MALFORMED, "date and time"),
        ({NS: [item(elementValue=Tag(2, b"\x01" * 9))]}, Code.UNSUPPORTED, "type we do not read"),
    ],
)
def test_elements_the_issuer_did_not_sign_are_refused(namespaces, code, words):
    parts = decoded() | {"nameSpaces": namespaces}
    with refuses(code, words):
        IssuerSigned.parse(cbor.dumps(parts)).open(ISSUER.key)


def test_an_element_shown_twice_is_refused():
    parts = decoded()
    parts["nameSpaces"][NS] = [*parts["nameSpaces"][NS], parts["nameSpaces"][NS][0]]
    with refuses(Code.MALFORMED, "twice"):
        IssuerSigned.parse(cbor.dumps(parts)).open(ISSUER.key)


def test_an_element_moved_to_another_namespace_is_refused():
    parts = decoded()
    parts["nameSpaces"] = {"other": parts["nameSpaces"][NS]}
    with refuses(Code.BAD_DIGEST):
        IssuerSigned.parse(cbor.dumps(parts)).open(ISSUER.key)


def with_mso(**change: Any) -> bytes:
    """The same mdoc with a security object changed and signed again by the issuer."""
    parts = decoded()
    mso = cbor.loads(cbor.embedded(cbor.loads(parts["issuerAuth"][2]))) | change
    payload = cbor.embed(cbor.dumps({name: value for name, value in mso.items() if value is not None}))
    parts["issuerAuth"][2:] = [payload, ISSUER.sign(cose.to_be_signed(payload))]
    return cbor.dumps(parts)


def times(**change: str) -> dict[str, Tag]:
    said = {"signed": "2026-01-01T00:00:00Z", "validFrom": "2026-01-01T00:00:00Z", "validUntil": "2026-02-01T00:00:00Z"}
    return {name: Tag(0, text) for name, text in (said | change).items()}


def test_what_later_editions_add_to_a_security_object_is_passed_over():
    """ISO/IEC 18013-5 9.1.2.4: elements reserved for future use; keyInfo; a status by a mechanism we do not know."""
    key_info = cbor.loads(cbor.embedded(cbor.loads(decoded()["issuerAuth"][2])))["deviceKeyInfo"]
    later = {
        "someday": {"x": Tag(99, 1)},
        "deviceKeyInfo": key_info | {"keyInfo": {1: "x", -1: b""}},
        "validityInfo": times() | {"other": 1},
        "status": {"identifier_list": {"id": b"1", "uri": "https://issuer.example/list"}},
    }
    card = IssuerSigned.parse(with_mso(**later))
    assert card.open(ISSUER.key) == {NS: ELEMENTS}
    assert card.mso.status is None
    both = {"status": later["status"] | STATUS.claim()}
    assert IssuerSigned.parse(with_mso(**both)).mso.status == STATUS


def test_a_device_key_on_another_curve_is_refused_and_breaks_nothing():
    """HAIP 1.0 7: P-256 for everything that is verified."""
    p384 = {1: 2, -1: 2, -2: bytes(48), -3: bytes(48)}
    for key in (p384, {1: 1, -1: 6, -2: bytes(32)}):
        with refuses(Code.UNSUPPORTED, "P-256"):
            IssuerSigned.parse(with_mso(deviceKeyInfo={"deviceKey": key}))


def test_a_changed_security_object_is_read_when_it_is_right():
    card = IssuerSigned.parse(with_mso(validityInfo=times()))
    assert card.open(ISSUER.key) == {NS: ELEMENTS}
    assert card.mso.validity.valid_until == datetime(2026, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"version": "2.0"}, Code.UNSUPPORTED),
        ({"digestAlgorithm": "SHA-512"}, Code.UNSUPPORTED),
        ({"digestAlgorithm": None}, Code.UNSUPPORTED),
        ({"docType": 5}, Code.MALFORMED),
        ({"valueDigests": []}, Code.MALFORMED),
        ({"valueDigests": {NS: {0: bytes(31)}}}, Code.MALFORMED),
        ({"valueDigests": {NS: {"0": bytes(32)}}}, Code.MALFORMED),
        ({"valueDigests": {NS: {-1: bytes(32)}}}, Code.MALFORMED),
        ({"valueDigests": {5: {}}}, Code.MALFORMED),
        ({"valueDigests": {NS: {True: bytes(32)}}}, Code.MALFORMED),
        ({"valueDigests": {NS: []}}, Code.MALFORMED),
        ({"valueDigests": {str(n): {} for n in range(65)}}, Code.TOO_LARGE),
        ({"docType": None}, Code.MALFORMED),
        ({"deviceKeyInfo": None}, Code.MALFORMED),
        ({"deviceKeyInfo": {}}, Code.MALFORMED),
        ({"validityInfo": None}, Code.MALFORMED),
        ({"validityInfo": times(signed="2026-01-01T00:00:00.5Z")}, Code.MALFORMED),
        ({"validityInfo": times(signed="2026-01-01T00:00:00+09:00")}, Code.MALFORMED),
        ({"validityInfo": times(signed="2026-02-30T00:00:00Z")}, Code.MALFORMED),
        ({"validityInfo": times(signed="2026-01-02T00:00:00Z")}, Code.MALFORMED),
        ({"validityInfo": times(validUntil="2026-01-01T00:00:00Z")}, Code.MALFORMED),
        ({"validityInfo": {"signed": "2026-01-01T00:00:00Z"}}, Code.MALFORMED),
        ({"validityInfo": times() | {"expectedUpdate": "2026-01-20T00:00:00Z"}}, Code.MALFORMED),
        ({"validityInfo": times() | {"expectedUpdate": None}}, Code.MALFORMED),
        ({"status": {"status_list": {"idx": "1", "uri": "x"}}}, Code.MALFORMED),
        ({"status": []}, Code.MALFORMED),
    ],
)
def test_a_security_object_outside_the_profile_is_refused(change, code):
    with refuses(code):
        IssuerSigned.parse(with_mso(**change))


def test_a_signature_without_its_payload_is_refused():
    parts = decoded()
    parts["issuerAuth"][2] = None
    with refuses(Code.MALFORMED, "missing"):
        IssuerSigned.parse(cbor.dumps(parts))
    for raw in (b"", b"\xa0", b"\x80", cbor.dumps({"issuerAuth": []})):
        with refuses(Code.MALFORMED):
            IssuerSigned.parse(raw)


# --- shapes of security objects -----------------------------------------------------------------------------------


@pytest.fixture
def no_shapes(monkeypatch):
    monkeypatch.setattr(shapes, "_known", {})
    return shapes._known


def copies(number: int, **change: Any) -> list[IssuerSigned]:
    """Of one batch: other keys, salts and status indexes."""
    return [
        issue(device_key=Hand(f"device {n}").key, status=StatusRef(STATUS.uri, 1000 + n), seed=n, **change)
        for n in range(number)
    ]


def test_a_copy_of_a_batch_already_seen_is_cut_and_says_the_same(no_shapes):
    first, second = copies(2)
    assert not second.cut
    first.open(ISSUER.key)
    again = IssuerSigned.parse(second.encode())
    assert again.cut
    assert again == second
    assert again.mso == Mso.parse(second.auth.payload)
    assert again.open(ISSUER.key) == {NS: ELEMENTS}


def test_nothing_is_learnt_from_what_nobody_signed(no_shapes):
    [one] = copies(1)
    one.peek()
    with refuses(Code.BAD_SIGNATURE):
        one.open(Hand("another").key)
    assert no_shapes == {}


@pytest.mark.parametrize(
    "change",
    [
        {"validity": Validity(NOW, NOW, NOW + timedelta(days=31))},
        {"status": StatusRef("https://issuer.example/status/2", 1001)},
        {"status": StatusRef(STATUS.uri, 2**20)},
        {"status": None},
        {"elements": ELEMENTS | {"one": 1}},
        {"doctype": "kr.mapae.resident.2"},
        {"authorized": mdoc.KeyAuthorizations(frozenset({"x"}))},
    ],
)
def test_another_security_object_has_another_shape(no_shapes, change):
    copies(1)[0].open(ISSUER.key)
    other = issue(**({"status": StatusRef(STATUS.uri, 1001)} | change))
    assert not other.cut
    assert other.mso == Mso.parse(other.auth.payload)
    other.open(ISSUER.key)
    assert IssuerSigned.parse(other.encode()).cut


def test_a_digest_on_another_curve_point_is_refused_by_shape_too(no_shapes):
    first, second = copies(2)
    first.open(ISSUER.key)
    payload = second.auth.payload.replace(second.mso.device_key.x, bytes(32))
    with refuses(Code.MALFORMED, "not a point"):
        shapes.read(payload)


def test_shapes_are_bounded(no_shapes):
    for length in range(shapes.MAX_LENGTHS + 5):
        issue(doctype="d" * (length + 1)).open(ISSUER.key)
    assert len(no_shapes) == shapes.MAX_LENGTHS
    for day in range(shapes.MAX_SHAPES + 2):
        issue(validity=Validity(NOW, NOW, NOW + timedelta(days=day + 1))).open(ISSUER.key)
    assert max(len(known) for known in no_shapes.values()) == shapes.MAX_SHAPES


def test_a_security_object_that_cannot_be_cut_is_parsed_each_time(no_shapes):
    """The same digest twice; a key by the sign of y: the parser reads them, no shape is made."""
    for change in (
        {"valueDigests": {NS: dict.fromkeys(range(2), bytes(32))}},
        {"deviceKeyInfo": {"deviceKey": {1: 2, -1: 1, -2: DEVICE.key.x, -3: bool(DEVICE.key.y[-1] & 1)}}},
    ):
        parts = decoded_from(with_mso(**change))
        IssuerSigned.parse(cbor.dumps({"issuerAuth": parts["issuerAuth"]})).open(ISSUER.key)
    assert no_shapes == {}


def decoded_from(raw: bytes) -> dict[str, Any]:
    return cbor.loads(raw)


def response(**change: Any) -> bytes:
    return cbor.dumps(cbor.loads(presented(issue())) | change)


def document(**change: Any) -> bytes:
    whole = cbor.loads(presented(issue()))
    whole["documents"][0] |= change
    return cbor.dumps(whole)


EMPTY = Tag(24, b"\xa0")


@pytest.mark.parametrize(
    ("raw", "code", "words"),
    [
        (response(version="1.1"), Code.UNSUPPORTED, "version"),
        (response(status=False), Code.MALFORMED, "status"),
        (response(status=-1), Code.MALFORMED, "status"),
        (response(documents=[]), Code.MALFORMED, "empty list"),
        (response(documents=None), Code.MALFORMED, "empty list"),
        (response(documentErrors={}), Code.MALFORMED, "documentErrors"),
        (response(documentErrors=[{"a": "b"}]), Code.MALFORMED, "documentErrors"),
        (document(errors={}), Code.MALFORMED, "errors"),
        (document(errors={NS: {}}), Code.MALFORMED, "errors"),
        (document(errors={NS: {"name": True}}), Code.MALFORMED, "errors"),
        (document(errors={5: {"name": 0}}), Code.MALFORMED, "errors"),
        (response(documents=[1] * 9), Code.MALFORMED, "too many"),
        (response(documents=[1]), Code.MALFORMED, "a document"),
        (document(docType="org.iso.18013.5.1.mDL"), Code.MALFORMED, "docType"),
        (document(deviceSigned=None), Code.MALFORMED, "deviceSigned"),
        (document(deviceSigned={"nameSpaces": EMPTY}), Code.MALFORMED, "deviceAuth"),
        (
            document(deviceSigned={"nameSpaces": EMPTY, "deviceAuth": {"deviceMac": []}}),
            Code.MALFORMED,
            "four parts",
        ),
        (document(deviceSigned={"nameSpaces": EMPTY, "deviceAuth": {}}), Code.MALFORMED, "one of the two"),
        (document(deviceSigned={"nameSpaces": EMPTY, "deviceAuth": {"other": []}}), Code.UNSUPPORTED, "neither"),
        (response() + b"\x00", Code.MALFORMED, "follows"),
        (response(surplus=1), Code.MALFORMED, "should not have"),
        (document(surplus=1), Code.MALFORMED, "should not have"),
        (document(issuerSigned={"namespaces": {}}), Code.MALFORMED, "should not have"),
        (document(deviceSigned={"surplus": 1}), Code.MALFORMED, "should not have"),
    ],
)
def test_a_response_outside_the_profile_is_refused(raw, code, words):
    with refuses(code, words):
        DeviceResponse.parse(raw)


def test_a_device_signature_that_carries_its_own_payload_is_refused():
    whole = cbor.loads(presented(issue()))
    whole["documents"][0]["deviceSigned"]["deviceAuth"]["deviceSignature"][2] = b"x"
    (seen,) = DeviceResponse.parse(cbor.dumps(whole)).documents
    with refuses(Code.BAD_HOLDER_PROOF):
        seen.check_device(TRANSCRIPT)


@pytest.mark.parametrize("value", [datetime(2026, 1, 1), {1, 2}, Tag(1, 1), 2**64, "\ud800", ["\ud800"]])  # noqa: DTZ001
def test_a_value_mdoc_does_not_have_is_not_issued(value):
    with refuses(Code.LINT):
        issue({"x": value})


# --- public vectors -----------------------------------------------------------------------------------------------


def test_the_session_transcripts_of_openid4vp_b_2_6():
    vector = json.loads(public_vectors("openid4vp/session-transcript.json").read_text())
    redirect, api = vector["redirect"], vector["dc_api"]
    thumbprint = PublicKey.from_jwk(redirect["jwk"]).thumbprint_raw
    made = mdoc.openid4vp_transcript(
        client_id=redirect["client_id"],
        nonce=redirect["nonce"],
        response_uri=redirect["response_uri"],
        thumbprint=thumbprint,
    )
    assert made.hex() == redirect["session_transcript_hex"]
    made = mdoc.openid4vp_dc_api_transcript(origin=api["origin"], nonce=api["nonce"], thumbprint=thumbprint)
    assert made.hex() == api["session_transcript_hex"]


def test_the_issuer_signed_part_of_iso_18013_5_annex_d_opens():
    vectors = json.loads(public_vectors("iso-18013-5-annex-d/annex-d.json").read_text())["vectors"]
    raw = bytes.fromhex(vectors["ISO_18013_5_ANNEX_D_DEVICE_RESPONSE"])
    card = IssuerSigned.of(cbor.loads(raw)["documents"][0]["issuerSigned"])
    assert card.x5chain[0].hex() == vectors["ISO_18013_5_ANNEX_D_DS_CERT"]
    elements = card.open(x509.leaf_key(card.x5chain[0]))["org.iso.18013.5.1"]
    assert elements["family_name"] == "Doe"
    assert elements["issue_date"] == date(2019, 10, 20)
    assert elements["driving_privileges"][0]["expiry_date"] == date(2024, 10, 20)
    portrait = bytes.fromhex(vectors["ISO_18013_5_ANNEX_D_DEVICE_RESPONSE_PORTRAIT_DATA"])
    assert hashlib.sha256(elements["portrait"]).digest() == hashlib.sha256(portrait).digest()


def foreign(name: str) -> bytes:
    cases = json.loads(public_vectors("mdoc-foreign/animo-mdoc-examples.json").read_text())["cases"]
    text = next(value for key, value in cases[name].items() if "ertificate" not in key).strip()
    try:
        return bytes.fromhex(text)
    except ValueError:
        return base64.b64decode(text.replace("-", "+").replace("_", "/") + "==")


@pytest.mark.parametrize("name", ["animo-mdoc-05", "ubique", "france"])
def test_responses_of_other_deployments_open(name):
    (shown,) = DeviceResponse.parse(foreign(name)).documents
    assert shown.issuer_signed.open(x509.leaf_key(shown.issuer_signed.x5chain[0]))


def test_a_credential_of_another_deployment_opens():
    card = IssuerSigned.parse(foreign("bdr"))
    assert card.encode() == foreign("bdr")
    assert "family_name" in card.open(x509.leaf_key(card.x5chain[0]))["org.iso.18013.5.1"]


def test_a_deployment_that_dates_with_fractions_of_a_second_is_refused():
    """ISO/IEC 18013-5 9.1.2.4 does not allow them; this one has them."""
    with refuses(Code.MALFORMED, "fractions"):
        DeviceResponse.parse(foreign("google"))


FOREIGN = "mdoc-foreign/isomdl-definitions.json"


def test_the_structures_of_isomdl_are_read_or_refused_for_a_reason():
    found = json.loads(public_vectors(FOREIGN).read_text())["definitions"]
    whole = IssuerSigned.parse(bytes.fromhex(found["issuer_signed.cbor"]))
    assert whole.peek()["org.iso.18013.5.1"]["family_name"] == "Doe"
    dry = IssuerSigned.parse(bytes.fromhex(found["issuer_signed_dehydrated.cbor"]))
    with refuses(Code.BAD_DIGEST):  # values were taken out to be stored elsewhere
        dry.peek()
    with refuses(Code.MALFORMED, "four parts"):  # ISO/IEC 18013-5 9.1.2.4: COSE_Sign1 untagged; this one is tagged
        DeviceResponse.parse(bytes.fromhex(found["device_response.cbor"]))
    mac0 = cose.Mac0.parse(cbor.loads(bytes.fromhex(found["cose/mac0/serialized.cbor"])))
    mac0.check(bytes.fromhex(found["cose/mac0/secret_key"]))
    text = json.loads(public_vectors(FOREIGN).read_text())["stringified"]["test/stringified-mdl.txt"].strip()
    with refuses(Code.MALFORMED, "should not have"):  # a store of its own, not an IssuerSigned
        IssuerSigned.parse(base64.urlsafe_b64decode(text.replace("+", "-").replace("/", "_") + "=="))
