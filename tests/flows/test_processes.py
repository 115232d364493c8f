"""One process a role, as in production: PostgreSQL, one shared data folder, a reverse proxy, the issuer running twice.

The proxy does what `docs/operate.md` shows as Caddy and nginx text: it takes turns between the issuers and keeps the
doors between roles from the public.
"""

from __future__ import annotations

import itertools
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import uvicorn
from anyio.from_thread import BlockingPortal, start_blocking_portal
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import postgres
from browserless import Browser
from mapae.catalog import parse_country
from mapae.clock import SystemClock, SystemDice
from mapae.config import country_tree
from mapae.holder import Wallet
from mapae.registers.people import parse_people
from town import Citizen, Officer, Till

pytestmark = pytest.mark.postgres
T = TypeVar("T")
PATIENCE = 60.0  # for a process on a busy machine; nothing waits longer than it must
PRIVATE = ("/registers/", "/wallet-provider/peer/", "/verifier/hosted/")
WAY = {  # the longest prefix decides
    "/identity/": "registers", "/carrier/": "registers", "/trust/": "trust", "/wallet-provider/": "wallet_provider",
    "/wallet/": "wallet_provider", "/witness/": "trust", "/issuer/": "issuer", "/desk/": "issuer", "/portal/": "issuer",
    "/.well-known/": "issuer", "/demo/authenticator/": "issuer", "/tap": "issuer", "/stop/": "issuer", "/": "verifier",
    "/.well-known/oauth-authorization-server/login": "verifier", "/rp/": "trust",
}  # fmt: skip
PASSED_ON = {"transfer-encoding", "connection", "content-encoding", "content-length", "keep-alive"}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def until(look: Callable[[], T | None], what: str) -> T:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = look()
        if found is not None:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {PATIENCE} s for {what}")


class Proxy:
    """A small reverse proxy in a thread of its own; a role that runs twice is asked in turn."""

    def __init__(self, port: int, places: dict[str, list[int]]) -> None:
        self.served: Counter[int] = Counter()
        self._turns = {role: itertools.cycle(ports) for role, ports in places.items()}
        self._out: httpx.AsyncHTTPTransport | None = None  # below a client: it must not keep anybody's cookies
        methods = ["GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE"]
        app = Starlette(routes=[Route("/{path:path}", self._pass, methods=methods)])
        self._server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        until(lambda: self._server.started or None, "the proxy")

    async def _pass(self, request: Request) -> Response:
        if self._out is None:
            self._out = httpx.AsyncHTTPTransport()
        path = request.url.path
        if path.startswith(PRIVATE):
            return Response(status_code=404)
        role = WAY[max((prefix for prefix in WAY if path.startswith(prefix)), key=len)]
        port = next(self._turns[role])
        self.served[port] += 1
        url = f"http://127.0.0.1:{port}{request.scope['raw_path'].decode()}"
        if request.url.query:
            url += f"?{request.url.query}"
        headers = [(name, value) for name, value in request.headers.raw if name != b"connection"]
        try:
            sent = httpx.Request(request.method, url, headers=headers, content=await request.body())
            answer = await self._out.handle_async_request(sent)
            await answer.aread()
        except httpx.HTTPError:
            return Response("nobody answers", 502)
        passed = Response(answer.content, answer.status_code)
        passed.raw_headers = [
            (name, value) for name, value in answer.headers.raw if name.decode().lower() not in PASSED_ON
        ] + [(b"content-length", str(len(answer.content)).encode())]
        return passed

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)


class Split:
    """The country of these tests. What `town.py`'s people need of a town, over real processes."""

    def __init__(self, portal: BlockingPortal, folder: Path, database: str) -> None:
        self.portal, self.folder = portal, folder
        port, ports = free_port(), {name: free_port() for name in ("registers", "trust", "wallet_provider", "verifier")}
        self.issuers = [free_port(), free_port()]
        self.base = f"http://localhost:{port}"
        self.ports = ports
        self.config = folder / "mapae.toml"
        addresses = "\n".join(f'{role} = "http://127.0.0.1:{at}"' for role, at in ports.items())
        self.config.write_text(
            f'base_url = "{self.base}"\ndata = "{folder}/var"\ndatabase = "{database}"\ndemo = true\n'
            f"[role_urls]\n{addresses}\n",
            encoding="utf-8",
        )
        made = self.run("demo", "make", "--residents", "0")
        assert made.returncode == 0, made.stderr
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        for role, at in [*ports.items(), *(("issuer", at) for at in self.issuers)]:
            self.start(role, at)
        self.proxy = Proxy(port, {**{role: [at] for role, at in ports.items()}, "issuer": self.issuers})
        self.http = httpx.AsyncClient(timeout=30, trust_env=False)
        country = parse_country(country_tree("kr"))
        made_on = date.fromisoformat((folder / "var" / "demo-country").read_text(encoding="ascii"))
        self.people = {one.key: one for one in parse_people(country_tree("kr"), country).named(made_on)}
        self.offices = country.offices
        self.clock = self

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "mapae", *words, "--config", str(self.config)]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self._command(*words), capture_output=True, text=True, check=False)

    def start(self, role: str, port: int) -> None:
        with (self.folder / f"{role}-{port}.log").open("ab") as log:
            process = subprocess.Popen(self._command("serve", role, "--port", str(port)), stdout=log, stderr=log)
        self.processes[f"{role}:{port}"] = process

        def answers() -> bool | None:
            if process.poll() is not None:
                raise AssertionError((self.folder / f"{role}-{port}.log").read_text(encoding="utf-8"))
            try:
                return httpx.get(f"http://127.0.0.1:{port}/nothing", timeout=30, trust_env=False).status_code > 0
            except httpx.HTTPError:
                return None

        until(answers, f"{role} to answer")

    def kill(self, role: str, port: int) -> None:
        process = self.processes.pop(f"{role}:{port}")
        process.send_signal(signal.SIGKILL)
        process.wait(10)

    def close(self) -> None:
        self.proxy.stop()
        for process in self.processes.values():
            process.terminate()
        for name, process in self.processes.items():
            assert process.wait(30) == 0, f"{name} did not stop cleanly"

    # --- what people of town.py ask of a town ---

    def call(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        return self.portal.call(work, *args)

    def advance(self, **parts: float) -> None:
        """Time passes by itself here."""

    def settle(self) -> None:
        """Promises are kept by the processes themselves."""

    def browser(self, language: str = "en") -> Browser:
        return Browser(self.http, self.base, language)

    def get_json(self, path: str) -> Any:
        return self.call(self.http.get, self.base + path).json()

    def code_sent_to(self, phone: str) -> str:
        text = self.get_json(f"/carrier/inbox.json?phone={phone}")["messages"][0]["text"]
        found = re.search(r"\b(\d{6})\b", text)
        assert found, text
        return found[1]

    def citizen(self, key: str) -> Holder:
        return Holder(self, self.people[key])  # type: ignore[arg-type]

    def officer_for(self, citizen: Citizen) -> Officer:
        own = [one.id for one in self.offices.values() if one.municipality == citizen.named.resident.municipality]
        officer = Officer(self, own[0] if own else next(iter(self.offices)), "en")  # type: ignore[arg-type]
        officer.sign_in()
        return officer

    def till(self) -> Till:
        till = Till(self, "en")  # type: ignore[arg-type]
        till.enrol("guest_house")
        return till


class Holder(Citizen):
    """A citizen whose phone reaches the country through the proxy."""

    def _wallet(self) -> Wallet:
        split: Any = self.town
        return Wallet(split.http, split.base, store=self.store, clock=SystemClock(), dice=SystemDice())

    def enrol(self) -> str:
        async def read_code(check: Any) -> str:
            split: Any = self.town
            answer = await split.http.get(f"{split.base}/carrier/inbox.json?phone={self.number}")
            found = re.search(r"\b(\d{6})\b", answer.json()["messages"][0]["text"])
            assert found
            return found[1]

        return str(self.town.call(self.wallet.identify, self.person, read_code).state)

    def get_card(self) -> Any:
        assert self.enrol() == "active"
        split: Any = self.town
        return self.receive(split.officer_for(self).offer_for(self))


@pytest.fixture(scope="module")
def split(cluster: postgres.Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Split]:
    folder = tmp_path_factory.mktemp("split")
    database = cluster.create("split")
    with start_blocking_portal() as portal:
        opened = Split(portal, folder, database)
        yield opened
        opened.close()
    cluster.drop("split")
    shutil.rmtree(folder, ignore_errors=True)


def standing(citizen: Citizen, state: str) -> bool | None:
    return str(citizen.town.call(citizen.wallet.standing).state) == state or None


def refused(till: Till, citizen: Citizen) -> bool | None:
    return till.check(citizen, "alcohol_tobacco")["outcome"] == "refused" or None


def test_the_whole_story_works_with_a_process_a_role_and_two_issuers(split: Split) -> None:
    """Nonces, DPoP, sessions, forms, passkeys, offers and status lists: nothing lives in one process's memory."""
    before = Counter(split.proxy.served)
    jisoo = split.citizen("jisoo" if "jisoo" in split.people else next(iter(split.people)))
    cards = jisoo.get_card()
    till = split.till()
    for form in ("sd_jwt", "mdoc", "either"):
        assert till.check(jisoo, "alcohol_tobacco", form)["outcome"] == "accepted"
    split.call(jisoo.wallet.renew, cards[0])
    assert till.check(jisoo, "name_birth_date")["outcome"] == "accepted"

    jisoo.report_phone_lost()
    jisoo_refused_by = time.monotonic()
    until(lambda: refused(till, jisoo), "the shop to refuse")
    assert time.monotonic() - jisoo_refused_by < 20
    until(lambda: standing(jisoo, "suspended"), "the wallet provider to hear of it")
    asked = [split.proxy.served[port] - before[port] for port in split.issuers]
    assert min(asked) > 10, f"both issuers took part: {asked}"


def test_a_report_while_the_wallet_provider_is_dead_locks_now_and_is_delivered_when_it_is_back(split: Split) -> None:
    minjae = split.citizen("minjae")
    minjae.get_card()
    till = split.till()
    assert till.check(minjae, "alcohol_tobacco")["outcome"] == "accepted"

    split.kill("wallet_provider", split.ports["wallet_provider"])
    minjae.report_phone_lost()
    until(lambda: refused(till, minjae), "the shop to refuse")

    split.start("wallet_provider", split.ports["wallet_provider"])
    until(lambda: standing(minjae, "suspended"), "the message to arrive")


def test_doors_between_roles_are_not_for_the_public(split: Split) -> None:
    for at in (split.base, f"http://127.0.0.1:{split.ports['registers']}"):
        answer = httpx.post(f"{at}/registers/persons/search", json={"name": "x"}, trust_env=False)
        assert answer.status_code in (401, 403, 404)


def test_the_application_page_and_the_log_ins_metadata_are_where_the_operations_page_puts_them(split: Split) -> None:
    apply = httpx.get(f"{split.base}/rp/", trust_env=False)
    assert apply.status_code == 200 and "/rp/" in apply.text
    said = httpx.get(f"{split.base}/.well-known/oauth-authorization-server/login", trust_env=False).json()
    assert said["issuer"] == f"{split.base}/login"


def test_every_audit_chain_is_whole_afterwards(split: Split) -> None:
    done = split.run("audit", "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("whole") == 5
