"""Token Status List."""

from __future__ import annotations

import json
import re
import zlib
from datetime import timedelta

import pytest

from hands import NOW, Hand, public_vectors, refuses
from mapae.errors import Code
from mapae.formats import jose, status
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
        assert decoded.size == case["size"]
        expected = [(int(index), value) for index, value in case["non_zero"].items()]
        assert all(decoded.read(index) == value for index, value in expected)
        assert decoded == StatusList.of(case["bits"], case["size"], expected)


def test_the_token_example_of_the_draft_is_read():
    cases = json.loads(public_vectors("token-status-list/short-and-token-examples.json").read_text())
    text = next(case["text"] for case in cases if case["name"] == "status_list_jwt_raw")
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


def test_a_list_for_a_whole_nation_packs_and_reads():
    token = StatusToken.parse(published(StatusList.of(2, 52_000_000, [(51_999_999, 2)])))
    assert token.list.read(51_999_999) == status.SUSPENDED
