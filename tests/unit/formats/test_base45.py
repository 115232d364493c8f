"""Base45 (RFC 9285): its own examples, and one spelling for all bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hands import refuses
from mapae.errors import Code, Refused
from mapae.formats import base45


@pytest.mark.parametrize(
    ("raw", "text"), [(b"AB", "BB8"), (b"Hello!!", "%69 VD92EX0"), (b"base-45", "UJCLQE7W581"), (b"ietf!", "QED8WEX0")]
)
def test_the_examples_of_rfc_9285_4_3_and_4_4(raw: bytes, text: str) -> None:
    assert (base45.encode(raw), base45.decode(text)) == (text, raw)


@pytest.mark.parametrize("text", ["GGW", "GGWBB8", ":::", "A", "BB8A", "V5", "::", "bb8", "BB8\n", "BB\u00e9", "BB한"])
def test_a_group_that_stands_for_too_much_and_a_foreign_character_are_refused(text: str) -> None:
    with refuses(Code.MALFORMED):
        base45.decode(text)


def test_the_largest_groups_are_read() -> None:
    assert base45.decode("FGWU5") == b"\xff\xff\xff"


@given(st.binary(max_size=60))
def test_what_was_written_is_read_again(raw: bytes) -> None:
    assert base45.decode(base45.encode(raw)) == raw


@given(st.text(alphabet=base45.ALPHABET, max_size=12))
def test_what_is_read_has_that_one_spelling(text: str) -> None:
    try:
        raw = base45.decode(text)
    except Refused:
        return
    assert base45.encode(raw) == text
