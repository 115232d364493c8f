"""An EVM node of the test's own: foundry's anvil, on 127.0.0.1, ended with the test."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

NODE_MODULES = Path(__file__).parent / "chain/node_modules/@foundry-rs"


def binary() -> Path | None:
    """The program itself, not the script that starts it: a kill must reach it. None: not installed."""
    return next(iter(sorted(NODE_MODULES.glob("anvil-*/bin/anvil"))), None)


class Anvil:
    """One node. `options`: block time, state file and so on."""

    def __init__(self, program: Path, *options: str) -> None:
        with contextlib.closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._program, self._options = program, options
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        command = [self._program, "--port", str(self._port), "--hardfork", "paris", "--silent", *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            with contextlib.suppress(httpx.HTTPError):
                self.ask("eth_chainId")
                return
            time.sleep(0.05)
        raise RuntimeError("anvil does not answer")

    def kill(self) -> None:
        """SIGKILL: nothing is written any more."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def ask(self, method: str, *params: object) -> object:
        question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = httpx.post(self.url, json=question, timeout=5, trust_env=False).json()
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def fund(self, *accounts: bytes) -> None:
        for account in accounts:
            self.ask("anvil_setBalance", "0x" + account.hex(), hex(10**22))


@contextlib.contextmanager
def anvil(program: Path, *options: str) -> Iterator[Anvil]:
    node = Anvil(program, *options)
    try:
        yield node
    finally:
        node.kill()
