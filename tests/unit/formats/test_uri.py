"""Percent-encoding: the library's own, faster."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapae.formats import uri

texts = st.text(max_size=40) | st.text(st.characters(max_codepoint=127), max_size=40)


@given(texts, st.sampled_from(["", ":/,", "%", "/"]))
def test_a_text_is_written_as_the_library_writes_it(text: str, safe: str) -> None:
    """RFC 3986 2.1"""
    try:
        wanted = quote(text, safe)
    except UnicodeEncodeError:
        with pytest.raises(UnicodeEncodeError):
            uri.percent(text, safe)
    else:
        assert uri.percent(text, safe) == wanted


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.text(min_size=1, max_size=9)))
def test_what_is_written_as_a_query_is_read_again(fields: dict[str, str]) -> None:
    assert dict(parse_qsl(uri.query(fields, ":/,"), keep_blank_values=True)) == fields


def test_a_percent_sign_is_written_once() -> None:
    assert uri.percent("100% {a}") == "100%25%20%7Ba%7D"
