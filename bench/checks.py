"""A whole check over HTTP, as a page puts it: started, answered by a wallet, its verdict redeemed by the page's server.

Three POSTs to one server process; its CPU clock is read before each is sent and once its answer has been read. The
wallet's half (reading the link, making the answer) is real and not counted, nor is the page's look in between.
"""

from __future__ import annotations

import asyncio
import statistics
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from bench.country import Town
from bench.harness import Effort, Figure, Raw, cpu_of, rounds_of
from bench.requests import Metered
from bench.server import running

NAME = "A check put over HTTP, answered and redeemed"
PATHS = r"/v1/anyone/checks(/[\w-]+/redeem)?$|/verifier/anyone/"
EACH = 4  # checks of one person in a round


def figures(raw: Raw, effort: Effort) -> list[Figure]:
    return asyncio.run(_figures(raw, effort))


async def _figures(raw: Raw, effort: Effort) -> list[Figure]:
    async with AsyncExitStack() as open_:
        data, people = Path(open_.enter_context(TemporaryDirectory(prefix="mapae-bench-"))), max(effort.residents, 400)
        base, pid = open_.enter_context(running(data / "var", people))
        meter = Metered(pid, PATHS)
        http = await open_.enter_async_context(httpx.AsyncClient(timeout=60, trust_env=False, transport=meter))
        town = await Town.open(base, http, people)
        limits: list[float] = []
        ours: list[float] = []
        for turn in range(effort.http_rounds + 1):
            citizens = await town.enrol(effort.visits)
            for citizen in citizens:
                await town.visit(0, citizen)
                await town.receive(0, citizen)
            meter.taken()
            for citizen in citizens * EACH:
                await _check(http, base, citizen.wallet)
            spent, requests = meter.taken()
            checks = EACH * len(citizens)
            if requests != 3 * checks:
                raise AssertionError(f"{requests} requests for {checks} checks")
            if turn > 0:  # the first round warms the caches
                limits.append(cpu_of(raw.work(verifies=2, agreements=1), 60))
                ours.append(spent / checks)
    note = "three POSTs, two durable commits and the mark that it was read; for anyone, no code drawn"
    return [
        Figure(
            "protocol", NAME, rounds_of(limits, ours), "2 raw verifies + 1 ECDH", statistics.median(limits),
            statistics.median(ours), note=note,
        )
    ]  # fmt: skip


async def _check(http: httpx.AsyncClient, base: str, wallet: object) -> None:
    asked = {"purpose": "alcohol_tobacco", "session": "bench", "qr": False}
    put = await http.post(f"{base}/v1/anyone/checks", json=asked)
    started = put.json()
    request = await wallet.open_request(started["link"])  # type: ignore[attr-defined]
    await wallet.present(request)  # type: ignore[attr-defined]
    headers = {"Authorization": f"Bearer {started['page']}"}
    seen = (await http.get(f"{base}/v1/pages/{started['id']}", headers=headers)).json()
    redeem = {"code": seen["result_code"], "session": "bench"}
    read = await http.post(f"{base}/v1/anyone/checks/{started['id']}/redeem", json=redeem)
    if read.json()["state"] not in ("accepted", "no"):
        raise AssertionError(f"the check ended as {read.text}")
