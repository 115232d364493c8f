"""Whatever a format module takes, it gives back byte for byte; whatever it does not take, it refuses by name."""

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hands import NOW, Hand
from mapae.clock import SeededDice
from mapae.errors import Refused
from mapae.formats import cbor, jose, jwe, mdoc, proximity, sd_jwt, status, x509
from mapae.formats.jose import Jws
from mapae.formats.mdoc import DeviceResponse, IssuerSigned, shapes
from mapae.formats.sd_jwt import Hidden, SdJwt
from mapae.formats.status import StatusList, StatusRef, StatusToken

EARLIEST = datetime(1000, 1, 1)  # noqa: DTZ001  hypothesis adds the zone itself
ISSUER, HOLDER, CA = Hand("issuer"), Hand("holder"), Hand("ca")
quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

names = st.text(min_size=1, max_size=8).filter(lambda name: name not in ("_sd", "...", "_sd_alg"))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(max_size=20)
    | st.floats(allow_nan=False, allow_infinity=False)
)


def marked(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    inner = children | children.map(lambda value: value if isinstance(value, Hidden) else Hidden(value))
    return st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4)


trees = st.dictionaries(names, st.recursive(scalars | scalars.map(Hidden), marked, max_leaves=12), max_size=6)


def plain(value: Any) -> Any:
    if isinstance(value, Hidden):
        return plain(value.value)
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


@quick
@given(st.binary(max_size=200))
def test_base64url_of_any_bytes_comes_back(raw):
    assert jose.unb64u(jose.b64u(raw)) == raw


@given(st.text(alphabet="AQgw_-b0=+/ \n", max_size=9))
@example("QR")
def test_base64url_that_is_taken_has_no_other_spelling(text):
    try:
        raw = jose.unb64u(text)
    except Refused:
        return
    assert jose.b64u(raw) == text


def taken(read: Any) -> Any:
    try:
        return read()
    except Refused:
        return "refused"


@quick
@given(st.lists(st.text(alphabet="AQgw_-b0=+/ \u00e9", max_size=9) | st.binary(max_size=30).map(jose.b64u), max_size=5))
@example(["QQ", "QR"])
@example(["QQ==", ""])
@example(["A", "AAA"])
def test_base64url_read_together_is_what_it_is_alone(texts):
    alone = [taken(lambda text=text: jose.unb64u(text)) for text in texts]
    together = taken(lambda: jose.unb64u_each(texts))
    assert together == ("refused" if "refused" in alone else alone)


words = st.sampled_from(["_sd", "_sd_alg", "...", "_sd x", "a\\_sd", 'b"_sd', "name", "sha-256"])
digests = st.sampled_from(["d" * 43, "e" * 43, "_sd", "..."])
payloads = st.dictionaries(
    words,
    st.recursive(
        scalars | digests | st.lists(digests, max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=5,
)


@quick
@given(payloads)
@example({"_sd": ["d" * 43], "a": {"_sd": ["d" * 43]}})
@example({"_sd": ["d" * 43], "a": {"...": 1}})
@example({"a": [{"...": "d" * 43}, "_sd"]})
@example({"a": {"_sd_alg": "sha-256"}})
def test_a_payload_looked_at_quickly_reads_as_one_that_is_walked(payload):
    """RFC 9901 7.1: where nothing below the top looks like a digest, nothing is looked for; spaces and escapes in the
    same JSON never change what is read or refused."""
    walked = jose.encode_json(payload | {"escaped": "\n"})
    quickly = jose.encode_json(payload | {"escaped": "n"})

    def claims(raw: bytes) -> Any:
        card = SdJwt.parse(jose.sign_jws(ISSUER, {"typ": "t"}, raw) + "~", typ="t")
        return {name: value for name, value in card.open(ISSUER.key).items() if name != "escaped"}

    assert taken(lambda: claims(walked)) == taken(lambda: claims(quickly))


@quick
@given(st.binary(max_size=60) | st.text(max_size=60))
def test_any_bytes_are_json_or_refused(raw):
    with contextlib.suppress(Refused):
        assert isinstance(jose.decode_json(raw), dict)


@quick
@given(
    st.dictionaries(
        st.text(max_size=6),
        st.recursive(
            scalars,
            lambda c: st.lists(c, max_size=3) | st.dictionaries(st.text(max_size=4), c, max_size=3),
            max_leaves=8,
        ),
        max_size=5,
    )
)
def test_json_comes_back_and_a_repeated_member_never_does(value):
    raw = jose.encode_json(value)
    assert jose.decode_json(raw) == value
    if value:
        name = jose.encode_json(next(iter(value)))
        twice = b"{" + name + b":0," + raw[1:]
        try:
            jose.decode_json(twice)
        except Refused:
            return
        raise AssertionError("a repeated member was taken")


@quick
@given(trees, st.integers(0, 3))
def test_an_sd_jwt_of_any_shape_opens_to_its_claims(claims, decoys):
    draft = sd_jwt.draft({"typ": "t"}, claims, entropy=SeededDice(1).bytes, decoys=decoys)
    text = draft.complete(ISSUER.sign(draft.signing_input))
    card = SdJwt.parse(text, typ="t")
    assert card.encode() == text
    assert card.open(ISSUER.key) == plain(claims)
    assert card.disclose([[name] for name in claims]).peek().keys() >= {
        name for name, value in claims.items() if isinstance(value, Hidden)
    }
    for path in card.paths():
        alone = card.disclose([path]).peek()
        assert alone is not None


VC = sd_jwt.draft(
    {"typ": "dc+sd-jwt"},
    {"vct": "urn:x", "cnf": {"jwk": HOLDER.jwk}, "a": Hidden({"b": Hidden(1)}), "c": [Hidden(1), 2]},
    entropy=SeededDice(2).bytes,
)
CARD = SdJwt.parse(VC.complete(ISSUER.sign(VC.signing_input)))
PRIVATE = jwe.private_jwk(bytes(range(48)), "k")
KEY = jwe.DecryptionKey.from_jwk(PRIVATE)
SHOWN = CARD.bind(HOLDER, nonce="n", audience="a", now=NOW)


def bent(raw: bytes, at: int, by: int, cut: int) -> bytes:
    copy = bytearray(raw)
    copy[at % len(copy)] ^= by
    return bytes(copy[: len(copy) - cut])


places, changes, cuts = st.integers(0, 100_000), st.integers(1, 255), st.sampled_from([0, 0, 0, 1, 7])


@settings(max_examples=400, deadline=None)
@given(places, changes, cuts)
def test_a_bent_presentation_is_refused(at, by, cut):
    try:
        text = bent(SHOWN.encode(), at, by, cut).decode()
        seen = SdJwt.parse(text)
        assert seen.encode() == text
        claims = seen.open(ISSUER.key)
        seen.check_binding(sd_jwt.holder_key(claims), nonce="n", audience="a", now=NOW)
    except (Refused, UnicodeDecodeError):
        return
    raise AssertionError("a bent presentation was taken")


@quick
@given(st.text(alphabet="eyJ.~AQ", max_size=40))
def test_any_text_is_a_token_or_refused(text):
    for parse in (
        lambda: Jws.parse(text, typ="t"),
        lambda: SdJwt.parse(text),
        lambda: StatusToken.parse(text),
        lambda: jwe.decrypt(text, KEY),
    ):
        try:
            parse()
        except Refused:
            continue


elements = st.dictionaries(
    st.text(min_size=1, max_size=8),
    st.recursive(
        st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.text(max_size=10)
        | st.binary(max_size=40)
        | st.dates(min_value=date(1000, 1, 1))
        | st.datetimes(min_value=EARLIEST, timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=0)),
        lambda c: st.lists(c, max_size=3) | st.dictionaries(st.text(max_size=4), c, max_size=3),
        max_leaves=6,
    ),
    min_size=1,
    max_size=5,
)


def issued(namespaces: dict[str, dict[str, Any]], **change: Any) -> bytes:
    options: dict[str, Any] = {
        "device_key": HOLDER.key,
        "validity": mdoc.Validity(NOW, NOW, NOW + timedelta(days=1)),
        "x5chain": [b"\x30\x00"],
        "status": StatusRef("u", 1),
    }
    draft = mdoc.draft("x.y", namespaces, entropy=SeededDice(3).bytes, **(options | change))
    return draft.complete(ISSUER.sign(draft.signing_input))


@quick
@given(st.dictionaries(st.text(min_size=1, max_size=6), elements, max_size=3))
def test_an_mdoc_of_any_shape_opens_to_its_elements(namespaces):
    raw = issued(namespaces)
    card = IssuerSigned.parse(raw)
    assert card.encode() == raw
    assert card.open(ISSUER.key) == namespaces
    assert cbor.loads(raw, deterministic=True) is not None
    assert card.disclose({name: list(some) for name, some in namespaces.items()}) == card


TRANSCRIPT = mdoc.openid4vp_transcript(client_id="c", nonce="n", response_uri="r", thumbprint=None)
MDOC = mdoc.present(IssuerSigned.parse(issued({"n": {"a": 1, "b": "x"}})), session_transcript=TRANSCRIPT, holder=HOLDER)


@settings(max_examples=400, deadline=None)
@given(places, changes, cuts)
def test_a_bent_device_response_is_refused(at, by, cut):
    raw = bent(MDOC, at, by, cut)
    try:
        response = DeviceResponse.parse(raw)
        assert response.encode() == raw
        (document,) = response.documents
        shown = document.issuer_signed.open(ISSUER.key)
        document.check_device(TRANSCRIPT)
    except Refused:
        return
    # Only the certificate chain, which is checked apart, is outside the signatures; the elements are not.
    assert shown == {"n": {"a": 1, "b": "x"}}


PAYLOADS = [IssuerSigned.parse(issued({"n": {"a": n, "b": "x"}, "m": {"c": 1}})).auth.payload for n in range(2)]


@settings(max_examples=400, deadline=None)
@given(places, changes, cuts)
def test_a_bent_security_object_is_read_by_its_shape_as_by_the_parser(at, by, cut):
    shapes.learn(PAYLOADS[0], mdoc.Mso.parse(PAYLOADS[0]))
    assert shapes.read(PAYLOADS[1]) == mdoc.Mso.parse(PAYLOADS[1])
    raw = bent(PAYLOADS[1], at, by, cut)
    try:
        seen = shapes.read(raw)
    except Refused:
        seen = None  # a point off the curve
    if seen is not None:
        assert seen == mdoc.Mso.parse(raw)


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes_are_cbor_or_refused(raw):
    try:
        value = cbor.loads(raw, deterministic=True)
    except Refused:
        value = Refused
    if value is not Refused:
        assert cbor.dumps(value) == raw
    for parse in (
        cbor.loads, IssuerSigned.parse, DeviceResponse.parse, mdoc.DeviceRequest.parse, mdoc.Mso.parse,
        proximity.DeviceEngagement.parse, proximity.Establishment.parse, proximity.SessionData.parse,
    ):  # fmt: skip
        try:
            parse(raw)
        except Refused:
            continue


doctypes = st.text(min_size=1, max_size=12)
asked = st.dictionaries(
    doctypes, st.dictionaries(doctypes, st.booleans(), min_size=1, max_size=4), min_size=1, max_size=3
)
DEVICE, READER = proximity.EphemeralKey(bytes(48)), proximity.EphemeralKey(bytes(range(48)))


@quick
@given(st.lists(st.tuples(doctypes, asked, st.booleans()), min_size=1, max_size=4))
def test_a_request_of_any_shape_comes_back(wanted):
    parts = [
        mdoc.doc_request(
            mdoc.items_request(doctype, elements), session_transcript=TRANSCRIPT, reader=HOLDER if signed else None,
            x5chain=[LEAF],
        )
        for doctype, elements, signed in wanted
    ]  # fmt: skip
    raw = mdoc.device_request(parts)
    request = mdoc.DeviceRequest.parse(raw)
    assert request.encode() == raw
    assert cbor.loads(raw, deterministic=True)
    for one, (doctype, elements, signed) in zip(request.requests, wanted, strict=True):
        assert (one.doctype, one.elements, one.reader_auth is not None) == (doctype, elements, signed)
        if signed:
            one.check_reader(HOLDER.key, TRANSCRIPT)


@quick
@given(elements, st.lists(st.tuples(doctypes, st.integers(-9, 9)), max_size=3), st.booleans())
def test_a_response_of_any_shape_comes_back(said, errors, by_mac):
    own = mdoc.KeyAuthorizations(frozenset({"own"}))
    card = IssuerSigned.parse(
        issued({"n": {"a": 1}}, device_key=DEVICE.public if by_mac else HOLDER.key, authorized=own)
    )
    holder = mdoc.MacKey.between(DEVICE, READER.public, TRANSCRIPT) if by_mac else HOLDER
    shown = mdoc.show(card, session_transcript=TRANSCRIPT, holder=holder, asserted={"own": said})
    raw = mdoc.respond([shown], document_errors=errors)
    response = DeviceResponse.parse(raw)
    assert response.encode() == raw
    assert response.document_errors == tuple(errors)
    assert response.one().check_device(TRANSCRIPT, READER) == {"own": said}


uuids = st.none() | st.binary(min_size=16, max_size=16)
numbers = st.integers(0, 2**32)
methods = st.one_of(
    st.builds(
        lambda a, b, c: proximity.Ble(a is not None, b is not None, a, b, c), uuids, uuids, st.none() | st.binary()
    ),
    st.builds(proximity.Nfc, numbers, numbers),
    st.builds(proximity.Wifi, st.none() | st.text(), st.none() | numbers, st.none() | numbers, st.none() | st.binary()),
    st.builds(proximity.Other, st.integers(4, 99), numbers, st.dictionaries(numbers, st.text(max_size=4), max_size=2)),
)


@quick
@given(st.lists(methods, max_size=4), st.lists(doctypes, max_size=3))
def test_an_engagement_of_any_shape_comes_back(ways, origins):
    raw = proximity.engagement(DEVICE.public, ways, origins=origins)
    seen = proximity.DeviceEngagement.parse(raw)
    assert (seen.encode(), seen.key, list(seen.methods), list(seen.origins)) == (raw, DEVICE.public, ways, origins)
    assert proximity.engagement(seen.key, seen.methods, origins=seen.origins) == raw
    assert proximity.from_uri(proximity.uri(raw)) == raw


@quick
@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=80)), max_size=8))
def test_a_session_carries_any_messages_either_way(messages):
    transcript = mdoc.qr_transcript(engagement=b"\xa0", reader_key=READER.cose)
    here = proximity.Session.of_device(DEVICE, READER.public, transcript)
    there = proximity.Session.of_reader(READER, DEVICE.public, transcript)
    for to_reader, message in messages:
        one, other = (here, there) if to_reader else (there, here)
        raw = proximity.session_data(one.seal(message))
        seen = proximity.SessionData.parse(raw)
        assert seen.encode() == raw
        assert other.open(seen.data) == message


@settings(max_examples=400, deadline=None)
@given(places, changes, cuts)
def test_a_bent_request_is_refused_or_not_signed(at, by, cut):
    good = mdoc.doc_request(
        mdoc.items_request("d", {"n": {"a": True}}), session_transcript=TRANSCRIPT, reader=HOLDER, x5chain=[b"0"]
    )
    try:
        [one] = mdoc.DeviceRequest.parse(bent(mdoc.device_request([good]), at, by, cut)).requests
        one.check_reader(HOLDER.key, TRANSCRIPT)
    except Refused:
        return
    assert (one.doctype, one.elements) == ("d", {"n": {"a": True}})  # the chain is checked apart


@quick
@given(st.sampled_from([1, 2, 4, 8]), st.dictionaries(st.integers(0, 999), st.integers(0, 255), max_size=30))
def test_a_status_list_keeps_every_entry(bits, entries):
    entries = {at: value & ((1 << bits) - 1) for at, value in entries.items()}
    packed = StatusList.of(bits, 1000, entries.items())
    assert StatusList.decode(bits, packed.lst()) == packed
    assert [packed.read(at) for at in range(1000)] == [entries.get(at, 0) for at in range(1000)]


@quick
@given(st.integers(0, 4), st.text(max_size=12), places, changes)
def test_any_compressed_text_is_a_list_or_refused(bits, text, at, by):
    good = StatusList.of(2, 40, [(1, 1)]).lst().encode()
    for lst in (text, bent(good, at, by, 0).decode("latin-1")):
        try:
            StatusList.decode(bits, lst)
        except Refused:
            continue


ROOT = x509.root(x509.Subject("R"), CA, serial=1, not_before=NOW, not_after=NOW + timedelta(days=9))
LEAF = x509.leaf(
    x509.Profile.ACCESS,
    x509.Subject("L"),
    ISSUER.key,
    ca=CA,
    ca_der=ROOT,
    serial=2,
    not_before=NOW,
    not_after=NOW + timedelta(days=9),
)
ANCHORS = x509.Anchors([ROOT])


@pytest.mark.filterwarnings("ignore:Parsed a serial number", "ignore:Attribute's length")
@settings(max_examples=400, deadline=None)
@given(places, changes, cuts)
@example(340, 1, 0)
def test_a_bent_certificate_is_refused(at, by, cut):
    try:
        x509.check_chain([bent(LEAF, at, by, cut)], ANCHORS, NOW, x509.Profile.ACCESS)
    except Refused:
        return
    raise AssertionError("a bent certificate was taken")


ENCRYPTED = jwe.encrypt(b'{"vp_token":{}}', jwe.public_jwk(PRIVATE)).encode()


@settings(max_examples=400, deadline=None)
@given(places, changes, cuts)
def test_a_bent_encrypted_response_is_refused(at, by, cut):
    try:
        jwe.decrypt(bent(ENCRYPTED, at, by, cut).decode("latin-1"), KEY)
    except Refused:
        return
    raise AssertionError("a bent encrypted response was taken")


def test_what_is_published_as_a_status_list_comes_back():
    text = status.publish(
        StatusList.of(2, 8, [(1, 2)]), ISSUER, [LEAF], uri="u", now=NOW, life=timedelta(hours=1), ttl=5
    )
    assert StatusToken.parse(text).encode() == text
