"""Logging in with a real card: a site's number stays a person's, and that of the card stays with the bridge."""

from __future__ import annotations

import re
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from mapae.errors import Code, Refused
from mapae.formats import mip
from mapae.formats.jose import b64u
from mapae.verifier.asking.ask import Manner
from mapae.verifier.login import store as login_store
from mapae.verifier.login.client import digest, registered
from town import BASE, Citizen, Town

pytestmark = pytest.mark.parametrize("town", ["sqlite"], indirect=True)
VERIFIER = "a-code-verifier-of-forty-three-characters-or-more"
SITES = {"club": "https://club.example/cb", "paper": "https://paper.example/cb"}


def add_sites(town: Town) -> None:
    async def work() -> None:
        db = await town.house.foundation.database("verifier")
        for id, uri in SITES.items():
            client = registered(id, "reading_club", [uri], alg="ES256")
            assert await login_store.add_client(db, client, town.clock.now())

    town.call(work)


def log_in(town: Town, citizen: Citizen, site: str = "club") -> str:
    """On one device, by the wallet engine: the number the site gets."""
    browser = httpx.AsyncClient(transport=httpx.ASGITransport(app=town.house.site), base_url=BASE)
    asked = {
        "client_id": site, "redirect_uri": SITES[site], "response_type": "code", "scope": "openid",
        "code_challenge": b64u(digest(VERIFIER)), "code_challenge_method": "S256",
    }  # fmt: skip

    async def begin() -> tuple[str, str]:
        path = (await browser.get("/login/authorize", params=asked)).headers["location"]
        link = re.search(r'data-request="(openid4vp:[^"]+)"', (await browser.get(path)).text)
        assert link is not None
        return path, link[1].replace("&amp;", "&")

    path, link = town.call(begin)
    shown = citizen.show(link)

    async def finish() -> str:
        await browser.get(shown.redirect_uri)
        there = dict(parse_qsl(urlsplit((await browser.get(path)).headers["location"]).query))
        form = {
            "grant_type": "authorization_code", "client_id": site, "code": there["code"],
            "redirect_uri": SITES[site], "code_verifier": VERIFIER,
        }  # fmt: skip
        token = (await browser.post("/login/token", data=form)).json()["id_token"]
        keys = KeySet.import_key_set((await browser.get("/login/jwks")).json())
        return str(jwt.decode(token, keys, algorithms=["ES256"]).claims["sub"])

    return town.call(finish)


def test_a_site_knows_somebody_again_after_a_renewal_and_on_a_new_phone(town: Town) -> None:
    """OpenID Connect Core 1.0 8.1, and the number of the card behind it: the person's, not the card's."""
    add_sites(town)
    jisoo = town.citizen()
    jisoo.obtain()
    first = log_in(town, jisoo)
    assert log_in(town, jisoo, "paper") != first
    town.call(jisoo.wallet.renew, jisoo.wallet.cards[0])
    assert log_in(town, jisoo) == first
    moved = jisoo.new_phone()
    town.clock.advance(seconds=2)
    assert moved.enrol() == "waiting"
    officer = town.officer(town.office_of(jisoo))
    officer.open_case(jisoo)
    officer.second_officer()
    assert officer.page is not None
    move = next(tag for tag in officer.page.tags if "/move?" in tag.attributes.get("href", ""))
    officer.go(move.attributes["href"])
    officer.do("/move", asked="yes", ends="yes")
    officer.do("/card", number="yes", photo="yes", undamaged="yes")
    officer.do("/file")
    moved.receive(officer.offer())
    assert log_in(town, moved) == first


def test_a_wallet_gives_the_log_in_number_to_the_bridge_alone(town: Town) -> None:
    """A party with a verifier of its own may have registered a log-in; the holder's wallet lets nobody read the number
    but the country's own bridge: not at another address, not over a relay, not through a page of another origin."""
    jisoo = town.citizen()
    jisoo.obtain()
    questions = town.house.verifier.questions

    async def put(**manner: Any) -> str:
        id = await questions.put("me", "reading_club", "log_in", manner=Manner(log_in=True, **manner))
        return questions.link(await questions.of("me", id))

    for relay in ("relay", "verifier/responses/../../relay", "verifier/responses/..%2f..%2frelay"):
        with pytest.raises(Refused) as refused:
            jisoo.show(town.call(partial(put, relay=f"{BASE}/{relay}")))
        assert (refused.value.code, refused.value.step) == (Code.OVER_ASKING, "purpose"), relay
    assert jisoo.show(town.call(put)).outcome == "sent"


def test_the_messages_of_the_korean_family_carry_no_log_in(town: Town) -> None:
    """The proof in a profile says that the answer goes to the bridge; the code around it may name any other host."""
    jisoo = town.citizen()
    jisoo.obtain()
    questions = town.house.verifier.questions

    async def code(purpose: str, host: str, **manner: Any) -> str:
        party = "reading_club" if purpose == "log_in" else "corner_store"
        id = await questions.put("me", party, purpose, manner=Manner(**manner))
        request = await questions.request_object(id)
        session = await questions.of("me", id)
        profile = {"id": questions.client_id(party), "profile": {"nonce": session.nonce},
                   "proof": {"signatureValue": request}}  # fmt: skip
        return mip.M200("20270302093000000ABCDEF0123456789", mip.DIRECT, host, mip.encode(profile)).encode()

    for host in ("https://shop.example/gateway", f"{BASE}/gateway"):
        text = town.call(partial(code, "log_in", host, log_in=True))
        with pytest.raises(Refused) as refused:
            town.call(partial(jisoo.wallet.family.open, text))
        assert (refused.value.code, refused.value.step) == (Code.OVER_ASKING, "purpose"), host
    text = town.call(partial(code, "alcohol_tobacco", "https://shop.example/gateway"))
    with pytest.raises(Refused) as refused:  # whoever asks signed where the answer goes
        town.call(partial(jisoo.wallet.family.open, text))
    assert (refused.value.code, refused.value.step) == (Code.INVALID_REQUEST, "answer")
    text = town.call(partial(code, "alcohol_tobacco", f"{BASE}/gateway"))
    assert town.call(partial(jisoo.wallet.family.open, text)).asked.standing == "listed"
