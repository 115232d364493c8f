"""A node of the chain whose index of events is behind its state, and one that cannot say what became of a contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hands import refuses
from ledgers import ORIGIN, START, Cast
from mapae.clock import MovableClock
from mapae.db import connect, migrate
from mapae.errors import Code, Refused
from mapae.trust.engine import Head, chain
from mapae.trust.engine.contract import Appended, Genesis
from mapae.trust.engine.embedded import EmbeddedLedger
from mapae.trust.engine.evm import EvmLedger
from mapae.trust.engine.rpc import NodeRefused
from mapae.trust.log.entry import Entry, Log


class Behind:
    """A chain with the entries of a ledger; its node tells of `told` of the events asked for (None: of all)."""

    def __init__(self, ledger: EmbeddedLedger) -> None:
        self._ledger, self._events = ledger, list[Appended]()
        self._heads: dict[Log, Head] = {}
        self._block, self.told = 1, None

    async def mine(self) -> None:
        self._block += 1
        for log in Log:
            self._heads[log] = await self._ledger.head(log)
            have = sum(event.log is log for event in self._events)
            for index, raw in enumerate(await self._ledger.entries(log, have, self._heads[log].size), have):
                self._events.append(Appended(log, index, Entry.parse(raw).statement, raw, self._block))

    async def block(self) -> int:
        return self._block

    async def heads(self, block: int) -> dict[Log, Head]:
        return dict(self._heads)

    async def first_block(self, log: Log, index: int, last: int) -> int:
        return next((one.block for one in self._events if one.log is log and one.index == index), 0)

    async def appended(self, first: int, last: int) -> tuple[list[Appended], int]:
        return [one for one in self._events if first <= one.block <= last][: self.told], last


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[tuple[Cast, EmbeddedLedger, Behind, EvmLedger, list[str]]]:
    dbs = [await connect(f"sqlite:///{tmp_path}/{name}.db") for name in "ab"]
    for db in dbs:
        await migrate(db, "trust")
    cast, clock, alarms = Cast(), MovableClock(START), list[str]()
    ledger = await EmbeddedLedger.open(dbs[0], clock, ORIGIN, cast.founding)
    node = Behind(ledger)
    await node.mine()
    evm = EvmLedger(
        dbs[1], clock, ORIGIN, node, lambda voice: None, alarm=lambda: alarms.append("forked"), fresh=0.0
    )  # type: ignore[arg-type]  # fmt: skip
    yield cast, ledger, node, evm, alarms
    for db in dbs:
        await db.close()


@pytest.mark.parametrize("told", [0, 1], ids=["nothing yet", "a part"])
async def test_a_node_whose_index_is_behind_its_state_is_asked_again(world: Any, told: int) -> None:
    """Once passed over, the entries would never have been asked for again, a revocation among them; and a part of them
    is no fork."""
    cast, ledger, node, evm, alarms = world
    before = (await evm.head(Log.REGISTRY)).size
    await cast.admit(ledger)
    await ledger.submit(*cast.key("signer"))
    await node.mine()
    node.told = told
    try:
        assert (await evm.head(Log.REGISTRY)).size == before
    except Refused as refused:
        assert refused.code is Code.UNAVAILABLE
    node.told = None
    await node.mine()
    evm._next_look = 0.0
    assert await evm.head(Log.REGISTRY) == await ledger.head(Log.REGISTRY) and alarms == []


@pytest.mark.parametrize(
    "trouble", [NodeRefused("rate limited"), Refused(Code.UNAVAILABLE, "no answer")], ids=["refused", "silent"]
)
async def test_a_receipt_that_cannot_be_had_at_once_deploys_no_second_contract(trouble: Exception) -> None:
    sent: list[Any] = []
    asked: list[int] = []

    class Node:
        url = "http://node"

        async def ask(self, method: str, *params: Any) -> Any:
            match method:
                case "eth_estimateGas":
                    return "0x100000"
                case "eth_getBlockByNumber":
                    return {"number": "0x1", "baseFeePerGas": "0x0"}
                case "eth_sendRawTransaction":
                    sent.append(params)
                    return "0x" + "11" * 32
                case "eth_getTransactionReceipt":
                    asked.append(1)
                    if len(asked) == 1:
                        raise trouble
                    return {"status": "0x1", "contractAddress": "0x" + "22" * 20, "blockNumber": "0x2"}
            return "0x1"

    account = SimpleNamespace(address=b"\1" * 20, sign=lambda transaction: b"signed")
    genesis = Genesis(((b"\1" * 20, b"\2" * 32),), 1, 0, b"\3" * 32, b"\4" * 32)
    place = await chain.deploy(Node(), account, genesis)  # type: ignore[arg-type]
    assert place.contract == b"\x22" * 20 and len(sent) == 1 and len(asked) == 2
    with refuses(Code.UNAVAILABLE, "1111"):
        asked.clear()
        await chain.deploy(Node(), account, genesis, patience=0.0)  # type: ignore[arg-type]
