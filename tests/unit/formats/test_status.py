"""Token Status List."""

from __future__ import annotations

import json
import re
import zlib
from datetime import timedelta

import pytest

from hands import NOW, Hand, public_vectors, refuses
from mapae.errors import Code
from mapae.formats import cbor, cose, jose, status
from mapae.formats.status import StatusList, StatusRef, StatusToken

SIGNER = Hand("status signer")
URI = "https://issuer.example/status/1"


def published(list_: StatusList | None = None) -> str:
    list_ = list_ or StatusList.of(2, 100, [(7, 2), (8, 1), (99, 3)])
    return status.publish(list_, SIGNER, [b"\x30\x00"], uri=URI, now=NOW, life=timedelta(hours=1), ttl=5)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_entries_are_read_where_they_were_written(bits):
    top = 2**bits - 1
    packed = StatusList.of(bits, 1000, [(0, top), (1, 1), (777, top), (999, 1)])
    assert [packed.read(at) for at in (0, 1, 2, 776, 777, 778, 999)] == [top, 1, 0, 0, top, 0, 1]
    assert packed.changed([(0, 0), (777, 1)]).read(777) == 1
    assert StatusList.decode(bits, packed.lst()) == packed
    assert packed.size == 1000


def test_the_short_examples_of_the_draft():
    first = StatusList(1, bytes([0xB9, 0xA3]))
    assert [first.read(at) for at in range(16)] == [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]
    assert first.lst() == "eNrbuRgAAhcBXQ"
    second = StatusList(2, bytes([0xC9, 0x44, 0xF9]))
    assert [second.read(at) for at in range(12)] == [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]
    assert second.lst() == "eNo76fITAAPfAgc"


def test_the_long_vectors_of_the_draft():
    for case in json.loads(public_vectors("token-status-list/long-vectors.json").read_text())["cases"]:
        decoded = StatusList.decode(case["json"]["bits"], case["json"]["lst"])
        inside = cbor.loads(bytes.fromhex(case["cbor_hex"]), limit=2**21)
        assert StatusList.decode(inside["bits"], inside["lst"]) == decoded
        assert decoded.size == case["size"]
        expected = [(int(index), value) for index, value in case["non_zero"].items()]
        assert all(decoded.read(index) == value for index, value in expected)
        assert decoded == StatusList.of(case["bits"], case["size"], expected)


def examples() -> dict[str, dict[str, str]]:
    cases = json.loads(public_vectors("token-status-list/short-and-token-examples.json").read_text())
    return {case["name"]: case for case in cases}


@pytest.mark.parametrize(
    "name", ["status_list_encoding", "status_list_encoding2", "status_list_encoding4", "status_list_encoding8"]
)
def test_the_short_lists_of_the_draft_are_the_same_in_json_and_cbor(name):
    """draft-21 4.2 and 4.3, and the test vectors of its appendix."""
    case = examples()[name]
    text = json.loads(re.sub(r"\s", "", case["json"][case["json"].index("{") :]))
    inside = cbor.loads(bytes.fromhex(re.sub(r"\s", "", case["cbor"].split("encoded:")[-1])))
    one = StatusList.decode(text["bits"], text["lst"])
    assert one == StatusList.decode(inside["bits"], inside["lst"])
    assert one.bits == text["bits"] == inside["bits"]


def test_the_cwt_example_of_the_draft_is_read_and_verifies_nobody_elses_key():
    """draft-21 5.2. The draft does not print the key of its example."""
    raw = bytes.fromhex(re.sub(r"\s", "", examples()["status_list_cwt"]["text"]))
    token = StatusToken.parse(raw)
    assert (token.uri, token.ttl, token.expires_at) == ("https://example.com/statuslists/1", 43200, 2291720170)
    assert (token.issued_at, token.aggregation) == (1686920170, None)
    assert token.list.packed == bytes([0xB9, 0xA3])
    assert token.encode() == raw
    with refuses(Code.BAD_SIGNATURE):
        token.check(SIGNER.key, token.uri, NOW)


def test_the_referenced_token_of_the_draft_points_at_its_list():
    """draft-21 6.3: claim 65535 of a CWT has the same status_list as the claim of a JWT."""
    raw = bytes.fromhex(re.sub(r"\s", "", examples()["referenced_token_cwt"]["text"]))
    claims = cbor.loads(cose.Sign1.parse(cbor.loads(raw[1:])).payload)
    assert StatusRef.parse(claims[65535]) == StatusRef("https://example.com/statuslists/1", 0)


def test_the_token_example_of_the_draft_is_read():
    text = examples()["status_list_jwt_raw"]["text"]
    token = StatusToken.parse(re.sub(r"\s", "", text))
    assert (token.uri, token.ttl, token.expires_at) == ("https://example.com/statuslists/1", 43200, 2291720170)
    assert token.list.packed == bytes([0xB9, 0xA3])


def test_a_published_list_is_checked_and_read():
    token = StatusToken.parse(published())
    token.check(SIGNER.key, URI, NOW)
    assert token.encode() == published() or token.list == StatusToken.parse(published()).list
    assert (token.ttl, token.expires_at, token.x5c) == (5, int(NOW.timestamp()) + 3600, (b"\x30\x00",))
    assert [token.list.read(at) for at in (6, 7, 8, 99)] == [0, status.SUSPENDED, status.INVALID, status.RENEW]


def test_a_list_that_cannot_be_relied_on_leaves_the_status_unknown():
    token = StatusToken.parse(published())
    with refuses(Code.BAD_SIGNATURE):
        token.check(Hand("another").key, URI, NOW)
    with refuses(Code.STATUS_UNKNOWN, "another"):
        token.check(SIGNER.key, URI + "0", NOW)
    with refuses(Code.STATUS_UNKNOWN, "too old"):
        token.check(SIGNER.key, URI, NOW + timedelta(hours=1))
    with refuses(Code.STATUS_UNKNOWN, "future"):
        token.check(SIGNER.key, URI, NOW - timedelta(seconds=61))
    for index in (100, 2**31, -1):
        with refuses(Code.STATUS_UNKNOWN, "no such entry"):
            token.list.read(index)


def test_decompression_is_bounded():
    bomb = jose.b64u(zlib.compress(bytes(40 * 1024 * 1024), 9))
    with refuses(Code.TOO_LARGE):
        StatusList.decode(1, bomb)
    with refuses(Code.TOO_LARGE):
        StatusList.decode(1, jose.b64u(zlib.compress(bytes(1001))), limit=1000)
    assert StatusList.decode(1, jose.b64u(zlib.compress(bytes(1000))), limit=1000).size == 8000


@pytest.mark.parametrize(
    "lst",
    [
        jose.b64u(b"not zlib"),
        jose.b64u(zlib.compress(b"ab")[:-1]),
        jose.b64u(zlib.compress(b"ab") + b"x"),
        jose.b64u(zlib.compress(b"ab")) + "=",
        "",
    ],
)
def test_a_list_that_is_cut_or_padded_is_refused(lst):
    with refuses(Code.MALFORMED):
        StatusList.decode(1, lst)


@pytest.mark.parametrize(
    "change",
    [
        {"sub": None},
        {"iat": None},
        {"iat": "now"},
        {"exp": "x"},
        {"ttl": "5"},
        {"status_list": {"bits": 1, "lst": "eNrbuRgAAhcBXQ", "aggregation_uri": 1}},
        {"ttl": 0},
        {"ttl": -5},
        {"status_list": {"bits": 3, "lst": "eNrbuRgAAhcBXQ"}},
        {"status_list": {"bits": 1}},
        {"status_list": {"bits": True, "lst": "eNrbuRgAAhcBXQ"}},
    ],
)
def test_a_token_without_its_claims_is_refused(change):
    claims = status.status_claims(StatusList.of(1, 8, []), uri=URI, now=NOW, life=timedelta(hours=1), ttl=5) | change
    claims = {name: value for name, value in claims.items() if value is not None}
    with refuses(Code.MALFORMED):
        StatusToken.parse(jose.sign_jws(SIGNER, {"typ": "statuslist+jwt"}, claims))


def test_a_token_of_another_type_is_refused():
    with refuses(Code.MALFORMED, "type"):
        StatusToken.parse(jose.sign_jws(SIGNER, {"typ": "jwt"}, {}))


def test_entries_that_do_not_fit_are_not_written():
    for entry in [(8, 1), (-1, 1), (0, 2), (0, -1)]:
        with refuses(Code.MALFORMED, "fit"):
            StatusList.of(1, 8, [entry])
    with refuses(Code.MALFORMED, "bits"):
        StatusList(3, b"")


def test_a_reference_to_a_status_goes_there_and_back():
    ref = StatusRef(URI, 7)
    assert StatusRef.parse(ref.claim()) == ref
    for bad in [
        None,
        {},
        {"status_list": 1},
        *(
            {"status_list": {"idx": 1, "uri": URI} | change}
            for change in ({"idx": -1}, {"idx": True}, {"idx": "1"}, {"idx": 2**32}, {"uri": 1}, {"uri": ""})
        ),
    ]:
        with refuses(Code.MALFORMED):
            StatusRef.parse(bad)


# --- as CWT: draft-21 5.2 -----------------------------------------------------------------------------------------


def published_cwt(**change) -> bytes:
    list_ = StatusList.of(2, 100, [(7, 2), (8, 1), (99, 3)])
    return status.publish_cwt(list_, SIGNER, [b"\x30\x00"], uri=URI, now=NOW, life=timedelta(hours=1), ttl=5, **change)


def test_a_token_says_the_same_as_cwt_and_as_jwt():
    cwt, jwt = StatusToken.parse(published_cwt()), StatusToken.parse(published())
    cwt.check(SIGNER.key, URI, NOW)
    for name in ("uri", "issued_at", "expires_at", "ttl", "aggregation", "list", "x5c"):
        assert getattr(cwt, name) == getattr(jwt, name), name
    assert cwt.encode() == published_cwt()
    with refuses(Code.BAD_SIGNATURE):
        cwt.check(Hand("another").key, URI, NOW)
    with refuses(Code.STATUS_UNKNOWN, "another"):
        cwt.check(SIGNER.key, URI + "0", NOW)
    with refuses(Code.STATUS_UNKNOWN, "too old"):
        cwt.check(SIGNER.key, URI, NOW + timedelta(hours=1))


def test_a_list_names_where_all_lists_are():
    """draft-21 9: the aggregation, in both forms, and the document it leads to."""
    where = "https://issuer.example/statuslists"
    list_ = StatusList.of(1, 8, [])
    text = status.publish(list_, SIGNER, [], uri=URI, now=NOW, life=timedelta(hours=1), ttl=5, aggregation=where)
    assert (
        StatusToken.parse(text).aggregation == StatusToken.parse(published_cwt(aggregation=where)).aggregation == where
    )
    assert status.read_aggregation(b'{"status_lists":["https://a/1","https://a/2"],"x":1}') == (
        "https://a/1",
        "https://a/2",
    )
    for bad in (b"{}", b'{"status_lists":[1]}', b'{"status_lists":"x"}', b"[]", b"no"):
        with refuses(Code.MALFORMED):
            status.read_aggregation(bad)


def cwt(payload: object = None, *, protected: object = None, tag: int = 18, more: dict | None = None) -> bytes:
    """A token put together by hand."""
    list_ = {"bits": 1, "lst": zlib.compress(b"\0")}
    claims = {2: URI, 6: int(NOW.timestamp()), 65533: list_} if payload is None else payload
    body = claims if isinstance(claims, bytes) else cbor.dumps(claims)
    head = cbor.dumps({1: -7, 16: status.TYPE_CWT} if protected is None else protected)
    signature = SIGNER.sign(cose.to_be_signed(body, head))
    return cbor.dumps(cbor.Tag(tag, [head, more or {}, body, signature]))


CLAIMS = {2: URI, 6: 1, 65533: {"bits": 1, "lst": zlib.compress(b"\0")}}


def test_a_chain_in_the_protected_header_counts_as_well():
    """RFC 9360 2."""
    token = StatusToken.parse(cwt(protected={1: -7, 16: status.TYPE_CWT, 33: [b"\x30\x00", b"\x30\x01"]}))
    assert token.x5c == (b"\x30\x00", b"\x30\x01")
    token.check(SIGNER.key, URI, NOW)
    with refuses(Code.MALFORMED, "x5chain"):
        _ = StatusToken.parse(cwt(protected={1: -7, 16: status.TYPE_CWT, 33: 5})).x5c


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (cwt(tag=17), Code.UNSUPPORTED),  # under a MAC: only who made it can check it
        (b"\xd8\x3d" + cwt(), Code.MALFORMED),  # the CWT tag MUST NOT be there
        (cwt()[1:], Code.MALFORMED),  # no tag at all
        (cwt(CLAIMS | {4: float("nan")}), Code.MALFORMED),  # not a number: an end that never comes
        (cwt(CLAIMS | {4: float("inf")}), Code.MALFORMED),
        (cwt(CLAIMS | {6: float("nan")}), Code.MALFORMED),
        (b"\xd8\x12" + cwt()[1:], Code.MALFORMED),  # the tag in a longer spelling
        (cwt()[:-1], Code.MALFORMED),
        (cwt() + b"\0", Code.MALFORMED),
        (cwt(protected={1: -7}), Code.MALFORMED),
        (cwt(protected={1: -7, 16: "application/cwt"}), Code.MALFORMED),
        (cwt(protected={1: -7, 16: 60}), Code.MALFORMED),
        (cwt(protected={1: -8, 16: status.TYPE_CWT}), Code.UNSUPPORTED),
        (cwt(protected={1: -7, 2: [16], 16: status.TYPE_CWT}), Code.UNSUPPORTED),
        (cwt(more={16: status.TYPE_CWT}), Code.MALFORMED),
        (cwt(b""), Code.MALFORMED),
        (cwt([]), Code.MALFORMED),
        (cwt(CLAIMS | {2: 5}), Code.MALFORMED),
        (cwt(CLAIMS | {6: "now"}), Code.MALFORMED),
        (cwt(CLAIMS | {6: True}), Code.MALFORMED),
        (cwt(CLAIMS | {4: "x"}), Code.MALFORMED),
        (cwt(CLAIMS | {65534: 0}), Code.MALFORMED),
        (cwt(CLAIMS | {65534: -1}), Code.MALFORMED),
        (cwt(CLAIMS | {65534: 1.5}), Code.MALFORMED),
        (cwt(CLAIMS | {65533: {"bits": 1}}), Code.MALFORMED),
        (cwt(CLAIMS | {65533: {"bits": 3, "lst": zlib.compress(b"\0")}}), Code.MALFORMED),
        (cwt(CLAIMS | {65533: {"bits": True, "lst": zlib.compress(b"\0")}}), Code.MALFORMED),
        (cwt(CLAIMS | {65533: {"bits": 1, "lst": "eNrbuRgAAhcBXQ"}}), Code.MALFORMED),
        (cwt(CLAIMS | {65533: {"bits": 1, "lst": zlib.compress(b"\0") + b"x"}}), Code.MALFORMED),
        (cwt(CLAIMS | {65533: {"bits": 1, "lst": zlib.compress(b"\0"), "aggregation_uri": 1}}), Code.MALFORMED),
        *((cwt({k: v for k, v in CLAIMS.items() if k != gone}), Code.MALFORMED) for gone in CLAIMS),
    ],
)
def test_a_cwt_outside_the_draft_is_refused(raw, code):
    with refuses(code):
        StatusToken.parse(raw)


def test_a_cwt_that_unfolds_to_too_much_is_refused():
    bomb = cwt(CLAIMS | {65533: {"bits": 1, "lst": zlib.compress(bytes(40 * 1024 * 1024), 9)}})
    with refuses(Code.TOO_LARGE):
        StatusToken.parse(bomb)
    with refuses(Code.TOO_LARGE):
        StatusToken.parse(cwt(), limit=20)


def test_a_list_for_a_whole_nation_packs_and_reads():
    token = StatusToken.parse(published(StatusList.of(2, 52_000_000, [(51_999_999, 2)])))
    assert token.list.read(51_999_999) == status.SUSPENDED
