"""The trust log on a network of four that tolerates one fault: it goes on without one, stands still without two, and
has lost nothing when they are back. `make test-bft` runs this; it takes a few minutes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from hands import refuses
from mapae.clock import SystemClock
from mapae.db import Db, connect, migrate
from mapae.errors import Code, Refused
from mapae.trust.engine import Assurance
from mapae.trust.engine.chain import Chain, Place, deploy
from mapae.trust.engine.evm import EvmLedger
from mapae.trust.engine.rpc import Node
from mapae.trust.log.acts import Act
from mapae.trust.log.entry import Entry, Log
from onchain import ORIGIN, Actors

from .network import NODES, Network, network

PATIENCE = 10.0  # seconds an act may take before its sender is told to ask again


@pytest.fixture
def actors() -> Actors:
    return Actors(int(time.time()))


@pytest.fixture
def four(nodes: tuple[Path, Path], actors: Actors, tmp_path: Path) -> Iterator[Network]:
    with network(tmp_path / "network", *nodes, [f"0x{one.address.hex()}" for one in actors.everybody]) as running:
        yield running


class Bench:
    """What happened when, told at the end."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._began = tell, time.monotonic()

    def took(self, what: str) -> float:
        now = time.monotonic()
        took, self._began = now - self._began, now
        self._tell(f"  {took:6.1f} s  {what}")
        return took


class Country:
    """Our engine on one node of the network, and everything that was said to it."""

    def __init__(self, four: Network, actors: Actors, http: httpx.AsyncClient, folder: Path) -> None:
        self.four, self.actors, self.folder = four, actors, folder
        self.nodes = [Node(http, four.url(node)) for node in range(NODES)]
        self.said: list[tuple[Act, str]] = []
        self.databases: list[Db] = []
        self.forks = 0
        self.place: Place

    async def found(self) -> EvmLedger:
        chain = Chain(self.nodes[0], Place("", bytes(20)), "latest")
        await until(lambda: _past(chain, 1))
        self.place = await deploy(self.nodes[0], self.actors.governors[0].account, self.actors.genesis())
        return await self.engine(0)

    async def database(self, name: str) -> Db:
        db = await connect(f"sqlite:///{self.folder}/{name}.db")
        await migrate(db, "trust")
        self.databases.append(db)
        return db

    async def engine(self, node: int) -> EvmLedger:
        """With a copy of its own for each node."""
        chain = Chain(self.nodes[node], self.place, "latest")
        db = await self.database(f"trust{node}")
        return EvmLedger(
            db,
            SystemClock(),
            ORIGIN,
            chain,
            self.actors.account,
            patience=PATIENCE,
            fresh=0,
            grace=180,
            alarm=self._forked,
        )

    def _forked(self) -> None:
        self.forks += 1

    async def say(self, ledger: EvmLedger, act: Act, signed: str) -> None:
        """As an outbox does: once more until it is acknowledged."""

        async def taken() -> bool:
            await ledger.submit(act, signed)
            return True

        self.said.append((act, signed))
        await until(taken)


async def until(done: Callable[[], object], seconds: float = 180) -> None:
    """Again and again while the answer is no, or that something is away."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if await done():  # type: ignore[misc]
                return
        except Refused as refused:
            if refused.code is not Code.UNAVAILABLE:
                raise
        assert time.monotonic() < deadline, "it did not come"
        await asyncio.sleep(0.2)


async def _past(chain: Chain, block: int) -> bool:
    return await chain.block() >= block


async def test_one_may_fail_two_may_not_and_nothing_is_lost(
    four: Network, actors: Actors, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def tell(line: str) -> None:
        with capsys.disabled():
            print(line)

    async with httpx.AsyncClient(trust_env=False, timeout=5) as http:
        country, bench = Country(four, actors, http, tmp_path), Bench(tell)
        tell("")
        ledger = await country.found()
        bench.took("from nothing to a contract")
        assert await ledger.assurance() == Assurance("evm chain 1000", 4, 1, final=True, multi_party=True)
        admission, signed = actors.admission()
        for act, paper in [(admission, signed), (admission, actors.approval(admission)), actors.key("key")]:
            await country.say(ledger, act, paper)
        for seq in range(1, 11):
            await country.say(ledger, *actors.anchor(seq))
        bench.took("13 acts, one after the other")
        await _without_one(country, ledger, bench)
        waiting = await _without_two(country, ledger, bench)
        await _all_back(country, ledger, bench, waiting)
        await _all_killed(country, ledger, bench)
        await _same_everywhere(country, ledger)
        assert country.forks == 0
        for db in country.databases:
            await db.close()


async def _without_one(country: Country, ledger: EvmLedger, bench: Bench) -> None:
    country.four.stop(3)
    for seq in range(11, 21):
        await country.say(ledger, *country.actors.anchor(seq))
    bench.took("10 acts without one node")


async def _without_two(country: Country, ledger: EvmLedger, bench: Bench) -> tuple[Act, str]:
    """No act is taken, and the sender is told within a bound; whoever only reads and checks feels nothing."""
    country.four.stop(2)
    head, waiting = await ledger.head(Log.ANCHORS), country.actors.anchor(21)
    began = time.monotonic()
    for _ in range(2):  # asking again sends nothing twice
        with refuses(Code.UNAVAILABLE, "has not taken this yet"):
            await ledger.submit(*waiting)
    assert time.monotonic() - began < 2 * PATIENCE + 5
    bench.took("two calls told that the network stands still, without two nodes")
    began = time.monotonic()
    for _ in range(100):
        assert await ledger.head(Log.ANCHORS) == head
        assert len(await ledger.entries(Log.ANCHORS, 0, head.size)) == head.size
    assert time.monotonic() - began < 10
    return waiting


async def _all_back(country: Country, ledger: EvmLedger, bench: Bench, waiting: tuple[Act, str]) -> None:
    country.four.start(2)
    country.four.start(3)
    await country.say(ledger, *waiting)
    bench.took("the act that waited, after both nodes were started again")
    for seq in range(22, 27):
        await country.say(ledger, *country.actors.anchor(seq))
    bench.took("5 more")


async def _all_killed(country: Country, ledger: EvmLedger, bench: Bench) -> None:
    """The power of the whole country fails at once."""
    country.four.stop_all()
    with refuses(Code.UNAVAILABLE):
        await ledger.submit(*country.actors.anchor(27))
    assert (await ledger.head(Log.ANCHORS)).size == 26
    for node in range(NODES):
        country.four.start(node)
    bench.took("all four killed, and started again")
    await country.say(ledger, *country.actors.anchor(27))
    bench.took("the next act")


async def _same_everywhere(country: Country, ledger: EvmLedger) -> None:
    """Each node shows the same, and it is what an embedded log makes of the same acts."""
    heads = {log: await ledger.head(log) for log in Log}
    for node in range(NODES):
        chain = Chain(country.nodes[node], country.place, "latest")

        async def caught_up(chain: Chain = chain) -> bool:
            return await chain.heads(await chain.block()) == heads

        await until(caught_up)
    fresh = await country.engine(1)
    assert await fresh.state() == await ledger.state()
    receipts = [(act, signed, await ledger.submit(act, signed)) for act, signed in country.said]
    # The first vote now has the receipt of the deed; when it was cast it had none.
    act, signed, done = receipts[0]
    began = Entry.parse((await ledger.entries(Log.REGISTRY, 0, 1))[0]).time
    embedded = await country.actors.replayed(
        await country.database("embedded"), began,
        [(act, signed, type(done)(done.log, None, done.time)), *receipts[1:]],
    )  # fmt: skip
    for log in Log:
        assert await embedded.head(log) == heads[log]
