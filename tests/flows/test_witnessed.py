"""A trust role and two witnesses as processes of their own: founded, cosigned, watched and audited by commands."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import httpx
import pytest
from typer.testing import CliRunner, Result

from mapae.cli import app
from mapae.errors import Refused
from mapae.trust.log.note import Note
from mapae.trust.log.policy import Policy
from running import PATIENCE, free_port

T = TypeVar("T")


class Processes:
    """Started here, ended here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.metrics, self.ports = free_port(), free_port(), {"w1": free_port(), "w2": free_port()}
        self.base = f"http://localhost:{self.port}"
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *words: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", "mapae", *words], cwd=self.folder, stdout=log, stderr=log
            )

    def end(self, name: str, how: signal.Signals = signal.SIGTERM) -> int:
        process = self._running.pop(name)
        process.send_signal(how)
        return process.wait(PATIENCE)

    def end_all(self) -> None:
        for name in list(self._running):
            self.end(name, signal.SIGKILL)

    def witness(self, name: str, policy: Policy) -> None:
        keys = [word for key in policy.logs for word in ("--log", key.encode())]
        self.start(name, "witness", "serve", "--name", f"{name}.example/{name}", "--data", name, "--port",
                   str(self.ports[name]), *keys)  # fmt: skip

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8")

    def get(self, path: str) -> httpx.Response | None:
        try:
            return httpx.get(f"{self.base}{path}", trust_env=False, timeout=10)
        except httpx.TransportError:
            return None


def mapae(*words: str) -> Result:
    """The command in this process: starting one takes longer than what it does."""
    return CliRunner().invoke(app, words)


def until(look: Callable[[], T | None], what: str) -> T:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = look()
        if found is not None:
            return found
        time.sleep(0.1)  # processes are starting
    raise AssertionError(f"waited for {what}")


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path)
    yield made
    made.end_all()


def test_a_log_and_its_witnesses_in_processes_of_their_own(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    p = processes
    monkeypatch.chdir(tmp_path)
    lines = [f'base_url = "{p.base}"', 'data = "var"', "[witnesses]"]
    for name, port in p.ports.items():
        url = f"http://127.0.0.1:{port}/witness/{name}"
        key = mapae("witness", "key", "--name", f"{name}.example/{name}", "--data", f"{tmp_path}/{name}", "--url", url)
        assert key.exit_code == 0 and key.stdout.endswith(f" {url}\n"), key.output
        lines.append(f'{name} = "{key.stdout.strip()}"')
    (tmp_path / "mapae.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    p.start("trust", "serve", "trust", "--config", "mapae.toml", "--port", str(p.port), "--metrics-port",
            str(p.metrics))  # fmt: skip
    policy = Policy.parse(until(lambda: p.get("/trust/policy"), "the trust role").content)
    assert policy.groups["witnesses"].least == 2 and set(policy.witnesses) == {"w1", "w2"}
    early = p.get("/trust/log/registry/checkpoint")
    assert early is not None and early.status_code == 503, "without its witnesses it publishes nothing"
    for name in p.ports:
        p.witness(name, policy)

    def published() -> httpx.Response | None:
        answer = p.get("/trust/log/registry/checkpoint")
        return answer if answer is not None and answer.status_code == 200 else None

    note = Note.parse(until(published, f"a quorum\n{p.said('trust')}{p.said('w1')}").content)
    assert set(policy.met(note).times) == {"w1", "w2"}

    status = mapae("ledger", "status", "--url", p.base)
    assert status.exit_code == 0, status.output
    assert status.stdout.startswith("engine      embedded: tamper-evident log, single operator, tolerates 0 faults\n")
    assert "blockchain" not in status.stdout and "quorum      2 of 2" in status.stdout
    assert len(re.findall(r"w[12] +cosigned \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \(\d+ s ago\)", status.stdout)) >= 2
    config = ("--config", "mapae.toml")
    own = mapae("ledger", "status", *config, "--json")
    size = json.loads(own.stdout)["logs"]["registry"]["checkpoint"]["size"]
    assert size > 4, "beyond its founding, the trust role enters itself"
    until(lambda: p.get("/trust/log/anchors/checkpoint").status_code == 200 or None, "both logs")  # type: ignore[union-attr]
    for where in (("--url", p.base), config):
        audit = mapae("ledger", "audit", *where)
        assert (audit.exit_code, audit.stdout) == (0, f"{size} entries, 0 wrong\n"), audit.output
    metrics = httpx.get(f"http://127.0.0.1:{p.metrics}/metrics", trust_env=False).text
    assert 'mapae_checkpoint_cosignatures{log="registry"} 2.0' in metrics
    for name in ("w1", "trust"):
        assert p.end(name) == 0, p.said(name)


def test_looking_founds_nothing(tmp_path: Path) -> None:
    gone = mapae("ledger", "status", "--data", str(tmp_path))
    assert isinstance(gone.exception, Refused) and "holds no trust.db" in gone.exception.detail
    assert not list(tmp_path.iterdir())
