"""Four kaia nodes on this machine: an Istanbul BFT network, each node its own process, key and disk.

They talk to each other and to the test over 127.0.0.1, look for nobody else, and end with the test. `homi` makes their
keys and the genesis block.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

NODES = 4  # three of four must agree: one may fail


def free_ports(count: int) -> list[int]:
    """Below the range from which the system gives out ports of its own."""
    found: list[int] = []
    for port in range(21_000, 32_000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError("no free ports")


def programs() -> tuple[Path, Path] | None:
    """kcn and homi, as `make .stamps/bft` built them or as they are on the PATH. None: not here."""
    folder = Path(__file__).resolve().parents[2] / ".venv/bft"
    found = [shutil.which(name, path=f"{folder}:{os.environ['PATH']}") for name in ("kcn", "homi")]
    return (Path(found[0]), Path(found[1])) if found[0] and found[1] else None


class Network:
    def __init__(self, folder: Path, kcn: Path, homi: Path, funded: Sequence[str] = ()) -> None:
        self._kcn = kcn
        self._folder = folder
        ports = free_ports(2 * NODES)
        self._p2p, self._rpc = ports[:NODES], ports[NODES:]
        self._running: dict[int, tuple[subprocess.Popen[bytes], IO[bytes]]] = {}
        made = folder / "made"
        _must(
            homi, "setup", "--gen-type", "local", "--cn-num", str(NODES), "--validators-num", str(NODES),
            "--no-grafana", "--funding-addr", ",".join(funded), "-o", made, "local",
        )  # fmt: skip
        peers = json.loads((made / "scripts/static-nodes.json").read_text())
        peers = [re.sub(r"@[^?]*", f"@127.0.0.1:{port}", peer) for peer, port in zip(peers, self._p2p, strict=True)]
        for node in range(NODES):
            home = folder / f"node{node}"
            _must(kcn, "--datadir", home, "init", made / "scripts/genesis.json")
            (home / "klay").mkdir(exist_ok=True)
            shutil.copy(made / f"keys/nodekey{node + 1}", home / "klay/nodekey")
            (home / "static-nodes.json").write_text(json.dumps(peers))

    def url(self, node: int) -> str:
        return f"http://127.0.0.1:{self._rpc[node]}"

    def start(self, node: int) -> None:
        home = self._folder / f"node{node}"
        log = (self._folder / f"node{node}.log").open("ab")
        command: list[str | Path] = [
            self._kcn, "--datadir", home, "--networkid", "7919", "--port", str(self._p2p[node]), "--nat", "none",
            "--nodiscover", "--ntp.disable", "--rpc", "--rpcaddr", "127.0.0.1", "--rpcport", str(self._rpc[node]),
            "--rpcapi", "eth,net,istanbul", "--rpcvhosts", "*", "--db.leveldb.cache-size", "16",
            "--state.cache-size", "16", "--verbosity", "3",
        ]  # fmt: skip
        self._running[node] = (subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT), log)

    def stop(self, node: int, how: signal.Signals = signal.SIGKILL) -> None:
        process, log = self._running.pop(node)
        process.send_signal(how)
        process.wait(30)
        log.close()

    def stop_all(self) -> None:
        for node in list(self._running):
            self.stop(node)


@contextlib.contextmanager
def network(folder: Path, kcn: Path, homi: Path, funded: Sequence[str] = ()) -> Iterator[Network]:
    made = Network(folder, kcn, homi, funded)
    try:
        for node in range(NODES):
            made.start(node)
        yield made
    finally:
        made.stop_all()


def _must(*command: str | Path) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout)[-2000:]}")
