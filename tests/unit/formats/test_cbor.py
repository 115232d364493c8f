"""CBOR: one item, bounded, definite, without duplicates; tags stay tags."""

from __future__ import annotations

import cbor2
import pytest

from hands import refuses
from mapae.errors import Code
from mapae.formats import cbor
from mapae.formats.cbor import Tag


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("", "nothing"),
        ("f6f6", "something follows"),
        ("a2016161016162", "duplicate key"),
        ("a26161016161 02", "duplicate text key"),
        ("bf616101ff", "indefinite map"),
        ("9f01ff", "indefinite array"),
        ("5f4161ff", "indefinite bytes"),
        ("7f6161ff", "indefinite text"),
        ("9bffffffffffffffff", "array longer than the input"),
        ("5bffffffffffffffff00", "bytes longer than the input"),
        ("62c328", "text that is not UTF-8"),
        ("f817", "two-byte simple value below 32"),
        ("1c", "reserved head"),
        ("a1f9000001", "a float as key"),
        ("a18001", "an array as key"),
        ("a1d81841a001", "a tag as key"),
        ("a1f501", "a boolean as key"),
        ("ff", "a lone break"),
    ],
)
def test_what_is_not_one_plain_item_is_refused(raw, why):
    with refuses(Code.MALFORMED):
        cbor.loads(bytes.fromhex(raw))


def test_limits_hold_before_and_while_parsing():
    with refuses(Code.TOO_LARGE):
        cbor.loads(bytes(300_000))
    with refuses(Code.TOO_LARGE):
        cbor.loads(b"\x01\x02", limit=1)
    with refuses(Code.MALFORMED):
        cbor.loads(b"\x81" * 40 + b"\x01")
    with refuses(Code.MALFORMED):
        cbor.loads(b"\xd8\x18" * 5_000 + b"\x40")


def test_no_small_tag_becomes_an_object_of_the_library():
    for tag in [*range(2000), 43000, 55799, 65535]:
        for body in (b"\x61a", b"\x01", b"\x41a", b"\x80", b"\xa0"):
            assert type(cbor.loads(cbor.head(6, tag) + body)) is Tag, tag


@pytest.mark.parametrize(
    "raw", ["1801", "190001", "5801ff", "b90001616101", "fa3f800000", "a2616201616101", "a26261610162620162"]
)
def test_the_deterministic_reading_takes_one_spelling(raw):
    with refuses(Code.MALFORMED):
        cbor.loads(bytes.fromhex(raw), deterministic=True)


def test_what_is_written_reads_back_deterministically():
    value = {"a": [1, -1, None, True, b"x", "가", 1.5], "b": {1: 2, -1: b"", 24: Tag(24, b"\x01")}}
    assert cbor.loads(cbor.dumps(value), deterministic=True) == value


@pytest.mark.parametrize("length", [0, 23, 24, 255, 256, 65535, 65536])
def test_heads_are_the_shortest(length):
    assert cbor.bstr(bytes(length)) == cbor2.dumps(bytes(length))
    assert cbor.text("x" * length) == cbor2.dumps("x" * length)
    assert cbor.head(0, length) == cbor2.dumps(length)
    assert cbor.embed(bytes(length)) == cbor2.dumps(Tag(24, bytes(length)))
    assert cbor.embedded(cbor.loads(cbor.embed(bytes(length)))) == bytes(length)
    assert cbor.head(0, 2**40) == cbor2.dumps(2**40)
    with refuses(Code.TOO_LARGE):
        cbor.head(0, 2**64)


@pytest.mark.parametrize("value", [b"\x01", Tag(24, "x"), Tag(23, b"x"), 1, None])
def test_cbor_inside_cbor_is_tagged_bytes(value):
    with refuses(Code.MALFORMED, "inside"):
        cbor.embedded(value)
