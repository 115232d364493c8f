"""Another ordinary client: Authlib's Starlette integration, unmodified, and a wallet with a real card.

`site` is what Authlib's documentation shows for a log-in; it knows of mapae an issuer's address, a client's id and a
secret. Nothing is patched: its HTTP client is told, as httpx allows, to reach the country in this process, and its
claims, whose class one may name, what time it is in that country.
"""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from authlib.integrations.starlette_client import OAuth, OAuthError
from authlib.oidc.core import CodeIDToken
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mapae.verifier.login import store as login_store
from mapae.verifier.login.client import registered
from town import BASE, Citizen, Town

pytestmark = pytest.mark.parametrize("town", ["sqlite"], indirect=True)
HERE, SECRET = "https://paper.example", "only the paper's server knows this"


class Sessions:
    """What a session middleware does: one dictionary a browser, here for the one browser there is."""

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.session = app, dict[str, Any]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["session"] = self.session
        await self.app(scope, receive, send)


def site(town: Town, client: str, **kwargs: Any) -> ASGIApp:
    class Now(CodeIDToken):
        def validate(self, now: int | None = None, leeway: int = 0) -> None:
            super().validate(int(town.clock.now().timestamp()), leeway)

    oauth = OAuth()
    oauth.register(
        "card", client_id=client, client_secret=SECRET,
        server_metadata_url=f"{BASE}/login/.well-known/openid-configuration",
        client_kwargs={"scope": "openid profile", "transport": httpx.ASGITransport(app=town.house.site), **kwargs},
    )  # fmt: skip

    async def login(request: Request) -> Response:
        answer: Response = await oauth.card.authorize_redirect(request, f"{HERE}/callback", max_age=600)
        return answer

    async def callback(request: Request) -> Response:
        try:
            token = await oauth.card.authorize_access_token(request, claims_cls=Now)
        except OAuthError as wrong:
            return JSONResponse({"error": wrong.error}, 403)
        told = await oauth.card.userinfo(token=token)
        request.session["id_token"] = token["id_token"]
        return JSONResponse({"claims": dict(token["userinfo"]), "told": dict(told)})

    async def logout(request: Request) -> Response:
        answer: Response = await oauth.card.logout_redirect(
            request, f"{HERE}/bye", id_token_hint=request.session.pop("id_token")
        )
        return answer

    async def bye(request: Request) -> Response:
        return JSONResponse(await oauth.card.validate_logout_response(request))

    rooms = {"/login": login, "/callback": callback, "/logout": logout, "/bye": bye}
    return Sessions(Starlette(routes=[Route(path, room) for path, room in rooms.items()]))


async def add_sites(town: Town) -> None:
    """`old` is a server whose library sends no PKCE, which is how Authlib is set up unless it is told to."""
    db = await town.house.foundation.database("verifier")
    for id, alg, old in (("paper", "RS256", False), ("paper-es", "ES256", False), ("paper-old", "RS256", True)):
        client = registered(
            id, "reading_club", [f"{HERE}/callback"], logout_uris=[f"{HERE}/bye"], secret=SECRET, alg=alg,
            pkce_optional=old,
        )  # fmt: skip
        assert await login_store.add_client(db, client, town.clock.now())


def visit(town: Town, citizen: Citizen | None, app: ASGIApp) -> tuple[httpx.Response, httpx.AsyncClient]:
    """One browser at two hosts; the citizen's wallet is on the same device. None: she says no on the page."""
    browser = httpx.AsyncClient(
        mounts={f"{HERE}": httpx.ASGITransport(app=app), BASE: httpx.ASGITransport(app=town.house.site)}
    )

    async def begin() -> tuple[str, str]:
        sent = await browser.get(f"{HERE}/login")
        asked = await browser.get(sent.headers["location"])
        assert asked.status_code == 303, asked.headers
        path = f"{BASE}{asked.headers['location']}"
        page = (await browser.get(path)).text
        link = re.search(r'data-request="(openid4vp:[^"]+)"', page)
        assert link is not None
        if citizen is None:
            csrf = re.search(r'name="csrf" value="([^"]+)"', page)
            assert csrf is not None
            path = (await browser.post(f"{path}/refuse", data={"csrf": csrf[1]})).headers["location"]
        return path, link[1].replace("&amp;", "&")

    path, link = town.call(begin)
    back = citizen.show(link).redirect_uri if citizen is not None else None

    async def finish() -> httpx.Response:
        if back is None:
            return await browser.get(path)
        await browser.get(back)
        return await browser.get((await browser.get(path)).headers["location"])

    return town.call(finish), browser


def test_an_unmodified_authlib_application_logs_a_person_in_and_out(town: Town) -> None:
    """With PKCE and RS256, with PKCE and ES256, and without PKCE. Authlib checks state, signature, issuer, audience,
    nonce and times; the log-out comes back with its state."""
    town.call(add_sites, town)
    jisoo = town.citizen()
    jisoo.obtain()
    seen = []
    for client, more in (
        ("paper", {"code_challenge_method": "S256"}),
        ("paper-es", {"code_challenge_method": "S256"}),
        ("paper-old", {}),
    ):
        answer, browser = visit(town, jisoo, site(town, client, **more))
        assert answer.status_code == 200, answer.text
        said = answer.json()
        assert said["told"]["sub"] == said["claims"]["sub"] and said["told"]["name"] == jisoo.person.name
        assert (said["claims"]["iss"], said["claims"]["aud"]) == (f"{BASE}/login", client)
        seen.append(said["claims"]["sub"])

        async def leave(browser: httpx.AsyncClient = browser) -> httpx.Response:
            out = await browser.get((await browser.get(f"{HERE}/logout")).headers["location"])
            return await browser.get(out.headers["location"])

        assert town.call(leave).json() == {"post_logout_redirect_uri": f"{HERE}/bye"}
    assert len(set(seen)) == 1, "one host, one number"
    refused, _ = visit(town, None, site(town, "paper", code_challenge_method="S256"))
    assert (refused.status_code, refused.json()) == (403, {"error": "access_denied"})
