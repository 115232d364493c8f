"""What a browser's cookies are read as, and that reading them costs no more than their length."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from starlette.datastructures import Headers
from starlette.requests import Request

from mapae.catalog import parse_country
from mapae.config import country_tree
from mapae.ui import csrf, words
from mapae.ui.cookies import cookie
from mapae.verifier.checking.kit import Wanted
from mapae.verifier.site.gate import Gate


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        (["a=1"], "1"), (["b=2; a=1"], "1"), (["b=2;a=1 "], "1"), (["b=2", "a=1"], "1"), (["a=1; a=2"], "2"),
        (["a=x=y"], "x=y"), (['a="1"'], '"1"'), (["a="], ""), (["a"], ""), ([""], None), ([], None), (["A=1"], None),
        (["xa=1"], None), (["=1; ;;"], None), (["b=\x00; a=1"], "1"),
    ],
)  # fmt: skip
def test_a_cookie_is_read(sent: list[str], value: str | None) -> None:
    """RFC 6265 4.2.1. What we set has no quotes; what has is not ours, and is not unquoted."""
    assert cookie(sent, "a") == value


def request(header: str) -> Request:
    return Request({"type": "http", "headers": Headers({"cookie": header}).raw, "query_string": b"", "app": Site})


class Site:
    class state:
        https = False


GATE = Gate("http://bar.example/age", Wanted.of(parse_country(country_tree("kr")), "alcohol_tobacco"), lambda: None)  # type: ignore[arg-type,return-value]
READ = pytest.mark.parametrize(
    "read",
    [
        lambda it: csrf.read_cookie(it, "mapae_desk"),
        words.language,
        lambda it: GATE.passed(it.headers["cookie"]),
    ],
    ids=["session", "language", "gate"],
)


def seconds(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(5):
        begun = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begun)
    return best


@READ
def test_quotes_in_a_cookie_cost_no_more_than_their_length(read: Callable[[Request], object]) -> None:
    """CVE-2024-7592: the standard library's reader takes four seconds for the longest header we take."""
    short, long = (request('a="' + '\\"' * count + '"; mapae_desk=x') for count in (2_000, 32_000))
    assert seconds(lambda: read(long)) < 100 * seconds(lambda: read(short))  # sixteen times as long: 256 where it grows


@READ
def test_odd_headers_are_read_and_harm_nothing(read: Callable[[Request], object]) -> None:
    for header in (";", "=", "a=\xff", 'a="\\400"', "a;b;c", "mapae_desk", "$Version=1; mapae_lang=ko; mapae_lang=??"):
        read(request(header))
