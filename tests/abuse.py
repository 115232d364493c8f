"""A town with many people, wallets whose line can be listened to, cut and doubled, and phones taken apart."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from crowd import eligible
from mapae.clock import Clock, SystemDice
from mapae.errors import Code, Refused
from mapae.holder import Wallet
from mapae.house import House
from mapae.registers.people import Named
from strangers import Apart
from town import BASE, Citizen, Town

TOKEN, CREDENTIAL, NOTIFY = "/issuer/token", "/issuer/credential", "/issuer/notification"


@dataclass(frozen=True)
class Sent:
    """A request exactly as the holder made it."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes


class Tap(httpx.AsyncBaseTransport):
    """The holder's line: everything is kept; paths in `cut` get no answer; paths in `twice` arrive twice at once."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.sent: list[Sent] = []
        self.cut: set[str] = set()
        self.twice: set[str] = set()
        self.heard: list[httpx.Response] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        sent = Sent(request.method, request.url.path, request.headers.multi_items(), body)
        self.sent.append(sent)
        if any(sent.path.startswith(path) for path in self.cut):
            raise httpx.ConnectError("cut")
        if any(sent.path.startswith(path) for path in self.twice):
            self.heard = list(await asyncio.gather(self.again(sent), self.again(sent)))
            return min(self.heard, key=lambda answer: answer.status_code)
        return await self.again(sent)

    async def again(self, sent: Sent) -> httpx.Response:
        """The very same bytes."""
        http = self._house.foundation.http
        answer = await http.request(sent.method, BASE + sent.path, headers=sent.headers, content=sent.body)
        headers = [pair for pair in answer.headers.multi_items() if pair[0] != "content-length"]
        return httpx.Response(answer.status_code, headers=headers, content=answer.content)

    def last(self, path: str) -> Sent:
        return next(sent for sent in reversed(self.sent) if sent.path.startswith(path))


class Listened(Citizen):
    """A citizen whose line is tapped; `clock` may run ahead of or behind the town's."""

    clock: Clock | None = None

    def _wallet(self) -> Wallet:
        if not hasattr(self, "tap"):
            self.tap = Tap(self.town.house)
        http = httpx.AsyncClient(transport=self.tap)
        return Wallet(http, BASE, store=self.store, clock=self.clock or self.town.clock, dice=SystemDice())


class Alley:
    """Where it happens."""

    def __init__(self, town: Town, people: int = 120) -> None:
        self.town = town

        async def move_in() -> int:
            return await town.demo.more_people(people, "alley", lambda done: None)

        town.call(move_in)
        country = town.house.country
        today = country.today(town.clock.now())
        self._people: Iterator[Named] = eligible(country, "kr", today, count=people, seed="alley")
        self.officer = town.officer()

    def stranger(self) -> Listened:
        """Somebody who has not been here before, without a phone."""
        return Listened(self.town, next(self._people))

    def enrolled(self) -> Listened:
        citizen = self.stranger()
        assert citizen.enrol() == "active"
        return citizen

    def carded(self) -> tuple[Listened, Apart]:
        citizen = self.enrolled()
        citizen.receive(self.officer.offer_for(citizen))
        return citizen, Apart(self.town, citizen)

    def before(self, path: str) -> tuple[Listened, Apart]:
        """Somebody whose wallet has done everything up to this request, which did not get through."""
        citizen = self.enrolled()
        citizen.tap.cut = {path}
        offer = self.officer.offer_for(citizen)
        try:
            citizen.receive(offer)
        except Refused as refused:
            assert refused.code is Code.UNAVAILABLE
        citizen.tap.cut = set()
        apart = Apart(self.town, citizen)
        self.town.call(apart.c_nonce)
        return citizen, apart

    def told(self) -> str:
        """What the officer's screen says of the open case."""
        return self.officer.case().html

    def again(self, citizen: Listened, sent: Sent) -> httpx.Response:
        return self.town.call(citizen.tap.again, sent)

    def post(self, path: str, headers: dict[str, str], **body: Any) -> httpx.Response:
        return self.at_once((path, headers, body))[0]

    def at_once(self, *requests: tuple[str, dict[str, str], dict[str, Any]]) -> list[httpx.Response]:
        http = self.town.house.foundation.http

        async def send() -> list[httpx.Response]:
            posts = (http.post(BASE + path, headers=headers, **body) for path, headers, body in requests)
            return list(await asyncio.gather(*posts))

        return self.town.call(send)

    def code(self, citizen: Citizen) -> tuple[str, str]:
        """A fresh identity check of this person: its id, and the code in the text message."""
        self.town.clock.advance(seconds=2)
        who = citizen.named.resident
        asked = {
            "name": who.name, "resident_number": who.number.written, "phone": citizen.number,
            "audience": "wallet_provider",
        }  # fmt: skip
        check = self.post("/identity/checks", {}, json=asked).json()["check_id"]
        return check, self.town.code_sent_to(citizen.number)


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and protocol code; a challenge, where there is one, says the same."""
    error = str(answer.json()["error"])
    challenge = answer.headers.get("www-authenticate")
    if challenge is not None and answer.status_code == 401 and "error=" in challenge:
        said = re.search(r'error="(\w+)"', challenge)
        assert said and said[1] == error
    return answer.status_code, error


def codes(answers: list[httpx.Response]) -> list[tuple[int, str]]:
    """Of requests sent at once, in an order that does not depend on who won."""
    return sorted((a.status_code, "" if a.is_success else refusal(a)[1]) for a in answers)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def alley(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alley]:
    data, database = tmp_path_factory.mktemp("alley") / "var", ""
    seeded = "postgres_template" if request.param == "postgresql" else "template"
    shutil.copytree(request.getfixturevalue(seeded), data)
    if request.param == "postgresql":
        database = request.getfixturevalue("cluster").create("alley", "seeded")
    with start_blocking_portal() as portal:
        town = Town.open(portal, data, database=database)
        yield Alley(town)
        town.close()
    if database:
        request.getfixturevalue("cluster").drop("alley")
