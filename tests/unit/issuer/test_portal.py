"""The citizen's page: in by an identity check, everything locked by one report."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import httpx
import pytest
from msgspec import structs

from mapae.clock import SeededDice
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.formats.jose import sign_jws
from mapae.issuer import portal_web
from mapae.issuer.identity import Identity
from mapae.issuer.order import Holding
from mapae.issuer.portal import Portal
from mapae.keys import Signer, Vault
from mapae.ui.site import application
from unit.issuer.desk_world import ORIGIN, DeskWorld


class Town:
    """The registers' identity door, and a portal in front of the desk's issuer."""

    def __init__(self, world: DeskWorld) -> None:
        self.world = world
        self.key = Signer.ephemeral()
        self.asked: list[dict[str, Any]] = []
        self.answer: httpx.Response | None = None
        self.started = {"check_id": "check-1", "expires_in": 180, "tries": 5, "phone_hint": "010-****-0001"}
        self.refused: Refused | None = None
        self.jti = 0
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._identity))
        identity = Identity(
            clock=world.clock, keys=lambda kid: self.key.jwk if kid == self.key.kid else None,
            peers=self, http=http, url=ORIGIN + "/identity",
        )  # fmt: skip
        self.portal = Portal(
            world.db, world.clock, SeededDice("portal"), Vault(b"p" * 32), world.country, world.issuer, identity,
            world.register,
        )  # fmt: skip
        self.app = application(portal_web.routes(self.portal), clock=world.clock)

    def assertion(self, **change: Any) -> str:
        now = int(self.world.clock.now().timestamp())
        self.jti += 1
        claims = {
            "iss": "registers", "aud": "issuer", "sub": "p-jisoo", "name": "한지수", "phone_hint": "010-****-0001",
            "iat": now, "exp": now + 300, "jti": f"jti-{self.jti}",
        } | change  # fmt: skip
        return sign_jws(self.key, {"typ": change.get("typ", "mapae-identity+jwt"), "kid": self.key.kid}, claims)

    async def call(self, role: str, path: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """The registers' peer door, as `Peers` reaches it."""
        assert (role, path) == ("registers", "/registers/checks")
        self.asked.append(dict(message))
        if self.refused is not None:
            raise self.refused
        return self.started

    def _identity(self, request: httpx.Request) -> httpx.Response:
        sent = json.loads(request.content)
        assert request.url.path == "/identity/checks/check-1/code"
        if self.answer is not None:
            return self.answer
        if sent["code"] != "123456":
            return httpx.Response(403, json={"error": "wrong_code", "detail": "tries left: 4"})
        return httpx.Response(200, json={"assertion": self.assertion(), "person_name": "한지수"})

    def browser(self, language: str = "en") -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.app), base_url=ORIGIN, headers={"accept-language": language}
        )


@pytest.fixture
async def town(issuer_db: Db) -> AsyncIterator[Town]:
    yield Town(DeskWorld(issuer_db))


def token(page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found is not None, page.text
    return found[1]


async def check(browser: httpx.AsyncClient, **sent: str) -> httpx.Response:
    page = await browser.get("/portal/check")
    known = {"name": "한지수", "resident_number": "010309-4123456", "phone": "010-0000-0001"}
    return await browser.post("/portal/check", data={"csrf": token(page)} | known | sent)


async def enter(browser: httpx.AsyncClient) -> httpx.Response:
    page = await check(browser)
    await browser.post("/portal/code", data={"csrf": token(page), "check": "check-1", "code": "123456"})
    return await browser.get("/portal/")


async def test_a_guardian_reads_for_whom_each_document_is(town: Town) -> None:
    """And with the register away, which alone knows the names, the page is there all the same."""
    register, issuer = town.world.register, town.world.issuer
    wards = {"onyu": ("한온유", "2018-01-31"), "gaon": ("한가온", "2020-05-05")}
    records = {f"ward:{mark}": {"name": name, "birth_date": birth} for mark, (name, birth) in wards.items()}
    register.people["p-jisoo"] = structs.replace(register.people["p-jisoo"], records=records)
    card = Holding("guardian_certificate", "valid", date(2025, 3, 3), date(2026, 3, 2), "order-1")
    issuer.held["p-jisoo"] = [replace(card, about=mark) for mark in (*wards, "grown")] + [card]
    browser = town.browser("ko")
    home = await enter(browser)
    assert re.findall("<strong>(.*보호자로서)</strong>", home.text) == [
        "한온유님(2018년 1월 31일)의 보호자로서", "한가온님(2020년 5월 5일)의 보호자로서",
        "등록부에 더는 피보호자로 없는 사람의 보호자로서"]  # fmt: skip
    await issuer.lock("p-jisoo", "lost", "citizen")
    assert "한온유님(2018년 1월 31일)의 보호자로서:" in (await browser.get("/portal/")).text
    register.people.clear()
    away = await browser.get("/portal/")
    assert away.status_code == 200 and "보호자로서" not in away.text
    assert away.text.count('data-holding-state="suspended"') == 4


async def test_an_assertion_opens_one_session_whatever_the_clock_was_meanwhile(town: Town) -> None:
    mine = town.assertion()
    await town.portal.enter_with(mine, "한지수")
    town.world.clock.leap(days=1)
    await town.portal.enter_with(town.assertion(), "한지수")
    town.world.clock.leap(days=-1)
    with pytest.raises(Refused) as refused:
        await town.portal.enter_with(mine, "한지수")
    assert refused.value.code is Code.CODE_SPENT


@pytest.mark.parametrize("language", ["ko", "en"])
async def test_a_lost_phone_is_locked_by_one_report(town: Town, language: str) -> None:
    """Identity check, one confirmation, and the page says what is locked since when and how to get it back."""
    town.world.issuer.hold("p-jisoo")
    browser = town.browser(language)
    assert (await browser.get("/portal/")).status_code == 200
    home = await enter(browser)
    assert 'data-holding-state="valid"' in home.text
    confirm = await browser.get("/portal/lost")
    unsure = await browser.post("/portal/lost", data={"csrf": token(confirm)})
    assert unsure.status_code == 400
    assert town.world.issuer.done == []
    sent = await browser.post("/portal/lost", data={"csrf": token(confirm), "sure": "yes"})
    assert sent.headers["location"] == "/portal/"
    assert town.world.issuer.done == [("p-jisoo", "lock")]
    home = await browser.get("/portal/")
    assert f'data-locked="{int(town.world.clock.now().timestamp())}"' in home.text
    assert 'data-holding-state="suspended"' in home.text


async def test_the_identity_check_counts_for_the_citizen_and_keeps_the_number_off_pages(town: Town) -> None:
    browser = town.browser()
    page = await check(browser)
    assert "010-****-0001" in page.text
    assert "4123456" not in page.text
    assert town.asked[0]["client"] == "127.0.0.1"  # knocks count for the browser's address, not for ours
    town.refused = Refused(Code.NO_SUCH_PERSON, "they do not belong together")
    again = await check(browser)
    assert again.status_code == 403
    assert "4123456" not in again.text


async def test_a_wrong_code_says_how_many_tries_are_left(town: Town) -> None:
    browser = town.browser()
    page = await check(browser)
    sent = {"csrf": token(page), "check": "check-1", "code": "000000"}
    wrong = await browser.post("/portal/code", data=sent)
    assert wrong.status_code == 403
    assert "Tries left: 4" in wrong.text
    assert 'value="check-1"' in wrong.text
    assert "data-holding" not in (await browser.get("/portal/")).text


async def test_an_expired_code_begins_again(town: Town) -> None:
    browser = town.browser()
    page = await check(browser)
    town.answer = httpx.Response(410, json={"error": "code_expired", "detail": ""})
    over = await browser.post("/portal/code", data={"csrf": token(page), "check": "check-1", "code": "123456"})
    assert over.status_code == 410
    assert 'name="resident_number"' in over.text


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(500, text="oops"), httpx.Response(200, json={}), httpx.Response(403, json={"error": "strange"})],
)
async def test_a_broken_identity_door_is_unavailable(town: Town, answer: httpx.Response) -> None:
    town.answer = answer
    browser = town.browser()
    sent = {"csrf": token(await check(browser)), "check": "check-1", "code": "123456"}
    assert (await browser.post("/portal/code", data=sent)).status_code == 503
    town.started = {}
    assert (await check(browser)).status_code == 503


async def test_the_session_lasts_ten_minutes_and_ends_on_leaving(town: Town) -> None:
    browser = town.browser()
    home = await enter(browser)
    kept = dict(browser.cookies)
    town.world.clock.advance(minutes=9)
    assert "한지수" in (await browser.get("/portal/")).text
    town.world.clock.advance(minutes=1)
    assert "한지수" not in (await browser.get("/portal/")).text
    home = await enter(browser)
    kept = dict(browser.cookies)
    await browser.post("/portal/end", data={"csrf": token(home)})
    browser.cookies.update(kept)
    assert "한지수" not in (await browser.get("/portal/")).text


async def test_a_session_begun_while_the_clock_was_ahead_is_none(town: Town) -> None:
    town.world.clock.advance(days=365)
    ahead = await town.portal.enter_with(town.assertion(), "한지수")
    town.world.clock.advance(days=-365)
    assert await refusal(town.portal.citizen(ahead)) == (Code.NOT_SIGNED_IN, None)
    await town.portal.enter_with(town.assertion(), "한지수")
    town.world.clock.advance(days=365)
    assert await refusal(town.portal.citizen(ahead)) == (Code.NOT_SIGNED_IN, None)


async def test_a_report_without_a_session_is_refused(town: Town) -> None:
    browser = town.browser()
    assert (await browser.get("/portal/lost")).headers["location"] == "/portal/check"
    assert (await browser.post("/portal/lost", data={"csrf": "x", "sure": "yes"})).status_code == 401
    assert town.world.issuer.done == []


async def refusal(call: Any) -> tuple[Code, str | None]:
    with pytest.raises(Refused) as refused:
        await call
    return refused.value.code, refused.value.step


async def test_an_assertion_opens_one_session(town: Town) -> None:
    assertion = town.assertion()
    await town.portal.enter_with(assertion, "한지수")
    assert await refusal(town.portal.enter_with(assertion, "한지수")) == (Code.CODE_SPENT, "unused")


async def test_an_assertion_for_another_role_is_refused(town: Town) -> None:
    meant = town.assertion(aud="wallet_provider")
    assert await refusal(town.portal.enter_with(meant, "한지수")) == (Code.WRONG_AUDIENCE, "audience")


async def test_a_forged_assertion_is_refused(town: Town) -> None:
    kid = town.key.kid
    town.key = Signer.ephemeral()
    forged = town.assertion()
    town.key = Signer.ephemeral()
    assert town.key.kid != kid
    assert await refusal(town.portal.enter_with(forged, "한지수")) == (Code.BAD_SIGNATURE, "seal")


async def test_an_old_assertion_is_refused(town: Town) -> None:
    old = town.assertion()
    town.world.clock.advance(minutes=7)
    assert await refusal(town.portal.enter_with(old, "한지수")) == (Code.EXPIRED, "time")
