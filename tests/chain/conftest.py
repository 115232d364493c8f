"""One EVM node for the tests of this folder; each test deploys a contract of its own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from anvil import Anvil, anvil, binary
from mapae.clock import SystemClock
from mapae.db import Db, connect, migrate
from mapae.trust.engine.chain import Chain, Place, deploy
from mapae.trust.engine.evm import EvmLedger
from mapae.trust.engine.rpc import Node
from onchain import ORIGIN, Actors


class Line(httpx.AsyncHTTPTransport):
    """The line to the node. It can fail once at a method, before or after the node has heard, or be cut for good; and
    stand for a node that searches only so many blocks at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.fail_at = ""
        self.fail_after = False
        self.cut = False
        self.most_blocks = 0
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        question = msgspec.json.decode(await request.aread())
        method, failing = question["method"], question["method"] == self.fail_at
        self.asked.append(method)
        if self.cut or (failing and not self.fail_after):
            self.fail_at = ""
            raise httpx.ConnectError("cut")
        if method == "eth_getLogs" and self.most_blocks:
            asked = question["params"][0]
            if int(asked["toBlock"], 16) - int(asked["fromBlock"], 16) >= self.most_blocks:
                no = {"jsonrpc": "2.0", "id": question["id"], "error": {"code": -32005, "message": "range too large"}}
                return httpx.Response(200, json=no)
        answer = await super().handle_async_request(request)
        if failing:
            await answer.aread()
            self.fail_at = ""
            raise httpx.ReadError("cut")
        return answer


@dataclass
class World:
    """A contract on a node, who acts on it, and our engine."""

    node: Anvil
    place: Place
    actors: Actors
    line: Line
    http: httpx.AsyncClient
    folder: Path
    databases: list[Db] = field(default_factory=list)
    forks: list[str] = field(default_factory=list)

    def chain(self, tag: str = "latest") -> Chain:
        return Chain(Node(self.http, self.node.url), self.place, tag)

    async def ledger(self, *, name: str = "trust", tag: str = "latest", **options: Any) -> EvmLedger:
        """Our engine, as a process that starts now; the same name has the same database."""
        db = await connect(f"sqlite:///{self.folder}/{name}.db")
        await migrate(db, "trust")
        self.databases.append(db)
        given = {"patience": 5.0, "fresh": 0.0, "grace": 0.0, "alarm": lambda: self.forks.append("")} | options
        return EvmLedger(db, SystemClock(), ORIGIN, self.chain(tag), self.actors.account, **given)


@pytest.fixture(scope="session")
def anvil_program() -> Path:
    found = binary()
    if found is None:
        pytest.skip("the EVM node for tests is not here; type: make .stamps/chain")
    return found


@pytest.fixture(scope="module")
def node(anvil_program: Path) -> Iterator[Anvil]:
    with anvil(anvil_program) as running:
        yield running


async def settle(node: Anvil, folder: Path) -> World:
    """A new country on this node."""
    latest: Any = node.ask("eth_getBlockByNumber", "latest", False)
    actors = Actors(max(int(time.time()), int(latest["timestamp"], 16)))
    node.fund(*(one.address for one in actors.everybody))
    line = Line()
    http = httpx.AsyncClient(transport=line, timeout=5)
    place = await deploy(Node(http, node.url), actors.governors[0].account, actors.genesis())
    return World(node, place, actors, line, http, folder)


async def leave(world: World) -> None:
    await world.http.aclose()
    for db in world.databases:
        await db.close()


@pytest.fixture
async def world(node: Anvil, tmp_path: Path) -> AsyncIterator[World]:
    made = await settle(node, tmp_path)
    yield made
    await leave(made)
