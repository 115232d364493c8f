"""The two requests that carry the load, each alone over HTTP: a wallet's answer to a verifier, and a batch of cards.

Wallets and pages around them are real and are not counted: the transport reads the server's CPU clock before the
request is sent and when its answer has been read. The peer is an issuer and a verifier of @openid4vc (oid4vc-ts) in a
node process, as the interop suite runs them; the same Python wallet talks to both.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from bench.country import Citizen, Town
from bench.harness import Effort, Figure, Raw, Rival, cpu_of, cpu_of_process, rounds_of
from bench.library import TWELVE
from bench.profile import read, shares
from bench.server import profiled_requests, running
from conformance import world
from conformance.peers import Node
from mapae.clock import SystemClock
from mapae.errors import Refused
from mapae.formats.x509 import Profile
from mapae.holder import AnchorTrust, ProviderAttester, Wallet

CREDENTIAL, RESPONSE = "/issuer/credential", "/verifier/responses/"
THEIR_CREDENTIAL, THEIR_RESPONSE = "/credential", "/response/"
PURPOSE = "name_birth_date"
BATCH = 10
EACH = 4  # answers of one person in a burst, each with another copy
SETTLE = 0.002  # seconds after an answer, for what the server still does about it
CLIENT = "https://wallet.bench.example/app"


class Metered(httpx.AsyncBaseTransport):
    """Adds up the CPU seconds a server spends on some of the requests that pass, or keeps those back and sends them in
    one burst: a lone small request finds the processor's caches cold, which a server under load never does."""

    def __init__(self, pid: int, paths: str) -> None:
        self._inner = httpx.AsyncHTTPTransport()
        self._pid, self._paths = pid, re.compile(paths)
        self._spent, self._count = 0.0, 0
        self._kept: list[httpx.Request] | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "POST" or not self._paths.match(request.url.path):
            return await self._inner.handle_async_request(request)
        if self._kept is not None:
            self._kept.append(request)
            raise httpx.ConnectError("kept back")
        before = cpu_of_process(self._pid)
        answer = await self._sent(request)
        await asyncio.sleep(SETTLE)
        self._spent += cpu_of_process(self._pid) - before
        self._count += 1
        return answer

    async def _sent(self, request: httpx.Request) -> httpx.Response:
        answer = await self._inner.handle_async_request(request)
        body = b"".join([part async for part in answer.stream])  # type: ignore[union-attr]
        if answer.status_code != 200:
            raise AssertionError(f"{request.url.path} answered {answer.status_code}: {body[:300]!r}")
        return httpx.Response(answer.status_code, headers=answer.headers, content=body)

    def taken(self) -> tuple[float, int]:
        """What has been spent, and on how many requests, since it was last asked."""
        found, self._spent, self._count = (self._spent, self._count), 0.0, 0
        return found

    def keep_back(self) -> None:
        self._kept = []

    async def burst(self) -> tuple[float, int]:
        """Send what was kept back, one after the other: CPU seconds of all, and how many."""
        kept, self._kept = self._kept or [], None
        before = cpu_of_process(self._pid)
        for request in kept:
            await self._sent(httpx.Request("POST", request.url, headers=request.headers, content=request.content))
        await asyncio.sleep(SETTLE)
        return cpu_of_process(self._pid) - before, len(kept)

    async def aclose(self) -> None:
        await self._inner.aclose()


async def _prepared(wallet: Wallet, uri: str) -> None:
    """Everything but the sending."""
    request = await wallet.open_request(uri)
    with contextlib.suppress(Refused):
        await wallet.present(request)
        raise AssertionError("the answer was not kept back")


class Country:
    """Ours: the demo country's server, its counter and its shop."""

    def __init__(self, town: Town, meter: Metered, http: httpx.AsyncClient) -> None:
        self._town, self._meter, self._http = town, meter, http

    async def cards(self, count: int) -> tuple[float, list[Citizen]]:
        """CPU seconds a person for the two credential requests of a visit."""
        citizens = await self._town.enrol(count)
        for citizen in citizens:
            await self._town.visit(0, citizen)
        self._meter.taken()
        for citizen in citizens:
            await self._town.receive(0, citizen)
        spent, requests = self._meter.taken()
        if requests != 2 * count:
            raise AssertionError(f"{requests} credential requests for {count} visits")
        return spent / count, citizens

    async def answers(self, form: str, citizens: list[Citizen]) -> float:
        """CPU seconds for one answer."""
        self._meter.keep_back()
        for citizen in citizens * EACH:
            put = await self._http.post(f"{self._town.base}/demo/asks", json={"purpose": PURPOSE, "form": form})
            await _prepared(citizen.wallet, put.raise_for_status().json()["request_uri"])
        spent, requests = await self._meter.burst()
        return spent / requests


class Elsewhere:
    """The peer's issuer and verifier, and a wallet of ours that trusts them."""

    def __init__(self, node: Node, http: httpx.AsyncClient, meter: Metered) -> None:
        self._node, self._http, self._meter = node, http, meter
        size = {"metadata": {"batch_credential_issuance": {"batch_size": BATCH}}}
        self._issuer = node.issuer.start(
            **world.issuer_words(claims=TWELVE, dpopNonce=False, popEnds=False, spoil=size)
        )
        self._verifier = node.verifier.start(**world.verifier_words())
        self._wallet: Wallet | None = None

    async def cards(self, count: int) -> float:
        for _ in range(count):
            self._wallet = _wallet(self._http)
            cards = await self._wallet.receive(self._node.issuer.offer(id=self._issuer["id"]))
            if sum(self._wallet.copies_left(card) for card in cards) != 2 * BATCH:
                raise AssertionError("not every copy came")
        spent, requests = self._meter.taken()
        if requests != 2 * count:
            raise AssertionError(f"{requests} credential requests for {count} visits")
        return spent / count

    async def answers(self, form: str, count: int) -> float:
        wallet = self._wallet
        assert wallet is not None
        self._meter.keep_back()
        puts = [self._node.verifier.ask(id=self._verifier["id"], query=_query(form)) for _ in range(count * EACH)]
        for asked in puts:
            await _prepared(wallet, asked["uri"])
        spent, requests = await self._meter.burst()
        for asked in puts:
            outcome = self._node.verifier.outcome(id=self._verifier["id"], asked=asked["id"])
            if "shown" not in outcome:
                raise AssertionError(f"the peer refuses: {outcome}")
        return spent / requests


def _wallet(http: httpx.AsyncClient) -> Wallet:
    chain = [world.WALLETS.certify(Profile.WALLET_PROVIDER, world.PROVIDER.signer)]
    attester = ProviderAttester(world.PROVIDER.signer, chain, CLIENT, clock=SystemClock())
    trust = AnchorTrust(issuers=[world.AUTHORITY.root], verifiers=[world.ASKERS.root])
    return Wallet(http, trust=trust, attester=attester)


def _query(form: str) -> dict[str, Any]:
    names = ["name", "birth_date"]
    if form == "sd_jwt":
        meta, paths = {"vct_values": [world.VCT]}, [[name] for name in names]
    else:
        meta, paths = {"doctype_value": world.DOCTYPE}, [[world.NAMESPACE, name] for name in names]  # type: ignore[dict-item]
    kind = "dc+sd-jwt" if form == "sd_jwt" else "mso_mdoc"
    return {"credentials": [{"id": "q", "format": kind, "meta": meta, "claims": [{"path": path} for path in paths]}]}


# --- measuring --------------------------------------------------------------------------------------------------------


def figures(raw: Raw, effort: Effort) -> list[Figure]:
    with TemporaryDirectory(prefix="mapae-bench-") as folder:
        file = Path(folder) / "profile"
        with running(Path(folder) / "var", max(effort.residents * 2, 400), file) as (base, pid):
            return asyncio.run(_figures(raw, effort, base, pid, file))


@asynccontextmanager
async def _client(meter: Metered) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=60, trust_env=False, transport=meter) as http:
        yield http


async def _figures(raw: Raw, effort: Effort, base: str, pid: int, file: Path) -> list[Figure]:
    node = Node()
    ours = Metered(pid, f"{CREDENTIAL}$|{RESPONSE}")
    theirs = Metered(node.pid, f"{THEIR_CREDENTIAL}$|{THEIR_RESPONSE}")
    try:
        async with _client(ours) as http, _client(theirs) as other:
            country = Country(await Town.open(base, http, max(effort.residents * 2, 400)), ours, http)
            elsewhere = Elsewhere(node, other, theirs)
            return await _measure(raw, effort, country, elsewhere, _Profile(pid, file))
    finally:
        node.close()


class _Profile:
    """The server's profiler, on for the counted requests only."""

    def __init__(self, pid: int, file: Path) -> None:
        self._pid, self._file = pid, file

    async def of(self, work: Callable[[], Awaitable[object]]) -> tuple[tuple[str, float], ...]:
        profiled_requests(self._pid, self._file)
        await work()
        profiled_requests(self._pid, self._file)
        for _ in range(1000):
            if self._file.exists():
                return shares(read(self._file), most=9)
            await asyncio.sleep(0.01)
        raise RuntimeError("the server wrote no profile")


async def _measure(
    raw: Raw, effort: Effort, country: Country, elsewhere: Elsewhere, profile: _Profile
) -> list[Figure]:  # fmt: skip
    rows = {name: _Row(name) for name in ("OpenID4VP response, SD-JWT VC", "OpenID4VP response, mdoc", "cards")}
    answer, batch = raw.work(verifies=2, agreements=1), raw.work(signs=2 * BATCH, verifies=BATCH)
    count = effort.visits
    _, citizens = await country.cards(1)  # caches are warm for everybody
    await elsewhere.cards(1)
    for form in ("sd_jwt", "mdoc"):
        await country.answers(form, citizens)
        await elsewhere.answers(form, 1)
    for _ in range(effort.http_rounds):
        spent, citizens = await country.cards(count)
        rows["cards"].add(cpu_of(batch, 3), spent, await elsewhere.cards(count))
        for form, row in (("sd_jwt", "OpenID4VP response, SD-JWT VC"), ("mdoc", "OpenID4VP response, mdoc")):
            ours = await country.answers(form, citizens)
            rows[row].add(cpu_of(answer, 30), ours, await elsewhere.answers(form, count))
    last = citizens
    parts = {
        "cards": await profile.of(lambda: country.cards(count)),
        "OpenID4VP response, SD-JWT VC": await profile.of(lambda: country.answers("sd_jwt", last)),
        "OpenID4VP response, mdoc": await profile.of(lambda: country.answers("mdoc", last)),
    }
    against = {"cards": f"{2 * BATCH} raw signs + {BATCH} proof verifies"}
    notes = {"cards": "two POSTs, ten copies each with portrait: DPoP, one proof with an attestation of ten keys"}
    other = "one POST: decrypted, checked, stored durably, answered"
    return [
        row.figure(against.get(name, "2 raw verifies + 1 ECDH"), notes.get(name, other), parts[name])
        for name, row in rows.items()
    ]  # fmt: skip


class _Row:
    def __init__(self, name: str) -> None:
        self._name = name if name != "cards" else "OpenID4VCI credential requests, 10 copies in both formats"
        self._limits: list[float] = []
        self._ours: list[float] = []
        self._theirs: list[float] = []

    def add(self, limit: float, ours: float, theirs: float) -> None:
        self._limits.append(limit)
        self._ours.append(ours)
        self._theirs.append(theirs)

    def figure(self, against: str, note: str, parts: tuple[tuple[str, float], ...]) -> Figure:
        peer = Rival("oid4vc-ts", rounds_of(self._limits, self._theirs), rounds_of(self._theirs, self._ours))
        return Figure(
            "protocol", self._name, rounds_of(self._limits, self._ours), against, statistics.median(self._limits),
            statistics.median(self._ours), peers=(peer,), note=note, parts=parts, target=0.35,
        )  # fmt: skip
