"""The `mapae` command as a process of its own: run to the end, or a demo country that runs until it is stopped."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

PATIENCE = 90.0


def mapae(folder: Path, *words: str, typed: str = "", **extra: str) -> subprocess.CompletedProcess[str]:
    """Run to the end."""
    return subprocess.run(
        [sys.executable, "-m", "mapae", *words], cwd=folder, input=typed, capture_output=True, text=True, check=False,
        timeout=PATIENCE, env={**os.environ, "COLUMNS": "200", **extra},
    )  # fmt: skip


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Running:
    """`mapae demo up` (or what is given), until `stop`. With `--tls` among the words, by its own authority."""

    def __init__(self, folder: Path, *words: str, data: str = "var") -> None:
        self.port = free_port()
        self.tls = "--tls" in words
        self.base = f"{'https' if self.tls else 'http'}://localhost:{self.port}"
        self.authority = folder / data / "certificates" / "tls-ca.pem"
        self._log = folder / f"log-{self.port}"
        words = words or ("demo", "up", "--data", data, "--residents", "0")
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mapae", *words, "--port", str(self.port)], cwd=folder, stdout=log, stderr=log
            )

    @property
    def said(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def wait(self) -> Running:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            assert self.process.poll() is None, self.said
            try:
                self.facts()
                return self
            except (httpx.HTTPError, FileNotFoundError):
                time.sleep(0.05)
        raise AssertionError(self.said)

    def facts(self) -> Any:
        """`/demo.json`."""
        verify = ssl.create_default_context(cafile=str(self.authority)) if self.tls else False
        answer = httpx.get(f"{self.base}/demo.json", trust_env=False, timeout=30, verify=verify)
        return answer.raise_for_status().json()

    def people(self) -> list[str]:
        return [person["resident_number"] for person in self.facts()["people"]]

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)
