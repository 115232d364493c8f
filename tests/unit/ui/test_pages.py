"""Pages: language, escaping, numbers and dates, static files."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
from jinja2 import UndefinedError
from starlette.requests import Request

from mapae.errors import Code, Refused
from mapae.ui import gallery
from mapae.ui.codes import drawn
from mapae.ui.files import send_file, static_url
from mapae.ui.pages import environment
from mapae.ui.site import application
from mapae.ui.words import accepted, day, moment, money, say


def client() -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=application(gallery.routes(), demo=True, zone=ZoneInfo("Asia/Seoul")))
    return httpx.AsyncClient(transport=transport, base_url="http://mapae.test")


async def lang_of(web: httpx.AsyncClient, path: str = "/demo/ui", **headers: str) -> str:
    return (await web.get(path, headers=headers)).text.partition('<html lang="')[2][:2]


async def test_the_language_follows_the_switch_then_the_cookie_then_the_browser() -> None:
    async with client() as web:
        assert await lang_of(web) == "ko"
        assert await lang_of(web, **{"Accept-Language": "en-GB,en;q=0.9"}) == "en"
        assert await lang_of(web, "/demo/ui?lang=en") == "en"
        assert await lang_of(web, **{"Accept-Language": "ko"}) == "en"
        assert await lang_of(web, "/demo/ui?lang=xx") == "en"
        assert await lang_of(web, "/demo/ui?lang=ko") == "ko"


async def test_the_switch_holds_through_a_redirect() -> None:
    async with client() as web:
        text = (await web.get("/demo/ui")).text
        token = text.partition('name="csrf" value="')[2].partition('"')[0]
        assert (await web.post("/demo/ui?lang=en", data={"csrf": token})).status_code == 303
        assert await lang_of(web) == "en"


async def test_a_browser_that_comes_from_no_address_gets_its_page_all_the_same() -> None:
    async with client() as web:
        answer = await web.post("/demo/ui", data={"csrf": "wrong"}, headers={"Referer": "http://[half"})
        assert answer.status_code == 403


@pytest.mark.parametrize(
    ("header", "lang"),
    [
        ("", "ko"),
        ("fr", "ko"),
        ("fr,en;q=0.5", "en"),
        ("en;q=0.3,ko;q=0.8", "ko"),
        ("en;q=x,ko", "ko"),
        ("en;q=0", "ko"),
    ],
)
def test_accept_language(header: str, lang: str) -> None:
    assert accepted(header) == lang


async def test_the_switch_keeps_the_page_and_its_query() -> None:
    async with client() as web:
        text = (await web.get("/demo/ui?kind=kiosk&lang=en")).text
        assert 'href="/demo/ui?kind=kiosk&amp;lang=ko"' in text
        posted = await web.post("/demo/ui", headers={"Referer": "http://mapae.test/demo/ui"})
        elsewhere = await web.post("/demo/ui", headers={"Referer": "http://evil.test/x"})
    assert 'href="/demo/ui?lang=en"' in posted.text
    assert 'href="/?lang=en"' in elsewhere.text


async def test_a_page_is_never_cached_and_says_its_language() -> None:
    async with client() as web:
        answer = await web.get("/demo/ui?lang=en")
    assert (answer.headers["cache-control"], answer.headers["content-language"]) == ("no-store", "en")
    assert "fictional country" in answer.text


def test_a_value_is_escaped_and_an_undefined_name_is_an_error() -> None:
    shown = environment().from_string("{{ name }}").render(name='<script>"')
    assert shown == "&lt;script&gt;&#34;"
    with pytest.raises(UndefinedError):
        environment().from_string("{{ nothing }}").render()


def test_words_take_their_arguments_and_unknown_keys_fail() -> None:
    assert say("en", "ui.portrait_of", name="{x} & Kim") == "Portrait of {x} & Kim"
    for broken in ("ui.no_such_word", "ui.portrait_of"):
        with pytest.raises(KeyError):
            say("ko", broken)


def test_dates_follow_the_language_and_the_country() -> None:
    seoul = ZoneInfo("Asia/Seoul")
    new_year = datetime(2026, 12, 31, 15, 30, tzinfo=UTC)
    assert (day("ko", date(2001, 3, 9)), day("en", "2001-03-09")) == ("2001년 3월 9일", "9 March 2001")
    assert day("en", new_year, seoul) == day("en", int(new_year.timestamp()), seoul) == "1 January 2027"
    assert moment("ko", new_year, seoul) == "2027년 1월 1일 00:30"
    assert (money("ko", 5000, "KRW"), money("en", 1234567, "KRW")) == ("5,000원", "₩1,234,567")


def test_a_qr_code_is_an_image_without_script() -> None:
    assert drawn("openid4vp://?client_id=x").startswith("data:image/svg+xml")


async def test_static_files_are_cached_by_hash_and_checked_by_etag() -> None:
    async with client() as web:
        hashed = await web.get(static_url("mapae.css"))
        assert "immutable" in hashed.headers["cache-control"]
        plain = await web.get("/static/mapae.css")
        assert plain.headers["cache-control"] == "no-cache"
        again = await web.get("/static/mapae.css", headers={"If-None-Match": f'W/"x", {plain.headers["etag"]}'})
        assert (again.status_code, again.content) == (304, b"")
        assert (await web.get("/static/mapae.css?v=0123456789ab")).headers["cache-control"] == "no-cache"
        for path in ("", "nothing.css", "..%2fhttp.py", "%2fetc%2fpasswd", ".hidden.css", "vendor", "mapae%00.css"):
            assert (await web.get(f"/static/{path}")).status_code == 404


def test_no_link_leads_out_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "shown"
    folder.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "a.txt").write_text("a")
    (folder / "key.pem").write_text("key")
    request = Request({"type": "http", "query_string": b"", "headers": []})
    assert send_file(request, folder, "a.txt").body == b"a"
    for name in ("../secret.txt", "link.txt", "key.pem", "b.txt", "/etc/hosts.txt", "x" * 5000 + ".txt"):
        with pytest.raises(Refused) as caught:
            send_file(request, folder, name)
        assert caught.value.code is Code.NOT_FOUND


def test_a_template_cannot_point_at_a_file_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        static_url("nothing.css")
    assert static_url("vendor/not-built.js") == "/static/vendor/not-built.js"
