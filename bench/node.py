"""The peers on npm: each measured in a node process of its own, told over a pipe how often to run.

They are the packages of the interop suite (tests/conformance). Cryptography and keys are handed to each in the cheapest
way its interface allows: node:crypto instead of WebCrypto, keys and certificates parsed once.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from bench import ROOT

PROJECT = ROOT / "tests" / "conformance"
PACKAGES = ("@sd-jwt/sd-jwt-vc", "@owf/mdoc", "@auth0/mdl", "@openid4vc/openid4vci", "@openid4vc/openid4vp")


def versions() -> list[str]:
    """Of node and the packages. Raises when they are not installed: `make bench` installs them."""
    node = subprocess.run(
        [str(ROOT / "tools" / "node"), "node", "--version"], capture_output=True, text=True, check=True
    )  # fmt: skip
    return [*(f"{name} {_version(name)}" for name in PACKAGES), f"node {node.stdout.strip().lstrip('v')}"]


def _version(name: str) -> str:
    package = PROJECT / "node_modules" / name / "package.json"
    return str(json.loads(package.read_text(encoding="utf-8"))["version"])


class Node:
    """One peer's hot path: a `Candidate` of bench.harness."""

    def __init__(self, peer: str, work: str, given: dict[str, Any]) -> None:
        self._asked = (peer, work, given)
        self._process = subprocess.Popen(
            [str(ROOT / "tools" / "node"), "node", str(Path(__file__).parent / "peers" / "measure.mjs")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._tell({"peer": peer, "work": work, "input": given})
        self._read()

    def cpu(self, times: int) -> float:
        self._tell({"times": times})
        return float(self._read()["cpu"])

    def start(self) -> Node:
        return Node(*self._asked)

    def begin(self, times: int) -> None:
        self._tell({"times": times})

    def end(self) -> float:
        return float(self._read()["cpu"])

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.terminate()
        self._process.wait()

    def _tell(self, words: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words).encode() + b"\n")
        self._process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the process ended"}
        if "error" in answer:
            raise RuntimeError(f"{self._asked[0]} {self._asked[1]}: {answer['error']}")
        return answer
