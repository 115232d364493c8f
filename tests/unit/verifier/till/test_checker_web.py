"""The doors of the checker that works offline: who gets what, and what is kept whole."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from mapae.clock import MovableClock, SeededDice
from mapae.db import Db
from mapae.formats import qr
from mapae.formats.jose import Jws
from mapae.formats.x509 import leaf_key
from mapae.trust.pack.keep import Keeper
from mapae.ui.files import STATIC
from mapae.ui.site import application
from mapae.verifier.checking import receipt
from mapae.verifier.till import checker_web, web
from mapae.verifier.till.kiosk import ENROLMENT
from packed import small
from unit.verifier.shop import ACCESS, BASE, Shop, opened, trust_list
from unit.verifier.world import NOW

OFFLINE = checker_web.BASE
NATION = small()
PACK = NATION.pack()
one_engine = pytest.mark.parametrize("migrated", ["sqlite"], indirect=True)
pytestmark = one_engine
Migrated = Callable[[str], Awaitable[Db]]


@dataclass
class Counter:
    shop: Shop
    site: httpx.AsyncClient
    static: Path

    async def enrol(self, party: str = "mart") -> None:
        page = (await self.site.get("/checker/")).text
        token = re.search(r'name="csrf" value="([^"]+)"', page)
        assert token is not None
        code = (await self.shop.verifier.invite(party)).code
        assert (await self.site.post("/checker/till", data={"csrf": token[1], "code": code})).status_code == 303

    async def till(self) -> dict[str, Any]:
        return (await self.site.get(f"{OFFLINE}till")).json()  # type: ignore[no-any-return]

    async def asks(self, purpose: str, count: int = 3, headers: dict[str, str] | None = None) -> httpx.Response:
        shown, body = {"X-CSRF-Token": (await self.till())["csrf"]}, {"purpose": purpose, "count": count}
        return await self.site.post(f"{OFFLINE}asks", json=body, headers=shown | (headers or {}))


@asynccontextmanager
async def counter(db: Db, folder: Path, *, packed: bool = True, demo: bool = False) -> AsyncIterator[Counter]:
    clock = MovableClock(NOW)

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=PACK.encode()) if packed else httpx.Response(503)

    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(answer)) as packs,
        opened(db, clock, keeper=Keeper(folder / "pack", NATION.pinned.encode().decode()), packs=packs) as shop,
    ):
        assert shop.verifier.basement is not None
        await shop.verifier.basement.refresh()
        doors = [
            *web.routes(shop.verifier),
            *checker_web.routes(shop.verifier, ACCESS, clock, SeededDice("offline page"), static(folder)),
        ]
        app = application(doors, clock=clock, demo=demo, rates=False)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE) as site:
            yield Counter(shop, site, folder / "static")


@pytest.fixture
async def at_the_counter(migrated: Migrated, tmp_path: Path) -> AsyncIterator[Counter]:
    async with counter(await migrated("verifier"), tmp_path) as one:
        yield one


def static(folder: Path) -> Path:
    """A folder of static files that holds a built checker, whatever this checkout has."""
    made = folder / "static"
    for name in ("mapae.css", "checker.css", "basement.css", "checker.svg", "checker-192.png", "checker-512.png"):
        made.mkdir(exist_ok=True)
        (made / name).write_bytes((STATIC / name).read_bytes())
    for name in ("vendor/checker/app.js", "vendor/checker/sw.js", "vendor/zxing/zxing_reader.wasm"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(f"// {name}", encoding="utf-8")
    return made


# --- without an account -----------------------------------------------------------------------------------------------


async def test_anybody_gets_the_pack_and_is_nobodys_till(at_the_counter: Counter) -> None:
    site = at_the_counter.site
    answer = await site.get(f"{OFFLINE}pack")
    assert answer.status_code == 200
    assert {"alcohol_tobacco", "name_birth_date"} <= {one["id"] for one in answer.json()["purposes"]}
    again = await site.get(f"{OFFLINE}pack", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for one in answer.json()["publishers"][0]["lists"]:
        digest = base64.urlsafe_b64decode(one["digest"] + "=")
        kept = await site.get(f"{OFFLINE}lists/{digest.hex()}")
        assert (kept.status_code, "immutable" in kept.headers["cache-control"]) == (200, True)
    told = await at_the_counter.till()
    assert (told["till"], told["now"]) == (None, int(NOW.timestamp()))


async def test_nobodys_till_gets_no_question_in_a_shops_name(at_the_counter: Counter) -> None:
    answer = await at_the_counter.asks("alcohol_tobacco")
    assert (answer.status_code, answer.json()["error"]) == (403, "not_allowed")


async def test_an_unknown_list_is_none(at_the_counter: Counter) -> None:
    for name in ("00" * 32, "zz", PACK.manifest.names["policy"].hex()):
        assert (await at_the_counter.site.get(f"{OFFLINE}lists/{name}")).status_code == 404


async def test_before_the_first_pack_it_says_so(migrated: Migrated, tmp_path: Path) -> None:
    async with counter(await migrated("verifier"), tmp_path, packed=False) as one:
        answer = await one.site.get(f"{OFFLINE}pack")
        assert (answer.status_code, answer.json()["error"]) == (503, "unavailable")


# --- an enrolled till -------------------------------------------------------------------------------------------------


async def test_an_enrolled_till_hears_whose_it_is_and_what_it_may_ask(at_the_counter: Counter) -> None:
    await at_the_counter.enrol()
    till = (await at_the_counter.till())["till"]
    assert (till["party"], till["shop"]["en"]) == ("mart", "Hanbit Mart Sejong")
    assert till["purposes"] == ["alcohol_tobacco", "adult_contract", "name_birth_date"]
    assert till["until"] == int((NOW + ENROLMENT).timestamp())


async def test_its_questions_are_signed_by_the_shop_each_with_a_nonce_of_its_own(at_the_counter: Counter) -> None:
    await at_the_counter.enrol()
    told = (await at_the_counter.asks("name_birth_date", 5)).json()
    asks = [qr.Ask.parse(text) for text in told["asks"]]
    assert len({ask.nonce for ask in asks}) == 5
    for ask in asks:
        assert (ask.purpose, ask.items, ask.name) == ("name_birth_date", ("name", "birth_date"), None)
        assert ask.certificate == ACCESS["mart"].x5c[0]
        assert ask.until == told["until"] == int((NOW + timedelta(days=2)).timestamp())
        ask.verify(leaf_key(ACCESS["mart"].x5c[0]))


async def test_it_gets_no_more_at_once_than_it_can_use(at_the_counter: Counter) -> None:
    await at_the_counter.enrol()
    assert len((await at_the_counter.asks("alcohol_tobacco", 10_000)).json()["asks"]) == checker_web.MOST_ASKS
    assert (await at_the_counter.asks("alcohol_tobacco", -1)).json()["asks"] == []


async def test_a_purpose_the_shop_has_not_registered_is_not_signed_for(at_the_counter: Counter) -> None:
    await at_the_counter.enrol()
    at_the_counter.shop.trust.append(trust_list(purposes=("alcohol_tobacco",)))
    answer = await at_the_counter.asks("name_birth_date")
    assert (answer.status_code, answer.json()["error"]) == (403, "over_asking")


async def test_a_page_of_another_site_cannot_fetch_questions(at_the_counter: Counter) -> None:
    await at_the_counter.enrol()
    assert (await at_the_counter.asks("alcohol_tobacco", headers={"Sec-Fetch-Site": "cross-site"})).status_code == 403
    assert (await at_the_counter.asks("alcohol_tobacco", headers={"X-CSRF-Token": "wrong"})).status_code == 403


async def test_a_till_that_was_signed_off_is_nobodys(at_the_counter: Counter) -> None:
    await at_the_counter.enrol()
    token = at_the_counter.site.cookies.get(web.COOKIE)
    till = await at_the_counter.shop.verifier.till(token)
    assert till is not None
    await at_the_counter.shop.verifier.end_till(till)
    assert (await at_the_counter.till())["till"] is None


async def test_a_till_whose_shop_the_list_does_not_name_is_nobodys_and_goes_on_getting_packs(
    at_the_counter: Counter,
) -> None:
    """Its page would take a refusal for a line that broke, and fetch no pack any more: an adult would turn red."""
    await at_the_counter.enrol()
    at_the_counter.shop.trust.append(msgspec.structs.replace(trust_list(), relying_parties=()))
    assert (await at_the_counter.till())["till"] is None
    at_the_counter.shop.trust.append(trust_list())
    assert (await at_the_counter.till())["till"]["party"] == "mart"


# --- receipts ---------------------------------------------------------------------------------------------------------


async def reported(counter: Counter, **change: Any) -> Any:
    pack = (await counter.site.get(f"{OFFLINE}pack")).json()
    facts = {
        "id": "1", "purpose": "alcohol_tobacco", "outcome": "accepted", "step": "", "code": "", "tier": "full",
        "at": int(NOW.timestamp()) - 2 * 86_400, "registry": pack["registry"], "status": pack["epochs"],
    }  # fmt: skip
    shown = {"X-CSRF-Token": (await counter.till())["csrf"]}
    return await counter.site.post(f"{OFFLINE}receipts", json={"receipts": [facts | change]}, headers=shown)


async def test_a_check_reported_later_becomes_a_receipt_that_says_so(at_the_counter: Counter) -> None:
    await at_the_counter.enrol()
    [text] = (await reported(at_the_counter)).json()["receipts"]
    assert at_the_counter.shop.verifier.basement is not None
    opened = at_the_counter.shop.verifier.basement.opened
    assert opened is not None
    proven = receipt.verify(text, opened)
    assert (proven.signed_by, proven.later) == (ACCESS["mart"].x5c[0], ())
    assert (proven.receipt.at, proven.receipt.asked_by, proven.receipt.outcome) == ("2026-11-19", "mart", "accepted")
    assert Jws.parse(text, typ=receipt.TYPE).header["reported"] == "2026-11-21"


@pytest.mark.parametrize(
    "change",
    [
        {"purpose": "confirm_payment"}, {"at": int(NOW.timestamp()) - 40 * 86_400},
        {"at": int(NOW.timestamp()) + 3600}, {"step": "한지수"}, {"code": "A name"},
        {"registry": {"origin": "another.log", "size": 1, "root": "A" * 43}},
    ],
    ids=["unregistered", "old", "future", "step", "code", "log"],
)  # fmt: skip
async def test_what_cannot_be_is_not_signed(at_the_counter: Counter, change: dict[str, Any]) -> None:
    await at_the_counter.enrol()
    assert (await reported(at_the_counter, **change)).json()["receipts"] == [None]


async def test_a_receipt_has_no_room_for_a_person(at_the_counter: Counter) -> None:
    await at_the_counter.enrol()
    assert (await reported(at_the_counter, name="한지수")).status_code == 400


async def test_nobodys_till_gets_no_receipt(at_the_counter: Counter) -> None:
    assert (await reported(at_the_counter)).status_code == 403


# --- the page ---------------------------------------------------------------------------------------------------------


async def test_both_languages_are_the_same_for_everybody(at_the_counter: Counter) -> None:
    for lang, word in (("ko", "무엇을 확인할까요?"), ("en", "What do you need to know?")):
        before = await at_the_counter.site.get(f"{OFFLINE}{lang}/")
        await at_the_counter.enrol()
        after = await at_the_counter.site.get(f"{OFFLINE}{lang}/", headers={"Accept-Language": "fr"})
        assert (before.status_code, before.content) == (200, after.content)
        assert word in before.text and f'lang="{lang}"' in before.text
        assert "set-cookie" not in before.headers and "csrf" not in before.text
        assert "'wasm-unsafe-eval'" in before.headers["content-security-policy"]
        assert "camera=(self)" in before.headers["permissions-policy"]


async def test_without_script_it_says_what_is_needed_and_where_to_go(at_the_counter: Counter) -> None:
    page = (await at_the_counter.site.get(f"{OFFLINE}en/")).text
    [told] = re.findall(r"<noscript>(.*?)</noscript>", page, re.DOTALL)
    assert "This page needs JavaScript" in told and 'href="/checker/"' in told
    assert re.search(r'<section id="how" class="how" aria-labelledby="how-title">', page), "how to check is readable"
    assert re.search(r'<section id="home" class="start" hidden>', page)


async def test_the_worker_lists_every_file_by_its_digest(at_the_counter: Counter) -> None:
    site = at_the_counter.site
    worker = await site.get(f"{OFFLINE}sw.js")
    told = json.loads(worker.text.partition("self.MAPAE = ")[2].partition(";\n")[0])
    assert told["scope"] == OFFLINE
    assert {f"{OFFLINE}ko/", f"{OFFLINE}en/", f"{OFFLINE}ko/manifest.webmanifest"} <= told["files"].keys()
    for path, integrity in told["files"].items():
        if path.startswith(OFFLINE):
            answer = await site.get(path)
            assert integrity == "sha256-" + base64.b64encode(sha256(answer.content).digest()).decode(), path
    assert all(path.startswith((OFFLINE, "/static/")) for path in told["files"]), "and nothing of anybody else's"
    assert worker.headers["cache-control"] == "no-cache"
    (at_the_counter.static / "basement.css").write_text("body { color: red }", encoding="utf-8")
    assert (await site.get(f"{OFFLINE}sw.js")).text != worker.text, "a changed file is a new version"


async def test_a_checkout_that_was_not_built_says_so(at_the_counter: Counter) -> None:
    (at_the_counter.static / "vendor/checker/app.js").unlink()
    for path in ("en/", "sw.js"):
        assert (await at_the_counter.site.get(OFFLINE + path)).status_code == 503


async def test_it_can_be_installed(at_the_counter: Counter) -> None:
    manifest = (await at_the_counter.site.get(f"{OFFLINE}ko/manifest.webmanifest")).json()
    assert (manifest["display"], manifest["scope"], manifest["start_url"]) == ("standalone", OFFLINE, f"{OFFLINE}ko/")
    assert {"192x192", "512x512"} <= {icon["sizes"] for icon in manifest["icons"]}


async def test_the_way_there_is_open_to_everybody_and_on_the_online_page(at_the_counter: Counter) -> None:
    for path in ("/checker/adult", OFFLINE):
        answer = await at_the_counter.site.get(path, headers={"Accept-Language": "en"})
        assert (answer.status_code, answer.headers["location"]) == (303, f"{OFFLINE}en/")
    assert f'href="{OFFLINE}' in (await at_the_counter.site.get("/checker/")).text
    await at_the_counter.enrol()
    assert f'href="{OFFLINE}' in (await at_the_counter.site.get("/checker/")).text
