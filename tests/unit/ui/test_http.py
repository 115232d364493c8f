"""What the doors promise: limits, one shape of refusal per protocol, CSRF, CORS, rates, incidents."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from structlog.testing import capture_logs

from mapae.clock import MovableClock
from mapae.errors import Code, Refused
from mapae.ui import csrf
from mapae.ui.http import (
    PROTOCOL,
    Answer,
    Caller,
    Csrf,
    Door,
    Rate,
    answer_header,
    door,
    doors,
    form,
    json_answer,
    json_body,
    raw_body,
    see_other,
)  # fmt: skip
from mapae.ui.pages import page
from mapae.ui.rate import MOST, Buckets
from mapae.ui.site import application


class Order(msgspec.Struct):
    name: str
    count: int = 1


async def echo(request: Request) -> Response:
    return json_answer({"size": len(await raw_body(request))})


async def order(request: Request) -> Response:
    return json_answer(await json_body(request, Order))


async def fields(request: Request) -> Response:
    return json_answer(await form(request))


async def a_form(request: Request) -> Response:
    return page(request, "gallery.html", kind="")


async def sign_in(request: Request) -> Response:
    answer = see_other("/desk")
    csrf.start_session(request, answer, csrf.COOKIES["officer"], "officer-secret", 60)
    return answer


def refusing(code: Code, detail: str = "no", step: str | None = None) -> Callable[[Request], Awaitable[Response]]:
    async def handler(request: Request) -> Response:
        answer_header(request, "DPoP-Nonce", "fresh")
        raise Refused(code, detail, step=step)

    return handler


async def broken(request: Request) -> Response:
    raise RuntimeError("Hong Gildong 900101-1234567")


def client(*routes: Door, **settings: Any) -> httpx.AsyncClient:
    app = application(routes, **settings)
    base = "https://mapae.test" if settings.get("https") else "http://mapae.test"
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=base)


def json_door(path: str, handler: Callable[[Request], Awaitable[Response]], **options: Any) -> Door:
    return door("POST", path, handler, caller=Caller.ANYONE, answer=options.pop("answer", Answer.JSON), **options)


async def test_a_body_over_the_limit_is_refused_before_it_is_parsed() -> None:
    """Declared or streamed, JSON or not: 413."""
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(1000):
            read += 1
            yield b"x" * 100_000

    async with client(json_door("/echo", echo, limit=1000)) as web:
        assert (await web.post("/echo", content=b"x" * 1000)).json() == {"size": 1000}
        declared = await web.post("/echo", content=b"x" * 1001)
        streamed = await web.post("/echo", content=endless())
        lying = await web.post("/echo", content=endless(), headers={"Content-Length": "9" * 30})
        asking = {"Content-Length": "1001", "Expect": "100-continue"}
        waiting = await web.post("/echo", content=endless(), headers=asking)
    assert [a.status_code for a in (declared, streamed, lying)] == [413, 413, 413]
    assert streamed.json()["error"] == "too_large" and streamed.headers["connection"] == "close"
    assert waiting.status_code == 413
    assert read < 50  # of 2000 parts: a little is thrown away, then nobody reads on


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"[]", b"null", b'{"name":"a","name":"b"}', b'{"name":"a","x":1}', b'{"name":1}',
        b'{"name":"a\\u0000"}', b'{"name":"\\ud800"}', b'{"name":"a","count":NaN}', b'{"name":"a","count":1e999}',
        b"[" * 5000, b'{"name":"\xff"}',
        b'{"name":"a","count":' + b"9" * 5000 + b"}",
    ],
)  # fmt: skip
async def test_json_with_two_readings_or_another_shape_is_refused(raw: bytes) -> None:
    async with client(json_door("/order", order)) as web:
        answer = await web.post("/order", content=raw, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (400, "malformed")


async def test_a_refusal_of_shape_names_the_place_and_not_the_value() -> None:
    async with client(json_door("/order", order)) as web:
        answer = await web.post("/order", json={"name": "a", "count": "900101-1234567"})
    assert answer.json() == {"error": "malformed", "detail": "the body does not have the expected shape at $.count"}


async def test_a_json_door_takes_no_form_and_a_form_door_no_json() -> None:
    """A cross-site form cannot post application/json, so accepting text/plain would open that way again."""
    async with client(json_door("/order", order), json_door("/fields", fields)) as web:
        assert (await web.post("/order", content=b'{"name":"a"}', headers={"Content-Type": "text/plain"})).is_error
        assert (await web.post("/fields", json={"name": "a"})).status_code == 400
        assert (await web.post("/order", json={"name": "a"})).json() == {"name": "a", "count": 1}
        assert (await web.post("/fields", data={"name": "길동", "csrf": "x"})).json() == {"name": "길동"}


@pytest.mark.parametrize(
    "raw", [b"a=1&a=2", b"a=%00", b"a=%ff", "a=길".encode(), b"&".join([b"a%d=1" % n for n in range(300)])]
)
async def test_a_form_with_two_readings_is_refused(raw: bytes) -> None:
    async with client(json_door("/fields", fields)) as web:
        answer = await web.post("/fields", content=raw, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 400


@given(raw=st.binary(max_size=200), kind=st.sampled_from(["application/json", "application/x-www-form-urlencoded", ""]))
async def test_no_random_body_becomes_a_500(raw: bytes, kind: str) -> None:
    async with client(json_door("/order", order), json_door("/fields", fields, csrf=Csrf.TOKEN)) as web:
        for path in ("/order", "/fields"):
            answer = await web.post(path, content=raw, headers={"Content-Type": kind})
            assert answer.status_code < 500


async def test_a_nul_in_path_or_query_is_refused() -> None:
    thing = door("GET", "/things/{id}", echo, caller=Caller.ANYONE, answer=Answer.JSON)
    async with client(thing) as web:
        assert (await web.get("/things/a%00b")).status_code == 404
        assert (await web.get("/things/a?q=%00")).status_code == 400
        assert (await web.get("/things/a?q=" + "x" * 9000)).status_code == 413
        assert (await web.get("/things/a")).status_code == 200


@pytest.mark.parametrize("code", list(Code))
async def test_every_code_has_a_row_and_an_oauth_answer(code: Code) -> None:
    assert code in PROTOCOL
    async with client(json_door("/token", refusing(code, 'say "no"\\ 아니'), answer=Answer.OAUTH)) as web:
        answer = await web.post("/token")
    assert answer.status_code in (400, 401, 404, 405, 413, 429, 500, 503)
    assert answer.json()["error"] == PROTOCOL[code][1]
    if answer.status_code != 500:
        assert answer.json()["error_description"] == "say 'no'? ??"
    assert answer.headers["dpop-nonce"] == "fresh"
    assert answer.headers["cache-control"] == "no-store"


async def test_a_protected_resource_challenges() -> None:
    """RFC 9449 7.1 and 9, RFC 6750 3.1."""
    async with client(
        json_door("/credential", refusing(Code.USE_DPOP_NONCE), answer=Answer.OAUTH, challenge="DPoP"),
        json_door("/bare", refusing(Code.NOT_SIGNED_IN), answer=Answer.OAUTH, challenge="DPoP"),
        json_door("/token", refusing(Code.USE_DPOP_NONCE), answer=Answer.OAUTH),
    ) as web:
        resource, bare, token = [await web.post(path) for path in ("/credential", "/bare", "/token")]
    assert resource.status_code == 401
    assert resource.headers["www-authenticate"] == ('DPoP error="use_dpop_nonce", error_description="no", algs="ES256"')
    assert (bare.status_code, bare.headers["www-authenticate"]) == (401, 'DPoP algs="ES256"')
    assert (token.status_code, "www-authenticate" in token.headers) == (400, False)


async def test_a_json_refusal_names_its_step() -> None:
    async with client(json_door("/check", refusing(Code.EXPIRED, "over", "dates"))) as web:
        answer = await web.post("/check")
    assert answer.json() == {"error": "expired", "detail": "over", "step": "dates"}


@pytest.mark.parametrize("lang", ["ko", "en"])
@pytest.mark.parametrize("code", list(Code))
async def test_a_page_says_what_to_do_next(code: Code, lang: str) -> None:
    async with client(json_door("/deed", refusing(code), answer=Answer.PAGE)) as web:
        answer = await web.post(f"/deed?lang={lang}")
        fragment = await web.post(f"/deed?lang={lang}", headers={"HX-Request": "true"})
    assert f'<html lang="{lang}">' in answer.text
    assert ("다음에 할 일:" if lang == "ko" else "What to do next:") in answer.text
    assert "<html" not in fragment.text and fragment.headers["hx-retarget"] == "#refusal"


async def test_our_own_bug_shows_a_number_and_logs_no_value() -> None:
    async with client(json_door("/json", broken), json_door("/page", broken, answer=Answer.PAGE)) as web:
        with capture_logs() as logs:
            answer = await web.post("/json?name=Hong")
            shown = await web.post("/page")
    assert (answer.status_code, shown.status_code) == (500, 500)
    assert answer.json()["incident"] == logs[0]["incident"]
    assert logs[1]["incident"] in shown.text
    assert "Hong" not in str(logs) + answer.text + shown.text
    assert (logs[0]["kind"], logs[0]["door"]) == ("RuntimeError", "/json")


async def test_security_headers_are_on_every_answer() -> None:
    shop = door("GET", "/checker", a_form, caller=Caller.ANYONE, answer=Answer.PAGE, camera=True)
    async with client(shop, https=True) as web:
        for path in ("/checker", "/nothing", "/static/mapae.css", "/static/nothing.css"):
            headers = (await web.get(path)).headers
            policy = headers["content-security-policy"]
            assert "frame-ancestors 'none'" in policy and "unsafe" not in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["strict-transport-security"]
            camera = "camera=(self)" if path == "/checker" else "camera=()"
            assert headers["permissions-policy"].startswith(camera)


async def test_cors_is_only_where_the_door_says() -> None:
    async with client(json_door("/open", echo, cors=True), json_door("/closed", echo)) as web:
        asked = await web.options(
            "/open", headers={"Origin": "https://a.test", "Access-Control-Request-Method": "POST"}
        )
        assert asked.status_code == 204 and "DPoP" in asked.headers["access-control-allow-headers"]
        assert (await web.post("/open")).headers["access-control-allow-origin"] == "*"
        assert (await web.options("/closed")).status_code == 405
        assert "access-control-allow-origin" not in (await web.post("/closed")).headers


async def test_wrong_methods_and_unknown_paths() -> None:
    routes = [
        door("GET", "/thing", echo, caller=Caller.ANYONE, answer=Answer.JSON),
        door("POST", "/thing", echo, caller=Caller.ANYONE, answer=Answer.OAUTH),
    ]
    async with client(*routes) as web:
        wrong = await web.delete("/thing")
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD, POST")
        head = await web.head("/thing")
        assert (head.status_code, head.content) == (200, b"")
        assert (await web.get("/nothing")).json()["error"] == "not_found"
        assert "<html" in (await web.get("/nothing", headers={"Accept": "text/html"})).text


async def test_a_client_that_knocks_too_often_waits_and_others_do_not() -> None:
    clock = MovableClock()
    async with client(json_door("/echo", echo, rate=Rate(2, 60)), clock=clock) as web:
        assert [(await web.post("/echo")).status_code for _ in range(3)] == [200, 200, 429]
        refused = await web.post("/echo")
        assert refused.headers["retry-after"] == "30"
        clock.advance(seconds=30)
        assert [(await web.post("/echo")).status_code for _ in range(2)] == [200, 429]


def test_buckets_are_bounded_and_an_ipv6_network_is_one_knocker() -> None:
    buckets = Buckets(Rate(1, 10))
    assert [buckets.take(f"2001:db8::{n:x}", 0) for n in (1, 2)] == [0, 10]
    assert buckets.take("2001:db8:0:1::1", 0) == 0
    for n in range(2 * MOST):
        buckets.take(f"10.0.{n // 256}.{n % 256}", 0)
    assert len(buckets._left) == MOST


def _token(text: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', text)
    assert found
    return found.group(1)


def _desk() -> list[Door]:
    return [
        door("GET", "/sign-in", a_form, caller=Caller.ANYONE, answer=Answer.PAGE),
        door("POST", "/sign-in", sign_in, caller=Caller.ANYONE, answer=Answer.PAGE, csrf=Csrf.TOKEN),
        door("GET", "/desk", a_form, caller=Caller.OFFICER, answer=Answer.PAGE),
        door("POST", "/deed", echo, caller=Caller.OFFICER, answer=Answer.JSON, csrf=Csrf.TOKEN),
        door("POST", "/portal", echo, caller=Caller.CITIZEN, answer=Answer.JSON, csrf=Csrf.TOKEN),
    ]


@pytest.mark.parametrize("https", [False, True])
async def test_a_form_needs_the_token_of_its_own_session(https: bool) -> None:
    async with client(*_desk(), https=https) as web:
        before = _token((await web.get("/sign-in")).text)
        assert (await web.post("/sign-in", data={"csrf": "forged"})).status_code == 403
        assert (await web.post("/deed", data={"csrf": before})).json()["error"] == "not_signed_in"
        signed_in = await web.post("/sign-in", data={"csrf": before})
        assert signed_in.status_code == 303
        cookie = signed_in.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie
        assert (cookie.startswith("__Host-mapae_desk=") and "Secure" in cookie) is https
        own = _token((await web.get("/desk")).text)
        assert own != before
        refused = await web.post("/deed", data={"csrf": before})
        assert (refused.status_code, refused.json()["error"]) == (403, "bad_csrf")
        assert (await web.post("/deed")).status_code == 403
        assert (await web.post("/deed", data={"csrf": own})).status_code == 200
        assert (await web.post("/deed", headers={"X-CSRF-Token": own})).status_code == 200
        crossed = await web.post("/deed", data={"csrf": own}, headers={"Sec-Fetch-Site": "cross-site"})
        assert crossed.status_code == 403
        assert (await web.post("/portal", data={"csrf": own})).json()["error"] == "not_signed_in"


@pytest.mark.parametrize("token", ["\u00e9", "토큰", "\ud7ff", "=" * 43])
async def test_a_token_in_any_letters_is_a_wrong_token(token: str) -> None:
    """compare_digest takes no str beyond ASCII: what a stranger typed must not become our own mistake."""
    async with client(*_desk()) as web:
        await web.get("/sign-in")
        assert (await web.post("/sign-in", data={"csrf": token})).status_code == 403
        by_header = await web.post("/sign-in", headers={"X-CSRF-Token": token.encode()}, data={})
        assert by_header.status_code == 403


def test_a_redirect_stays_on_this_site() -> None:
    for elsewhere in ("https://evil.test/", "//evil.test", "/\\evil.test"):
        with pytest.raises(ValueError):
            see_other(elsewhere)


def test_every_door_is_found_and_nothing_else_gets_in() -> None:
    app = application(_desk())
    assert {(d.path, d.caller) for d in doors(app.routes)} >= {("/deed", Caller.OFFICER), ("/sign-in", Caller.ANYONE)}
    with pytest.raises(TypeError):
        application([Route("/back", echo)])
