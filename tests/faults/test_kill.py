"""The whole house, a real process on a real port, is killed (SIGKILL) at a random moment of a real counter issuance and
started again: the databases are consistent at once, and the wallet resumes and ends with exactly one valid batch."""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest

from browserless import Browser, Page
from crowd import eligible
from mapae.audit import first_broken_link
from mapae.catalog import Country, parse_country
from mapae.clock import SystemClock
from mapae.config import country_tree
from mapae.db import connect
from mapae.demo import demo_settings, prepare
from mapae.errors import Code, Refused
from mapae.holder import MemoryStore, Person, Wallet
from mapae.registers.people import Named
from soak import SOAK

TIMES = 50 if SOAK else 4
RESIDENTS = 60 if not SOAK else 220
ROLES = ("registers", "carrier", "trust", "wallet_provider", "issuer", "verifier")
FORMATS = ("resident_card_sd_jwt", "resident_card_mdoc")


class Server:
    """`python -m mapae demo up` on one data folder; killed and started as often as one likes."""

    def __init__(self, data: Path, port: int, log: Path) -> None:
        self.data, self.port, self.log = data, port, log
        self.base = f"http://localhost:{port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mapae", "demo", "up", "--data", str(self.data), "--port", str(self.port)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.data.parent,
            )  # fmt: skip
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            try:  # the port is taken first and answers when the house is open
                httpx.get(f"{self.base}/issuer/status", timeout=60, trust_env=False).raise_for_status()
                return
            except httpx.TransportError:
                assert self._process.poll() is None, self.log.read_text()[-4000:]
                time.sleep(0.02)  # a process is starting; there is nothing to wait on but its port
        raise AssertionError("the server did not start:\n" + self.log.read_text()[-4000:])

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


@dataclass
class Counter:
    """The desk over real HTTP, and the phones of the people who come."""

    server: Server
    http: httpx.AsyncClient
    desk: Browser
    page: Page
    officer: str

    @classmethod
    async def open(cls, server: Server, http: httpx.AsyncClient, office: str) -> Counter:
        desk = Browser(http, server.base, "en")
        page = await desk.get("/desk/sign-in")
        page = await desk.post(page, "/desk/sign-in/demo", officer=f"officer-{office}")
        return cls(server, http, desk, page, f"officer-{office}")

    async def _do(self, action: str, **fields: str) -> None:
        self.page = await self.desk.post(self.page, action, **fields)

    async def offer_for(self, named: Named) -> str:
        """From the search to the QR, by the forms of the desk's pages."""
        self.page = await self.desk.get("/desk/search")
        await self._do("/desk/search", reason="application", resident_number=named.resident.number.written)
        hit = next((tag for tag in self.page.tags if "data-person" in tag.attributes), None)
        assert hit is not None, self.page.text[:1500]
        self.page = await self.desk.get(hit.attributes["href"])
        await self._do("/desk/cases", task="issue", kind="resident_card")
        await self._do("/card", number="yes", photo="yes", undamaged="yes")
        self.page = await self.desk.get(self.page.url.removeprefix(self.server.base) + "?route=officers")
        await self._do("/officers/demo", officer=f"{self.officer}-2", why="eyes", same="yes")
        await self._do("/file")
        await self._do("/offer")
        return self.page["offer-uri"].attributes["value"]


class Phone:
    """A person with a wallet that may be started again at any time."""

    def __init__(self, server: Server, http: httpx.AsyncClient, named: Named) -> None:
        self.server, self.http, self.who = server, http, named.resident
        self.store = MemoryStore()
        self.wallet = self._wallet()

    def _wallet(self) -> Wallet:
        return Wallet(self.http, self.server.base, store=self.store)

    def restart(self) -> None:
        self.wallet = self._wallet()

    async def enrol(self) -> None:

        async def read_code(check: Any) -> str:
            return await self._code()

        person = Person(self.who.name, self.who.number.written, self.who.phones[0])
        assert (await self.wallet.identify(person, read_code)).state == "active"

    async def _code(self) -> str:
        """The code in the newest text message."""
        answer = await self.http.get(f"{self.server.base}/carrier/inbox.json", params={"phone": self.who.phones[0]})
        newest = max(answer.json()["messages"], key=lambda message: message["at"])
        found = re.search(r"\b(\d{6})\b", newest["text"])
        assert found
        return found[1]

    async def report_lost(self) -> None:
        """On the citizen portal: the cards are locked at once, the wallet provider is promised a message."""
        browser = Browser(self.http, self.server.base, "en")
        who, page = self.who, await browser.get("/portal/check")
        page = await browser.post(
            page, "/portal/check", name=who.name, resident_number=who.number.written, phone=who.phones[0]
        )
        await browser.post(page, "/portal/code", code=await self._code())
        page = await browser.get("/portal/lost")
        assert (await browser.post(page, "/portal/lost", sure="yes"))["locked-since"]

    async def finish(self, offer: str) -> None:
        """What a person does after "no answer": opens the wallet again, and scans again if it had not begun."""
        for _ in range(3):
            self.restart()
            try:
                await self.wallet.resume()
                if len(self.wallet.cards) < len(FORMATS):
                    await self.wallet.receive(offer)
                return
            except Refused as refused:
                assert refused.code is Code.UNAVAILABLE, f"{refused.code}: {refused.detail}"
        raise AssertionError("the wallet could not finish")


# --- what must hold of the databases, whatever happened -------------------------------------------------------------


def look(data: Path, role: str, sql: str, *args: Any) -> list[sqlite3.Row]:
    with closing(sqlite3.connect(f"file:{data}/{role}.db?mode=ro", uri=True, timeout=10)) as db:
        db.row_factory = sqlite3.Row
        return db.execute(sql, args).fetchall()


def must_be_consistent(data: Path) -> None:
    """Right after the start, before anybody did anything."""
    for role in ROLES:
        assert look(data, role, "PRAGMA integrity_check")[0][0] == "ok", role
    tickets = look(data, "issuer", "SELECT * FROM ticket")
    batches = {row["id"]: row for row in look(data, "issuer", "SELECT * FROM batch")}
    orders = {row["id"]: row for row in look(data, "issuer", "SELECT * FROM issue_order")}
    coming = [(row["order_id"], row["configuration"]) for row in batches.values() if row["state"] == "signed"]
    assert len(set(coming)) == len(coming), "two live unacknowledged batches of one card"
    assert not [row for row in batches.values() if row["state"] == "intended"], "an intent outlived the start"
    assert {row["order_id"] for row in batches.values()} <= set(orders), "a card without an order"
    assert len({(row["list_id"], row["idx"]) for row in tickets}) == len(tickets), "a status index twice"
    assert len({row["key_thumbprint"] for row in tickets}) == len(tickets), "a key twice"
    for row in tickets:
        state = batches[row["batch_id"]]["state"]
        assert row["order_id"] == batches[row["batch_id"]]["order_id"]
        assert row["state"] != "open", "a ticket is open that no process holds"
        over = orders[row["order_id"]]["state"] == "ended"
        assert (row["status"] == 1) == (state == "void" or over), (row["status"], state)
        assert row["signed_digest"] is not None or row["status"] == 1, "valid, and never signed"
    for row in look(data, "issuer", "SELECT * FROM status_list"):
        assert row["used"] == sum(ticket["list_id"] == row["id"] for ticket in tickets)
    for order in orders.values():
        if order["state"] == "held":
            assert any(batch["order_id"] == order["id"] for batch in batches.values()), "held, and never issued"
    live = "SELECT person FROM device WHERE state IN ('active', 'suspended') GROUP BY person HAVING count(*) > 1"
    assert look(data, "wallet_provider", live) == [], "two live phones of one person"


async def must_be_chained(data: Path) -> None:
    for role in ROLES:
        db = await connect(f"sqlite:///{data}/{role}.db")
        try:
            assert await first_broken_link(db) is None, f"{role}: the audit chain is broken"
        finally:
            await db.close()


async def must_empty(data: Path) -> None:
    """Every promise is kept within seconds."""
    for _ in range(400):
        waiting = [role for role in ROLES if look(data, role, "SELECT id FROM outbox_item WHERE done_at IS NULL")]
        if not waiting:
            return
        await asyncio.sleep(0.05)  # the outbox worker of another process looks once a second
    raise AssertionError(f"promises are not kept: {waiting}")


async def must_hold_one_batch(data: Path, phone: Phone) -> None:
    """Ten copies of each format, all of one accepted batch, each valid, each with its ticket."""
    assert sorted(card.configuration for card in phone.wallet.cards) == sorted(FORMATS)
    for card in phone.wallet.cards:
        assert len(card.copies) == 10
        assert await phone.wallet.check_status(card) == "valid"
        digests = [hashlib.sha256(copy.raw.encode()).digest() for copy in card.copies]
        marks = ", ".join("?" * len(digests))
        held = look(data, "issuer", f"SELECT * FROM ticket WHERE signed_digest IN ({marks})", *digests)
        assert len(held) == 10, "a signed copy without a ticket"
        assert {row["status"] for row in held} == {0}
        (batch,) = {row["batch_id"] for row in held}
        (order,) = {row["order_id"] for row in held}
        rows = look(data, "issuer", "SELECT * FROM batch WHERE order_id = ? AND configuration = ?", order,
                    card.configuration)  # fmt: skip
        states = {row["id"]: row["state"] for row in rows}
        assert states.pop(batch) == "acknowledged", states
        assert set(states.values()) <= {"void", "retired"}, "another batch lives beside the wallet's"
        valid = "SELECT count(*) AS n FROM ticket WHERE batch_id IN (SELECT id FROM batch WHERE order_id = ? AND" \
            " configuration = ? AND state <> 'retired') AND status = 0"  # fmt: skip
        assert look(data, "issuer", valid, order, card.configuration)[0]["n"] == 10


def must_be_locked(data: Path, phone: Phone) -> None:
    """The report outlived the kill, and so did the promise to the wallet provider."""
    rows = look(data, "wallet_provider", "SELECT state FROM device WHERE device_id = ?", phone.wallet.device_id)
    assert [row["state"] for row in rows] == ["suspended"]
    digests = [hashlib.sha256(copy.raw.encode()).digest() for card in phone.wallet.cards for copy in card.copies]
    marks = ", ".join("?" * len(digests))
    held = look(data, "issuer", f"SELECT status FROM ticket WHERE signed_digest IN ({marks})", *digests)
    assert [row["status"] for row in held] == [2] * 20


# --- the test -------------------------------------------------------------------------------------------------------


@pytest.fixture
def country() -> Country:
    tree = country_tree("kr")
    return parse_country({name: tree[name] for name in ("country", "credentials", "purposes")})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = demo_settings(base_url=f"http://localhost:{port}", data=str(tmp_path / "var"))
    asyncio.run(prepare(settings, RESIDENTS))
    running = Server(tmp_path / "var", port, tmp_path / "log")
    yield running
    running.kill()


def test_sigkill_during_issuance_loses_nothing(server: Server, country: Country) -> None:
    asyncio.run(_fifty_kills(server, country))


async def _fifty_kills(server: Server, country: Country) -> None:
    today = country.today(SystemClock().now())
    people = list(islice(eligible(country, "kr", today, count=RESIDENTS, seed="mapae"), TIMES + 1))
    assert len(people) == TIMES + 1, "not enough residents were made"
    chance, office = random.Random(7), next(iter(country.offices))
    server.start()
    async with httpx.AsyncClient(timeout=20, trust_env=False) as http:
        counter = await Counter.open(server, http, office)
        first = Phone(server, http, people[0])
        await first.enrol()
        offer = await counter.offer_for(people[0])
        began = time.perf_counter()
        await first.wallet.receive(offer)
        whole = time.perf_counter() - began  # how long an issuance takes here: the kills are spread over it
        await must_hold_one_batch(server.data, first)
        cut, lost, phone = 0, list[Phone](), first
        for at, named in enumerate(people[1:]):
            before, phone = phone, Phone(server, http, named)
            await phone.enrol()
            offer = await counter.offer_for(named)
            if at % 3 == 2:
                await asyncio.sleep(1)  # text messages are told apart by the second
                await before.report_lost()
                lost.append(before)
            cut += await _killed(server, phone, offer, chance.uniform(0, whole))
            server.start()
            must_be_consistent(server.data)
            await phone.finish(offer)
            await must_hold_one_batch(server.data, phone)
        assert cut > TIMES // 3, f"only {cut} of {TIMES} kills hit an issuance"
        await must_empty(server.data)
        await must_be_chained(server.data)
        await must_hold_one_batch(server.data, first)
        for each in lost:
            must_be_locked(server.data, each)


async def _killed(server: Server, phone: Phone, offer: str, after: float) -> bool:
    """Kill the server this many seconds into the issuance; whether the wallet noticed."""
    receiving = asyncio.create_task(phone.wallet.receive(offer))
    await asyncio.sleep(after)
    server.kill()
    try:
        await receiving
    except Refused as refused:
        assert refused.code is Code.UNAVAILABLE, f"{refused.code}: {refused.detail}"
        return True
    return False
