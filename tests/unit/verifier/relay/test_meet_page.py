"""The till's page for a customer's code: what the clerk is told, and who may use it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from html import unescape

import httpx
import pytest

from mapae.formats import jwe
from mapae.formats.meet import LIFE, TOKEN, MeetCode, channel_of, unseal
from mapae.ui.site import application
from mapae.ui.words import say
from mapae.verifier.relay.mailbox_web import routes as relay_routes
from mapae.verifier.relay.mailboxes import Relay
from mapae.verifier.relay.meet import Meetings
from mapae.verifier.relay.meet_web import routes as meet_routes
from mapae.verifier.till.web import routes
from unit.verifier.shop import BASE, Shop
from unit.verifier.till.test_web import enrolled, post

RELAY = "https://mapae.test/relay"
READER = b"r" * TOKEN
KEY = jwe.DecryptionKey.from_jwk(
    {name: value for name, value in jwe.private_jwk(b"page" * 12, "").items() if name != "kid"}
)
SAID = ("clock_off", "presentation_spent", "presentation_stale", "transport_lost", "unreadable")


def code(shop: Shop, age: timedelta = timedelta(), relay: str = RELAY) -> MeetCode:
    return MeetCode.make(relay, channel_of(READER), KEY.public, shop.clock.now() - age)


@asynccontextmanager
async def site_of(shop: Shop, relay: Relay, *, up: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    outside = httpx.ASGITransport(app=application(relay_routes(relay), clock=shop.clock, rates=False))
    away = httpx.MockTransport(lambda request: httpx.Response(503))
    async with httpx.AsyncClient(transport=outside if up else away) as http:
        meetings = Meetings(shop.verifier.questions, http, [RELAY])
        app = application(
            [*routes(shop.verifier, meetings.collect), *meet_routes(shop.verifier, meetings)], clock=shop.clock,
            rates=False,
        )  # fmt: skip
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE) as site:
            yield site


async def test_a_clerk_scans_asks_and_waits(shop: Shop) -> None:
    relay = Relay(shop.db, shop.clock)
    async with site_of(shop, relay) as site:
        await enrolled(shop, site)
        start = (await site.get("/checker/")).text
        assert 'id="meet" href="/checker/meet"' in start
        page = (await site.get("/checker/meet?purpose=adult_contract")).text
        assert re.search(r'value="adult_contract" required checked', page)
        await relay.open(channel_of(READER), READER)
        shown = code(shop)
        asked = await post(
            site, "/checker/meet", {"purpose": "alcohol_tobacco", "code": shown.text + "\n"}, page="/checker/meet"
        )
        assert asked.status_code == 303
        waiting = (await site.get(asked.headers["location"])).text
        assert 'data-phase="opened"' in waiting and "Show this to the customer" not in waiting
        sealed = await relay.take(channel_of(READER), READER)
        assert sealed is not None
        assert unseal(sealed, KEY, shown).startswith(b"eyJ")


@pytest.mark.parametrize("what", SAID)
async def test_a_code_that_is_no_good_says_why_and_lets_the_clerk_go_on(shop: Shop, what: str) -> None:
    relay = Relay(shop.db, shop.clock)
    async with site_of(shop, relay, up=what != "transport_lost") as site:
        await enrolled(shop, site)
        await relay.open(channel_of(READER), READER)
        shown = code(shop).text
        if what == "presentation_stale":
            shown = code(shop, LIFE + timedelta(seconds=6)).text
        elif what == "clock_off":
            shown = code(shop, -timedelta(minutes=1)).text
        elif what == "presentation_spent":
            await relay.close(channel_of(READER), READER)
        elif what == "unreadable":
            shown = "MAPAE-PAPER:ABC"
        answer = await post(site, "/checker/meet", {"purpose": "alcohol_tobacco", "code": shown}, page="/checker/meet")
        assert answer.status_code == 422
        assert say("ko", f"meet.wrong.{what}") in unescape(answer.text)
        assert 'id="code"' in unescape(answer.text)
        assert await shop.db.all("SELECT id FROM check_session WHERE state = 'open'") == []


async def test_a_browser_that_is_no_till_goes_to_enrol(shop: Shop) -> None:
    async with site_of(shop, Relay(shop.db, shop.clock)) as site:
        assert (await site.get("/checker/meet")).headers["location"] == "/checker/"
        answer = await post(site, "/checker/meet", {"code": code(shop).text})
        assert answer.headers["location"] == "/checker/"
