"""A site that logs people in, played as any client library does it, and the wallet's side played with `formats`."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode, urlsafe_b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import msgspec

from mapae.clock import MovableClock, SeededDice
from mapae.db import Db
from mapae.formats.jose import b64u
from mapae.keys import RsaSigner, Signer, Vault
from mapae.keys.rsa import new_secret
from mapae.ui.site import application
from mapae.verifier.login import store as login_store
from mapae.verifier.login import web as login_web
from mapae.verifier.login.bridge import Bridge
from mapae.verifier.login.client import registered
from mapae.verifier.login.keys import IdTokenSigner, Keys
from mapae.verifier.login.openid import Client
from mapae.verifier.till.web import routes
from unit.verifier.shop import BASE, Shop, opened, request_id, trust_list
from unit.verifier.world import CLAIMS, NOW, Card

ISSUER = f"{BASE}/login"
CALLBACK = "https://club.example/callback"
SECRET = "a client's secret"
VERIFIER = "a-code-verifier-of-forty-three-characters-or-more"
CHALLENGE = b64u(hashlib.sha256(VERIFIER.encode()).digest())
LOG_INS = ("log_in", "log_in_named")
PLAIN = {"code_challenge": None, "code_challenge_method": None}  # as the suite asks: it sends no PKCE
BYE = "https://club.example/bye"


@lru_cache(maxsize=1)
def rsa() -> bytes:
    """One for all tests: making one takes a tenth of a second."""
    return new_secret()


def card(number: str = "n" * 32, **claims: Any) -> Card:
    return Card(claims={**CLAIMS, "login_id": number, **claims})


def open_keys() -> Any:
    made: dict[str, IdTokenSigner] = {}

    def opened(name: str, alg: str) -> IdTokenSigner:
        if name not in made:
            made[name] = RsaSigner(rsa()) if alg == "RS256" else Signer.ephemeral()
        return made[name]

    return opened


@dataclass
class Club:
    """The relying party `mart`, its client, and the bridge it logs people in with."""

    shop: Shop
    bridge: Bridge
    answers: list[dict[str, str]] = field(default_factory=list)

    @property
    def clock(self) -> MovableClock:
        return self.shop.clock

    def browser(self) -> httpx.AsyncClient:
        questions = self.shop.verifier.questions
        doors = [
            *routes(self.shop.verifier), *login_web.routes(self.bridge, questions, digital_credentials=True),
        ]  # fmt: skip
        app = application(doors, clock=self.clock, demo=True, rates=False)
        return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE)

    async def add(self, id: str = "club", **more: Any) -> Client:
        given: dict[str, Any] = {"secret": SECRET, "redirect_uris": [CALLBACK], "relying_party": "mart", **more}
        client = registered(id, given.pop("relying_party"), given.pop("redirect_uris"), **given)
        assert await login_store.add_client(self.shop.db, client, self.clock.now())
        return client

    async def begin(self, browser: httpx.AsyncClient, **changes: Any) -> httpx.Response:
        return await browser.get("/login/authorize", params=request(**changes))

    async def ask(self, browser: httpx.AsyncClient, **changes: Any) -> tuple[str, str]:
        """A site sends the browser: the page it is on, and the request its wallet is to fetch."""
        begun = await self.begin(browser, **changes)
        assert begun.status_code == 303, begun.text
        path = begun.headers["location"]
        link = re.search(r'data-request="(openid4vp:[^"]+)"', (await browser.get(path)).text)
        assert link is not None
        return path, request_id(link[1].replace("&amp;", "&"))

    async def agree(self, wallet: httpx.AsyncClient, id: str, shown: Card | None = None) -> str:
        """The wallet answers; where it leads the browser it is in."""
        answer = await wallet.post(f"/verifier/responses/{id}", data=await self.shop.reply(id, shown or card()))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["redirect_uri"]).removeprefix(BASE)

    async def log_in(self, browser: httpx.AsyncClient, shown: Card | None = None, **changes: Any) -> dict[str, str]:
        """The whole way on one device; what the site gets at its address."""
        path, id = await self.ask(browser, **changes)
        back = await browser.get(await self.agree(browser, id, shown))
        assert back.headers["location"] == path.partition("?")[0], back.text
        return landed(await browser.get(path), changes.get("redirect_uri", CALLBACK))

    async def tokens(self, browser: httpx.AsyncClient, code: str | None, **changes: Any) -> httpx.Response:
        """By client_secret_basic, unless `client_secret` or another way is among the changes."""
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        basic = changes.pop("basic", ("club", SECRET))
        headers = {"Authorization": f"Basic {b64encode(':'.join(basic).encode()).decode()}"} if basic else {}
        sent = {name: value for name, value in {**fields, **changes}.items() if value is not None}
        return await browser.post("/login/token", data=sent, headers=headers)


def request(**changes: Any) -> dict[str, Any]:
    given = {
        "client_id": "club", "redirect_uri": CALLBACK, "response_type": "code", "scope": "openid", "state": "s1",
        "nonce": "n1", "code_challenge": CHALLENGE, "code_challenge_method": "S256",
    }  # fmt: skip
    return {name: value for name, value in {**given, **changes}.items() if value is not None}


def landed(answer: httpx.Response, uri: str = CALLBACK) -> dict[str, str]:
    """The site's address was reached, with these parameters."""
    assert answer.status_code == 303, answer.text
    there = answer.headers["location"]
    assert there.partition("?")[0] == uri, there
    return dict(parse_qsl(urlsplit(there).query))


def csrf(html: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', html)
    assert found is not None
    return found[1]


async def press(browser: httpx.AsyncClient, path: str, button: str, **fields: str) -> httpx.Response:
    """Send a form of the page as its browser does."""
    html = (await browser.get(path)).text
    return await browser.post(f"{path.partition('?')[0]}/{button}", data={"csrf": csrf(html), **fields})


@asynccontextmanager
async def club_on(db: Db, **more: Any) -> AsyncIterator[Club]:
    async with opened(db, MovableClock(NOW)) as shop:
        shop.trust[:] = [trust_list(purposes=("alcohol_tobacco", *LOG_INS))]
        club = Club(shop, bridge_on(shop, db, **more))
        await club.add()
        yield club


def bridge_on(shop: Shop, db: Db, keys: Any = None, seed: str = "") -> Bridge:
    return Bridge(
        db=db, vault=Vault(b"the bridge's own secret, 32 byte"), clock=shop.clock, dice=SeededDice(f"login{seed}"),
        questions=shop.verifier.questions, keys=Keys(db, shop.clock, keys or open_keys()), base=BASE,
    )  # fmt: skip


def part(token: str, place: int) -> dict[str, Any]:
    text = token.split(".")[place]
    found: dict[str, Any] = msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


async def plain(club: Club, browser: httpx.AsyncClient, shown: Any = None, **changes: Any) -> dict[str, Any]:
    """A log-in as the suite does it; the token response."""
    answer = await club.log_in(browser, shown, client_id="plain", **{**PLAIN, **changes})
    got = await club.tokens(browser, answer["code"], basic=("plain", SECRET), code_verifier=None)
    assert got.status_code == 200, got.text
    told: dict[str, Any] = got.json()
    return told
