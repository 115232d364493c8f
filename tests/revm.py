"""TrustLog in an EVM of the test's own process (revm): one block a call, at the time the test says."""

from __future__ import annotations

import pyrevm

from mapae.errors import Code, Refused
from mapae.trust.engine import contract
from mapae.trust.engine.contract import Genesis
from mapae.trust.log.acts import Act
from mapae.trust.log.entry import Log
from mapae.trust.log.tree import Head


class Contract:
    """Raises Refused(LEDGER_RULE) with the reason a revert gave."""

    def __init__(self, genesis: Genesis, now: int) -> None:
        self._evm = pyrevm.EVM(spec_id="MERGE")
        self._block = 0
        self.gas = 0  # of the last call
        self._at(now)
        with _reasons():
            self._address = self._evm.deploy("0x" + "01" * 20, contract.deployment(genesis))

    def act(self, act: Act, sender: bytes, now: int) -> None:
        self._at(now)
        with _reasons():
            self._evm.message_call("0x" + sender.hex(), self._address, contract.call_of(act))
        self.gas = self._evm.result.gas_used

    def head(self, log: Log) -> Head:
        call = contract.call("head", log)
        answer = self._evm.message_call("0x" + "00" * 20, self._address, call, is_static=True)
        return contract.head("0x" + answer.hex())

    def _at(self, now: int) -> None:
        self._block += 1
        self._evm.set_block_env(pyrevm.BlockEnv(timestamp=now, number=self._block))


class _reasons:
    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, raised: BaseException | None, trace: object) -> None:
        if isinstance(raised, RuntimeError):
            data = bytes.fromhex(str(raised).partition("output: 0x")[2].partition(" ")[0].rstrip("},"))
            raise Refused(Code.LEDGER_RULE, contract.reason(data) or f"no reason: {raised}") from None
