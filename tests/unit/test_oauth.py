"""Addresses to come back to: RFC 6749 3.1.2, RFC 8252 7, FAPI 2.0 5.3.2.2; PKCE: RFC 7636 4.6 and appendix B."""

from __future__ import annotations

import pytest

from mapae.errors import Code, Refused
from mapae.oauth import answer_uri, form_target, must_be_redirect, same_but_for_the_port, verifies


@pytest.mark.parametrize(
    "uri",
    ["https://club.example/cb", "https://club.example:8443/cb?a=1", "http://localhost:3000/callback",
     "http://127.0.0.1/cb", "http://[::1]:3000/", "com.example.app:/cb"],
)  # fmt: skip
def test_an_address_that_a_browser_may_be_sent_to(uri: str) -> None:
    must_be_redirect(uri)
    assert answer_uri(uri, {"code": "c"}) == f"{uri}{'&' if '?' in uri else '?'}code=c"


@pytest.mark.parametrize(
    "uri",
    ["", "club.example/cb", "http://club.example/cb", "javascript:alert(1)", "data:text/html,x", "https://u@a.example/",
     "https://a.example/#f", "https://a.example/?code=1", "https://a.example\\@evil.example/", "https://a;b/",
     # Found by the fuzzer: read as ::1 by the library, and a directive of its own in the page's policy.
     "http://;script-src_*[::1]/", "http://evil.example[::1]/", "https://a.example:/", "https://a.example:0443/",
     "intent://a.example/#Intent;end", "https://a b/", "https://[/"],
)  # fmt: skip
def test_an_address_that_no_browser_is_sent_to(uri: str) -> None:
    with pytest.raises(Refused) as refused:
        must_be_redirect(uri)
    assert refused.value.code is Code.INVALID_REQUEST


def test_a_policy_names_the_origin_or_the_scheme() -> None:
    assert form_target("https://club.example:8443/cb?a=1") == "https://club.example:8443"
    assert form_target("com.example.app:/cb") == "com.example.app:"


def test_rfc7636_appendix_b() -> None:
    assert verifies("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
    assert not verifies("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
    assert not verifies("too-short", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")


@pytest.mark.parametrize(
    ("uri", "registered_as", "same"),
    [
        ("http://127.0.0.1:5/cb?a=1", "http://127.0.0.1:9/cb?a=1", True),
        ("http://[::1]:65535/cb", "http://[::1]/cb", True),
        ("http://127.0.0.1/cb", "http://127.0.0.1:9/cb", True),
        ("http://127.0.0.1:5/other", "http://127.0.0.1/cb", False),
        ("http://127.0.0.1:5@evil.example/cb", "http://127.0.0.1/cb", False),
        ("http://127.0.0.1.evil.example:5/cb", "http://127.0.0.1/cb", False),
        ("http://127.0.0.1:/cb", "http://127.0.0.1/cb", False),
        ("http://127.0.0.1:05/cb", "http://127.0.0.1/cb", False),
        ("http://127.0.0.1:99999/cb", "http://127.0.0.1/cb", False),
        ("https://127.0.0.1:5/cb", "http://127.0.0.1/cb", False),
        ("http://localhost:5/cb", "http://localhost/cb", False),
        ("https://club.example:5/cb", "https://club.example/cb", False),
    ],
    ids=range(12),
)
def test_rfc8252_7_3_only_the_port_may_differ(uri: str, registered_as: str, same: bool) -> None:
    assert same_but_for_the_port(uri, registered_as) is same
