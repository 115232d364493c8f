"""Other people's implementations: npm's behind one node process, PyPI's called directly.

Nothing here corrects what a peer does. Where one deviates from a final specification, the one assertion that shows it
carries `deviates(...)`: it fails the run as soon as the peer is mended, so that docs/coverage.md stays true.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def deviates(clause: str, what: str) -> pytest.MarkDecorator:
    """A known bug of a peer: which clause of which specification, and what it does instead."""
    seen = (pytest.fail.Exception, AssertionError, PeerRefused)
    return pytest.mark.xfail(strict=True, raises=seen, reason=f"peer deviates, {clause}: {what}")


class PeerRefused(Exception):
    """A peer said no (or broke: libraries rarely tell the two apart)."""


class Node:
    """The npm peers, in one process: `node.owf.verify(...)` calls `verify` of peers/owf.mjs."""

    def __init__(self) -> None:
        if not (HERE / "node_modules").is_dir():
            pytest.fail("the npm peers are not installed; `make setup` installs them")
        self._process = subprocess.Popen(
            [str(ROOT / "tools" / "node"), "node", "peers/main.mjs"],
            cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self._serial = itertools.count(1)
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        return self._process.pid

    def __getattr__(self, peer: str) -> _Peer:
        return _Peer(self, peer)

    def call(self, op: str, args: dict[str, Any]) -> Any:
        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps({"id": next(self._serial), "op": op, "args": args}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        assert line, f"the peers' process ended during {op}"
        answer = json.loads(line)
        if "error" in answer:
            raise PeerRefused(f"{answer['error']['kind']}: {answer['error']['message']}")
        return answer["ok"]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


class _Peer:
    def __init__(self, node: Node, name: str) -> None:
        self._node, self._name = node, name

    def __getattr__(self, op: str) -> Any:
        return lambda **args: self._node.call(f"{self._name}.{op}", args)
