"""Somebody whose wallet sends them to the issuer's sign-in pages, for the tests of the authorization code flow."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

from browserless import Browser, Page
from issuing import BASE, REDIRECT, Hall, Phone
from mapae.issuer.order import Offer, Terms, Way

JISOO = {"name": "홍지수", "number": "010309-4123456", "phone": "010-0000-0001"}


async def issuer_state(hall: Hall, offer: Offer) -> str:
    message = (await hall.http.get(f"/issuer/offers/{offer.id}")).json()
    return str(message["grants"]["authorization_code"]["issuer_state"])


class Holder:
    """Somebody whose wallet has just opened the browser."""

    def __init__(self, hall: Hall, phone: Phone, language: str = "en") -> None:
        self.hall, self.phone = hall, phone
        self.browser = Browser(hall.http, BASE, language)

    def address(self, request_uri: str, client_id: str = "") -> str:
        query = {"client_id": client_id or self.phone.provider.client_id, "request_uri": request_uri}
        return str(self.hall.http.build_request("GET", f"{BASE}/issuer/authorize", params=query).url)

    async def open(self, **form: Any) -> Page:
        answer = await self.phone.push(form)
        assert answer.status_code == 201, answer.text
        return await self.browser.get(self.address(answer.json()["request_uri"]))

    async def sign_in(self, page: Page, **typed: str) -> Page:
        asked = await self.browser.post(page, "/check", **{**JISOO, **typed})
        assert asked["code"]
        return await self.browser.post(asked, "/code", code="123456")

    async def answer(self, page: Page, action: str = "/approve") -> dict[str, str]:
        """The query with which the browser is sent back to the wallet."""
        form = page.form(action)
        sent = await self.browser._send("POST", form.action, form.fields)
        assert sent.status_code == 303, sent.text  # FAPI 2.0 5.3.2.2: not 307
        assert sent.headers["cache-control"] == "no-store"
        assert sent.headers["location"].startswith(REDIRECT + "&")  # the address's own query stays
        return dict(parse_qsl(urlsplit(sent.headers["location"]).query))

    async def code(self, **form: Any) -> str:
        page = await self.sign_in(await self.open(**form))
        return (await self.answer(page))["code"]


async def waiting(hall: Hall, **terms: Any) -> dict[str, str]:
    """An order of jisoo's waits; the form member a wallet adds to what it pushes."""
    return {
        "issuer_state": await issuer_state(hall, await hall.offer(terms=Terms(way=Way.AUTHORIZATION_CODE, **terms)))
    }
