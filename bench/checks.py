"""A whole check over HTTP, as a page's server puts it: started, answered by a wallet, its verdict redeemed.

Three POSTs. What is sent is made beforehand, wallets' answers too, and goes out in bursts of many at a time to a server
(`burst.py`): for CPU one server alone, its process's clock read before and after; by the wall clock two servers at
once on two cores. The wallet's reading and the page's look in between are real and not counted. The peer is the
verifier of @openid4vc (oid4vc-ts) in node processes, which answers the same three POSTs and asks the same of its cards.
"""

from __future__ import annotations

import asyncio
import json
import statistics
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import httpx

from bench.burst import LANES, Sent, burst, wire
from bench.country import Citizen, Town
from bench.harness import Effort, Figure, Raw, Rival, cpu_of, cpu_of_process, rounds_of, wall_on_two
from bench.profile import Shares
from bench.requests import SETTLE, Elsewhere, Metered, Profiler, prepared, query
from bench.server import running
from conformance.peers import Node

PURPOSE, ITEM = "alcohol_tobacco", "adult_by_year"
NAMES: Final = {
    "sd_jwt": "check put, answered and redeemed, SD-JWT VC",
    "mdoc": "check put, answered and redeemed, mdoc",
}
AGAINST: Final = "2 raw verifies + 1 ECDH"
EACH, ROUNDS = 3, 3  # checks of one person in a round, each with another copy; so many rounds with ten copies
PHASES: Final = ("starts", "answers", "redeems")


class Asker(Protocol):
    """A verifier's server and the people it asks."""

    pid: int
    port: int

    async def enrol(self, count: int) -> None: ...

    async def starts(self, form: str) -> list[httpx.Request]: ...

    async def answers(self, started: list[bytes]) -> list[httpx.Request]:
        """The wallets', made and not sent."""
        ...

    async def redeems(self, answered: list[bytes]) -> list[httpx.Request]: ...

    def yes(self, redeemed: bytes) -> bool: ...


class Ours:
    """The demo country's server: a question for anyone, bound to the session of the page that asks."""

    def __init__(self, town: Town, meter: Metered, http: httpx.AsyncClient, pid: int) -> None:
        self._town, self._meter, self._http = town, meter, http
        self._people: list[Citizen] = []
        self._started: list[dict[str, Any]] = []
        self.pid, self.port = pid, urlsplit(town.base).port or 0

    async def enrol(self, count: int) -> None:
        self._people = await self._town.enrol(count)
        for citizen in self._people:
            await self._town.visit(0, citizen)
            await self._town.receive(0, citizen)

    async def starts(self, form: str) -> list[httpx.Request]:
        asked = {"purpose": PURPOSE, "form": form, "session": "bench", "qr": False}
        return [self._post("/v1/anyone/checks", asked) for _ in self._people * EACH]

    async def answers(self, started: list[bytes]) -> list[httpx.Request]:
        self._started = [json.loads(one) for one in started]
        self._meter.keep_back()
        for citizen, one in zip(self._people * EACH, self._started, strict=True):
            await prepared(citizen.wallet, one["link"], self._meter)
        return self._meter.kept_back()

    async def redeems(self, answered: list[bytes]) -> list[httpx.Request]:
        made = []
        for one in self._started:
            page, headers = f"{self._town.base}/v1/pages/{one['id']}", {"Authorization": f"Bearer {one['page']}"}
            code = (await self._http.get(page, headers=headers)).json()["result_code"]
            made.append(self._post(f"/v1/anyone/checks/{one['id']}/redeem", {"code": code, "session": "bench"}))
        return made

    def yes(self, redeemed: bytes) -> bool:
        return bool(json.loads(redeemed)["state"] == "accepted")

    def _post(self, path: str, body: dict[str, Any]) -> httpx.Request:
        return httpx.Request("POST", f"{self._town.base}{path}", json=body)


class Theirs:
    """The peer's: it signs its request and keeps everything in memory."""

    def __init__(self, node: Node, http: httpx.AsyncClient, meter: Metered) -> None:
        self._elsewhere, self._meter = Elsewhere(node, http, meter), meter
        self._base = self._elsewhere.verifier["base"]
        self._count, self._started = 0, list[dict[str, Any]]()
        self.pid, self.port = node.pid, urlsplit(self._base).port or 0

    async def enrol(self, count: int) -> None:
        await self._elsewhere.cards(count)
        self._count = count

    async def starts(self, form: str) -> list[httpx.Request]:
        body = {"query": query(form, [ITEM])}
        return [httpx.Request("POST", f"{self._base}/checks", json=body) for _ in range(self._count * EACH)]

    async def answers(self, started: list[bytes]) -> list[httpx.Request]:
        self._started = [json.loads(one) for one in started]
        self._meter.keep_back()
        for wallet, one in zip(self._elsewhere.wallets * EACH, self._started, strict=True):
            await prepared(wallet, one["uri"], self._meter)
        return self._meter.kept_back()

    async def redeems(self, answered: list[bytes]) -> list[httpx.Request]:
        return [httpx.Request("POST", f"{self._base}/redeem", json={"id": one["id"]}) for one in self._started]

    def yes(self, redeemed: bytes) -> bool:
        return '"adult_by_year":true' in redeemed.decode().replace(" ", "")


# --- measuring --------------------------------------------------------------------------------------------------------


@dataclass
class Cost:
    """Of one check, in seconds: CPU of a server, wall clock of all servers together, CPU of the load generator."""

    cpu: float = 0.0
    wall: float = 0.0
    own: float = 0.0
    phases: list[float] = field(default_factory=list)


async def cost(askers: Sequence[Asker], form: str, lanes: int = LANES) -> Cost:
    """One round of all three steps, at all these servers at once."""
    found, count = Cost(), 0
    bodies: list[list[bytes]] = [[] for _ in askers]
    for phase in PHASES:
        made = [
            await (asker.starts(form) if phase == "starts" else getattr(asker, phase)(said))
            for asker, said in zip(askers, bodies, strict=True)
        ]
        count = len(made[0])
        before = [cpu_of_process(asker.pid) for asker in askers]
        sent: Sent = burst(
            [(asker.port, [wire(one) for one in some]) for asker, some in zip(askers, made, strict=True)], lanes
        )
        await asyncio.sleep(SETTLE)
        spent = [cpu_of_process(asker.pid) - was for asker, was in zip(askers, before, strict=True)]
        found.phases.append(statistics.mean(spent) / count)
        found.wall, found.own, bodies = found.wall + sent.wall / count, found.own + sent.own / count, sent.bodies
    found.cpu = sum(found.phases)
    for asker, redeemed in zip(askers, bodies, strict=True):
        if not all(asker.yes(one) for one in redeemed):
            raise AssertionError(f"a check did not end in yes: {redeemed[0][:300]!r}")
    return found


@dataclass
class Pair:
    ours: Ours
    theirs: Theirs


def figures(raw: Raw, effort: Effort) -> list[Figure]:
    return asyncio.run(_figures(raw, effort))


async def _figures(raw: Raw, effort: Effort) -> list[Figure]:
    async with AsyncExitStack() as open_:
        file = Path(open_.enter_context(TemporaryDirectory(prefix="mapae-bench-"))) / "profile"
        first = await _pair(open_, effort, file)
        one = await _rounds([first], raw, effort, cpu_of)
        await first.ours.enrol(effort.visits)
        parts = {form: await _profiled(first.ours, form, file) for form in NAMES}
        two: dict[str, _Row] = {}
        if effort.cores > 1:
            two = await _rounds([first, await _pair(open_, effort, None)], raw, effort, wall_on_two)
        return [one[form].figure(name, parts[form], two.get(form)) for form, name in NAMES.items()]


async def _pair(open_: AsyncExitStack, effort: Effort, file: Path | None) -> Pair:
    data, people = Path(open_.enter_context(TemporaryDirectory(prefix="mapae-bench-"))), max(effort.residents, 400)
    base, pid = open_.enter_context(running(data / "var", people, file))
    node = Node()
    open_.callback(node.close)
    ours, theirs = Metered(pid, "/verifier/anyone/"), Metered(node.pid, "/credential$|/response/")
    http, other = [
        await open_.enter_async_context(httpx.AsyncClient(timeout=60, trust_env=False, transport=meter))
        for meter in (ours, theirs)
    ]
    return Pair(Ours(await Town.open(base, http, people), ours, http, pid), Theirs(node, other, theirs))


async def _rounds(
    pairs: Sequence[Pair], raw: Raw, effort: Effort, limit: Callable[[Callable[[], object], int], float]
) -> dict[str, _Row]:  # fmt: skip
    work, rows = raw.work(verifies=2, agreements=1), {form: _Row() for form in NAMES}
    for turn in range(effort.http_rounds + 1):
        if turn % ROUNDS == 0:
            for asker in [*(pair.ours for pair in pairs), *(pair.theirs for pair in pairs)]:
                await asker.enrol(effort.visits)
        for form, row in rows.items():
            ours = await cost([pair.ours for pair in pairs], form)
            theirs = await cost([pair.theirs for pair in pairs], form)
            if turn > 0:  # the first round warms the caches
                row.add(limit(work, 60), ours, theirs)
    return rows


async def _profiled(ours: Ours, form: str, file: Path) -> Shares:
    """One at a time, for the profiler follows one request."""
    return await Profiler(ours.pid, file).of(lambda: cost([ours], form, lanes=1))


@dataclass
class _Row:
    limits: list[float] = field(default_factory=list)
    ours: list[Cost] = field(default_factory=list)
    theirs: list[Cost] = field(default_factory=list)

    def add(self, limit: float, ours: Cost, theirs: Cost) -> None:
        self.limits.append(limit)
        self.ours.append(ours)
        self.theirs.append(theirs)

    def figure(self, name: str, parts: Shares, two: _Row | None) -> Figure:
        ours, theirs = [cost.cpu for cost in self.ours], [cost.cpu for cost in self.theirs]
        peer = Rival(
            "oid4vc-ts", rounds_of(self.limits, theirs), rounds_of(theirs, ours),
            rounds_of(two.limits, [cost.wall for cost in two.theirs]) if two else None,
        )  # fmt: skip
        return Figure(
            "protocol", name, rounds_of(self.limits, ours), AGAINST, statistics.median(self.limits),
            statistics.median(ours), peers=(peer,), note=self._note(two), parts=parts,
            two=rounds_of(two.limits, [cost.wall for cost in two.ours]) if two else None,
        )  # fmt: skip

    def _note(self, two: _Row | None) -> str:
        steps = [statistics.median(one) * 1e3 for one in zip(*(cost.phases for cost in self.ours), strict=True)]
        said = "three POSTs, two durable commits and the mark that it was read; for anyone, no code drawn; CPU of"
        said += f" start {steps[0]:.2f} ms, answer {steps[1]:.2f} ms, redeem {steps[2]:.2f} ms"
        if two is None:
            return said
        each = [2 / statistics.median([cost.wall for cost in side]) for side in (two.ours, two.theirs)]
        own = statistics.median([cost.own / cost.wall / 2 for cost in two.ours])
        said += f"; two servers on two cores, {LANES} requests at a time to each: **{each[0]:,.0f} checks a second** by"
        return f"{said} the wall clock, the peer's two {each[1]:,.0f}; the load generator used {own:.0%} of both cores"
