"""A demo country as a person starts it: `mapae demo up`, its own process, port and data folder."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from anyio.from_thread import start_blocking_portal

from mapae.holder import MemoryStore, Person, Wallet

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Resident:
    """One of the demo's people, as `/demo.json` tells it."""

    key: str
    name: str
    latin: str
    number: str
    born: str
    phone: str
    municipality: str


def until(look: Callable[[], T | None], seconds: float = 20, what: str = "it") -> T:
    """The first answer that is not None. Only for what no browser can wait for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found is not None:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s for {what}")


class Country:
    """Starts on construction; `close()` is Ctrl-C."""

    def __init__(self, folder: Path, residents: int = 0) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.base = f"http://localhost:{port}"
        self.log = folder / "demo.log"
        command = [sys.executable, "-m", "mapae", "demo", "up", "--data", str(folder / "var"), "--port", str(port)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([*command, "--residents", str(residents)], stdout=log, stderr=log)
        self._stores: dict[str, MemoryStore] = {}
        self.http = httpx.Client(base_url=self.base, trust_env=False, timeout=20)
        self.facts: dict[str, Any] = until(self._answer, 60, "the demo country to open")

    def _answer(self) -> dict[str, Any] | None:
        if self.process.poll() is not None:
            raise AssertionError(f"the demo country did not start:\n{self.log.read_text(encoding='utf-8')[-3000:]}")
        try:
            answer = self.http.get("/demo.json")
        except httpx.TransportError:
            return None
        return answer.json() if answer.status_code == 200 else None

    def close(self) -> None:
        self.http.close()
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("the demo country did not end on Ctrl-C") from None

    def resident(self, key: str) -> Resident:
        one = next(person for person in self.facts["people"] if person["key"] == key)
        return Resident(
            key, one["name"], one["name_latin"], one["resident_number"], one["birth_date"], one["phones"][0],
            one["municipality"],
        )  # fmt: skip

    def till_link(self, shop: str) -> str:
        """A new one-time link that makes a browser this shop's till."""
        shops = self.http.get("/demo.json").json()["shops"]
        return str(next(one["till"] for one in shops if one["id"] == shop))

    def messages(self, phone: str) -> list[dict[str, Any]]:
        answer = self.http.get("/carrier/inbox.json", params={"phone": phone})
        return list(answer.json()["messages"])

    def code(self, phone: str, seen: int = 0) -> str:
        """The one-time code in the newest message to this phone, once there are more than `seen` of them."""

        def look() -> str | None:
            messages = self.messages(phone)
            found = re.search(r"\b(\d{6})\b", messages[0]["text"]) if len(messages) > seen else None
            return found[1] if found else None

        return until(look, 10, f"a text message to {phone}")

    # --- phones without a screen, where a story is about somebody else's -------------------------------------------

    def register_phone(self, who: Resident) -> Callable[[str], int]:
        """The wallet engine proves who she is and registers; the answer takes an offer and returns how many cards."""
        store = self._stores[who.key] = MemoryStore()
        seen = len(self.messages(who.phone))

        async def read_code(_: Any) -> str:
            return self.code(who.phone, seen)

        async def enrol(wallet: Wallet) -> str:
            return str((await wallet.identify(Person(who.name, who.number, who.phone), read_code)).state)

        async def receive(wallet: Wallet, offer: str) -> int:
            return len(await wallet.receive(offer))

        assert self._with_wallet(store, enrol) == "active"
        return lambda offer: self._with_wallet(store, lambda wallet: receive(wallet, offer))

    def show(self, who: Resident, request: str) -> None:
        """Her phone answers a shop."""

        async def present(wallet: Wallet) -> None:
            await wallet.present(await wallet.open_request(request))

        self._with_wallet(self._stores[who.key], present)

    def answer(self, who: Resident, request: str) -> str | None:
        """The same, and where her phone's browser is led to afterwards."""

        async def present(wallet: Wallet) -> str | None:
            return (await wallet.present(await wallet.open_request(request))).redirect_uri

        return self._with_wallet(self._stores[who.key], present)

    def _with_wallet(self, store: MemoryStore, deed: Callable[[Wallet], Coroutine[Any, Any, T]]) -> T:
        async def run() -> T:
            async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
                return await deed(Wallet(http, self.base, store=store))

        with start_blocking_portal() as portal:  # a thread of its own: the browser's driver has a loop in this one
            return portal.call(run)
