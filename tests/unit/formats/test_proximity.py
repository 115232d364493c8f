"""Two devices next to each other: engagement, session keys, messages (ISO/IEC 18013-5 8.2, 9.1.1), and its Annex D."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
from datetime import date

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from hands import Hand, public_vectors, refuses
from mapae.errors import Code
from mapae.formats import cbor, cose, mdoc, proximity, x509
from mapae.formats.cbor import Tag
from mapae.formats.jose import PublicKey
from mapae.formats.mdoc import DeviceRequest, DeviceResponse, MacKey
from mapae.formats.proximity import Ble, DeviceEngagement, EphemeralKey, Establishment, Nfc, Other, Session, SessionData
from mapae.formats.proximity import Wifi as WifiAware

DEVICE, READER = EphemeralKey(bytes(range(48))), EphemeralKey(bytes(range(48, 96)))
METHODS = (
    Ble(peripheral=False, central=True, central_uuid=bytes(16), address=bytes(6)),
    Nfc(255, 256),
    WifiAware("pass", 81, 6, b"\x01"),
    Other(9, 1, {0: True}),
)


def met() -> tuple[Session, Session]:
    seen = DeviceEngagement.parse(proximity.engagement(DEVICE.public, METHODS))
    transcript = mdoc.qr_transcript(engagement=seen.raw, reader_key=READER.cose)
    return (
        Session.of_device(DEVICE, READER.public, transcript),
        Session.of_reader(READER, seen.key, transcript),
    )


# --- Annex D ------------------------------------------------------------------------------------------------------


class Key:
    """A private key given as a number."""

    def __init__(self, secret: bytes) -> None:
        self._private = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())
        self.public = PublicKey.from_crypto(self._private.public_key())

    def agree(self, public: PublicKey) -> bytes:
        return self._private.exchange(ec.ECDH(), public.crypto)


@pytest.fixture(scope="module")
def annex_d() -> dict[str, bytes]:
    vectors = json.loads(public_vectors("iso-18013-5-annex-d/annex-d.json").read_text())["vectors"]
    return {name.removeprefix("ISO_18013_5_ANNEX_D_"): bytes.fromhex(value) for name, value in vectors.items()}


def test_the_engagement_of_annex_d_2_1(annex_d):
    seen = DeviceEngagement.parse(annex_d["DEVICE_ENGAGEMENT"])
    assert (seen.key.x, seen.key.y) == (annex_d["EPHEMERAL_DEVICE_KEY_X"], annex_d["EPHEMERAL_DEVICE_KEY_Y"])
    assert cbor.embed(seen.key_raw) == annex_d["E_DEVICE_KEY_BYTES"]
    [ble] = seen.methods
    assert (ble.peripheral, ble.central, ble.peripheral_uuid) == (False, True, None)
    assert ble.central_uuid.hex() == "45efef742b2c4837a9a3b0e1d05a6917"
    assert proximity.engagement(seen.key, seen.methods) == seen.raw
    assert proximity.from_uri(proximity.uri(seen.raw)) == seen.raw


def test_the_transcript_of_annex_d_5_1_over_nfc_handover(annex_d):
    """The example's handover is NFC: its two messages are inside the published bytes."""
    published = cbor.unwrap(annex_d["SESSION_TRANSCRIPT_BYTES"])
    engagement, reader_key, (select, request) = cbor.loads(published)
    made = mdoc.nfc_transcript(
        engagement=cbor.embedded(engagement), reader_key=cbor.embedded(reader_key), select=select, request=request
    )
    assert made == published
    assert cbor.embed(made) == annex_d["SESSION_TRANSCRIPT_BYTES"]


def published_transcript(annex_d) -> bytes:
    return cbor.unwrap(annex_d["SESSION_TRANSCRIPT_BYTES"])


def test_the_session_of_annex_d_5_1_from_both_sides(annex_d):
    """SessionEstablishment and SessionData open by the keys of both sides, to the published request and response."""
    at = published_transcript(annex_d)
    device, reader = Key(annex_d["EPHEMERAL_DEVICE_KEY_D"]), Key(annex_d["EPHEMERAL_READER_KEY_D"])
    first = Establishment.parse(annex_d["SESSION_ESTABLISHMENT"])
    assert first.encode() == annex_d["SESSION_ESTABLISHMENT"]
    assert first.reader_key == reader.public
    here, there = Session.of_device(device, first.reader_key, at), Session.of_reader(reader, device.public, at)
    request = here.open(first.data)
    assert request == annex_d["DEVICE_REQUEST"]
    assert there.seal(request) == first.data
    reply = SessionData.parse(annex_d["SESSION_DATA"])
    assert (reply.status, reply.encode()) == (None, annex_d["SESSION_DATA"])
    assert there.open(reply.data) == annex_d["DEVICE_RESPONSE"]
    assert here.seal(annex_d["DEVICE_RESPONSE"]) == reply.data
    end = SessionData.parse(annex_d["SESSION_TERMINATION"])
    assert (end.data, end.status) == (None, proximity.TERMINATION)
    assert proximity.session_data(status=proximity.TERMINATION) == end.raw


def test_the_request_of_annex_d_4_1_1_with_its_reader(annex_d):
    request = DeviceRequest.parse(annex_d["DEVICE_REQUEST"])
    assert request.encode() == annex_d["DEVICE_REQUEST"]
    [asked] = request.requests
    assert asked.items_request == annex_d["ITEMS_REQUEST"]
    assert asked.doctype == "org.iso.18013.5.1.mDL"
    assert asked.elements["org.iso.18013.5.1"]["family_name"] is True
    assert asked.elements["org.iso.18013.5.1"]["portrait"] is False
    assert asked.x5chain == (annex_d["READER_CERT"],)
    assert asked.reader_auth.encode() == cbor.loads(annex_d["READER_AUTH"])
    key = x509.leaf_key(annex_d["READER_CERT"])
    asked.check_reader(key, published_transcript(annex_d))
    with refuses(Code.BAD_SIGNATURE):
        asked.check_reader(key, mdoc.qr_transcript(engagement=b"\xa0", reader_key=b"\xa0"))


def test_the_response_of_annex_d_4_1_2_with_its_mac(annex_d):
    response = DeviceResponse.parse(annex_d["DEVICE_RESPONSE"])
    assert response.encode() == annex_d["DEVICE_RESPONSE"]
    document = response.one()
    assert document.issuer_signed.x5chain[0] == annex_d["DS_CERT"]
    elements = document.issuer_signed.open(x509.leaf_key(annex_d["DS_CERT"]))["org.iso.18013.5.1"]
    assert elements["family_name"] == "Doe"
    assert elements["issue_date"] == date(2019, 10, 20)
    assert elements["driving_privileges"][0]["expiry_date"] == date(2024, 10, 20)
    portrait = annex_d["DEVICE_RESPONSE_PORTRAIT_DATA"]
    assert hashlib.sha256(elements["portrait"]).digest() == hashlib.sha256(portrait).digest()

    at, reader = published_transcript(annex_d), Key(annex_d["EPHEMERAL_READER_KEY_D"])
    assert document.check_device(at, reader) == {}
    ours = MacKey.between(Key(annex_d["STATIC_DEVICE_KEY_D"]), reader.public, at)
    assert ours == MacKey.between(reader, document.issuer_signed.mso.device_key, at)
    shown = mdoc.present(document.issuer_signed, session_transcript=at, holder=ours)
    assert DeviceResponse.parse(shown).one().device_signed == document.device_signed
    with refuses(Code.BAD_HOLDER_PROOF, "does not fit"):
        document.check_device(at, Key(bytes(31) + b"\x02"))
    with refuses(Code.BAD_HOLDER_PROOF, "reader with a key"):
        document.check_device(at)


def test_the_messages_and_keys_of_isomdl_are_read():
    definitions = json.loads(public_vectors("mdoc-foreign/isomdl-definitions.json").read_text())["definitions"]
    first = Establishment.parse(bytes.fromhex(definitions["session/session_establishment.cbor"]))
    at = cbor.unwrap(bytes.fromhex(definitions["session/session_transcript.cbor"]))
    device = Key(bytes.fromhex(definitions["session/e_device_key.cbor"]))
    shared = device.agree(first.reader_key)
    assert shared.hex() == definitions["session/shared_secret.cbor"]
    assert mdoc.session_secret(shared, at, b"SKReader").hex() == definitions["session/reader_session_key.cbor"]
    assert DeviceRequest.parse(Session.of_device(device, first.reader_key, at).open(first.data))


# --- engagement ---------------------------------------------------------------------------------------------------


def test_an_engagement_goes_there_and_back():
    raw = proximity.engagement(DEVICE.public, METHODS, origins=["https://shop.example"])
    seen = DeviceEngagement.parse(raw)
    assert (seen.key, seen.methods, seen.origins, seen.encode()) == (
        DEVICE.public, METHODS, ("https://shop.example",), raw,
    )  # fmt: skip
    assert cbor.loads(raw, deterministic=True)[0] == "1.1"
    plain = DeviceEngagement.parse(proximity.engagement(DEVICE.public, []))
    assert (plain.methods, plain.origins) == ((), ())


KEY = Tag(24, DEVICE.cose)


def engaged(**change: object) -> bytes:
    parts = {0: "1.0", 1: [1, KEY], 2: []} | {int(name[1:]): value for name, value in change.items()}
    return cbor.dumps({label: value for label, value in parts.items() if value is not None})


@pytest.mark.parametrize(
    ("raw", "code", "words"),
    [
        (b"", Code.MALFORMED, "not the CBOR"),
        (bytes(5_000), Code.TOO_LARGE, "too large"),
        (cbor.dumps([]), Code.MALFORMED, "engagement"),
        (engaged(_0="2.0"), Code.UNSUPPORTED, "version"),
        (engaged(_0=None), Code.UNSUPPORTED, "version"),
        (engaged(_0={}), Code.UNSUPPORTED, "version"),
        (cbor.dumps({0: "1.0", 1: [1, KEY], "x": 1}), Code.MALFORMED, "numbered"),
        (engaged(_1=None), Code.MALFORMED, "cipher suite"),
        (engaged(_1=[1]), Code.MALFORMED, "cipher suite"),
        (engaged(_1=[True, KEY]), Code.MALFORMED, "cipher suite"),
        (engaged(_1=[2, KEY]), Code.UNSUPPORTED, "cipher suite"),
        (engaged(_1=[1, DEVICE.cose]), Code.MALFORMED, "CBOR inside"),
        (engaged(_1=[1, Tag(24, b"\xa0")]), Code.UNSUPPORTED, "P-256"),
        (engaged(_2={}), Code.MALFORMED, "short lists"),
        (engaged(_2=[[2, 1, {0: True, 1: True}]] * 17), Code.MALFORMED, "short lists"),
        (engaged(_2=[[2, 1]]), Code.MALFORMED, "retrieval method"),
        (engaged(_2=[[2, 1, {0: True}]]), Code.MALFORMED, "missing"),
        (engaged(_2=[[2, 1, {0: 1, 1: True}]]), Code.MALFORMED, "wrong type"),
        (engaged(_2=[[2, 1, {0: True, 1: True, 10: bytes(15)}]]), Code.MALFORMED, "UUID"),
        (engaged(_2=[[2, 1, {0: False, 1: True, 10: bytes(16)}]]), Code.MALFORMED, "UUID"),
        (engaged(_2=[[1, 1, {0: True, 1: 5}]]), Code.MALFORMED, "wrong type"),
        (engaged(_2=[[3, 1, {1: "x"}]]), Code.MALFORMED, "wrong type"),
        (engaged(_5=[1]), Code.MALFORMED, "origin"),
        (engaged(_5=[{"cat": 1}]), Code.MALFORMED, "category"),
        (engaged(_5=[{"cat": 1, "type": 1, "details": {}}]), Code.MALFORMED, "domain"),
    ],
)
def test_an_engagement_outside_the_standard_is_refused(raw, code, words):
    with refuses(code, words):
        DeviceEngagement.parse(raw)


def test_what_later_editions_add_to_an_engagement_is_passed_over():
    """ISO/IEC 18013-5 8.2.1.1: further numbers are reserved for future use."""
    seen = DeviceEngagement.parse(engaged(_6={"x": 1}, _2=[[2, 2, {}]], _5=[{"cat": 0, "type": 9, "details": 1}]))
    assert seen.methods == (Other(2, 2, {}),)
    assert seen.origins == ()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("http:AA", Code.MALFORMED),
        ("MDOC:AA", Code.MALFORMED),
        ("mdoc://AA", Code.MALFORMED),
        ("mdoc:AA=", Code.MALFORMED),
        ("mdoc:" + "A" * 10_000, Code.TOO_LARGE),
    ],
)
def test_a_code_that_is_no_engagement_is_refused(text, code):
    with refuses(code):
        proximity.from_uri(text)


# --- sessions -----------------------------------------------------------------------------------------------------


def test_messages_go_both_ways_in_order():
    device, reader = met()
    for number in range(3):
        assert device.open(reader.seal(b"ask %d" % number)) == b"ask %d" % number
        assert reader.open(device.seal(b"answer %d" % number)) == b"answer %d" % number


def test_no_two_messages_are_encrypted_alike():
    device, _ = met()
    assert len({device.seal(b"same") for _ in range(50)}) == 50


@pytest.mark.parametrize("meddle", ["repeat", "skip", "bend", "cut", "mirror"])
def test_a_message_that_is_not_the_next_one_ends_the_session(meddle):
    device, reader = met()
    first, second = reader.seal(b"one"), reader.seal(b"two")
    if meddle == "repeat":
        device.open(first)
    wrong = {
        "repeat": first, "skip": second, "bend": bytes([first[0] ^ 1]) + first[1:], "cut": first[:8],
        "mirror": device.seal(b"one"),
    }[meddle]  # fmt: skip
    with refuses(Code.MALFORMED, "decrypted"):
        device.open(wrong)
    with refuses(Code.SESSION_SPENT):
        device.open(second)
    with refuses(Code.SESSION_SPENT):
        device.seal(b"more")


def test_a_message_of_another_session_does_not_open():
    _, reader = met()
    elsewhere = mdoc.qr_transcript(engagement=b"\xa0", reader_key=READER.cose)
    with refuses(Code.MALFORMED, "decrypted"):
        Session.of_device(DEVICE, READER.public, elsewhere).open(reader.seal(b"x"))


def test_a_session_can_be_neither_copied_nor_stored():
    """Two copies would use each counter twice, which gives the key away (NIST SP 800-38D 8)."""
    device, _ = met()
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="counters"):
            attempt(device)


def test_a_session_ends_before_its_counter_begins_again():
    from itertools import count

    device, _ = met()
    device._sent = count(2**32 - 1)
    device.seal(b"the last")
    with refuses(Code.SESSION_SPENT):
        device.seal(b"one too many")


def test_a_key_needs_enough_entropy():
    with refuses(Code.MALFORMED):
        EphemeralKey(bytes(47))


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (cbor.dumps({"eReaderKey": KEY}), Code.MALFORMED),
        (cbor.dumps({"data": b""}), Code.MALFORMED),
        (cbor.dumps({"eReaderKey": DEVICE.cose, "data": b""}), Code.MALFORMED),
        (cbor.dumps({"eReaderKey": KEY, "data": "x"}), Code.MALFORMED),
        (cbor.dumps({"eReaderKey": KEY, "data": b"", "more": 1}), Code.MALFORMED),
        (cbor.dumps({"eReaderKey": Tag(24, cbor.dumps({1: 2, -1: 2})), "data": b""}), Code.UNSUPPORTED),
        (bytes(300_000), Code.TOO_LARGE),
    ],
)
def test_a_first_message_outside_the_standard_is_refused(raw, code):
    with refuses(code):
        Establishment.parse(raw)


@pytest.mark.parametrize(
    "parts", [{}, {"data": "x"}, {"status": "20"}, {"status": True}, {"status": -1}, {"data": b"", "more": 1}, []]
)
def test_a_message_outside_the_standard_is_refused(parts):
    with refuses(Code.MALFORMED):
        SessionData.parse(cbor.dumps(parts))


def test_messages_go_there_and_back():
    raw = proximity.establishment(READER.cose, b"x")
    assert cbor.loads(raw, deterministic=True)
    assert (Establishment.parse(raw).reader_key, Establishment.parse(raw).data) == (READER.public, b"x")
    for data, status in ((b"x", None), (None, 20), (b"", 20)):
        seen = SessionData.parse(proximity.session_data(data, status))
        assert (seen.data, seen.status) == (data, status)


def test_the_transcript_of_a_qr_code_has_no_handover():
    """ISO/IEC 18013-5 9.1.5.1: QRHandover = null; NFCHandover has the negotiated request, or null."""
    made = cbor.loads(mdoc.qr_transcript(engagement=b"\xa0", reader_key=b"\xa1\x01\x02"), deterministic=True)
    assert made == [Tag(24, b"\xa0"), Tag(24, b"\xa1\x01\x02"), None]
    made = mdoc.nfc_transcript(engagement=b"\xa0", reader_key=b"\xa0", select=b"s", request=None)
    assert cbor.loads(made, deterministic=True)[2] == [b"s", None]


def test_a_stranger_between_the_two_learns_nothing():
    """The reader's key is in the transcript, so keys agreed with another do not open what was meant for it."""
    seen = DeviceEngagement.parse(proximity.engagement(DEVICE.public, METHODS))
    thief = EphemeralKey(hashlib.sha512(b"thief").digest())
    honest = mdoc.qr_transcript(engagement=seen.raw, reader_key=READER.cose)
    reader = Session.of_reader(READER, seen.key, honest)
    swapped = mdoc.qr_transcript(engagement=seen.raw, reader_key=thief.cose)
    with refuses(Code.MALFORMED):
        Session.of_device(DEVICE, thief.public, swapped).open(reader.seal(b"x"))
    assert cose.key_from_cose(cbor.loads(thief.cose)) == thief.public != Hand("x").key
