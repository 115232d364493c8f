"""A wallet of somebody else's provider in front of the demo country: keys from its hook, everything else over HTTP."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

import httpx
from cryptography.hazmat.primitives.asymmetric import ec

from browserless import Browser
from issuing import Phone, Provider
from mapae.clock import MovableClock
from mapae.formats.jose import unb64u
from mapae.issuer.oid4vci import PRE_AUTHORIZED
from mapae.keys import Signer
from town import BASE, Town


class Given(Provider):
    """A provider whose keys somebody handed over."""

    def __init__(self, said: dict[str, Any], clock: MovableClock, client_id: str) -> None:
        number = int.from_bytes(unb64u(said["private_jwk"]["d"]), "big")
        self.clock, self.client_id = clock, client_id
        self.signer = Signer(ec.derive_private_key(number, ec.SECP256R1()))
        self.leaf = base64.b64decode(said["x5c"][0])
        self.phones = {}
        assert {name: said["private_jwk"][name] for name in ("x", "y")} == {
            name: self.signer.jwk[name] for name in ("x", "y")
        }


@dataclass
class Abroad:
    """Where that wallet meets the country."""

    http: httpx.AsyncClient
    clock: MovableClock
    provider: Provider
    base: str = BASE


def knock(town: Town, path: str, **message: Any) -> dict[str, Any]:
    answer = town.call(lambda: town.house.foundation.http.post(BASE + path, json=message))
    assert answer.status_code < 300, answer.text
    said: dict[str, Any] = answer.json()
    return said


def wallet(town: Town, name: str = "acme", client_id: str = "https://wallet.acme.test") -> Phone:
    said = knock(town, "/demo/wallet-providers", name=name)
    place = Abroad(town.house.foundation.http, town.clock, Given(said, town.clock, client_id))
    return Phone(place, "nobody")


async def read(phone: Phone, uri: str) -> dict[str, Any]:
    """The offer behind a QR (OpenID4VCI 4.1.3)."""
    (address,) = parse_qs(urlsplit(uri).query)["credential_offer_uri"]
    answer = await phone.hall.http.get(address)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


async def redeem(phone: Phone, uri: str, **more: str) -> httpx.Response:
    grant = (await read(phone, uri))["grants"][PRE_AUTHORIZED]
    form = {"grant_type": PRE_AUTHORIZED, "pre-authorized_code": grant["pre-authorized_code"], **more}
    return await phone.ask_token(form)


async def sign_in(phone: Phone, offer: dict[str, Any], **pushed: Any) -> dict[str, str]:
    """From the offer over the sign-in pages back to the wallet; the query it is sent back with."""
    http = phone.hall.http
    grant = (await read(phone, offer["offer"]))["grants"]["authorization_code"]
    answer = await phone.push({"issuer_state": grant["issuer_state"], **pushed})
    assert answer.status_code == 201, answer.text
    query = httpx.QueryParams({"client_id": phone.provider.client_id, "request_uri": answer.json()["request_uri"]})
    browser, who = Browser(http, BASE, "en"), offer["sign_in"]
    page = await browser.get(f"/issuer/authorize?{query}")
    asked = await browser.post(page, "/check", name=who["name"], number=who["number"], phone=who["phone"])
    text = (await http.get(unquote(who["inbox"]))).json()["messages"][0]["text"]
    found = re.search(r"(?<!\d)(\d{4,10})(?!\d)", text)
    assert found
    consent = await browser.post(asked, "/code", code=found[1])
    form = consent.form("/approve")
    sent = await browser._send("POST", form.action, form.fields)
    assert sent.status_code == 303, sent.text
    return dict(parse_qsl(urlsplit(sent.headers["location"]).query))
