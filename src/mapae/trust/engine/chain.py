"""TrustLog on a network, seen through one node: what it says, what has been appended, and a way to call it.

Promises: what is read belongs to one block; a call that the contract would revert is refused here with the rule's name
and costs nothing. Trusts: the node. Keeps: nothing. Refuses: LEDGER_RULE with the name the contract gives; UNAVAILABLE
for whatever else a node or a network may say, with what it said in our log.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any, Final, Self

import structlog

from mapae.errors import Code, Refused
from mapae.keys import Account
from mapae.trust.engine import contract
from mapae.trust.engine.contract import Appended, Genesis, hexed, number, unhexed
from mapae.trust.engine.rpc import Node, NodeRefused
from mapae.trust.log.acts import Act
from mapae.trust.log.entry import Log
from mapae.trust.log.tree import Head

TAGS: Final = ("finalized", "latest")
WINDOW: Final = 5_000  # blocks a question for events covers: what Besu allows unless told otherwise
VALIDATORS: Final = ("istanbul_getValidators", "qbft_getValidatorsByBlockNumber", "ibft_getValidatorsByBlockNumber")
MARGIN: Final = 50_000  # gas over the node's estimate: the frontier may take another path when the call is mined
_PLACE = re.compile(r"evm:(https?://[^\s#]+)#0x([0-9a-fA-F]{40})(?:@([0-9]{1,18}))?")
_log = structlog.get_logger("mapae.trust")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the contract is. `since`: the block it was deployed in, where anybody cares to say."""

    url: str
    contract: bytes
    since: int = 0

    @classmethod
    def parse(cls, setting: str) -> Self:
        found = _PLACE.fullmatch(setting)
        if found is None:
            raise Refused(Code.BAD_CONFIG, "ledger: write evm:http://127.0.0.1:8545#0x... with the contract's address")
        return cls(found[1], bytes.fromhex(found[2]), int(found[3] or 0))

    def setting(self) -> str:
        return f"evm:{self.url}#{hexed(self.contract)}" + (f"@{self.since}" if self.since else "")


class Chain:
    """`tag`: which blocks count. `latest` only where a block is final as soon as it is there."""

    def __init__(self, node: Node, place: Place, tag: str = "finalized") -> None:
        if tag not in TAGS:
            raise Refused(Code.BAD_CONFIG, f"ledger_blocks is one of {', '.join(TAGS)}")
        self._node, self._place, self.tag = node, place, tag

    # --- reading ------------------------------------------------------------------------------------------------------

    async def block(self) -> int:
        """The newest one that counts."""
        try:
            found = await self._node.ask("eth_getBlockByNumber", self.tag, False)
        except NodeRefused as no:
            if self.tag == "latest":
                raise _trouble("block", no) from None
            raise Refused(
                Code.BAD_CONFIG,
                "ledger_blocks: the node knows no finalized block; where every block is final, say latest",
            ) from None
        if not isinstance(found, dict):
            raise Refused(Code.UNAVAILABLE, "the ledger's network has no such block yet; try again")
        return number(found.get("number"))

    async def heads(self, block: int) -> dict[Log, Head]:
        return {log: contract.head(await self._view(block, "head", log)) for log in Log}

    async def used(self, statement: bytes) -> bool:
        """Whether an act of this statement was executed, in whatever block."""
        return contract.truth(await self._view("latest", "statements", statement))

    async def voted(self, act: bytes, governor: bytes, block: int | str = "latest") -> bool:
        return contract.truth(await self._view(block, "voted", act, governor))

    async def first_block(self, log: Log, index: int, last: int) -> int:
        """The block of an entry; where the node does not search that far, the one the contract is known from."""
        try:
            found = await self._events(self._place.since, last, contract.topics(log, [index]))
        except NodeRefused:
            return self._place.since
        return found[0].block if found else self._place.since

    async def appended(self, first: int, last: int) -> tuple[list[Appended], int]:
        """Every entry from this block on, in the network's order, and the block up to which that is all: fewer blocks
        than asked for where the node finds them too many."""
        last = min(last, first + WINDOW - 1)
        while True:
            try:
                return await self._events(first, last, contract.topics()), last
            except NodeRefused as no:
                if last <= first:
                    raise _trouble("events", no) from None
                last = first + (last - first) // 2

    async def validators(self) -> int:
        """How many take turns in making blocks, where the node tells; else 0."""
        for method in VALIDATORS:
            try:
                found = await self._node.ask(method, "latest")
            except NodeRefused:
                continue
            if isinstance(found, list):
                return len(found)
        return 0

    async def chain_id(self) -> int:
        return number(await self._must("eth_chainId"))

    # --- calling ------------------------------------------------------------------------------------------------------

    async def under_way(self, account: bytes) -> bool:
        """Whether something this account sent has not been taken into a block."""
        sent = await self._must("eth_getTransactionCount", hexed(account), "pending")
        mined = await self._must("eth_getTransactionCount", hexed(account), "latest")
        return number(sent) > number(mined)

    async def gas(self, account: Account, data: bytes, to: bytes | None = None) -> int:
        """What a call would cost now, with something over. Raises LEDGER_RULE when the contract would refuse it."""
        call = {"from": hexed(account.address), "data": hexed(data), **({} if to is None else {"to": hexed(to)})}
        try:
            gas = number(await self._node.ask("eth_estimateGas", call))
        except NodeRefused as no:
            raise refusal(no) from None
        return gas + gas // 4 + MARGIN

    async def send(self, account: Account, data: bytes, gas: int, to: bytes | None = None) -> bytes:
        """Hand a call to the network; its hash. That it was handed in does not say that it will be taken."""
        nonce = number(await self._must("eth_getTransactionCount", hexed(account.address), "latest"))
        transaction = {
            **await self._fee(), "nonce": nonce, "gas": gas, "value": 0, "data": hexed(data),
            "chainId": await self.chain_id(), **({} if to is None else {"to": to}),
        }  # fmt: skip
        try:
            return unhexed(await self._node.ask("eth_sendRawTransaction", hexed(account.sign(transaction))), 32)
        except NodeRefused as no:
            if "insufficient funds" in no.message.lower():
                raise Refused(
                    Code.UNAVAILABLE, f"account {hexed(account.address)} cannot pay for this: send it funds, ask again"
                ) from None
            raise _trouble("transaction", no) from None

    async def gas_for(self, account: Account, act: Act) -> int:
        return await self.gas(account, contract.call_of(act), self._place.contract)

    async def ask_for(self, account: Account, act: Act, gas: int) -> None:
        await self.send(account, contract.call_of(act), gas, self._place.contract)

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _events(self, first: int, last: int, topics: list[Any]) -> list[Appended]:
        question = {
            "address": hexed(self._place.contract), "fromBlock": hex(first), "toBlock": hex(last), "topics": topics,
        }  # fmt: skip
        found = await self._node.ask("eth_getLogs", question)
        if not isinstance(found, list):
            raise Refused(Code.UNAVAILABLE, "the ledger's node answered something unreadable; try again")
        return [contract.appended(event) for event in found]

    async def _view(self, block: int | str, name: str, *values: int | bytes) -> Any:
        call = {"to": hexed(self._place.contract), "data": hexed(contract.call(name, *values))}
        answer = await self._must("eth_call", call, hex(block) if isinstance(block, int) else block)
        if answer == "0x":
            raise Refused(
                Code.UNAVAILABLE,
                "the ledger's node has no such contract: it is behind, or of another network",
            )
        return answer

    async def _fee(self) -> dict[str, Any]:
        """Twice the base fee of now at the most (EIP-1559), or what the node asks where there is no base fee."""
        newest = await self._must("eth_getBlockByNumber", "latest", False)
        base = newest.get("baseFeePerGas") if isinstance(newest, dict) else None
        if base is None:
            return {"gasPrice": number(await self._must("eth_gasPrice"))}
        if number(base) == 0:  # a network of those who run it: nobody pays
            return {"type": 2, "maxFeePerGas": 0, "maxPriorityFeePerGas": 0}
        tip = number(await self._must("eth_maxPriorityFeePerGas"))
        return {"type": 2, "maxFeePerGas": 2 * number(base) + tip, "maxPriorityFeePerGas": tip}

    async def _must(self, method: str, *params: Any) -> Any:
        try:
            return await self._node.ask(method, *params)
        except NodeRefused as no:
            raise _trouble(method, no) from None


async def deploy(node: Node, account: Account, genesis: Genesis, patience: float = 60.0) -> Place:
    """A contract of this genesis, made by this account. Raises UNAVAILABLE when no block takes it in time."""
    chain = Chain(node, Place(node.url, bytes(20)), "latest")
    code = contract.deployment(genesis)
    sent = await chain.send(account, code, await chain.gas(account, code))
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while loop.time() < deadline:
        try:
            receipt = await node.ask("eth_getTransactionReceipt", hexed(sent))
        except (NodeRefused, Refused):  # the contract may be there all the same: a second one must not be made
            receipt = None
        if isinstance(receipt, dict):
            if number(receipt.get("status")) != 1:
                raise Refused(Code.UNAVAILABLE, "the network took the contract and could not run it; is there gas?")
            return Place(node.url, unhexed(receipt.get("contractAddress"), 20), number(receipt.get("blockNumber")))
        await asyncio.sleep(0.2)
    raise Refused(Code.UNAVAILABLE, f"no block has taken transaction {hexed(sent)} yet; the network may stand still")


def refusal(no: NodeRefused) -> Refused:
    """A revert with a reason is the contract's own word."""
    rule = contract.reason(unhexed(no.data)) if isinstance(no.data, str) and no.data[:2] == "0x" else None
    return Refused(Code.LEDGER_RULE, rule) if rule else _trouble("call", no)


def _trouble(what: str, no: NodeRefused) -> Refused:
    _log.warning("the ledger's node refused", what=what, said=no.message[:200])
    return Refused(Code.UNAVAILABLE, "the ledger's node refused; what it said is in the log")
