"""The two requests that carry the load, each alone over HTTP: a wallet's answer to a verifier, and a batch of cards.

Wallets and pages around them are real and are not counted: the transport reads the server's CPU clock before the
request is sent and when its answer has been read. The peer is an issuer and a verifier of @openid4vc (oid4vc-ts) in a
node process, as the interop suite runs them; the same Python wallet talks to both.
"""

from __future__ import annotations

import asyncio
import re
import statistics
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from bench.country import Citizen, Town
from bench.harness import Action, Effort, Figure, Raw, Rival, cpu_of, cpu_of_process, cpu_on_two, rounds_of
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
FORMS = {"sd_jwt": "OpenID4VP response, SD-JWT VC", "mdoc": "OpenID4VP response, mdoc"}
CARDS = "OpenID4VCI credential requests, 10 copies in both formats"
NOTE = {
    True: "two POSTs, ten copies each with portrait: DPoP, one proof with an attestation of ten keys",
    False: "one POST: decrypted, checked, stored durably, answered",
}
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
        await answer.aclose()  # or its connection would not be used again
        if answer.status_code not in (200, 201):
            raise AssertionError(f"{request.url.path} answered {answer.status_code}: {body[:300]!r}")
        return httpx.Response(answer.status_code, headers=answer.headers, content=body)

    def taken(self) -> tuple[float, int]:
        """What has been spent, and on how many requests, since it was last asked."""
        found, self._spent, self._count = (self._spent, self._count), 0.0, 0
        return found

    def keep_back(self) -> None:
        self._kept = []

    @property
    def kept(self) -> int:
        return len(self._kept or ())

    def kept_back(self) -> list[httpx.Request]:
        """What was kept back, to be sent by others."""
        kept, self._kept = self._kept or [], None
        return kept

    async def burst(self) -> tuple[float, int]:
        """Send what was kept back, one after the other: CPU seconds of all, and how many."""
        kept = self.kept_back()
        before = cpu_of_process(self._pid)
        for request in kept:
            await self._sent(httpx.Request("POST", request.url, headers=request.headers, content=request.content))
        await asyncio.sleep(SETTLE)
        return cpu_of_process(self._pid) - before, len(kept)

    async def aclose(self) -> None:
        await self._inner.aclose()


async def prepared(wallet: Wallet, uri: str, meter: Metered) -> None:
    """Everything but the sending."""
    request, before = await wallet.open_request(uri), meter.kept
    try:
        await wallet.present(request)
    except Refused as refused:
        if meter.kept != before + 1:
            raise AssertionError(f"the answer was not made: {refused.detail}") from refused


class Country:
    """Ours: the demo country's server, its counter and its shop."""

    def __init__(self, town: Town, meter: Metered, http: httpx.AsyncClient) -> None:
        self._town, self._meter, self._http = town, meter, http
        self._people: list[Citizen] = []

    async def cards(self, count: int) -> float:
        """CPU seconds a person for the two credential requests of a visit."""
        self._people = citizens = await self._town.enrol(count)
        for citizen in citizens:
            await self._town.visit(0, citizen)
        self._meter.taken()
        for citizen in citizens:
            await self._town.receive(0, citizen)
        spent, requests = self._meter.taken()
        if requests != 2 * count:
            raise AssertionError(f"{requests} credential requests for {count} visits")
        return spent / count

    async def answers(self, form: str) -> float:
        """CPU seconds for one answer of those who got cards last."""
        self._meter.keep_back()
        for citizen in self._people * EACH:
            put = await self._http.post(f"{self._town.base}/demo/asks", json={"purpose": PURPOSE, "form": form})
            await prepared(citizen.wallet, put.raise_for_status().json()["request_uri"], self._meter)
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
        self.verifier = node.verifier.start(**world.verifier_words())
        self.wallets: list[Wallet] = []

    async def cards(self, count: int) -> float:
        self.wallets = [_wallet(self._http) for _ in range(count)]
        for wallet in self.wallets:
            cards = await wallet.receive(self._node.issuer.offer(id=self._issuer["id"]))
            if sum(wallet.copies_left(card) for card in cards) != 2 * BATCH:
                raise AssertionError("not every copy came")
        spent, requests = self._meter.taken()
        if requests != 2 * count:
            raise AssertionError(f"{requests} credential requests for {count} visits")
        return spent / count

    async def answers(self, form: str) -> float:
        self._meter.keep_back()
        puts = [
            self._node.verifier.ask(id=self.verifier["id"], query=query(form, ["name", "birth_date"]))
            for _ in range(EACH * len(self.wallets))
        ]
        for wallet, asked in zip(self.wallets * EACH, puts, strict=True):
            await prepared(wallet, asked["uri"], self._meter)
        spent, requests = await self._meter.burst()
        for asked in puts:
            outcome = self._node.verifier.outcome(id=self.verifier["id"], asked=asked["id"])
            if "shown" not in outcome:
                raise AssertionError(f"the peer refuses: {outcome}")
        return spent / requests


def _wallet(http: httpx.AsyncClient) -> Wallet:
    chain = [world.WALLETS.certify(Profile.WALLET_PROVIDER, world.PROVIDER.signer)]
    attester = ProviderAttester(world.PROVIDER.signer, chain, CLIENT, clock=SystemClock())
    trust = AnchorTrust(issuers=[world.AUTHORITY.root], verifiers=[world.ASKERS.root])
    return Wallet(http, trust=trust, attester=attester)


def query(form: str, names: list[str]) -> dict[str, Any]:
    if form == "sd_jwt":
        meta, paths = {"vct_values": [world.VCT]}, [[name] for name in names]
    else:
        meta, paths = {"doctype_value": world.DOCTYPE}, [[world.NAMESPACE, name] for name in names]  # type: ignore[dict-item]
    kind = "dc+sd-jwt" if form == "sd_jwt" else "mso_mdoc"
    return {"credentials": [{"id": "q", "format": kind, "meta": meta, "claims": [{"path": path} for path in paths]}]}


# --- measuring --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Side:
    """One server of ours and one process of the peer's, and the people of both."""

    country: Country
    elsewhere: Elsewhere
    pid: int


def figures(raw: Raw, effort: Effort) -> list[Figure]:
    return asyncio.run(_figures(raw, effort))


async def _figures(raw: Raw, effort: Effort) -> list[Figure]:
    async with AsyncExitStack() as open_:
        file = Path(open_.enter_context(TemporaryDirectory(prefix="mapae-bench-"))) / "profile"
        first = await _side(open_, effort, file)
        rows = await _rounds([first], raw, effort, cpu_of)
        parts = await _profiled(first, effort, Profiler(first.pid, file))
        two = {}
        if effort.cores > 1:
            two = await _rounds([first, await _side(open_, effort, file)], raw, effort, cpu_on_two)
        return [row.figure(parts[name], two.get(name)) for name, row in rows.items()]


async def _side(open_: AsyncExitStack, effort: Effort, file: Path) -> Side:
    data = Path(open_.enter_context(TemporaryDirectory(prefix="mapae-bench-")))
    base, pid = open_.enter_context(running(data / "var", max(effort.residents * 2, 400), file))
    node = Node()
    open_.callback(node.close)
    ours = Metered(pid, f"{CREDENTIAL}$|{RESPONSE}")
    theirs = Metered(node.pid, f"{THEIR_CREDENTIAL}$|{THEIR_RESPONSE}")
    http, other = [
        await open_.enter_async_context(httpx.AsyncClient(timeout=60, trust_env=False, transport=meter))
        for meter in (ours, theirs)
    ]
    country = Country(await Town.open(base, http, max(effort.residents * 2, 400)), ours, http)
    side = Side(country, Elsewhere(node, other, theirs), pid)
    await side.country.cards(1)  # caches are warm for everybody
    await side.elsewhere.cards(1)
    for form in FORMS:
        await side.country.answers(form)
        await side.elsewhere.answers(form)
    return side


class Profiler:
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


Limit = Callable[[Action, int], float]


async def _rounds(sides: list[Side], raw: Raw, effort: Effort, limit: Limit) -> dict[str, _Row]:
    """Ours and theirs in turn; with two sides, both of ours at once and then both of theirs."""
    answer, batch = raw.work(verifies=2, agreements=1), raw.work(signs=2 * BATCH, verifies=BATCH)
    count = effort.visits
    rows = {CARDS: _Row(CARDS), **{name: _Row(name) for name in FORMS.values()}}
    for _ in range(effort.http_rounds):
        ours = await _mean([side.country.cards(count) for side in sides])
        theirs = await _mean([side.elsewhere.cards(count) for side in sides])
        rows[CARDS].add(limit(batch, 10), ours, theirs)
        for form, name in FORMS.items():
            ours = await _mean([side.country.answers(form) for side in sides])
            theirs = await _mean([side.elsewhere.answers(form) for side in sides])
            rows[name].add(limit(answer, 60), ours, theirs)
    return rows


async def _mean(works: list[Coroutine[Any, Any, float]]) -> float:
    return statistics.mean(await asyncio.gather(*works))


async def _profiled(side: Side, effort: Effort, profile: Profiler) -> dict[str, tuple[tuple[str, float], ...]]:
    parts = {CARDS: await profile.of(lambda: side.country.cards(effort.visits))}
    for form, name in FORMS.items():
        parts[name] = await profile.of(lambda form=form: side.country.answers(form))  # type: ignore[misc]
    return parts


class _Row:
    def __init__(self, name: str) -> None:
        self._name = name
        self.limits: list[float] = []
        self.ours: list[float] = []
        self.theirs: list[float] = []

    def add(self, limit: float, ours: float, theirs: float) -> None:
        self.limits.append(limit)
        self.ours.append(ours)
        self.theirs.append(theirs)

    def figure(self, parts: tuple[tuple[str, float], ...], two: _Row | None) -> Figure:
        peer = Rival(
            "oid4vc-ts", rounds_of(self.limits, self.theirs), rounds_of(self.theirs, self.ours),
            rounds_of(two.limits, two.theirs) if two else None,
        )  # fmt: skip
        against = (
            f"{2 * BATCH} raw signs + {BATCH} proof verifies" if self._name == CARDS else "2 raw verifies + 1 ECDH"
        )
        return Figure(
            "protocol", self._name, rounds_of(self.limits, self.ours), against, statistics.median(self.limits),
            statistics.median(self.ours), peers=(peer,), note=NOTE[self._name == CARDS], parts=parts, target=0.35,
            two=rounds_of(two.limits, two.ours) if two else None,
        )  # fmt: skip
